"""From a folder of photos to a model that knows what is in them: what `hf-refseg finetune` does."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from ..checkpoints.loading import load_model, load_processor
from ..data import ReferringRows
from ..data.augment import swap_left_right
from ..data.own_photos import load_own_photos
from ..evaluation.evaluators import referring_evaluators
from ..evaluation.results import write_eval_results
from ..hub.bundle import add_code
from ..processing.word_vectors import load_word_vectors
from ..systems import find_system
from ..training.curve import plot_training_curve
from ..writing import new_folder, require_new, write_text
from . import DEFAULT_BASE
from .before_after import draw_before_after, predict
from .card import PICTURE, fine_tuned_card
from .learning import BATCH_SIZE, PROTOCOL, learn
from .options import FineTuned, FineTuning
from .vocabulary import grow_embeddings, grown_tokenizer, new_words

logger = logging.get_logger(__name__)

# Systems that answer at every pixel. The others choose among what their detector finds, which finds nothing new.
FAMILIES = ("context_rmi", "rmi", "lstm_cnn")


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
    sentences = [text for own in train.sentences() for text in (own, swap_left_right(own))]
    known_words = trained_words(model.config)
    words = new_words(processor.tokenizer, sentences, known_words)
    if options.learn == "words" and not words:
        raise ValueError(
            f"{options.base} knows every word of these expressions, so there is no word to learn: give --learn "
            "network, which trains the network too"
        )
    before = referring_evaluators(processor, PROTOCOL, labels=True).evaluate(model, val, BATCH_SIZE)
    masks_before = predict(model, processor, val)
    logger.warning(f"before: mIoU {before['mIoU']:.3f}")
    vectors = load_word_vectors(options.vectors)
    processor.tokenizer = grown_tokenizer(processor.tokenizer, words)
    starts = dict.fromkeys(words, "its own vector") | grow_embeddings(model, processor.tokenizer, vectors, options.seed)
    logger.warning(f"new words: {', '.join(f'{word} (from {start})' for word, start in starts.items()) or 'none'}")
    with new_folder(options.output, "fine-tuning") as folder:
        learned = learn(options, model, processor, (train, val), known_words, folder.with_name("training of it"))
        done = FineTuned(before, learned.metrics, starts, learned.steps, train.counts(), val.counts())
        logger.warning(f"after: mIoU {done.after['mIoU']:.3f}, at step {done.steps}")
        if done.after["mIoU"] <= before["mIoU"]:
            logger.warning("it did not get better: give more photos, more --steps, or --learn network")
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        add_code(folder)
        plot_training_curve(learned.history, folder / "curve.png")
        draw_before_after(val, masks_before, predict(model, processor, val)).save(folder / PICTURE)
        write_measured(options, folder, done.after, val)
        write_measured(options, folder / "before", before, val)
        write_text(folder / "README.md", fine_tuned_card(folder, options, done, val.sentences_of(0)))
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


def trained_words(config: PreTrainedConfig) -> int:
    """How many words of a model, the first ones, its training taught: all, but where words of a table were added."""
    trained = getattr(config, "num_trained_words", None)
    return config.vocab_size if trained is None else trained


def tell(rows: ReferringRows, what: str) -> None:
    """Logs how much there is, and what was left out."""
    counts = rows.counts()
    logger.warning(f"{counts.images} photos {what}, {counts.refs} things in them, {counts.sentences} expressions")
    for note, number in rows.notes.items():
        if number:
            logger.warning(f"{number} {note}")


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
