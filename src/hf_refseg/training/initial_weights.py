"""The weights a training starts from: all of them fit, and none that stays frozen is random."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoProcessor,
    BaseImageProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..checkpoints import resolve_checkpoint
from ..processing.word_vectors import initial_embeddings, load_word_vectors
from .sections import ImageProcessorSection, VocabularySection, tell_what_is_cut_off


def find_weights(key: str, name: str, *model_types: str) -> str:
    """
    The folder (or Hub id) of a whole model that `weights.<key>` of a recipe names.

    Args:
        name: a folder, a name that ships, or a Hub id.
        model_types: what the model may be.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds another kind of model, or none.
    """
    folder = resolve_checkpoint(name)
    try:
        found = PreTrainedConfig.get_config_dict(folder)[0].get("model_type")
    except OSError as error:
        raise FileNotFoundError(
            f"weights.{key}: no model in {name} (a folder with config.json and model.safetensors is expected)"
        ) from error
    if found not in model_types:
        raise ValueError(f"weights.{key}: {name} holds a {found}, but a {' or a '.join(model_types)} is needed")
    return folder


def load_detector(name: str | None, purpose: str, *model_types: str) -> tuple[PreTrainedModel, BaseImageProcessor]:
    """
    The trained detector below a new system, and its image processor.

    Args:
        name: `weights.detector` of a recipe.
        purpose: the beginning of the error where there is none, e.g. "CAC modulates the feature map of".
        model_types: what it may be.

    Raises:
        ValueError: no name, or a model of another type.
        FileNotFoundError: there is no such folder.
    """
    if name is None:
        raise ValueError(
            f"{purpose} a trained detector: give its folder as --detector, for instance runs/mask_rcnn_refshapes after "
            "hf-refseg train mask_rcnn_refshapes"
        )
    folder = find_weights("detector", name, *model_types)
    detector = AutoModel.from_pretrained(folder)
    detector.config._name_or_path = ""  # a folder of this machine would be saved in the new model's configuration
    return detector, AutoImageProcessor.from_pretrained(folder)


def load_whole_model(name: str, model_type: str, wanted: Mapping[str, Any]) -> PreTrainedModel:
    """The model of `weights.all`.

    Args:
        wanted: the `model` section of the recipe, which must agree with the model's configuration.
    """
    model = AutoModel.from_pretrained(find_weights("all", name, model_type))
    require_same_config(wanted, model.config, name)
    return model


def load_processor(
    name: str, sentences: Iterable[str], words: VocabularySection, images: ImageProcessorSection | None = None
) -> Any:
    """The processor of `weights.all`.

    Args:
        sentences: of the training; how many are longer than what it reads is logged.
        words: the section `processor`, which must leave the vocabulary alone.
        images: the same section of a family whose recipes say how images are made.

    Raises:
        ValueError: the section asks for a vocabulary.
    """
    words.require_unsaid(f"weights.all: {name}")
    folder = resolve_checkpoint(name)
    processor = AutoProcessor.from_pretrained(folder)
    image_processor_class = type(processor.image_processor)
    if images is not None and (options := images.image_options(image_processor_class)):
        processor.image_processor = image_processor_class.from_pretrained(folder, **options)
    tell_what_is_cut_off(processor.tokenizer, sentences)
    return processor


def load_backbone_weights(model: nn.Module, name: str, parts: Sequence[str]) -> set[str]:
    """Give `model` the pretrained weights of `weights.backbone`.

    Args:
        name: folder of a backbone (`backbone.save_pretrained`), or of a model of ours (`hf-refseg convert` makes one).
        parts: which modules of `model` are taken where the folder holds a model of ours: what the papers take from a
            pretrained network. Its classifier (fc8, fc1000) is the projection of the visual feature.

    Returns:
        The names of the parameters that have them now.

    Raises:
        FileNotFoundError: no `model.safetensors` there.
        ValueError: weights that only one side has, or shapes that differ.
    """
    from safetensors.torch import load_file

    path = Path(resolve_checkpoint(name)) / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: weights.backbone is a folder with the file model.safetensors")
    weights = load_file(path)
    if not any(name.startswith("backbone.") for name in weights):
        weights = {f"backbone.{name}": tensor for name, tensor in weights.items()}
    loaded = set()
    for part in parts:
        of_part = {name.removeprefix(f"{part}."): w for name, w in weights.items() if name.startswith(f"{part}.")}
        if of_part:
            load_exactly(model.get_submodule(part), of_part, f"weights.backbone: {path.parent}")
            loaded |= {f"{part}.{name}" for name in of_part}
    return loaded


def load_embeddings(model: PreTrainedModel, tokenizer, name: str) -> None:
    """Give the word embeddings of `model` the word vectors of `weights.embeddings`, where these know the word."""
    embeddings = model.get_input_embeddings().weight
    vectors = load_word_vectors(name)
    embeddings.data.copy_(initial_embeddings(tokenizer, vectors, dim=embeddings.shape[1]))


def load_exactly(module: nn.Module, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Load `weights` into a module that has these and no others.

    Raises:
        ValueError: names that only one side has, or shapes that differ.
    """
    own = module.state_dict()
    unknown, missing = sorted(weights.keys() - own.keys()), sorted(own.keys() - weights.keys())
    shapes = [
        f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
        for name in sorted(weights.keys() & own.keys())
        if weights[name].shape != own[name].shape
    ]
    if unknown or missing or shapes:
        raise ValueError(
            f"{source} does not fit {type(module).__name__}: missing {missing[:5]} ({len(missing)}), unknown "
            f"{unknown[:5]} ({len(unknown)}), other shapes {shapes[:5]} ({len(shapes)})"
        )
    module.load_state_dict(weights)


def require_pretrained(frozen: Iterable[str], pretrained: set[str]) -> None:
    """Raise a ValueError if a parameter that the training leaves as it is would keep its random start."""
    random = sorted(set(frozen) - pretrained)
    if random:
        raise ValueError(
            f"{len(random)} frozen parameters would stay random ({', '.join(random[:3])} ...): say in the section "
            "weights where they come from (--weights.backbone FOLDER or --weights.all FOLDER), or train everything "
            "with --freeze null"
        )


def require_same_config(wanted: Mapping[str, Any], config, source: str) -> None:
    """Raise a ValueError where a recipe asks for another configuration than the weights it starts from have."""
    for name, value in wanted.items():
        if name != "backbone_config" and getattr(config, name) != value:
            raise ValueError(f"model.{name} is {value!r} in the recipe, but {source} has {getattr(config, name)!r}")
