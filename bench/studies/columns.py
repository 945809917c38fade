"""How fast columns become rows: python -m bench.studies.columns [--megabytes 64] [--rounds 7]

Blocks of rows of so many columns, in one thread: fastgd's kernel beside NumPy, which copies column after column into
the same block. In gigabytes of columns a second, the best of the rounds, side by side in one process.
"""

import argparse
import time

import numpy as np

from bench.readme import markdown
from fastgd.data.columnar.column_rows import Column, ColumnRows
from fastgd.kernels import ColumnKind

BLOCK_BYTES = 4 << 20
CASES = [
    (n_columns, given, made)
    for n_columns in (8, 50, 300)
    for given, made in (("float32", "float32"), ("float64", "float32"), ("float64", "float64"), ("int32", "float32"))
]


def by_kernel(columns: list[np.ndarray], out: np.ndarray, start: int) -> None:
    kind = ColumnKind[columns[0].dtype.name.upper()]
    rows = ColumnRows([Column(column.ctypes.data, kind, start, column) for column in columns], len(out), out.dtype)
    rows.write(out)


def by_numpy(columns: list[np.ndarray], out: np.ndarray, start: int) -> None:
    for j, column in enumerate(columns):
        out[:, j] = column[start : start + len(out)]


def measure(case: tuple[int, str, str], n_bytes: int, n_rounds: int) -> list[str]:
    n_columns, given, made = case
    n_rows = n_bytes // n_columns // np.dtype(given).itemsize
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 1000, n_rows).astype(given) for _ in range(n_columns)]
    out = np.empty((max(BLOCK_BYTES // (n_columns * np.dtype(made).itemsize), 256), n_columns), made)
    starts = range(0, n_rows - len(out) + 1, len(out))
    best = {by_kernel: np.inf, by_numpy: np.inf}
    for fill in best:
        fill(columns, out, 0)
        np.testing.assert_array_equal(out, np.transpose([column[: len(out)] for column in columns]))
    for _ in range(n_rounds):
        for fill in best:
            began = time.perf_counter()
            for start in starts:
                fill(columns, out, start)
            best[fill] = min(best[fill], time.perf_counter() - began)
    size = len(starts) * len(out) * n_columns * np.dtype(given).itemsize
    return [str(n_columns), f"{given} to {made}", *(f"{size / seconds / 1e9:.1f}" for seconds in best.values())]


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = [measure(case, options.megabytes << 20, options.rounds) for case in CASES]
    print(markdown(["columns", "numbers", "fastgd, GB/s", "NumPy, GB/s"], rows, n_left=2))


if __name__ == "__main__":
    main()
