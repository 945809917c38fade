"""Synthetic data: rows of a teacher network plus noise."""

import numbers
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import Block, allocate
from fastgd.kernels import (
    BELL_VARIANCE,
    SYNTHETIC_ROWS_AT_ONCE,
    aligned_zero_rows,
    random,
    synthetic_rows,
    teacher_weights,
)


class SyntheticDataset(Dataset):
    """A data set of any size whose best reachable loss is known, each row made from (seed, row) when it is asked for.

    Features are bell-shaped with mean 0 and variance 1, between -3 and 3. The teacher network is Linear and ReLU, or
    with hidden widths Linear, ReLU, ..., Linear; neither has biases. y = network(x) + noise · (a bell-shaped value).

    Parameters
    ----------
    n_samples, n_features, n_outputs : int
        Its shape, each at least 1.
    hidden : int or sequence of int
        Widths of the teacher network's hidden layers; none for a ReLU neuron per output.
    noise : float
        Standard deviation of what is added to y, at least 0.
    seed : int
        The same seed gives the same rows, whatever the block size, the order or the machine; below 2**64.
    dtype : "float32" or "float64"

    Attributes
    ----------
    noise_loss : float
        Mean half squared error of the teacher network itself: what a perfect model of its kind reaches.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=1000, n_features=10, noise=0.1)
    >>> X, y = data.arrays()
    >>> X.shape, y.shape, round(data.noise_loss, 4)
    ((1000, 10), (1000, 1), 0.005)
    """

    reads_in_parallel = True

    def __init__(
        self,
        n_samples: int,
        n_features: int,
        n_outputs: int = 1,
        hidden: int | Sequence[int] = (),
        noise: float = 0.1,
        seed: int = 0,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.n_samples = checks.integer(n_samples, "n_samples", 1)
        self.n_features = checks.integer(n_features, "n_features", 1)
        self.n_outputs = checks.integer(n_outputs, "n_outputs", 1)
        widths = (hidden,) if isinstance(hidden, numbers.Number) else hidden
        self.hidden = tuple(checks.integer(width, "hidden", 1) for width in widths)
        self.noise = checks.non_negative(noise, "noise")
        self.seed = checks.integer(seed, "seed", 0)
        if self.seed >= 2**64:
            raise ValueError(f"seed is {seed}; expected less than 2**64")
        self.dtype = checks.model_dtype(dtype)
        self.noise_loss = 0.5 * self.noise**2 * BELL_VARIANCE * self.n_outputs
        self._key = np.uint64(random.mix(np.uint64(self.seed)))
        self._widths = np.array([self.n_features, *self.hidden, self.n_outputs], np.int64)
        self._flat_weights = np.empty(int((self._widths[:-1] * self._widths[1:]).sum()))
        teacher_weights(self._key, self._flat_weights)

    @property
    def weights(self) -> list[np.ndarray]:
        """The teacher network's weights, each (n_out, n_in)."""
        weights = []
        end = 0
        for layer, (n_in, n_out) in enumerate(pairwise(self._widths)):
            begin, end = end, end + n_in * n_out
            values = self._flat_weights[begin:end]
            if layer == 0:
                weights.append(values.reshape(n_out, n_in) / np.sqrt(n_in))
            else:
                weights.append(values.reshape(n_in, n_out).T * np.sqrt(2 / n_in))
        return weights

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Make the rows."""
        indices = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        own = out if out.X.dtype == out.y.dtype == self.dtype else allocate(self, len(indices), self.dtype)
        # On lines of its own: another thread may make rows, or train, meanwhile.
        scratch = aligned_zero_rows(SYNTHETIC_ROWS_AT_ONCE + 2, int(self._widths[1:].max()), np.dtype(np.float64))
        n = len(indices)
        synthetic_rows(self._key, indices, self._widths, self._flat_weights, self.noise, scratch, own.X[:n], own.y[:n])
        if own is not out:
            out.X[:n], out.y[:n] = own.X, own.y
