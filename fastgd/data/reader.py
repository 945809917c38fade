"""How rows are read from a data set: a block of the model's dtype at a time, where they lie or copied."""

import contextlib
import itertools
import math
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd.data.block import Block, MeanAndScale, read_only, take_targets
from fastgd.data.buffers import Buffers, Conversion
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle
from fastgd.data.maps import Growth, memory_bytes
from fastgd.data.ring import Ring
from fastgd.data.shuffle import Shuffle
from fastgd.kernels import Shuffled, ShuffledX
from fastgd.threads import spare_threads

if TYPE_CHECKING:
    from fastgd.data.base import Dataset, Stream

# An order of rows is made for so many samples at a time, which is long enough to outweigh the call; for fewer where the
# rows of a map are longer.
_SAMPLES_PER_ORDER, _MAPPED_BYTES_PER_ORDER = 1 << 18, 128 << 20
# Copied blocks should stay in the cache between their writing and their use, and outweigh the call that fills them.
_BLOCK_BYTES = 4 << 20
# The fewest blocks in the ring that a thread fills, the one in use included, and the most bytes of each.
_N_PLACES, _PLACE_BYTES = 2, 16 << 20
# The seconds that a thread must save, as it and the memory of its blocks cost some, and the blocks after which it is
# known how long one takes to make and to use; the first takes longer.
_WORTH_A_THREAD, _TIMED = 0.005, 2
# y and the weights are converted once where they are so small, and else with every block, for each epoch anew.
_CONVERTED_BYTES = 64 << 20
# Pages of a memory-mapped file count as the process's memory until they are released.
_MAPPED_BYTES = 32 << 20
# Where rows come in any order, they are kept up to this part of the machine's memory: the next rows are as likely to
# lie there as anywhere, and to map a page once more takes several times as long as to train on what is needed of it.
_PART_OF_MEMORY = 2


#: Stands for the rows of an epoch while more of them come: more than there can be.
UNKNOWN = 1 << 62


class Part(NamedTuple):
    """Consecutive rows of an epoch.

    start, stop : int, their positions in it
    n_epoch : int, how many rows the epoch has, or `UNKNOWN` as long as that is not known
    block : Block
    """

    start: int
    stop: int
    n_epoch: int
    block: Block


