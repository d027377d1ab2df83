"""Random draws that belong to a row, not to a process or a moment."""

import zlib

import numpy as np
import torch


class RowDraws:
    """Gives every row a random generator of its own, made from (seed, epoch, source, split, its id) alone.

    So a run that is killed and resumed, or that uses another number of workers, draws the same. Call `set_epoch` when
    an epoch begins, or every epoch repeats the first one's draws.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed
        # In shared memory, so that workers that outlive an epoch see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Make the draws of this epoch."""
        self._epoch.fill_(epoch)

    def draws_of(self, row: dict, id_field: str = "ref_id") -> np.random.Generator:
        stream = zlib.crc32(f"{row['source']}/{row['split']}".encode())
        return np.random.default_rng([self.seed, int(self._epoch), stream, row[id_field]])
