"""Replicas in threads of this process."""

import collections
import contextlib
import copy
import functools
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Self, TypeVar

from fastgd import kernels
from fastgd._engine.replicas import ReplicatedEngine
from fastgd._engine.slices import Engine
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle
from fastgd.data.reader import Part, Reader
from fastgd.model_data import reader_of
from fastgd.threads import most_threads

_Result = TypeVar("_Result")


class Span:
    """Consecutive positions of an epoch, read as if they were one: what an engine takes for a reader.

    reader : of the epoch          begin, end : positions in it          reading : held while the data set is read
    """

    def __init__(self, reader: Reader, begin: int, end: int, reading: contextlib.AbstractContextManager) -> None:
        self._reader, self._begin, self._end, self._reading = reader, begin, end, reading

    def parts(
        self, end_of_part: Callable[[int, int, int], int], n_threads: int | None = 1, n_busy: int = 1, first: int = 0
    ) -> Generator[Part, None, None]:
        """As `Reader.parts`, without a thread that reads ahead: the replicas have all of them."""
        reader, begin, n_rows = self._reader, self._begin, self._end - self._begin
        start = first
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


class Threads:
    """Workers in threads of this process, of which the one that calls is one."""

    def __init__(self, engine: ReplicatedEngine, reader: Reader) -> None:
        self._engines = engine.engines
        n_threads = most_threads() if engine.n_threads is None else engine.n_threads
        self._n_others = min(len(self._engines), n_threads) - 1
        self._pool: ThreadPoolExecutor | None = None
        self._readers = [
            reader_of(engine.model, reader.dataset, each.micro_batch_rows, in_place=each.takes_rows_in_place)
            for each in self._engines
        ]
        for each in self._readers:
            # An order has scratch of its own.
            each.order = copy.deepcopy(reader.order)
        # A data set that does not bear several calls at once is called by one replica after the other; so is one whose
        # chunks are held for a block, as others would make room for theirs.
        is_free = reader.dataset.reads_in_parallel and not isinstance(reader.order, ChunkShuffle)
        self._reading = contextlib.nullcontext() if is_free else threading.Lock()

    def __enter__(self) -> Self:
        if self._n_others:
            self._pool = ThreadPoolExecutor(self._n_others, thread_name_prefix="fastgd replica")
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def train(self, spans: list[tuple[int, int]], number: int) -> list[float]:
        """As `Workers.train`."""
        pending, stop = collections.deque(range(len(spans))), threading.Event()
        losses, errors = [0.0] * len(spans), dict[int, Exception]()

        def look(_: int, __: float) -> None:
            if stop.is_set():
                raise _StoppedError

        def train_pending() -> None:
            while pending:
                try:
                    k = pending.popleft()
                except IndexError:
                    # Another thread was faster.
                    return
                replica = self._engines[k], self._readers[k], spans[k]
                try:
                    train = functools.partial(train_span, *replica, number, self._reading, look)
                    losses[k] = result_of(train, k, len(spans))
                except Exception as error:
                    errors[k] = error

        others: list[Future[None]] = []
        try:
            others.extend(self._pool.submit(train_pending) for _ in range(self._n_others))
            train_pending()
            wait(others)
        except BaseException:
            stop.set()
            # A second Ctrl-C would have the round undone while some still train.
            with kernels.interrupts_deferred():
                wait(others)
            raise
        if errors:
            # Whichever failed first in time, the first by number is told of.
            raise errors[min(errors)]
        return losses


def train_span(
    engine: Engine,
    reader: Reader,
    span: tuple[int, int],
    number: int,
    reading: contextlib.AbstractContextManager,
    on_rows: Callable[[int, float], None] | None = None,
) -> float:
    """Train on consecutive positions of an epoch, and return the mean loss; 0 where there are none."""
    begin, end = span
    return engine.train_epoch(Span(reader, begin, end, reading), number, on_rows) if end > begin else 0.0


def result_of(result: Callable[[], _Result], number: int, n_replicas: int) -> _Result:
    """What a replica's task has come to; its errors name it."""
    try:
        return result()
    except Exception as error:
        error.add_note(f"in replica {number + 1} of {n_replicas}")
        raise


class _StoppedError(Exception):
    """Another thread ends the round."""
