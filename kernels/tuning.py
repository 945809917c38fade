"""Every number that stands for the hardware: what it trades, and what for.

Measured on a Zen 4 and a Sapphire Rapids, and on a Zen where there are 16 registers. They bound how fast the kernels
are; but for rounding, none changes a result.
"""

import platform
import sys

from .codegen.processor import register_count

# -- vectors and cache lines

# A vector that crosses a cache line takes two loads, and longer still to store.
LINE_BYTES = 128 if sys.platform == "darwin" and platform.machine() == "arm64" else 64

# The most elements that a vector register of any processor holds, of the smallest dtype.
MAX_VECTOR_WIDTH = 16

# Rows begin anywhere: most loads of 64 bytes would cross a cache line.
LOADED_BYTES = 32

# So few elements of a row are taken one by one: a vector of them would be nearly empty.
FEW_ELEMENTS = 4

# -- micro-kernels

# MR rows by NR columns, NR counted in vectors. Twelve independent sums hide the latency of the multipliers and leave
# registers for the operands; where there are 32 registers, sixteen sums take fewer loads each. Sums that do not fit
# into registers take half as long again.
MR, NR_VECTORS = (4, 4) if register_count() >= 32 else (6, 2)

# MR of a matrix's last rows, where MR rows would leave sums without use, as of 32 rows; zero where all go by MR.
EDGE_MR = 0 if register_count() >= 32 else 4

# NR of one vector, for the columns that remain: eight sums hide a latency of four cycles of two multipliers. With 16
# registers, eight rows took as long as six.
NARROW_MR = 8 if register_count() >= 32 else 6

# -- products

# With fewer rows or columns, packing a panel costs more than horizontal sums.
FEW = 6

# The rows of a panel (KC elsewhere): it stays in L1 or L2, and is long enough for reading and writing c to cost little.
PANEL_ROWS = 256

# Up to this size, a panel is read in place: its 64 pages fit the first-level TLB.
BYTES_READ_IN_PLACE = 1 << 18

# From this row length on, elements of one column fall into the same few sets of a cache. A matrix that would be read by
# columns is transposed first, which pays from 512 outputs on (3 %) and saves a quarter at 4096; at 256 it costs 5 %.
FAR_APART = 512

# Packing a panel for fewer rows takes more than a few percent of their products' time.
FEWEST_BLOCK_ROWS = 32

# -- prefetching

# How many bytes ahead of the loads rows are prefetched into L1 and L2.
GEMM_L1_BYTES, GEMM_L2_BYTES = 1 << 12, 1 << 15

# Cache lines prefetched for each call of the micro-kernel: about what arrives while it or the next one runs.
LINES_AT_ONCE = 16

# The most elements of the next micro-batch that are prefetched while this one is worked on.
MOST_PREFETCHED = 1 << 15

# How many bytes ahead rows in order are prefetched into L2: far enough for memory to answer. Prefetched into L1 alone,
# they came up to three times slower on some processors.
ROW_L2_BYTES = 1 << 15

# How far ahead rows are prefetched into L1: in order, by bytes; shuffled, by rows.
ROW_L1_BYTES = 1 << 13
ROW_L1_ROWS = 3

# The same for a loop that takes four rows at a time.
ROWS_BY_4_L1_BYTES = 1 << 12
ROWS_BY_4_L1_ROWS = 12

# -- threads

# From this many operations (multiplications and additions) in a network's largest product on, a second thread pays.
WORTH_A_THREAD = 2_000_000

# From this many operations in one product on, a thread pool takes less time than one thread.
WORTH_SHARING_OPERATIONS = 1_000_000

# Blocks per thread of a pool: the last ones are small enough for all threads to finish at about the same time.
BLOCKS_PER_WORKER = 4

# Transposing one element takes as long as this many operations.
OPERATIONS_A_NUMBER = 64

# Blocks of columns per thread of a pool when transposing: short enough that no thread waits long for the last one.
COLUMN_BLOCKS_PER_WORKER = 2

# Elements of an update in one block: enough to outweigh the cost of a job, and a multiple of what vectorised loops take
# at once, so that the same elements fall into a loop's remainder, whose instructions may round otherwise.
PART = 1 << 13

# How often a waiting thread polls before it yields its processor: some microseconds, where there is an instruction to
# pause.
WAITS = 200

# -- which loop trains what

# The work on a longer row outlasts the wait for the row before, and needs no look-ahead.
BYTES_OF_A_NARROW_ROW = 640

# In batches nothing waits, and of longer rows the scalar work after each is small.
BYTES_ADDED_BY_4 = 240

# Four rows that are kept converted: larger ones do not fit into L1 beside the weights and the gradient.
BYTES_KEPT = 1 << 14

# A first layer of more weights leaves L1, and is slower there as a column-major matrix.
COLUMN_MAJOR_BYTES = 1 << 16
# Reordering them, and back, costs what column-major weights save in a few batches.
BATCHES_PER_REORDERING = 16

# Fewer units leave most of a vector empty; more weights take too long to be made column-major and back in each call.
FEW_UNITS = 8
MANY_WEIGHTS = 1 << 20

# -- sparse rows

# How many rows ahead sparse rows are prefetched, what their columns need in twice the memory, and how many entries, of
# four bytes each, a cache line has. Shuffled, rows come from anywhere.
CSR_ROWS_PREFETCH, CSR_COLUMNS_PREFETCH = 8, 2

# So many elements ahead the state of an optimiser that keeps to the entries of sparse rows is prefetched: far enough
# for the memory, and within what the nearest cache holds.
CSR_PLACES_PREFETCH = 16
ENTRIES_PER_PREFETCH = LINE_BYTES // 4

# Bringing all weights up to date, which lazy penalties do now and then, costs a few percent of the work on so many
# entries for each weight.
ENTRIES_PER_FLUSHED_WEIGHT = 16

# What a loop keeps of each column is copied to one record, a single line of the cache, and back: of all columns, in
# order, where a call has so many entries for each; else of those of its entries.
ENTRIES_PER_PACKED_COLUMN = 0.1

# -- columns to rows

# Rows of which a panel of columns is transposed at once: the panel stays in L1, and a piece of a column is long enough
# for the processor to prefetch.
COLUMN_ROWS = 256
