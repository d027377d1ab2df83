"""Checkpoints of the original LSTM-CNN (Hu et al.) and of Liu et al.'s R+LSTM and D+LSTM, both TensorFlow 1."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...conversion.folders import build_model, save_converted
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.tensorflow import convolution, dense_as_convolution, read_arrays, word_lstm_sources
from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from ..caffe_resnet.convert_caffe_resnet import backbone_scope, caffe_resnet_sources, unused_deeplab_head
from .configuration_lstm_cnn import LstmCnnConfig
from .modeling_lstm_cnn import LstmCnnForReferringSegmentation

LIU_LSTM = "text_objseg/RNN/multi_rnn_cell/cell_0/basic_lstm_cell"
# The released checkpoints spell the cell as TensorFlow 0.x did; a graph built by TensorFlow >= 1.2 spells it anew.
HU_LSTM_SPELLINGS = (
    ("lstm_lang/RNN/MultiRNNCell/Cell0/BasicLSTMCell/Linear/Matrix", "Bias"),
    ("lstm_lang/rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel", "bias"),
)


def hu_lstm_names(arrays: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Names of the LSTM's kernel and bias in a checkpoint of Hu et al."""
    for kernel, bias in HU_LSTM_SPELLINGS:
        if kernel in arrays:
            return kernel, f"{kernel.rpartition('/')[0]}/{bias}"
    spellings = " nor ".join(kernel for kernel, _ in HU_LSTM_SPELLINGS)
    raise ValueError(f"not an LSTM-CNN checkpoint: it holds neither {spellings}")


