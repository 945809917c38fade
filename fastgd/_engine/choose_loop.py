"""The rule that picks the compiled loop that trains a model."""

from fastgd import kernels
from fastgd._engine.gradient_shares import GradientShares
from fastgd._engine.loops import (
    Loop,
    NetworkLoop,
    NeuronLoop,
    OnlineNetworkLoop,
    OnlineNeuronLoop,
    Task,
    hooks_of,
    is_elastic_net,
    is_for_neurons,
    is_plain,
)


def choose_loop(task: Task, entries_per_row: float | None, n_shares: int = 1) -> Loop:
    """The fastest loop that does what the task asks for.

    entries_per_row : of sparse rows; None for dense ones
    n_shares : of a batch, whose gradients are computed apart
    """
    if entries_per_row is not None:
        # Not at the top: it brings the kernels of sparse rows, which few runs need.
        from fastgd._engine.sparse_loops import SparseLoop

        return SparseLoop(task, entries_per_row)
    if n_shares > 1:
        return GradientShares(task, n_shares)
    if not is_for_neurons(task.model, task.loss, task.optimizer):
        return OnlineNetworkLoop(task) if _is_online(task) else NetworkLoop(task)
    if task.batch_rows > 1 or not hooks_of(task.optimizer).is_plain or not is_elastic_net(task.regularization):
        return NeuronLoop(task)
    has_l1 = isinstance(task.regularization, kernels.Regularization) and task.regularization.l1 > 0
    row_bytes = task.model.in_features * task.model.dtype.itemsize
    return OnlineNeuronLoop(task, by_4=row_bytes <= kernels.tuning.BYTES_OF_A_NARROW_ROW and not has_l1)


def _is_online(task: Task) -> bool:
    """Whether a network's every row is an update that `train_network_online` makes, and makes faster."""
    if task.batch_rows > 1 or not is_plain(task) or not task.model.starts_linear:
        return False
    begin, end, n_in = task.model.weights[0]
    n_out = (end - begin) // n_in
    return n_out >= kernels.tuning.FEW_UNITS and end - begin <= kernels.tuning.MANY_WEIGHTS
