"""Has the kernels make updates, and keeps all that they compute on the way."""

from typing import Any

import numpy as np

from fastgd import kernels
from fastgd._engine.run import Run
from fastgd.activations import Dropout, LeakyReLU, ReLU
from fastgd.data.arrays import ArrayDataset
from fastgd.data.as_dataset import array_dataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.block import Block, read_only
from fastgd.kernels import Layer
from fastgd.losses import Loss, name_of
from fastgd.model import Model
from fastgd.model_data import check_fits, check_rows, checked_blocks
from fastgd.network import network_of
from fastgd.threads import ThreadPool
from fastgd.tracing.sequence import Trace
from fastgd.tracing.step import Step

# A trace is for reading; one of more bytes is a mistake.
_MOST_BYTES = 1 << 30

_HAVE_MASKS = ReLU, LeakyReLU, Dropout


def rows_to_trace(X: Any, y: Any = None, sample_weight: Any = None) -> ArrayDataset:
    """What is given as rows; a trace is of few, which are arrays."""
    if isinstance(X, Dataset | Stream):
        raise TypeError(f"X is a {type(X).__name__}; expected arrays for a trace, as X, y = data.arrays()")
    return array_dataset(X, y, sample_weight)


def trace_updates(run: Run, dataset: ArrayDataset) -> Trace:
    """Make one update after another from the rows of a data set, and keep every number; as `Trainer.trace` says."""
    if run.shares.n_replicas > 1:
        raise ValueError(
            f"a trace of {run.shares.n_replicas} replicas, whose step is the mean of theirs; expected replicas=1"
        )
    model, n_samples = run.model, dataset.n_samples
    batch_rows = min(run.batch_size or n_samples, n_samples)
    _require_traceable(model, dataset, batch_rows)
    check_fits(model, dataset, run.loss)
    check_rows(model, dataset, run.loss)
    steps = []
    for first in range(0, n_samples, batch_rows):
        batch = _rows_of(dataset, first, min(first + batch_rows, n_samples))
        steps.append(_traced_step(run, batch, first))
    return Trace(steps)


def trace_predictions(model: Model, dataset: ArrayDataset, batch_rows: int) -> Trace:
    """The forward pass alone, of a batch after another."""
    _require_traceable(model, dataset, batch_rows)
    check_fits(model, dataset)
    steps = []
    for first in range(0, dataset.n_samples, batch_rows):
        rows = _block_of(model, _rows_of(dataset, first, min(first + batch_rows, dataset.n_samples)), None)
        network = network_of(model, len(rows.X), keeps_all=True)
        out = np.empty((len(rows.X), model.out_features), model.dtype)
        ThreadPool(network.products).call(kernels.predict_network, network, model.parameters, rows.X, out)
        steps.append(
            Step(
                update=0,
                y=None,
                sample_weight=None,
                loss=None,
                deltas=(),
                gradient=None,
                learning_rate=None,
                parameters_before=model.parameters.copy(),
                parameters_after=None,
                loss_name="",
                optimizer="",
                rule="",
                **_forward_pass(model, network, rows.X, first, drops=False),
            )
        )
    return Trace(steps)


