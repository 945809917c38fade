"""Copies of a model that train at once and are combined after each round."""

import contextlib
import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np

from fastgd import kernels, storage
from fastgd._engine.learning_rates import LearningRates
from fastgd._engine.run_state import Snapshot, load_arrays
from fastgd._engine.slices import Engine
from fastgd.data.reader import UNKNOWN, Reader
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.regularization import Regularization
from fastgd.replicas import Nesterov, combine, even_round, rows_of_a_round
from fastgd.schedules import Schedule


class Shares(NamedTuple):
    """How rows are shared out.

    n_replicas : int          round_rows : int or None, of each replica in a round
    outer : Nesterov or None          sync : "average" or "gradient", what of the replicas is combined
    """

    n_replicas: int = 1
    round_rows: int | None = None
    outer: Nesterov | None = None
    sync: Literal["average", "gradient"] = "average"

    @property
    def n_copies(self) -> int:
        """How many models are trained: one where gradients are combined."""
        return self.n_replicas if self.sync == "average" else 1

    @property
    def n_gradients(self) -> int:
        """How many shares of each batch have a gradient of their own."""
        return self.n_replicas if self.sync == "gradient" else 1


class ReplicatedState:
    """What training changes: the state of each replica, what combines them, and how far the epoch is."""

    def __init__(
        self, parameters: np.ndarray, kept: dict[str, np.ndarray], progress: kernels.Progress, engines: list[Engine]
    ) -> None:
        self.parameters, self._kept, self._progress = parameters, kept, progress
        self._states = [engine.state for engine in engines]

    @property
    def optimizer_state(self) -> np.ndarray:
        """That of the first replica."""
        return self._states[0].optimizer_state

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All memory, by name."""
        named = {"parameters": self.parameters, **self._kept, **self._progress._asdict()}
        for number, state in enumerate(self._states):
            named |= {_name(number, name): array for name, array in state.arrays.items()}
        return named

    def copy(self) -> dict[str, np.ndarray]:
        """The same numbers in memory of their own."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def assign(self, copies: Mapping[str, np.ndarray]) -> None:
        """Become equal to a copy of this state."""
        for name, array in self.arrays.items():
            np.copyto(array, copies[name])

    def between_epochs(self) -> dict[str, np.ndarray]:
        """As `RunState.between_epochs`."""
        named = self._kept | {"n_updates": self._progress.n_updates}
        for number, state in enumerate(self._states):
            named |= {_name(number, name): array for name, array in state.between_epochs().items()}
        return named

    def within_epoch(self) -> dict[str, np.ndarray]:
        """As `RunState.within_epoch`; replicas are in the midst of nothing between two rounds."""
        return {name: array for name, array in self._progress._asdict().items() if name != "n_updates"}

    def load_epoch(self, saved: Mapping[str, np.ndarray]) -> None:
        """As `RunState.load_epoch`."""
        load_arrays(self.within_epoch(), saved, "state of the epoch")

    def load(self, saved: Mapping[str, np.ndarray | storage.SavedTensor]) -> None:
        """As `RunState.load`."""
        load_arrays(self.between_epochs(), saved, "state of the run")


def _name(number: int, name: str) -> str:
    return f"replica{number}.{name}"


class Plan(NamedTuple):
    """What makes the engine of a replica, but for its model; it can be pickled.

    seed : the run's, or what the Dropout of one replica draws from; all else as `Engine` takes it
    """

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    regularization: Regularization
    seed: int

    def of_replica(self, number: int) -> Self:
        """That of one replica: the first draws for Dropout what a run without replicas would, each other its own."""
        seeds = np.random.SeedSequence([self.seed, number])
        return self._replace(seed=int(seeds.generate_state(1)[0])) if number else self

    def engine_of(self, model: Model) -> Engine:
        """A new one, of one thread."""
        return Engine(model, *self[:4], seed=self.seed, n_threads=1)


