"""How far training has come, as the loops count it."""

from typing import NamedTuple, Self

import numpy as np


class Progress(NamedTuple):
    """Counts and sums of a run and of its epoch, an array of one element each, which the loops add to.

    n_updates : int64, made in the run
    n_rows, position : int64, the rows of the epoch, and how many of them are done
    loss_sum : float64, over the rows that are done
    batch_weight : float64, of the rows that are done of a batch that is not
    """

    n_updates: np.ndarray
    n_rows: np.ndarray
    position: np.ndarray
    loss_sum: np.ndarray
    batch_weight: np.ndarray

    @classmethod
    def zeros(cls) -> Self:
        """That of a run that has made no update."""
        return cls(*(np.zeros(1, np.int64) for _ in range(3)), *(np.zeros(1) for _ in range(2)))

    def begin_epoch(self, n_rows: int) -> None:
        """Count the rows of a new epoch."""
        self.n_rows[:] = n_rows
        for count in (self.position, self.loss_sum, self.batch_weight):
            count[:] = 0
