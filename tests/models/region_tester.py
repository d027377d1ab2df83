"""What every system that chooses among given regions must pass beside what all systems must."""

import pytest
import torch
from transformers import AutoModel

from tests.models.model_tester import ModelTester

BOXES = [[4.0, 4, 30, 40], [20, 10, 60, 62], [0, 30, 25, 64], [33, 0, 64, 21]]


class RegionTester(ModelTester):
    """Its answer in half precision is the scores of the regions; masks of other regions are others."""

    region_inputs = ("region_boxes",)  # what each image has by itself beside its pixels

    @pytest.fixture
    def inputs(self) -> dict[str, torch.Tensor]:
        return self.images_and_words() | self.regions()

    def regions(self) -> dict[str, torch.Tensor]:
        """Four regions in each image."""
        return {"region_boxes": torch.tensor([BOXES, BOXES[::-1]])}

    def of_image(self, inputs, image):
        return {name: inputs[name][image, None] for name in ("pixel_values", *self.region_inputs)}

    def answer(self, outputs):
        return outputs.region_scores

    def backbone(self, model):
        return model.detector.backbone

    def trained(self, model):
        """The detector stays as it is."""
        return {name: p for name, p in model.named_parameters() if not name.startswith("detector.")}

    def allowed(self, scores: torch.Tensor) -> float:
        """By how much bfloat16 may change the scores."""
        return 0.1

    def test_autocast(self, model, inputs):
        with torch.no_grad():
            exact = model(**inputs).region_scores
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(**self.with_labels(inputs, None))
            with torch.no_grad():
                rounded = model(**inputs).region_scores
        assert (rounded - exact).abs().max() < self.allowed(exact)
        outputs.loss.backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in self.trained(model).values())

    def test_bf16(self, model, inputs, tmp_path):
        model.save_pretrained(tmp_path)
        half = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        with torch.no_grad():
            exact, rounded = model(**inputs).region_scores, half(**inputs).region_scores
        assert (rounded - exact).abs().max() < self.allowed(exact)
        loss = half(**self.with_labels(inputs, None)).loss
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(torch.isfinite(parameter.grad).all() for parameter in self.trained(half).values())
