"""
The picture of the README: what the shipped checkpoint answers to forty expressions about four pictures, right or wrong.

python -m recipes.refseg_photos.picture

The expressions were chosen before anybody saw the answers; which of these are right was judged by eye afterwards.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import hf_refseg
from hf_refseg.plotting import overlay

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "photos.png"
# Pictures of scikit-image that anybody may show; of each expression whether the answer is right.
ASKED = {
    "chelsea": {
        "the cat": True, "kitten": True, "the animal": True, "the cat's face": True, "left ear": False, "tabby": True,
        "the dog": True, "both cats": False, "the cup": True, "a car": True,
    },
    "coffee": {
        "the cup": True, "coffee cup": True, "spoon": False, "the table": True, "the mug on the table": True,
        "black coffee": False, "the saucer": False, "the bowl": False, "the fork": True, "the knife": False,
    },
    "astronaut": {
        "the woman": True, "the person": True, "woman in orange suit": True, "the girl smiling": True,
        "the astronaut": False, "the flag": False, "the helmet": False, "the rocket": False, "the man": False,
        "the dog": True,
    },
    "rocket": {
        "the rocket": False, "white rocket": False, "the launch tower": False, "tower on left": False,
        "the sky": False, "clouds": False, "the airplane": True, "the train": True, "the person": True, "a boat": True,
    },
}  # fmt: skip
SIDE, COLUMNS = 2.1, 10  # inches
RIGHT, WRONG = "#157f3b", "#b3261e"


def draw(model: str) -> Image.Image:
    """One row of panels for each picture: the mask of each expression, green where it is right, red where it is not."""
    import skimage.data
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    segment = hf_refseg.pipeline(model=model)
    figure = Figure(figsize=(SIDE * COLUMNS, SIDE * 0.98 * len(ASKED)), layout="constrained")
    axes = figure.subplots(len(ASKED), COLUMNS)
    for line, (name, asked) in zip(axes, ASKED.items(), strict=True):
        image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        image.thumbnail((360, 360))
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
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    draw(options.model).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
