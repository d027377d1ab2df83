"""The recipe of `refseg-photos-rmi`: RMI with context for real photos, from a few hundred of them.

    python -m recipes.refseg_photos_rmi.train --data ../shared/data --output runs/photos

Stage 1 names pixels (`pixel_naming`). Stage 2 trains everything but the backbone on expressions: authored ones,
sentences made anew for every random view, and names of things that are not there. Stage 3 trains the backbone too, with
a small learning rate; after every `evaluate_every` of its epochs the running average of the weights is saved if it is
the best so far on val.
"""

import argparse
import copy
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_refseg import (
    ContextRmiConfig,
    ContextRmiForReferringSegmentation,
    ContextRmiProcessor,
    RefSegMobileNetV2Config,
    RmiImageProcessor,
)
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.data.photos.dialect import describe_nothing, vocabulary
from hf_refseg.data.photos.making import draw_expressions as draw_made
from hf_refseg.processing.tokenization import tokenizer_from_sentences

from .categories import PERSON_WORDS
from .evaluate import evaluate, write_results
from .photos import Photo, View, read_photos
from .pixel_naming import PixelNames, name_map, name_pixels, start_words
from .views import pastable_objects, random_view

logger = logging.getLogger(__name__)

RECIPE = Path(__file__).parent / "recipe.yaml"
Recipe = TypeVar("Recipe")


@dataclass
class PhotoRecipe:
    """
    Everything a YAML file says about a run; paths are relative to `--data`.

    Args:
        folders: COCO-layout folders; images of `held_out` splits of any of them are never trained on.
        image_size, inference_size: side of the square input in training, and afterwards. Crops make things look larger
            in training than they are in whole photos; a larger input makes up for it (Touvron et al. 2019).
        backbone: weights of the backbone, under `backbone_config`.
        expressions_per_view: of which `absent_share` name things that are not there.
        authored_repeats: how often an epoch shows a photo with authored expressions; the others are shown once.
        backbone_epochs: how many of the `epochs`, the last ones, train the backbone.
        naming_weight: weight of the pixel naming loss, which goes on beside the expressions.
        unknown_words: probability that a training word is replaced by the unknown one.
    """

    folders: list[str]
    held_out: list[str]
    backbone: str
    backbone_config: str
    model: dict = field(default_factory=dict)
    image_size: int = 512
    inference_size: int = 576
    epochs: int = 30
    backbone_epochs: int = 10
    authored_repeats: int = 2
    photos_per_step: int = 3
    expressions_per_view: int = 6
    absent_share: float = 0.25
    learning_rate: float = 1e-3
    backbone_learning_rate: float = 2e-4
    weight_decay: float = 0.01
    naming_weight: float = 0.2
    unknown_words: float = 0.05
    average_decay: float = 0.998
    evaluate_every: int = 5
    seed: int = 0
    naming: dict = field(default_factory=dict)


