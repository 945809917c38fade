"""The kernels that bring rows, and the one that measures how fast memory can be read."""

import numpy as np

from bench.cases.case import Case
from bench.cases.numpy_rows import numpy_rows, python_rows
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.random import mix
from fastgd.kernels.rows.synthetic import ROWS_AT_ONCE, teacher_weights


def gather_rows(n_rows: int, n_samples: int, n_features: int) -> Case:
    """Shuffled rows of bytes, as of pixels, into a float32 batch."""
    rng = np.random.default_rng(0)
    X = read_only(rng.integers(0, 256, (n_rows, n_features), np.uint8))
    rows = rng.permutation(n_rows)[:n_samples]
    out, expected = np.empty((2, n_samples, n_features), np.float32)

    def fastgd():
        kernels.gather_rows(X, rows, out)
        return (out,)

    def numpy():
        expected[...] = X[rows]
        return (expected,)

    def python(X, rows):
        return ([list(map(float, X[row])) for row in rows],)

    return Case(fastgd, numpy, python, (X, rows), 0)


def standardize_rows(n_samples: int, n_features: int) -> Case:
    """Float64 rows into float32 ones."""
    rng = np.random.default_rng(0)
    X, mean, scale = rng.random((n_samples, n_features)), rng.random(n_features), rng.random(n_features)
    out, expected = np.empty((2, n_samples, n_features), np.float32)
    difference = np.empty_like(X)

    def fastgd():
        kernels.standardize_rows(X, mean, scale, out)
        return (out,)

    def numpy():
        np.subtract(X, mean, out=difference)
        return (np.multiply(difference, scale, out=expected, casting="same_kind"),)

    def python(X, mean, scale):
        return ([[(x - m) * s for x, m, s in zip(row, mean, scale, strict=True)] for row in X],)

    return Case(fastgd, numpy, python, (X, mean, scale), 2)


def synthetic_rows(n_samples: int, n_features: int) -> Case:
    key, noise = np.uint64(mix(np.uint64(0))), 0.1
    rows, widths = np.arange(n_samples), np.array([n_features, 1])
    weights, scratch = np.empty(n_features), np.empty((ROWS_AT_ONCE + 2, 1))
    teacher_weights(key, weights)
    X, expected = np.empty((2, n_samples, n_features), np.float32)
    y = np.empty((n_samples, 1), np.float32)

    def fastgd():
        kernels.synthetic_rows(key, rows, widths, weights, noise, scratch, X, y)
        return X, y[:, 0]

    def numpy():
        return numpy_rows(key, rows, weights, noise, expected)

    def python(rows, weights):
        return python_rows(int(key), rows, weights, noise)

    return Case(fastgd, numpy, python, (rows, weights), 1)


def sum_elements(size: int) -> Case:
    x = np.random.default_rng(0).random(size, np.float32)

    def fastgd():
        return (kernels.sum_elements(x),)

    def numpy():
        return (x.sum(),)

    def python(x):
        return (sum(x),)

    # Summed in SIMD vectors, whose errors are as often up as down.
    return Case(fastgd, numpy, python, (x,), int(np.sqrt(size)))
