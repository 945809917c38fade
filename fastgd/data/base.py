"""The protocol of every source of rows, and how rows are read from it: a block of the model's dtype at a time."""

import contextlib
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastgd import storage
from fastgd.data.maps import Growth, memory_bytes
from fastgd.data.shuffle import Shuffle
from fastgd.kernels import (
    InOrder,
    Shuffled,
    ShuffledX,
    gather_rows,
    gather_rows_ahead,
    standardize_rows,
    standardize_rows_robustly,
)

# With a limit, what is standardised is clipped smoothly.
MeanAndScale = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, float]

# An order of rows is made for so many samples at a time, which is long enough to outweigh the call; for fewer where the
# rows of a map are longer.
_SAMPLES_PER_ORDER, _MAPPED_BYTES_PER_ORDER = 1 << 18, 128 << 20
# Gathered blocks should stay in the cache between their writing and their use, and outweigh the call that fills them.
_BLOCK_BYTES = 4 << 20
# y and the weights are converted once where they are so small, and else with every block, for each epoch anew.
_CONVERTED_BYTES = 64 << 20
# Pages of a memory-mapped file count as the process's memory until they are released.
_MAPPED_BYTES = 32 << 20
# Where rows come in any order, they are kept up to this part of the machine's memory: the next rows are as likely to
# lie there as anywhere, and to map a page once more takes several times as long as to train on what is needed of it.
_PART_OF_MEMORY = 2
# Of so few, a look at each takes less time than their sum and what guards it.
_FEW_NUMBERS = 1 << 14


class Block(NamedTuple):
    """Consecutive rows of an epoch: C-contiguous, read-only, in the model's dtype but for X or y where asked otherwise.

    X : (n_samples, n_features)          y : (n_samples, n_outputs)
    sample_weight : (n_samples,), or (0,) where every weight is one
    order : row by row, unless the block is of rows where they lie: then X, y and the weights are those of all rows, or
        X alone is
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray
    order: InOrder | Shuffled | ShuffledX = InOrder()

    @property
    def n_samples(self) -> int:
        """How many samples it holds."""
        return len(self.order.rows) if isinstance(self.order, Shuffled) else len(self.y)

    def rows(self, start: int, stop: int) -> "Block":
        """View of some of the samples."""
        if isinstance(self.order, InOrder):
            return Block(self.X[start:stop], self.y[start:stop], self.sample_weight[start:stop])
        order = type(self.order)(*(part[start:stop] for part in self.order))
        if isinstance(order, Shuffled):
            return self._replace(order=order)
        return Block(self.X, self.y[start:stop], self.sample_weight[start:stop], order)

    def in_order(self, array: np.ndarray) -> np.ndarray:
        """The samples' rows of y or the weights, one after the other."""
        return array[self.order.rows] if isinstance(self.order, Shuffled) and len(array) else array

    def gathered(self, dtype: np.dtype) -> "Block":
        """The same samples row by row, with X in a dtype."""
        X = self.X if isinstance(self.order, InOrder) else self.X[self.order.rows]
        with np.errstate(over="ignore", invalid="ignore"):
            X = X.astype(dtype, copy=False)
        return Block(X, self.in_order(self.y), self.in_order(self.sample_weight))


