"""The trace of the reference: numbers of any type, by plain Python, as `fastgd.tracing` shows those of the kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd import layers as of_models
from fastgd.reference import algorithm as reference
from fastgd.reference.algorithm import Number, Vector
from fastgd.tracing import Step, Trace


class _Recorded:
    """A layer that keeps what passes through it, row by row."""

    def __init__(self, layer: reference.Layer) -> None:
        self._layer = layer
        self.outputs: list[Vector] = []
        self.masks: list[list[bool]] = []
        self.deltas_out: list[Vector] = []
        self.deltas: list[Vector] = []

    def forward(self, x: Vector) -> Vector:
        """The layer's."""
        out = self._layer.forward(x)
        self.outputs.append(out)
        if isinstance(self._layer, reference.ReLU):
            self.masks.append(self._layer.mask)
        return out

    def backward(self, delta: Vector) -> Vector:
        """The layer's."""
        given = self._layer.backward(delta)
        self.deltas_out.append(delta)
        self.deltas.append(given)
        return given


def trace(
    layers: Sequence[reference.Layer],
    X: Sequence[Vector],
    Y: Sequence[Vector],
    learning_rate: Number,
    batch_size: int = 1,
    sample_weight: Sequence[Number] | None = None,
    n_updates: int = 0,
) -> Trace:
    """Train the layers for an epoch, as `fastgd.reference.train` does, and keep every number.

    Parameters
    ----------
    layers : list of the reference's layers
        Trained in place.
    X, Y : lists of rows
        Of numbers of the same type as the weights, or of integers.
    learning_rate : number
    batch_size : int
        Rows per update, in order.
    sample_weight : list of numbers, optional
    n_updates : int
        Those that were made before, which the steps' numbers count from.

    Returns
    -------
    Trace
        Its steps' arrays have the dtype object.

    Examples
    --------
    >>> from fastgd.reference import article, exact
    >>> trace = exact.trace(article.layers(), article.X, article.Y, article.LEARNING_RATE)
    >>> [str(step.loss) for step in trace]
    ['0', '0', '1/2']
    >>> print(*trace[2].parameters_after)
    1/200 -17/290000 137/290000
    """
    steps = []
    for first in range(0, len(X), batch_size):
        end = min(first + batch_size, len(X))
        x, y = X[first:end], Y[first:end]
        v = None if sample_weight is None else sample_weight[first:end]
        recorded = [_Recorded(layer) for layer in layers]
        before = _flat(layers, "weight", "bias")
        total = reference.loss_and_gradient(recorded, x, y, [1] * len(x) if v is None else v)
        gradient = _flat(layers, "d_weight", "d_bias")
        for layer in layers:
            layer.update(learning_rate)
        steps.append(
            Step(
                update=n_updates + len(steps) + 1,
                rows=(first, end),
                layers=tuple(map(_described, layers)),
                first_layer=0,
                x=_array(x),
                y=_array(y),
                y_is_standardized=False,
                sample_weight=None if v is None else _array(v),
                outputs=tuple(_array(layer.outputs) for layer in recorded),
                masks=tuple(np.array(layer.masks) if layer.masks else None for layer in recorded),
                loss=total / len(x),
                deltas=(*(_array(layer.deltas) for layer in recorded), _array(recorded[-1].deltas_out)),
                gradient=gradient,
                learning_rate=learning_rate,
                parameters_before=before,
                parameters_after=_flat(layers, "weight", "bias"),
                loss_name="half_squared_error",
                optimizer=f"SGD(learning_rate={learning_rate})",
                rule="{new} = {w} - α {d}",
            )
        )
    return Trace(steps)


def _flat(layers: Sequence[reference.Layer], weight: str, bias: str) -> np.ndarray:
    """What the layers hold by two names, in the order of `Model.parameters`."""
    numbers: list[Number] = []
    for layer in layers:
        if isinstance(layer, reference.Linear):
            numbers += [number for row in getattr(layer, weight) for number in row]
            numbers += getattr(layer, bias) or []
    return _array(numbers)


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=object)


def _described(layer: reference.Layer) -> of_models.Layer:
    """The layer as a model has it, to be named and described."""
    if isinstance(layer, reference.Linear):
        return of_models.Linear(len(layer.weight[0]), len(layer.weight), bias=layer.bias is not None)
    return of_models.ReLU(float(layer.tolerance))
