"""From a folder of photos to a model that knows what is in them: what `hf-refseg finetune` does."""

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import EarlyStoppingCallback, PreTrainedModel
from transformers.utils import logging

from ..checkpoints.loading import load_model, load_processor
from ..conversion.folders import require_new
from ..data import ReferringRows, ReferringSegmentationCollator
from ..data.augment import swap_left_right
from ..data.own_photos import load_own_photos
from ..data.rows import Counts
from ..evaluation.evaluators import referring_evaluators
from ..evaluation.results import write_eval_results
from ..hub.bundle import add_code
from ..processing.word_vectors import installed_word_vectors, load_word_vectors
from ..systems import find_system
from ..training.arguments import RefSegTrainingArguments
from ..training.curve import plot_training_curve
from ..training.trainer import ReferringSegmentationTrainer
from ..writing import write_text
from .before_after import draw_before_after, predict
from .card import PICTURE, fine_tuned_card
from .frozen_backbone import remembered_maps
from .vocabulary import grow_embeddings, grown_tokenizer, new_words

logger = logging.get_logger(__name__)

DEFAULT_BASE, PROTOCOL = "refseg-photos-rmi", "hu2016"
# Systems that answer at every pixel. The others choose among what their detector finds, which finds nothing new.
FAMILIES = ("context_rmi", "rmi", "lstm_cnn")
BATCH_SIZE, EVALUATIONS, PATIENCE = 4, 10, 4
LEAST_STEPS, LEAST_EPOCHS = 200, 3
# Learning rates: of new words as a share of the spread of the embeddings, of the network as it is.
WORD_RATE, NETWORK_RATE = 0.1, 2e-4


@dataclass
class FineTuning:
    """
    What to learn, and from what.

    Args:
        photos: the folder, see `hf_refseg.data.own_photos`.
        output: the new folder of the model.
        base: shipped name, folder or Hub id of an RMI, an RMI with context, or an LSTM-CNN.
        learn: "words": only the embeddings of the words that the base does not know, so that it answers every other
            expression as before, to the bit. "network": also all of the network but its backbone, for things that
            known words name.
        vectors: name or file of word vectors that new words start from; None: GloVe's where gensim has it on this
            machine.
        steps: of the training, at most; None: 200, or more where that is less than three times every photo.
        val_share: of the photos, to measure by, where the folder has no split `val`.
        license: of the card; None: that of the base's card, where it names one.
        seed: of all draws.
    """

    photos: Path
    output: Path
    base: str = DEFAULT_BASE
    learn: Literal["words", "network"] = "words"
    vectors: str | None = None
    steps: int | None = None
    val_share: float = 0.2
    license: str | None = None
    seed: int = 0

    @property
    def command(self) -> str:
        """The command line, without where and with what license."""
        words = ["hf-refseg", "finetune", str(self.photos)]
        for name, field in self.__dataclass_fields__.items():
            value = getattr(self, name)
            if name not in ("photos", "output", "license") and value != field.default:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)