class Workers(Protocol):
    """Who trains replicas for an epoch, inside `with`; made of (engine, reader)."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def train(self, spans: list[tuple[int, int]], number: int) -> list[float]:
        """Train each replica of the engine, which has the parameters to begin with, on its span of the epoch's
        positions, and return their mean losses; where one fails, when all have ended.

        number : the epoch's, which errors name
        """


class ReplicatedEngine:
    """Does what `Engine` does, by several of them.

    model : what the replicas are combined in          shares : as above
    plan : of the run                                  n_threads : int or None, how many may train at once

    Attributes
    ----------
    model : Model
    plans : list of Plan
    engines : list of Engine, whose states are those of the replicas
    prepared_for : the arguments of the latest `prepare`
    workers : what makes `Workers`, to be set before an epoch
    """

    average = None

    def __init__(self, model: Model, shares: Shares, plan: Plan, n_threads: int | None) -> None:
        self.model, self.n_threads = model, n_threads
        self.plans = [plan.of_replica(number) for number in range(shares.n_replicas)]
        self.engines = [each.engine_of(copy.deepcopy(model)) for each in self.plans]
        self.prepared_for: tuple[int, bool, float | None] = 1, False, None
        self.workers: Callable[[ReplicatedEngine, Reader], Workers] | None = None
        self._outer = shares.outer
        self._rate_scale = 1.0 if shares.outer is None else shares.outer.rate_scale
        size = model.parameters.size
        self._velocity = np.zeros(0 if shares.outer is None else size)
        self._progress = kernels.Progress.zeros()
        self._round_rows = shares.round_rows
        self._largest_rate = np.zeros(1)

    @property
    def n_updates(self) -> int:
        """How many updates the replica with the most of them has made: what a schedule counts."""
        return int(self._progress.n_updates[0])

    @property
    def rates(self) -> LearningRates:
        """Those of the first replica, between rounds as the trainer's; a factor that is assigned counts for all."""
        return self.engines[0].rates

    @property
    def state(self) -> ReplicatedState:
        """What training changes."""
        kept = {"outer_velocity": self._velocity, "largest_rate": self._largest_rate}
        return ReplicatedState(self.model.parameters, kept, self._progress, self.engines)

    def prepare(self, batch_rows: int, is_full_batch: bool = False, entries_per_row: float | None = None) -> None:
        """As `Engine.prepare`."""
        for engine in self.engines:
            # An optimiser that begins looks at the parameters that it begins with.
            engine.state.parameters[:] = self.model.parameters
            engine.prepare(batch_rows, is_full_batch, entries_per_row)
        self.prepared_for = batch_rows, is_full_batch, entries_per_row

    @property
    def micro_batch_rows(self) -> int:
        """As `Engine.micro_batch_rows`."""
        return self.engines[0].micro_batch_rows

    @property
    def takes_rows_in_place(self) -> bool:
        """As `Engine.takes_rows_in_place`."""
        return self.engines[0].takes_rows_in_place

    @property
    def threads(self) -> contextlib.AbstractContextManager:
        """Replicas have threads for as long as an epoch."""
        return contextlib.nullcontext()

    def shares_of(self, n_samples: int) -> list[tuple[int, int]]:
        """The positions of an epoch that each replica trains on, from one to before another."""
        n_replicas = len(self.engines)
        return list(itertools.pairwise(n_samples * k // n_replicas for k in range(n_replicas + 1)))

    def begin_epoch(self) -> None:
        """As `Engine.begin_epoch`."""
        self._progress.begin_epoch(UNKNOWN)

    def train_epoch(
        self,
        reader: Reader,
        number: int,
        on_rows: Callable[[int, float], None] | None = None,
        goes_on: bool = False,
    ) -> float:
        """As `Engine.train_epoch`: each replica has a share of the epoch's positions, and a call may end after a round.

        Where a round fails, all are as they were before it.
        """
        if not goes_on:
            self.begin_epoch()
        progress, n_samples = self._progress, reader.dataset.n_samples
        shares, batch_rows = self.shares_of(n_samples), self.prepared_for[0]
        progress.n_rows[0] = n_samples
        snapshot = Snapshot(self.state.arrays.values())
        with self.workers(self, reader) as workers:
            while progress.position[0] < n_samples:
                # Before an epoch's last round, all replicas have done as many rows.
                first = int(progress.position[0]) // len(shares)
                step = self._rows_of_next_round(n_samples // len(shares))
                step = even_round(-(-n_samples // len(shares)) - first, step, batch_rows)
                spans = [(min(begin + first, end), min(begin + first + step, end)) for begin, end in shares]
                n_rows = [end - begin for begin, end in spans]
                self._round(workers, spans, n_rows, number, snapshot)
                if on_rows:
                    on_rows(sum(n_rows), float(progress.loss_sum[0]) / int(progress.position[0]))
        return float(progress.loss_sum[0]) / n_samples

    def _rows_of_next_round(self, share: int) -> int:
        """share : how many rows of the epoch a replica has"""
        if self._round_rows is not None:
            return self._round_rows
        rate = self.rates.at()
        # What is no number is larger than nothing.
        self._largest_rate[0] = max(float(self._largest_rate[0]), rate)
        has_momentum = self._outer is not None and self._outer.momentum > 0
        size, largest_rate = self.model.parameters.size, float(self._largest_rate[0])
        return rows_of_a_round(size, rate, largest_rate, share if has_momentum else None)

    def _round(
        self, workers: Workers, spans: list[tuple[int, int]], n_rows: list[int], number: int, snapshot: Snapshot
    ) -> None:
        """Train each replica on its span, and combine them; snapshot is of the state."""
        snapshot.take()
        factor = self.rates.factor
        try:
            for engine in self.engines:
                engine.state.parameters[:] = self.model.parameters
                engine.rates.factor = factor * self._rate_scale
            losses = workers.train(spans, number)
            with kernels.interrupts_deferred():
                trained = [engine.state.parameters for engine in self.engines]
                combine(self.model.parameters, trained, n_rows, self._velocity, self._outer)
                progress = self._progress
                progress.loss_sum[0] += sum(loss * n for loss, n in zip(losses, n_rows, strict=True))
                progress.position[0] += sum(n_rows)
                progress.n_updates[0] = max(engine.n_updates for engine in self.engines)
        except BaseException:
            snapshot.restore()
            raise
        finally:
            self.rates.factor = factor
