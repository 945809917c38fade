"""The micro-kernels: tiles of a product whose sums stay in registers."""

from ..codegen.tile import tile_product
from ..tuning import NARROW_TILE_ROWS, TILE_ROWS, TILE_VECTORS

multiply_tile = tile_product(TILE_ROWS, TILE_VECTORS)
multiply_narrow_tile = tile_product(NARROW_TILE_ROWS, 1)
