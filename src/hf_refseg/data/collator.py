"""Rows of the schema to model inputs."""

from collections.abc import Callable, Sequence

from .augment import flip_row
from .row_draws import RowDraws
from .run_lengths import check_rle
from .schema import RleMask, has_words

SENTENCE_CHOICES = ("random", "first", "all")


class ReferringSegmentationCollator(RowDraws):
    """Turns a list of rows into the inputs of a referring segmentation model, labels included.

    Random choices (flips, the sentence) depend on (seed, epoch, source, split, ref_id) alone, never on a global
    generator, so a run that is killed and resumed, or that uses another number of workers, gets the same batches. Call
    `set_epoch` at the start of an epoch (in a `TrainerCallback`'s `on_epoch_begin`), or every epoch repeats the draws
    of the first.

    Args:
        processor: a processor of this package; its `row_inputs` says what it reads of a row.
        flip_probability: share of rows that are mirrored, with "left" and "right" exchanged in their sentences.
        sentence: "random" one per row, the "first" one, or "all": several sentences then share their image, which
            `image_index` says and which the backbone sees once.
        seed: of the draws.
        processor_kwargs: passed on to the processor.
        labels: whether the targets are made into labels; without them no mask is decoded.

    Returns (on call):
        The processor's BatchFeature of torch tensors: pixel_values (B, 3, H, W), input_ids and attention_mask (N, T),
        image_index (N,), original_sizes (B, 2), labels (N, H, W) unless they are left out, and whatever else it makes.

    Raises:
        ValueError: unknown `sentence`, a probability outside [0, 1], an empty batch, a row without sentences or with
            one that has no words, or a mask that is damaged or does not have its image's size.
    """

    def __init__(
        self,
        processor: Callable,
        flip_probability: float = 0.0,
        sentence: str = "random",
        seed: int = 0,
        processor_kwargs: dict | None = None,
        labels: bool = True,
    ):
        if sentence not in SENTENCE_CHOICES:
            raise ValueError(f"sentence={sentence!r}: choose one of {list(SENTENCE_CHOICES)}.")
        if not 0 <= flip_probability <= 1:
            raise ValueError(f"flip_probability={flip_probability} is not a probability: give a number in [0, 1].")
        super().__init__(seed)
        self.processor, self.flip_probability, self.sentence = processor, flip_probability, sentence
        self.processor_kwargs, self.labels = processor_kwargs or {}, labels

    def __call__(self, rows: Sequence[dict]):
        return self.collate([self.prepare(row) for row in rows])

    def collate(self, rows: Sequence[dict]):
        """A batch of rows that `prepare` has made; their `mask` may be decoded already, (H, W) bool."""
        if not rows:
            raise ValueError("Got an empty batch: the collator needs at least one row.")
        of_rows = [self.processor.row_inputs(row) for row in rows]
        names = of_rows[0].keys() - {"images", "text"} - (set() if self.labels else set(self.processor.target_names))
        inputs = {name: [value for of_row in of_rows for value in of_row[name]] for name in names}
        inputs |= {name: [of_row[name] for of_row in of_rows] for name in ("images", "text")}
        return self.processor(**inputs, **{"return_tensors": "pt", "allow_unknown": True, **self.processor_kwargs})

    def prepare(self, row: dict) -> dict:
        """The row with what is drawn: mirrored or not, and with the sentences that are asked. Its mask is checked."""
        name = f"{row['source']} {row['split']} ref_id={row['ref_id']}"
        if not row["sentences"]:
            raise ValueError(f"Row {name} has no sentences: filter such rows out.")
        if list(row["mask"]["size"]) != [row["height"], row["width"]]:
            raise ValueError(
                f"Row {name}: mask of {list(row['mask']['size'])}, image of {[row['height'], row['width']]} (H, W)."
            )
        check_rle(row["mask"])
        flip_draw, sentence_draw = self.draws_of(row).random(2)
        if flip_draw < self.flip_probability:
            row = flip_row(row)
        sentences = row["sentences"]
        if self.sentence == "first":
            sentences = sentences[:1]
        elif self.sentence == "random":
            sentences = [sentences[int(sentence_draw * len(sentences))]]
        for sentence in sentences:
            if not has_words(sentence["sent"]):
                raise ValueError(f"Row {name}: its sentence {sentence['sent']!r} has no words: filter it out.")
        return row | {"sentences": sentences, "mask": RleMask(row["mask"])}
