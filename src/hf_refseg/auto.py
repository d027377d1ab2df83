"""Registration of every class with transformers' Auto factories."""

from collections import OrderedDict

from transformers import AutoBackbone, AutoImageProcessor, AutoModel, AutoProcessor
from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping

from .models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from .models.caffe_resnet.modeling_caffe_resnet import CaffeResNetBackbone
from .models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from .models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from .models.lstm_cnn.processing_lstm_cnn import LstmCnnImageProcessor, LstmCnnProcessor
from .models.mobilenet_v2.configuration_mobilenet_v2 import RefSegMobileNetV2Config
from .models.mobilenet_v2.modeling_mobilenet_v2 import RefSegMobileNetV2Backbone
from .models.rmi.configuration_rmi import RmiConfig
from .models.rmi.modeling_rmi import RmiForReferringSegmentation
from .models.rmi.processing_rmi import RmiImageProcessor, RmiProcessor
from .models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig
from .models.vgg_fcn.modeling_vgg_fcn import VggFcnBackbone


class AutoModelForReferringSegmentation(_BaseAutoModelClass):
    """Loads any of the package's systems by its configuration."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())


def register():
    AutoBackbone.register(CaffeResNetConfig, CaffeResNetBackbone, exist_ok=True)
    AutoBackbone.register(VggFcnConfig, VggFcnBackbone, exist_ok=True)
    AutoBackbone.register(RefSegMobileNetV2Config, RefSegMobileNetV2Backbone, exist_ok=True)
    for config, model in ((RmiConfig, RmiForReferringSegmentation), (LstmCnnConfig, LstmCnnForReferringSegmentation)):
        AutoModel.register(config, model, exist_ok=True)
        AutoModelForReferringSegmentation.register(config, model, exist_ok=True)
    for config, processor, image_processor in (
        (RmiConfig, RmiProcessor, RmiImageProcessor),
        (LstmCnnConfig, LstmCnnProcessor, LstmCnnImageProcessor),
    ):
        AutoProcessor.register(config, processor, exist_ok=True)
        AutoImageProcessor.register(config, image_processor_classes={"torchvision": image_processor}, exist_ok=True)