def is_ready(array: np.ndarray, dtype: np.dtype) -> bool:
    """Whether kernels can read an array where it lies."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


def rows_of_a_copy(source: "Dataset | Stream", conversion: Conversion, min_rows: int) -> tuple[int, bool]:
    """How many rows are copied at a time, and whether some more of such blocks are no burden on the memory."""
    row_bytes = conversion.row_bytes(source)
    n_rows = max(min_rows, _BLOCK_BYTES // row_bytes)
    return n_rows, n_rows * row_bytes <= _PLACE_BYTES


def places(source: "Dataset | Stream", n_rows: int, conversion: Conversion, n: int = _N_PLACES) -> list[Buffers]:
    """Where one thread makes n blocks of at most so many rows ahead of their use."""
    first = Buffers(source, n_rows, conversion)
    return [first, *(Buffers(source, n_rows, conversion, first) for _ in range(n - 1))]


class Reader:
    """Gives the rows of one epoch, in the data's order or in one that is set, as blocks of one dtype.

    Parameters
    ----------
    dataset : Dataset
    dtype, mean_and_scale, mean_and_scale_of_y, y_dtype : as for `Conversion`
    min_rows : int
        How many rows one block must be able to hold.
    max_bytes : int, optional
        Bound on a block of rows that needs no copy; by default none, unless the rows are a memory-mapped file, or y or
        the weights have to be converted.
    in_place : bool
        Whether blocks may have X in the data's own dtype, and its rows where they lie.
    """

    def __init__(
        self,
        dataset: "Dataset",
        dtype: np.dtype,
        min_rows: int = 1,
        mean_and_scale: MeanAndScale | None = None,
        max_bytes: int | None = None,
        in_place: bool = False,
        mean_and_scale_of_y: MeanAndScale | None = None,
        y_dtype: np.dtype | None = None,
    ) -> None:
        self.dataset = dataset
        self.order: Shuffle | ChunkShuffle | None = None
        self._in_any_order = in_place or dataset.is_sparse
        self._min_rows = min_rows
        self._conversion = Conversion(dtype, mean_and_scale, mean_and_scale_of_y, y_dtype)
        self._arrays: dict[str, np.ndarray] = {}
        self._view = dataset.view(dtype, in_place) if mean_and_scale is None or dataset.is_sparse else None
        if dataset.is_sparse and mean_and_scale is not None and self._view is not None:
            self._view = self._view._replace(X=self._view.X.standardized(dtype, *mean_and_scale))
        self._converts = self._view is not None and not self._has_ready_columns
        if self._converts and (self._view.y.size + self._view.sample_weight.size) * dtype.itemsize <= _CONVERTED_BYTES:
            n_samples = dataset.n_samples
            self._view = self._view._replace(**self._convert((slice(0, n_samples),), n_samples))
            self._converts, self._arrays = False, {}
        row_bytes = self._conversion.row_bytes(dataset)
        if max_bytes is None:
            is_bounded = dataset.is_mapped or self._converts
            max_bytes = _MAPPED_BYTES if is_bounded else dataset.n_samples * row_bytes
        self._rows_in_place = max(min_rows, max_bytes // row_bytes)
        rows_copied, self._may_read_ahead = rows_of_a_copy(dataset, self._conversion, min_rows)
        self._rows_copied = min(rows_copied, dataset.n_samples)
        # What the thread that uses blocks makes some in, and what another one makes the next in.
        self._own: Buffers | None = None
        self._places: list[Buffers] = []
        # An order has scratch of its own, and is asked by each thread that makes blocks.
        self._asking_order = threading.Lock()
        if dataset.is_mapped:
            self._growth = Growth()
            # Pages that a shuffled epoch has used are used again by the next, and last as long as the reader does.
            weakref.finalize(self, dataset.release, 0, dataset.n_samples).atexit = False

    @property
    def _is_in_place(self) -> bool:
        return self._view is not None and (self.order is None or self._in_any_order)

    @property
    def may_reread(self) -> bool:
        """Whether one block holds all rows, in the data's order, and they are the same whenever they are read."""
        is_whole = self.order is None and self.max_rows >= self.dataset.n_samples
        return is_whole and self.dataset.is_in_memory

    @property
    def max_rows(self) -> int:
        """How many rows one read gives at most."""
        if not self._is_in_place:
            return self._rows_copied
        if self.order is None:
            return self._rows_in_place
        if not self.dataset.is_mapped:
            return _SAMPLES_PER_ORDER
        return min(max(_MAPPED_BYTES_PER_ORDER // self.dataset.row_bytes, self._min_rows), _SAMPLES_PER_ORDER)

    def parts(
        self,
        end_of_part: Callable[[int, int, int], int] | None = None,
        n_threads: int | None = 1,
        n_busy: int = 1,
        first: int = 0,
    ) -> Generator[Part, None, None]:
        """The epoch, part by part; each block holds until the next part is asked for.

        Where rows have to be copied and that takes long enough, the next part's are while this one is used, by a thread
        that lives as long as the iterator does, or until it is closed.

        end_of_part : callable, optional
            end_of_part(start, target, n_epoch) -> stop: where a part ends that starts at a position and can go on to
            another; by default, there. The first of them has to fit into `min_rows`.
        n_threads : int or None
            How many threads there may be; None stands for `most_threads`.
        n_busy : int
            How many of them use the blocks.
        first : int
            The position to begin at, below `n_samples`.
        """
        self.dataset.require_unchanged()
        spans, n_epoch = self._spans(end_of_part, first), self.dataset.n_samples
        may_be_ahead = self._may_read_ahead and not self._is_in_place and n_threads != 1
        saved = math.inf
        for start, stop in itertools.islice(spans, _TIMED if may_be_ahead else None):
            began = time.perf_counter()
            block = self.read(start, stop)
            made = time.perf_counter()
            yield Part(start, stop, n_epoch, block)
            saved = min(saved, made - began, time.perf_counter() - made)
            self.release(start, stop)
        if stop == n_epoch:
            return
        is_worth_it = saved * (n_epoch - stop) / self._rows_copied > _WORTH_A_THREAD
        is_ahead = is_worth_it and may_be_ahead and spare_threads(n_threads, n_busy) > 0
        rest = self._made_ahead(spans) if is_ahead else self._made_here(spans)
        with contextlib.closing(rest):
            for start, stop, block in rest:
                yield Part(start, stop, n_epoch, block)
                self.release(start, stop)

    def _spans(self, end_of_part: Callable[[int, int, int], int] | None, start: int) -> Iterator[tuple[int, int]]:
        n_epoch = self.dataset.n_samples
        while start < n_epoch:
            target = min(start + self.max_rows, n_epoch)
            stop = target if end_of_part is None else end_of_part(start, target, n_epoch)
            yield start, stop
            start = stop

    def _made_here(self, spans: Iterator[tuple[int, int]]) -> Generator[tuple[int, int, Block], None, None]:
        for start, stop in spans:
            yield start, stop, self.read(start, stop)

    def _made_ahead(self, spans: Iterator[tuple[int, int]]) -> Generator[tuple[int, int, Block], None, None]:
        self._places = self._places or places(self.dataset, self._rows_copied, self._conversion)
        own = [self._buffers()] if self.dataset.reads_in_parallel else []

        def make(span: tuple[int, int], place: Buffers) -> tuple[int, int, Block]:
            return *span, self._copy(*span, place)

        ring = Ring(spans, make, self._places, own)
        try:
            yield from ring.blocks() if ring.start() else self._made_here(spans)
        finally:
            if not ring.close():
                self._places = []

    def _buffers(self) -> Buffers:
        if self._own is None:
            self._own = Buffers(self.dataset, self._rows_copied, self._conversion)
        return self._own

    def read(self, start: int, stop: int) -> Block:
        """Rows start to stop of the epoch. The block holds until the next read."""
        if self._is_in_place:
            with self._error_of(start, stop):
                self.dataset.require_whole()
            return self._read_in_place(start, stop)
        return self._copy(start, stop, self._buffers())

    def _copy(self, start: int, stop: int, buffers: Buffers) -> Block:
        rows = slice(start, stop) if self.order is None else self._ordered_rows(start, stop)
        out = buffers.rows.rows(0, stop - start)
        with self._error_of(start, stop):
            self.dataset.require_whole()
            if isinstance(self.order, ChunkShuffle):
                self.dataset.prefetch(self.order.upcoming(start, stop))
            if self.dataset.is_sparse:
                out = out._replace(X=self.dataset.read_sparse(rows, out))
            else:
                self.dataset.read(rows, out)
        return buffers.block(out)

    @contextlib.contextmanager
    def _error_of(self, start: int, stop: int) -> Iterator[None]:
        """An error inside says which rows were read."""
        try:
            yield
        except Exception as error:
            error.add_note(f"while fastgd read rows {start} to {stop} of the epoch")
            raise

    def _ordered_rows(self, start: int, stop: int) -> np.ndarray:
        with self._asking_order:
            return self.order.rows(start, stop).copy()

    def _read_in_place(self, start: int, stop: int) -> Block:
        if self.order is None:
            block = self._view.rows(start, stop)
            return block._replace(**self._convert((slice(start, stop),), stop - start)) if self._converts else block
        rows_and_prefetches = self.order.rows_and_prefetches(start, stop)
        if not self._converts:
            return self._view._replace(order=Shuffled(*rows_and_prefetches))
        converted = self._convert(rows_and_prefetches, stop - start)
        return self._view._replace(order=ShuffledX(*rows_and_prefetches), **converted)

    def _convert(self, rows: tuple[slice | np.ndarray, ...], n_rows: int) -> dict[str, np.ndarray]:
        """y and the weights of some rows, as blocks have them.

        rows : a slice, or rows and those to prefetch
        """
        converted = {}
        for name, dtype, mean_and_scale in (
            ("y", self._conversion.dtype_of_y, self._conversion.mean_and_scale_of_y),
            ("sample_weight", self._conversion.dtype, None),
        ):
            source = getattr(self._view, name)
            n_wanted = n_rows if len(source) else 0
            out = self._buffer(name, n_wanted, source.shape[1:], dtype)
            if n_wanted:
                take_targets(source, *rows, mean_and_scale=mean_and_scale, out=out)
            converted[name] = read_only(out)
        return converted

    @property
    def _has_ready_columns(self) -> bool:
        """Whether y and the weights of the view can be used where they lie."""
        dtype, _, mean_and_scale_of_y, _ = self._conversion
        are_ready = is_ready(self._view.y, self._conversion.dtype_of_y) and is_ready(self._view.sample_weight, dtype)
        return are_ready and mean_and_scale_of_y is None

    def _buffer(self, name: str, n_rows: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory for some rows, the same for one name as long as it is large enough."""
        array = self._arrays.get(name)
        if array is None or len(array) < n_rows:
            array = self._arrays[name] = np.empty((n_rows, *shape), dtype)
        return array[:n_rows]

    def release(self, start: int, stop: int) -> None:
        """Say that rows start to stop of the epoch have been used."""
        if self.order is None:
            self.dataset.release(start, stop)
        elif self.dataset.is_mapped and self._growth.exceeds(memory_bytes() // _PART_OF_MEMORY):
            self.dataset.release(0, self.dataset.n_samples)
            self._growth = Growth()

    def row(self, position: int) -> int:
        """What errors call the row at a position of the epoch."""
        row = position if self.order is None else int(self._ordered_rows(position, position + 1)[0])
        return self.dataset.row_number(row)


def blocks(
    dataset: "Dataset",
    dtype: np.dtype,
    mean_and_scale: MeanAndScale | None = None,
    mean_and_scale_of_y: MeanAndScale | None = None,
    y_dtype: np.dtype | None = None,
    n_threads: int | None = 1,
    n_busy: int = 1,
) -> Generator[tuple[int, Block], None, None]:
    """Every row once, in order, as (first row, block); each block holds until the next.

    dataset, dtype, mean_and_scale, mean_and_scale_of_y, y_dtype : as for `Reader`
    n_threads, n_busy : as for `Reader.parts`
    """
    reader = Reader(
        dataset,
        dtype,
        mean_and_scale=mean_and_scale,
        max_bytes=_BLOCK_BYTES,
        mean_and_scale_of_y=mean_and_scale_of_y,
        y_dtype=y_dtype,
    )
    with contextlib.closing(reader.parts(None, n_threads, n_busy)) as parts:
        for start, _, _, block in parts:
            yield start, block
