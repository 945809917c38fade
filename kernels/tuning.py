"""Every number that stands for the hardware: what it trades, and what for.

Measured on a Zen 4 and a Sapphire Rapids. They bound how fast the kernels are; but for rounding, none changes a result.
"""

import platform
import sys

from .codegen.processor import register_count

# -- vectors and cache lines

# A vector that lies across two lines of the cache takes two loads, and longer still to store.
LINE_BYTES = 128 if sys.platform == "darwin" and platform.machine() == "arm64" else 64

# What a register of any processor may hold, of the smallest dtype.
MOST_LANES = 16

# Rows begin anywhere: loads of 64 bytes would each take two lines of the cache.
LOADED_BYTES = 32

# -- micro-kernels

# Rows and registers across. Twelve sums wait for one another long enough to keep every multiplier busy, and leave
# registers for what they need; with more registers, sixteen take fewer loads each. Sums that do not fit into registers
# take half as long again.
TILE_ROWS, TILE_VECTORS = (4, 4) if register_count() >= 32 else (6, 2)

# One register across, for the columns that are left: eight sums keep two multipliers busy that take four cycles; with
# fewer registers, eight rows took as long as six.
NARROW_TILE_ROWS = 8 if register_count() >= 32 else 6

# -- products

# With fewer rows or columns, copying a panel costs more than adding up lanes.
FEW = 6

# A panel of at most so many rows stays in the near caches, and is long enough for its sums to outweigh their ends.
PANEL_ROWS = 256

# Rows that lie in so many bytes are read where they lie: in the 64 pages whose places a processor knows at once.
BYTES_READ_IN_PLACE = 1 << 18

# So many numbers apart, the rows that a tile would read column by column fall on the same few places of a cache: they
# are transposed first, which pays from 512 outputs on (3 %) and saves a quarter at 4096; with 256 it takes 5 % more.
FAR_APART = 512

# Copying a panel for fewer rows takes more than a few percent of their products' time.
FEWEST_BLOCK_ROWS = 32

# -- prefetching

# How many bytes behind what is loaded rows are asked for, in the first-level cache and in the second.
GEMM_L1_BYTES, GEMM_L2_BYTES = 1 << 12, 1 << 15

# So many lines come while the products of a tile or two are added up, where these are few.
LINES_AT_ONCE = 16

# So many numbers of the next micro-batch are asked for at most while this one is worked on.
MOST_PREFETCHED = 1 << 15

# How many bytes ahead rows are asked for in the second-level cache that come in order: far enough for memory to answer.
# Asked for in the first level alone, they came up to three times slower on some processors.
ROW_L2_BYTES = 1 << 15

# How many bytes ahead rows are needed soon that come in order, and how many rows ahead others.
ROW_L1_BYTES = 1 << 13
ROW_L1_ROWS = 3

# The same of a loop that takes four rows at a time.
ROWS_BY_4_L1_BYTES = 1 << 12
ROWS_BY_4_L1_ROWS = 12

# -- threads

# So many multiplications and additions of a network's largest product are worth a thread that waits for them.
WORTH_A_THREAD = 2_000_000

# From so many multiplications and additions in one product on, a thread pool takes less time than one thread.
WORTH_SHARING_OPERATIONS = 1_000_000

# So many blocks for each thread of a pool: the last ones are small enough for all threads to end at about one time.
BLOCKS_PER_WORKER = 4

# To transpose a number takes as long as so many multiplications and additions.
OPERATIONS_A_NUMBER = 64

# So many blocks of columns for each thread of a pool: one is done before the other thread would have to wait long.
COLUMN_BLOCKS_PER_WORKER = 2

# So many elements of an update are a block: enough for a job to cost little beside them, and a multiple of what loops
# take at once, so that the same elements are left to the end of a loop, whose instructions may round otherwise.
PART = 1 << 13

# So often a thread that waits looks again before it offers its processor to others: some microseconds, where the
# processor has an instruction to pause.
WAITS = 200

# -- which loop trains what

# The work on a longer row outlasts the wait for the row before, and needs no look-ahead.
BYTES_OF_A_NARROW_ROW = 640

# In batches nothing waits, and of longer rows the scalar work after each is small.
BYTES_ADDED_BY_4 = 240

# Four rows that are kept converted: larger ones leave the first-level cache beside the weights and the gradient.
BYTES_KEPT = 1 << 14

# A first layer of more weights leaves the first cache, and lying column by column it is slower there.
COLUMN_MAJOR_BYTES = 1 << 16
# Turning them and turning them back costs what their being turned saves in a few batches.
BATCHES_PER_REORDERING = 16

# Fewer units leave most of a register empty; more weights take too long to turn into columns and back in each call.
FEW_UNITS = 8
MANY_WEIGHTS = 1 << 20
