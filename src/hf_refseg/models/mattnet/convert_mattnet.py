"""Checkpoints of the original MAttNet (PyTorch 0.2) into [`MAttNetMatching`]."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers import TokenizersBackend

from ...conversion.folders import write_folder
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.torch_pickles import read_named_arrays
from ...data.official_files import read_json
from ...losses import attribute_weights
from ...processing.tokenization import build_blank_split_tokenizer
from ...writing import require_new
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
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

# PyTorch 0.2 did not count batches; a checkpoint saved again by a later one does.
COUNTER = "num_batches_tracked"
# Options of the original's training that our configuration has too.
OPTIONS = {
    "word_drop_out": "word_dropout",
    "visual_drop_out": "visual_dropout",
    "jemb_drop_out": "matching_dropout",
    "visual_init_norm": "init_norm",
    "margin": "rank_margin",
    "visual_rank_weight": "visual_rank_weight",
    "lang_rank_weight": "language_rank_weight",
    "att_weight": "attribute_loss_weight",
    "max_length": "max_length",
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
        if kind == COUNTER:
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
        head_size = shapes["sub_encoder.fc7_normalizer.weight"][1]
        crop_size = options.get("grid_size", MAttNetConfig.grid_size)
        options.setdefault("detector_config", MaskRcnnConfig(head_size=head_size, crop_size=crop_size))
        return MAttNetConfig(
            vocab_size=vocab_size,
            word_embedding_size=word_embedding_size,
            word_vec_size=shapes["rnn_encoder.mlp.0.weight"][0],
            hidden_size=shapes["rnn_encoder.rnn.weight_hh_l0"][1],
            region_size=shapes["sub_encoder.pool5_normalizer.weight"][1],
            head_size=head_size,
            matching_size=matching_size,
            num_attributes=num_attributes,
            num_neighbors=shapes["loc_encoder.dif_lfeat_normalizer.weight"][1] // 5,
            modules=MODULES,
            **options,
        )
    except KeyError as error:
        raise ValueError(f"not a MAttNet checkpoint: the tensor {error} is missing") from error


def read_infos(checkpoint: str | Path, infos: str | Path | None = None) -> dict:
    """
    The JSON that the original writes beside a checkpoint, `<id>.json` for `<id>.pth`.

    Raises:
        FileNotFoundError, ValueError: it is absent, no JSON, or lacks `word_to_ix`, which nothing else tells.
    """
    path = Path(infos) if infos else Path(checkpoint).with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: the weights know words by number only, and the JSON that the original writes beside "
            "its .pth says which word has which; copy it there or give its path"
        )
    content = read_json(path, dict)
    if missing := [name for name in ("word_to_ix",) if name not in content]:
        raise ValueError(f"{path} lacks {missing}; it has {sorted(content)}")
    return content


def options_from_infos(infos: Mapping) -> dict:
    """Fields of [`MAttNetConfig`] that the weights do not tell: the training's options and the attributes' words."""
    given = infos.get("opt") or {}
    options = {ours: given[theirs] for theirs, ours in OPTIONS.items() if theirs in given}
    if "with_st" in given:
        options["same_category_neighbors"] = bool(given["with_st"])
    if att_to_ix := infos.get("att_to_ix"):
        options["attribute_labels"] = sorted(att_to_ix, key=att_to_ix.get)
    if att_to_cnt := infos.get("att_to_cnt"):
        options["attribute_weights"] = attribute_weights([att_to_cnt[word] for word in options["attribute_labels"]])
    return options


def tokenizer_from_infos(infos: Mapping, config: MAttNetConfig) -> TokenizersBackend:
    """
    The tokenizer of a checkpoint: the demo's rule over its `word_to_ix`.

    Raises:
        ValueError: there are more or fewer words than the embedding has rows.
    """
    words = infos["word_to_ix"]
    if len(words) != config.vocab_size:
        raise ValueError(
            f"word_to_ix has {len(words)} words and the checkpoint's embedding {config.vocab_size} rows: the JSON is "
            "not this checkpoint's"
        )
    return build_blank_split_tokenizer(words, config.max_length)


def load_matching(checkpoint: Mapping[str, np.ndarray] | str | Path, **options) -> MAttNetMatching:
    """
    The matching, in eval mode, with the weights of an original checkpoint; its `config` has their sizes.

    Args:
        checkpoint: see [`read_named_arrays`].
        options: fields of [`MAttNetConfig`] that the weights do not tell, see `options_from_infos`.

    Raises:
        ValueError: a tensor is missing or unknown; the names are listed.
    """
    arrays = read_named_arrays(checkpoint)
    config = infer_config(arrays, **options)
    with torch.device("meta"):
        matching = MAttNetMatching(config)
    matching.load_state_dict(matching_state_dict(arrays, config), strict=True, assign=True)
    return matching.eval()


def matching_state_dict(arrays: Mapping[str, np.ndarray], config: MAttNetConfig) -> dict[str, torch.Tensor]:
    """Every tensor of a [`MAttNetMatching`]; raises ValueError where one is missing or unknown."""
    counters = {name for name in arrays if name.endswith(COUNTER)}
    state_dict = build_state_dict(arrays, matching_sources(config), unused=counters)
    norms = [name.removesuffix("running_mean") for name in state_dict if name.endswith(".running_mean")]
    return state_dict | {norm + COUNTER: torch.zeros((), dtype=torch.long) for norm in norms}


def convert(checkpoint: str | Path, output: str | Path, detector: str | Path, infos: str | Path | None = None) -> Path:
    """
    Write a folder that `AutoModel` and `AutoProcessor` load.

    Args:
        checkpoint: the original `.pth`.
        output: the new folder; it must not exist.
        detector: the original checkpoint of the detector, or a folder of ours that holds one.
        infos: the JSON of the checkpoint; None: the one beside it with its name.
    """
    from ..mask_rcnn.convert_mask_rcnn import load_original
    from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
    from ..mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
    from .modeling_mattnet import MAttNetForReferringSegmentation
    from .processing_mattnet import MAttNetProcessor

    require_new(output)
    content = read_infos(checkpoint, infos)
    if Path(detector).is_dir():
        found = MaskRcnnForInstanceSegmentation.from_pretrained(detector)
    else:
        found = load_original(detector)
    matching = load_matching(checkpoint, detector_config=found.config, **options_from_infos(content))
    processor = MAttNetProcessor(MaskRcnnImageProcessor(), tokenizer_from_infos(content, matching.config))
    return write_folder([MAttNetForReferringSegmentation.from_parts(found.eval(), matching), processor], output)
