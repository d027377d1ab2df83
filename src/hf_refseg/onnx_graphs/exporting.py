"""`hf-refseg export onnx`: a model folder becomes two graphs and what belongs to them."""

import inspect
import json
import logging
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from ..checkpoints.loading import load_model, load_processor
from ..systems import find_system
from ..writing import new_folder, require_new
from .weights import STORED_AS, store_weights

logger = logging.getLogger(__name__)

IMAGE_GRAPH, EXPRESSION_GRAPH, DESCRIPTION = "image.onnx", "expression.onnx", "graphs.json"


def export_onnx(checkpoint: str | Path, output: str | Path, weights: str = "float32") -> Path:
    """
    Write a new folder with the graph of a photo, the graph of expressions, and the processor.

    `image.onnx` makes features of one photo, `expression.onnx` answers N expressions of T words about them, for any N
    and T. A dense system's take `pixel_values` (1, 3, H, W) and give `logits` (N, H, W). So do the region matcher's,
    which hold its detector, and give the other fields of an answer too. CAC's and HULANet's also take the boxes of
    regions; MAttNet's take regions that were described outside of them, and give `region_scores` (N, R). `graphs.json`
    names inputs and outputs, says of what the sides of the photo are multiples, and the shapes of the inputs where the
    graph of a photo takes no others.

    Args:
        checkpoint: shipped name, folder or Hub id.
        output: the new folder, which appears only once it is complete.
        weights: how weights are stored: "float32", "float16" or "int8"; the graphs compute in float32.

    Returns: `output`.

    Raises:
        FileExistsError: `output` exists.
        ValueError: there is no such model, its system has no graphs, its processor makes inputs of a size that the
            graph can't take, or there is no such way to store weights.
    """
    output = Path(output)
    require_new(output)
    if weights not in STORED_AS:
        raise ValueError(f"weights are stored as {', '.join(STORED_AS)}, not as {weights!r}")
    model = load_model(str(checkpoint), dtype=torch.float32).eval().requires_grad_(False)
    system = find_system(model.config.model_type)
    graphs = system.module("export")
    image, expression = graphs.ImageGraph(model).eval(), graphs.ExpressionGraph(model).eval()
    processor = load_processor(str(checkpoint))
    seen = image.example(processor)
    with torch.no_grad():
        features = dict(zip(image.feature_names, image(*seen.values()), strict=True))
    words = {name: example_words(model.config.vocab_size)[name] for name in expression.word_names}
    # AUTO would quietly make a graph for the three expressions of the example alone, where the code fixes their number
    sides = {name: dict.fromkeys(expression.sides(name), Dim.DYNAMIC) for name in features}
    sides |= dict.fromkeys(words, {0: Dim.DYNAMIC, 1: Dim.DYNAMIC})
    with new_folder(output, "export") as folder:
        fixed = not write_image_graph(image, seen, list(features), folder / IMAGE_GRAPH)
        write_graph(expression, features | words, sides, list(expression.output_names), folder / EXPRESSION_GRAPH)
        for name in (IMAGE_GRAPH, EXPRESSION_GRAPH):
            store_weights(folder / name, weights)
        model.config.save_pretrained(folder)
        processor.save_pretrained(folder)
        description = {
            "model_type": system.model_type,
            "inputs": list(seen),
            "side_multiple": image.side_multiple,
            "input_shapes": {name: list(value.shape) for name, value in seen.items()} if fixed else None,
            "words": list(words),
            "features": list(features),
            "outputs": list(expression.output_names),
            "weights": weights,
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return output


def write_image_graph(image: nn.Module, seen: dict[str, torch.Tensor], features: list[str], path: Path) -> bool:
    """Write the graph for photos of any size or, where the backbone computes with the size itself, for the size that
    the processor makes; returns whether it takes any."""
    try:
        write_graph(image, seen, image.sides, features, path)
    except torch._dynamo.exc.UserError:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in seen.items())
        logger.warning("the graph of a photo takes no other size than the processor's: %s", shapes)
        write_graph(image, seen, dict.fromkeys(seen, {}), features, path)
        return False
    return True


def example_words(vocab_size: int) -> dict[str, torch.Tensor]:
    """Three expressions of four words, with padding; and what HULANet's processor says of such words."""
    ids = torch.arange(12).reshape(3, 4) % vocab_size
    return {
        "input_ids": ids,
        "attention_mask": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]]),
        "word_roles": torch.tensor([[0, 5, 9, 11], [7, 5, 9, 11], [0, 0, 7, 5]]),
        "word_categories": torch.tensor([[-1, 0, -1, 1], [-1, 1, -1, -1], [-1, -1, -1, 0]]),
    }


def write_graph(
    module: nn.Module, inputs: dict[str, torch.Tensor], sides: dict[str, dict], outputs: list[str], path: Path
) -> None:
    """
    Args:
        inputs: an example of each input, by name.
        sides: the sides of each input that may differ from those of the example.
        outputs: names of the outputs.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    from .translations import TRANSLATIONS

    with torch.no_grad():
        program = torch.export.export(module, tuple(inputs.values()), dynamic_shapes=shapes_of(module, sides))
        written = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(inputs),
            output_names=outputs,
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
    ClearMetadataAndDocStringPass()(written.model)  # where in the code each node comes from, a quarter of the file
    written.save(path, external_data=False)


def shapes_of(module: nn.Module, sides: dict[str, dict]) -> tuple:
    """The sides as `torch.export` takes them: those of `*arguments` of a forward are one tuple among the others."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    named = sum(one.kind is not inspect.Parameter.VAR_POSITIONAL for one in parameters)
    values = list(sides.values())
    return tuple(values) if named == len(parameters) else (*values[:named], tuple(values[named:]))
