"""Arrow and Feather files, memory-mapped: what is not compressed is read where it lies."""

import itertools
import mmap
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fastgd.data.columnar.table import Batch, Table, name_of, read_from, skip
from fastgd.data.files import Request

# How files begin whose batches may be read in any order, and Feather files of before Arrow.
_ANY_ORDER, _OLD_FEATHER = b"ARROW1", b"FEA1"
# Pages of a map count as the process's memory until they are given back.
_MAPPED_BYTES = 64 << 20


class ArrowTable(Table):
    """Rows of Arrow files, one file after the other.

    Attributes
    ----------
    starts : (n_batches,) int64, the rows that record batches begin with, or None where a file is a stream
    """

    def __init__(self, paths: list[Path], request: Request) -> None:
        self._paths = paths
        # Of each file, the rows that its batches begin with, and their end; None for a stream.
        self._starts: list[np.ndarray | None] = []
        for path in paths:
            file = _Mapped(path)
            if not self._starts:
                super().__init__(file.schema, request, name_of(paths, request.folder))
            else:
                self.require_columns(file.schema, str(path))
            self._starts.append(file.starts())
        known = [starts for starts in self._starts if starts is not None]
        if len(known) == len(paths):
            firsts = np.cumsum([0, *(starts[-1] for starts in known)], dtype=np.int64)
            self.n_samples = int(firsts[-1])
            self.starts = np.concatenate([first + starts[:-1] for first, starts in zip(firsts, known, strict=False)])

    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """As `Table.batches`, where batches may be read in any order without those before."""
        left, rest = cursor, list(zip(self._paths, self._starts, strict=True))
        while rest and rest[0][1] is not None and left >= rest[0][1][-1]:
            left -= int(rest.pop(0)[1][-1])
        number = 0
        if rest and rest[0][1] is not None:
            starts = rest[0][1]
            number = int(np.searchsorted(starts, left, side="right")) - 1
            left -= int(starts[number])
        numbers = (number, *itertools.repeat(0, len(rest)))
        read = (self._read(path, starts, number) for (path, starts), number in zip(rest, numbers, strict=False))
        yield from skip(itertools.chain.from_iterable(read), left)

    def _read(self, path: Path, starts: np.ndarray | None, number: int) -> Iterator[Batch]:
        """The batches of a file from one of them on."""
        file = _Mapped(path, self.chosen.all)
        self.require_columns(file.schema, str(path))
        now = file.starts()
        if starts is not None and not np.array_equal(now, starts):
            raise ValueError(f"{path} has other record batches than before; expected a file that stays as it is")
        first = 0 if starts is None else int(starts[number])
        n_bytes = 0
        for batch in read_from(file.batches(number), first, str(path)):
            # A file may be one batch, which is as large as it.
            for start in range(0, batch.columns.num_rows, self.batch_rows):
                columns = batch.columns.slice(start, self.batch_rows)
                yield Batch(columns, batch.first + start, batch.place)
                n_bytes += columns.nbytes
                if n_bytes > _MAPPED_BYTES:
                    file.release()
                    n_bytes = 0


class _Mapped:
    """A file of record batches; they hold their part of the map as long as they live.

    schema : pyarrow.Schema, of the columns that are wanted: by default, all
    """

    def __init__(self, path: Path, names: tuple[str, ...] | None = None) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is gone; expected a file that stays where it is") from None
        except ValueError:
            raise ValueError(f"{path} is empty; expected an Arrow file") from None
        if self._map[: len(_OLD_FEATHER)] == _OLD_FEATHER:
            raise ValueError(
                f"{path} is a Feather file of version 1; expected version 2, as pandas and polars write it"
            )
        self._is_in_any_order = self._map[: len(_ANY_ORDER)] == _ANY_ORDER
        self._reader = self._opened([])
        self.schema = self._reader.schema
        if names is not None and self._is_compressed():
            # What is compressed is only looked at where it is wanted. What is not would be copied by being chosen.
            places = [self.schema.get_field_index(name) for name in names]
            self._reader = self._opened([place for place in places if place >= 0])

    def _opened(self, fields: list[int]) -> Any:
        """A reader of some columns, or of all."""
        open_reader = pa.ipc.open_file if self._is_in_any_order else pa.ipc.open_stream
        options = pa.ipc.IpcReadOptions(included_fields=sorted(fields))
        try:
            return open_reader(pa.BufferReader(pa.py_buffer(self._map)), options=options)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self._path} cannot be read as an Arrow file: {error}") from error

    def _is_compressed(self) -> bool:
        """Whether batches lie elsewhere than in the map."""
        if not (self._is_in_any_order and self._reader.num_record_batches):
            return False
        memory = pa.py_buffer(self._map)
        batch = self._reader.get_batch(0)
        buffers = [buffer for column in batch.columns for buffer in column.buffers() if buffer is not None]
        return any(not memory.address <= each.address < memory.address + memory.size for each in buffers if each.size)

    def starts(self) -> np.ndarray | None:
        """The rows that its batches begin with, and their end; None for a stream."""
        if not self._is_in_any_order:
            return None
        if not len(self.schema):
            return np.zeros(1, np.int64)
        # Of the narrowest column alone: it may be compressed.
        narrowest = min(range(len(self.schema)), key=lambda k: _bits(self.schema.field(k).type))
        reader = self._opened([narrowest])
        batches = read_from((reader.get_batch(k) for k in range(reader.num_record_batches)), 0, str(self._path))
        return np.cumsum([0, *(batch.columns.num_rows for batch in batches)], dtype=np.int64)

    def batches(self, number: int) -> Iterator[Any]:
        """Its batches from one of them on."""
        if not self._is_in_any_order:
            return iter(self._reader)
        return (self._reader.get_batch(k) for k in range(number, self._reader.num_record_batches))

    def release(self) -> None:
        """Give the pages back that were used; the file still holds them."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _bits(type_: Any) -> int:
    try:
        return type_.bit_width
    except ValueError:
        return 1 << 20


def open_arrow(paths: list[Path], request: Request) -> ArrowTable:
    """As `open`, of Arrow and Feather files."""
    return ArrowTable(paths, request)
