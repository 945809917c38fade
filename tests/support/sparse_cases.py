"""Sparse rows of every kind: empty ones, zeros that are stored, entries that add up, in any order."""

import numpy as np
from scipy import sparse


def csr(n_rows, n_columns, seed=0, dtype="float64", index="int32", density=0.3, kind=sparse.csr_array):
    """A CSR matrix, and the same rows dense."""
    rng = np.random.default_rng(seed)
    counts = rng.binomial(n_columns, density, n_rows)
    counts[rng.integers(n_rows)] = 0
    offsets = np.concatenate([[0], np.cumsum(counts)])
    # Drawn with replacement: some columns come twice, in no order.
    indices = rng.integers(0, n_columns, offsets[-1])
    values = rng.integers(-8, 9, offsets[-1]) / 8
    values[rng.random(len(values)) < 0.1] = 0
    if np.dtype(dtype).kind != "f":
        values = values * 8
    values = values.astype(dtype)
    dense = np.zeros((n_rows, n_columns))
    np.add.at(dense, (np.repeat(np.arange(n_rows), counts), indices), values)
    X = kind((n_rows, n_columns), dtype=dtype)
    X.data, X.indices, X.indptr = values, indices.astype(index), offsets.astype(index)
    return X, dense
