"""How the compiled loops over dense rows are called."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from fastgd import kernels
from fastgd.activations import ReLU
from fastgd.data.block import Block
from fastgd.kernels import NETWORK_ROWS_AT_ONCE, NEURON_ROWS_AT_ONCE, Layer, UpdateRule, aligned_empty, first_layer
from fastgd.losses import Loss, is_pointwise
from fastgd.model import Model
from fastgd.network import network_of
from fastgd.threads import ThreadPool

if TYPE_CHECKING:
    from fastgd._engine.gradient_shares import ShareThreads

Regularization = kernels.NoRegularization | kernels.Regularization


class Task(NamedTuple):
    """What a loop trains, and how; the arrays are changed in place.

    loss, optimizer, regularization : settings for the kernels
    batch_rows, micro_batch_rows : int, rows of an update, and of how many the gradient is computed at once
    seed : int, what Dropout draws from          n_threads : int or None, that may share products
    """

    model: Model
    vectors: kernels.Vectors
    loss: Loss
    optimizer: tuple
    regularization: Regularization
    batch_rows: int
    micro_batch_rows: int
    seed: int
    n_threads: int | None
    progress: kernels.Progress

    def rule(self, keeps_gradient: bool, has_rows: bool, pool: np.ndarray = kernels.ALONE) -> UpdateRule:
        """The optimiser and the regularisation as the kernels call them.

        keeps_gradient, has_rows : as for `kernels.update_rule`          pool : that of the network's products
        """
        model = self.model
        return kernels.update_rule(
            self.optimizer, self.regularization, model.weights, model.dtype, keeps_gradient, has_rows, pool
        )


class Loop(Protocol):
    """A compiled loop over consecutive samples of an epoch.

    takes_rows_in_place : whether it reads X in the data's dtype, wherever its rows lie
    repeats_epochs : whether one call may train for several epochs of the same rows
    period, unit : calls may end after each period of samples, and within one after each unit
    pool : the threads that share its work, or None
    """

    takes_rows_in_place: bool
    repeats_epochs: bool
    period: int
    unit: int
    pool: "ThreadPool | ShareThreads | None"

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """Train on the samples, of which the first has the position in the epoch that the progress is at.

        rates : (n,) float64, the learning rates of the call's updates and more, or (1,), that of all
        epoch_losses : (n_epochs,) float64, the sums of the losses of so many epochs of these samples, overwritten;
            where one is not finite, no epoch follows it. Only where `repeats_epochs`
        """

    def may_hide_bad_rows(self, block: Block) -> bool:
        """Whether a NaN or infinity in X might leave no trace in the parameters and losses."""


def cut(start: int, target: int, n_epoch: int, period: int, unit: int) -> int:
    """The last place in (start, target] where a call may end, or the first after start where there is none.

    period, unit : as for `Loop`
    """
    if target >= n_epoch:
        return n_epoch
    begun = target // period * period
    end = begun + (target - begun) // unit * unit
    if end > start:
        return end
    return min(start + unit, (start // period + 1) * period, n_epoch)


def call_end(loop: Loop, start: int, target: int, n_epoch: int) -> int:
    """The end of a call of a loop, as `cut` finds it."""
    return cut(start, target, n_epoch, loop.period, loop.unit)


def hooks_of(optimizer: tuple) -> kernels.Hooks:
    """What the kernels know of an optimiser, by its settings."""
    return kernels.OPTIMIZERS[type(optimizer)]


def is_for_neurons(model: Model, loss: Loss, optimizer: tuple) -> bool:
    """Whether one of the neuron's loops trains the model."""
    return model.is_neuron and is_pointwise(loss) and not hooks_of(optimizer).sees_rows


def is_plain(task: Task) -> bool:
    """Whether an update is  w -= rate · g  and no more."""
    return hooks_of(task.optimizer).is_plain and isinstance(task.regularization, kernels.NoRegularization)


