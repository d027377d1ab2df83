"""`import hf_refseg` is light, and the Auto classes know our classes whatever is imported first."""

import json
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    "imports",
    [
        "import hf_refseg; from transformers import AutoModel, AutoProcessor",
        "import hf_refseg; from transformers import AutoProcessor",
        "import hf_refseg; from transformers import AutoImageProcessor",
        "from transformers import AutoModel, AutoProcessor; import hf_refseg",
        "import hf_refseg.pipeline; from transformers import AutoModel, AutoProcessor",
        "from hf_refseg import RmiForReferringSegmentation; from transformers import AutoModel, AutoProcessor",
        "from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig",
        "from hf_refseg.models.mobilenet_v2 import modeling_mobilenet_v2; from transformers import AutoModel",
        "from hf_refseg.models.rmi.processing_rmi import RmiProcessor; from transformers import AutoModel",
    ],
)
def test_registered_whatever_comes_first(imports):
    output = run(
        f"{imports}\n"
        "from transformers import AutoBackbone, AutoModel\n"
        "from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING\n"
        "from transformers.models.auto.processing_auto import PROCESSOR_MAPPING\n"
        "from transformers.pipelines import PIPELINE_REGISTRY\n"
        "from hf_refseg import LstmCnnConfig, RmiConfig\n"
        "from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig\n"
        "from hf_refseg.models.mobilenet_v2.configuration_mobilenet_v2 import RefSegMobileNetV2Config\n"
        "from hf_refseg.models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig\n"
        "backbones = [CaffeResNetConfig, RefSegMobileNetV2Config, VggFcnConfig]\n"
        "for config in (LstmCnnConfig, RmiConfig):\n"
        "    print(config in AutoModel._model_mapping)\n"
        "    print(config in PROCESSOR_MAPPING, config in IMAGE_PROCESSOR_MAPPING)\n"
        "print(all(config in AutoBackbone._model_mapping for config in backbones))\n"
        "print('referring-image-segmentation' in PIPELINE_REGISTRY.get_supported_tasks())"
    )
    assert output.split() == ["True"] * 8


def test_public_names_load():
    run("import hf_refseg; [getattr(hf_refseg, name) for name in hf_refseg.__all__]")
    with pytest.raises(AttributeError, match="no attribute 'Rim'"):
        import hf_refseg

        hf_refseg.Rim  # noqa: B018
