"""
The picture of the README: what the shipped checkpoint answers to forty expressions about four pictures, right or wrong.

python -m recipes.refseg_photos.picture                                        # docs/photos.png
python -m recipes.refseg_photos.picture --pictures gradio --output gradio.png  # forty more

The expressions were chosen before anybody saw the answers; which of these are right was judged by eye afterwards.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import hf_refseg
from hf_refseg.plotting import overlay

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "photos.png"
# Of each expression, whether the answer is right.
SKIMAGE = {  # anybody may show these
    "chelsea": {
        "the cat": True, "kitten": True, "the animal": True, "the cat's face": True, "left ear": False, "tabby": True,
        "the dog": False, "both cats": False, "the cup": True, "a car": True,
    },
    "coffee": {
        "the cup": True, "coffee cup": True, "spoon": False, "the table": False, "the mug on the table": False,
        "black coffee": False, "the saucer": False, "the bowl": False, "the fork": True, "the knife": True,
    },
    "astronaut": {
        "the woman": True, "the person": True, "woman in orange suit": True, "the girl smiling": True,
        "the astronaut": True, "the flag": False, "the helmet": False, "the rocket": False, "the man": False,
        "the dog": True,
    },
    "rocket": {
        "the rocket": False, "white rocket": False, "the launch tower": False, "tower on left": False,
        "the sky": False, "clouds": False, "the airplane": True, "the train": True, "the person": True, "a boat": True,
    },
}  # fmt: skip
GRADIO = {  # who took these is not said, so the picture stays on one's own disk; COCO has none of these things
    "cheetah": {
        "the cheetah": True, "the animal": True, "big cat": False, "running animal": True, "spotted animal": True,
        "the tail": False, "its head": False, "the dog": True, "the person": False, "a tree": False,
    },
    "cheetah1": {
        "the cheetah": True, "the animal": True, "wild cat": True, "the face": False, "left ear": False,
        "the nose": False, "both eyes": False, "the bear": False, "the giraffe": False, "a man": True,
    },
    "lion": {
        "the lion": False, "the animal in front": False, "lion on the left": True, "lion in back": False,
        "the lioness": False, "both animals": True, "male lion": False, "the rock": False, "the zebra": True,
        "the car": True,
    },
    "tower": {
        "the tower": False, "eiffel tower": False, "the building": False, "tall thing": False, "the branches": False,
        "the tree": False, "the sky": False, "the clock": True, "the airplane": True, "the person": True,
    },
}  # fmt: skip
ASKED = {"skimage": SKIMAGE, "gradio": GRADIO}
SIDE, COLUMNS = 2.1, 10  # inches
RIGHT, WRONG = "#157f3b", "#b3261e"


def picture(source: str, name: str) -> Image.Image:
    """A picture that comes with one of the packages of `ASKED`, at most 360 pixels wide and high."""
    if source == "skimage":
        import skimage.data

        image = Image.fromarray(getattr(skimage.data, name)())
    else:
        import gradio

        image = Image.open(Path(gradio.__file__).parent / "media_assets" / "images" / f"{name}.jpg")
    image = image.convert("RGB")
    image.thumbnail((360, 360))
    return image


def draw(model: str, source: str = "skimage") -> Image.Image:
    """One row of panels for each picture: the mask of each expression, green where it is right, red where it is not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    segment = hf_refseg.pipeline(model=model)
    of_source = ASKED[source]
    figure = Figure(figsize=(SIDE * COLUMNS, SIDE * 0.98 * len(of_source)), layout="constrained")
    axes = figure.subplots(len(of_source), COLUMNS)
    for line, (name, asked) in zip(axes, of_source.items(), strict=True):
        image = picture(source, name)
        for axis, answer in zip(line, segment(image, list(asked)), strict=True):
            found = np.asarray(answer["mask"]).any()
            axis.imshow(overlay(image, answer["mask"]) if found else image)
            mark, color = ("\N{CHECK MARK}", RIGHT) if asked[answer["label"]] else ("\N{BALLOT X}", WRONG)
            axis.set_title(f"{mark} {answer['label']}" + ("" if found else "\nnothing"), color=color, fontsize=10)
            axis.axis("off")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="refseg-photos")
    parser.add_argument("--pictures", choices=sorted(ASKED), default="skimage", help="the package that they come with")
    parser.add_argument("--output", type=Path, help="default: docs/photos.png, for pictures that anybody may show")
    options = parser.parse_args()
    if options.output is None and options.pictures != "skimage":
        parser.error(
            f"give --output: the pictures of {options.pictures} may not be ours to show, so keep them out of docs"
        )
    draw(options.model, options.pictures).save(options.output or OUTPUT, optimize=True)


if __name__ == "__main__":
    main()
