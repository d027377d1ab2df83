"""Checkpoints of the original MAttNet (PyTorch 0.2) into [`MAttNetMatching`]."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ...tensorflow_checkpoints import Source, as_given, build_state_dict
from .configuration_mattnet import MODULES, MAttNetConfig
from .matching import MAttNetMatching

# Our name of a part, and the original's; "{module}" is one of the next table.
LANGUAGE = {
    "language.encoder.embeddings": "rnn_encoder.embedding",
    "language.encoder.projection": "rnn_encoder.mlp.0",
    "language.weights": "weight_fc",
}
SHORT_NAMES = {"subject": "sub", "location": "loc", "relationship": "rel"}
EVERY_MODULE = {
    "language.phrases.{module}.score": "{short}_attn.fc",
    **{
        f"visual.{{module}}.{ours}_embedding.{layer}": f"{{short}}_matching.{theirs}_emb_fc.{index}"
        for ours, theirs in (("visual", "vis"), ("language", "lang"))
        for layer, index in (("hidden", 0), ("hidden_norm", 1), ("output", 4), ("output_norm", 5))
    },
}
OF_MODULE = {
    "subject": {
        "region_normalizer": "pool5_normalizer",
        "head_normalizer": "fc7_normalizer",
        "attribute_normalizer": "att_normalizer",
        "phrase_normalizer": "phrase_normalizer",
        "fusion": "att_fuse.0",
        "fusion_norm": "att_fuse.1",
        "attribute_classifier": "att_fc",
        "attention_hidden": "attn_fuse.0",
        "attention_score": "attn_fuse.2",
    },
    "location": {
        "location_normalizer": "lfeat_normalizer",
        "offset_normalizer": "dif_lfeat_normalizer",
        "fusion": "fc",
    },
    "relationship": {
        "visual_normalizer": "vis_feat_normalizer",
        "offset_normalizer": "lfeat_normalizer",
        "fusion": "fc",
    },
}


def part_names() -> dict[str, str]:
    """Our name of every part that has tensors, but the LSTMs, to the original's."""
    names = dict(LANGUAGE)
    for module, short in SHORT_NAMES.items():
        names |= {ours.format(module=module): theirs.format(short=short) for ours, theirs in EVERY_MODULE.items()}
        names |= {f"visual.{module}.{ours}": f"{short}_encoder.{theirs}" for ours, theirs in OF_MODULE[module].items()}
    return names


def matching_sources(config: MAttNetConfig) -> dict[str, Source]:
    """Sources of every tensor of a whole [`MAttNetMatching`] but `num_batches_tracked`, which PyTorch 0.2 lacked."""
    with torch.device("meta"):
        tensors = MAttNetMatching(config).state_dict()
    parts, sources = part_names(), {}
    for name in tensors:
        part, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        if part.endswith("_lstm"):
            suffix = "_reverse" if part.endswith("backward_lstm") else ""
            sources[name] = Source((f"rnn_encoder.rnn.{kind}{suffix}",), as_given)
        elif part.endswith("_normalizer"):
            sources[name] = Source((f"{parts[part]}.{kind}",), lambda weight: weight[0])  # (1, C) -> (C,)
        else:
            sources[name] = Source((f"{parts[part]}.{kind}",), as_given)
    return sources


def infer_config(arrays: Mapping[str, np.ndarray], **options) -> MAttNetConfig:
    """The configuration whose sizes the arrays have; `options` are fields that no array tells."""
    try:
        shapes = {name: np.shape(arrays[name]) for name in arrays}
        vocab_size, word_embedding_size = shapes["rnn_encoder.embedding.weight"]
        num_attributes, matching_size = shapes["sub_encoder.att_fc.weight"]
        return MAttNetConfig(
            vocab_size=vocab_size,
            word_embedding_size=word_embedding_size,
            word_vec_size=shapes["rnn_encoder.mlp.0.weight"][0],
            hidden_size=shapes["rnn_encoder.rnn.weight_hh_l0"][1],
            region_size=shapes["sub_encoder.pool5_normalizer.weight"][1],
            head_size=shapes["sub_encoder.fc7_normalizer.weight"][1],
            matching_size=matching_size,
            num_attributes=num_attributes,
            num_neighbours=shapes["loc_encoder.dif_lfeat_normalizer.weight"][1] // 5,
            modules=MODULES,
            **options,
        )
    except KeyError as error:
        raise ValueError(f"not a MAttNet checkpoint: the tensor {error} is missing") from error


def load_matching(checkpoint: Mapping[str, np.ndarray] | str | Path, **options) -> MAttNetMatching:
    """
    The matching, in eval mode, with the weights of an original checkpoint; its `config` has their sizes.

    Args:
        options: fields of [`MAttNetConfig`] that the weights do not tell.

    Raises:
        ValueError: a tensor is missing or unknown; the names are listed.
    """
    arrays = checkpoint
    config = infer_config(arrays, **options)
    unused = {name for name in arrays if name.endswith(".num_batches_tracked")}
    state_dict = build_state_dict(arrays, matching_sources(config), unused)
    with torch.device("meta"):
        model = MAttNetMatching(config)
    for name in model.state_dict():
        if name.endswith(".num_batches_tracked"):
            state_dict[name] = torch.zeros((), dtype=torch.long)
    model.load_state_dict(state_dict, strict=True, assign=True)
    return model.eval()
