"""Runs the compiled loop over an epoch, slice by slice, and keeps the model finite.

Between slices Python has control: Ctrl-C, progress bars and the check that training is still finite have their place
there. The check costs nothing per step: each slice starts from a copy of the state, and a slice that ends with a NaN or
infinity is run again from the copy to find the step where it came from.
"""

import time
from collections.abc import Callable

import numpy as np

from fastgd import kernels, schedules
from fastgd._engine.garbage_collection import collection_paused
from fastgd._engine.loops import Loop, Regularization, Task, choose_loop
from fastgd.data.base import Block, Reader, all_finite, require_finite
from fastgd.errors import DivergenceError
from fastgd.kernels.codegen.alignment import aligned_zeros
from fastgd.kernels.nn.loss import Poisson
from fastgd.kernels.optim.bounded import Bounded
from fastgd.kernels.optim.normalized_sgd import (
    IS_DRAWN,
    ROWS_OF_UPDATE,
    START,
    WEIGHT_SEEN,
    NormalizedSGD,
    initial_scalars,
    rows_of_update,
)
from fastgd.layers import Linear
from fastgd.losses import Loss, acceptable, require_targets, takes_every_number
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.schedules import Constant, Schedule

# Ctrl-C must not wait longer than this. A slice costs a call of the kernel, and a copy of the state and a look at it.
_SLICE_SECONDS = 0.1
# The first slice tells how long a row takes, but not to the last digit.
_MOST_GROWTH = 256
# The first slice has as many rows as any loop on any processor takes in time. These are more seconds than a parameter's
# part in three products takes, and than the rest of a row, which is most of it in the smallest models.
_MOST_PER_PARAMETER, _MOST_PER_ROW = 3e-8, 1e-5
# Rates of so many updates stay in the cache from where they are computed to where they are used.
_RATES_PER_CALL = 1 << 16


