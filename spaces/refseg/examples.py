"""Photos to start with. They are free of rights and come with scikit-image, so that none lies in this repository."""

from dataclasses import dataclass
from functools import cache

import skimage.data
from choices import choices
from page import cut_outs, stage
from PIL import Image
from segmenting import segment_on
from why import why


@dataclass(frozen=True)
class Example:
    """
    Args:
        source: the function of `skimage.data` that gives the photo.
        expressions: about it.
    """

    source: str
    expressions: tuple[str, ...]

    def photo(self) -> Image.Image:
        return Image.fromarray(getattr(skimage.data, self.source)())


EXAMPLES = (
    Example("coffee", ("the cup", "the spoon")),  # CC0, Rachel Michetti
    Example("chelsea", ("the cat",)),  # CC0, Stefan van der Walt
    Example("astronaut", ("the woman in the orange suit",)),  # NASA, public domain
)


@cache
def example_answer(index: int) -> tuple[str, str, str]:
    """Masks, cut-outs and reasons of the default system, as HTML; computed once, without a GPU."""
    example = EXAMPLES[index]
    answer = segment_on("cpu", choices()[0], example.photo(), list(example.expressions))
    return stage(answer), cut_outs(answer), why(answer)
