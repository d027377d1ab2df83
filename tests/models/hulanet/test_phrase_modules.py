import pytest
import torch
import torch.nn.functional as F

from hf_refseg.models.hulanet.detection_channels import DetectionCells, DetectionChannels
from hf_refseg.models.hulanet.phrase_modules import (
    COMBINED,
    COMBINED_NAMES,
    ChannelAttention,
    Combination,
    PhraseEmbeddings,
    PhraseEncoder,
    RelationshipModule,
)
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure, WordRole
from tests.tiny import tiny_hulanet_config

# of words 4, 5, ... in reading order: two attributes and a name of two words; a name and two relations
SAID = PhraseStructure("wine glass", ("tall", "red"))
RELATED = PhraseStructure("man", (), (("next to", "coffee table"), ("on", "mat")))


def encode(*structures: PhraseStructure, length: int = 9) -> tuple[torch.Tensor, ...]:
    """Ids, marks, roles and categories of the words; the words of the n-th phrase are 4 + n, 5 + n, ..."""
    rows = [structure.assemble()[1] for structure in structures]
    roles = torch.tensor([[*row, *[WordRole.NONE] * (length - len(row))] for row in rows])
    is_word = torch.tensor([[column < len(row) for column in range(length)] for row in rows])
    ids = (torch.arange(length) + 4 + torch.arange(len(rows))[:, None]) * is_word
    categories = torch.where(roles == WordRole.LAST_OF_OBJECT, 1, -1)
    categories[(roles == WordRole.NAME) | (roles == WordRole.LAST_OF_NAME)] = 2
    return ids, is_word, roles, categories


@pytest.fixture
def encoder() -> PhraseEncoder:
    torch.manual_seed(0)
    return PhraseEncoder(tiny_hulanet_config())


def test_each_module_reads_its_own_words(encoder):
    said = encoder(*encode(SAID, RELATED))
    assert said.present.tolist() == [[True, True, False], [True, False, True]]
    assert said.relation_phrase.tolist() == [1, 1] and said.name_category.tolist() == [2, 2]
    assert said.object_category.tolist() == [1, 1]
    assert said.name.shape == (2, 16) and said.predicates.shape == said.objects.shape == (2, 16)
    assert not said.attributes[1].any() and not said.relations[0].any()
    torch.testing.assert_close(said.relations[1], said.predicates.mean(0))


def test_an_object_is_read_as_the_name_of_a_phrase_would_be(encoder):
    """By itself, whatever stands around it."""
    ids, is_word, roles, categories = encode(RELATED)
    objects = encoder(ids, is_word, roles, categories).objects
    first, last = roles[0].tolist().index(WordRole.OBJECT), roles[0].tolist().index(WordRole.LAST_OF_OBJECT)
    alone = ids[:, first : last + 1]
    of_name = torch.tensor([[WordRole.NAME, WordRole.LAST_OF_NAME]])
    name = encoder(alone, torch.ones_like(alone, dtype=torch.bool), of_name, torch.full_like(alone, -1)).name
    torch.testing.assert_close(objects[0, None], name)


def test_padding_and_other_phrases_change_nothing(encoder):
    alone = encoder(*encode(SAID, length=4))
    together = encoder(*encode(SAID, RELATED, length=9)).take(torch.tensor([0]))
    for name in ("name", "attributes", "relations", "present"):
        torch.testing.assert_close(together[name], alone[name])
    assert len(together.relation_phrase) == 0


def test_phrases_are_taken_with_their_relations(encoder):
    taken = encoder(*encode(SAID, RELATED, PhraseStructure("cup", (), (("on", "mat"),)))).take(torch.tensor([2, 1]))
    assert taken.relation_phrase.tolist() == [1, 1, 0]
    assert taken.predicates.shape == (3, 16) and taken.present[:, 2].all()


def test_a_relation_whose_object_was_cut_off_is_not_read(encoder):
    ids, is_word, roles, categories = (value[:, :4] for value in encode(RELATED))
    said = encoder(ids, is_word, roles, categories)
    assert len(said.predicates) == 0 and said.present.tolist() == [[True, False, False]]


# ---- Attention over channels ----


@pytest.fixture
def channels() -> tuple[DetectionCells, DetectionChannels]:
    masks = torch.zeros(3, 4, 5, dtype=torch.bool)
    masks[0, :2], masks[1, 1:, 3:], masks[2, :, 0] = True, True, True
    cells = DetectionCells.of_masks(masks)
    return cells, DetectionChannels.of_values(
        cells, torch.arange(3), torch.tensor([4, 0, 4]), torch.tensor([0.9, 1, 0.3])
    )


def one_hot_attention(category: int, mode: str = "attention") -> ChannelAttention:
    """Attention that is 1 for one of five categories, whatever is said, and heat that is 1 or 0."""
    attention = ChannelAttention(tiny_hulanet_config(category_mode=mode), 5, mode)
    last = attention.perceptron[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, -30.0)
    last.bias.data[category] = 30.0
    attention.heat.scale.data.fill_(100.0)
    return attention


def test_one_hot_attention_returns_the_detections_own_mask(channels):
    cells, found = channels
    heat = cells.spread(one_hot_attention(0)(torch.zeros(1, 16), found))
    assert torch.equal(heat[0] > 0.5, cells.spread(cells.covered)[1] > 0)


