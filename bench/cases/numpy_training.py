"""The same training in plain NumPy, as one would write it by hand to be fast: no allocation inside the loops."""

from itertools import pairwise

import numpy as np


class NumpyNetwork:
    """Linear layers with a ReLU between them, trained by mini-batch gradient descent on the half squared error.

    parameters : (size,), copied; each layer's weight (n_out, n_in) row by row, then its bias
    widths : of the input and of each layer's output
    batch_size : rows per update          tolerance : the ReLUs'
    """

    def __init__(self, parameters: np.ndarray, widths: tuple[int, ...], batch_size: int, tolerance: float) -> None:
        self.parameters = parameters.copy()
        self.gradient = np.empty_like(parameters)
        self._step = np.empty_like(parameters)
        self._batch_size = batch_size
        self._tolerance = tolerance
        self._layers = layer_views(self.parameters, widths)
        self._gradients = layer_views(self.gradient, widths)
        shapes = [(batch_size, width) for width in widths[1:]]
        self._outputs = [np.empty(shape, parameters.dtype) for shape in shapes]
        self._deltas = [np.empty(shape, parameters.dtype) for shape in shapes]
        self._masks = [np.empty(shape, np.bool_) for shape in shapes]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The last layer's output for at most batch_size rows; a view that the next call overwrites."""
        for k, (weight, bias) in enumerate(self._layers):
            out = self._outputs[k][: len(x)]
            np.matmul(x, weight.T, out=out)
            out += bias
            if k < len(self._layers) - 1:
                np.greater_equal(out, -self._tolerance, out=self._masks[k][: len(x)])
                np.maximum(out, 0, out=out)
            x = out
        return x

    def loss_and_gradient(self, x: np.ndarray, y: np.ndarray) -> float:
        """The sum of the losses of at most batch_size rows; `gradient` becomes their mean gradient."""
        n = len(x)
        delta = np.subtract(self.forward(x), y, out=self._deltas[-1][:n])
        loss = 0.5 * float(np.vdot(delta, delta))
        delta /= n
        for k in range(len(self._layers) - 1, -1, -1):
            d_weight, d_bias = self._gradients[k]
            np.matmul(delta.T, self._outputs[k - 1][:n] if k else x, out=d_weight)
            np.sum(delta, axis=0, out=d_bias)
            if k:
                delta = np.matmul(delta, self._layers[k][0], out=self._deltas[k - 1][:n])
                np.multiply(delta, self._masks[k - 1][:n], out=delta)
        return loss

    def train(self, X: np.ndarray, y: np.ndarray, learning_rate: float) -> float:
        """One epoch in order; return the mean loss."""
        total = 0.0
        for start in range(0, len(X), self._batch_size):
            rows = slice(start, start + self._batch_size)
            total += self.loss_and_gradient(X[rows], y[rows])
            np.multiply(self.gradient, learning_rate, out=self._step)
            np.subtract(self.parameters, self._step, out=self.parameters)
        return total / len(X)


def layer_views(flat: np.ndarray, widths: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each layer's weight and bias as views into a flat vector."""
    views = []
    begin = 0
    for n_in, n_out in pairwise(widths):
        middle, end = begin + n_out * n_in, begin + n_out * (n_in + 1)
        views.append((flat[begin:middle].reshape(n_out, n_in), flat[middle:end]))
        begin = end
    return views


def train_neuron(parameters: np.ndarray, tolerance: float, X: np.ndarray, y: np.ndarray, learning_rate: float) -> float:
    """One epoch of a ReLU neuron, an update after each row; return the mean loss.

    parameters : (n_features + 1,) with the bias last, modified in place
    X : (n_samples, n_features)          y : (n_samples, 1)
    """
    weight, bias = parameters[:-1], float(parameters[-1])
    step = np.empty_like(weight)
    total = 0.0
    for x, target in zip(X, y[:, 0].tolist(), strict=True):
        z = float(weight.dot(x)) + bias
        error = max(z, 0.0) - target
        total += 0.5 * error * error
        if z >= -tolerance:
            np.multiply(x, learning_rate * error, out=step)
            np.subtract(weight, step, out=weight)
            bias -= learning_rate * error
    parameters[-1] = bias
    return total / len(X)


def train_neuron_batch(
    parameters: np.ndarray,
    tolerance: float,
    X: np.ndarray,
    y: np.ndarray,
    learning_rate: float,
    batch_size: int,
    order: np.ndarray,
) -> None:
    """One epoch of a ReLU neuron on the rows in the given order, an update after each batch.

    parameters : (n_features + 1,) float64 with the bias last, modified in place
    X : (n_samples, n_features) of any dtype          y : (n_samples, 1)          order : (n_samples,) int
    """
    for start in range(0, len(X), batch_size):
        rows = order[start : start + batch_size]
        x = np.column_stack([X[rows], np.ones(len(rows))])
        z = x @ parameters
        error = np.where(z >= -tolerance, np.maximum(z, 0) - y[rows, 0], 0)
        parameters -= learning_rate / len(rows) * (error @ x)
