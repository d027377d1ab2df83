"""Miniature models of every system: random weights, the real architecture."""

from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.rmi.modeling_rmi import RmiForReferringSegmentation
from hf_refseg.models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig

VOCAB_SIZE = 30


def tiny_caffe_resnet_config(**kwargs) -> CaffeResNetConfig:
    return CaffeResNetConfig(**{"stem_size": 8, "hidden_sizes": [8, 16, 16, 24], "depths": [1, 2, 1, 1], **kwargs})


def tiny_vgg_fcn_config(**kwargs) -> VggFcnConfig:
    return VggFcnConfig(**{"hidden_sizes": [4, 4, 6, 6, 8], "depths": [1, 1, 1, 1, 1], "fc_size": 12, **kwargs})


def tiny_rmi(**kwargs) -> RmiForReferringSegmentation:
    """RMI for inputs of any size at stride 8."""
    sizes = {"word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 14, "hidden_size": 16}
    defaults = {"backbone_config": tiny_caffe_resnet_config(), "vocab_size": VOCAB_SIZE, **sizes}
    return RmiForReferringSegmentation(RmiConfig(**{**defaults, **kwargs})).eval()


def tiny_lstm_cnn(**kwargs) -> LstmCnnForReferringSegmentation:
    """Hu's LSTM-CNN at high resolution for inputs of multiples of 32."""
    sizes = {"word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 14, "mlp_size": 16}
    defaults = {"backbone_config": tiny_vgg_fcn_config(), "vocab_size": VOCAB_SIZE, **sizes}
    return LstmCnnForReferringSegmentation(LstmCnnConfig(**{**defaults, **kwargs})).eval()
