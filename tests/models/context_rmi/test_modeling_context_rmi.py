"""What we added to RMI; the contract of all systems is tested with it switched on."""

import math

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoProcessor

from hf_refseg.models.context_rmi.configuration_context_rmi import ContextRmiConfig
from hf_refseg.models.context_rmi.modeling_context_rmi import (
    ContextRmiForReferringSegmentation,
    dice_and_cross_entropy,
)
from hf_refseg.models.context_rmi.processing_context_rmi import ContextRmiProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.models.model_tester import ModelTester
from tests.tiny import tiny_caffe_resnet_config, tiny_context_rmi


class TestContextRmi(ModelTester):
    def make_model(self, **kwargs):
        return tiny_context_rmi(**kwargs)

    def test_masks_have_the_stride_of_the_detail_map(self, model, inputs):
        output = model(**{**inputs, "pixel_values": torch.randn(2, 3, 64, 48)})
        assert output.grid_logits.shape == (3, 16, 12)  # stride 4, where the last map has stride 8
        assert output.logits.shape == (3, 64, 48)

    @torch.no_grad()
    def test_without_a_detail_map_masks_have_the_stride_of_the_words(self, inputs):
        assert tiny_context_rmi(detail_size=0)(**inputs).grid_logits.shape == (3, 8, 8)

    @torch.no_grad()
    def test_a_word_acts_on_the_cells_that_look_like_it(self, model, inputs):
        """The explanation is of what the cells read: without similarity it would differ by nothing but position."""
        features, text = model.get_image_features(**inputs), model.get_text_features(**inputs)
        words = model.words_in_cells(features, text, inputs["image_index"])
        for row, image in enumerate(inputs["image_index"].tolist()):
            embedding = model.word_embeddings.weight[inputs["input_ids"][row, 3]]
            similarity = (features.visual[image] * embedding[:, None, None]).sum(0)  # (V, h, w) -> (h, w)
            gates = (
                text.word_gates[row, 3][:, None, None]
                + model.multimodal_lstm.similarity_gates.weight[:, 0] * similarity
            )
            torch.testing.assert_close(words.at(torch.tensor([row]), torch.tensor([3]))[0], gates)


def test_loss_at_the_size_of_the_input_sees_every_pixel():
    torch.manual_seed(0)
    grid, full = tiny_context_rmi(loss="sum_over_cells"), tiny_context_rmi(loss="sum_over_cells", loss_size="input")
    full.load_state_dict(grid.state_dict())
    pixels, words, labels = torch.randn(1, 3, 64, 64), torch.tensor([[3, 4]]), torch.zeros(1, 64, 64)
    output = full(pixels, words, labels=labels)
    expected = F.softplus(output.logits).sum()  # cross-entropy with an empty mask
    torch.testing.assert_close(output.loss, expected)
    labels[:, 1, 1] = 1  # between the pixels that the grid's target is made of
    assert grid(pixels, words, labels=labels).loss == grid(pixels, words, labels=torch.zeros(1, 64, 64)).loss
    torch.testing.assert_close(full(pixels, words, labels=labels).loss, expected - output.logits[0, 1, 1])


def test_the_default_loss_is_dice_and_cross_entropy_in_float32():
    model, labels = tiny_context_rmi().bfloat16(), torch.ones(1, 64, 64)
    output = model(torch.randn(1, 3, 64, 64), torch.tensor([[3, 4]]), labels=labels)
    assert output.loss.dtype == torch.float32
    assert output.loss == dice_and_cross_entropy(output.grid_logits.float(), torch.ones(1, 16, 16))


def test_dice_is_of_each_expression():
    logits = [[[0.5, -2.0], [3.0, 0.0]], [[-1.0, 4.0], [0.25, -0.5]]]
    target = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]
    expected = 0.0
    for masks in zip(logits, target, strict=True):
        (p, y) = (sum(rows, []) for rows in masks)
        p = [1 / (1 + math.exp(-value)) for value in p]
        expected -= sum(math.log(a if b else 1 - a) for a, b in zip(p, y, strict=True)) / 8
        overlap = sum(a * b for a, b in zip(p, y, strict=True))
        expected += (1 - (2 * overlap + 1) / (sum(p) + sum(y) + 1)) / 2
    loss = dice_and_cross_entropy(torch.tensor(logits), torch.tensor(target))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_dice_of_an_empty_mask_is_finite_and_falls_with_what_is_painted():
    nothing = torch.zeros(1, 4, 4)
    painted = [dice_and_cross_entropy(torch.full((1, 4, 4), logit), nothing).item() for logit in (-20.0, -2.0, 2.0)]
    assert painted[0] == pytest.approx(0, abs=1e-6) and painted == sorted(painted)


def test_defaults_are_those_of_the_shipped_checkpoint():
    with torch.device("meta"):
        model = ContextRmiForReferringSegmentation(ContextRmiConfig())
    shipped = ContextRmiConfig.from_pretrained("src/hf_refseg/checkpoints/refseg-photos-rmi")
    with torch.device("meta"):
        expected = ContextRmiForReferringSegmentation(shipped).state_dict()
    assert {name: t.shape for name, t in model.state_dict().items()} == {name: t.shape for name, t in expected.items()}


def test_its_processor_is_found_in_the_folder(tmp_path):
    tiny_context_rmi().save_pretrained(tmp_path)
    ContextRmiProcessor(tokenizer=tokenizer_from_sentences(["a dog"])).save_pretrained(tmp_path)
    assert type(AutoProcessor.from_pretrained(tmp_path)) is ContextRmiProcessor


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(StrictDataclassError, match="visual_size is 7, word_embedding_size 10"):
        ContextRmiConfig(word_embedding_size=10, visual_size=7)
    with pytest.raises(StrictDataclassError, match="num_trained_words is 30, but there are only vocab_size=20 words"):
        ContextRmiConfig(vocab_size=20, num_trained_words=30)
    with pytest.raises(ValueError, match="detail_size=6 needs a feature map of smaller stride"):
        tiny_context_rmi(backbone_config=tiny_caffe_resnet_config())
