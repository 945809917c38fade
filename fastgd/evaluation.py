"""Losses and gradients of a model over a data set."""

import functools

import numpy as np

from fastgd import kernels
from fastgd.data.base import Dataset
from fastgd.data.block import Block, require_finite
from fastgd.layer_stack import LayerStack
from fastgd.losses import Loss, takes_all
from fastgd.model_data import checked_blocks, row_number, rows_at_once
from fastgd.network import NetworkForCall, evaluate_rows
from fastgd.threads import ThreadPool


def mean_loss(model: LayerStack, dataset: Dataset, loss: Loss, n_threads: int | None) -> float:
    """As `Model.loss`."""
    objective = kernels.objective(loss, model.dtype)
    with NetworkForCall(model, dataset.n_samples, n_threads) as (network, pool):
        block, loss_sum = _good_rows(model, dataset, loss), np.zeros(1)
        if block is not None and evaluate_rows(pool, network, model.parameters, objective, block, loss_sum):
            return float(loss_sum[0]) / dataset.n_samples
        loss_sum[0] = 0
        looks_at_X, n_busy = not model.starts_linear, pool.n_threads
        for start, block in checked_blocks(model, dataset, loss, looks_at_X, n_threads, n_busy):
            if not evaluate_rows(pool, network, model.parameters, objective, block, loss_sum):
                require_finite(block, functools.partial(row_number, dataset, start))
    return float(loss_sum[0]) / dataset.n_samples


def loss_and_gradient(
    model: LayerStack, dataset: Dataset, loss: Loss, parameters: np.ndarray, n_threads: int | None
) -> tuple[float, np.ndarray]:
    """As `Model.loss_and_gradient`, at these parameters, of the model's dtype."""
    objective = kernels.objective(loss, model.dtype)
    scale, size = model.dtype.type(1 / dataset.n_samples), parameters.size
    with NetworkForCall(model, dataset.n_samples, n_threads) as (network, pool):
        given = network, parameters, objective
        block = _good_rows(model, dataset, loss)
        gradient, scratch, loss_sum = np.zeros(size, model.dtype), np.empty(size, model.dtype), np.zeros(1)
        if block is None or not _add(given, pool, block, scale, gradient, scratch, loss_sum):
            gradient[:] = loss_sum[0] = 0
            for _, block in checked_blocks(model, dataset, loss, n_threads=n_threads, n_busy=pool.n_threads):
                if dataset.is_sparse:
                    rows = block.X.csr, *block[1:3]
                    loss_sum[0] += kernels.loss_and_gradient_csr(*given, *rows, scale, gradient)
                else:
                    _add(given, pool, block, scale, gradient, scratch, loss_sum)
    return float(loss_sum[0]) / dataset.n_samples, gradient


def _good_rows(model: LayerStack, dataset: Dataset, loss: Loss) -> Block | None:
    """All rows, with targets and weights that are good; None where they come block by block, or some are not.

    What is not finite in X is known by the Linear that it comes to: each number of a row is part of all its outputs,
    and of its gradient.
    """
    block = rows_at_once(model, dataset) if model.starts_linear else None
    if block is None or not takes_all(loss, block.y, model.out_features):
        return None
    return block if kernels.all_within(block.sample_weight, 0.0, np.inf, 0.0) else None


def _add(
    given: tuple,
    pool: ThreadPool,
    block: Block,
    scale: np.floating,
    gradient: np.ndarray,
    scratch: np.ndarray,
    loss_sum: np.ndarray,
) -> bool:
    """Add loss and gradient of some rows; return as the kernel does."""
    network, parameters, objective = given
    rows = block[:3]
    return pool.call(
        kernels.loss_and_gradient, network, parameters, objective, 0, *rows, scale, gradient, scratch, loss_sum
    )
