"""From official files to Parquet: `datasets` builders, and the command line of the scripts in dataset_scripts/."""

import importlib

# Imported when first used: the builders pull in `datasets`.
_MODULE_OF = {
    "BuildOptions": "building",
    "CountsDifferError": "building",
    "PictureBuilder": "referring",
    "ReferringBuilder": "referring",
    "build": "building",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
