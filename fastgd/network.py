"""A stack of layers as the kernels see it."""

from collections.abc import Iterator

import numpy as np

from fastgd import kernels
from fastgd.activations import Dropout, Identity
from fastgd.data import checks
from fastgd.data.block import Block
from fastgd.data.sparse_rows import SparseRows
from fastgd.kernels import Layer, aligned_empty, whole_lines
from fastgd.layer_stack import LayerStack
from fastgd.layers import Linear
from fastgd.threads import ThreadPool, most_threads

Rows = np.ndarray | SparseRows

# The most sizes of networks that are kept for a model between calls, and the most bytes of outputs of each.
_MOST_SIZES, _KEPT_BYTES = 8, 1 << 20


def network_of(
    model: LayerStack,
    max_rows: int,
    dropout_seed: int | None = None,
    n_threads: int | None = None,
    keeps_all: bool = False,
) -> kernels.Network:
    """The stack as the kernels see it, with buffers for micro-batches of at most `max_rows`.

    dropout_seed : what Dropout draws from while training; None where nothing is dropped
    n_threads : int, at most so many share a product; by default `most_threads`
    keeps_all : whether no activation works in place, so that what every layer is given and gives stays to be seen
    """
    rows = min(model.micro_batch_rows, max_rows)
    layers, table = model.stack, []
    numbers = np.zeros(len(layers), model.dtype)
    parameter = before = size = 0
    for k, layer in enumerate(layers):
        n_in, n_out = model.widths[k], model.widths[k + 1]
        end = parameter + layer.n_parameters
        bias, addresses = end, (0, 0)
        if isinstance(layer, Linear):
            bias = parameter + n_in * n_out
        else:
            pair = Identity if isinstance(layer, Dropout) and dropout_seed is None else type(layer)
            addresses = (kernel.pointer(model.dtype) for kernel in pair.kernels)
            numbers[k] = layer.number_in(model.dtype)
        is_in_place = not keeps_all and k > 0 and not isinstance(layer, Linear) and isinstance(layers[k - 1], Linear)
        place = before if is_in_place else size
        size += 0 if is_in_place else whole_lines(rows * n_out)
        table.append(Layer(n_in, n_out, parameter, bias, end, before, place, *addresses))
        parameter, before = end, place
    return kernels.Network(
        layers=np.array(table, np.int64),
        numbers=numbers,
        micro_batch_rows=rows,
        outputs=aligned_empty(size, model.dtype),
        deltas=aligned_empty(size, model.dtype),
        masks=np.empty(size, np.bool_),
        products=_products(model, rows, n_threads),
        to_column_major=0,
        seed=0 if dropout_seed is None else _as_int64(dropout_seed % 2**64),
    )


class NetworkForCall:
    """`network_of` without dropout, of one call alone, with its thread pool: `with` gives both.

    Small ones are kept for later calls with as many rows, as to make one takes longer than to use it. They hold nothing
    of the model that may change but what the layers are set to, which is compared.
    """

    def __init__(self, model: LayerStack, max_rows: int, n_threads: int | None) -> None:
        dtype = model.dtype
        # Not later: what is kept does not tell True from 1.
        n_threads = None if n_threads is None else checks.integer(n_threads, "n_threads", 1)
        numbers = [layer.number_in(dtype) for layer in model.stack if not isinstance(layer, Linear)]
        key = min(max_rows, model.micro_batch_rows), n_threads, *numbers
        self._networks = model.idle_networks
        self._idle = self._networks.setdefault(key, [])
        try:
            self._network = self._idle.pop()
        except IndexError:
            self._network = network_of(model, max_rows, n_threads=n_threads)
        self._pool = ThreadPool(self._network.products)

    def __enter__(self) -> tuple[kernels.Network, ThreadPool]:
        return self._network, self._pool.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._pool.__exit__()
        # One that an error has ended may be in use still.
        if kind is None and self._pool.n_threads == 1 and self._network.outputs.nbytes <= _KEPT_BYTES:
            self._idle.append(self._network)
        if len(self._networks) > _MOST_SIZES:
            self._networks.clear()


def predict_rows(pool: ThreadPool, network: kernels.Network, parameters: np.ndarray, X: Rows, out: np.ndarray) -> bool:
    """out = the network's outputs for rows; return as `kernels.predict_network` does.

    X : (n_rows, in_features), read-only, or SparseRows, as the first layer takes them
    out : (n_rows, out_features), overwritten
    """
    if isinstance(X, SparseRows):
        return kernels.predict_network_csr(network, parameters, X.csr, out)
    return pool.call(kernels.predict_network, network, parameters, X, out)


def evaluate_rows(
    pool: ThreadPool,
    network: kernels.Network,
    parameters: np.ndarray,
    objective: kernels.Objective,
    rows: Block,
    loss_sum: np.ndarray,
) -> bool:
    """loss_sum += the rows' losses, (1,) float64; arguments and result as of `predict_rows`."""
    if isinstance(rows.X, SparseRows):
        X, y, sample_weight = rows.X.csr, *rows[1:3]
        return kernels.evaluate_network_csr(network, parameters, objective, X, y, sample_weight, loss_sum)
    return pool.call(kernels.evaluate_network, network, parameters, objective, *rows[:3], loss_sum)


def inputs_of_linears(
    model: LayerStack, X: np.ndarray, n_threads: int | None = None
) -> Iterator[tuple[Linear, np.ndarray]]:
    """Each Linear with what it is given for some rows, (n_rows, in_features), a view that holds until the next.

    X : (n_rows, in_features), read-only, at most `model.micro_batch_rows`, as the first layer takes them
    """
    network = network_of(model, len(X), n_threads=n_threads)
    if any(isinstance(layer, Linear) for layer in model.stack[1:]):
        # Leaves every layer's output in the network's buffers.
        out = np.empty((len(X), model.out_features), model.dtype)
        ThreadPool(network.products).call(kernels.predict_network, network, model.parameters, X, out)
    inputs = X
    for layer, row in zip(model.stack, network.layers, strict=True):
        if isinstance(layer, Linear):
            yield layer, inputs
        place = Layer(*row)
        inputs = network.outputs[place.output : place.output + len(X) * place.n_out].reshape(len(X), place.n_out)


def _products(model: LayerStack, rows: int, n_threads: int | None) -> kernels.Products:
    widths = model.widths[1:]
    # Products of few rows or outputs are not shared.
    few = kernels.tuning.FEW
    sizes = [end - begin for begin, end, n_in in model.weights if min(rows, (end - begin) // n_in) >= few]
    n_wanted = max(2 * rows * max(sizes, default=0) // kernels.tuning.WORTH_A_THREAD, 1)
    if n_threads is not None:
        n_workers = min(checks.integer(n_threads, "n_threads", 1), n_wanted)
    else:
        n_workers = min(most_threads(), n_wanted) if n_wanted > 1 else 1
    return kernels.products(model.dtype, rows, max(rows, *model.widths), widths, n_workers)


def _as_int64(number: int) -> int:
    """The signed number of the same 64 bits."""
    return int(np.uint64(number).astype(np.int64))
