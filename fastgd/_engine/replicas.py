"""Copies of a model that train at once, in threads, and are combined after each round."""

import contextlib
import copy
import itertools
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fastgd import kernels, storage
from fastgd._engine.learning_rates import LearningRates
from fastgd._engine.slices import Engine
from fastgd.data.base import Dataset
from fastgd.data.reader import Part, Reader
from fastgd.model import Model
from fastgd.model_data import reader_of
from fastgd.replicas import Nesterov, combine, rows_of_a_round
from fastgd.threads import most_threads


class Shares(NamedTuple):
    """How rows are shared out.

    n_replicas : int          round_rows : int or None, of each replica in a round
    outer : Nesterov or None
    """

    n_replicas: int = 1
    round_rows: int | None = None
    outer: Nesterov | None = None


class Span:
    """Consecutive positions of an epoch, read as if they were one: what an engine takes for a reader.

    reader : of the epoch          begin, end : positions in it          reading : held while the data set is read
    """

    def __init__(self, reader: Reader, begin: int, end: int, reading: contextlib.AbstractContextManager) -> None:
        self._reader, self._begin, self._end, self._reading = reader, begin, end, reading

    def parts(
        self, end_of_part: Callable[[int, int, int], int], n_threads: int | None = 1, n_busy: int = 1
    ) -> Generator[Part, None, None]:
        """As `Reader.parts`, without a thread that reads ahead: the replicas have all of them."""
        reader, begin, n_rows = self._reader, self._begin, self._end - self._begin
        start = 0
        while start < n_rows:
            stop = end_of_part(start, min(start + reader.max_rows, n_rows), n_rows)
            with self._reading:
                block = reader.read(begin + start, begin + stop)
            yield Part(start, stop, n_rows, block)
            reader.release(begin + start, begin + stop)
            start = stop

    def row(self, position: int) -> int:
        """What errors call a row."""
        return self._reader.row(self._begin + position)


class ReplicatedState:
    """What training changes: the state of each replica, and what combines them."""

    def __init__(self, parameters: np.ndarray, velocity: np.ndarray, engines: list[Engine]) -> None:
        self._parameters, self._velocity = parameters, velocity
        self._states = [engine.state for engine in engines]

    @property
    def optimizer_state(self) -> np.ndarray:
        """That of the first replica."""
        return self._states[0].optimizer_state

    def copy(self) -> dict[str, np.ndarray]:
        """The same numbers in memory of their own."""
        return {name: array.copy() for name, array in self._named().items()}

    def assign(self, copies: Mapping[str, np.ndarray]) -> None:
        """Become equal to a copy of this state."""
        for name, array in self._named().items():
            np.copyto(array, copies[name])

    def between_epochs(self) -> dict[str, np.ndarray]:
        """What a run goes on from between two epochs, besides the model's parameters, by name."""
        named = {"outer_velocity": self._velocity}
        for number, state in enumerate(self._states):
            named |= {_name(number, name): array for name, array in state.between_epochs().items()}
        return named

    def load(self, saved: Mapping[str, np.ndarray | storage.SavedTensor]) -> None:
        """Go on from what another run's `between_epochs` held; a ValueError says what does not fit."""
        expected = self.between_epochs()
        storage.require_names(saved, "state of the run", expected)
        if tuple(saved["outer_velocity"].shape) != self._velocity.shape:
            raise ValueError(
                f"outer_velocity has shape {tuple(saved['outer_velocity'].shape)}; expected {self._velocity.shape}"
            )
        self._velocity[...] = saved["outer_velocity"]
        for number, state in enumerate(self._states):
            state.load({name: saved[_name(number, name)] for name in state.between_epochs()})

    def _named(self) -> dict[str, np.ndarray]:
        named = {"parameters": self._parameters, "outer_velocity": self._velocity}
        for number, state in enumerate(self._states):
            named |= {_name(number, name): array for name, array in state.arrays.items()}
        return named


def _name(number: int, name: str) -> str:
    return f"replica{number}.{name}"


