"""Models and processors of converted weights, written into new folders that appear only once they are complete."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

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


def require_new(output: str | Path) -> None:
    """
    Raises:
        FileExistsError: the folder to be written is there already.
        NotADirectoryError: it would lie in a file.
    """
    if os.path.lexists(output):  # a link to nothing would be in the way, too
        raise FileExistsError(f"{output} exists: choose a new folder, or remove it first")
    there = next(parent for parent in Path(output).absolute().parents if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{output} can't be made: {there} is a file; name a folder that lies in no file")


def write_folder(parts: list, output: str | Path) -> Path:
    """Write what has a `save_pretrained` into a new folder, which appears only once it is complete."""
    output = Path(output)
    require_new(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        for part in parts:
            part.save_pretrained(Path(folder) / output.name)
        (Path(folder) / output.name).rename(output)
    return output
