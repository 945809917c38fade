"""Parts of a matrix copied into a panel: in the order in which the micro-kernel reads them."""

from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.micro_kernel import transpose_block
from ..codegen.simd import load, store, vector_width
from ..codegen.views import row_of
from ..tuning import MAX_VECTOR_WIDTH, NR_VECTORS, PANEL_ROWS


def panel_size(k: int) -> int:
    """How many numbers the scratch memory of a panel has, for sums over k products."""
    # Transposing writes whole vectors beyond the panel's last row.
    return (min(k, PANEL_ROWS) + MAX_VECTOR_WIDTH) * MAX_VECTOR_WIDTH * NR_VECTORS


@inlined_kernel
def pack(b, width, panel):
    """panel[p, j] = b[p, j], zero for j from b's columns up to the width.

    b : (k, n), rows in one piece, n up to the width          width : a multiple of a SIMD vector's
    panel : (size,), overwritten
    """
    k, n = b.shape
    zero = panel.dtype.type(0)
    count = vector_width(zero)
    for p in range(k):
        row = row_of(b, p)
        for j in range(0, width, count):
            store(panel, p * width + j, count, load(row, j, minimum(n - j, count), zero))


@inlined_kernel
def pack_transposed(b, width, panel):
    """panel[p, j] = b[p, j], any numbers for j from b's columns up to the width.

    b : (k, n), columns in one piece, n up to the width          width : a multiple of a SIMD vector's
    panel : (size,), overwritten
    """
    k, n = b.shape
    count = vector_width(panel.dtype.type(0))
    column = b.strides[1] // b.itemsize
    for j in range(0, width, count):
        for p in range(0, k, count):
            transpose_block(b, j * column + p, column, n - j, k - p, panel, p * width + j, width)
