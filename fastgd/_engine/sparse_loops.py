"""How the compiled loops over sparse rows are called."""

from collections.abc import Callable

import numpy as np

from fastgd import kernels
from fastgd._engine.loops import Task, hooks_of, is_elastic_net, is_for_neurons, neuron_of, rows_of
from fastgd._engine.sparse_adagrad import AdagradCall, is_for_adagrad
from fastgd.data.block import Block
from fastgd.network import network_of

# So many elements are updated by one call.
_PLACES_AT_ONCE = 256

_LazyPenalty = kernels.Unpenalized | kernels.Decaying | kernels.Shrinking


class SparseLoop:
    """A loop over sparse rows; calls end where batches do, and a batch is never cut.

    Lazy penalties are flushed at the end of a call. Where there are some, calls end after whole periods, which are long
    enough to outweigh that: where they end is then no matter of time.

    touched : of how many parameters a row's work is, about
    """

    takes_rows_in_place = True
    repeats_epochs = False
    pool = None

    def __init__(self, task: Task, entries_per_row: float) -> None:
        self._task = task
        self._is_lazy = hooks_of(task.optimizer).is_plain and is_elastic_net(task.regularization)
        is_penalized = isinstance(task.regularization, kernels.Regularization)
        self.period = _flush_rows(task, entries_per_row) if self._is_lazy and is_penalized else task.batch_rows
        self.unit = self.period
        size, (begin, end, n_in) = task.model.parameters.size, task.model.weights[0]
        self.touched = (
            size if self._sees_every_weight else size - (end - begin) + entries_per_row * (end - begin) / n_in
        )
        is_neuron = is_for_neurons(task.model, task.loss, task.optimizer)
        if self._is_lazy and is_neuron:
            self._call = self._neuron_call()
        elif is_neuron and is_for_adagrad(task):
            self._call = AdagradCall(task)
        else:
            self._call = self._network_call()

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        self._call(block.in_rows(), rates)

    def may_hide_bad_rows(self, block: Block) -> bool:
        """As `Loop` says."""
        return False

    @property
    def _sees_every_weight(self) -> bool:
        """Whether an update costs all weights."""
        task = self._task
        is_sparse = hooks_of(task.optimizer).is_sparse(task.optimizer)
        return not (self._is_lazy or (is_sparse and isinstance(task.regularization, kernels.NoRegularization)))

    def _neuron_call(self) -> Callable[[Block, np.ndarray], None]:
        task, neuron = self._task, neuron_of(self._task)
        penalty = _lazy_penalty(task)
        derivatives = np.empty(task.batch_rows, task.model.dtype)

        def call(block: Block, rates: np.ndarray) -> None:
            kernels.train_neuron_csr(
                neuron,
                task.vectors.parameters,
                derivatives,
                task.loss,
                penalty,
                rates,
                rows_of(block, block.X.csr),
                task.batch_rows,
                self.period,
                task.progress,
            )

        return call

    def _network_call(self) -> Callable[[Block, np.ndarray], None]:
        task = self._task
        # Products of the layers behind the first are too small to be shared, or rare.
        network = network_of(task.model, task.micro_batch_rows, task.seed, n_threads=1)
        objective, update = kernels.objective(task.loss, task.model.dtype), self._update()

        def call(block: Block, rates: np.ndarray) -> None:
            kernels.train_network_csr(
                network,
                task.vectors,
                objective,
                update,
                rates,
                block.X.csr,
                block.y,
                block.sample_weight,
                task.batch_rows,
                self.period,
                task.progress,
            )

        return call

    def _update(self) -> kernels.LazySGD | kernels.SparseUpdate | kernels.BoundedEntries | kernels.EveryWeight:
        task = self._task
        if self._is_lazy:
            end, vectors = task.model.weights[0, 1], task.vectors
            behind = task.model.weights[1:] - [end, end, 0]
            rule = kernels.update_rule(
                task.optimizer, task.regularization, behind, task.model.dtype, keeps_gradient=True, has_rows=False
            )
            rest = vectors._replace(parameters=vectors.parameters[end:], gradient=vectors.gradient[end:])
            return kernels.LazySGD(_lazy_penalty(task), rule.apply_gradient, rule.step, rest)
        rule = task.rule(keeps_gradient=True, has_rows=False)
        hooks = hooks_of(task.optimizer)
        if self._sees_every_weight:
            return kernels.EveryWeight(rule)
        places = np.empty(_PLACES_AT_ONCE, np.int64)
        if hooks.direction_at is not None:
            address = hooks.direction_at.pointer(task.model.dtype)
            direction = np.zeros_like(task.vectors.parameters)
            return kernels.BoundedEntries(rule.step, address, direction, np.zeros(1), places)
        return kernels.SparseUpdate(rule.step, hooks.update_at.pointer(task.model.dtype), places)


def _flush_rows(task: Task, entries_per_row: float) -> int:
    """So many rows, in whole batches, that bringing all weights up to date is a small part of the work on them."""
    wanted = kernels.tuning.ENTRIES_PER_FLUSHED_WEIGHT * task.model.in_features / max(entries_per_row, 1)
    return max(round(wanted / task.batch_rows), 1) * task.batch_rows


def _lazy_penalty(task: Task) -> _LazyPenalty:
    """What keeps the penalties of the first layer."""
    regularization = task.regularization
    if isinstance(regularization, kernels.NoRegularization):
        return kernels.Unpenalized()
    if regularization.l1 == 0:
        return kernels.Decaying(regularization.l2, np.ones(1))
    applied = np.zeros(task.model.in_features)
    return kernels.Shrinking(regularization.l2, regularization.l1, np.ones(1), np.zeros(1), applied)
