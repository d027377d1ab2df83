"""Models and processors of converted weights, written into new folders that appear only once they are complete."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..writing import new_folder, require_new

if TYPE_CHECKING:  # it takes seconds, and bundles and publishing need none of it
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin


def build_model(
    model_class: "type[PreTrainedModel]", config: "PreTrainedConfig", state_dict: dict[str, torch.Tensor]
) -> "PreTrainedModel":
    """A model in eval mode that holds exactly these tensors; shapes and names must fit one for one."""
    with torch.device("meta"):
        model = model_class(config)
    model.load_state_dict(state_dict, strict=True, assign=True)
    return model.eval()


def save_converted(
    model: "PreTrainedModel", processor: "ProcessorMixin", vocabulary: str | Path, output: str | Path
) -> Path:
    """
    Write model and processor into a new folder, which appears only once it is complete.

    Args:
        vocabulary: the file the processor's tokenizer was made from.

    Raises:
        FileExistsError: the folder exists.
        ValueError: the vocabulary has another number of lines than the embedding has rows.
    """
    require_new(output)
    lines, rows = len(processor.tokenizer), model.config.vocab_size
    if lines != rows:
        raise ValueError(
            f"{vocabulary} has {lines} lines and the checkpoint's embedding {rows} rows: it is not this "
            "checkpoint's vocabulary (ReferIt has 8803 words; Google's RefCOCOg, UNC and UNC+ 12112)"
        )
    return write_folder([model, processor], output)


def write_folder(parts: list, output: str | Path) -> Path:
    """Write what has a `save_pretrained` into a new folder, which appears only once it is complete."""
    with new_folder(output, "conversion") as folder:
        for part in parts:
            part.save_pretrained(folder)
    return Path(output)
