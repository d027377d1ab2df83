"""Stage 1 of the photo recipe: name pixels before reading sentences.

The visual projection and one vector per COCO category are fitted to the instance masks: the category of a cell is that
whose vector has the largest product with the cell's normalized visual feature. RMI then starts from that projection,
and its words for things from those vectors, so that "word times feature" already means "this cell may be one".

`hf_refseg.training.word_naming` does the same for drawn shapes, in another way: there the backbone is new and trained
too, and every word has a vector of its own. Here the backbone stays as it is, so that its features are computed once
for all epochs, and the synonyms of a category share one vector.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.training.word_naming import normalize_embeddings

from .categories import PERSON_WORDS
from .photos import Photo, View
from .views import pastable_objects, random_view

logger = logging.getLogger(__name__)

CATEGORIES = tuple(NOUNS)
IGNORE = -100


class PixelNames(nn.Module):
    """One vector per category, and one for "none of them" (index 0)."""

    def __init__(self, visual_size: int):
        super().__init__()
        self.vectors = nn.Linear(visual_size, len(CATEGORIES) + 1)

    def loss(self, visual: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
        """
        Cross-entropy over the labeled cells, rare categories weighted up by the inverse root of their share.

        Args:
            visual: (..., V) normalized visual features.
            names: (...) int64, 0 for none, 1 + index in `CATEGORIES`, `IGNORE` for padding.
        """
        counts = torch.bincount(names[names >= 0].flatten(), minlength=len(CATEGORIES) + 1).clamp(min=1)
        weight = (counts.sum() / counts).sqrt()
        return F.cross_entropy(self.vectors(visual).flatten(0, -2), names.flatten(), weight, ignore_index=IGNORE)


def name_map(scene: View, image_processor, stride: int) -> torch.Tensor:
    """
    The category of each cell of the feature grid of the letterboxed scene; smaller things lie over larger ones.

    With TensorFlow's padding of inputs of even size, cell i of stride s looks at pixel s * i + s - 1.

    Returns:
        (h, w) int64 as `PixelNames.loss` takes it.
    """
    names = np.zeros(scene.masks.shape[1:], dtype=np.int64)
    for index in np.argsort(-scene.areas):
        names[scene.masks[index]] = 1 + CATEGORIES.index(scene.categories[index])
    box = image_processor.placement(names.shape)
    full = torch.full(box.canvas, IGNORE)
    inner = F.interpolate(torch.from_numpy(names)[None, None].float(), size=box.inner, mode="nearest")[0, 0].long()
    full[box.top : box.top + box.inner[0], box.left : box.left + box.inner[1]] = inner
    return full[stride - 1 :: stride, stride - 1 :: stride]  # (H, W) -> (h, w)


def name_pixels(
    model,
    processor,
    photos: Sequence[Photo],
    rng: np.random.Generator,
    views_per_photo: int = 3,
    epochs: int = 12,
    learning_rate: float = 3e-3,
    batch_size: int = 4096,
) -> PixelNames:
    """Fits `model.visual_projection` and new `PixelNames` on frozen backbone features of random views."""
    donors = pastable_objects(photos)
    features, names = [], []
    for photo in tqdm([photo for photo in photos for _ in range(views_per_photo)], desc="stage 1, views"):
        view = random_view(photo, rng, donors)
        pixels = processor.image_processor(view.pixels)["pixel_values"]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            maps = model.backbone(pixels).feature_maps[-1]
        cells = maps[0].flatten(1).T  # (1, C, h, w) -> (h * w, C)
        cell_names = name_map(view, processor.image_processor, pixels.shape[-1] // maps.shape[-1]).flatten()
        features.append(cells[cell_names != IGNORE].half())
        names.append(cell_names[cell_names != IGNORE])
    features, names = torch.cat(features), torch.cat(names)  # (M, C), (M,)

    pixel_names = PixelNames(model.config.visual_size)
    projection = model.visual_projection
    optimizer = torch.optim.AdamW([*projection.parameters(), *pixel_names.parameters()], lr=learning_rate)
    steps = epochs * (len(names) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for _ in tqdm(range(steps), desc="stage 1, fit"):
        batch = torch.from_numpy(rng.integers(len(names), size=batch_size))
        cells = features[batch].float()
        # (M, C) -> (M, V)
        visual = F.normalize(F.linear(cells, projection.weight[:, :, 0, 0], projection.bias), dim=-1)
        loss = pixel_names.loss(visual, names[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    right = (pixel_names.vectors(visual).argmax(-1) == names[batch]).float().mean()
    logger.info("stage 1: %.3f of the cells of the last batch named right, loss %.3f", right, loss)
    return pixel_names


@torch.no_grad()
def start_words(model, tokenizer, pixel_names: PixelNames) -> list[str]:
    """
    Sets the embedding of every word that names a category to that category's vector; returns these words.

    All embeddings then get the same length. Names learned in stage 1 would be 20 times longer than the others, and
    "left" would be drowned by "dog".

    A word of several categories ("board") gets the mean of their vectors. A category's one-word name outranks a part of
    another's longer name: "dog" is the animal, not half of a hot dog.
    """
    categories_of: dict[str, list[str]] = {}
    phrases = [(category, phrase) for category, phrases in NOUNS.items() for phrase in phrases]
    phrases += [("person", word) for word in PERSON_WORDS]
    for category, phrase in sorted(phrases, key=lambda pair: " " in pair[1]):
        for word in phrase.split():
            if " " not in phrase or word not in categories_of:
                categories_of.setdefault(word, []).append(category)
    vocabulary, embeddings = tokenizer.get_vocab(), model.word_embeddings.weight
    named = [word for word in categories_of if word in vocabulary]
    for word in named:
        rows = [1 + CATEGORIES.index(category) for category in categories_of[word]]
        embeddings[vocabulary[word]] = pixel_names.vectors.weight[rows].mean(0)
    normalize_embeddings(model)
    return named
