"""The table of workloads that fastgd and its peers train on: neurons and networks, all with the half squared error."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import fastgd as gd

Layer = tuple[np.ndarray, np.ndarray]


class PeerWorkload(NamedTuple):
    """One epoch in order on synthetic rows.

    widths : of the input and of each Linear's output; ReLUs between the Linears, none after the last
    n_samples : rows of fastgd's epoch, a multiple of the batch size; enough for 10 ms or more
    optimizer : with a constant learning rate
    """

    name: str
    widths: tuple[int, ...]
    batch_size: int
    n_samples: int
    optimizer: gd.SGD | gd.Adam

    @property
    def is_neuron(self) -> bool:
        """Whether one output follows the features directly, and every row is an update."""
        return len(self.widths) == 2 and self.widths[1] == self.batch_size == 1

    def model(self) -> gd.Model:
        """Where every peer starts: a neuron at zero, as linear regressions do, a network at its random weights."""
        # The peers' ReLUs know no tolerance.
        layers = [layer for pair in pairwise(self.widths) for layer in (gd.Linear(*pair), gd.ReLU(tolerance=0.0))]
        model = gd.Model(layers[:-1], dtype="float32", seed=0)
        if self.is_neuron:
            model.parameters[:] = 0
        return model

    def initial(self) -> list[Layer]:
        """Each Linear's weight (n_out, n_in) and bias (n_out,), in copies."""
        layers = self.model().layers
        return [(layer.weight.copy(), layer.bias.copy()) for layer in layers if isinstance(layer, gd.Linear)]

    def arrays(self, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """X (n_samples, widths[0]) and y (n_samples, widths[-1]), float32."""
        return gd.data.synthetic(n_samples, self.widths[0], self.widths[-1], noise=0.1, seed=1).arrays()


def flat(layers: Iterable[Layer]) -> np.ndarray:
    """The parameters in the order of `Model.parameters`: (size,)."""
    return np.concatenate([np.ravel(part) for layer in layers for part in layer])


def adam_factors(optimizer: gd.SGD | gd.Adam, n_updates: int) -> np.ndarray:
    """What Adam's update t = 1, 2, ... multiplies m by and divides √v by: (n_updates, 2) float32.

    Made in float64: in float32, 1 - β2^t has lost four digits at the first update.
    """
    if not isinstance(optimizer, gd.Adam):
        return np.zeros((n_updates, 2), np.float32)
    t = np.arange(1, n_updates + 1)
    beta1, beta2 = optimizer.betas
    factors = optimizer.learning_rate / (1 - beta1**t), np.sqrt(1 - beta2**t)
    return np.stack(factors, axis=1).astype(np.float32)


MOMENTUM = gd.SGD(1e-3, momentum=0.9)
# scikit-learn adds eps to √v before it corrects v's bias, the others after: only where eps does not matter are the
# updates the same.
ADAM = gd.Adam(1e-3, eps=1e-12)

# A neuron's X is several times larger than a cache, as it is read once.
WORKLOADS = {
    workload.name: workload
    for workload in (
        PeerWorkload("neuron, 16 inputs, batch 1", (16, 1), 1, 2_000_000, gd.SGD(5e-3)),
        PeerWorkload("neuron, 32 inputs, batch 1", (32, 1), 1, 1_000_000, gd.SGD(2e-3)),
        PeerWorkload("neuron, 100 inputs, batch 1", (100, 1), 1, 300_000, gd.SGD(1e-3)),
        PeerWorkload("neuron, 1000 inputs, batch 1", (1000, 1), 1, 30_000, gd.SGD(1e-4)),
        PeerWorkload("100-64-1, batch 1", (100, 64, 1), 1, 40_000, gd.SGD(1e-3)),
        PeerWorkload("100-64-1, batch 32", (100, 64, 1), 32, 64_000, gd.SGD(1e-2)),
        PeerWorkload("100-64-64-1, batch 32", (100, 64, 64, 1), 32, 64_000, gd.SGD(1e-2)),
        PeerWorkload("784-128-10, batch 64", (784, 128, 10), 64, 12_800, gd.SGD(1e-3)),
        PeerWorkload("784-256-10, batch 32, momentum", (784, 256, 10), 32, 6400, MOMENTUM),
        PeerWorkload("784-256-10, batch 32, Adam", (784, 256, 10), 32, 6400, ADAM),
        PeerWorkload("784-1024-1024-10, batch 256", (784, 1024, 1024, 10), 256, 2048, gd.SGD(1e-3)),
    )
}
