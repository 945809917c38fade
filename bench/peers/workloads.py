"""The tables of workloads that fastgd and its peers train on: neurons and networks."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import fastgd as gd

Layer = tuple[np.ndarray, np.ndarray]


class PeerWorkload(NamedTuple):
    """One epoch in order on synthetic rows, or several of a full batch.

    widths : of the input and of each Linear's output; the activation between the Linears, none after the last
    n_samples : rows of fastgd's epoch, a multiple of the batch size; enough for 10 ms or more
    optimizer : with a constant learning rate
    loss : "half_squared_error", "log_loss" of one output or "cross_entropy"          activation : "relu" or "tanh"
    n_epochs : more than 1 only where the batch is all rows
    """

    name: str
    widths: tuple[int, ...]
    batch_size: int
    n_samples: int
    optimizer: gd.SGD | gd.Adam
    loss: str = "half_squared_error"
    activation: str = "relu"
    dtype: str = "float32"
    n_epochs: int = 1

    @property
    def is_neuron(self) -> bool:
        """Whether one output follows the features directly, and every row is an update."""
        return len(self.widths) == 2 and self.widths[1] == self.batch_size == 1

    @property
    def is_plain(self) -> bool:
        """Whether it is one epoch of squared errors and ReLUs in float32, which every peer has."""
        return self[5:] == ("half_squared_error", "relu", "float32", 1)

    def n_updates(self, n_samples: int) -> int:
        """Of a run on so many rows."""
        return n_samples // self.batch_size * self.n_epochs

    def model(self) -> gd.Model:
        """Where every peer starts: a neuron at zero, as linear regressions do, a network at its random weights."""

        def activation() -> gd.ReLU | gd.Tanh:
            # The peers' ReLUs know no tolerance.
            return gd.Tanh() if self.activation == "tanh" else gd.ReLU(tolerance=0.0)

        layers = [layer for pair in pairwise(self.widths) for layer in (gd.Linear(*pair), activation())]
        model = gd.Model(layers[:-1], dtype=self.dtype, seed=0)
        if self.is_neuron:
            model.parameters[:] = 0
        return model

    def initial(self) -> list[Layer]:
        """Each Linear's weight (n_out, n_in) and bias (n_out,), in copies."""
        layers = self.model().layers
        return [(layer.weight.copy(), layer.bias.copy()) for layer in layers if isinstance(layer, gd.Linear)]

    def arrays(self, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """X (n_samples, widths[0]) and y (n_samples, widths[-1]), or (n_samples, 1) classes: 0, 1, ..."""
        X, y = gd.data.synthetic(n_samples, self.widths[0], self.widths[-1], noise=0.1, seed=1).arrays()
        if self.loss == "log_loss":
            y = y > 0
        elif self.loss == "cross_entropy":
            y = y.argmax(axis=1, keepdims=True)
        return X.astype(self.dtype, copy=False), y.astype(self.dtype, copy=False)


def flat(layers: Iterable[Layer]) -> np.ndarray:
    """The parameters in the order of `Model.parameters`: (size,)."""
    return np.concatenate([np.ravel(part) for layer in layers for part in layer])


def updater(optimizer: gd.SGD | gd.Adam, sqrt: Callable[[Any], Any]) -> Callable[..., tuple]:
    """The update of arrays of a library, whose square root is given: (w, m, v, g, factors) to new (w, m, v).

    factors : as from `adam_factors`
    """

    def plain(w, m, v, g, factors):
        return w - optimizer.learning_rate * g, m, v

    def momentum(w, m, v, g, factors):
        m = optimizer.momentum * m + g
        return w - optimizer.learning_rate * m, m, v

    def adam(w, m, v, g, factors):
        beta1, beta2 = optimizer.betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        return w - factors[0] * m / (sqrt(v) / factors[1] + optimizer.eps), m, v

    if isinstance(optimizer, gd.Adam):
        return adam
    return momentum if optimizer.momentum else plain


def adam_factors(optimizer: gd.SGD | gd.Adam, n_updates: int, dtype: str = "float32") -> np.ndarray:
    """What Adam's update t = 1, 2, ... multiplies m by and divides √v by: (n_updates, 2).

    Made in float64: in float32, 1 - β2^t has lost four digits at the first update.
    """
    if not isinstance(optimizer, gd.Adam):
        return np.zeros((n_updates, 2), dtype)
    t = np.arange(1, n_updates + 1)
    beta1, beta2 = optimizer.betas
    factors = optimizer.learning_rate / (1 - beta1**t), np.sqrt(1 - beta2**t)
    return np.stack(factors, axis=1).astype(dtype)


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

#: Other losses, activations, dtypes and a full batch, and one of each kind of those above.
FUNCTIONS = {
    workload.name: workload
    for workload in (
        *(WORKLOADS[name] for name in ("neuron, 100 inputs, batch 1", "100-64-1, batch 32", "784-128-10, batch 64")),
        PeerWorkload("neuron, 10 inputs, log loss, batch 1", (10, 1), 1, 1_000_000, gd.SGD(1e-2), "log_loss"),
        PeerWorkload("neuron, 100 inputs, log loss, batch 1", (100, 1), 1, 300_000, gd.SGD(1e-2), "log_loss"),
        PeerWorkload("784-128-10, cross-entropy, batch 64", (784, 128, 10), 64, 12_800, gd.SGD(1e-2), "cross_entropy"),
        PeerWorkload("100-64-1, tanh, batch 32", (100, 64, 1), 32, 64_000, gd.SGD(1e-2), activation="tanh"),
        PeerWorkload(
            "4-32-16-4, tanh, Adam, full batch of 10,000",
            *((4, 32, 16, 4), 10_000, 10_000, ADAM, "half_squared_error", "tanh"),
            n_epochs=20,
        ),
        PeerWorkload(
            "24-8-2, tanh, cross-entropy, full batch of 200",
            *((24, 8, 2), 200, 200, gd.SGD(0.1), "cross_entropy", "tanh"),
            n_epochs=1000,
        ),
        PeerWorkload("neuron, 100 inputs, float64, batch 1", (100, 1), 1, 200_000, gd.SGD(1e-3), dtype="float64"),
        PeerWorkload("784-128-10, float64, batch 64", (784, 128, 10), 64, 6400, gd.SGD(1e-3), dtype="float64"),
    )
}
