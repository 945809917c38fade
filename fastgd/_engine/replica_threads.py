"""Replicas in threads of this process."""

import contextlib
import copy
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
    """Workers in threads of this process."""

    def __init__(self, engine: ReplicatedEngine, reader: Reader) -> None:
        self._engines = engine.engines
        n_threads = most_threads() if engine.n_threads is None else engine.n_threads
        self._pool = ThreadPoolExecutor(min(len(self._engines), n_threads), thread_name_prefix="fastgd replica")
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
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def train(self, spans: list[tuple[int, int]], number: int) -> list[float]:
        """As `Workers.train`."""
        stop = threading.Event()
        futures: list[Future[float]] = []
        try:
            replicas = zip(self._engines, self._readers, spans, strict=True)
            futures.extend(self._pool.submit(self._train, *each, number, stop) for each in replicas)
            # Whichever fails first in time, the first by number is told of.
            wait(futures)
            return [result_of(future.result, k, len(spans)) for k, future in enumerate(futures)]
        except BaseException:
            stop.set()
            # A second Ctrl-C would have the round undone while some still train.
            with kernels.interrupts_deferred():
                wait(futures)
            raise

    def _train(
        self, engine: Engine, reader: Reader, span: tuple[int, int], number: int, stop: threading.Event
    ) -> float:
        def look(_: int, __: float) -> None:
            if stop.is_set():
                raise _StoppedError

        return train_span(engine, reader, span, number, self._reading, look)


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
