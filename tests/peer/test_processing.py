"""The image processors and processors through transformers' tests."""

import unittest

import pytest

from hf_refseg import LstmCnnImageProcessor, LstmCnnProcessor, RmiImageProcessor, RmiProcessor
from hf_refseg.processing.image_processing import RefSegImageProcessorKwargs
from hf_refseg.processing.processor import ReferringSegmentationProcessorKwargs
from hf_refseg.processing.tokenization import tokenizer_from_sentences

from .common_tests.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin
from .common_tests.test_processing_common import ProcessorTesterMixin

pytestmark = pytest.mark.slow


class RmiImageProcessingTester(ImageProcessingTester):
    def __init__(self, parent, **kwargs):
        super().__init__(parent, **{"size": {"height": 64, "width": 64}, **kwargs})

    def _get_image_processing_classes(self):
        return {"torchvision": RmiImageProcessor}


class LstmCnnImageProcessingTester(RmiImageProcessingTester):
    def _get_image_processing_classes(self):
        return {"torchvision": LstmCnnImageProcessor}


class ImageProcessingTest(ImageProcessingTestMixin):
    def test_call_numpy_4_channels(self):
        """The common test wants four channels to stay four; ours become RGB, which is all that a network takes."""
        for image_processing_class in self.image_processing_classes.values():
            processor = image_processing_class(**self.image_processor_dict)
            self.image_processor_tester.num_channels = 4
            images = self.image_processor_tester.prepare_image_inputs(numpify=True)
            pixels = processor(images, input_data_format="channels_last").pixel_values
            self.assertEqual(pixels.shape, (len(images), 3, 64, 64))

    def test_valid_kwargs_set(self):
        """The common test wants one class of arguments per processor; ours share theirs."""
        for image_processing_class in self.image_processing_classes.values():
            self.assertIs(image_processing_class.valid_kwargs, RefSegImageProcessorKwargs)


class RmiImageProcessingTest(ImageProcessingTest, unittest.TestCase):
    image_processor_tester_class = RmiImageProcessingTester


class LstmCnnImageProcessingTest(ImageProcessingTest, unittest.TestCase):
    image_processor_tester_class = LstmCnnImageProcessingTester


class ProcessorTest(ProcessorTesterMixin):
    @classmethod
    def _setup_tokenizer(cls):
        return tokenizer_from_sentences(["lower newer", "upper older longer string"])

    @classmethod
    def _setup_image_processor(cls):
        return cls.processor_class.default_image_processor()


class RmiProcessorTest(ProcessorTest, unittest.TestCase):
    processor_class = RmiProcessor

    def test_valid_processor_kwargs_set(self):
        """The common test wants a class of arguments in RMI's own file; it uses the one of all our systems."""
        self.assertIs(self.processor_class.valid_processor_kwargs, ReferringSegmentationProcessorKwargs)


class LstmCnnProcessorTest(ProcessorTest, unittest.TestCase):
    processor_class = LstmCnnProcessor