@dataclass(frozen=True)
class FineTuned:
    """
    What a fine-tuning did.

    Args:
        before, after: the metrics on the photos that were held out.
        starts: the new words, and what each started from.
        steps: those of the best model, which is the one that was kept.
        train, val: photos, things and expressions that were learned from, and measured by.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    starts: dict[str, str]
    steps: int
    train: Counts
    val: Counts


def finetune(options: FineTuning) -> FineTuned:
    """
    Fine-tune a model, and write a bundle with card, curve and a picture of before and after.

    Raises:
        FileExistsError: `output` exists.
        FileNotFoundError: photos, base or word vectors are not there.
        ValueError: the base can't be fine-tuned; the photos are in no known layout, damaged or too few; there is
            nothing to learn.
    """
    require_new(options.output)
    processor, model = load_base(options.base)
    train, val = load_own_photos(options.photos, options.val_share, options.seed)
    tell(train, "to learn from")
    tell(val, "to measure by")
    words = new_words(processor.tokenizer, [text for own in train.sentences() for text in (own, swap_left_right(own))])
    if options.learn == "words" and not words:
        raise ValueError(
            f"{options.base} knows every word of these expressions, so there is no word to learn: give --learn "
            "network, which trains the network too"
        )
    before = referring_evaluators(processor, PROTOCOL, labels=True).evaluate(model, val, BATCH_SIZE)
    masks_before = predict(model, processor, val)
    logger.warning(f"before: mIoU {before['mIoU']:.3f}")
    vectors = load_word_vectors(options.vectors) if options.vectors else installed_word_vectors() if words else None
    processor.tokenizer = grown_tokenizer(processor.tokenizer, words)
    starts = grow_embeddings(model, processor.tokenizer, vectors, options.seed)
    logger.warning(f"new words: {', '.join(f'{word} (from {start})' for word, start in starts.items()) or 'none'}")
    options.output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.absolute().parent, prefix=f".{options.output.name}-") as parent:
        known_words = len(processor.tokenizer) - len(words)
        trainer = make_trainer(options, model, processor, (train, val), known_words, Path(parent) / "training")
        with remembered_maps(model.backbone):
            trainer.train()
            history = list(trainer.state.log_history)
            trainer.evaluate()  # the best step again, which the curve has already
        steps = int(trainer.state.best_model_checkpoint.rsplit("-", 1)[1])
        done = FineTuned(before, trainer.last_metrics, starts, steps, train.counts(), val.counts())
        logger.warning(f"after: mIoU {done.after['mIoU']:.3f}, at step {steps}")
        if done.after["mIoU"] <= before["mIoU"]:
            logger.warning("it did not get better: give more photos, more --steps, or --learn network")
        folder = Path(parent) / options.output.name
        model.requires_grad_(True)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        add_code(folder)
        plot_training_curve(history, folder / "curve.png")
        draw_before_after(val, masks_before, predict(model, processor, val)).save(folder / PICTURE)
        write_measured(options, folder, done.after, val)
        write_measured(options, folder / "before", before, val)
        write_text(folder / "README.md", fine_tuned_card(folder, options, done, val.sentences_of(0)))
        folder.rename(options.output)
    return done


def load_base(name: str) -> tuple[Any, PreTrainedModel]:
    """
    Processor and model of a base.

    Raises:
        ValueError: it is of a system that can't be fine-tuned on a few photos, or is damaged.
    """
    model = load_model(name, dtype=torch.float32)
    system = find_system(model.config.model_type)
    if system.family not in FAMILIES:
        raise ValueError(
            f"{name} is a {system.model_type}, which chooses among what its detector finds, and a detector learns "
            f"nothing new from a few photos: fine-tune {DEFAULT_BASE}, or another model of {', '.join(FAMILIES)}"
        )
    model.config._name_or_path = ""  # a folder of this machine would be saved
    return load_processor(name), model


def tell(rows: ReferringRows, what: str) -> None:
    """Logs how much there is, and what was left out."""
    counts = rows.counts()
    logger.warning(f"{counts.images} photos {what}, {counts.refs} things in them, {counts.sentences} expressions")
    for note, number in rows.notes.items():
        if number:
            logger.warning(f"{number} {note}")


def make_trainer(
    options: FineTuning,
    model: PreTrainedModel,
    processor,
    rows: tuple[ReferringRows, ReferringRows],
    known_words: int,
    folder: Path,
) -> ReferringSegmentationTrainer:
    """
    The trainer, in which only what `options.learn` names is trained.

    Args:
        rows: to train on, and to measure by.
        known_words: rows of the embeddings that stay as they are.
        folder: of its checkpoints.
    """
    train, val = rows
    steps = options.steps or max(LEAST_STEPS, LEAST_EPOCHS * -(-len(train) // BATCH_SIZE))
    every = max(1, steps // EVALUATIONS)
    embeddings = model.get_input_embeddings().weight
    spread = embeddings[:known_words].std().item()
    scopes = {"backbone": (r"backbone\..+",), "words": (r"word_embeddings\.weight",)}
    rates = {"learning_rate": WORD_RATE * spread}
    if options.learn == "words":
        model.requires_grad_(False)
        embeddings.requires_grad_(True)
    else:
        rates = {
            "learning_rate": NETWORK_RATE,
            "rate_factors": {"words": WORD_RATE * spread / NETWORK_RATE},
            "freeze": "backbone",
        }
    is_new = (torch.arange(len(embeddings)) >= known_words)[:, None].to(embeddings)  # (W, 1)
    embeddings.register_hook(lambda gradient: gradient * is_new.to(gradient))
    args = RefSegTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=BATCH_SIZE,
        per_device_eval_batch_size=BATCH_SIZE,
        **rates,
        weight_decay=0.0,
        max_grad_norm=1.0,
        lr_scheduler_type="cosine",
        warmup_steps=steps // 10,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        logging_steps=max(1, every // 4),
        metric_for_best_model="mIoU",
        greater_is_better=True,
        load_best_model_at_end=True,
        report_to="none",
        seed=options.seed,
    )
    return ReferringSegmentationTrainer(
        model=model,
        args=args,
        processing_class=processor,
        train_dataset=train,
        eval_dataset=val,
        data_collator=ReferringSegmentationCollator(processor, flip_probability=0.5, sentence="all", seed=options.seed),
        evaluators=referring_evaluators(processor, PROTOCOL, labels=True),
        parameter_scopes=scopes,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=PATIENCE)],
    )


def write_measured(options: FineTuning, folder: Path, metrics: dict[str, Any], val: ReferringRows) -> None:
    """`eval_results.json` of the held-out photos."""
    folder.mkdir(exist_ok=True)
    write_eval_results(
        folder,
        {name: value for name, value in metrics.items() if isinstance(value, float) and name != "loss"},
        dataset=options.photos.resolve().name,
        split="val",
        counts={"rows": len(val), "expressions": metrics["num"], "photos": val.counts().images},
        protocol=PROTOCOL,
        command=options.command,
    )