def read_recipe(path: Path, kind: type[Recipe] = PhotoRecipe) -> Recipe:
    """
    Args:
        kind: the dataclass whose fields the file gives.

    Raises:
        ValueError: the file has a key that `kind` has not, or lacks one.
    """
    try:
        return kind(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ValueError(f"{path}: {error}; {kind.__name__} lists all keys") from error


def build(
    recipe: PhotoRecipe, data: Path, photos: list[Photo]
) -> tuple[ContextRmiForReferringSegmentation, ContextRmiProcessor]:
    """The model on its published backbone, and the processor with a vocabulary of all words that training can meet."""
    sentences = [text for photo in photos for texts in photo.sentences.values() for text in texts]
    nouns = [noun for nouns in NOUNS.values() for noun in nouns]
    tokenizer = tokenizer_from_sentences([*sentences, *nouns, *PERSON_WORDS, *vocabulary()])
    size = {"height": recipe.image_size, "width": recipe.image_size}
    # (x - 128) / 128, what the backbone was trained with.
    image_processor = RmiImageProcessor(size=size, image_mean=[128.0] * 3, image_std=[128.0] * 3)
    backbone = RefSegMobileNetV2Config.from_json_file(data / recipe.backbone_config)
    backbone.set_output_features_output_indices(out_features=["stage2", "deeplab"], out_indices=None)
    model = ContextRmiForReferringSegmentation(
        ContextRmiConfig(backbone_config=backbone, vocab_size=len(tokenizer), **recipe.model)
    )
    model.backbone.load_state_dict({name: tensor.float() for name, tensor in load_file(data / recipe.backbone).items()})
    return model, ContextRmiProcessor(image_processor, tokenizer)


def draw_expressions(view: View, recipe: PhotoRecipe, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """(expression, (H, W) bool mask) pairs of a view: authored first, then made ones, and things that are not there."""
    count, empty = recipe.expressions_per_view, np.zeros(view.masks.shape[1:], dtype=bool)
    absent = rng.binomial(count, recipe.absent_share)
    authored = [view.authored[i] for i in rng.permutation(len(view.authored))[: count // 2]]
    scene = view.scene()
    drawn = [(text, view.masks[index]) for text, index in authored]
    for made in draw_made(scene, rng, count - absent - len(authored)):
        drawn.append((made.text, view.masks[list(made.referents)].any(0)))
    for _ in range(max(absent, 1 - len(drawn))):
        # half of them ask for a look-alike, where the view has something that looks like something else
        made = describe_nothing(scene, rng, look_alike=rng.random() < 0.5) or describe_nothing(scene, rng, False)
        drawn.append((made.text, empty))
    return drawn


def shown_photos(photos: list[Photo], recipe: PhotoRecipe) -> list[Photo]:
    """The photos of one epoch, those with authored expressions `authored_repeats` times."""
    return [photo for photo in photos for _ in range(recipe.authored_repeats if photo.sentences else 1)]


def batches(photos: list[Photo], processor, recipe: PhotoRecipe, rng: np.random.Generator) -> Iterator[dict]:
    """One epoch: `photos_per_step` views per batch of model inputs, with `names` (B, h, w)."""
    shown = shown_photos(photos, recipe)
    order = rng.permutation(len(shown))
    unknown = processor.tokenizer.unk_token_id
    donors = pastable_objects(photos)
    for start in range(0, len(order) - recipe.photos_per_step + 1, recipe.photos_per_step):
        chosen = [shown[i] for i in order[start : start + recipe.photos_per_step]]
        # Authored expressions need the whole photo, so photos that have some are cropped less often.
        views = [random_view(photo, rng, donors, crop=0.3 if photo.sentences else 0.6) for photo in chosen]
        drawn = [draw_expressions(view, recipe, rng) for view in views]
        inputs = processor(
            images=[Image.fromarray(view.pixels) for view in views],
            text=[[text for text, _ in pairs] for pairs in drawn],
            segmentation_maps=[mask for pairs in drawn for _, mask in pairs],
        )
        forgotten = torch.from_numpy(rng.random(inputs["input_ids"].shape) < recipe.unknown_words)
        inputs["input_ids"][forgotten & inputs["attention_mask"].bool()] = unknown
        inputs["names"] = torch.stack([name_map(view, processor.image_processor, stride=16) for view in views])
        yield dict(inputs)


class Epoch(IterableDataset):
    """The batches of one epoch, made by a process beside the training: views and sentences cost half as much as a step.

    What is drawn depends on the recipe's seed and the number of the epoch alone.
    """

    def __init__(self, photos: list[Photo], processor, recipe: PhotoRecipe, number: int):
        self.photos, self.processor, self.recipe, self.number = photos, processor, recipe, number

    def __iter__(self) -> Iterator[dict]:
        rng = np.random.default_rng([self.recipe.seed, self.number])
        return batches(self.photos, self.processor, self.recipe, rng)


def train(recipe: PhotoRecipe, data: Path, output: Path) -> dict[str, float | int | str]:
    """Runs the three stages, saves model, processor and results under `output`, and returns the best results on val."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    photos = read_photos(data, recipe.folders, recipe.held_out)
    model, processor = build(recipe, data, photos)
    model.train()
    # oneDNN's depthwise convolutions are fastest so; the head is not.
    model.backbone.to(memory_format=torch.channels_last)
    pixel_names = name_pixels(model, processor, photos, rng, **recipe.naming)
    words = start_words(model, processor.tokenizer, pixel_names)
    logger.info("words that start from pixel names: %s", ", ".join(words))
    final_processor = copy.deepcopy(processor)
    final_processor.image_processor.size = {"height": recipe.inference_size, "width": recipe.inference_size}
    averaged = AveragedModel(model, multi_avg_fn=moving_average(recipe.average_decay))
    steps = recipe.epochs * (len(shown_photos(photos, recipe)) // recipe.photos_per_step)
    optimizer, schedule = make_optimizer(model, pixel_names, recipe, steps)
    frozen_epochs, best = recipe.epochs - recipe.backbone_epochs, None
    for epoch in range(recipe.epochs):
        model.backbone.requires_grad_(epoch >= frozen_epochs)
        loader = DataLoader(Epoch(photos, processor, recipe, epoch), batch_size=None, num_workers=1, prefetch_factor=4)
        progress = tqdm(loader, desc=f"epoch {epoch + 1}", unit="step", total=steps // recipe.epochs)
        losses = []
        for inputs in progress:
            loss = training_loss(model, pixel_names, inputs, recipe.naming_weight)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
        logger.info("epoch %d: loss %.4f", epoch + 1, np.mean(losses))
        due = epoch >= frozen_epochs and (epoch + 1) % recipe.evaluate_every == 0
        if due or epoch + 1 == recipe.epochs:
            results = evaluate(averaged.module, final_processor, data / recipe.folders[0])
            logger.info("epoch %d: %s", epoch + 1, json.dumps(results))
            # Val is there to choose by: a few hundred photos are soon learned by heart.
            if not best or results["oIoU"] > best["oIoU"]:
                best = results
                save(averaged.module, final_processor, results, data / recipe.folders[0], output)
    return best


def make_optimizer(model, pixel_names: PixelNames, recipe: PhotoRecipe, steps: int):
    """AdamW with a smaller rate for the backbone, and one cycle of `steps` steps for both rates."""
    head = [parameter for name, parameter in model.named_parameters() if not name.startswith("backbone.")]
    groups = [
        {"params": list(model.backbone.parameters()), "lr": recipe.backbone_learning_rate},
        {"params": head},
        {"params": list(pixel_names.parameters())},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    peaks = [group["lr"] for group in optimizer.param_groups]
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=0.1)


def save(model, processor, results: dict, data: Path, output: Path) -> None:
    """Writes a checkpoint folder: weights as float16 to be small, loaded as float32 because a CPU computes in it."""
    model.save_pretrained(output)
    weights = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(weights, output / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
    processor.save_pretrained(output)
    write_results(output, results, data, split="val")


def moving_average(decay: float):
    """Exponential moving average whose first steps forget faster, so that the random start leaves no trace."""

    @torch.no_grad()
    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], num_averaged: torch.Tensor) -> None:
        steps = int(num_averaged)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update


def training_loss(model, pixel_names: PixelNames, inputs: dict, naming_weight: float) -> torch.Tensor:
    """Mask loss of the expressions plus the weighted naming loss, products in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        features = model.get_image_features(inputs["pixel_values"].to(memory_format=torch.channels_last))
        output = model(
            image_features=features,
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            image_index=inputs["image_index"],
            labels=inputs["labels"],
        )
        visual = features.visual.movedim(1, -1)  # (B, V, h, w) -> (B, h, w, V)
        return output.loss + naming_weight * pixel_names.loss(visual, inputs["names"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="YAML file, by default that of the checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the recipe's folders and backbone")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(read_recipe(arguments.recipe), arguments.data, arguments.output)


if __name__ == "__main__":
    main()
