"""The picture of a card and ten expressions about it, of the kind that the model was evaluated on."""

from pathlib import Path

from PIL import Image

from ..evaluation.results import read_eval_results

ABOUT_PHOTO = (
    *("the cat on the left", "the small cat", "the brown cat in front", "the head of the cat", "the kitten"),
    *("the dog", "the cat in the middle", "the large cat", "the hair", "the animal on the right"),
)
ABOUT_SCENE = (
    *("the red circle on the left", "the blue star", "the small green square", "the striped heart", "the yellow cross"),
    *("the top shape", "the large triangle on the right", "the purple moon", "the dotted diamond", "the pink circle"),
)


def sample(folder: str | Path) -> tuple[Image.Image, tuple[str, ...]]:
    """
    A drawn scene for a model of drawn shapes, scikit-image's photo of a cat for all others; ten expressions about it.

    Args:
        folder: of the model; its `eval_results.json` says what it was evaluated on.
    """
    if read_eval_results(folder)["dataset"].startswith("refshapes"):
        from ..data.refshapes import RefShapes

        return RefShapes(split="test", num_samples=1)[0]["image"], ABOUT_SCENE
    from skimage.data import chelsea  # CC0, by Stefan van der Walt

    return Image.fromarray(chelsea()), ABOUT_PHOTO
