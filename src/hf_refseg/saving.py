"""Saving what goes to the Hub together with the code that it needs where this package is not installed."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol


class Code(Protocol):
    """The code of a system, see `hub.code`."""

    auto_map: dict[str, str]
    custom_pipelines: dict[str, dict]

    def write(self, folder: Path) -> None: ...


class SavesItsCode:
    """
    Models, image processors and processors, which take their code along in two cases: they were loaded from a folder
    that has it, or they are pushed to the Hub.

    A part of which this is true has an `auto_map`, by which transformers finds its classes in the folder.
    """

    # `hub.code.code_of`, set by registration.py. A copy of this file in a model folder has none: there transformers
    # itself copies the code.
    code_of: ClassVar[Callable[["SavesItsCode"], Code] | None] = None

    def images_by(self) -> "SavesItsCode | None":
        """The part whose system reads the images; None: its own system, or the one that `SYSTEMS` names."""
        return None

    def has_code(self) -> bool:
        """Whether its code is saved with it."""
        return getattr(self.config, "auto_map", None) is not None

    def name_code(self, code: Code) -> None:
        """Has its JSON file name the classes that lie in the folder."""
        self.config.auto_map = dict(code.auto_map)
        self.config.custom_pipelines = copy.deepcopy(code.custom_pipelines)

    def save_pretrained(self, save_directory: str | os.PathLike, *args, push_to_hub: bool = False, **kwargs):
        """As in transformers; with the code where `has_code` says so or it is pushed to the Hub."""
        if push_to_hub:
            self.take_code_along()
        if self.code_of is not None and self.has_code():
            self.take_code_along()  # the names of today, should the folder have been written by an earlier version
            self.code_of().write(Path(save_directory))
        return super().save_pretrained(save_directory, *args, push_to_hub=push_to_hub, **kwargs)

    def take_code_along(self) -> None:
        """From now on its code is saved with it."""
        if self.code_of is not None:
            self.name_code(self.code_of())

    def push_to_hub(self, *args, **kwargs) -> str:
        """As in transformers; with the code, so that the repository works without this package."""
        self.take_code_along()
        return super().push_to_hub(*args, **kwargs)
