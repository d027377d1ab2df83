"""HULANet and its processor through transformers' tests."""

import unittest

import pytest
from transformers.testing_utils import torch_device
from transformers.utils import ModelOutput

from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from tests.tiny import tiny_hulanet

from .test_modeling import SystemTest
from .test_processing import ProcessorTest

pytestmark = pytest.mark.slow


class HulaNetTest(SystemTest, unittest.TestCase):
    make_model = staticmethod(tiny_hulanet)
    # how many detections and relations there are depends on the values
    test_torch_exportable = False
    test_mismatched_shapes = False  # as of its detector

    def test_get_image_features_output(self):
        """Features are of the detections of all images."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).to(torch_device).eval()
        features = model.get_image_features(**inputs)
        self.assertIsInstance(features, ModelOutput)
        self.assertEqual(len(features.region_masks), sum(features.regions.counts))
        self.assertEqual(len(features.detections), 3)


class HulaNetProcessorTest(ProcessorTest, unittest.TestCase):
    processor_class = HulaNetProcessor

    @classmethod
    def _setup_tokenizer(cls):
        return phrase_tokenizer_from_sentences(["lower newer", "upper older longer string"])
