"""The micro-kernels: tiles of a product whose sums stay in registers."""

from ..codegen.tile import micro_kernel_of
from ..tuning import NARROW_TILE_ROWS, TILE_ROWS, TILE_VECTORS

micro_kernel = micro_kernel_of(TILE_ROWS, TILE_VECTORS)
narrow_micro_kernel = micro_kernel_of(NARROW_TILE_ROWS, 1)
