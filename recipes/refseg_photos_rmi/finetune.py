"""The second training of `refseg-photos-rmi`: many photos, thousands of written sentences, and the words of the table.

    python dataset_scripts/build_photos.py --raw ../shared/data --out built/photos
    python -m recipes.refseg_photos_rmi.finetune --base runs/photos --photos built/photos --output runs/photos_rmi

It starts from the checkpoint of the first training (`train`); its backbone stays as it is. Words that the sentences
bring begin with the embeddings of their neighbors in the word table. After each epoch the running average of the
weights is saved, and measured on `held_out`, photos that this training does not see. Given again after a kill, the
command goes on with the epoch that was not finished.
"""

import argparse
import copy
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.data import load
from hf_refseg.data.leaks import refuse_leaks
from hf_refseg.evaluation.evaluators import referring_evaluators
from hf_refseg.finetuning.vocabulary import grow_embeddings, grown_tokenizer, known_neighbors, new_words
from hf_refseg.processing.word_table import load_word_table
from recipes.refseg_photos.make import shrink

from .train import moving_average, read_recipe
from .written_photos import Drawing, Epoch, WrittenPhotos

logger = logging.getLogger(__name__)

RECIPE = Path(__file__).parent / "finetune.yaml"
EVALUATED = ("held_out", "val", "val_authored")  # splits whose photos are not trained on
STATE_FILE = "state.pt"
PARTS = ("model", "averaged", "optimizer", "schedule")  # of a training, which the file of its state holds


@dataclass
class FinetuneRecipe:
    """
    Everything a YAML file says about a run.

    Args:
        drawing: fields of [`Drawing`].
        image_size: side of the square input, in training and afterwards.
        learning_rate: the peak of one cycle.
        unknown_words: probability that a training word is replaced by the unknown one.
    """

    drawing: dict = field(default_factory=dict)
    image_size: int = 512
    epochs: int = 2
    photos_per_step: int = 4
    learning_rate: float = 1e-3
    unknown_words: float = 0.02
    average_decay: float = 0.997
    seed: int = 0


class Training:
    """What a run is made of, and how far it is."""

    def __init__(self, recipe: FinetuneRecipe, base: str | Path, photos: Path, output: Path):
        self.recipe, self.output, self.epoch = recipe, output, 0
        torch.manual_seed(recipe.seed)
        rows = load(photos, "train")
        for split in EVALUATED:
            refuse_leaks([rows], load(photos, split))
        self.held_out, self.table = load(photos, "held_out"), load_word_table()
        self.model, self.processor = load_model(base, dtype=torch.float32), load_processor(base)
        words = new_words(self.processor.tokenizer, rows.sentences())
        self.processor.tokenizer = grown_tokenizer(self.processor.tokenizer, words)
        starts = grow_embeddings(self.model, self.processor.tokenizer, self.table, recipe.seed)
        near = sum(start != "nothing" for start in starts.values())
        logger.info("%d new words, %d of them near a known one", len(words), near)
        self.model.backbone.requires_grad_(False).to(memory_format=torch.channels_last)
        self.processor.image_processor.size = {"height": recipe.image_size, "width": recipe.image_size}
        self.photos = WrittenPhotos(rows, Drawing(**recipe.drawing))
        self.steps_per_epoch = len(self.photos.photos(np.random.default_rng(0))) // recipe.photos_per_step
        self.averaged = AveragedModel(self.model, multi_avg_fn=moving_average(recipe.average_decay))
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.learning_rate, total_steps=recipe.epochs * self.steps_per_epoch + 1, pct_start=0.1
        )
        if (output / STATE_FILE).exists():
            self.resume()

    def run(self) -> None:
        """All epochs that are left."""
        while self.epoch < self.recipe.epochs:
            loss = self.run_epoch()
            self.epoch += 1
            self.save()
            self.keep_state()
            logger.info("epoch %d: loss %.4f, mIoU on held_out %.4f", self.epoch, loss, self.measure())

    def run_epoch(self) -> float:
        """One epoch; returns the mean loss."""
        recipe, losses = self.recipe, []
        epoch = Epoch(
            self.photos,
            self.processor,
            recipe.photos_per_step,
            recipe.unknown_words,
            np.random.default_rng([recipe.seed, self.epoch]),
        )
        loader = DataLoader(epoch, batch_size=None, num_workers=1, prefetch_factor=4)
        self.model.train()
        self.model.backbone.eval()
        progress = tqdm(loader, desc=f"epoch {self.epoch + 1}", unit="step", total=self.steps_per_epoch)
        for inputs in progress:
            loss = self.loss(inputs)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, error_if_nonfinite=True)
            self.optimizer.step()
            self.schedule.step()
            self.averaged.update_parameters(self.model)
            losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses[-100:]):.3f}", refresh=False)
        return float(np.mean(losses))

    def loss(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss of the expressions of a batch, products in bfloat16."""
        pixels = inputs["pixel_values"].to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.model.get_image_features(pixels)
            return self.model(
                image_features=features,
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                image_index=inputs["image_index"],
                labels=inputs["labels"],
            ).loss

    def measure(self) -> float:
        """The mIoU of the averaged model on photos that are held back."""
        model = copy.deepcopy(self.averaged.module).eval()
        return referring_evaluators(self.processor, "hu2016").evaluate(model, self.held_out, 4)["mIoU"]

    def save(self) -> None:
        """Writes the averaged model with further words of the table, and the small checkpoint that is made of it."""
        model, processor = copy.deepcopy(self.averaged.module), copy.deepcopy(self.processor)
        add_table_words(model, processor, self.table)
        whole = self.output / "whole"
        model.save_pretrained(whole)
        processor.save_pretrained(whole)
        shrink(whole, self.output / "checkpoint")

    def keep_state(self) -> None:
        """Writes everything that the next epoch needs."""
        parts = {name: getattr(self, name).state_dict() for name in PARTS}
        own = {"epoch": self.epoch, "random": torch.get_rng_state()}
        self.output.mkdir(parents=True, exist_ok=True)
        torch.save(parts | own, self.output / f"{STATE_FILE}.new")
        (self.output / f"{STATE_FILE}.new").replace(self.output / STATE_FILE)

    def resume(self) -> None:
        """Reads what `keep_state` wrote."""
        state = torch.load(self.output / STATE_FILE, weights_only=True)
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.epoch = state["epoch"]
        torch.set_rng_state(state["random"])
        logger.info("going on after epoch %d", self.epoch)


def add_table_words(model, processor, table) -> None:
    """Gives the words of a table the embeddings of their neighbors among those that the model was trained with. Words
    without such neighbors stay unknown: what the model would make of them is chance."""
    known = processor.tokenizer.get_vocab()
    words = known_neighbors(table, [word for word in table.words if word not in known], known)
    processor.tokenizer = grown_tokenizer(processor.tokenizer, words)
    grow_embeddings(model, processor.tokenizer, table)
    model.config.num_trained_words = len(known)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="YAML file, by default that of the checkpoint")
    parser.add_argument("--base", required=True, help="folder of the checkpoint of the first training")
    parser.add_argument("--photos", type=Path, required=True, help="what dataset_scripts/build_photos.py built")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = read_recipe(arguments.recipe, FinetuneRecipe)
    Training(recipe, arguments.base, arguments.photos, arguments.output).run()


if __name__ == "__main__":
    main()
