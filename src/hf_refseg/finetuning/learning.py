"""The training of a fine-tuning: what is trained, how fast, until when, and how much of it is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PreTrainedModel

from ..data import ReferringRows, ReferringSegmentationCollator
from ..evaluation.evaluators import referring_evaluators
from ..training.arguments import RefSegTrainingArguments
from ..training.trainer import ReferringSegmentationTrainer
from .frozen_backbone import remembered_maps
from .options import FineTuning

PROTOCOL = "hu2016"
BATCH_SIZE, EVALUATIONS, PATIENCE = 4, 10, 4
LEAST_STEPS, LEAST_EPOCHS = 200, 3
# Learning rates: of new words as a share of the spread of the embeddings, of the network as it is.
WORD_RATE, NETWORK_RATE = 0.1, 2e-4
# How much of the way from its old weights a network goes at the end: half of it forgets far less and learns nearly as
# much (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
NETWORK_SHARE = 0.5


@dataclass(frozen=True)
class Learned:
    """
    Of the best step, whose weights the model has then.

    Args:
        metrics: on the rows to measure by.
        steps: its number.
        history: the trainer's, for the curve.
    """

    metrics: dict[str, Any]
    steps: int
    history: list[dict]


def learn(
    options: FineTuning,
    model: PreTrainedModel,
    processor,
    rows: tuple[ReferringRows, ReferringRows],
    known_words: int,
    folder: Path,
) -> Learned:
    """
    Train what `options.learn` names, and nothing else.

    Args:
        rows: to train on, and to measure by.
        known_words: rows of the embeddings that stay as they are.
        folder: of the trainer's checkpoints.
    """
    trainer = make_trainer(options, model, processor, rows, known_words, folder)
    network = network_parameters(model)
    start = [parameter.detach().clone() for parameter in network]
    with remembered_maps(model.backbone):
        trainer.train()
        history = list(trainer.state.log_history)
        step_back(network, start)
        trainer.evaluate()
    model.requires_grad_(True)
    steps = int(trainer.state.best_model_checkpoint.rsplit("-", 1)[1])
    return Learned(trainer.last_metrics, steps, history)


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


def network_parameters(model: PreTrainedModel) -> list[torch.Tensor]:
    """What is trained beside the embeddings."""
    embeddings = model.get_input_embeddings().weight
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter is not embeddings]


@torch.no_grad()
def step_back(parameters: list[torch.Tensor], start: list[torch.Tensor]) -> None:
    """Leave `NETWORK_SHARE` of what a training changed."""
    for parameter, first in zip(parameters, start, strict=True):
        parameter.lerp_(first, 1 - NETWORK_SHARE)
