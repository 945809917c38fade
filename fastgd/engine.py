"""Runs the compiled loop over an epoch, slice by slice, and keeps the model finite.

Between slices Python has control: Ctrl-C, progress bars and the check that training is still finite have their place
there. The check costs nothing per step: each slice starts from a copy of the state, and a slice that ends with a NaN or
infinity is run again from the copy to find the step where it came from.
"""

import time
from collections.abc import Callable

import numpy as np

from fastgd import kernels
from fastgd.dataset import Block, Reader, require_finite
from fastgd.errors import DivergenceError
from fastgd.layers import Linear, ReLU
from fastgd.model import Model
from fastgd.optimizers import Optimizer

# Ctrl-C must not wait longer than this; a call of a kernel costs some microseconds.
_SLICE_SECONDS = 0.05


class Engine:
    """Gradient descent on a model, for batches of up to `batch_rows` rows.

    A batch of one row on a single neuron has its own loop, `train_neuron`; all else goes through `train_network`.
    """

    def __init__(self, model: Model, optimizer: Optimizer, batch_rows: int) -> None:
        self.batch_rows = batch_rows
        self.n_updates = 0
        self._model = model
        self.optimizer = optimizer
        self._network = model.network(batch_rows)
        self._chunk_rows = min(model.chunk_rows, batch_rows)
        self._gradient = np.zeros_like(model.parameters)
        n_chunk_gradient = model.parameters.size if batch_rows > self._chunk_rows else 0
        self._chunk_gradient = np.empty(n_chunk_gradient, model.dtype)
        self._loss_sum = np.zeros(1)
        self._state = (model.parameters, self._gradient, self._loss_sum)
        self._snapshot = tuple(array.copy() for array in self._state)
        self._slice_rows = 1
        # A Linear multiplies every element of its input into its gradient, so bad rows show in the parameters; a ReLU
        # in front could hide one.
        self._inspects_rows = not isinstance(model.layers[0], Linear)

    def train_epoch(self, reader: Reader, epoch: int, on_rows: Callable[[int, float], None] | None = None) -> float:
        """Train on every row that the reader has, in its order, and return the mean loss.

        reader : its blocks must have room for `batch_rows` or a chunk, whichever is smaller
        epoch : the number that errors name
        on_rows : called after each slice with the rows it took and the mean loss so far

        Raises ValueError for a NaN or infinity in the data and DivergenceError where training itself stopped being
        finite; the model keeps the parameters from before that step.
        """
        n_epoch = reader.dataset.n_samples
        self._loss_sum[0] = 0
        start = 0
        while start < n_epoch:
            stop = self._cut(start, start + reader.max_rows, n_epoch)
            block = reader.read(start, stop)
            first = start
            while first < stop:
                last = min(self._cut(first, first + self._slice_rows, n_epoch), stop)
                part = block.rows(first - start, last - start)
                began = time.perf_counter()
                self._run(part, first, n_epoch, lambda row, first=first: reader.row(first + row), epoch)
                self._adapt(time.perf_counter() - began)
                if on_rows:
                    on_rows(last - first, float(self._loss_sum[0]) / last)
                first = last
            reader.release(start, stop)
            start = stop
        return float(self._loss_sum[0]) / n_epoch

    def _cut(self, start: int, target: int, n_epoch: int) -> int:
        """The last end of a chunk in (start, target], or the first after start where there is none."""

        def end_at_or_before(row: int) -> int:
            batch = row // self.batch_rows * self.batch_rows
            return batch + (row - batch) // self._chunk_rows * self._chunk_rows

        if target >= n_epoch:
            return n_epoch
        end = end_at_or_before(target)
        if end > start:
            return end
        batch_end = (start // self.batch_rows + 1) * self.batch_rows
        return min(start + self._chunk_rows, batch_end, n_epoch)

    def _adapt(self, seconds: float) -> None:
        if seconds < _SLICE_SECONDS / 2:
            self._slice_rows *= 2
        elif seconds > _SLICE_SECONDS:
            self._slice_rows = max(self._slice_rows // 2, 1)

    def _run(self, block: Block, first: int, n_epoch: int, row_of: Callable[[int], int], epoch: int) -> None:
        """Train on consecutive rows, of which the first has position `first` in the epoch."""
        self._copy(self._state, self._snapshot)
        self._call(block, first, n_epoch)
        last = first + len(block.X)
        if self._is_finite(block):
            self.n_updates += self._updates_before(last, n_epoch) - self._updates_before(first, n_epoch)
            return
        good, bad = self._rewind(block, first, n_epoch)
        self.n_updates += self._updates_before(good, n_epoch) - self._updates_before(first, n_epoch)
        step = block.rows(good - first, bad - first)
        require_finite(step, lambda row: row_of(good - first + row))
        raise DivergenceError(
            f"training diverged at epoch {epoch}, step {self._updates_before(good, n_epoch) + 1}, with learning rate "
            f"{self.optimizer.learning_rate:g}: loss or parameters are no longer finite. The model keeps its last "
            f"finite parameters. Try a smaller learning rate, or scale the features (the largest of this step is "
            f"{np.abs(step.X).max():.3g}) and targets ({np.abs(step.y).max():.3g}) to about 1."
        )

    def _call(self, block: Block, first: int, n_epoch: int) -> None:
        model, learning_rate = self._model, self.optimizer.learning_rate
        if self.batch_rows == 1 and model.is_neuron:
            is_relu = isinstance(model.layers[-1], ReLU)
            tolerance = self._network.tolerance[-1]
            kernels.train_neuron(model.parameters, is_relu, tolerance, *block, learning_rate, self._loss_sum)
        else:
            kernels.train_network(
                self._network,
                model.parameters,
                self._gradient,
                self._chunk_gradient,
                *block,
                learning_rate,
                (self.batch_rows, first, n_epoch),
                self._loss_sum,
            )

    def _updates_before(self, row: int, n_epoch: int) -> int:
        """How many updates of the epoch are done when its first rows are."""
        return row // self.batch_rows + (row == n_epoch and n_epoch % self.batch_rows > 0)

    def _is_finite(self, block: Block) -> bool:
        """Whether all is finite after training on these rows."""
        arrays = (*self._state, block.X) if self._inspects_rows else self._state
        return all(np.isfinite(array).all() for array in arrays)

    @staticmethod
    def _copy(source: tuple[np.ndarray, ...], destination: tuple[np.ndarray, ...]) -> None:
        for array, copy in zip(source, destination, strict=True):
            np.copyto(copy, array)

    def _rewind(self, block: Block, first: int, n_epoch: int) -> tuple[int, int]:
        """Go back to the last finite state; return the position before the step that ended it, and after."""
        good, bad = first, first + len(block.X)
        while True:
            self._copy(self._snapshot, self._state)
            middle = self._cut(good, (good + bad) // 2, n_epoch)
            if middle >= bad:
                return good, bad
            part = block.rows(good - first, middle - first)
            self._call(part, good, n_epoch)
            if self._is_finite(part):
                good = middle
                self._copy(self._state, self._snapshot)
            else:
                bad = middle
