"""Checkpoints of the original RMI (TensorFlow 1) into [`RmiForReferringSegmentation`]."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...conversion.folders import build_model, save_converted
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.tensorflow import convolution, lstm_bias_source, lstm_rows, read_arrays, word_lstm_sources
from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from ..caffe_resnet.convert_caffe_resnet import backbone_scope, caffe_resnet_sources, unused_deeplab_head
from .configuration_rmi import RmiConfig
from .modeling_rmi import RmiForReferringSegmentation

CELL = "multi_rnn_cell/cell_0/basic_lstm_cell"
WORD_LSTM, MULTIMODAL_LSTM = f"text_objseg/RNN/WLSTM/{CELL}", f"text_objseg/RNN/ALSTM/{CELL}"


def infer_config(arrays: Mapping[str, np.ndarray]) -> RmiConfig:
    """The configuration whose sizes the arrays have."""
    backbone_scope(arrays)
    try:
        vocab_size, embedding_size = arrays["text_objseg/embedding"].shape
        return RmiConfig(
            backbone_config=CaffeResNetConfig(),
            vocab_size=vocab_size,
            word_embedding_size=embedding_size,
            lstm_hidden_size=arrays[f"{WORD_LSTM}/bias"].shape[0] // 4,
            hidden_size=arrays[f"{MULTIMODAL_LSTM}/bias"].shape[0] // 4,
        )
    except KeyError as error:
        hint = " (it looks like the LSTM baseline: convert it as lstm-cnn)" if "text_objseg/conv1/DW" in arrays else ""
        raise ValueError(f"not an RMI checkpoint: the array {error} is missing{hint}") from error


def rmi_sources(config: RmiConfig, scope: str) -> dict[str, Source]:
    """Sources of every tensor of the model; `scope` is "ResNet" or "DeepLab"."""
    visual, words = config.visual_size, config.word_embedding_size + config.lstm_hidden_size
    position = visual + words  # the original concatenates [visual, word, sentence, position] and the state
    state = position + 8
    projection = "ResNet/fc1000" if scope == "ResNet" else "text_objseg/conv0"

    def as_kernel(build):
        return lambda array: build(array)[:, :, None, None]  # (4D, rows) -> (4D, rows, 1, 1)

    kernel, bias = f"{MULTIMODAL_LSTM}/kernel", f"{MULTIMODAL_LSTM}/bias"
    return {
        **caffe_resnet_sources(config.backbone_config, "backbone.", scope),
        "visual_projection.weight": Source((f"{projection}/DW",), convolution),
        "visual_projection.bias": Source((f"{projection}/biases",), as_given),
        "word_embeddings.weight": Source(("text_objseg/embedding",), as_given),
        **word_lstm_sources(
            "word_lstm", f"{WORD_LSTM}/kernel", f"{WORD_LSTM}/bias", input_size=config.word_embedding_size
        ),
        "multimodal_lstm.visual_gates.weight": Source((kernel,), as_kernel(lstm_rows((0, visual), (position, state)))),
        "multimodal_lstm.visual_gates.bias": lstm_bias_source(bias),
        "multimodal_lstm.word_gates.weight": Source((kernel,), lstm_rows((visual, position))),
        "multimodal_lstm.state_gates.weight": Source((kernel,), as_kernel(lstm_rows((state, None)))),
        "classifier.weight": Source(("text_objseg/conv2/DW",), convolution),
        "classifier.bias": Source(("text_objseg/conv2/biases",), as_given),
    }


def load_original(checkpoint: Mapping[str, np.ndarray] | str | Path) -> RmiForReferringSegmentation:
    """
    The model with the weights of an original checkpoint (R+RMI or D+RMI, recognized by its names).

    Raises:
        ValueError: an array is missing or unknown; the names are listed.
    """
    arrays = read_arrays(checkpoint)
    config, scope = infer_config(arrays), backbone_scope(arrays)
    state_dict = build_state_dict(arrays, rmi_sources(config, scope), unused_deeplab_head(scope))
    return build_model(RmiForReferringSegmentation, config, state_dict)


def convert(checkpoint: Mapping[str, np.ndarray] | str | Path, vocabulary: str | Path, output: str | Path) -> Path:
    """
    Write a folder that `AutoModel` and `AutoProcessor` load.

    Args:
        checkpoint: see [`read_arrays`].
        vocabulary: the original vocabulary file, one word per line, as many lines as the embedding has rows.
        output: the new folder; it must not exist.
    """
    from .processing_rmi import RmiProcessor

    processor = RmiProcessor.from_vocabulary_file(vocabulary)
    return save_converted(load_original(checkpoint), processor, vocabulary, output)
