import pytest
import torch
import torch.nn.functional as F

from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from tests.models.model_tester import ModelTester
from tests.tiny import tiny_caffe_resnet_config, tiny_lstm_cnn, tiny_vgg_fcn_config


class TestHuHighRes(ModelTester):
    def make_model(self, **kwargs):
        return tiny_lstm_cnn(**kwargs)

    @torch.no_grad()
    def test_features_are_made_of_everything_that_the_processor_returns(self, model, inputs):
        features = model.get_image_features(**inputs)
        words = {name: value for name, value in inputs.items() if name != "pixel_values"}
        assert torch.equal(model(image_features=features, **words).logits, model(**inputs).logits)
        expression = model.get_text_features(**inputs).expression
        assert expression.shape == (3, 12)
        torch.testing.assert_close(expression.norm(dim=1), torch.ones(3))

    @torch.no_grad()
    def test_there_is_nothing_to_explain(self, model, inputs):
        assert model(**inputs, output_attentions=True).explanation is None
        model.config.output_attentions = True
        assert model(**inputs).explanation is None

    @torch.no_grad()
    def test_padding_is_read_like_a_word(self, model, inputs):
        """Hu's code runs the LSTM over the padding; so must whoever wants its numbers."""
        shorter = {**inputs, "input_ids": inputs["input_ids"][:, 1:], "attention_mask": inputs["attention_mask"][:, 1:]}
        assert not torch.allclose(model(**shorter).logits[0], model(**inputs).logits[0])

    def test_loss_weights_fore_and_background(self, model, inputs, labels):
        outputs = model(**inputs, labels=labels)
        pixels = F.binary_cross_entropy_with_logits(outputs.logits, labels, reduction="none")
        expected = torch.where(labels > 0, pixels, pixels / 3).mean()
        torch.testing.assert_close(outputs.loss, expected)

    def test_refuses_sizes_the_deconvolution_cannot_reach(self, model, inputs):
        with pytest.raises(ValueError, match="multiples of 32"):
            model(pixel_values=torch.zeros(1, 3, 70, 64), input_ids=inputs["input_ids"][:1])


class TestHuLowRes(ModelTester):
    def make_model(self, **kwargs):
        return tiny_lstm_cnn(stage="low_res", background_weight=1.0, **kwargs)

    def test_a_cell_is_foreground_if_any_pixel_is(self, model, inputs):
        labels = torch.zeros(3, 64, 64)
        labels[:, 33, 40] = 1
        outputs = model(**inputs, labels=labels)
        target = torch.zeros(3, 2, 2)
        target[:, 1, 1] = 1
        torch.testing.assert_close(outputs.loss, F.binary_cross_entropy_with_logits(outputs.grid_logits, target))


class TestLiuBaseline(ModelTester):
    def make_model(self, **kwargs):
        config = LstmCnnConfig.liu_baseline(
            backbone_config=tiny_caffe_resnet_config(),
            vocab_size=30,
            word_embedding_size=10,
            lstm_hidden_size=12,
            visual_size=14,
            mlp_size=16,
            **kwargs,
        )
        return LstmCnnForReferringSegmentation(config).eval()

    @torch.no_grad()
    def test_padding_is_skipped(self, model, inputs):
        shorter = {**inputs, "input_ids": inputs["input_ids"][:, 1:], "attention_mask": inputs["attention_mask"][:, 1:]}
        torch.testing.assert_close(model(**shorter).logits[0], model(**inputs).logits[0])


def tiny_region_classifier():
    config = LstmCnnConfig.hu_stage(
        "region",
        backbone_config=tiny_vgg_fcn_config(fc6_padding=0),
        vocab_size=30,
        word_embedding_size=10,
        lstm_hidden_size=12,
        visual_size=14,
        mlp_size=16,
    )
    return LstmCnnForReferringSegmentation(config)


def test_region_classifier_scores_crops():
    model = tiny_region_classifier()
    inputs = {
        "pixel_values": torch.randn(2, 3, 224, 224),
        "crop_boxes": torch.tensor([[0, 0, 100, 50], [10, 10, 31, 31]]),
        "original_sizes": torch.tensor([[50, 100], [50, 100]]),
        "input_ids": torch.tensor([[0, 4, 5], [0, 0, 6]]),
    }
    outputs = model(**inputs, labels=torch.tensor([1.0, 0.0]))
    assert outputs.scores.shape == (2,) and outputs.logits is None
    outputs.loss.backward()
    moved = {**inputs, "crop_boxes": torch.tensor([[0, 0, 10, 10], [10, 10, 31, 31]])}
    assert not torch.equal(model(**moved).scores[0], outputs.scores[0])
    with pytest.raises(ValueError, match="crop_boxes"):
        model(pixel_values=inputs["pixel_values"], input_ids=inputs["input_ids"])


def test_each_stage_starts_from_the_one_before(tmp_path):
    """Hu's region classifier becomes the low-res network, and that the high-res one, with all weights."""
    model = tiny_region_classifier()
    for stage in ("low_res", "high_res"):
        model.save_pretrained(tmp_path / stage)
        model, previous = LstmCnnForReferringSegmentation.from_previous_stage(tmp_path / stage, stage), model
        assert model.config.stage == stage and model.config.backbone_config.fc6_padding == 3
        for name, tensor in previous.state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor), name
    assert model.config.background_weight == pytest.approx(1 / 3)
    kernel = model.deconvolution.weight[0, 0]
    assert kernel.argmax() == 32 * 64 + 32 and kernel[0].sum() == 0
    with pytest.raises(ValueError, match="follows 'low_res'"):
        LstmCnnForReferringSegmentation.from_previous_stage(tmp_path / "low_res", "high_res")
