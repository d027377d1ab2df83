import pytest
import torch

from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.region_matcher.processing_region_matcher import RegionMatcherProcessor
from hf_refseg.models.region_matcher.training_region_matcher import set_word_vectors, word_tokenizer
from hf_refseg.processing.word_table import load_word_table
from hf_refseg.training.sections import VocabularySection
from tests.tiny import tiny_nanodet, tiny_region_matcher

from .two_dogs import NAMES


@pytest.fixture(scope="module")
def parts():
    """A tiny model over a detector of the categories of `two_dogs`, and its processor, with words of the table."""
    torch.manual_seed(0)
    vectors = load_word_table()
    words, trained = word_tokenizer(VocabularySection(), ["right dog", "both dogs", "the zzqx"], vectors, 300, 10)
    detector = tiny_nanodet(score_threshold=0.3, **NAMES)
    model = tiny_region_matcher(
        detector_config=detector.config, vocab_size=300, num_trained_words=trained, word_size=50
    )
    model.detector.load_state_dict(detector.state_dict())
    set_word_vectors(model, words, vectors)
    return model.eval(), RegionMatcherProcessor(
        NanoDetImageProcessor(size={"longest_edge": 64, "shortest_edge": 64}), words
    )
