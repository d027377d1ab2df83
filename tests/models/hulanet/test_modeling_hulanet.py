import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_refseg.models.hulanet.configuration_hulanet import HulaNetConfig
from hf_refseg.models.hulanet.modeling_hulanet import HulaNetForReferringSegmentation, sample_masks
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure
from tests.models.model_tester import SIZE, ModelTester
from tests.tiny import VOCAB_SIZE, tiny_hulanet, tiny_hulanet_config, tiny_mask_rcnn

from .test_phrase_modules import encode

BOXES = [[4.0, 4, 30, 40], [20, 10, 60, 62], [0, 30, 25, 64], [33, 0, 64, 21]]
ROLES = [[0, 0, 0, 5], [0, 0, 7, 5], [7, 5, 9, 11]]


class TestHulaNet(ModelTester):
    def make_model(self, **kwargs):
        return tiny_hulanet(**kwargs)

    @pytest.fixture
    def inputs(self) -> dict[str, torch.Tensor]:
        """The common inputs, what their words say, and four detections in each image."""
        generator = torch.Generator().manual_seed(1)
        input_ids = torch.randint(4, VOCAB_SIZE, (3, 4), generator=generator)
        input_ids[0, :3] = 0
        input_ids[1, :2] = 0
        return {
            "pixel_values": torch.randn(2, 3, SIZE, SIZE, generator=generator),
            "input_ids": input_ids,
            "attention_mask": (input_ids != 0).long(),
            "image_index": torch.tensor([1, 0, 1]),
            "word_roles": torch.tensor(ROLES),
            "region_boxes": torch.tensor([BOXES, BOXES[::-1]]),
            "region_labels": torch.tensor([[0, 1, 1, 2], [3, 3, 0, 3]]),
            "region_scores": torch.tensor([[0.9, 0.5, 0.3, 0.7], [0.2, 0.8, 0.6, 0.1]]),
        }

    def with_labels(self, inputs, labels):
        return {
            **inputs,
            "labels": labels,
            "instance_boxes": torch.tensor([BOXES[:2], BOXES[2:]]),
            "instance_attributes": (torch.arange(24).view(2, 2, 6) % 5 == 0).float(),
        }

    def of_image(self, inputs, image):
        names = ("pixel_values", "region_boxes", "region_labels", "region_scores")
        return {name: inputs[name][image, None] for name in names}

    def backbone(self, model):
        return model.detector.backbone

    def trained(self, model):
        """The paper leaves its detector as it is."""
        return {name: p for name, p in model.named_parameters() if not name.startswith("detector.")}
