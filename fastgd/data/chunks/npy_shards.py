"""Rows of .npy files that lie one after the other, read through the files.

They are not mapped: one that becomes shorter meanwhile is an error that can be caught, and no signal.
"""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastgd.data.block import FileRow, take_rows
from fastgd.data.stamps import Stamps

# So many files are kept open: a process may have some hundreds.
_MOST_OPEN = 32
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpyFile(NamedTuple):
    """What the header of a .npy file says, and where the elements begin, in bytes."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    is_fortran: bool
    offset: int

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    @property
    def end(self) -> int:
        """How many bytes the whole file has."""
        return self.offset + self.shape[0] * self.row_bytes


class NpyShards:
    """Rows of several .npy files, as one array that is read in parts.

    Parameters
    ----------
    paths : sequence of paths
        Of arrays of real numbers, of any real dtypes and layouts, with as many columns; some may have no rows.
    n_dimensions : 1 or 2
        What rows are given as; flat files are a column for 2.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
        What holds all of the files'.
    starts : (n_files + 1,) int64
        The row that each file begins with, and how many there are.

    Raises
    ------
    OSError, ValueError, TypeError
        For a file that cannot be read, is no array or not whole, or has other columns than the first.
    """

    def __init__(self, paths: Sequence[str | os.PathLike], n_dimensions: int = 2) -> None:
        self._stamps = Stamps(paths)
        self._files = [read_header(path) for path in paths]
        self._open: OrderedDict[Path, _Descriptor] = OrderedDict()
        self._opening = threading.Lock()
        first = self._files[0]
        flat = (1,) if n_dimensions == 2 else ()
        columns = first.shape[1:] or flat
        for file in self._files:
            if len(file.shape) not in (1, n_dimensions):
                expected = "(n_rows,)" if n_dimensions == 1 else "(n_rows, n_columns) or (n_rows,)"
                raise ValueError(f"{file.path} has shape {file.shape}; expected {expected}")
            if (file.shape[1:] or flat) != columns:
                raise ValueError(
                    f"{file.path} has shape {file.shape}, and {first.path} has {first.shape}; expected shards of rows "
                    "that are equally long"
                )
        self.starts = np.append(0, np.cumsum([file.shape[0] for file in self._files]))
        self.shape = (int(self.starts[-1]), *columns)
        self.dtype = np.result_type(*{file.dtype for file in self._files})

    @property
    def sizes(self) -> list[int]:
        """How many rows each file has."""
        return np.diff(self.starts).tolist()

    @property
    def reads_in_parallel(self) -> bool:
        """It does."""
        return True

    @property
    def gap_bytes(self) -> int:
        """Reading so much for nothing takes less than another read."""
        return 1 << 16

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """out[:] = rows start to stop, converted.

        Raises OSError or ValueError, with file and rows, where they are not there any more.
        """
        place = start
        while place < stop:
            number = int(np.searchsorted(self.starts, place, side="right")) - 1
            end = min(stop, int(self.starts[number + 1]))
            begin = int(self.starts[number])
            self._read_file(self._files[number], place - begin, end - begin, out[place - start : end - start])
            place = end

    def require_unchanged(self) -> None:
        """Raise an error that names a file which is not as it was opened."""
        self._stamps.require_same()

    def row_number(self, row: int) -> int:
        """What errors call a row: of several files, that of a file, printed with its name."""
        if len(self._files) == 1:
            return row
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return FileRow.of(int(row - self.starts[number]), str(self._files[number].path))

    @property
    def n_bytes(self) -> int:
        """The size of all files."""
        return sum(file.end for file in self._files)

    def _read_file(self, file: NpyFile, first: int, last: int, out: np.ndarray) -> None:
        n_rows = last - first
        try:
            if file.is_fortran and len(file.shape) == 2:
                columns = np.empty((file.shape[1], n_rows), file.dtype)
                for k, column in enumerate(columns):
                    self._fill(file, file.offset + (k * file.shape[0] + first) * file.dtype.itemsize, column)
                rows = columns.T
            else:
                is_direct = out.dtype == file.dtype and out.flags.c_contiguous
                rows = out if is_direct else np.empty((n_rows, *file.shape[1:]), file.dtype)
                self._fill(file, file.offset + first * file.row_bytes, rows)
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror}, where fastgd read rows {first} to {last}", str(file.path)
            ) from None
        if rows is not out:
            take_rows(rows.reshape(out.shape), slice(0, n_rows), out=out)

    def _fill(self, file: NpyFile, begin: int, out: np.ndarray) -> None:
        """Read an array from a place of a file on."""
        opened = self._opened(file)
        memory = memoryview(out.reshape(-1).view(np.uint8))
        while memory:
            n_read = opened.read(memory, begin)
            begin += n_read
            if not n_read:
                row = (begin - file.offset) // max(file.row_bytes, 1)
                raise ValueError(
                    f"{file.path} ends in row {row}, and had {file.shape[0]} rows when it was opened; expected files "
                    "that stay as they are as long as fastgd reads them"
                )
            memory = memory[n_read:]

    def _opened(self, file: NpyFile) -> "_Descriptor":
        with self._opening:
            opened = self._open.get(file.path)
            if opened is None:
                if len(self._open) >= _MOST_OPEN:
                    self._open.popitem(last=False)
                opened = self._open[file.path] = _Descriptor(file.path)
            self._open.move_to_end(file.path)
            return opened

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_open", "_opening")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _open=OrderedDict(), _opening=threading.Lock())


class _Descriptor:
    """An open file, which is closed once no thread reads from it any more.

    number : int, what the system calls it
    """

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        self._seeking = threading.Lock()

    def read(self, memory: memoryview, begin: int) -> int:
        """Fill memory with what the file has from a byte on, and return how many bytes that were."""
        if hasattr(os, "preadv"):
            return os.preadv(self.number, [memory], begin)
        with self._seeking:
            os.lseek(self.number, begin, os.SEEK_SET)
            found = os.read(self.number, len(memory))
        memory[: len(found)] = found
        return len(found)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # As Python ends, modules have no names any more.
        if hasattr(self, "number"):
            close(self.number)


def read_header(path: str | os.PathLike) -> NpyFile:
    """The header of a .npy file of real numbers that is whole.

    Raises OSError, ValueError or TypeError, with the path.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in _HEADERS:
                raise ValueError(f"its .npy version is {version}; expected one of {', '.join(map(str, _HEADERS))}")
            shape, is_fortran, dtype = _HEADERS[version](file)
            header = NpyFile(path, dtype, shape, is_fortran, file.tell())
            n_bytes = os.fstat(file.fileno()).st_size
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a .npy array of numbers: {error}") from None
    if dtype.hasobject:
        raise ValueError(
            f"{path} holds Python objects, which loading could run code of; expected numbers, or strings as saved by "
            "np.save(path, y.astype(str))"
        )
    if dtype.kind not in "fiub":
        hint = "; where they are numbers in strings, array.astype(float)" if dtype.kind in "SU" else ""
        raise TypeError(f"{path} has dtype {dtype}; expected real numbers (floats, integers or booleans){hint}")
    if not shape or 0 in shape[1:]:
        raise ValueError(f"{path} has shape {shape}; expected rows, (n_rows, n_columns) or (n_rows,)")
    if n_bytes < header.end:
        n_rows = max(n_bytes - header.offset, 0) // header.row_bytes
        whole = "fewer" if is_fortran else f"only rows 0 to {n_rows}"
        raise ValueError(f"{path} is cut off: it says that it has {shape[0]} rows, and holds {whole}; expected all")
    return header
