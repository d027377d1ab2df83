"""Which arguments of a forward are given: each is read, or refused with its name."""

import inspect
import logging
from collections.abc import Mapping
from typing import get_args

import torch

logger = logging.getLogger(__name__)

# What callers in transformers hand to any model. Ours keep no hidden states, and some have nothing to explain.
CONVENTIONS = ("output_hidden_states", "output_attentions", "use_cache", "num_items_in_batch")
# What processors return for the way back to the photo: read by the post-processing, and by models that draw boxes.
OF_PROCESSORS = ("original_sizes",)


def check_call(
    model: torch.nn.Module,
    unknown: Mapping[str, object],
    input_ids: torch.Tensor | None,
    features: Mapping[str, object],
    images: Mapping[str, object],
) -> None:
    """
    What every system's forward checks first: there are words, images come once, and every argument is read.

    Args:
        unknown: the `**kwargs` of the forward.
        features: the arguments that stand for images, such as `image_features`, and their values.
        images: `pixel_values` and all that says more of them.

    Raises:
        ValueError: no `input_ids`; neither images nor features, or both; tensors without values. TypeError: an argument
            that does not exist.
    """
    refuse_unknown(model, unknown)
    if input_ids is None:
        raise ValueError(f"{type(model).__name__} needs input_ids: what to look for")
    check_sources(features, images)
    for name, value in {"input_ids": input_ids, **images}.items():
        if isinstance(value, torch.Tensor) and value.is_meta and model.device.type != "meta":
            raise ValueError(
                f"{name} is on the device meta, where tensors have no values; the model is on {model.device}"
            )
    if not torch.compiler.is_compiling():
        check_features(model, features)


def check_features(model: torch.nn.Module, features: Mapping[str, object]) -> None:
    """
    Raises:
        TypeError: features are not what the forward's annotation says, such as those of another model.
    """
    for name, value in features.items():
        if value is None:
            continue
        kinds = [kind.__name__ for kind in get_args(inspect.signature(model.forward).parameters[name].annotation)]
        # by name: in a model folder that brings its own code, every file that is loaded has its own copy of a class
        if not {ancestor.__name__ for ancestor in type(value).__mro__} & set(kinds):
            raise TypeError(
                f"{name} are a {type(value).__name__}; give the {kinds[0]} that {type(model).__name__} itself made"
            )


def refuse_unknown(model: torch.nn.Module, unknown: Mapping[str, object]) -> None:
    """
    Checks the `**kwargs` of a forward, or of a part of it that takes all that the processor returned.

    Raises:
        TypeError: an argument that the forward does not have, unless it is None or a convention of transformers.
    """
    if not unknown:
        return
    name, said = type(model).__name__, [key for key, value in unknown.items() if value is not None]
    known = [key for key in inspect.signature(model.forward).parameters if key != "kwargs"]
    if wrong := [key for key in said if key not in (*known, *CONVENTIONS, *OF_PROCESSORS)]:
        raise TypeError(f"{name} has no argument {', '.join(wrong)}; its arguments are {', '.join(known)}")
    for key in ("output_hidden_states", "output_attentions"):
        if unknown.get(key):
            logger.warning("%s changes nothing: %s has nothing to return for it", key, name)


def check_sources(features: Mapping[str, object], images: Mapping[str, object]) -> None:
    """
    Raises:
        ValueError: neither images nor features that stand for them, or both.
    """
    ready = [name for name, value in features.items() if value is not None]
    others = [*ready[1:], *(name for name, value in images.items() if value is not None)]
    if ready and others:
        raise ValueError(f"{ready[0]} hold their images already: leave out {', '.join(others)}")
    if not ready and "pixel_values" not in others:
        raise ValueError(f"give {', '.join(['pixel_values', *list(features)[:-1]])} or {list(features)[-1]}")


def refuse_beside(what: str, values: Mapping[str, object]) -> None:
    """
    Raises:
        ValueError: one of `values`, which nothing reads beside (or without) `what`, is given.
    """
    if unread := [name for name, value in values.items() if value is not None]:
        raise ValueError(f"{', '.join(unread)} would not be read {what}: leave out {', '.join(unread)}")


def require_all(parts: Mapping[str, object], what: str) -> None:
    """Raises ValueError where some of the arguments that belong together are missing."""
    missing = [name for name, value in parts.items() if value is None]
    if missing:
        raise ValueError(f"{what} needs {', '.join(parts)}; {', '.join(missing)} is missing")
