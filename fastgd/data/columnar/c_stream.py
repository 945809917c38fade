"""Streams of other libraries, through Arrow's C stream interface."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from fastgd.data.columnar.table import Batch, Table, read_from, skip
from fastgd.data.request import Request


class StreamTable(Table):
    """Rows of what has `__arrow_c_stream__`, or of what a callable gives that has.

    source : object or callable
    """

    def __init__(self, source: Any, request: Request) -> None:
        self._source = source
        self._type_name = type(source).__name__
        self._is_callable = not hasattr(source, "__arrow_c_stream__")
        # A reader cannot tell its schema without being opened, and may be opened once.
        self.is_read_once = not self._is_callable and isinstance(source, Iterator)
        self._is_used = False
        self._first: Any = self._opened()
        super().__init__(self._first.schema, request, "the stream")

    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """As `Table.batches`; rows before are read, too."""
        if self.is_read_once and self._is_used:
            raise ValueError(
                f"the stream is a {self._type_name}, which can be read only once, and its rows are used again; "
                "expected a callable that gives a new one each time, as from_stream(lambda: ...), or epochs=1"
            )
        self._is_used = True
        opened, self._first = self._first if self._first is not None else self._opened(), None
        with closing(opened):
            self.require_columns(opened.schema, "the stream, read once more,")
            yield from skip(read_from(iter(opened), 0, "the stream"), cursor)

    def _opened(self) -> Any:
        source = self._source() if self._is_callable else self._source
        if not hasattr(source, "__arrow_c_stream__"):
            raise TypeError(
                f"the callable gave a {type(source).__name__}; expected an object with __arrow_c_stream__, such as a "
                "pyarrow.RecordBatchReader"
            )
        return pa.RecordBatchReader.from_stream(source)

    def _refuse_size(self, n_rows: int) -> None:
        what = "the callable" if self._is_callable else f"the {self._type_name}"
        remedy = " and a new stream each time, as from_stream(lambda: ...)" if n_rows == 0 else ""
        raise ValueError(
            f"{what} gave {n_rows} rows and had given {self.n_samples}; expected the same rows each time{remedy}"
        )


def stream_table(source: Any, request: Request) -> StreamTable:
    """As `from_stream`."""
    return StreamTable(source, request)
