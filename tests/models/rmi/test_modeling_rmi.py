import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError
from transformers import AutoConfig

from hf_refseg.models.rmi import multimodal_lstm
from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.rmi.modeling_rmi import RmiForReferringSegmentation, safe_atanh
from tests.models.model_tester import ModelTester
from tests.tiny import tiny_rmi


class TestRmi(ModelTester):
    def make_model(self, **kwargs):
        return tiny_rmi(**kwargs)

    @torch.no_grad()
    def test_padding_is_skipped_in_every_sample(self, model, inputs):
        """The original looked only at the first sample of a batch (spec, section 4)."""
        short = {name: inputs[name][:1, 3:] for name in ("input_ids", "attention_mask")}
        image = inputs["pixel_values"][1:]
        expected = model(pixel_values=image, **short).logits[0]
        torch.testing.assert_close(model(**inputs).logits[0], expected, rtol=1e-4, atol=1e-5)
        without_mask = {**inputs, "attention_mask": None}
        torch.testing.assert_close(model(**without_mask).logits[0], expected, rtol=1e-4, atol=1e-5)
        on_the_right = {**inputs, "input_ids": inputs["input_ids"].roll(1, 1), "attention_mask": None}
        assert on_the_right["input_ids"][0].tolist()[1:] == [0, 0, 0]
        torch.testing.assert_close(model(**on_the_right).logits[0], expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("grad", [False, True])
    def test_sizes_that_are_no_multiples_of_the_stride(self, model, inputs, grad):
        images = torch.randn(2, 3, 45, 61)
        with torch.set_grad_enabled(grad):
            outputs = model(**{**inputs, "pixel_values": images}, labels=torch.ones(3, 45, 61, dtype=torch.bool))
        assert outputs.grid_logits.shape == (3, 6, 8) and outputs.logits.shape == (3, 45, 61)
        assert torch.isfinite(outputs.loss)

    def test_only_padding_is_refused(self, model, inputs):
        nothing = torch.zeros_like(inputs["input_ids"])
        with pytest.raises(ValueError, match="expression 0 has no word: its attention_mask is 0 everywhere"):
            model(**{**inputs, "input_ids": nothing, "attention_mask": nothing})

    def test_features_of_something_else_are_refused(self, model, inputs):
        words = {name: inputs[name] for name in ("input_ids", "attention_mask", "image_index")}
        for features in (torch.zeros(3), model.get_text_features(**inputs)):
            with pytest.raises(TypeError, match=f"image_features are a {type(features).__name__}; give the"):
                model(image_features=features, **words)

    @pytest.mark.parametrize("grad", [False, True])
    def test_word_maps_are_the_mean_state_after_every_word(self, model, inputs, grad):
        with torch.set_grad_enabled(grad):
            outputs = model(**inputs, output_attentions=True)
        assert outputs.explanation.word_maps.shape == (4, 3, 8, 8)
        assert not outputs.explanation.word_maps[0][0].any(), "nothing has been read yet at the first sample's padding"
        assert outputs.explanation.word_maps[0][2].any()
        with torch.no_grad():
            features, words = model.get_image_features(**inputs), model.get_text_features(**inputs)
            states = model.multimodal_lstm.read(features.visual_gates[inputs["image_index"]], words)
            for attention, (hidden, _) in zip(outputs.explanation.word_maps, states, strict=True):
                torch.testing.assert_close(attention, safe_atanh(hidden).mean(1), rtol=1e-4, atol=1e-6)

    @torch.no_grad()
    def test_the_configuration_can_ask_for_the_explanation(self, model, inputs):
        assert model(**inputs).explanation is None
        model.config.output_attentions = True
        assert model(**inputs).explanation.word_maps.shape == (4, 3, 8, 8)
        assert model(**inputs, output_attentions=False).explanation is None

    def test_word_maps_have_gradients(self, model, inputs):
        maps = model(**inputs, output_attentions=True).explanation.word_maps
        assert torch.autograd.grad(maps[1, 2].sum(), model.multimodal_lstm.word_gates.weight)[0].any()

    @pytest.mark.parametrize("cells_at_once", [multimodal_lstm.CELLS_AT_ONCE, 24, 1], ids=["all", "bands", "rows"])
    def test_packed_words_equal_words_in_step_wherever_the_padding_lies(self, model, monkeypatch, cells_at_once):
        monkeypatch.setattr(multimodal_lstm, "CELLS_AT_ONCE", cells_at_once)
        words = torch.tensor([[5, 0, 6, 0], [7, 8, 9, 4], [0, 0, 0, 0], [0, 3, 0, 2], [6, 0, 0, 0]])
        image_index, pixels = torch.tensor([0, 1, 1, 1, 0]), torch.randn(2, 3, 64, 64)
        arguments = model.get_image_features(pixels), model.get_text_features(words), image_index, True
        in_step, in_step_maps = model._segment(*arguments)
        packed, packed_maps = model._segment_packed(*arguments)
        with torch.no_grad():
            in_place, in_place_maps = model._segment_packed(*arguments)
        for logits, maps in ((packed, packed_maps), (in_place, in_place_maps)):
            torch.testing.assert_close(logits, in_step, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(maps, in_step_maps, rtol=1e-4, atol=1e-6)
        for name in ("multimodal_lstm.state_gates.weight", "word_embeddings.weight", "visual_projection.weight"):
            gradients = [
                torch.autograd.grad((logits**2).sum(), model.get_parameter(name), retain_graph=True)[0]
                for logits in (packed, in_step)
            ]
            assert gradients[0].abs().sum() > 0
            torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)

    def test_the_embedding_of_padding_is_never_read(self, model, inputs, labels):
        model(**inputs, labels=labels).loss.backward()
        assert not model.word_embeddings.weight.grad[0].any()

    def test_loss_is_a_sum_over_cells(self, model, inputs, labels):
        outputs = model(**inputs, labels=labels)
        target = labels[:, ::8, ::8]
        cells = torch.nn.functional.binary_cross_entropy_with_logits(outputs.grid_logits, target, reduction="none")
        torch.testing.assert_close(outputs.loss, cells.sum((1, 2)).mean())

    def test_published_defaults(self):
        config = RmiConfig()
        assert config.backbone_config.model_type == "refseg_caffe_resnet"
        with torch.device("meta"):
            model = RmiForReferringSegmentation(config)
        assert model.multimodal_lstm.visual_gates.weight.shape == (2000, 1008, 1, 1)
        assert model.multimodal_lstm.word_gates.weight.shape == (2000, 2000)
        assert model.multimodal_lstm.state_gates.weight.shape == (2000, 500, 1, 1)


def backbones():
    yield "transformers", {"model_type": "resnet", "hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}
    yield (
        "timm dilated ResNet",
        {"model_type": "timm_backbone", "backbone": "resnet18", "out_indices": [4], "output_stride": 8},
    )
    yield (
        "MobileNetV2",
        {"model_type": "timm_backbone", "backbone": "mobilenetv2_035", "out_indices": [4], "output_stride": 16},
    )


@pytest.mark.parametrize("backbone", [b for _, b in backbones()], ids=[name for name, _ in backbones()])
@torch.no_grad()
def test_any_backbone(backbone, tmp_path):
    """Any `AutoBackbone` of transformers or timm carries RMI, through save and load."""
    if backbone["model_type"] == "timm_backbone":
        pytest.importorskip("timm", reason="this backbone comes from timm (the test extra installs it)")
    backbone = dict(backbone)
    config = AutoConfig.for_model(backbone.pop("model_type"), **backbone)
    model = tiny_rmi(backbone_config=config)
    inputs = {"pixel_values": torch.randn(2, 3, 64, 64), "input_ids": torch.tensor([[4, 5], [0, 6]])}
    expected = model(**inputs)
    assert expected.logits.shape == (2, 64, 64)
    model.save_pretrained(tmp_path)
    loaded = RmiForReferringSegmentation.from_pretrained(tmp_path)
    assert torch.equal(loaded(**inputs).logits, expected.logits)


def test_config_refuses_what_it_cannot_mean():
    with pytest.raises(StrictDataclassFieldValidationError, match="loss"):
        RmiConfig(loss="mean")
    with pytest.raises(StrictDataclassClassValidationError, match="output_stride must be 8, 16 or 32, got 4"):
        RmiConfig(backbone_config={"model_type": "refseg_caffe_resnet", "output_stride": 4})


def test_saturated_state_stays_finite_in_bfloat16():
    state = torch.tensor([-1.0, 1.0], dtype=torch.bfloat16, requires_grad=True)
    output = safe_atanh(state)
    output.sum().backward()
    assert output.isfinite().all() and state.grad.isfinite().all()
