"""How far training has come, as the loops count it."""

from typing import NamedTuple, Self

import numpy as np

from ..codegen.jit import inlined_kernel


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
        self.n_rows[0] = n_rows
        self.position[0] = self.loss_sum[0] = self.batch_weight[0] = 0


#: For calls that train on some rows of an epoch, or on all of them, once.
WITHIN_EPOCH = np.empty(0)


@inlined_kernel
def begin_next_epoch(progress, epoch_losses, n_done):
    """Whether a loop goes over its rows once more, after n_done times; if so, the progress is that of a new epoch.

    progress : Progress, modified in place
    epoch_losses : (n_epochs,) float64, overwritten with the sum of the losses of each of as many epochs, of which the
        rows are all; where one is not finite, it is the last. (0,) where the rows are once gone over, from where the
        progress is
    """
    if epoch_losses.size == 0:
        return n_done == 0
    loss_sum = progress.loss_sum[0]
    if n_done > 0:
        epoch_losses[n_done - 1] = loss_sum
        if n_done == epoch_losses.size or not np.isfinite(loss_sum):
            return False
    progress.position[0] = 0
    progress.loss_sum[0] = progress.batch_weight[0] = 0
    return True