def is_elastic_net(regularization: Regularization) -> bool:
    """Whether there is no more to it than L1 and L2 penalties."""
    if isinstance(regularization, kernels.NoRegularization):
        return True
    limits = regularization.clip_value, regularization.clip_norm, regularization.max_norm, regularization.average_from
    return all(limit == np.inf for limit in limits)


def _may_be_column_major(task: Task) -> bool:
    """Whether calls of many batches may turn the first layer's weights, so that products need not transpose them.

    The step must be the loop's own, from the gradient of a whole batch: other steps take parameters as they lie.
    """
    model = task.model
    if not is_plain(task) or not model.starts_linear:
        return False
    begin, end, n_in = model.weights[0]
    is_small = (end - begin) * model.dtype.itemsize <= kernels.tuning.COLUMN_MAJOR_BYTES
    few, n_out = kernels.tuning.FEW, (end - begin) // n_in
    return is_small and few <= task.batch_rows <= task.micro_batch_rows and few <= n_out


def _with_room_for_weights(network: kernels.Network, model: Model) -> kernels.Network:
    """The network, with a panel that holds the first layer's weights."""
    begin, end, _ = model.weights[0]
    panel = aligned_empty(max(network.products.panel.size, end - begin), model.dtype)
    return network._replace(products=network.products._replace(panel=panel))


class NetworkLoop:
    """Any model."""

    takes_rows_in_place = False
    repeats_epochs = True

    def __init__(self, task: Task) -> None:
        self.period, self.unit = task.batch_rows, task.micro_batch_rows
        self._task = task
        self._network = network_of(task.model, task.micro_batch_rows, task.seed, task.n_threads)
        self._may_be_column_major = _may_be_column_major(task)
        if self._may_be_column_major:
            self._network = _with_room_for_weights(self._network, task.model)
        self._objective = kernels.objective(task.loss, task.model.dtype)
        is_cut = task.batch_rows > task.micro_batch_rows
        self._rule = task.rule(keeps_gradient=is_cut, has_rows=True, pool=self._network.products.pool)
        self.pool = ThreadPool(self._network.products)

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        task = self._task
        n_samples = block.n_samples * max(epoch_losses.size, 1)
        is_long = n_samples >= kernels.tuning.BATCHES_PER_REORDERING * task.batch_rows
        network = self._column_major_network if self._may_be_column_major and is_long else self._network
        self.pool.call(
            kernels.train_network,
            network,
            task.vectors,
            self._objective,
            self._rule,
            rates,
            *block[:3],
            task.batch_rows,
            task.progress,
            epoch_losses,
        )

    @functools.cached_property
    def _column_major_network(self) -> kernels.Network:
        return self._network._replace(to_column_major=kernels.to_column_major.pointer(self._task.model.dtype))

    def may_hide_bad_rows(self, block: Block) -> bool:
        """As `Loop` says."""
        # A Linear multiplies every element of its input into its gradient; an activation in front could hide one. A
        # batch of weight zero makes no update.
        weights = block.sample_weight
        return not self._task.model.starts_linear or (weights.size > 0 and bool((weights == 0).any()))


class OnlineNetworkLoop(NetworkLoop):
    """A network, an update after each row, by plain SGD."""

    repeats_epochs = False

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.period = self.unit = NETWORK_ROWS_AT_ONCE
        self._first = first_layer(Layer(*self._network.layers[0]), task.model.dtype)

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        task = self._task
        if task.progress.n_rows[0] == 1:
            # There is no row to look ahead to.
            super().run(block, rates)
            return
        kernels.train_network_online(
            self._network, self._first, task.vectors, self._objective, rates, *block[:3], task.progress
        )


