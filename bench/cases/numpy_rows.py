"""The rows of `kernels.synthetic_rows` in NumPy and in plain Python, for a teacher neuron without hidden layers.

An even number of features and one output: see the kernel for the formulas.
"""

import math

import numpy as np

from fastgd.kernels.rows.synthetic import GOLDEN

_BITS = (1 << 64) - 1
_GOLDEN = int(GOLDEN)


def numpy_rows(
    key: np.uint64, rows: np.ndarray, weights: np.ndarray, noise: float, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """X (n_samples, n_features), overwritten, and y (n_samples,)."""
    half = X.shape[1] // 2
    row_key = _mix(key + rows.astype(np.uint64) * GOLDEN)
    words = _mix(row_key[:, None] + np.arange(1, half + 1, dtype=np.uint64) * GOLDEN)
    X[:, :half] = _bell(words)
    X[:, half:] = _bell(words >> np.uint64(32))
    clean = np.maximum(X.astype(np.float64) @ weights * (1 / np.sqrt(X.shape[1])), 0)
    return X, clean + noise * _bell(_mix(_mix(~row_key) + GOLDEN))


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _bell(words: np.ndarray) -> np.ndarray:
    ten_bits = np.uint64(1023)
    total = (words & ten_bits) + (words >> np.uint64(10) & ten_bits) + (words >> np.uint64(20) & ten_bits)
    return (total.astype(np.float32) - np.float32(1534.5)) * np.float32(1 / 512)


def python_rows(key: int, rows: list[int], weights: list[float], noise: float) -> tuple[list[list[float]], list[float]]:
    """The same as lists."""
    X, y = [], []
    for row in rows:
        row_key = _python_mix(key + row * _GOLDEN)
        words = [_python_mix(row_key + j * _GOLDEN) for j in range(1, len(weights) // 2 + 1)]
        x = [_python_bell(word) for word in words] + [_python_bell(word >> 32) for word in words]
        clean = max(sum(w * x_j for w, x_j in zip(weights, x, strict=True)) / math.sqrt(len(weights)), 0.0)
        X.append(x)
        y.append(clean + noise * _python_bell(_python_mix(_python_mix(~row_key) + _GOLDEN)))
    return X, y


def _python_mix(z: int) -> int:
    z &= _BITS
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _BITS
    return z ^ (z >> 31)


def _python_bell(word: int) -> float:
    return ((word & 1023) + (word >> 10 & 1023) + (word >> 20 & 1023) - 1534.5) / 512