class Engine:
    """Gradient descent on a model: everything that training changes, and the loop that changes it."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        optimizer: Optimizer,
        schedule: Schedule,
        regularization: Regularization = kernels.NoRegularization(),  # noqa: B008 (a constant)
        seed: int = 0,
    ) -> None:
        self.rate_factor = 1.0
        self._model = model
        self._loss = loss
        self._optimizer = optimizer.record_for(loss)
        self._schedule = schedule
        self._regularization = regularization
        self._seed = seed
        parameters = model.parameters
        is_regularized = isinstance(regularization, kernels.Regularization)
        averages = is_regularized and np.isfinite(regularization.average_from)
        has_l1 = is_regularized and regularization.l1 > 0
        first = next(layer for layer in model.layers if isinstance(layer, Linear))
        is_careful = not model.is_linear or isinstance(loss, Poisson)
        n_units = sum(layer.out_features for layer in model.layers if isinstance(layer, Linear))
        scalars = initial_scalars(first.in_features, first.out_features, first.has_bias, n_units, is_careful)
        self._vectors = kernels.Vectors(
            parameters=parameters,
            gradient=aligned_zeros(parameters.size, model.dtype),
            micro_batch_gradient=np.empty(0, model.dtype),
            state=optimizer.initial_state(model.weights, parameters),
            scalars=scalars if isinstance(self._optimizer, NormalizedSGD) else np.zeros(10),
            average=aligned_zeros(parameters.size if averages else 0, np.dtype(np.float64)),
            orthant=aligned_zeros(parameters.size if has_l1 else 0, model.dtype),
        )
        # As `train_network` describes it.
        self._progress = np.zeros(3)
        self._slice_rows = max(int(_SLICE_SECONDS / (_MOST_PER_ROW + _MOST_PER_PARAMETER * parameters.size)), 1)
        self._batch_rows = 0
        # Those of a user's own schedule, for the updates that the last call made.
        self._checks_rates = not schedules.is_known(schedule)
        self._used_rates = np.empty(0)
        self._has_run = False
        self._loop: Loop | None = None

    @property
    def n_updates(self) -> int:
        """How many updates were made."""
        return int(self._progress[1])

    @property
    def average(self) -> np.ndarray | None:
        """The running mean of the parameters, (n_parameters,) float64, or None where none is kept or none has begun."""
        average = self._vectors.average
        started = average.size and self.n_updates >= self._regularization.average_from
        return average if started else None

    def saved_state(self) -> dict[str, np.ndarray]:
        """What the optimiser and the average hold, by name: written into, it is restored."""
        # What an update counts as is a setting of each call, and the last of the scalars.
        scalars = self._vectors.scalars[:ROWS_OF_UPDATE]
        state = {
            "optimizer.state": self._vectors.state[:, : self._model.parameters.size],
            "optimizer.scalars": scalars,
        }
        return state | {"average": self._vectors.average, "progress": self._progress}

    def copied_state(self) -> tuple[np.ndarray, ...]:
        """A copy of all that training changes, for `go_back`."""
        return tuple(array.copy() for array in (self._model.parameters, *self.saved_state().values()))

    def go_back(self, state: tuple[np.ndarray, ...]) -> None:
        """Be again what `copied_state` copied."""
        self._copy(state, (self._model.parameters, *self.saved_state().values()))

    def learning_rate(self, update: int | None = None) -> float:
        """The rate of the update of this number, from 1; of the next by default."""
        return float(self._rates(1, update)[0])

    def _rates(self, n_updates: int, first: int | None = None) -> np.ndarray:
        """The rates of so many updates, or one for all of them where it is the same; from the next on by default."""
        done = self._progress[1] if first is None else first - 1.0
        if self._schedule.is_constant(done + 1, done + n_updates):
            n_updates = 1
        t = np.arange(1.0, n_updates + 1) + done
        return self.rate_factor * (schedules.rates(self._schedule, t) if self._checks_rates else self._schedule(t))

    def prepare(self, batch_rows: int, is_full_batch: bool = False) -> None:
        """Have buffers for batches of up to so many rows; a full batch is of all rows there are."""
        scalars = self._vectors.scalars
        if isinstance(self._optimizer, NormalizedSGD) and scalars[WEIGHT_SEEN] == 0:
            # Random weights are meant for features of scale 1 and mean 0; any others, for the features as they are.
            scalars[IS_DRAWN] = self._model.starts_as_drawn
            n_weights = self._model.weights[0, 1]
            start = 0 if scalars[IS_DRAWN] else self._model.parameters[:n_weights]
            self._vectors.state[START, :n_weights] = start
        scalars[ROWS_OF_UPDATE] = rows_of_update(self._model.in_features, is_full_batch)
        if batch_rows == self._batch_rows:
            return
        micro_batch_rows = min(self._model.micro_batch_rows, batch_rows)
        if isinstance(self._optimizer, Bounded):
            # Chunks of one size, as a batch is bounded by its last one.
            micro_batch_rows = -(-batch_rows // -(-batch_rows // micro_batch_rows))
        spans_micro_batches = batch_rows > micro_batch_rows
        n_scratch = self._model.parameters.size if spans_micro_batches else 0
        vectors = self._vectors._replace(micro_batch_gradient=aligned_zeros(n_scratch, self._model.dtype))
        # The gradient lives on from call to call only where a batch may be cut.
        carried = (vectors.gradient,) if spans_micro_batches else ()
        state = (vectors.parameters, vectors.state, vectors.scalars, vectors.average, self._progress, *carried)
        task = Task(
            self._model,
            vectors,
            self._loss,
            self._optimizer,
            self._regularization,
            batch_rows,
            micro_batch_rows,
            self._seed,
            self._progress,
        )
        with collection_paused():
            loop = choose_loop(task)
        # All or nothing, whatever interrupts the compiler: no Ctrl-C comes between the items of one call.
        vars(self).update(
            _batch_rows=batch_rows,
            _micro_batch_rows=micro_batch_rows,
            _vectors=vectors,
            _state=state,
            _snapshot=tuple(map(np.empty_like, state)),
            _loop=loop,
        )

    @property
    def micro_batch_rows(self) -> int:
        """How many rows a block must have room for."""
        return max(self._micro_batch_rows, self._loop.unit)

    @property
    def takes_rows_in_place(self) -> bool:
        """Whether blocks may hold X in the data's dtype, wherever its rows lie."""
        return self._loop.takes_rows_in_place

    def train_epoch(self, reader: Reader, epoch: int, on_rows: Callable[[int, float], None] | None = None) -> float:
        """Train on every row that the reader has, in its order, and return the mean loss.

        reader : its blocks must have room for `micro_batch_rows`
        epoch : the number that errors name
        on_rows : called after each slice with the rows it took and the mean loss so far

        Raises ValueError for bad values in the data and DivergenceError where training itself stopped being finite; the
        model keeps the parameters from before that step.
        """
        n_epoch = reader.dataset.n_samples
        self._progress[[0, 2]] = 0
        start = 0
        while start < n_epoch:
            stop = self._call_end(start, start + reader.max_rows, n_epoch)
            block = reader.read(start, stop)
            first = start
            while first < stop:
                last = min(self._call_end(first, first + self._slice_rows, n_epoch), stop)
                part = block.rows(first - start, last - start)
                began = time.perf_counter()
                self._run(part, first, n_epoch, reader.row, epoch)
                self._adapt(last - first, time.perf_counter() - began)
                if on_rows:
                    on_rows(last - first, float(self._progress[0]) / last)
                first = last
            reader.release(start, stop)
            start = stop
        return float(self._progress[0]) / n_epoch

    def _cut(self, start: int, target: int, n_epoch: int, period: int, unit: int) -> int:
        """The last place in (start, target] where a call may end, or the first after start where there is none.

        period, unit : as for `Loop`
        """
        if target >= n_epoch:
            return n_epoch
        begun = target // period * period
        end = begun + (target - begun) // unit * unit
        if end > start:
            return end
        return min(start + unit, (start // period + 1) * period, n_epoch)

    def _call_end(self, start: int, target: int, n_epoch: int) -> int:
        """The end of a call of the loop, as `_cut` finds it."""
        return self._cut(start, target, n_epoch, self._loop.period, self._loop.unit)

    def _adapt(self, n_rows: int, seconds: float) -> None:
        """Have slices take three quarters of the limit, as one of so many rows took so long."""
        growth = min(0.75 * _SLICE_SECONDS / max(seconds, 1e-9), _MOST_GROWTH)
        wanted = max(int(growth * n_rows), 1)
        # The last slice of a block may be short: of its seconds, too many are the call's own.
        is_whole = n_rows >= self._slice_rows or seconds > _SLICE_SECONDS
        self._slice_rows = wanted if is_whole else max(wanted, self._slice_rows)
        if not isinstance(self._schedule, Constant):
            self._slice_rows = min(self._slice_rows, _RATES_PER_CALL * self._batch_rows)

    def _run(self, block: Block, first: int, n_epoch: int, row_of: Callable[[int], int], epoch: int) -> None:
        """Train on consecutive rows, of which the first has position `first` in the epoch.

        row_of : turns a position in the epoch into the row that errors name
        """
        done, stop, end = 0, block.n_samples, block.n_samples
        while done < end:
            part, position = block.rows(done, stop), first + done
            self._copy(self._state, self._snapshot)
            try:
                if self._succeeds(part, position, n_epoch):
                    done, stop = stop, end
                    continue
                with kernels.interrupts_deferred():
                    bad = self._pass_bad_step(part, position, n_epoch, row_of, epoch)
            except BaseException:
                # Ctrl-C may have come before a look at what the slice left.
                with kernels.interrupts_deferred():
                    if not self._is_finite_after(part):
                        self._copy(self._snapshot, self._state)
                raise
            # Then on to where calls may end, so that what follows is rounded as ever.
            done, stop = bad - first, min(self._call_end(bad, bad, n_epoch) - first, end)

    def _pass_bad_step(self, block: Block, first: int, n_epoch: int, row_of: Callable[[int], int], epoch: int) -> int:
        """Train up to and with the step that ended a slice; return the position after it, or raise what is wrong."""
        good, bad = self._rewind(block, first, n_epoch)
        step = block.rows(good - first, bad - first)
        # Rows that overflow only when they are multiplied with one another can still be taken one by one.
        self._copy(self._state, self._snapshot)
        if not self._succeeds(step, good, n_epoch):
            self._copy(self._snapshot, self._state)
            self._raise(step.gathered(self._model.dtype), good, lambda row: row_of(good + row), epoch)
        return bad

    def _raise(self, step: Block, position: int, row_of: Callable[[int], int], epoch: int) -> None:
        """Say why a step that begins at a position of the epoch is not finite."""
        require_finite(step, row_of)
        require_targets(self._loss, step.y, self._model.out_features, row_of)
        schedules.require_rate(self._schedule, self._progress[1] + 1)
        raise DivergenceError(
            f"training diverged at epoch {epoch}, step {position // self._batch_rows + 1}, with learning rate "
            f"{self.learning_rate():g}: loss or parameters are no longer finite. The model keeps its last finite "
            f"parameters. Try a smaller learning rate, or scale the features (the largest of this step is "
            f"{np.abs(step.X).max():.3g}) and targets ({np.abs(step.y).max():.3g}) to about 1."
        )

    def _succeeds(self, block: Block, first: int, n_epoch: int) -> bool:
        """Train on these rows, unless the loss does not take their targets; whether all is finite after it."""
        if not (takes_every_number(self._loss) or self._takes_targets(block)):
            # A class out of range would be an index out of range.
            return False
        if block.sample_weight.size and (block.in_order(block.sample_weight) < 0).any():
            return False
        self._call(block, first, n_epoch)
        return self._is_finite_after(block)

    def _is_finite_after(self, block: Block) -> bool:
        """Whether all is finite that training on these rows has changed, or may have hidden."""
        inspected = (*self._state, self._used_rates)
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
        return bool(acceptable(self._loss, block.in_order(block.y), self._model.out_features).all())

    def _call(self, block: Block, first: int, n_epoch: int) -> None:
        if self._has_run:
            self._train(block, first, n_epoch)
            return
        with collection_paused():
            self._train(block, first, n_epoch)
        self._has_run = True

    def _train(self, block: Block, first: int, n_epoch: int) -> None:
        rates, before = self._rates(block.n_samples // self._batch_rows + 2), self.n_updates
        self._loop.run(block, rates, first, n_epoch)
        if self._checks_rates:
            self._used_rates = rates[: self.n_updates - before]

    @staticmethod
    def _copy(source: tuple[np.ndarray, ...], destination: tuple[np.ndarray, ...]) -> None:
        for array, copy in zip(source, destination, strict=True):
            np.copyto(copy, array)

    def _rewind(self, block: Block, first: int, n_epoch: int) -> tuple[int, int]:
        """Go back to the last finite state; return the position before the step that ended it, and after."""
        good, bad = first, first + block.n_samples
        while True:
            self._copy(self._snapshot, self._state)
            # Cut where calls may end, the good steps are rounded as without the bad one; steps come last.
            middle = self._call_end(good, (good + bad) // 2, n_epoch)
            if middle >= bad:
                middle = self._cut(good, (good + bad) // 2, n_epoch, self._batch_rows, self._micro_batch_rows)
            if middle >= bad:
                return good, bad
            if self._succeeds(block.rows(good - first, middle - first), good, n_epoch):
                good = middle
                self._copy(self._state, self._snapshot)
            else:
                bad = middle
