"""The two protocols of a source of rows: any of them in any order, or block after block."""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from fastgd import atomic_files
from fastgd.data.block import Block, MeanAndScale, allocate, read_only
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle
from fastgd.data.columns import Columns
from fastgd.data.reader import blocks
from fastgd.data.shuffle import Shuffle
from fastgd.data.sparse_rows import SparseRows
from fastgd.data.stream_shuffle import StreamShuffle

_Result = TypeVar("_Result")


class Dataset(ABC):
    """Rows that can be read in any order.

    Attributes
    ----------
    n_samples, n_features, n_outputs : int
    has_sample_weight : bool
    dtype : numpy dtype
        The dtype in which `arrays` and `save` write.
    feature_names : sequence of str, or None
        What the columns of X are called, where they have names.
    columns : Columns, or None
        Which columns of a table they were made of, and how.
    entries_per_row : float, or None
        How many entries sparse rows have, on average; None for dense rows. `view` gives SparseRows for X then.
    reads_in_parallel : bool
        Whether several threads may call `read` at once, each with a block of its own.
    finds_rows : bool
        Whether some rows from anywhere are read at little cost, unlike all of them.
    takes_targets_by_index : bool
        Whether `targets` has a third argument, the indices of the rows that it is to be of.
    has_parts : bool
        Whether parts of the rows lie elsewhere, where `over_parts` has them worked on.
    starts : (n_chunks,) int64, or None
        The first rows of chunks that are better read as a whole, rising from 0; None where any row is as near as the
        next. Then `window_rows` is how many rows of them may be in memory to be mixed.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=4, n_features=2)
    >>> isinstance(data, gd.Dataset), data.n_samples, data.n_features, data.n_outputs
    (True, 4, 2, 1)
    """

    n_samples: int
    n_features: int
    n_outputs: int
    has_sample_weight: bool = False
    dtype: np.dtype
    feature_names: Sequence[str] | None = None
    columns: Columns | None = None
    entries_per_row: float | None = None
    reads_in_parallel: bool = False
    finds_rows: bool = False
    takes_targets_by_index: ClassVar[bool] = False
    has_parts: ClassVar[bool] = False
    starts: np.ndarray | None = None
    window_rows: int = 1

    @abstractmethod
    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Write rows into a block of as many, converted to the dtype of each of its arrays.

        Called in any thread, and, unless `reads_in_parallel`, never while another call runs.

        rows : a slice with start and stop, or (n_rows,) int64 indices in any order
        """

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """All rows without copying X, where X lies in memory as the kernels want it; else None.

        y and the weights may be of any dtype and layout: the reader converts them.

        any_dtype : whether X may be of any dtype that kernels can load
        """
        return None

    def read_sparse(self, rows: slice | np.ndarray, out: Block) -> SparseRows:
        """As `read`, of sparse rows without a `view`: y and the weights into a block, and the features as they are."""
        raise NotImplementedError(f"{type(self).__name__} reads no sparse rows")

    def sparse_rows(self, dtype: np.dtype) -> SparseRows:
        """The features of all sparse rows, in memory, counting as a dtype."""
        view = self.view(dtype)
        if view is not None:
            return view.X
        n_weights = self.n_samples if self.has_sample_weight else 0
        out = Block(np.empty((self.n_samples, 0)), np.empty((self.n_samples, self.n_outputs)), np.empty(n_weights))
        return self.read_sparse(slice(0, self.n_samples), out).counting_as(dtype)

    def order(self, seed: int, epoch: int) -> Shuffle | ChunkShuffle:
        """The order in which a shuffled epoch takes the rows, a function of these two numbers alone.

        epoch : int, from 0
        """
        if self.starts is not None:
            return ChunkShuffle(self.starts, self.n_samples, self.n_features, self.window_rows, seed, epoch)
        return Shuffle(self.n_samples, self.n_features, seed, epoch)

    def prefetch(self, rows: np.ndarray) -> None:  # noqa: B027 (most rows are as near as any others)
        """A hint that the chunks of these rows will be read soon, in this order; called as `read` is.

        rows : (n_rows,) int64, one of each chunk, from a `ChunkShuffle`
        """

    @property
    def shape(self) -> tuple[int, int]:
        """That of X, (n_samples, n_features)."""
        return self.n_samples, self.n_features

    @property
    def is_sparse(self) -> bool:
        """Whether the rows are sparse."""
        return self.entries_per_row is not None

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

    def require_whole(self) -> None:  # noqa: B027 (most sources are read, and not mapped)
        """Raise a ValueError where a memory-mapped file has become shorter; called before some of its rows are used."""

    def require_unchanged(self) -> None:  # noqa: B027 (most sources have no files)
        """Raise an error that names a file which is not as it was opened; called as each pass over the rows begins."""

    def release(self, start: int, stop: int) -> None:  # noqa: B027 (most sources hold nothing)
        """Say that rows start to stop, or some of them, have been used, so that memory they hold can go.

        Where rows come in any order, all of them are named now and then, and at last.
        """

    def row_number(self, row: int) -> int:
        """What errors call a row."""
        return row

    def over_parts(self, function: Callable[["Dataset"], _Result]) -> list[_Result]:
        """What a function gives for consecutive parts of the rows, in their order, each computed where its rows are.

        By default all rows are one part.

        function : can be pickled where there are several
        """
        return [function(self)]

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
            files = {name: stack.enter_context(atomic_files.atomic_write(folder / f"{name}.npy")) for name in shapes}
            for name, file in files.items():
                atomic_files.write_array_header(file, self.dtype, shapes[name])
            for _, block in blocks(self, self.dtype):
                for name, file in files.items():
                    file.write(getattr(block, name).data)
            # The files take their places one right after the other: few can find those of two data sets.
            for file in files.values():
                atomic_files.sync(file)
        if not self.has_sample_weight:
            (folder / "sample_weight.npy").unlink(missing_ok=True)


class Stream(ABC):
    """Rows that come block after block, in one order that is the same each time.

    `Trainer.fit` takes one without ever holding more than some blocks of it.

    Attributes
    ----------
    name : str
        What errors call it.
    n_samples : int, or None
        None as long as it is not known.
    n_features, n_outputs : int
    has_sample_weight : bool
    dtype : numpy dtype
        float32, or float64 where float32 does not hold its features exactly.
    feature_names : sequence of str, or None
        What the columns of X are called, where they have names.
    columns : Columns, or None
        Which columns of a table they were made of, and how.
    starts : (n_parts,) int64, or None
        Rows from which `open` reads without those before, as of files and row groups; None where it reads them all.
    is_read_once : bool
        Whether `open` gives the rows for one epoch only.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> from fastgd.data.base import Stream
    >>> from fastgd.data.block import Block
    >>> class Squares(Stream):
    ...     n_features = n_outputs = 1
    ...     dtype = np.dtype("float64")
    ...
    ...     def open(self, cursor=0):
    ...         for row in range(cursor, 1000):
    ...             x = np.full((1, 1), row / 1000)
    ...             yield Block(x, x**2, np.empty(0))
    >>> model = gd.Model([gd.Linear(1, 1)], dtype="float64")
    >>> len(gd.Trainer(model, optimizer=gd.SGD(0.1)).fit(Squares(), epochs=2))
    2
    """

    name: str = "the stream"
    n_samples: int | None = None
    n_features: int
    n_outputs: int
    has_sample_weight: bool = False
    dtype: np.dtype
    feature_names: Sequence[str] | None = None
    columns: Columns | None = None
    is_sparse: ClassVar[bool] = False
    starts: np.ndarray | None = None
    is_read_once: bool = False

    @abstractmethod
    def open(self, cursor: int = 0) -> Iterator[Block]:
        """The rows from number `cursor` on, in blocks of any sizes, dtypes of real numbers and layouts.

        A block holds until the next is asked for, in any thread, but never in two at once.
        """

    def require_unchanged(self) -> None:  # noqa: B027 (most sources have no files)
        """As `Dataset.require_unchanged`."""

    def order(self, seed: int, epoch: int) -> StreamShuffle:
        """The order in which a shuffled epoch takes the rows, where there are `starts`.

        epoch : int, from 0
        """
        return StreamShuffle(self, seed, epoch)

    def row_number(self, row: int) -> int:
        """What errors call a row."""
        return row


def first_rows(dataset: Dataset, n_rows: int, dtype: np.dtype) -> Block:
    """The first rows of a data set, copied."""
    rows = allocate(dataset, n_rows, dtype)
    dataset.read(slice(0, n_rows), rows)
    return rows
