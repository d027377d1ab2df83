"""The matching on miniature regions: batches, padding, ablations, training rows, and what bad input gets."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from tiny import VOCAB_SIZE, tiny_matching_config, tiny_regions
from torch import nn

from hf_refseg.layers.regions import Regions
from hf_refseg.losses import attribute_loss, ranking_loss
from hf_refseg.models.mattnet import matching as matching_module
from hf_refseg.models.mattnet.matching import MAttNetMatching
from hf_refseg.models.mattnet.matching_modules import RowBatchNorm, fast_tanh
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetPreTrainedModel
from hf_refseg.models.mattnet.outputs_mattnet import MAttNetMatches

WORDS = torch.tensor([[5, 6, 7], [8, 9, 0], [4, 0, 0]])


class Holder(MAttNetPreTrainedModel):
    """The least model that holds a matching."""

    def __init__(self, config):
        super().__init__(config)
        self.matching = MAttNetMatching(config)
        self.post_init()


def make_matching(**kwargs) -> MAttNetMatching:
    torch.manual_seed(0)
    matching = Holder(tiny_matching_config(**kwargs)).matching.eval()
    for module in matching.modules():
        if isinstance(module, nn.BatchNorm1d):  # trained statistics are nothing like 0 and 1
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return matching


@pytest.fixture
def matching():
    return make_matching()


def match(matching: MAttNetMatching, arguments: dict, words: torch.Tensor, **options) -> MAttNetMatches:
    """Expressions on regions, `arguments` as of `tiny_regions`."""
    features, text = matching.encode_regions(**arguments), matching.encode_words(words)
    return matching.match(arguments["regions"], features, text, **options)


def match_pairs(matching: MAttNetMatching, arguments: dict, region_index, words) -> MAttNetMatches:
    return matching.match_pairs(**arguments, region_index=region_index, text=matching.encode_words(words))


@torch.no_grad()
def test_a_batch_equals_its_images_and_expressions_one_by_one(matching):
    arguments = tiny_regions(4, 2)
    together = match(matching, arguments, WORDS, image_index=torch.tensor([1, 0, 1]), output_attentions=True)
    assert together.scores.shape == (3, 4) and together.grid_attention.shape == (3, 4, 3, 3)
    assert torch.isneginf(together.scores[[0, 2], 2:]).all() and together.scores[1].isfinite().all()
    torch.testing.assert_close(together.grid_attention.sum((2, 3)), torch.ones(3, 4))
    assert together.attribute_logits.shape == (2, 4, 4)
    regions = arguments["regions"]
    for image, rows, expressions in ((0, slice(0, 4), [1]), (1, slice(4, 6), [0, 2])):
        count = rows.stop - rows.start
        alone = {
            "regions": Regions(regions.boxes[rows], (count,), regions.labels[rows]),
            "crops": arguments["crops"][rows],
            "head_maps": arguments["head_maps"][rows],
            "image_sizes": arguments["image_sizes"][image, None],
        }
        for expression in expressions:
            words = WORDS[expression][WORDS[expression] != 0]
            matches = match(matching, alone, words[None], output_attentions=True)
            for name in ("scores", "module_scores", "neighbors", "grid_attention"):
                torch.testing.assert_close(together[name][expression, :count], matches[name][0], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_words_say_what_each_module_is_asked_and_how_much_it_counts(matching):
    text = matching.encode_words(WORDS)
    assert text.phrases.shape == (3, 3, 12)
    torch.testing.assert_close(text.module_weights.sum(1), torch.ones(3))
    torch.testing.assert_close(text.word_attentions.sum(2), torch.ones(3, 3))
    assert not text.word_attentions[2, :, 1:].any(), "padding is not listened to"


@torch.no_grad()
def test_many_expressions_on_one_image_equal_many_calls(matching, monkeypatch):
    arguments = tiny_regions(5)
    together = match(matching, arguments, WORDS)
    monkeypatch.setattr(matching_module, "PAIRS_AT_ONCE", 5)
    torch.testing.assert_close(match(matching, arguments, WORDS).scores, together.scores, rtol=1e-4, atol=1e-6)
    for row in range(3):
        alone = match(matching, arguments, WORDS[row, None]).scores[0]
        torch.testing.assert_close(alone, together.scores[row], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_more_than_300_regions(matching):
    scores = match(matching, tiny_regions(350, 3), WORDS[:2]).scores
    assert scores.shape == (2, 350) and scores[0].isfinite().all() and torch.isneginf(scores[1, 3:]).all()


@torch.no_grad()
def test_one_candidate_has_no_neighbors(matching):
    matches = match(matching, tiny_regions(1), WORDS)
    assert (matches.neighbors == -1).all()
    assert matches.scores.isfinite().all()
    assert not matches.module_scores[..., 2].any(), "a missing neighbor scores 0"


@torch.no_grad()
def test_no_candidate_at_all_in_one_image_or_any(matching):
    scores = match(matching, tiny_regions(0, 2), WORDS[:2]).scores
    assert torch.isneginf(scores[0]).all() and scores[1].isfinite().all()
    assert match(matching, tiny_regions(0), WORDS).scores.shape == (3, 0)


@torch.no_grad()
def test_boxes_without_area_and_expressions_without_words_stay_finite(matching):
    arguments = tiny_regions(3)
    arguments["regions"].boxes[:2, 2:] = arguments["regions"].boxes[:2, :2]
    matches = match(matching, arguments, torch.tensor([[0, 0], [5, 0]]))
    assert matches.scores.isfinite().all()


def test_missing_neighbors_win_where_all_others_speak_against():
    matching = make_matching(modules=["relationship"])
    features = matching.encode_regions(**tiny_regions(2))
    phrase = torch.randn(64, 12)
    best, chosen = matching.visual["relationship"].score(features.take(None), phrase)
    language = matching.visual["relationship"].language_embedding(phrase)
    only = torch.einsum("rd,nd->nr", features.relationship[:, 0], language)
    torch.testing.assert_close(best, only.clamp(min=0))
    assert ((chosen == -1) == (only < 0)).all() and (only < 0).any() and (only > 0).any()


@pytest.mark.parametrize("modules", [["subject"], ["location"], ["subject", "location"], ["relationship"]])
@torch.no_grad()
def test_modules_can_be_left_out(modules):
    matching = make_matching(modules=modules, attributes=False)
    names = {name.split(".")[1] for name in matching.state_dict() if name.startswith("visual.")}
    assert names == set(modules) and not any("attribute_classifier" in name for name in matching.state_dict())
    matches = match(matching, tiny_regions(3), WORDS, output_attentions=True)
    assert matches.module_scores.shape == (3, 3, len(modules)) and matches.scores.isfinite().all()
    assert (matches.grid_attention is None) == ("subject" not in modules)
    assert (matches.neighbors is None) == ("relationship" not in modules)
    assert matches.attribute_logits is None


def test_rows_of_a_training_batch_are_those_of_every_pair_computed_anew(matching):
    """Scores, gradients and running statistics, dropout aside: a region of several pairs is as if there were copies."""
    arguments, region_index, words = tiny_regions(3), torch.tensor([0, 0, 1, 0]), WORDS[[0, 1, 2, 1]]
    copies = make_matching()
    for model in (matching, copies):
        model.double().train()  # batch statistics of four rows magnify rounding
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    shared = match_pairs(matching, arguments, region_index, words)
    features = copies.encode_regions(**arguments, rows=region_index)  # four rows, plain batch normalization
    phrases = copies.encode_words(words).phrases
    module_scores, _, _ = copies.score(features.take(torch.arange(4)[:, None]), phrases)
    torch.testing.assert_close(shared.module_scores, module_scores[:, 0])
    for scores, logits in ((shared.module_scores, shared.attribute_logits), (module_scores, features.attribute_logits)):
        (scores.square().sum() + logits.square().sum()).backward()
    for name, buffer in copies.named_buffers():
        torch.testing.assert_close(matching.get_buffer(name), buffer)
    for name, parameter in copies.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(matching.get_parameter(name).grad, parameter.grad, rtol=1e-6, atol=1e-9)


def test_row_batch_norm_counts_rows():
    torch.manual_seed(0)
    counted, repeated = RowBatchNorm(4), nn.BatchNorm1d(4)
    counts, features = torch.tensor([1, 3, 2]), torch.randn(3, 5, 4)
    ours = counted(features, counts)
    theirs = repeated(features.repeat_interleave(counts, 0).flatten(0, 1)).view(6, 5, 4)
    torch.testing.assert_close(ours.repeat_interleave(counts, 0), theirs)
    torch.testing.assert_close(counted.running_mean, repeated.running_mean)
    torch.testing.assert_close(counted.running_var, repeated.running_var)
    assert counted.num_batches_tracked == 1


def test_every_parameter_is_trained(matching):
    matching.train()
    region_index = torch.tensor([0, 5, 1, 6, 0, 5])
    matches = match_pairs(matching, tiny_regions(4, 3), region_index, WORDS.repeat(2, 1))
    loss = ranking_loss(matches.scores, margin=2.0) + attribute_loss(matches.attribute_logits[:2], torch.eye(4)[:2])
    loss.backward()
    without = [name for name, p in matching.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without, f"no finite gradient reaches {without}"


@torch.no_grad()
def test_half_precision(matching):
    arguments = tiny_regions(4)
    exact = match(matching, arguments, WORDS).scores
    rounded = match(matching.bfloat16(), arguments, WORDS).scores
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()


def test_export(matching):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.matching = matching

        def forward(self, boxes, labels, maps, words, image_index):
            arguments = {"regions": Regions(boxes, (4, 2), labels), **maps}
            return match(self.matching, arguments, words, image_index=image_index).scores

    maps = tiny_regions(4, 2)
    regions = maps.pop("regions")
    inputs = (regions.boxes, regions.labels, maps, WORDS, torch.tensor([0, 1, 1]))
    exported = torch.export.export(Whole(), inputs, strict=False).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(*inputs), Whole()(*inputs), rtol=1e-4, atol=1e-6)


def test_initial_weights(tmp_path):
    torch.manual_seed(0)
    model = Holder(tiny_matching_config(init_norm=7, matching_size=64))
    subject, encoder = model.matching.visual["subject"], model.matching.language.encoder
    assert (subject.region_normalizer.weight == 7).all()
    assert 0.9 < subject.fusion.weight.abs().max() * 14**0.5 <= 1  # U(-1 / sqrt(in), 1 / sqrt(in))
    assert 0.9 < encoder.backward_lstm.weight_hh_l0.abs().max() * 14**0.5 <= 1
    assert 0.8 < encoder.embeddings.weight.std() < 1.2
    model.save_pretrained(tmp_path)
    loaded, report = Holder.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_fast_tanh():
    values = torch.linspace(-100, 100, 10001)
    torch.testing.assert_close(fast_tanh(values), values.tanh(), rtol=0, atol=2e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crops": torch.zeros(4, 5, 3, 3)}, r"crops has the shape \(4, 5, 3, 3\), expected \(4, 6, 3, 3\)"),
        ({"head_maps": torch.zeros(3, 8, 3, 3)}, r"head_maps has the shape \(3, 8, 3, 3\), expected \(4, 8, 3, 3\)"),
    ],
)
def test_maps_that_do_not_fit_are_refused(matching, changes, message):
    with pytest.raises(ValueError, match=message):
        matching.encode_regions(**{**tiny_regions(4), **changes})


def test_words_that_do_not_fit_are_refused(matching):
    with pytest.raises(ValueError, match=f"the words 0 to {VOCAB_SIZE - 1}"):
        matching.encode_words(torch.tensor([[VOCAB_SIZE], [1]]))
    with pytest.raises(ValueError, match="3 expressions for 2 images"):
        match(matching, tiny_regions(2, 2), WORDS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modules": []}, "modules is empty"),
        ({"modules": ["location", "subject"]}, "in this order"),
        ({"attribute_labels": ["red"]}, "attribute_labels has 1 entries, num_attributes is 4"),
        ({"attribute_weights": [1.0, 2.0]}, "attribute_weights has 2 entries"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(StrictDataclassError, match=message):
        tiny_matching_config(**settings)
