"""Miniature models of every system: random weights, the real architecture."""

import torch

from hf_refseg.layers.regions import Regions
from hf_refseg.models.cac.configuration_cac import CacConfig
from hf_refseg.models.cac.modeling_cac import CacForReferringSegmentation
from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from hf_refseg.models.context_rmi.configuration_context_rmi import ContextRmiConfig
from hf_refseg.models.context_rmi.modeling_context_rmi import ContextRmiForReferringSegmentation
from hf_refseg.models.hulanet.configuration_hulanet import HulaNetConfig
from hf_refseg.models.hulanet.modeling_hulanet import HulaNetForReferringSegmentation
from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from hf_refseg.models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from hf_refseg.models.nanodet.configuration_nanodet import FEATURES, NanoDetConfig
from hf_refseg.models.nanodet.modeling_nanodet import NanoDetForInstanceSegmentation
from hf_refseg.models.region_matcher.configuration_region_matcher import RegionMatcherConfig
from hf_refseg.models.region_matcher.modeling_region_matcher import RegionMatcherForReferringSegmentation
from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.rmi.modeling_rmi import RmiForReferringSegmentation
from hf_refseg.models.shufflenet_pan.configuration_shufflenet_pan import ShuffleNetPanConfig
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


def tiny_context_rmi(**kwargs) -> ContextRmiForReferringSegmentation:
    """RMI with context for inputs of any size, words at stride 8 and masks at stride 4."""
    sizes = {"word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 10, "hidden_size": 16}
    sizes |= {"context_size": 8, "detail_size": 6, "vocab_size": VOCAB_SIZE}
    backbone = tiny_caffe_resnet_config(out_features=["stage1", "stage4"])
    return ContextRmiForReferringSegmentation(
        ContextRmiConfig(**{"backbone_config": backbone, **sizes, **kwargs})
    ).eval()


def tiny_lstm_cnn(**kwargs) -> LstmCnnForReferringSegmentation:
    """Hu's LSTM-CNN at high resolution for inputs of multiples of 32."""
    sizes = {"word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 14, "mlp_size": 16}
    defaults = {"backbone_config": tiny_vgg_fcn_config(), "vocab_size": VOCAB_SIZE, **sizes}
    return LstmCnnForReferringSegmentation(LstmCnnConfig(**{**defaults, **kwargs})).eval()


def tiny_mask_rcnn_config(**kwargs) -> MaskRcnnConfig:
    # 16 channels at least: oneDNN's backward of a 1x1 convolution of stride 2 over fewer, channels last, writes beyond
    # its memory (PyTorch 2.14.1, two threads or more).
    backbone = {"stem_size": 8, "hidden_sizes": [16, 16, 16], "depths": [1, 1, 1], "padding": "symmetric"}
    sizes = {"head_depth": 1, "head_size": 24, "mask_hidden_size": 8, "rpn_hidden_size": 12}
    numbers = {"anchor_scales": [1, 2], "pre_nms_top_n": 60, "post_nms_top_n": 20, "num_labels": 5}
    training = {"train_pre_nms_top_n": 60, "train_post_nms_top_n": 30, "rpn_batch_size": 32, "roi_batch_size": 16}
    backbone_config = CaffeResNetConfig(**backbone, output_stride=16, batch_norm_eps=1e-5)
    return MaskRcnnConfig(**{"backbone_config": backbone_config, **sizes, **numbers, **training, **kwargs})


def tiny_mask_rcnn(**kwargs) -> MaskRcnnForInstanceSegmentation:
    """The detector for inputs of any size at stride 16."""
    return MaskRcnnForInstanceSegmentation(tiny_mask_rcnn_config(**kwargs)).eval()


def tiny_shufflenet_pan_config(**kwargs) -> ShuffleNetPanConfig:
    sizes = {"stem_size": 8, "hidden_sizes": [8, 12, 16], "depths": [2, 3, 2], "pyramid_size": 8}
    return ShuffleNetPanConfig(**{**sizes, **kwargs})


def tiny_nanodet(**kwargs) -> NanoDetForInstanceSegmentation:
    """NanoDet for inputs of any size, whose points differ more than those of a new head."""
    sizes = {"mask_hidden_size": 8, "detail_size": 4, "crop_size": 6, "num_labels": 5, "score_threshold": 0.01}
    defaults = {"backbone_config": tiny_shufflenet_pan_config(out_features=list(FEATURES)), **sizes}
    model = NanoDetForInstanceSegmentation(NanoDetConfig(**{**defaults, **kwargs})).eval()
    for head in model.heads:
        torch.nn.init.normal_(head.predictions.weight, std=0.2)
    return model


def tiny_region_matcher(**kwargs) -> RegionMatcherForReferringSegmentation:
    """The region matcher over NanoDet, whose words 12 to 29 have a fixed vector only."""
    detector_config = kwargs.pop("detector_config", None) or tiny_nanodet().config
    sizes = {"word_size": 6, "hidden_size": 8, "matching_size": 10, "pair_size": 5, "mask_size": 24}
    words = {"vocab_size": VOCAB_SIZE, "num_trained_words": 12}
    config = RegionMatcherConfig(**{"detector_config": detector_config, **words, **sizes, **kwargs})
    model = RegionMatcherForReferringSegmentation(config).eval()
    model.matching.reader.vectors.set_fixed(torch.randn(config.vocab_size, config.word_size))
    torch.nn.init.constant_(model.matching.nothing[-1].bias, -20.0)  # it always finds something
    return model


def tiny_mattnet_config(**kwargs) -> MAttNetConfig:
    sizes = {
        "word_embedding_size": 10,
        "word_vec_size": 10,
        "hidden_size": 12,
        "matching_size": 14,
        "num_attributes": 6,
    }
    defaults = {
        "detector_config": tiny_mask_rcnn_config(),
        "vocab_size": VOCAB_SIZE,
        "region_size": 16,
        "head_size": 24,
    }
    return MAttNetConfig(**{**defaults, **sizes, **kwargs})


def tiny_mattnet(**kwargs) -> MAttNetForReferringSegmentation:
    return MAttNetForReferringSegmentation(tiny_mattnet_config(**kwargs)).eval()


def tiny_cac_config(**kwargs) -> CacConfig:
    words = {"vocab_size": VOCAB_SIZE, "word_embedding_size": 10, "word_vec_size": 11, "hidden_size": 12}
    captions = {"caption_word_size": 9, "caption_hidden_size": 8, "caption_attention_size": 7, "caption_grid_size": 3}
    return CacConfig(**{"detector_config": tiny_mask_rcnn_config(), **words, **captions, **kwargs})


def tiny_cac(**kwargs) -> CacForReferringSegmentation:
    return CacForReferringSegmentation(tiny_cac_config(**kwargs)).eval()


def tiny_matching_config(**kwargs) -> MAttNetConfig:
    """MAttNet's matching for regions of 6 channels, 8 in the detector's head, on grids of 3 x 3."""
    sizes = {"word_embedding_size": 10, "word_vec_size": 12, "hidden_size": 14, "matching_size": 16}
    regions = {"region_size": 6, "head_size": 8, "grid_size": 3, "num_attributes": 4}
    detector = tiny_mask_rcnn_config(head_size=8, crop_size=3)
    return MAttNetConfig(**{"vocab_size": VOCAB_SIZE, "detector_config": detector, **sizes, **regions, **kwargs})


def tiny_regions(*counts: int, seed: int = 0) -> dict:
    """Arguments of `MAttNetMatching.encode_regions` for images with so many regions each."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(counts)
    corners = torch.randint(0, 200, (total, 2), generator=generator)
    sides = torch.randint(10, 100, (total, 2), generator=generator)
    boxes = torch.cat([corners, corners + sides], -1).double()
    return {
        "regions": Regions(boxes, counts, torch.randint(1, 4, (total,), generator=generator)),
        "crops": torch.rand(total, 6, 3, 3, generator=generator),
        "head_maps": torch.rand(total, 8, 3, 3, generator=generator),
        "image_sizes": torch.tensor([[300, 320]]).expand(len(counts), -1),
    }


def tiny_hulanet_config(**kwargs) -> HulaNetConfig:
    sizes = {
        "word_embedding_size": 10,
        "hidden_size": 8,
        "attention_size": 12,
        "num_attributes": 6,
        "region_size": 40,
        "attribute_size": 14,
        "attributes_per_detection": 3,
        "relation_grid": 8,
        "relation_size": 4,
        "relation_kernel": 3,
    }
    detector = tiny_mask_rcnn_config(score_threshold=0.01)
    return HulaNetConfig(**{"detector_config": detector, "vocab_size": VOCAB_SIZE, "dropout": 0.0, **sizes, **kwargs})


def tiny_hulanet(**kwargs) -> HulaNetForReferringSegmentation:
    return HulaNetForReferringSegmentation(tiny_hulanet_config(**kwargs)).eval()
