"""Random draws that depend on the row, and not on the process or the time."""

import zlib

import numpy as np
import torch


class RowDraws:
    """Gives every row its own random generator, which depends on (seed, epoch, source, split, its id) alone.

    So a run that is killed and resumed, or that uses another number of workers, makes the same draws. Call `set_epoch`
    at the start of an epoch, or every epoch repeats the draws of the first.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed
        # In shared memory, so that persistent workers see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Make the draws of this epoch."""
        self._epoch.fill_(epoch)

    def draws_of(self, row: dict, id_field: str = "ref_id") -> np.random.Generator:
        stream = zlib.crc32(f"{row['source']}/{row['split']}".encode())
        return np.random.default_rng([self.seed, int(self._epoch), stream, row[id_field]])
