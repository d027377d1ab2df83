"""
Loads every bundle below a folder, and keeps what each answers. Run by test_bundle.py, in a process of its own.

    python fresh_process.py ROOT with-package|without-package

Without the package `hf_refseg` cannot be imported, as on a machine where it is not installed, and the flag is given;
with it the flag is not. Nobody answers prompts. The process without loads what the one with has saved again.
"""

import builtins
import json
import sys
from pathlib import Path

DETECTORS = ("mask_rcnn", "nanodet")  # they read no words
TEXTS = ["the red dog", "a cat on the left"]
# What the Hub prints for library_name transformers and these pipeline tags, as it prints it.
SNIPPET = """
from transformers import pipeline
pipe = pipeline("image-segmentation", model="{name}", trust_remote_code=True)
other = pipeline("mask-generation", model="{name}", trust_remote_code=True)
from transformers import {processor}, AutoModel
processor = {processor}.from_pretrained("{name}", trust_remote_code=True)
model = AutoModel.from_pretrained("{name}", trust_remote_code=True, dtype="auto")
"""


class NotInstalled:
    """A finder that knows of no `hf_refseg`."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "hf_refseg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def no_prompt(question=""):
    raise AssertionError(f"asked: {question}")


def load_all(root: Path, mode: str) -> None:
    """Every bundle of `root/bundles`: what it answers goes to `root/mode/<family>*.npz`, saved again to `again/`."""
    import numpy as np
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoProcessor, pipeline

    photo, flag = str(root / "photo.png"), {"trust_remote_code": True} if mode == "without-package" else {}

    def texts_for(family: str) -> list:
        return [] if family in DETECTORS else [TEXTS]

    def answers_of(model, processor, family: str) -> dict[str, np.ndarray]:
        """Every tensor of a forward."""
        inputs = processor(photo, *texts_for(family), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        return {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}

    def masks_of(pipe, family: str) -> np.ndarray:
        return np.stack([np.asarray(answer["mask"]) for answer in pipe(photo, *texts_for(family))])

    def keep(name: str, arrays: dict[str, np.ndarray]) -> None:
        np.savez(root / mode / f"{name}.npz", **arrays)

    def load(folder: Path, family: str):
        auto = AutoImageProcessor if family in DETECTORS else AutoProcessor
        return AutoModel.from_pretrained(folder, **flag), auto.from_pretrained(folder, **flag)

    (root / mode).mkdir()
    for folder in sorted((root / "bundles").iterdir()):
        family = folder.name
        model, processor = load(folder, family)
        package = type(model).__module__.split(".")[0]
        assert package == ("transformers_modules" if flag else "hf_refseg"), package
        keep(family, answers_of(model, processor, family))
        if family not in DETECTORS:
            saved = json.loads((folder / "processor_config.json").read_text())["image_processor"][
                "image_processor_type"
            ]
            assert type(processor.image_processor).__name__ == saved
            pipe = pipeline("referring-image-segmentation", model=str(folder), device="cpu", **flag)
            keep(f"{family}-pipeline", {"masks": masks_of(pipe, family)})

        scope = {}
        auto = "AutoImageProcessor" if family in DETECTORS else "AutoProcessor"
        exec(SNIPPET.format(name=folder, processor=auto), scope)
        masks = masks_of(scope["pipe"], family)
        keep(f"{family}-snippet", {"masks": masks})
        assert np.array_equal(masks_of(scope["other"], family), masks)
        assert type(scope["model"]) is type(model) and type(scope["processor"]) is type(processor)

        again = root / mode / "again" / family
        model.save_pretrained(again)
        processor.save_pretrained(again)
        keep(f"{family}-again", answers_of(*load(again, family), family))
        other = root / "with-package" / "again" / family
        if other != again:
            keep(f"{family}-other", answers_of(*load(other, family), family))


if __name__ == "__main__":
    builtins.input = no_prompt
    if sys.argv[2] == "without-package":
        sys.meta_path.insert(0, NotInstalled())
    else:
        import hf_refseg  # noqa: F401  (registers everything)
    load_all(Path(sys.argv[1]), sys.argv[2])
