"""JAX: the whole epoch one compiled call, `lax.scan` over batches that lie on the device, parameters donated.

Each layout of the weights and each unrolling of the loop is a form.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import fastgd as gd
from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors, flat

MAX_UPDATES = None
UNROLLS = (1, 4)


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    if workload.is_neuron:
        return {f"unroll {n}": partial(Scan, workload, X, y, neuron_loss, np.squeeze, n) for n in UNROLLS}
    layouts = {"out x in": (row_loss, np.asarray), "in x out": (column_loss, np.transpose)}
    return {
        f"weights {name}, unroll {n}": partial(Scan, workload, X, y, *layout, n)
        for name, layout in layouts.items()
        for n in UNROLLS
    }


def neuron_loss(layers, x, y):
    """x (1, n_in) and y (1, 1), as vector and number."""
    ((weight, bias),) = layers
    return 0.5 * (weight @ x[0] + bias - y[0, 0]) ** 2


def row_loss(layers, x, y):
    return half_squared_error(layers, x, y, lambda x, weight: x @ weight.T)


def column_loss(layers, x, y):
    return half_squared_error(layers, x, y, jnp.matmul)


def half_squared_error(layers, x, y, product):
    """The mean over the batch."""
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(product(x, weight) + bias)
    weight, bias = layers[-1]
    return 0.5 * jnp.sum((product(x, weight) + bias - y) ** 2) / len(x)


class Scan:
    """
    layout : how a weight (n_out, n_in) and a bias (n_out,) become the loss's, its own inverse but for squeezed axes
    """

    def __init__(
        self,
        workload: PeerWorkload,
        X: np.ndarray,
        y: np.ndarray,
        loss: Callable[..., jax.Array],
        layout: Callable[[np.ndarray], np.ndarray],
        unroll: int,
    ) -> None:
        self.n_samples = len(X)
        n_updates = len(X) // workload.batch_size
        by_batch = [jnp.asarray(rows.reshape(n_updates, workload.batch_size, -1)) for rows in (X, y)]
        self._batches = *by_batch, jnp.asarray(adam_factors(workload.optimizer, n_updates))
        self._layout = layout
        self._start = [tuple(layout(part) for part in layer) for layer in workload.initial()]
        step = stepper(workload.optimizer, loss)
        self._train = jax.jit(lambda state, batches: lax.scan(step, state, batches, unroll=unroll)[0], donate_argnums=0)
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat(tuple(self._layout(np.asarray(part)) for part in layer) for layer in self._state[0])

    def reset(self) -> None:
        parameters, m, v = (jax.tree.map(make, self._start) for make in (jnp.array, jnp.zeros_like, jnp.zeros_like))
        self._state = jax.block_until_ready((parameters, m, v))

    def epoch(self) -> None:
        self._state = jax.block_until_ready(self._train(self._state, self._batches))


def stepper(optimizer: gd.SGD | gd.Adam, loss: Callable[..., jax.Array]) -> Callable[..., tuple]:
    """The body of the scan: state (parameters, m, v), batch (x, y, factors as from `adam_factors`)."""

    def plain(w, m, v, g, factors):
        return w - optimizer.learning_rate * g, m, v

    def momentum(w, m, v, g, factors):
        m = optimizer.momentum * m + g
        return w - optimizer.learning_rate * m, m, v

    def adam(w, m, v, g, factors):
        beta1, beta2 = optimizer.betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        return w - factors[0] * m / (jnp.sqrt(v) / factors[1] + optimizer.eps), m, v

    if isinstance(optimizer, gd.Adam):
        update = adam
    else:
        update = momentum if optimizer.momentum else plain

    def step(state, batch):
        x, y, factors = batch
        gradient = jax.grad(loss)(state[0], x, y)
        updated = jax.tree.map(lambda w, m, v, g: update(w, m, v, g, factors), *state, gradient)
        return jax.tree.transpose(jax.tree.structure(gradient), jax.tree.structure((0, 0, 0)), updated), None

    return step
