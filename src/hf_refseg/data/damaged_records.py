"""What becomes of a damaged record of a data set's files: an error, or, where that was chosen, it is left out."""

import contextlib
import logging
from collections.abc import Iterator

from .rows import SHOWN

logger = logging.getLogger(__name__)


class DamagedRecords:
    """Counts the records of one reader that are left out, and logs the first of them.

    Args:
        skip: whether damaged records are left out; otherwise the first is an error.

    Attributes:
        count: how many were left out.
    """

    def __init__(self, skip: bool):
        self.skip, self.count = skip, 0

    @contextlib.contextmanager
    def left_out(self) -> Iterator[None]:
        """Around what reads one record, and raises ValueError or OSError, naming file and record, where it can't."""
        try:
            yield
        except (ValueError, OSError) as error:
            if not self.skip:
                raise
            self.count += 1
            if self.count <= SHOWN:
                logger.warning("left out: %s", error)
