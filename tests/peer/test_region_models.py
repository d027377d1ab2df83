"""The detector and MAttNet, with their processors, through transformers' tests."""

import unittest
from unittest import mock

import pytest
import torch
from transformers.testing_utils import torch_device
from transformers.utils import ModelOutput

from hf_refseg.models.cac.processing_cac import CacProcessor
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from hf_refseg.models.mattnet.processing_mattnet import MAttNetProcessor
from hf_refseg.processing.processor import ReferringSegmentationProcessorKwargs
from tests.tiny import tiny_cac, tiny_mask_rcnn, tiny_mattnet

from .common_tests.test_configuration_common import ConfigTester
from .common_tests.test_image_processing_common import ImageProcessingTester
from .common_tests.test_modeling_common import ModelTesterMixin, floats_tensor
from .recomputation import RecomputesInOwnLayers
from .test_modeling import SystemTest
from .test_processing import ImageProcessingTest, ProcessorTest

pytestmark = pytest.mark.slow

BOXES = [[4.0, 4, 30, 40], [20, 10, 60, 62]]


class DetectorTester:
    """Makes the inputs of the common tests."""

    batch_size, image_size, num_hidden_layers, is_training = 3, 64, 2, True

    def __init__(self, config):
        self.config = config

    def get_config(self):
        return type(self.config).from_dict(self.config.to_dict())

    def prepare_config_and_inputs_for_common(self):
        shape = [self.batch_size, 3, self.image_size, self.image_size]
        return self.get_config(), {"pixel_values": floats_tensor(shape)}


class DrawsSamples:
    """A model whose training step draws anchors and regions."""

    def test_model_outputs_equivalence(self):
        """The calls that are compared must draw the same."""
        draw = MaskRcnnForInstanceSegmentation.compute_losses

        def seeded(model, *inputs):
            torch.manual_seed(0)
            return draw(model, *inputs)

        with mock.patch.object(MaskRcnnForInstanceSegmentation, "compute_losses", seeded):
            super().test_model_outputs_equivalence()


class MaskRcnnTest(RecomputesInOwnLayers, DrawsSamples, ModelTesterMixin, unittest.TestCase):
    has_attentions = False
    is_encoder_decoder = False
    pipeline_model_mapping = {}
    # the number of proposals and detections depends on the values
    test_torch_exportable = False
    # the common test writes a number over every setting called ..._std; our box_std has four
    test_mismatched_shapes = False

    def setUp(self):
        model = tiny_mask_rcnn(score_threshold=0.15)
        self.all_model_classes = (type(model),)
        self.model_tester = DetectorTester(model.config)
        self.config_tester = ConfigTester(
            self, config_class=type(model.config), has_text_modality=False, common_properties=["head_size"]
        )

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        if return_labels:
            masks = torch.zeros(2, 64, 64, dtype=torch.bool, device=torch_device)
            for mask, (x1, y1, x2, y2) in zip(masks, BOXES, strict=True):
                mask[int(y1) : int(y2), int(x1) : int(x2)] = True
            boxes, labels = torch.tensor(BOXES, device=torch_device), torch.tensor([1, 3], device=torch_device)
            inputs["labels"] = [{"boxes": boxes, "masks": masks, "class_labels": labels} for _ in range(3)]
        return inputs

    def test_config(self):
        self.config_tester.run_common_tests()

    @unittest.skip("the output of a detector has no hidden states; those of the image are the backbone's")
    def test_hidden_states_output(self):
        pass

    @unittest.skip("the output of a detector has no hidden states to take a gradient of")
    def test_retain_grad_hidden_states_attentions(self):
        pass

    @unittest.skip("a detector has no word embeddings")
    def test_model_get_set_embeddings(self):
        pass

    @unittest.skip("a detector has no word embeddings")
    def test_resize_tokens_embeddings(self):
        pass

    @unittest.skip("our image features are what forward(image_features=...) takes, not the output of a vision tower")
    def test_get_image_features_hidden_states(self):
        pass


class MAttNetTest(SystemTest, unittest.TestCase):
    make_model = staticmethod(tiny_mattnet)
    test_mismatched_shapes = False  # as of its detector

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        """Of a training step: one right pair, one with another region, one with other words."""
        inputs = ModelTesterMixin._prepare_for_class(self, inputs_dict, model_class, return_labels)
        if return_labels:
            inputs["region_boxes"] = torch.tensor([BOXES] * 3, device=torch_device)
            inputs["region_labels"] = torch.tensor([[1, 3]] * 3, device=torch_device)
            inputs["region_index"] = torch.tensor([0, 1, 0], device=torch_device)
        return inputs

    def test_get_image_features_output(self):
        """Features are of the regions of all images."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).to(torch_device).eval()
        features = model.get_image_features(**inputs)
        self.assertIsInstance(features, ModelOutput)
        self.assertEqual(len(features.head_maps), sum(features.regions.counts))


class CacTest(DrawsSamples, SystemTest, unittest.TestCase):
    make_model = staticmethod(tiny_cac)
    test_mismatched_shapes = False  # as of its detector
    # the number of proposals depends on the values
    test_torch_exportable = False

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        if return_labels:
            inputs["box_labels"] = torch.tensor([BOXES[0]] * 3, device=torch_device)
            inputs["class_labels"] = torch.tensor([1, 3, 0], device=torch_device)
        return inputs

    def test_get_image_features_output(self):
        """Features are those of the detector."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).to(torch_device).eval()
        features = model.get_image_features(**inputs)
        self.assertIsInstance(features, ModelOutput)
        self.assertEqual(len(features.images.maps), 3)


for name in [name for name in dir(ModelTesterMixin) if name.startswith("test_get_image_features_output_")]:
    setattr(MaskRcnnTest, name, None)


class MaskRcnnImageProcessingTester(ImageProcessingTester):
    def __init__(self, parent, **kwargs):
        super().__init__(parent, **{"size": {"shortest_edge": 64, "longest_edge": 64}, **kwargs})

    def _get_image_processing_classes(self):
        return {"torchvision": MaskRcnnImageProcessor}


class MaskRcnnImageProcessingTest(ImageProcessingTest, unittest.TestCase):
    image_processor_tester_class = MaskRcnnImageProcessingTester


class MAttNetProcessorTest(ProcessorTest, unittest.TestCase):
    processor_class = MAttNetProcessor

    def test_valid_processor_kwargs_set(self):
        """The common test wants a class of arguments in MAttNet's own file; it uses the one of all our systems."""
        self.assertIs(self.processor_class.valid_processor_kwargs, ReferringSegmentationProcessorKwargs)


class CacProcessorTest(MAttNetProcessorTest):
    processor_class = CacProcessor
