"""Folders of miniature models of every system, and one photo with expressions about it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hf_refseg.models.cac.processing_cac import CacProcessor
from hf_refseg.models.context_rmi.processing_context_rmi import ContextRmiProcessor
from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from hf_refseg.models.lstm_cnn.image_processing_lstm_cnn import LstmCnnImageProcessor
from hf_refseg.models.lstm_cnn.processing_lstm_cnn import LstmCnnProcessor
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mattnet.processing_mattnet import MAttNetProcessor
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.region_matcher.processing_region_matcher import RegionMatcherProcessor
from hf_refseg.models.rmi.image_processing_rmi import RmiImageProcessor
from hf_refseg.models.rmi.processing_rmi import RmiProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import (
    tiny_cac,
    tiny_context_rmi,
    tiny_hulanet,
    tiny_lstm_cnn,
    tiny_mask_rcnn,
    tiny_mattnet,
    tiny_nanodet,
    tiny_region_matcher,
    tiny_rmi,
)

SENTENCES = ["the red dog on the left", "a cat", "dog"]
TEXTS = ["the red dog", "a cat on the left"]
CATEGORIES = ["dog", "cat", "hat", "man", "cup"]


def write_photo(path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def write_checkpoints(root: Path, *families: str) -> dict[str, Path]:
    """The folder of each of these families, or of MAttNet over NanoDet, below `root`."""
    torch.manual_seed(0)
    words = tokenizer_from_sentences(SENTENCES)
    phrases = phrase_tokenizer_from_sentences(SENTENCES)
    detector_images = MaskRcnnImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    right = tokenizer_from_sentences(SENTENCES, padding_side="right")
    canvas = {"height": 64, "width": 64}
    vocabulary = [word for word, _ in sorted(words.get_vocab().items(), key=lambda item: item[1])]
    split = MAttNetProcessor.tokenizer_from_vocabulary(vocabulary)
    other_images = NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    parts = {
        "rmi": (tiny_rmi(vocab_size=len(words)), RmiProcessor(RmiImageProcessor(size=canvas), words)),
        "context_rmi": (
            tiny_context_rmi(vocab_size=len(words)),
            ContextRmiProcessor(RmiImageProcessor(size=canvas), words),
        ),
        "lstm_cnn": (tiny_lstm_cnn(vocab_size=len(words)), LstmCnnProcessor(LstmCnnImageProcessor(size=canvas), words)),
        "mask_rcnn": (tiny_mask_rcnn(score_threshold=0.01), detector_images),
        "nanodet": (tiny_nanodet(), other_images),
        "region_matcher": (
            tiny_region_matcher(vocab_size=len(right), num_trained_words=5),
            RegionMatcherProcessor(other_images, right),
        ),
        "mattnet": (tiny_mattnet(vocab_size=len(split)), MAttNetProcessor(detector_images, split)),
        "cac": (tiny_cac(vocab_size=len(split)), CacProcessor(detector_images, split, categories=CATEGORIES)),
        "hulanet": (tiny_hulanet(vocab_size=len(phrases)), HulaNetProcessor(detector_images, phrases)),
        "mattnet_nanodet": (
            tiny_mattnet(vocab_size=len(split), detector_config=tiny_nanodet().config, grid_size=6, region_size=8),
            MAttNetProcessor(other_images, split),
        ),
    }
    for family in families:
        model, processor = parts[family]
        for name, parameter in model.named_parameters():
            if name.endswith("mask_logits.bias"):  # untrained masks lie at the threshold, and may be empty
                torch.nn.init.ones_(parameter)
        model.save_pretrained(root / family)
        processor.save_pretrained(root / family)
    return {family: root / family for family in families}
