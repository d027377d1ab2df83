"""
transformers' own common tests as one package: theirs from the folder `TRANSFORMERS_SOURCE`.

The tests of a transformers release import a few modules that the release leaves out: `stubs` stands for all of them.
"""

import os
import sys
from pathlib import Path

import pytest
import transformers

from . import stubs

if "TRANSFORMERS_SOURCE" not in os.environ:
    pytest.skip("transformers' common tests are not here: see tests/peer/README.md", allow_module_level=True)

SOURCE = Path(os.environ["TRANSFORMERS_SOURCE"])
if f"\nVersion: {transformers.__version__}\n" not in (SOURCE / "PKG-INFO").read_text():
    raise ImportError(
        f"{SOURCE} is not the source of the installed transformers {transformers.__version__}: fetch that again"
    )
__path__.append(str(SOURCE / "tests"))
sys.modules["fetch_hub_objects_for_ci"] = stubs
for left_out in ("utils.test_configuration_utils", "generation.test_utils", "exporters.test_export"):
    sys.modules[f"{__name__}.{left_out}"] = stubs
