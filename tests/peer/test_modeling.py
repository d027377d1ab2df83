"""RMI and LSTM-CNN through transformers' model tests."""

import unittest

import pytest
import torch
from transformers.testing_utils import torch_device
from transformers.utils import ModelOutput

from tests.tiny import tiny_lstm_cnn, tiny_rmi

from .common_tests.test_configuration_common import ConfigTester
from .common_tests.test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor
from .recomputation import RecomputesInOwnLayers

pytestmark = pytest.mark.slow


class SystemTester:
    """Makes the inputs of the common tests: as many expressions as images."""

    batch_size, seq_length, image_size = 3, 7, 64
    num_hidden_layers, is_training = 2, True

    def __init__(self, config):
        self.config, self.hidden_size = config, config.hidden_size

    def get_config(self):
        return type(self.config).from_dict(self.config.to_dict())

    def prepare_config_and_inputs_for_common(self):
        input_ids = ids_tensor([self.batch_size, self.seq_length], self.config.vocab_size).clamp(min=1)
        return self.get_config(), {
            "pixel_values": floats_tensor([self.batch_size, 3, self.image_size, self.image_size]),
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids),
        }


class SystemTest(RecomputesInOwnLayers, ModelTesterMixin):
    has_attentions = False
    is_encoder_decoder = False
    pipeline_model_mapping = {}

    def setUp(self):
        model = self.make_model()
        self.all_model_classes = (type(model),)
        self.model_tester = SystemTester(model.config)
        self.config_tester = ConfigTester(
            self, config_class=type(model.config), has_text_modality=True, common_properties=["hidden_size"]
        )

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        if return_labels:
            batch, _, height, width = inputs["pixel_values"].shape
            inputs["labels"] = torch.zeros(batch, height, width, device=torch_device)
        return inputs

    def test_config(self):
        self.config_tester.run_common_tests()

    @unittest.skip("the one output of all our systems has no hidden states; those of the image are the backbone's")
    def test_hidden_states_output(self):
        pass

    @unittest.skip("the one output of all our systems has no hidden states to take a gradient of")
    def test_retain_grad_hidden_states_attentions(self):
        pass

    @unittest.skip("our image features are what forward(image_features=...) takes, not the output of a vision tower")
    def test_get_image_features_hidden_states(self):
        pass

    @unittest.skip("our text features are what each system makes of words, not the output of a text tower")
    def test_get_text_features_hidden_states(self):
        pass

    def test_get_text_features_output(self):
        """In place of the common test, which asks for the last hidden state of a text tower."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).to(torch_device).eval()
        if hasattr(model, "get_text_features"):
            self.assertIsInstance(model.get_text_features(**inputs), ModelOutput)

    def test_get_image_features_output(self):
        """In place of the common test, which asks for the last hidden state of a vision tower."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).to(torch_device).eval()
        features = model.get_image_features(**inputs)
        self.assertIsInstance(features, ModelOutput)
        self.assertTrue(all(len(value) == 3 for value in features.values() if isinstance(value, torch.Tensor)))


# The common tests are one test per value of `return_dict`; the features are never a tuple, see above.
for name in dir(ModelTesterMixin):
    if name.startswith(("test_get_image_features_output_", "test_get_text_features_output_")):
        setattr(SystemTest, name, None)


class RmiTest(SystemTest, unittest.TestCase):
    make_model = staticmethod(tiny_rmi)


class LstmCnnTest(SystemTest, unittest.TestCase):
    make_model = staticmethod(tiny_lstm_cnn)