def is_hu(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the checkpoint is Hu et al.'s, not Liu et al.'s baseline."""
    return "word_embedding/embedding" in arrays


def infer_config(arrays: Mapping[str, np.ndarray]) -> LstmCnnConfig:
    """The configuration whose stage and sizes the arrays have."""
    try:
        if is_hu(arrays):
            stage = "low_res"
            if "classifier/upsample32s/weights" in arrays:
                stage = "high_res"
            elif arrays["vgg_local/fc6/weights"].ndim == 2:
                stage = "region"
            vocab_size, embedding_size = arrays["word_embedding/embedding"].shape
            kernel, _ = hu_lstm_names(arrays)
            lstm_size, mlp_size = arrays[kernel].shape[1] // 4, arrays["classifier/mlp_l1/biases"].shape[0]
            create, backbone = LstmCnnConfig.hu_stage, {"stage": stage}
        else:
            backbone_scope(arrays)
            vocab_size, embedding_size = arrays["text_objseg/embedding"].shape
            lstm_size = arrays[f"{LIU_LSTM}/bias"].shape[0] // 4
            mlp_size = arrays["text_objseg/conv1/biases"].shape[0]
            create, backbone = LstmCnnConfig.liu_baseline, {"backbone_config": CaffeResNetConfig()}
    except KeyError as error:
        rmi = "text_objseg/RNN/ALSTM/multi_rnn_cell/cell_0/basic_lstm_cell/kernel" in arrays
        hint = " (it looks like RMI: convert it as rmi)" if rmi else ""
        raise ValueError(f"not an LSTM-CNN checkpoint: the array {error} is missing{hint}") from error
    return create(
        **backbone,
        vocab_size=vocab_size,
        word_embedding_size=embedding_size,
        lstm_hidden_size=lstm_size,
        mlp_size=mlp_size,
    )


def first_layer_sources(kernel: str, bias: str, visual_first: bool, config: LstmCnnConfig) -> dict[str, Source]:
    """The classifier's first kernel over [visual, language, position] (Liu) or [language, visual, position] (Hu)."""
    visual_size, language_size = config.visual_size, config.lstm_hidden_size
    visual_start = 0 if visual_first else language_size
    language_start = visual_size if visual_first else 0
    visual_rows = [*range(visual_start, visual_start + visual_size)]
    visual_rows += range(visual_size + language_size, visual_size + language_size + 8)

    def rows(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, array.shape[-1])  # (1, 1, in, out) or (in, out) -> (in, out)

    return {
        "visual_fusion.weight": Source((kernel,), lambda array: rows(array)[visual_rows].T[:, :, None, None]),
        "visual_fusion.bias": Source((bias,), as_given),
        "language_fusion.weight": Source(
            (kernel,), lambda array: rows(array)[language_start : language_start + language_size].T
        ),
    }


def hu_sources(config: LstmCnnConfig, kernel: str, bias: str) -> dict[str, Source]:
    """Sources of every tensor of Hu's model; `kernel` and `bias` name its LSTM."""
    dense = config.stage == "region"
    sources = {
        "word_embeddings.weight": Source(("word_embedding/embedding",), as_given),
        **word_lstm_sources("word_lstm", kernel, bias, config.word_embedding_size),
    }
    for stage, depth in enumerate(config.backbone_config.depths):
        for layer in range(depth):
            ours, original = f"backbone.stages.{stage}.convolutions.{layer}", f"vgg_local/conv{stage + 1}_{layer + 1}"
            sources[f"{ours}.weight"] = Source((f"{original}/weights",), convolution)
            sources[f"{ours}.bias"] = Source((f"{original}/biases",), as_given)
    layers = {"backbone.fc6": "fc6", "backbone.fc7": "fc7", "visual_projection": "fc8"}
    for ours, original in layers.items():
        side = config.backbone_config.fc6_kernel if original == "fc6" else 1
        build = dense_as_convolution(side) if dense else convolution
        sources[f"{ours}.weight"] = Source((f"vgg_local/{original}/weights",), build)
        sources[f"{ours}.bias"] = Source((f"vgg_local/{original}/biases",), as_given)
    sources |= first_layer_sources(
        "classifier/mlp_l1/weights", "classifier/mlp_l1/biases", visual_first=False, config=config
    )
    build = dense_as_convolution(1) if dense else convolution
    sources["classifier.weight"] = Source(("classifier/mlp_l2/weights",), build)
    sources["classifier.bias"] = Source(("classifier/mlp_l2/biases",), as_given)
    if config.stage == "high_res":
        # A transposed convolution's kernel is (kh, kw, out, in) in TensorFlow and (in, out, kh, kw) in torch.
        sources["deconvolution.weight"] = Source(("classifier/upsample32s/weights",), convolution)
    return sources


def liu_sources(config: LstmCnnConfig, scope: str) -> dict[str, Source]:
    """Sources of every tensor of R+LSTM (`scope` "ResNet") or D+LSTM ("DeepLab")."""
    projection = "ResNet/fc1000" if scope == "ResNet" else "text_objseg/conv0"
    return {
        **caffe_resnet_sources(config.backbone_config, "backbone.", scope),
        "visual_projection.weight": Source((f"{projection}/DW",), convolution),
        "visual_projection.bias": Source((f"{projection}/biases",), as_given),
        "word_embeddings.weight": Source(("text_objseg/embedding",), as_given),
        **word_lstm_sources("word_lstm", f"{LIU_LSTM}/kernel", f"{LIU_LSTM}/bias", config.word_embedding_size),
        **first_layer_sources("text_objseg/conv1/DW", "text_objseg/conv1/biases", visual_first=True, config=config),
        "classifier.weight": Source(("text_objseg/conv2/DW",), convolution),
        "classifier.bias": Source(("text_objseg/conv2/biases",), as_given),
    }


def load_original(checkpoint: Mapping[str, np.ndarray] | str | Path) -> LstmCnnForReferringSegmentation:
    """
    The model with the weights of an original checkpoint: Hu's three stages, R+LSTM or D+LSTM, recognized by its names.

    Raises:
        ValueError: an array is missing or unknown; the names are listed.
    """
    arrays = read_arrays(checkpoint)
    config = infer_config(arrays)
    if is_hu(arrays):
        state_dict = build_state_dict(arrays, hu_sources(config, *hu_lstm_names(arrays)))
    else:
        scope = backbone_scope(arrays)
        state_dict = build_state_dict(arrays, liu_sources(config, scope), unused_deeplab_head(scope))
    return build_model(LstmCnnForReferringSegmentation, config, state_dict)


def convert(checkpoint: Mapping[str, np.ndarray] | str | Path, vocabulary: str | Path, output: str | Path) -> Path:
    """
    Write a folder that `AutoModel` and `AutoProcessor` load.

    Args:
        checkpoint: see [`read_arrays`].
        vocabulary: the original vocabulary file, one word per line, as many lines as the embedding has rows.
        output: the new folder; it must not exist.
    """
    from .processing_lstm_cnn import LstmCnnImageProcessor, LstmCnnProcessor

    model = load_original(checkpoint)
    image_processor = LstmCnnImageProcessor.liu_baseline() if model.config.stage == "bilinear" else None
    processor = LstmCnnProcessor.from_vocabulary_file(vocabulary, image_processor)
    return save_converted(model, processor, vocabulary, output)
