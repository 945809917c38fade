"""Predictions for rows of any number, written as they are made."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np

from fastgd import atomic_files
from fastgd.data.base import Dataset, Stream
from fastgd.data.block_rows import blocks_of
from fastgd.data.subset import Subset

# So much is read at once, and so much written.
_PART_BYTES = 16 << 20
# Row groups of Parquet files have so many rows, however few come at once.
_GROUP_ROWS = 1 << 17


class Writer(Protocol):
    """What takes predictions, one array of rows after the other."""

    def write(self, rows: np.ndarray) -> None:
        """Write some rows more."""
        ...

    def end(self) -> None:
        """Say that these were all."""
        ...

    def close(self) -> None:
        """Let go of the file, after `end` or an error."""
        ...


class NpyWriter:
    """Rows as a .npy file, whose header says how many there are.

    n_rows : int, or None where it is not known before; then the file has to be one, and no pipe
    """

    def __init__(self, file: BinaryIO, n_rows: int | None) -> None:
        self._file, self._n_rows = file, n_rows
        if n_rows is None and not file.seekable():
            raise ValueError("--out is a pipe, and a .npy file begins with its number of rows; expected a .csv file")
        self._n_written = 0
        self._rows: np.ndarray | None = None

    def write(self, rows: np.ndarray) -> None:
        """As `Writer.write`."""
        if self._rows is None:
            self._rows = rows[:0]
            self._write_header(self._n_rows or 0)
        self._n_written += len(rows)
        self._file.write(np.ascontiguousarray(rows).data)

    def end(self) -> None:
        """As `Writer.end`."""
        if self._n_rows is None:
            # NumPy leaves room in a header for any number of rows.
            self._file.seek(0)
            self._write_header(self._n_written)
            self._file.seek(0, io.SEEK_END)

    def close(self) -> None:
        """As `Writer.close`."""

    def _write_header(self, n_rows: int) -> None:
        atomic_files.write_array_header(self._file, self._rows.dtype, (n_rows, *self._rows.shape[1:]))


class CsvWriter:
    """Rows as lines of text, numbers with as many digits as tell them from others, below the names of their columns."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._lines = csv.writer(self._text, lineterminator="\n")
        self._lines.writerow(names)

    def write(self, rows: np.ndarray) -> None:
        """As `Writer.write`."""
        self._lines.writerows(rows.reshape(len(rows), -1).astype(str).tolist())

    def end(self) -> None:
        """As `Writer.end`."""
        self._text.flush()

    def close(self) -> None:
        """As `Writer.close`."""
        self._text.detach()


class ParquetWriter:
    """Rows as a Parquet file with named columns.

    Raises ImportError without pyarrow.
    """

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise ImportError(".parquet is written by pyarrow; expected pip install 'fastgd[data]'") from error
        if not file.seekable():
            raise ValueError("--out is a pipe, and a .parquet file is no stream; expected a .csv file")
        self._arrow, self._file, self._names = pyarrow, file, list(names)
        self._waiting: list[np.ndarray] = []
        self._writer: Any = None

    def write(self, rows: np.ndarray) -> None:
        """As `Writer.write`."""
        self._waiting.append(rows.reshape(len(rows), -1))
        if sum(map(len, self._waiting)) >= _GROUP_ROWS:
            self._write_group()

    def end(self) -> None:
        """As `Writer.end`."""
        if self._waiting:
            self._write_group()

    def close(self) -> None:
        """As `Writer.close`."""
        if self._writer is not None:
            self._writer.close()

    def _write_group(self) -> None:
        columns = np.concatenate(self._waiting).T
        self._waiting = []
        table = self._arrow.table([self._arrow.array(np.ascontiguousarray(column)) for column in columns], self._names)
        if self._writer is None:
            self._writer = self._arrow.parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)


def predicted(
    predict: Callable[[Dataset], np.ndarray], rows: Dataset | Stream, output_bytes: int
) -> Iterator[np.ndarray]:
    """Predictions for all rows, some thousands at a time.

    output_bytes : about how much one row's take
    """
    if isinstance(rows, Stream):
        yield from map(predict, blocks_of(rows))
        return
    n_rows = max(_PART_BYTES // max(rows.row_bytes, rows.n_features * 4, output_bytes), 1)
    for start in range(0, rows.n_samples, n_rows):
        yield predict(Subset(rows, np.arange(start, min(start + n_rows, rows.n_samples))))
