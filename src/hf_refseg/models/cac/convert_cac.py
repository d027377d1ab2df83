"""Checkpoints of the original CAC (lang2seg, PyTorch 0.2) into [`CacForReferringSegmentation`]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import TokenizersBackend

from ...conversion.folders import build_model, write_folder
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.torch_pickles import read_named_arrays
from ...data.official_files import read_json
from ...processing.tokenization import build_blank_split_tokenizer
from ...writing import require_new
from ..mask_rcnn import convert_mask_rcnn
from .configuration_cac import FILTERS, CacConfig
from .modeling_cac import CacForReferringSegmentation

# What the weights alone do not tell: which of the original's networks they were trained in.
NETWORKS = {
    "baseline": {"modulation": "raw", "losses": ("roi",)},
    "spatial": {"modulation": "raw", "losses": ("roi",)},
    "response": {"modulation": "sigmoid", "losses": ("roi", "response")},
    "cycle": {"modulation": "raw", "losses": ("roi", "caption"), "caption_features": "object"},
    "cycle_response": {
        "modulation": "sigmoid",
        "losses": ("roi", "response", "caption"),
        "caption_features": "before_and_after",
    },
}
Network = Literal["baseline", "spatial", "response", "cycle", "cycle_response"]

LSTM = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
CAPTIONER = {
    "cells": "att_embed.0",
    "cell_attention": "ctx2att",
    "state_attention": "core.attention.h2att",
    "attention_score": "core.attention.alpha_net",
    "word_gates": "core.i2h",
    "state_gates": "core.h2h",
    "attended_candidates": "core.a2c",
    "word_logits": "logit",
}


def layer_sources(ours: str, original: str) -> dict[str, Source]:
    """Sources of weight and bias of a layer."""
    return {f"{ours}.{part}": Source((f"{original}.{part}",), as_given) for part in ("weight", "bias")}


def cac_sources(config: CacConfig) -> dict[str, Source]:
    """Sources of every tensor of the model."""
    sources = convert_mask_rcnn.mask_rcnn_sources(config.detector_config, "detector.")
    sources["language.embeddings.weight"] = Source(("rnn_encoder.embedding.weight",), as_given)
    sources |= layer_sources("language.projection", "rnn_encoder.mlp.0")
    for ours, suffix in (("forward_lstm", ""), ("backward_lstm", "_reverse")):
        for tensor in LSTM:
            sources[f"language.{ours}.{tensor}"] = Source((f"rnn_encoder.rnn.{tensor}{suffix}",), as_given)
    if len(config.filters) == 1:
        sources |= layer_sources("spatial_filters.filters.whole", "dynamic_fc")
    else:
        for number, name in enumerate(config.filters):
            sources |= layer_sources(f"spatial_filters.filters.{name}", f"dynamic_fc_{number}")
        sources |= layer_sources("spatial_filters.fusion", "response_fc")
    if "caption" in config.losses:
        sources["captioner.embeddings.weight"] = Source(("caption_model.embed.0.weight",), as_given)
        for ours, original in CAPTIONER.items():
            sources |= layer_sources(f"captioner.{ours}", f"caption_model.{original}")
    return sources


def infer_network(arrays: Mapping[str, np.ndarray]) -> Network:
    """The published network that has such tensors: two others have the same, see `NETWORKS`."""
    if "dynamic_fc.weight" in arrays:
        return "baseline"
    return "cycle_response" if "caption_model.logit.weight" in arrays else "response"


def infer_config(arrays: Mapping[str, np.ndarray], network: Network | None = None, **options) -> CacConfig:
    """
    The configuration whose sizes the arrays have.

    Args:
        network: the original network they were trained in; None: `infer_network`.
        options: fields that no array tells.

    Raises:
        ValueError: an unknown network, or not such a checkpoint.
    """
    network = infer_network(arrays) if network is None else network
    if network not in NETWORKS:
        raise ValueError(f"unknown network {network!r}; use one of {', '.join(NETWORKS)}")
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    try:
        vocab_size, word_embedding_size = shapes["rnn_encoder.embedding.weight"]
        sizes = {
            "vocab_size": vocab_size,
            "word_embedding_size": word_embedding_size,
            "word_vec_size": shapes["rnn_encoder.mlp.0.weight"][0],
            "hidden_size": shapes["rnn_encoder.rnn.weight_hh_l0"][1],
        }
        if "caption" in NETWORKS[network]["losses"]:
            sizes["caption_word_size"] = shapes["caption_model.embed.0.weight"][1]
            sizes["caption_attention_size"], sizes["caption_hidden_size"] = shapes["caption_model.ctx2att.weight"]
    except KeyError as error:
        raise ValueError(f"not a CAC checkpoint of the network {network!r}: the tensor {error} is missing") from error
    filters = FILTERS[:1] if network == "baseline" else FILTERS
    detector = convert_mask_rcnn.infer_config(arrays)
    return CacConfig(**{**sizes, **NETWORKS[network], "filters": filters, "detector_config": detector, **options})


def load_original(
    checkpoint: Mapping[str, np.ndarray] | str | Path, network: Network | None = None, **options
) -> CacForReferringSegmentation:
    """
    The model with the weights of an original checkpoint, in eval mode.

    Args:
        checkpoint: the `.pth` state dict of the original, or see [`read_named_arrays`].
        network, options: as of `infer_config`.

    Raises:
        FileNotFoundError, ValueError: no such file; not such a checkpoint; missing or unknown arrays, listed.
    """
    arrays = read_named_arrays(checkpoint)
    config = infer_config(arrays, network, **options)
    state_dict = build_state_dict(arrays, cac_sources(config), convert_mask_rcnn.unused_names(arrays))
    return build_model(CacForReferringSegmentation, config, state_dict)


def load_tokenizer(vocabulary: str | Path, vocab_size: int) -> TokenizersBackend:
    """
    The tokenizer of a checkpoint: lower case, split at blanks, over the `word_to_ix` of the original's `data.json`.

    Raises:
        FileNotFoundError, ValueError: no such file, not such a file, or not of this checkpoint.
    """
    path = Path(vocabulary)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: the weights know words by number only, and the data.json that the original's "
            "prepro.py writes (cache/prepro/DATASET_SPLITBY/data.json) says which word has which"
        )
    content = read_json(path, dict)
    if "word_to_ix" not in content:
        raise ValueError(f"{path} lacks word_to_ix; it has {sorted(content)}")
    words = content["word_to_ix"]
    if len(words) != vocab_size:
        raise ValueError(
            f"{path} has {len(words)} words and the checkpoint's embedding {vocab_size} rows: it is not this "
            "checkpoint's vocabulary"
        )
    return build_blank_split_tokenizer(words, content.get("label_length", CacConfig.max_length))


def convert(
    checkpoint: Mapping[str, np.ndarray] | str | Path,
    vocabulary: str | Path,
    output: str | Path,
    network: Network | None = None,
) -> Path:
    """
    Write a folder that `AutoModel` and `AutoProcessor` load.

    Args:
        checkpoint, network: as of `load_original`.
        vocabulary: the original's `data.json`.
        output: the new folder; it must not exist.
    """
    from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
    from .processing_cac import CacProcessor

    require_new(output)
    arrays = read_named_arrays(checkpoint)
    tokenizer = load_tokenizer(vocabulary, infer_config(arrays, network).vocab_size)
    model = load_original(arrays, network, max_length=tokenizer.model_max_length)
    labels = model.config.detector_config.id2label
    categories = [labels[label] for label in range(len(labels))]
    processor = CacProcessor(MaskRcnnImageProcessor(), tokenizer, categories=categories)
    return write_folder([model, processor], output)
