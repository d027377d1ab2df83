import subprocess
import sys

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import DetrConfig

import hf_refseg
from hf_refseg.models.nanodet.configuration_nanodet import NanoDetConfig

SYSTEMS = ("Cac", "HulaNet", "MAttNet", "RegionMatcher")


@pytest.mark.parametrize(
    ("system", "detector"),
    [*((system, DetrConfig()) for system in SYSTEMS), ("Cac", NanoDetConfig()), ("HulaNet", NanoDetConfig())],
)
def test_a_detector_that_a_system_cannot_use(system, detector):
    with pytest.raises(StrictDataclassError, match=f"detector_config is of '{detector.model_type}', but a refseg_mask"):
        getattr(hf_refseg, f"{system}Config")(detector_config=detector)


def test_configurations_import_no_model():
    """`import hf_refseg` imports them while transformers is imported, which has no models yet."""
    code = "import hf_refseg\nfrom transformers import Pipeline"
    subprocess.run([sys.executable, "-c", code], check=True)
