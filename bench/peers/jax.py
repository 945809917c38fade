"""JAX: the whole epoch one compiled call, `lax.scan` over batches that lie on the device, parameters donated.

Each layout of the weights and each unrolling of the loop is a form.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors, flat, updater

MAX_UPDATES = None
UNROLLS = (1, 4)


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    # What is float32 stays so.
    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    if workload.is_neuron:
        loss = partial(neuron_loss, LOSSES[workload.loss])
        return {f"unroll {n}": partial(Scan, workload, X, y, loss, np.squeeze, n) for n in UNROLLS}
    loss = partial(network_loss, LOSSES[workload.loss], ACTIVATIONS[workload.activation])
    layouts = {
        "out x in": (partial(loss, lambda x, weight: x @ weight.T), np.asarray),
        "in x out": (partial(loss, jnp.matmul), np.transpose),
    }
    return {
        f"weights {name}, unroll {n}": partial(Scan, workload, X, y, *layout, n)
        for name, layout in layouts.items()
        for n in UNROLLS
    }


def half_squared_error(z, y):
    return 0.5 * jnp.sum((z - y) ** 2)


def log_loss(z, y):
    return jnp.sum(jax.nn.softplus(z) - y * z)


def cross_entropy(z, y):
    return jnp.sum(jax.nn.logsumexp(z, axis=1, keepdims=True) - jnp.take_along_axis(z, y.astype(int), axis=1))


LOSSES = {"half_squared_error": half_squared_error, "log_loss": log_loss, "cross_entropy": cross_entropy}
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def neuron_loss(loss, layers, x, y):
    """x (1, n_in) and y (1, 1), as vector and number."""
    ((weight, bias),) = layers
    return loss(weight @ x[0] + bias, y[0, 0])


def network_loss(loss, activation, product, layers, x, y):
    """The mean over the batch."""
    for weight, bias in layers[:-1]:
        x = activation(product(x, weight) + bias)
    weight, bias = layers[-1]
    return loss(product(x, weight) + bias, y) / len(x)


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
        self.n_samples = len(X) * workload.n_epochs
        by_batch = [jnp.asarray(rows.reshape(-1, workload.batch_size, rows.shape[1])) for rows in (X, y)]
        factors = adam_factors(workload.optimizer, workload.n_updates(len(X)), workload.dtype)
        self._batches = *by_batch, jnp.asarray(factors)
        self._layout = layout
        self._start = [tuple(layout(part) for part in layer) for layer in workload.initial()]
        step = stepper(workload, loss)

        def train(state, batches):
            if workload.n_epochs == 1:
                return lax.scan(step, state, batches, unroll=unroll)[0]
            x, y, factors = batches
            return lax.scan(lambda state, each: step(state, (x[0], y[0], each)), state, factors, unroll=unroll)[0]

        self._train = jax.jit(train, donate_argnums=0)
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat(tuple(self._layout(np.asarray(part)) for part in layer) for layer in self._state[0])

    def reset(self) -> None:
        parameters, m, v = (jax.tree.map(make, self._start) for make in (jnp.array, jnp.zeros_like, jnp.zeros_like))
        self._state = jax.block_until_ready((parameters, m, v))

    def epoch(self) -> None:
        self._state = jax.block_until_ready(self._train(self._state, self._batches))


def stepper(workload: PeerWorkload, loss: Callable[..., jax.Array]) -> Callable[..., tuple]:
    """The body of the scan: state (parameters, m, v), batch (x, y, factors as from `adam_factors`)."""
    update = updater(workload.optimizer, jnp.sqrt)

    def step(state, batch):
        x, y, factors = batch
        gradient = jax.grad(loss)(state[0], x, y)
        updated = jax.tree.map(lambda w, m, v, g: update(w, m, v, g, factors), *state, gradient)
        return jax.tree.transpose(jax.tree.structure(gradient), jax.tree.structure((0, 0, 0)), updated), None

    return step
