"""What bounds SGD on sparse rows: `python -m bench.studies.sparse_bound [--rows 1000000] [--repeats 5]`.

For the two sets of `report.py sparse`, nanoseconds an entry of a loop that multiplies each row with the weights and
subtracts a multiple of it from them, with no loss, no checks and nothing learnt before; beside it, a third of what a
whole `fit` of SGDClassifier takes by turns with it. Processor times, the best of several.
"""

import argparse
import time
import warnings

import numba
import numpy as np

from bench.peers.sparse import Rows, even_rows, learners, zipf_rows
from bench.readme import markdown


@numba.njit(nogil=True, fastmath=True)
def dot_and_subtract(values, columns, offsets, w):
    """w -= 1e-3 (x·w) x, for one row x after the other."""
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        z = np.float32(0)
        for p in range(begin, end):
            z += w[columns[p]] * values[p]
        z *= np.float32(1e-3)
        for p in range(begin, end):
            w[columns[p]] -= z * values[p]


def ns_of(rows: Rows, repeats: int) -> tuple[float, float]:
    """Of an entry: the loop's, and SGDClassifier's."""
    X = rows.X
    # Of unsigned indices none counts from the end.
    columns, w = X.indices.view(np.uint32), np.ones(X.shape[1], np.float32)
    runs = (
        lambda: dot_and_subtract(X.data, columns, X.indptr, w),
        lambda: learners()["SGDClassifier"]().fit(X, rows.y),
    )
    runs[0]()
    best = [np.inf, np.inf]
    for _ in range(repeats):
        for k, run in enumerate(runs):
            began = time.process_time()
            run()
            best[k] = min(best[k], time.process_time() - began)
    return tuple(seconds / X.nnz * 1e9 for seconds in best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    sets = {
        "2^20 columns evenly, 50 a row": even_rows(options.rows),
        "47 236 columns by Zipf's law, 75 a row": zipf_rows(options.rows * 4 // 5),
    }
    table = []
    with warnings.catch_warnings():
        # An epoch is never enough.
        warnings.simplefilter("ignore")
        for name, rows in sets.items():
            loop, peer = ns_of(rows, options.repeats)
            table.append([name, f"{loop:.2f}", f"{peer:.2f}", f"{peer / 3:.2f}"])
    print(markdown(["ns an entry", "dot and subtract", "SGDClassifier", "a third of that"], table))


if __name__ == "__main__":
    main()
