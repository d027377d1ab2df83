"""Miniature models of every system: random weights, the real architecture."""

import torch

from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
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


def tiny_mattnet_config(**kwargs) -> MAttNetConfig:
    """MAttNet without a detector, for regions of 6 channels, 8 in the detector's head, on grids of 3 x 3."""
    sizes = {"word_embedding_size": 10, "word_vec_size": 12, "hidden_size": 14, "matching_size": 16}
    regions = {"region_size": 6, "head_size": 8, "grid_size": 3, "num_attributes": 4}
    return MAttNetConfig(**{"vocab_size": VOCAB_SIZE, **sizes, **regions, **kwargs})


def tiny_regions(*counts: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Arguments of `MAttNetMatching.encode_regions` for images with so many regions each."""
    generator = torch.Generator().manual_seed(seed)
    total, width = sum(counts), max(counts)
    corners = torch.randint(0, 200, (len(counts), width, 2), generator=generator)
    sides = torch.randint(10, 100, (len(counts), width, 2), generator=generator)
    return {
        "region_maps": torch.rand(total, 6, 3, 3, generator=generator),
        "head_maps": torch.rand(total, 8, 3, 3, generator=generator),
        "boxes": torch.cat([corners, sides], -1).double(),
        "categories": torch.randint(1, 4, (len(counts), width), generator=generator),
        "region_mask": torch.arange(width)[None] < torch.tensor(counts)[:, None],
        "image_sizes": torch.tensor([[300, 320]]).expand(len(counts), -1),
    }
