"""`import hf_refseg` is light, and the Auto classes know our classes whatever is imported first."""

import json
import subprocess
import sys

import pytest
import skimage.data
from PIL import Image

HEAVY = [
    "gradio",
    "evaluate",
    "gensim",
    "tensorflow",
    "onnx",
    "datasets",
    "timm",
    "torchvision",
    "matplotlib",
    "skimage",
    "pycocotools",
    "transformers",
]


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light():
    """Less than a second of processor time beyond torch, and nothing that only some users need."""
    report = json.loads(
        run(
            "import json, sys, time, torch; start = time.process_time(); import hf_refseg;"
            f"print(json.dumps([time.process_time() - start, [name for name in {HEAVY} if name in sys.modules]]))"
        )
    )
    assert report[1] == []
    assert report[0] < 1.0


FIRST = [
    "import hf_refseg; from transformers import AutoModel, AutoProcessor",
    "from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig",
]
# What these import beside ours is imported before, once for all: it registers nothing but configurations.
FIRST_AFTER_THE_BASE = [
    "import hf_refseg; from transformers import AutoProcessor",
    "import hf_refseg; from transformers import AutoImageProcessor",
    "from transformers import AutoModel, AutoProcessor; import hf_refseg",
    "import hf_refseg.pipelines; from transformers import AutoModel, AutoProcessor",
    "from hf_refseg import RmiForReferringSegmentation; from transformers import AutoModel, AutoProcessor",
    "from hf_refseg.models.mobilenet_v2 import modeling_mobilenet_v2; from transformers import AutoModel",
    "from hf_refseg.models.rmi.processing_rmi import RmiProcessor; from transformers import AutoModel",
    "from hf_refseg.models.caffe_resnet import modeling_caffe_resnet; from transformers import AutoModel",
    "from hf_refseg.models.mask_rcnn import modeling_mask_rcnn; from transformers import AutoModel",
    "from hf_refseg.models.mask_rcnn import image_processing_mask_rcnn; from transformers import AutoModel",
    "from hf_refseg.models.mattnet import modeling_mattnet; from transformers import AutoModel",
    "from hf_refseg.models.mattnet import processing_mattnet; from transformers import AutoModel",
]
ASK = """
from transformers import AutoBackbone, AutoModel
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.pipelines import PIPELINE_REGISTRY
from hf_refseg import LstmCnnConfig, MaskRcnnConfig, MAttNetConfig, NanoDetConfig, RmiConfig, ShuffleNetPanConfig
from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from hf_refseg.models.mobilenet_v2.configuration_mobilenet_v2 import RefSegMobileNetV2Config
from hf_refseg.models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig
for config in (MaskRcnnConfig, NanoDetConfig):
    assert config in AutoModel._model_mapping and config in IMAGE_PROCESSOR_MAPPING, config
for config in (LstmCnnConfig, MAttNetConfig, RmiConfig):
    assert config in AutoModel._model_mapping, config
    assert config in PROCESSOR_MAPPING and config in IMAGE_PROCESSOR_MAPPING, config
for config in (CaffeResNetConfig, RefSegMobileNetV2Config, ShuffleNetPanConfig, VggFcnConfig):
    assert config in AutoBackbone._model_mapping, config
assert "referring-image-segmentation" in PIPELINE_REGISTRY.get_supported_tasks()
print("registered")
"""
# One child for each, forked where only the base is imported.
FORK = """
import os, sys, torch, torchvision, transformers.modeling_utils, transformers.processing_utils
factories = ("modeling_auto", "processing_auto", "image_processing_auto")
assert not [name for name in factories if f"transformers.models.auto.{name}" in sys.modules]
assert "transformers.pipelines" not in sys.modules and "hf_refseg" not in sys.modules
for imports in %r:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        exec(imports + %r, {})
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, imports
"""


@pytest.mark.parametrize("imports", FIRST)
def test_registered_whatever_comes_first(imports):
    assert run(imports + ASK) == "registered\n"


def test_registered_whatever_comes_first_once_the_base_is_imported():
    assert run(FORK % (FIRST_AFTER_THE_BASE, ASK)) == "registered\n" * len(FIRST_AFTER_THE_BASE)


@pytest.mark.slow
def test_the_command_line_needs_nothing_that_was_imported_before(tmp_path):
    """As in a shell: the default model, in a process of its own."""
    photo = tmp_path / "cat.png"
    Image.fromarray(skimage.data.chelsea()).save(photo)
    report = run(
        f"import sys; assert not [name for name in {HEAVY} if name in sys.modules]; from hf_refseg.cli import main;"
        f"sys.exit(main(['segment', {str(photo)!r}, 'the cat', '--json']))"
    )
    (answer,) = json.loads(report)
    assert answer["area"] > 0


def test_public_names_load():
    import hf_refseg

    assert all(getattr(hf_refseg, name) for name in hf_refseg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Rim'"):
        hf_refseg.Rim  # noqa: B018