class Dataset(ABC):
    """What every source of rows implements.

    Attributes
    ----------
    n_samples, n_features, n_outputs : int
    has_sample_weight : bool
    dtype : numpy dtype
        The dtype in which `arrays` and `save` write.
    """

    n_samples: int
    n_features: int
    n_outputs: int
    has_sample_weight: bool = False
    dtype: np.dtype

    @abstractmethod
    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Write rows into the first places of a block, converted to the dtype of each of its arrays.

        rows : a slice with start and stop, or (n_rows,) int64 indices in any order
        """

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """All rows without copying X, where X lies in memory as the kernels want it; else None.

        y and the weights may be of any dtype and layout: the reader converts them.

        any_dtype : whether X may be of any dtype that kernels can load
        """
        return None

    @property
    def row_bytes(self) -> int:
        """Size of a row's features where they lie."""
        return self.n_features * self.dtype.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether X is a memory-mapped file."""
        return False

    @property
    def is_in_memory(self) -> bool:
        """Whether the rows are arrays in memory, which may be looked through once more at little cost."""
        return False

    def release(self, start: int, stop: int) -> None:  # noqa: B027 (most sources hold nothing)
        """Say that rows start to stop, or some of them, have been used, so that memory they hold can go.

        Where rows come in any order, all of them are named now and then, and at last.
        """

    def row_number(self, row: int) -> int:
        """What errors call a row."""
        return row

    def targets(self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None) -> Block:
        """y and the weights of all rows in memory, converted to a dtype, without X.

        mean_and_scale : what y becomes (y - mean) · scale by, (n_outputs,) float64 each
        """
        read = blocks(self, dtype, mean_and_scale_of_y=mean_and_scale)
        parts = [(block.y.copy(), block.sample_weight.copy()) for _, block in read]
        y, sample_weight = (read_only(np.concatenate(arrays)) for arrays in zip(*parts, strict=True))
        return Block(np.empty((0, self.n_features), dtype), y, sample_weight)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows in memory: X of shape (n_samples, n_features) and y of shape (n_samples, n_outputs)."""
        X = np.empty((self.n_samples, self.n_features), self.dtype)
        y = np.empty((self.n_samples, self.n_outputs), self.dtype)
        for start, block in blocks(self, self.dtype):
            X[start : start + len(block.X)] = block.X
            y[start : start + len(block.y)] = block.y
        return X, y

    def save(self, folder: str | os.PathLike) -> None:
        """Write X.npy, y.npy and, where there are weights, sample_weight.npy into a folder, block by block.

        The folder is made where there is none. Files of these names are replaced; one of weights is removed where this
        data set has none.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {"X": (self.n_samples, self.n_features), "y": (self.n_samples, self.n_outputs)}
        if self.has_sample_weight:
            shapes["sample_weight"] = (self.n_samples,)
        with contextlib.ExitStack() as stack:
            files = {name: stack.enter_context(storage.atomic_write(folder / f"{name}.npy")) for name in shapes}
            for name, file in files.items():
                storage.write_array_header(file, self.dtype, shapes[name])
            for _, block in blocks(self, self.dtype):
                for name, file in files.items():
                    file.write(getattr(block, name).data)
            # The files take their places one right after the other: few can find those of two data sets.
            for file in files.values():
                storage.sync(file)
        if not self.has_sample_weight:
            (folder / "sample_weight.npy").unlink(missing_ok=True)


def allocate(
    dataset: Dataset,
    n_rows: int,
    dtype: np.dtype,
    X_dtype: np.dtype | None = None,
    y_dtype: np.dtype | None = None,
) -> Block:
    """A writable block for some rows of a data set; X_dtype and y_dtype are those of X and y, where they differ."""
    return Block(
        np.empty((n_rows, dataset.n_features), X_dtype or dtype),
        np.empty((n_rows, dataset.n_outputs), y_dtype or dtype),
        np.empty(n_rows if dataset.has_sample_weight else 0, dtype),
    )


def first_rows(dataset: Dataset, n_rows: int, dtype: np.dtype) -> Block:
    """The first rows of a data set, copied."""
    rows = allocate(dataset, n_rows, dtype)
    dataset.read(slice(0, n_rows), rows)
    return rows


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view: the kernels are compiled for these alone, whether or not the caller's own array is writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def take_rows(
    source: np.ndarray, rows: slice | np.ndarray, later: np.ndarray | None = None, *, out: np.ndarray
) -> None:
    """out[:] = source[rows], converted. What float32 cannot hold becomes infinite, and is found as such.

    later : for each row one that is needed long after, to ask the memory for
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(rows, slice):
            out[...] = source[rows]
        elif source.dtype.isnative and source.flags.aligned and source.dtype.char not in "eg":
            matrix = read_only(source.reshape(len(source), -1) if source.ndim == 1 else source)
            out = out.reshape(len(out), -1)
            if later is not None and source.flags.c_contiguous:
                gather_rows_ahead(matrix, rows, later, out)
            else:
                gather_rows(matrix, rows, out)
        else:
            # Numba knows neither half precision nor foreign byte orders.
            out[...] = source[rows]


