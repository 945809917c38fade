"""Columns, as tables have them, turned into rows."""

from enum import IntEnum

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel
from ..codegen.micro_kernel import transpose_block
from ..codegen.raw_memory import vector_at
from ..codegen.simd import vector_width
from ..codegen.views import element, span, vector
from ..tuning import COLUMN_ROWS, MAX_VECTOR_WIDTH

#: The size of the scratch memory that `columns_to_rows` needs.
COLUMNS_SCRATCH = MAX_VECTOR_WIDTH * COLUMN_ROWS


class Kind(IntEnum):
    """What a column holds; bits are booleans, eight in a byte, the lowest first."""

    BITS = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT32 = 9
    FLOAT64 = 10


_BITS = int(Kind.BITS)
_INT8, _INT16, _INT32, _INT64 = int(Kind.INT8), int(Kind.INT16), int(Kind.INT32), int(Kind.INT64)
_UINT8, _UINT16, _UINT32, _UINT64 = int(Kind.UINT8), int(Kind.UINT16), int(Kind.UINT32), int(Kind.UINT64)
_FLOAT32 = int(Kind.FLOAT32)


@inlined_kernel
def _copy(place, begin, out, number, n_bytes):
    source = vector_at(place + begin * n_bytes, out.size, number)
    for i in range(out.size):
        out[i] = source[i]


@kernel
def _convert(place, kind, begin, out):
    """out = as many of a column's numbers, from number `begin` on."""
    if kind == _FLOAT32:
        _copy(place, begin, out, np.float32(0), 4)
    elif kind == _BITS:
        bits = vector_at(place, (begin + out.size + 7) >> 3, np.uint8(0))
        for i in range(out.size):
            out[i] = element(bits, (begin + i) >> 3) >> ((begin + i) & 7) & 1
    elif kind == _INT8:
        _copy(place, begin, out, np.int8(0), 1)
    elif kind == _INT16:
        _copy(place, begin, out, np.int16(0), 2)
    elif kind == _INT32:
        _copy(place, begin, out, np.int32(0), 4)
    elif kind == _INT64:
        _copy(place, begin, out, np.int64(0), 8)
    elif kind == _UINT8:
        _copy(place, begin, out, np.uint8(0), 1)
    elif kind == _UINT16:
        _copy(place, begin, out, np.uint16(0), 2)
    elif kind == _UINT32:
        _copy(place, begin, out, np.uint32(0), 4)
    elif kind == _UINT64:
        _copy(place, begin, out, np.uint64(0), 8)
    else:
        _copy(place, begin, out, np.float64(0), 8)


@kernel
def columns_to_rows(places, kinds, begins, first, scratch, out):
    """out[i, first + j] = column j's number begins[j] + i, converted to out's dtype.

    places : (n_columns,) int64, the addresses of the columns' memory          kinds : (n_columns,) int64, of Kind
    begins : (n_columns,) int64, which number of each column is that of the first row
    first : int, where in out's rows the columns go: first + n_columns is at most their length
    scratch : (COLUMNS_SCRATCH,), of out's dtype          out : (n_rows, n_features), modified in place
    """
    n_columns, n_rows, width = places.size, out.shape[0], out.shape[1]
    count = vector_width(out.dtype.type(0))
    rows = vector(out)
    for row in range(0, n_rows, COLUMN_ROWS):
        n_taken = minimum(COLUMN_ROWS, n_rows - row)
        n_whole = n_taken // count * count
        column = 0
        while column < n_columns:
            # The last panel has columns of the one before, where there are enough for a whole one.
            column = max(minimum(column, n_columns - count), 0)
            n_panel = minimum(count, n_columns - column)
            for j in range(n_panel):
                numbers = span(scratch, j * COLUMN_ROWS, n_taken)
                _convert(places[column + j], kinds[column + j], begins[column + j] + row, numbers)
            corner = row * width + first + column
            n_transposed = n_whole if n_panel == count else 0
            for i in range(0, n_transposed, count):
                transpose_block(scratch, i, COLUMN_ROWS, count, count, rows, corner + i * width, width)
            for j in range(n_panel):
                for i in range(n_transposed, n_taken):
                    rows[corner + i * width + j] = element(scratch, j * COLUMN_ROWS + i)
            column += n_panel


@kernel
def columns_to_rows_reference(places, kinds, begins, first, scratch, out):
    """As `columns_to_rows`, one number after the other."""
    for j in range(places.size):
        for i in range(out.shape[0]):
            _convert(places[j], kinds[j], begins[j] + i, span(scratch, 0, 1))
            out[i, first + j] = scratch[0]
