"""Slices of an epoch that end finite, or never were.

The check costs nothing per step: each slice starts from a copy of the state, and one that ends with a NaN or infinity
is run again from the copy to find the step where it came from.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastgd import kernels
from fastgd._engine.garbage_collection import collection_paused
from fastgd._engine.learning_rates import LearningRates
from fastgd._engine.loops import Loop, call_end, cut
from fastgd._engine.run_state import RunState, Snapshot
from fastgd.data.block import Block, all_finite, read_only, require_finite
from fastgd.data.sparse_rows import SparseRows
from fastgd.errors import DivergenceError
from fastgd.losses import Loss, require_targets, takes_all, takes_every_number
from fastgd.model import Model


class Epoch(NamedTuple):
    """What rows belong to: an epoch of so many rows, its number, and what turns a position in it into what errors call
    the row.
    """

    n_rows: int
    number: int
    row_number: Callable[[int], int]


class FiniteLoop:
    """A loop that leaves a finite state behind, whatever the rows hold and whatever interrupts it.

    loop : trains the model          loss : what it learns by          rates : of its updates
    state : what it changes          batch_rows, micro_batch_rows : where its steps end
    """

    def __init__(
        self,
        loop: Loop,
        model: Model,
        loss: Loss,
        rates: LearningRates,
        state: RunState,
        batch_rows: int,
        micro_batch_rows: int,
    ) -> None:
        self._loop, self._model, self._loss, self._rates = loop, model, loss, rates
        self._batch_rows, self._micro_batch_rows = batch_rows, micro_batch_rows
        self._snapshot = Snapshot(state.arrays.values())
        self._floats = [array for array in self._snapshot.arrays if array.dtype.kind == "f"]
        self._has_run = False

    def run(self, block: Block, first: int, epoch: Epoch) -> None:
        """Train on consecutive rows, of which the first has position `first` in the epoch.

        Raises ValueError for bad values in the data and DivergenceError where training itself stopped being finite; the
        state is that from before the step then.
        """
        done, stop, end = 0, block.n_samples, block.n_samples
        while done < end:
            part, position = block.rows(done, stop), first + done
            self._snapshot.take()
            try:
                if self._succeeds(part):
                    done, stop = stop, end
                    continue
                with kernels.interrupts_deferred():
                    bad = self._pass_bad_step(part, position, epoch)
            except BaseException:
                # Ctrl-C may have come before a look at what the slice left.
                with kernels.interrupts_deferred():
                    if not self._is_finite_after(part):
                        self._snapshot.restore()
                raise
            # Then on to where calls may end, so that what follows is rounded as ever.
            done, stop = bad - first, min(call_end(self._loop, bad, bad, epoch.n_rows) - first, end)

    def run_epochs(self, block: Block, epoch_losses: np.ndarray) -> bool:
        """Train for several epochs of the same rows; whether all is finite after each. If not, nothing has changed.

        Ctrl-C must be deferred.

        block : all rows of an epoch          epoch_losses : as for `Loop.run`
        """
        self._snapshot.take()
        if self._takes_rows(block):
            self._train(block, epoch_losses)
            # A loss that is not finite ends the call, and stands in the progress.
            if self._is_finite_after(block):
                return True
        self._snapshot.restore()
        return False

    def _pass_bad_step(self, block: Block, first: int, epoch: Epoch) -> int:
        """Train up to and with the step that ended a slice; return the position after it, or raise what is wrong."""
        good, bad = self._rewind(block, first, epoch.n_rows)
        step = block.rows(good - first, bad - first)
        # Rows that overflow only when they are multiplied with one another can still be taken one by one.
        self._snapshot.take()
        if not self._succeeds(step):
            self._snapshot.restore()
            self._raise(step.gathered(self._model.dtype), good, epoch)
        return bad

    def _raise(self, step: Block, position: int, epoch: Epoch) -> None:
        """Say why a step that begins at a position of the epoch is not finite."""

        def row_of(row: int) -> int:
            return epoch.row_number(position + row)

        require_finite(step, row_of)
        require_targets(self._loss, step.y, self._model.out_features, row_of)
        self._rates.require_next()
        # A callback may have written others.
        self._model.require_finite("to train from")
        raise DivergenceError(
            f"training diverged at epoch {epoch.number}, step {position // self._batch_rows + 1}, with learning rate "
            f"{self._rates.at():g}: floating-point overflow, loss or parameters are no longer finite. The model keeps "
            f'its last finite parameters. Try a smaller learning rate or "auto" as optimiser, and features (the '
            f"largest of this step is {_largest(step.X):.3g}) and targets ({np.abs(step.y).max():.3g}) of about 1, as "
            "a Standardize layer first and standardize_targets=True make them."
        )

    def _succeeds(self, block: Block) -> bool:
        """Train on these rows, if the kernels may have them; whether all is finite after it."""
        if not self._takes_rows(block):
            return False
        self._call(block)
        return self._is_finite_after(block)

    def _takes_rows(self, block: Block) -> bool:
        """Whether the loss takes these targets, and no weight is negative."""
        if not (takes_every_number(self._loss) or self._takes_targets(block)):
            # A class out of range would be an index out of range.
            return False
        return not (block.sample_weight.size and (block.in_order(block.sample_weight) < 0).any())

    def _is_finite_after(self, block: Block) -> bool:
        """Whether all is finite that training on these rows has changed, or may have hidden."""
        inspected = (*self._floats, self._rates.used)
        if self._loop.may_hide_bad_rows(block):
            inspected = (*inspected, block.X)
        if self._has_zero_weights(block):
            # A row of weight zero moves nothing, so what is bad in it may leave no trace.
            inspected = (*inspected, block.in_order(block.y))
        return all(map(all_finite, inspected))

    @staticmethod
    def _has_zero_weights(block: Block) -> bool:
        return block.sample_weight.size > 0 and bool((block.in_order(block.sample_weight) == 0).any())

    def _takes_targets(self, block: Block) -> bool:
        return takes_all(self._loss, read_only(block.in_order(block.y)), self._model.out_features)

    def _call(self, block: Block) -> None:
        if self._has_run:
            self._train(block)
            return
        with collection_paused():
            self._train(block)
        self._has_run = True

    def _train(self, block: Block, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        n_updates = block.n_samples // self._batch_rows + 2
        rates = self._rates.next(n_updates * max(epoch_losses.size, 1))
        self._loop.run(block, rates, epoch_losses)
        self._rates.note_used(rates)

    def _rewind(self, block: Block, first: int, n_epoch: int) -> tuple[int, int]:
        """Go back to the last finite state; return the position before the step that ended it, and after."""
        good, bad = first, first + block.n_samples
        while True:
            self._snapshot.restore()
            # Cut where calls may end, the good steps are rounded as without the bad one; steps come last.
            middle = call_end(self._loop, good, (good + bad) // 2, n_epoch)
            if middle >= bad:
                middle = cut(good, (good + bad) // 2, n_epoch, self._batch_rows, self._micro_batch_rows)
            if middle >= bad:
                return good, bad
            if self._succeeds(block.rows(good - first, middle - first)):
                good = middle
                self._snapshot.take()
            else:
                bad = middle


def _largest(X: np.ndarray | SparseRows) -> float:
    return X.largest() if isinstance(X, SparseRows) else float(np.abs(X).max())
