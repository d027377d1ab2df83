import json

import numpy as np
import pytest
import torch

from hf_refseg.data import RefShapes
from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.threshold_hulanet import CANDIDATES, MeanIouSearch, main, search_threshold
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from tests.tiny import tiny_hulanet

ROWS = RefShapes("val", dialect="phrasecut", size=48, num_samples=3)


def test_search_is_that_of_every_threshold_by_itself():
    rng = np.random.default_rng(0)
    search, expected = MeanIouSearch(), np.zeros(len(CANDIDATES))
    for _ in range(5):
        target = rng.random((9, 11)) > 0.6
        probabilities = np.clip(0.5 * target + 0.6 * rng.random((9, 11)), 0, 1)
        probabilities[0, :3] = (0.05, 0.5, 0.95)  # at a threshold is not above it
        search.add(probabilities, target)
        for place, threshold in enumerate(CANDIDATES):
            mask = probabilities > threshold
            expected[place] += (mask & target).sum() / max((mask | target).sum(), 1) / 5
    threshold, mean_iou = search.compute()
    np.testing.assert_allclose(search.sums / 5, expected)
    assert threshold == CANDIDATES[expected.argmax()] and mean_iou == pytest.approx(expected.max())


def test_without_answers_there_is_nothing_to_search():
    with pytest.raises(ValueError, match="no answer was added"):
        MeanIouSearch().compute()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("hulanet")
    torch.manual_seed(0)
    tokenizer = phrase_tokenizer_from_sentences(RefShapes.vocabulary("phrasecut"))
    image_processor = MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80})
    HulaNetProcessor(image_processor, tokenizer).save_pretrained(folder)
    tiny_hulanet(vocab_size=len(tokenizer)).save_pretrained(folder)
    return str(folder)


def test_threshold_is_written_into_the_configuration(folder):
    arguments = [folder, "--dataset", "refshapes/phrasecut", "--limit", "2"]
    main(arguments)
    config = json.loads(open(f"{folder}/config.json").read())
    assert config["mask_threshold"] in CANDIDATES
    main([*arguments, "--rule", "share", "--share", "0.3"])
    assert json.loads(open(f"{folder}/config.json").read())["mask_threshold"] != config["mask_threshold"]


def test_share_of_pixels_above_the_threshold(folder):
    model = tiny_hulanet().from_pretrained(folder).eval()
    processor = HulaNetProcessor.from_pretrained(folder)
    model.config.mask_threshold = 0.7
    threshold = search_threshold(model, processor, ROWS, rule="share", share=0.25)
    assert model.config.mask_threshold == 0.7, "the model is left as it is"
    model.config.mask_threshold = 0.5
    shares = []
    for row in ROWS:
        inputs = processor(
            **{name: value for name, value in processor.row_inputs(row).items() if name != "segmentation_maps"}
        )
        with torch.no_grad():
            outputs = model(**inputs)
        shares.append(float((processor.draw_mask(outputs, 0, (48, 48), 0.5, "clean")[1] > threshold).float().mean()))
    assert np.mean(shares) == pytest.approx(0.25, abs=0.02)


def test_unknown_rules_are_refused(folder):
    with pytest.raises(ValueError, match="unknown rule 'best'"):
        search_threshold(None, None, ROWS, rule="best")
