"""Data sets of referring expressions in one schema, and the collator that turns their rows into model inputs."""

import importlib

# Imported when first used: `import hf_refseg` must not pull in pycocotools or torch for somebody who wants a config.
_MODULE_OF = {
    "DATASETS": "catalogue",
    "DatasetRows": "stored",
    "HeldRows": "rows",
    "ImageReferences": "image_references",
    "RefShapes": "refshapes",
    "ReferFolder": "refer",
    "ReferringSegmentationCollator": "collator",
    "ReferringRows": "rows",
    "StreamedRows": "streams",
    "box_from_mask": "schema",
    "decode_mask": "schema",
    "encode_mask": "schema",
    "flip_row": "augment",
    "load": "loading",
    "load_coco_images": "coco_images",
    "load_grefcoco_folder": "grefcoco",
    "load_phrasecut": "phrasecut",
    "load_refer_folder": "refer",
    "load_referit": "referit",
    "load_triples": "triples",
    "refuse_leaks": "leaks",
    "row_features": "schema",
    "rows_from_triples": "triples",
    "seen_images": "leaks",
    "swap_left_right": "augment",
    "union_masks": "schema",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
