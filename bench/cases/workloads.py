"""The table of training workloads: what `bench_training.py` times and `report.py` reports."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

import fastgd as gd


class Workload(NamedTuple):
    """One epoch of a network on synthetic rows.

    widths : of the input and of each Linear's output
    n_samples : rows of an epoch, a multiple of the batch size; enough for 10 ms or more
    n_python : the first rows, on which pure Python trains in seconds
    n_compared : the first rows, on which `bench_training.py` lets every library train; all without pure Python if zero
    """

    name: str
    widths: tuple[int, ...]
    batch_size: int
    n_samples: int
    n_python: int
    learning_rate: float
    n_compared: int = 0

    @property
    def is_neuron(self) -> bool:
        """Whether one output follows the features directly."""
        return len(self.widths) == 2

    def model(self) -> gd.Model:
        """Linear and ReLU by turns: a neuron ends in its ReLU, a network in a Linear."""
        layers = [layer for pair in pairwise(self.widths) for layer in (gd.Linear(*pair), gd.ReLU())]
        return gd.Model(layers if self.is_neuron else layers[:-1], dtype="float32", seed=0)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """X (n_samples, widths[0]) and y (n_samples, widths[-1]), float32."""
        return gd.data.synthetic(self.n_samples, self.widths[0], self.widths[-1], noise=0.1, seed=0).arrays()


# The neuron's X is several times larger than a cache, as it is read once and measured against reading it.
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("ReLU neuron, 100 inputs, batch 1", (100, 1), 1, 250_000, 4000, 1e-3, 250_000),
        Workload("100-64-1, batch 32", (100, 64, 1), 32, 64_000, 320, 1e-2, 6400),
        Workload("100-64-64-1, batch 32", (100, 64, 64, 1), 32, 64_000, 320, 1e-2, 4800),
        Workload("784-256-10, batch 200", (784, 256, 10), 200, 12_000, 100, 1e-3, 400),
        Workload("784-1024-1024-10, batch 256", (784, 1024, 1024, 10), 256, 2048, 16, 1e-3),
    )
}
