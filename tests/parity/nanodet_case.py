"""Golden case of NanoDet-Plus-m: the published weights, an input, and what layers of the original graph hold for it."""

from pathlib import Path

import numpy as np
import torch

from hf_refseg.models.nanodet.convert_nanodet import load_original
from hf_refseg.models.nanodet.detection_head import list_points

from .golden_case import Checks

# The weights are stored in float16, and the golden arrays were computed from them.
TOLERANCE = 1e-3
# Where the backbone's own feature maps are found among the layers of the graph.
LAYERS = {"stage1": "994", "pyramid1": "1367", "pyramid2": "1391", "pyramid3": "1415", "pyramid4": "1428"}
NOT_OUTPUTS = {"input"}


def is_case(folder: Path) -> bool:
    return (folder / "golden.npz").is_file() and len(list(folder.glob("*.safetensors"))) == 1


@torch.no_grad()
def run(folder: Path) -> Checks:
    """All comparisons of a folder that holds golden.npz and the weights. Raises ValueError for a layer we lack."""
    golden = dict(np.load(folder / "golden.npz"))
    (weights,) = folder.glob("*.safetensors")
    model = load_original(weights)
    pixel_values = torch.from_numpy(golden["input"]).flip(1)  # BGR -> RGB
    backbone = model.backbone
    states = dict(
        zip(backbone.stage_names, backbone(pixel_values, output_hidden_states=True).hidden_states, strict=True)
    )
    ours = {f"blob_{layer}": states[name] for name, layer in LAYERS.items()}
    ours["blob_910"] = backbone.stages[0][0](states["stem"])  # the first unit of its stage
    points = list_points(model.get_image_features(pixel_values).images[0].predictions)
    num_labels = model.config.num_labels
    ours["blob_output"] = torch.cat([points[:, :num_labels].sigmoid(), points[:, num_labels:]], 1)[None]
    if unknown := set(golden) - set(ours) - NOT_OUTPUTS:
        raise ValueError(f"{folder}/golden.npz holds {sorted(unknown)}; there are checks for {', '.join(sorted(ours))}")
    checks = Checks(golden)
    for name in sorted(ours):
        checks.check(name, ours[name], TOLERANCE)
    return checks