@pytest.mark.parametrize("mode", ["attention", "top"])
def test_attention_to_what_was_not_detected_finds_nothing(channels, mode):
    cells, found = channels
    attention = one_hot_attention(2, mode)
    heat = attention(torch.zeros(1, 16), found)
    torch.testing.assert_close(heat, attention.heat(torch.zeros_like(heat)))


def test_top_reads_one_channel_only(channels):
    cells, found = channels
    attention = ChannelAttention(tiny_hulanet_config(), 5, "top")
    last = attention.perceptron[-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([1.0, 9, 9, 9, 2])
    score = found.maps[1] - found.mean[1]
    weight = torch.tensor(2.0).sigmoid() / found.deviation[1]
    torch.testing.assert_close(attention(torch.zeros(1, 16), found)[0], attention.heat(weight * score))


def test_self_reads_the_scores_of_the_names_own_category(channels):
    cells, found = channels
    attention = ChannelAttention(tiny_hulanet_config(), 5, "self")
    heat = cells.spread(attention(torch.zeros(3, 16), found, torch.tensor([4, 2, -1])))
    assert heat[0].unique().tolist() == pytest.approx([0, 0.3, 0.9])
    assert not heat[1:].any(), "nothing of a category that was not detected, or that nobody knows"


def test_attention_starts_where_the_configuration_says():
    attention = ChannelAttention(tiny_hulanet_config(initial_attention=0.2), 5)
    attention.initialize()
    torch.testing.assert_close(attention.perceptron[-1].bias.sigmoid(), torch.full((5,), 0.2))


# ---- Relationship ----


def test_relationship_equals_convolutions_over_all_channels():
    """As the paper has it: the object's map and the predicate, repeated at every place, side by side."""
    torch.manual_seed(0)
    module = RelationshipModule(tiny_hulanet_config(relation_kernel=5))
    objects, predicates = torch.rand(3, 8, 8), torch.randn(3, 16)
    everywhere = predicates[:, :, None, None].expand(-1, -1, 8, 8)
    hidden = module.convolution(torch.cat([objects[:, None], everywhere], 1)).relu()
    torch.testing.assert_close(
        module(objects, predicates), module.heat(module.output(hidden))[:, 0], rtol=1e-4, atol=1e-5
    )


def test_relationship_can_learn_left_of():
    """Fitted on squares: the target is the square moved to the left by six places, or to the right for another word."""
    torch.manual_seed(0)
    config = tiny_hulanet_config(relation_grid=24, relation_size=8, relation_kernel=7)
    module = RelationshipModule(config)
    predicates = torch.randn(2, 16)

    def squares(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        objects, targets = torch.zeros(16, 24, 24), torch.zeros(16, 24, 24)
        words = torch.arange(16) % 2
        for row, (y, x) in enumerate(torch.randint(7, 13, (16, 2), generator=generator).tolist()):
            objects[row, y : y + 4, x : x + 4] = 1
            x += 6 if words[row] else -6
            targets[row, y : y + 4, x : x + 4] = 1
        return objects, predicates[words], targets

    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for step in range(150):
        objects, words, targets = squares(step)
        loss = F.binary_cross_entropy(module(objects, words), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    objects, words, targets = squares(1000)
    with torch.no_grad():
        found = module(objects, words) > 0.5
    overlap = (found & targets.bool()).sum((1, 2)) / (found | targets.bool()).sum((1, 2))
    assert overlap.min() > 0.7, overlap


# ---- Combination ----


def said(present: list[bool]) -> PhraseEmbeddings:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(1, 16, generator=generator) * there for there in present]
    return PhraseEmbeddings(name=parts[0], attributes=parts[1], relations=parts[2], present=torch.tensor([present]))


@pytest.mark.parametrize(
    ("present", "left"),
    [
        ([True, False, False], "c cc 1"),
        ([True, True, False], "c a cc aa ca 1"),
        ([True, False, True], "c r cc rr cr 1"),
        ([True, True, True], "c a r cc aa rr ca cr ar 1"),
    ],
)
def test_channels_of_absent_modules_have_no_weight(present, left):
    weights = Combination(tiny_hulanet_config()).weights(said(present))
    torch.testing.assert_close(weights.sum(1), torch.ones(1))
    assert [name for name, weight in zip(COMBINED_NAMES, weights[0], strict=True) if weight > 0] == left.split()


def test_combination_is_the_weighted_sum_of_ten_channels():
    combination = Combination(tiny_hulanet_config(normalize_products=False))
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, 4, generator=generator) for _ in range(3)]
    weights = torch.rand(2, 10, generator=generator).softmax(1)
    c, a, r = maps
    channels = torch.stack([c, a, r, c * c, a * a, r * r, c * a, c * r, a * r, torch.ones_like(c)], 1)
    torch.testing.assert_close(combination(maps, weights), torch.einsum("nt,nthw->nhw", weights, channels))
    assert len(COMBINED) == len(COMBINED_NAMES) == 10


def test_products_are_stretched():
    combination = Combination(tiny_hulanet_config())
    one_product = F.one_hot(torch.tensor([6]), 10).float()
    maps = [torch.full((1, 2, 2), 0.2), torch.tensor([[[0.1, 0.2], [0.3, 0.4]]]), None]
    torch.testing.assert_close(combination(maps, one_product), torch.tensor([[[0.25, 0.5], [0.75, 1.0]]]))
