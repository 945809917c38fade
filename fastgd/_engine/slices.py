"""Runs the compiled loop over an epoch, slice by slice.

Between slices Python has control: Ctrl-C, progress bars and the check that training is still finite have their place
there.
"""

import contextlib
import functools
import time
from collections.abc import Callable

import numpy as np

from fastgd import kernels
from fastgd._engine.choose_loop import choose_loop
from fastgd._engine.finiteness import Epoch, FiniteLoop
from fastgd._engine.garbage_collection import collection_paused
from fastgd._engine.learning_rates import LearningRates
from fastgd._engine.loops import Loop, Task, call_end, hooks_of
from fastgd._engine.run_state import RunState
from fastgd.data.reader import UNKNOWN, Reader
from fastgd.data.stream_reader import StreamReader
from fastgd.kernels import aligned_zeros
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.regularization import NO_REGULARIZATION, Regularization
from fastgd.schedules import Schedule

# Ctrl-C must not wait longer than this. A slice costs a call of the kernel, and a copy of the state and a look at it.
_SLICE_SECONDS = 0.1
# The first slice tells how long a row takes, but not to the last digit.
_MOST_GROWTH = 256
# The first slice has as many rows as any loop on any processor takes in time. These are upper bounds in seconds: of a
# parameter's part in a row's three products, and of the rest of a row, which is most of it in the smallest models.
_MOST_PER_PARAMETER, _MOST_PER_ROW = 3e-8, 1e-5
# Rates of so many updates stay in the cache from where they are computed to where they are used.
_RATES_PER_CALL = 1 << 16


def _first_slice(touched: float) -> int:
    """How many rows the first slice has, where the work on each is of so many parameters."""
    return max(int(_SLICE_SECONDS / (_MOST_PER_ROW + _MOST_PER_PARAMETER * touched)), 1)