class NeuronLoop:
    """One neuron, in batches."""

    takes_rows_in_place = True
    repeats_epochs = True
    pool = None

    def __init__(self, task: Task) -> None:
        self.period, self.unit = task.batch_rows, task.micro_batch_rows
        self._task = task
        self._neuron = neuron_of(task)
        self._is_narrow = task.model.in_features * task.model.dtype.itemsize <= kernels.tuning.BYTES_ADDED_BY_4
        self._gradient = _padded_scratch(task.model)
        n_whole = -(-task.model.in_features // kernels.tuning.MAX_VECTOR_WIDTH) * kernels.tuning.MAX_VECTOR_WIDTH
        self._kept = aligned_empty(NEURON_ROWS_AT_ONCE * n_whole, task.model.dtype)
        self._rule = task.rule(keeps_gradient=False, has_rows=False)

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        task = self._task
        kernels.train_neuron_batch(
            self._pattern(block),
            self._neuron,
            task.vectors,
            task.loss,
            self._rule,
            rates,
            _rows(block),
            task.batch_rows,
            self.unit,
            task.progress,
            epoch_losses,
        )

    def _pattern(self, block: Block) -> kernels.RowByRow | kernels.By4 | kernels.Converted:
        # Of narrow elements, converting and adding up takes longer than reading, whatever the order.
        is_converted = block.X.dtype.itemsize < self._kept.itemsize
        if is_converted and self._kept.nbytes <= kernels.tuning.BYTES_KEPT:
            return kernels.Converted(self._gradient, self._kept)
        return (kernels.By4 if self._is_narrow or is_converted else kernels.RowByRow)(self._gradient)

    def may_hide_bad_rows(self, block: Block) -> bool:
        """As `Loop` says."""
        return False


class OnlineNeuronLoop:
    """One neuron, an update after each row, by plain SGD."""

    takes_rows_in_place = True
    repeats_epochs = False
    pool = None

    def __init__(self, task: Task, by_4: bool) -> None:
        self.period = self.unit = NEURON_ROWS_AT_ONCE if by_4 else 1
        self._task = task
        self._neuron = neuron_of(task)
        self._weight = _padded_scratch(task.model)

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        n_by_4 = block.n_samples // NEURON_ROWS_AT_ONCE * NEURON_ROWS_AT_ONCE if self.unit > 1 else 0
        n_before = self._task.progress.n_updates[0]
        if n_by_4:
            self._call(kernels.train_neuron_online_by_4, block.rows(0, n_by_4), rates)
        if n_by_4 < block.n_samples:
            n_made = self._task.progress.n_updates[0] - n_before
            rates = rates[n_made:] if len(rates) > 1 else rates
            self._call(kernels.train_neuron_online, block.rows(n_by_4, block.n_samples), rates)

    def _call(self, kernel: Callable[..., None], block: Block, rates: np.ndarray) -> None:
        task = self._task
        parameters = task.vectors.parameters
        kernel(
            self._neuron, parameters, self._weight, task.loss, task.regularization, rates, _rows(block), task.progress
        )

    def may_hide_bad_rows(self, block: Block) -> bool:
        """As `Loop` says."""
        return False


def _padded_scratch(model: Model) -> np.ndarray:
    """Scratch for numbers of all features, and what whole registers may write behind them."""
    return aligned_empty(model.in_features + kernels.tuning.MAX_VECTOR_WIDTH, model.dtype)


def neuron_of(task: Task) -> kernels.LinearNeuron | kernels.ReLUNeuron:
    """The model as a neuron's loop takes it."""
    n_features, last = task.model.in_features, task.model.layers[-1]
    if isinstance(last, ReLU):
        return kernels.ReLUNeuron(n_features, task.model.dtype.type(last.number_in(task.model.dtype)))
    return kernels.LinearNeuron(n_features)


def _rows(block: Block) -> kernels.Rows:
    X = block.X
    if X.dtype == np.float16:
        X = kernels.HalfPrecision(X.view(np.uint16))
    elif X.dtype == np.bool_:
        X = X.view(np.uint8)
    return rows_of(block, X)


def rows_of(block: Block, X: np.ndarray | kernels.HalfPrecision | kernels.CSR) -> kernels.Rows:
    """The samples as a neuron's loop takes them, with the block's X as the kernels do."""
    weights = kernels.Weighted(block.sample_weight) if block.sample_weight.size else kernels.Equal()
    return kernels.Rows(X, block.y, weights, block.order)
