"""A model's training side by side with the pure-Python reference: first the results, then the clock."""

import copy
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastgd.activations import ReLU
from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, first_rows
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.optimizers import SGD
from fastgd.reference import algorithm as reference
from fastgd.trainer import Trainer


class Baseline(NamedTuple):
    """What the reference did.

    n_rows : how many rows it trained on
    rows_per_second : how fast
    difference : the largest difference between its parameters and fastgd's after these rows, as a share of the largest
        parameter
    """

    n_rows: int
    rows_per_second: float
    difference: float


def as_reference(model: Model, number: Callable[[float], Any] = float) -> list[reference.Layer]:
    """The same layers in plain Python; a ValueError says which one the reference lacks.

    number : what each weight becomes, as `fractions.Fraction`
    """
    layers: list[reference.Layer] = []
    for layer in model.layers:
        if isinstance(layer, Linear):
            bias = None if layer.bias is None else list(map(number, layer.bias.tolist()))
            layers.append(reference.Linear([list(map(number, row)) for row in layer.weight.tolist()], bias))
        elif isinstance(layer, ReLU):
            layers.append(reference.ReLU(number(layer.number_in(model.dtype))))
        else:
            raise ValueError(
                f"the model has {layer!r}; expected Linear and ReLU alone, which are the reference's layers"
            )
    return layers


def parameters_of(layers: list[reference.Layer]) -> np.ndarray:
    """The reference's weights and biases in the order of `Model.parameters`."""
    parts: list[float] = []
    for layer in layers:
        if isinstance(layer, reference.Linear):
            parts += [w for row in layer.weight for w in row]
            parts += layer.bias or []
    return np.array(parts)


def safe_rate(model: Model, dataset: Dataset) -> float:
    """A learning rate at which the model, as it is drawn, does not diverge on features of mean 0 and variance 1.

    A step of rate 1 changes an output by its error times the squared length of its gradient by the parameters: about
    the sum of all in_features, for weights drawn by He's rule; and the errors of all outputs add up. Errors above 1
    change the weights by more than their own size, and with them the gradient.
    """
    targets = first_rows(dataset, min(dataset.n_samples, 1000), model.dtype).y
    widths = [layer.in_features for layer in model.layers if isinstance(layer, Linear)]
    return 0.1 / (sum(widths) * model.out_features * max(float(np.abs(targets).max()), 1))


def measure(model: Model, dataset: Dataset, learning_rate: float, batch_size: int, seconds: float = 1.0) -> Baseline:
    """Train the reference on the data set's first rows, as many as take about `seconds`, and fastgd on the same.

    model : where both start from; not changed
    """
    n_rows = min(batch_size, dataset.n_samples)
    while True:
        rows = first_rows(dataset, n_rows, model.dtype)
        layers = as_reference(model)
        X, y, sample_weight = (array.tolist() for array in rows[:3])
        began = time.perf_counter()
        reference.train(layers, X, y, learning_rate, batch_size, sample_weight=sample_weight or None)
        elapsed = time.perf_counter() - began
        if elapsed > seconds / 2 or n_rows == dataset.n_samples:
            break
        n_rows = min(int(n_rows * min(seconds / elapsed, 100)), dataset.n_samples)
    trained = copy.deepcopy(model)
    same_rows = ArrayDataset(rows.X, rows.y, rows.sample_weight if dataset.has_sample_weight else None)
    Trainer(trained, optimizer=SGD(learning_rate), batch_size=batch_size).fit(same_rows)
    expected = parameters_of(layers)
    difference = np.abs(trained.parameters - expected).max() / np.abs(expected).max()
    return Baseline(n_rows, n_rows / elapsed, float(difference))
