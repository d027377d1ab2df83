"""
The cards of the checkpoints that ship, each made from its page in `written/` and its results files.

    python model_cards/generate.py                  # all cards
    python model_cards/generate.py NAME --picture   # draw the card's picture too

A card is written twice, with the same content: as NAME.md here, and as README.md in the checkpoint's folder.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from transformers import AutoImageProcessor, AutoModel

import hf_refseg
from hf_refseg.checkpoints import checkpoint_names, checkpoint_path
from hf_refseg.hub.card import make_card, read_page
from hf_refseg.hub.samples import sample
from hf_refseg.models.mask_rcnn.pipeline_mask_rcnn import MaskRcnnPipeline
from hf_refseg.plotting import overlay

CARDS = Path(__file__).resolve().parent


def card_of(name: str) -> str:
    """The card of a shipped checkpoint."""
    return make_card(checkpoint_path(name), read_page(CARDS / "written" / f"{name}.md"))


def draw_picture(name: str) -> None:
    """What the model answers about its sample picture, beside the card."""
    image, _ = sample(checkpoint_path(name))
    texts = read_page(CARDS / "written" / f"{name}.md").texts
    if texts:
        answers = hf_refseg.pipeline(model=name)(image, texts)
    else:
        model, processor = (auto.from_pretrained(checkpoint_path(name)) for auto in (AutoModel, AutoImageProcessor))
        answers = MaskRcnnPipeline(model, image_processor=processor)(image)
    scale = max(1, 400 // image.width)  # drawn scenes are tiny
    size = (scale * image.width, scale * image.height)
    masks = [answer["mask"].resize(size, Image.Resampling.NEAREST) for answer in answers]
    picture = overlay(image.resize(size, Image.Resampling.LANCZOS), masks, [answer["label"] for answer in answers])
    picture.save(CARDS / f"{name}.png", optimize=True)
    shutil.copyfile(CARDS / f"{name}.png", Path(checkpoint_path(name)) / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all checkpoints that ship")
    parser.add_argument("--picture", action="store_true", help="draw the picture too, which runs the model")
    options = parser.parse_args()
    for name in options.names or checkpoint_names():
        if options.picture:
            draw_picture(name)
        card = card_of(name)
        for path in (CARDS / f"{name}.md", Path(checkpoint_path(name)) / "README.md"):
            path.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
