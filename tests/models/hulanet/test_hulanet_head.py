import pytest
import torch

from hf_refseg.models.hulanet.hulanet_head import HulaNetHead
from hf_refseg.models.hulanet.phrase_modules import PhraseEmbeddings
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure
from tests.tiny import tiny_hulanet_config

from .test_detection_channels import random_masks
from .test_phrase_modules import RELATED, SAID, encode

PHRASES = (SAID, RELATED, PhraseStructure("cup"), PhraseStructure("cup", ("red",), (("on", "mat"),)))


@pytest.fixture
def head() -> HulaNetHead:
    return make_head()


def make_head(**kwargs) -> HulaNetHead:
    torch.manual_seed(0)
    return HulaNetHead(tiny_hulanet_config(**kwargs)).eval()


def detected(number: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    return {
        "masks": random_masks(number),
        "labels": torch.randint(0, 5, (number,), generator=generator),
        "scores": torch.rand(number, generator=generator),
        "features": torch.randn(number, 40, generator=generator),
    }


def phrases(head: HulaNetHead) -> PhraseEmbeddings:
    return head.phrases(*encode(*PHRASES))


@torch.no_grad()
@pytest.mark.parametrize("number", [0, 1, 6, 1000])
def test_maps_are_probabilities_however_much_is_detected(head, number):
    found = head.encode_detections(**detected(number))
    maps = head.ground(found, phrases(head))
    for name in ("category", "attribute", "relationship", "combined"):
        assert maps[name].shape == (4, 12, 17)
        assert maps[name].min() >= 0 and maps[name].max() <= 1
    assert maps.objects.shape == (4, 12, 17) and maps.weights.shape == (4, 10)


@torch.no_grad()
def test_the_order_of_detections_does_not_matter(head):
    inputs, order = detected(20), torch.randperm(20, generator=torch.Generator().manual_seed(1))
    maps = head.ground(head.encode_detections(**inputs), phrases(head))
    others = head.ground(
        head.encode_detections(**{name: value[order] for name, value in inputs.items()}), phrases(head)
    )
    for name in ("category", "attribute", "relationship", "combined"):
        torch.testing.assert_close(others[name], maps[name], rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("module", "rows"), [("attribute", [1, 2]), ("relationship", [0, 2])])
def test_what_a_phrase_does_not_say_cannot_change_its_answer(head, module, rows):
    """The weights of a module are scrambled: phrases that do without it keep their map, the others do not."""
    found = head.encode_detections(**detected())
    before = head.ground(found, phrases(head)).combined
    for part in (head.phrases.lstms[module], getattr(head, module)):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter)
    after = head.ground(found, phrases(head)).combined
    changed = [not torch.equal(after[row], before[row]) for row in range(4)]
    assert [row for row in range(4) if not changed[row]] == rows


@torch.no_grad()
@pytest.mark.parametrize("modules", [("category",), ("category", "attribute"), ("category", "relationship")])
def test_rows_of_the_papers_table_do_without_modules(modules):
    head = make_head(modules=modules)
    maps = head.ground(head.encode_detections(**detected()), phrases(head))
    for name in ("category", "attribute", "relationship"):
        assert (getattr(maps, name) is None) == (name not in modules)
        assert any(key.startswith(f"{name}.") for key in head.state_dict()) == (name in modules)
    torch.testing.assert_close(maps.weights.sum(1), torch.ones(4))


@torch.no_grad()
def test_an_attribute_is_as_probable_as_the_classifier_says(head):
    inputs = detected(3)
    rows, attributes, values = head.detected_attributes(inputs["features"], inputs["scores"])
    assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    probabilities = head.attribute_classifier(inputs["features"]).sigmoid()
    torch.testing.assert_close(values, probabilities[rows, attributes])
    torch.testing.assert_close(values.view(3, 3), probabilities.sort(1, descending=True).values[:, :3])
    head.config.score_attributes = True
    scaled = head.detected_attributes(inputs["features"], inputs["scores"])[2]
    torch.testing.assert_close(scaled, values * inputs["scores"][rows])


@pytest.mark.parametrize("features", [None, torch.zeros(6, 7)])
def test_features_that_the_attributes_cannot_be_told_of_are_refused(head, features):
    with pytest.raises(ValueError, match="attribute module reads 40 channels"):
        head.encode_detections(**{**detected(), "features": features})


def test_phrases_train_everything_but_the_classifier_of_attributes(head):
    maps = head.ground(head.encode_detections(**detected()), phrases(head))
    maps.combined.sum().backward()
    without = {name.split(".")[0] for name, parameter in head.named_parameters() if parameter.grad is None}
    assert without == {"attribute_classifier"}
