"""
Loads every bundle below a folder in a process of its own, and keeps what each answers. Run by test_bundle.py.

    python fresh_process.py ROOT with-package|without-package

Without the package `hf_refseg` cannot be imported, as on a machine where it is not installed, and the flag is given;
with it the flag is not. Nobody answers prompts. The process without loads what the one with has saved again.
"""

import builtins
import json
import sys
from pathlib import Path

DETECTORS = ("mask_rcnn", "nanodet")  # they read no words
ROOT, MODE = Path(sys.argv[1]), sys.argv[2]
TEXTS = ["the red dog", "a cat on the left"]
SNIPPET = """
from transformers import pipeline
pipe = pipeline("image-segmentation", model="{name}", trust_remote_code=True)
from transformers import {processor}, AutoModel
processor = {processor}.from_pretrained("{name}", trust_remote_code=True)
model = AutoModel.from_pretrained("{name}", trust_remote_code=True)
"""


class NotInstalled:
    """A finder that knows of no `hf_refseg`."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "hf_refseg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def no_prompt(question=""):
    raise AssertionError(f"asked: {question}")


builtins.input = no_prompt
if MODE == "without-package":
    sys.meta_path.insert(0, NotInstalled())
    FLAG = {"trust_remote_code": True}
else:
    import hf_refseg  # noqa: F401  (registers everything)

    FLAG = {}

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import AutoImageProcessor, AutoModel, AutoProcessor, pipeline  # noqa: E402


def answers_of(model, processor, family: str) -> dict[str, np.ndarray]:
    """Every tensor of a forward."""
    inputs = processor(str(ROOT / "photo.png"), *([] if family in DETECTORS else [TEXTS]), return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    return {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}


def masks_of(pipe, family: str) -> np.ndarray:
    answers = pipe(str(ROOT / "photo.png"), *([] if family in DETECTORS else [TEXTS]))
    return np.stack([np.asarray(answer["mask"]) for answer in answers])


def keep(name: str, arrays: dict[str, np.ndarray]) -> None:
    np.savez(ROOT / MODE / f"{name}.npz", **arrays)


def load(folder: Path, family: str):
    auto = AutoImageProcessor if family in DETECTORS else AutoProcessor
    return AutoModel.from_pretrained(folder, **FLAG), auto.from_pretrained(folder, **FLAG)


(ROOT / MODE).mkdir()
for folder in sorted((ROOT / "bundles").iterdir()):
    family = folder.name
    model, processor = load(folder, family)
    package = type(model).__module__.split(".")[0]
    assert package == ("transformers_modules" if FLAG else "hf_refseg"), package
    keep(family, answers_of(model, processor, family))
    if family not in DETECTORS:
        saved = json.loads((folder / "processor_config.json").read_text())["image_processor"]["image_processor_type"]
        assert type(processor.image_processor).__name__ == saved

    if family not in DETECTORS:
        pipe = pipeline("referring-image-segmentation", model=str(folder), device="cpu", **FLAG)
        keep(f"{family}-pipeline", {"masks": masks_of(pipe, family)})

    # What the Hub prints for library_name transformers and pipeline_tag image-segmentation, as it prints it.
    scope = {}
    exec(SNIPPET.format(name=folder, processor="AutoImageProcessor" if family in DETECTORS else "AutoProcessor"), scope)
    keep(f"{family}-snippet", {"masks": masks_of(scope["pipe"], family)})
    assert type(scope["model"]) is type(model) and type(scope["processor"]) is type(processor)

    again = ROOT / MODE / "again" / family
    model.save_pretrained(again)
    processor.save_pretrained(again)
    keep(f"{family}-again", answers_of(*load(again, family), family))
    other = ROOT / "with-package" / "again" / family
    if other != again:
        keep(f"{family}-other", answers_of(*load(other, family), family))
