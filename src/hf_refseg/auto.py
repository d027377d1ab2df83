"""Every system by its configuration: the tables behind the Auto classes, and our own Auto class."""

from collections import OrderedDict

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

BACKBONES = {
    CaffeResNetConfig: CaffeResNetBackbone,
    VggFcnConfig: VggFcnBackbone,
    RefSegMobileNetV2Config: RefSegMobileNetV2Backbone,
}
MODELS = {
    LstmCnnConfig: LstmCnnForReferringSegmentation,
    RmiConfig: RmiForReferringSegmentation,
}
PROCESSORS = {
    LstmCnnConfig: (LstmCnnProcessor, LstmCnnImageProcessor),
    RmiConfig: (RmiProcessor, RmiImageProcessor),
}


class AutoModelForReferringSegmentation(_BaseAutoModelClass):
    """Loads any of the package's systems, and nothing else, by its configuration."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())


for _config, _model in MODELS.items():
    AutoModelForReferringSegmentation.register(_config, _model, exist_ok=True)
