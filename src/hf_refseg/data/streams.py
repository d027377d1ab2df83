"""Data sets that are read one row after the other."""

from collections.abc import Iterator

import datasets
from tqdm import tqdm

from .rows import HeldRows


class StreamedRows(datasets.IterableDataset):
    """A stream with the words of [`ReferringRows`] that need no length: iteration, `take`, `sentences`, `categories`.

    It is a `datasets.IterableDataset`, so a DataLoader deals its shards out to workers, and `split_dataset_by_node` or
    accelerate to processes; `set_epoch` shuffles anew where it is shuffled. Masks are plain RLEs.

    Args:
        stream: the rows.
        words: answers for `sentences`, `vocabulary_texts` and `categories`: [`StreamedColumns`], or the map-style rows
            that are streamed. They are always those of the whole split, in its own order.
    """

    is_stream = True

    def __init__(self, stream: datasets.IterableDataset, words):
        vars(self).update(vars(stream))
        self.words = words

    def __len__(self) -> int:
        raise TypeError(
            "a stream has no length: give a training max_steps, take(N) rows of the stream into a list, or load the "
            "data set without streaming=True"
        )

    def __bool__(self) -> bool:
        return True

    def take(self, n: int) -> "StreamedRows":
        """The first `n` rows, as a stream again."""
        return StreamedRows(super().take(n), self.words)

    def in_memory(self, label: str = "rows") -> HeldRows:
        """The rows of the stream, read now, once, and kept. `label` names the progress bar."""
        return HeldRows(list(tqdm(self, label, leave=False)))

    def sentences(self) -> Iterator[str]:
        """Every expression of the split, without opening a picture."""
        return self.words.sentences()

    def vocabulary_texts(self) -> Iterator[str]:
        """Texts that together hold every word of the expressions: what a vocabulary is made of."""
        return self.words.vocabulary_texts()

    @property
    def categories(self) -> list[str]:
        """The names of the categories; reads one column of the whole split where no list of them is stored."""
        return self.words.categories


class StreamedColumns:
    """What can be known of a stored data set from single columns.

    Args:
        stream: its rows without pictures, not shuffled.
    """

    def __init__(self, stream: datasets.IterableDataset):
        self.stream = stream

    def sentences(self) -> Iterator[str]:
        rows = self.stream.select_columns(["sentences"])
        return (sentence["sent"] for row in rows for sentence in row["sentences"])

    vocabulary_texts = sentences

    @property
    def categories(self) -> list[str]:
        return sorted({row["category"] for row in self.stream.select_columns(["category"])} - {""})