def _traced_step(run: Run, batch: ArrayDataset, first: int) -> Step:
    """Make one update; the batch begins at row `first`."""
    model, loss, optimizer = run.model, run.loss, run.optimizer
    prepared = run.prepare_step(batch)
    engine, rows = prepared.engine, _block_of(model, batch, loss)
    n_rows, update, learning_rate = len(rows.X), run.n_updates + 1, engine.rates.at()
    before = engine.parameters_seen(rows.X, rows.sample_weight)
    network = network_of(model, n_rows, run.seed, run.n_threads, keeps_all=True)
    objective, pool = kernels.objective(loss, model.dtype), ThreadPool(network.products)
    gradient, loss_sum, d_x = np.zeros_like(before), np.zeros(1), np.empty_like(rows.X)
    given = *rows[:3], model.dtype.type(1 / n_rows), gradient, np.empty_like(before), loss_sum
    pool.call(kernels.loss_and_gradient, network, before, objective, engine.n_updates, *given)
    pool.call(kernels.input_derivative, network, before, d_x)
    passes = _forward_pass(model, network, rows.X, first, drops=True)
    deltas = d_x, *(_taken(network.deltas, Layer(*row), n_rows) for row in network.layers)
    run.make_step(prepared)
    return Step(
        update=update,
        y=rows.y,
        sample_weight=rows.sample_weight if rows.sample_weight.size else None,
        loss=float(loss_sum[0]) / n_rows,
        deltas=deltas,
        gradient=gradient,
        learning_rate=learning_rate,
        parameters_before=before,
        parameters_after=model.parameters.copy(),
        loss_name=name_of(loss),
        optimizer=repr(optimizer),
        rule=_rule(run),
        **passes,
    )


def _rule(run: Run) -> str:
    """As `Step.rule`."""
    is_regularized = isinstance(run.regularization.settings(True), kernels.Regularization)
    if run.optimizer.is_plain and not is_regularized:
        return "{new} = {w} - α {d}"
    return f"{{new}} by {type(run.optimizer).__name__}{' and regularisation' if is_regularized else ''}"


def _forward_pass(model: Model, network: kernels.Network, x: np.ndarray, first: int, drops: bool) -> dict[str, Any]:
    """What of a Step the forward pass has left in a network's buffers; drops : whether Dropout was at work."""
    n_rows, places = len(x), [Layer(*row) for row in network.layers]
    have_masks = [isinstance(layer, _HAVE_MASKS if drops else _HAVE_MASKS[:2]) for layer in model.stack]
    return {
        "rows": (first, first + n_rows),
        "layers": model.stack,
        "first_layer": 0 if model.standardize is None else 1,
        "x": x,
        "y_is_standardized": model.standardized_targets is not None,
        "outputs": tuple(_taken(network.outputs, place, n_rows) for place in places),
        "masks": tuple(
            _taken(network.masks, place, n_rows) if has_mask else None
            for place, has_mask in zip(places, have_masks, strict=True)
        ),
    }


def _taken(buffer: np.ndarray, place: Layer, n_rows: int) -> np.ndarray:
    """A copy of a layer's part of a network's buffer, (n_rows, n_out)."""
    part = buffer[place.output : place.output + n_rows * place.n_out]
    return part.reshape(n_rows, place.n_out).copy()


def _block_of(model: Model, batch: ArrayDataset, loss: Loss | None) -> Block:
    """A batch as the first layer and the loss take it, checked, in memory of its own."""
    parts = [block[:3] for _, block in checked_blocks(model, batch, loss)]
    return Block(*(read_only(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def _rows_of(dataset: ArrayDataset, first: int, end: int) -> ArrayDataset:
    weights = dataset.sample_weight
    y = dataset.y[first:end] if dataset.n_outputs else None
    return ArrayDataset(dataset.X[first:end], y, None if weights is None else weights[first:end])


def _require_traceable(model: Model, dataset: ArrayDataset, batch_rows: int) -> None:
    if dataset.is_sparse:
        raise ValueError("X is sparse; expected dense rows for a trace, as X[:3].toarray()")
    if batch_rows > model.micro_batch_rows:
        raise ValueError(
            f"a trace of batches of {batch_rows} rows; expected a batch_size, or as many rows, of at most "
            f"{model.micro_batch_rows} for this model"
        )
    n_batches = -(-dataset.n_samples // batch_rows)
    n_numbers = 3 * n_batches * model.parameters.size + 2 * dataset.n_samples * (model.in_features + sum(model.widths))
    if n_numbers * model.dtype.itemsize > _MOST_BYTES:
        raise ValueError(
            f"a trace of {n_batches} updates of {model.parameters.size} parameters would take "
            f"{n_numbers * model.dtype.itemsize / 1e9:.1f} GB; expected fewer rows, as X[:3]"
        )