class Engine:
    """Gradient descent on a model: everything that training changes, and the loop that changes it."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        optimizer: Optimizer,
        schedule: Schedule,
        regularization: Regularization = NO_REGULARIZATION,
        seed: int = 0,
        n_threads: int | None = None,
        n_shares: int = 1,
    ) -> None:
        self.n_threads = n_threads
        # How many shares of each batch have their gradients computed apart.
        self._n_shares = n_shares
        self._model = model
        self._loss = loss
        self._optimizer = optimizer
        self._optimizer_state = optimizer.initial_state(model)
        self._settings: tuple | None = None
        self._prepared_for: tuple[int, bool, float | None] | None = None
        self._regularization = regularization.settings(optimizer.is_plain)
        self._average_from = regularization.average_from
        self._seed = seed
        parameters = model.parameters
        averages = regularization.average_from is not None
        has_l1 = regularization.alpha * regularization.l1_ratio > 0
        self._vectors = kernels.Vectors(
            parameters=parameters,
            gradient=aligned_zeros(parameters.size, model.dtype),
            micro_batch_gradient=np.empty(0, model.dtype),
            state=self._optimizer_state.vectors,
            own=self._optimizer_state.own,
            average=aligned_zeros(parameters.size if averages else 0, np.dtype(np.float64)),
            orthant=aligned_zeros(parameters.size if has_l1 else 0, model.dtype),
        )
        self._progress = kernels.Progress.zeros()
        self.rates = LearningRates(schedule, self._progress.n_updates)
        self._slice_rows = _first_slice(parameters.size)
        self._batch_rows = self._micro_batch_rows = 0
        self._loop: Loop | None = None
        self._finite_loop: FiniteLoop | None = None

    @property
    def n_updates(self) -> int:
        """How many updates were made."""
        return int(self._progress.n_updates[0])

    @property
    def average(self) -> np.ndarray | None:
        """The running mean of the parameters, (n_parameters,) float64, or None where none is kept or none has begun."""
        average = self._vectors.average
        started = average.size and self.n_updates >= self._average_from
        return average if started else None

    @property
    def state(self) -> RunState:
        """What training changes."""
        vectors, is_cut = self._vectors, self._batch_rows > self._micro_batch_rows
        return RunState(
            vectors.parameters,
            vectors.state[:, : vectors.parameters.size],
            vectors.own,
            self._optimizer_state.named,
            vectors.average,
            # The gradient lives on from call to call only where a batch may be cut.
            vectors.gradient if is_cut else np.empty(0, vectors.gradient.dtype),
            *self._progress,
        )

    def parameters_seen(self, X: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """A copy of the parameters as the next batch's forward pass sees them.

        They are the model's, but for an optimiser that adapts them to the rows before.

        X, sample_weight : the batch, as the first layer takes it; `prepare` must have been called for it
        """
        observe = hooks_of(self._settings).before_forward
        if observe is None:
            return self._model.parameters.copy()
        vectors = kernels.Vectors(*(array.copy() for array in self._vectors))
        observe(vectors, kernels.settings_vector(self._settings), X, sample_weight)
        return vectors.parameters

    def prepare(self, batch_rows: int, is_full_batch: bool = False, entries_per_row: float | None = None) -> None:
        """Have buffers for batches of up to so many rows; a full batch is of all rows there are.

        entries_per_row : of sparse rows; None for dense ones
        """
        self._optimizer.begin(self._model, self._optimizer_state)
        prepared_for = batch_rows, is_full_batch, entries_per_row
        if self._prepared_for == prepared_for:
            return
        settings = self._optimizer.settings_for(self._model, self._loss, is_full_batch)
        is_as_before = self._prepared_for is not None and self._prepared_for[2] == entries_per_row
        if is_as_before and (batch_rows, settings) == (self._batch_rows, self._settings):
            self._prepared_for = prepared_for
            return
        micro_batch_rows = min(self._model.micro_batch_rows, batch_rows)
        if hooks_of(settings).is_bounded:
            # Micro-batches of one size, as a batch is bounded by its last one.
            micro_batch_rows = -(-batch_rows // -(-batch_rows // micro_batch_rows))
        is_shared = self._n_shares > 1
        is_cut = batch_rows > micro_batch_rows and entries_per_row is None and not is_shared
        n_scratch = self._model.parameters.size if is_cut else 0
        vectors = self._vectors._replace(micro_batch_gradient=aligned_zeros(n_scratch, self._model.dtype))
        task = Task(
            self._model,
            vectors,
            self._loss,
            settings,
            self._regularization,
            batch_rows,
            micro_batch_rows,
            self._seed,
            self.n_threads,
            self._progress,
        )
        with collection_paused():
            loop = choose_loop(task, entries_per_row, self._n_shares)
        if entries_per_row is not None:
            # No step is cut.
            micro_batch_rows = batch_rows
            self._slice_rows = max(self._slice_rows, _first_slice(loop.touched))
        elif is_shared:
            micro_batch_rows = loop.unit
        # All or nothing, whatever interrupts the compiler: no Ctrl-C comes between the items of one call.
        vars(self).update(
            _batch_rows=batch_rows,
            _settings=settings,
            _prepared_for=prepared_for,
            _micro_batch_rows=micro_batch_rows,
            _vectors=vectors,
            _loop=loop,
            _finite_loop=None,
        )

    @property
    def micro_batch_rows(self) -> int:
        """How many rows a block must have room for."""
        return max(self._micro_batch_rows, self._loop.unit)

    @property
    def takes_rows_in_place(self) -> bool:
        """Whether blocks may hold X in the data's dtype, wherever its rows lie."""
        return self._loop.takes_rows_in_place

    @property
    def threads(self) -> contextlib.AbstractContextManager:
        """Inside, the threads that share the loop's products are kept from call to call."""
        return self._loop.pool or contextlib.nullcontext()

    def begin_epoch(self) -> None:
        """Forget how far the last epoch came."""
        self._progress.begin_epoch(UNKNOWN)

    def train_epoch(
        self,
        reader: Reader | StreamReader,
        number: int,
        on_rows: Callable[[int, float], None] | None = None,
        goes_on: bool = False,
    ) -> float:
        """Train on every row that the reader has, in its order, and return the mean loss.

        reader : its blocks must have room for `micro_batch_rows`
        number : the epoch's, which errors name
        on_rows : called after each slice with the rows it took and the mean loss so far
        goes_on : whether from where `state` is in the epoch, rather than from its beginning

        Raises ValueError for bad values in the data and DivergenceError where training itself stopped being finite; the
        model keeps the parameters from before that step.
        """
        loop = self._loop
        if self._finite_loop is None:
            self._finite_loop = FiniteLoop(
                loop, self._model, self._loss, self.rates, self.state, self._batch_rows, self._micro_batch_rows
            )
        if not goes_on:
            self.begin_epoch()
        done = first = int(self._progress.position[0])
        if done == self._progress.n_rows[0]:
            return float(self._progress.loss_sum[0]) / done
        n_busy = 1 if loop.pool is None else loop.pool.n_threads
        parts = reader.parts(functools.partial(call_end, loop), self.n_threads, n_busy, first)
        try:
            for start, stop, n_rows, block in parts:
                self._progress.n_rows[0] = n_rows
                epoch, first = Epoch(n_rows, number, reader.row), start
                while first < stop:
                    # Where a run was saved need not be where a call would have ended: first of all, there.
                    target = first + (self._slice_rows if first > done or done == 0 else 0)
                    last = min(call_end(loop, first, target, n_rows), stop)
                    began = time.perf_counter()
                    self._finite_loop.run(block.rows(first - start, last - start), first, epoch)
                    self._adapt(last - first, time.perf_counter() - began)
                    if on_rows:
                        on_rows(last - first, float(self._progress.loss_sum[0]) / last)
                    first = last
        finally:
            # The thread that reads ahead ends with it, whatever still refers to it.
            parts.close()
        return float(self._progress.loss_sum[0]) / stop

    def epochs_at_once(self, reader: Reader, most: int) -> int:
        """How many epochs one call of the loop may train, up to `most`: as many as there is time for in a slice.

        They are none where the rows may change or come block by block, or were never trained on.

        reader : gives the rows in the data's order
        """
        is_known = self._finite_loop is not None and self._loop.repeats_epochs and reader.may_reread
        return min(most, self._slice_rows // reader.dataset.n_samples) if is_known else 0

    def train_epochs(self, reader: Reader, n_epochs: int) -> np.ndarray | None:
        """Train for as many epochs as `epochs_at_once` allows; the mean losses, (n_epochs,) float64.

        Where not all of them are finite, nothing has changed, and there are none. Ctrl-C must be deferred.
        """
        n_rows = reader.dataset.n_samples
        self._progress.begin_epoch(n_rows)
        losses = np.empty(n_epochs)
        began = time.perf_counter()
        if not self._finite_loop.run_epochs(reader.read(0, n_rows), losses):
            return None
        self._adapt(n_epochs * n_rows, time.perf_counter() - began)
        return losses / n_rows

    def _adapt(self, n_rows: int, seconds: float) -> None:
        """Have slices take three quarters of the limit, as one of so many rows took so long."""
        growth = min(0.75 * _SLICE_SECONDS / max(seconds, 1e-9), _MOST_GROWTH)
        wanted = max(int(growth * n_rows), 1)
        # The last slice of a block may be short: of its seconds, too many are the call's own.
        is_whole = n_rows >= self._slice_rows or seconds > _SLICE_SECONDS
        self._slice_rows = wanted if is_whole else max(wanted, self._slice_rows)
        if not self.rates.is_constant:
            self._slice_rows = min(self._slice_rows, _RATES_PER_CALL * self._batch_rows)