def take_targets(
    source: np.ndarray,
    rows: slice | np.ndarray,
    later: np.ndarray | None = None,
    *,
    mean_and_scale: MeanAndScale | None,
    out: np.ndarray,
) -> None:
    """As `take_rows`, but (source - mean) · scale, in float64 from the source's own dtype."""
    if mean_and_scale is None:
        take_rows(source, rows, later, out=out)
        return
    exact = np.empty(out.shape)
    take_rows(source, rows, later, out=exact)
    standardize_rows(exact, *mean_and_scale, out)


def _is_ready(array: np.ndarray, dtype: np.dtype) -> bool:
    """Whether kernels can read an array where it lies."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


class Reader:
    """Gives the rows of one epoch, in the data's order or in one that is set, as blocks of one dtype.

    Parameters
    ----------
    dataset : Dataset
    dtype : numpy dtype
    min_rows : int
        How many rows one block must be able to hold.
    mean_and_scale : pair of (n_features,) float64 arrays, and perhaps a limit, optional
        Features become (x - mean) · scale.
    max_bytes : int, optional
        Bound on a block of rows that needs no copy; by default none, unless the rows are a memory-mapped file, or y or
        the weights have to be converted.
    in_place : bool
        Whether blocks may have X in the data's own dtype, and its rows where they lie.
    mean_and_scale_of_y : pair of (n_outputs,) float64 arrays, optional
        Targets become (y - mean) · scale.
    y_dtype : numpy dtype, optional
        That of y, where it differs.
    """

    def __init__(
        self,
        dataset: Dataset,
        dtype: np.dtype,
        min_rows: int = 1,
        mean_and_scale: MeanAndScale | None = None,
        max_bytes: int | None = None,
        in_place: bool = False,
        mean_and_scale_of_y: MeanAndScale | None = None,
        y_dtype: np.dtype | None = None,
    ) -> None:
        self.dataset = dataset
        self.order: Shuffle | None = None
        self._in_any_order = in_place
        self._min_rows = min_rows
        self._dtype = dtype
        self._mean_and_scale = mean_and_scale
        # What is standardised is read in the data's own dtype: a float32 may not hold a mean far from zero exactly.
        self._X_dtype = dtype if mean_and_scale is None else dataset.dtype
        self._mean_and_scale_of_y = mean_and_scale_of_y
        self._y_dtype = y_dtype or dtype
        self._arrays: dict[str, np.ndarray] = {}
        self._view = dataset.view(dtype, in_place) if mean_and_scale is None else None
        self._converts = self._view is not None and not self._has_ready_columns
        if self._converts and (self._view.y.size + self._view.sample_weight.size) * dtype.itemsize <= _CONVERTED_BYTES:
            n_samples = dataset.n_samples
            self._view = self._view._replace(**self._convert((slice(0, n_samples),), n_samples))
            self._converts, self._arrays = False, {}
        row_bytes = dataset.n_features * self._X_dtype.itemsize
        if max_bytes is None:
            is_bounded = dataset.is_mapped or self._converts
            max_bytes = _MAPPED_BYTES if is_bounded else dataset.n_samples * row_bytes
        self._rows_in_place = max(min_rows, max_bytes // row_bytes)
        self._rows_copied = min(max(min_rows, _BLOCK_BYTES // row_bytes), dataset.n_samples)
        self._buffers: Block | None = None
        if dataset.is_mapped:
            self._growth = Growth()
            # Pages that a shuffled epoch has used are used again by the next, and last as long as the reader does.
            weakref.finalize(self, dataset.release, 0, dataset.n_samples).atexit = False

    @property
    def _is_in_place(self) -> bool:
        return self._view is not None and (self.order is None or self._in_any_order)

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

    def read(self, start: int, stop: int) -> Block:
        """Rows start to stop of the epoch. The block holds until the next read."""
        if self._is_in_place:
            return self._read_in_place(start, stop)
        if self._buffers is None:
            # Targets, too, are standardised as they are: float32 may hold neither their mean nor their scale.
            y_dtype = self._y_dtype if self._mean_and_scale_of_y is None else np.dtype(np.float64)
            self._buffers = allocate(self.dataset, self._rows_copied, self._dtype, self._X_dtype, y_dtype)
        out = self._buffers.rows(0, stop - start)
        self.dataset.read(slice(start, stop) if self.order is None else self.order.rows(start, stop), out)
        if self._mean_and_scale is not None:
            X = self._buffer("X", self._rows_copied, out.X.shape[1:], self._dtype)[: len(out.X)]
            mean, scale, *limit = self._mean_and_scale
            if limit:
                standardize_rows_robustly(out.X, mean, scale, limit[0], X)
            else:
                standardize_rows(out.X, mean, scale, X)
            out = out._replace(X=X)
        if self._mean_and_scale_of_y is not None:
            y = self._buffer("y", self._rows_copied, out.y.shape[1:], self._y_dtype)[: len(out.y)]
            standardize_rows(out.y, *self._mean_and_scale_of_y, y)
            out = out._replace(y=y)
        return Block(*map(read_only, out[:3]))

    def _read_in_place(self, start: int, stop: int) -> Block:
        if self.order is None:
            block = self._view.rows(start, stop)
            return block._replace(**self._convert((slice(start, stop),), stop - start)) if self._converts else block
        rows_and_later = self.order.rows_and_later(start, stop)
        if not self._converts:
            return self._view._replace(order=Shuffled(*rows_and_later))
        converted = self._convert(rows_and_later, stop - start)
        return self._view._replace(order=ShuffledX(*rows_and_later), **converted)

    def _convert(self, rows: tuple[slice | np.ndarray, ...], n_rows: int) -> dict[str, np.ndarray]:
        """y and the weights of some rows, as blocks have them.

        rows : a slice, or rows and later ones
        """
        converted = {}
        for name in Block._fields[1:3]:
            source = getattr(self._view, name)
            n_wanted = n_rows if len(source) else 0
            out = self._buffer(name, n_wanted, source.shape[1:], self._y_dtype if name == "y" else self._dtype)
            if n_wanted:
                take_targets(source, *rows, mean_and_scale=self._mean_and_scale_of_y if name == "y" else None, out=out)
            converted[name] = read_only(out)
        return converted

    @property
    def _has_ready_columns(self) -> bool:
        """Whether y and the weights of the view can be used where they lie."""
        is_ready = _is_ready(self._view.y, self._y_dtype) and _is_ready(self._view.sample_weight, self._dtype)
        return is_ready and self._mean_and_scale_of_y is None

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
        row = position if self.order is None else int(self.order.rows(position, position + 1)[0])
        return self.dataset.row_number(row)


def blocks(
    dataset: Dataset,
    dtype: np.dtype,
    mean_and_scale: MeanAndScale | None = None,
    mean_and_scale_of_y: MeanAndScale | None = None,
    y_dtype: np.dtype | None = None,
) -> Iterator[tuple[int, Block]]:
    """Every row once, in order, as (first row, block); each block holds until the next. Arguments as for `Reader`."""
    reader = Reader(
        dataset,
        dtype,
        mean_and_scale=mean_and_scale,
        max_bytes=_BLOCK_BYTES,
        mean_and_scale_of_y=mean_and_scale_of_y,
        y_dtype=y_dtype,
    )
    for start in range(0, dataset.n_samples, reader.max_rows):
        stop = min(start + reader.max_rows, dataset.n_samples)
        yield start, reader.read(start, stop)
        reader.release(start, stop)


def all_finite(array: np.ndarray) -> bool:
    """Whether no element is NaN or infinite."""
    if array.size <= _FEW_NUMBERS:
        return bool(np.isfinite(array).all())
    # A finite sum has finite terms, and costs a fraction of a look at each. Where it is not, it may have overflowed.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def require_finite(block: Block, row_of: Callable[[int], int] = int) -> None:
    """Raise a ValueError that names the first row of a block with a NaN, an infinity or a negative weight.

    row_of : callable
        Turns a row of the block into a row of the data set.
    """
    for name, array in zip(Block._fields, block[:3], strict=False):
        if all_finite(array):
            continue
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            column = f", column {bad[0][1]}" if array.ndim == 2 and array.shape[1] > 1 else ""
            value = array[tuple(bad[0])]
            place = f"row {row_of(int(bad[0][0]))}{column}"
            raise ValueError(f"{name} holds {value} (as {array.dtype}) in {place}; expected finite numbers")
    negative = np.flatnonzero(block.sample_weight < 0)
    if len(negative):
        value = block.sample_weight[negative[0]]
        raise ValueError(f"sample_weight holds {value} in row {row_of(int(negative[0]))}; expected at least 0")