class ReplicatedEngine:
    """Does what `Engine` does, by several of them.

    model : what the replicas are combined in          shares : as above
    engine_of : makes the engine of a copy of the model, by its number
    n_threads : int or None, how many replicas train at once at most
    """

    average = None

    def __init__(
        self, model: Model, shares: Shares, engine_of: Callable[[Model, int], Engine], n_threads: int | None
    ) -> None:
        self._model, self._shares = model, shares
        self._engines = [engine_of(copy.deepcopy(model), number) for number in range(shares.n_replicas)]
        self.n_threads = n_threads
        size = model.parameters.size
        self._velocity = np.zeros(0 if shares.outer is None else size)
        self._round_rows = shares.round_rows or rows_of_a_round(size)
        self._batch_rows = 1
        self._readers: list[Reader] = []
        self._read: Dataset | None = None
        self._reading: contextlib.AbstractContextManager = contextlib.nullcontext()

    @property
    def n_updates(self) -> int:
        """How many updates the replica with the most of them has made: what a schedule counts."""
        return max(engine.n_updates for engine in self._engines)

    @property
    def rates(self) -> LearningRates:
        """Those of the first replica; a factor that is assigned counts for all."""
        return self._engines[0].rates

    @property
    def state(self) -> ReplicatedState:
        """What training changes."""
        return ReplicatedState(self._model.parameters, self._velocity, self._engines)

    def prepare(self, batch_rows: int, is_full_batch: bool = False, entries_per_row: float | None = None) -> None:
        """As `Engine.prepare`."""
        for engine in self._engines:
            # An optimiser that begins looks at the parameters that it begins with.
            engine.state.parameters[:] = self._model.parameters
            engine.prepare(batch_rows, is_full_batch, entries_per_row)
        self._batch_rows = batch_rows

    @property
    def micro_batch_rows(self) -> int:
        """As `Engine.micro_batch_rows`."""
        return self._engines[0].micro_batch_rows

    @property
    def takes_rows_in_place(self) -> bool:
        """As `Engine.takes_rows_in_place`."""
        return self._engines[0].takes_rows_in_place

    @property
    def threads(self) -> contextlib.AbstractContextManager:
        """Replicas have threads for as long as an epoch."""
        return contextlib.nullcontext()

    def train_epoch(self, reader: Reader, number: int, on_rows: Callable[[int, float], None] | None = None) -> float:
        """As `Engine.train_epoch`: the epoch's positions are cut into a share for each replica.

        Where a round fails, all are as they were before it.
        """
        n_samples, n_replicas = reader.dataset.n_samples, len(self._engines)
        readers = self._readers_like(reader)
        bounds = [n_samples * k // n_replicas for k in range(n_replicas + 1)]
        spans = list(itertools.pairwise(bounds))
        # All rounds but the last end where a batch does.
        step = max(self._round_rows // self._batch_rows, 1) * self._batch_rows
        loss_sum, n_done = 0.0, 0
        n_workers = min(n_replicas, most_threads() if self.n_threads is None else self.n_threads)
        with ThreadPoolExecutor(n_workers, thread_name_prefix="fastgd replica") as pool:
            for first in range(0, max(end - begin for begin, end in spans), step):
                cut = [(min(begin + first, end), min(begin + first + step, end)) for begin, end in spans]
                losses = self._round(pool, readers, cut, number)
                n_rows = [end - begin for begin, end in cut]
                loss_sum += sum(loss * n for loss, n in zip(losses, n_rows, strict=True))
                n_done += sum(n_rows)
                if on_rows:
                    on_rows(sum(n_rows), loss_sum / n_done)
        return loss_sum / n_done

    def _round(
        self, pool: ThreadPoolExecutor, readers: list[Reader], spans: list[tuple[int, int]], number: int
    ) -> list[float]:
        """Train each replica on its span, combine them, and return their mean losses."""
        before = self.state.copy()
        stop = threading.Event()
        futures: list[Future[float]] = []
        try:
            replicas = zip(self._engines, readers, spans, strict=True)
            futures.extend(pool.submit(self._train, *each, number, stop) for each in replicas)
            losses = [_result(future, k, len(spans)) for k, future in enumerate(futures)]
            with kernels.interrupts_deferred():
                n_rows = [end - begin for begin, end in spans]
                trained = [engine.state.parameters for engine in self._engines]
                combine(self._model.parameters, trained, n_rows, self._velocity, self._shares.outer)
            return losses
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            for future in futures:
                with contextlib.suppress(BaseException):
                    future.result()
            self.state.assign(before)
            raise

    def _train(
        self, engine: Engine, reader: Reader, span: tuple[int, int], number: int, stop: threading.Event
    ) -> float:
        engine.state.parameters[:] = self._model.parameters
        engine.rates.factor = self.rates.factor
        begin, end = span
        if begin == end:
            return 0.0

        def look(_: int, __: float) -> None:
            if stop.is_set():
                raise _StoppedError

        return engine.train_epoch(Span(reader, begin, end, self._reading), number, look)

    def _readers_like(self, reader: Reader) -> list[Reader]:
        """A reader for each replica, in the order that is set for one."""
        if self._read is not reader.dataset or not self._readers:
            self._readers = [
                reader_of(self._model, reader.dataset, engine.micro_batch_rows, in_place=engine.takes_rows_in_place)
                for engine in self._engines
            ]
            self._read = reader.dataset
            # A data set that does not bear several calls at once is called by one replica after the other.
            self._reading = contextlib.nullcontext() if reader.dataset.reads_in_parallel else threading.Lock()
        for each in self._readers:
            # An order has scratch of its own.
            each.order = copy.deepcopy(reader.order)
        return self._readers


class _StoppedError(Exception):
    """Another thread ends the round."""


def _result(future: Future[float], number: int, n_replicas: int) -> float:
    try:
        return future.result()
    except Exception as error:
        error.add_note(f"in replica {number + 1} of {n_replicas}")
        raise
