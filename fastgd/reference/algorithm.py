"""The article in plain Python: lists and loops, any type of number.

It is the oracle of the tests and the baseline of the benchmarks. On `fractions.Fraction` every number is exact.

Example: the article's neuron, one epoch
----------------------------------------
>>> from fractions import Fraction as F
>>> model = [Linear([[F(1, 200), F(-3000, 11_600_000), F(1, 5800)]]), ReLU()]
>>> X = [[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]]
>>> train(model, X, [[0], [1], [1]], learning_rate=F(1, 10**7))
Fraction(1, 6)
>>> [str(w) for w in model[0].weight[0]]
['1/200', '-17/290000', '137/290000']
"""

from collections.abc import Sequence
from typing import Any

Number = Any
Vector = list[Number]


class Linear:
    """o = w · x (+ b), for each output one row of weights and perhaps a bias."""

    def __init__(self, weight: Sequence[Sequence[Number]], bias: Sequence[Number] | None = None) -> None:
        self.weight = [list(row) for row in weight]
        self.bias = None if bias is None else list(bias)
        self.clear()

    def forward(self, x: Vector) -> Vector:
        self.x = x
        out = [sum(w * x_j for w, x_j in zip(row, x, strict=True)) for row in self.weight]
        return out if self.bias is None else [o + b for o, b in zip(out, self.bias, strict=True)]

    def backward(self, delta: Vector) -> Vector:
        """From the impact δ of the outputs on the loss: add up δw = δ · x, return the impact δ · w of the inputs."""
        self.d_weight = [
            [total + d * x_j for total, x_j in zip(row, self.x, strict=True)]
            for d, row in zip(delta, self.d_weight, strict=True)
        ]
        if self.bias is not None:
            self.d_bias = [total + d for total, d in zip(self.d_bias, delta, strict=True)]
        delta_x = [0] * len(self.x)
        for d, row in zip(delta, self.weight, strict=True):
            delta_x = [total + d * w for total, w in zip(delta_x, row, strict=True)]
        return delta_x

    def update(self, learning_rate: Number) -> None:
        """ŵ = w - α δw."""
        self.weight = [
            [w - learning_rate * d for w, d in zip(row, d_row, strict=True)]
            for row, d_row in zip(self.weight, self.d_weight, strict=True)
        ]
        if self.bias is not None:
            self.bias = [b - learning_rate * d for b, d in zip(self.bias, self.d_bias, strict=True)]
        self.clear()

    def clear(self) -> None:
        self.d_weight = [[0] * len(row) for row in self.weight]
        self.d_bias = None if self.bias is None else [0] * len(self.bias)


class ReLU:
    """o = x if x >= 0 else 0; what is negative by no more than `tolerance` counts as 0."""

    def __init__(self, tolerance: Number = 0) -> None:
        self.tolerance = tolerance

    def forward(self, x: Vector) -> Vector:
        self.mask = [x_j >= -self.tolerance for x_j in x]
        return [x_j if x_j >= 0 else 0 * x_j for x_j in x]

    def backward(self, delta: Vector) -> Vector:
        return [d if passes else 0 * d for d, passes in zip(delta, self.mask, strict=True)]

    def update(self, learning_rate: Number) -> None:
        """Nothing to learn."""

    def clear(self) -> None:
        """Nothing to forget."""


Layer = Linear | ReLU


def predict(model: Sequence[Layer], x: Vector) -> Vector:
    """The forward pass: each layer's output is the next one's input."""
    for layer in model:
        x = layer.forward(x)
    return x


def half_squared_error(out: Vector, y: Vector) -> tuple[Number, Vector]:
    """The loss ½ Σ (o - y)² of one sample, and its derivative δ = o - y by the outputs."""
    delta = [o - t for o, t in zip(out, y, strict=True)]
    return sum(d * d for d in delta) / 2, delta


def loss_and_gradient(model: Sequence[Layer], X: Sequence[Vector], Y: Sequence[Vector], V: Sequence[Number]) -> Number:
    """Leave the mean gradient of one batch in the layers' d_weight and d_bias; return the batch's sum of losses.

    V multiplies each sample's loss and gradient.
    """
    total = 0
    for x, y, v in zip(X, Y, V, strict=True):
        out = predict(model, x)
        loss, delta = half_squared_error(out, y)
        total += v * loss
        delta = [v * d / len(X) for d in delta]
        for layer in reversed(model):
            delta = layer.backward(delta)
    return total


def train(
    model: Sequence[Layer],
    X: Sequence[Vector],
    Y: Sequence[Vector],
    learning_rate: Number,
    batch_size: int = 1,
    epochs: int = 1,
    sample_weight: Sequence[Number] | None = None,
) -> Number:
    """The gradient descent algorithm; return the mean loss of the last epoch.

    1. Pick data inputs: one, or the next `batch_size`.
    2. Run the forward pass.
    3. Compute the loss.
    4. Run the backward pass.
    5. Update the weights.
    """
    V = [1] * len(X) if sample_weight is None else sample_weight
    for _ in range(epochs):
        total = 0
        for start in range(0, len(X), batch_size):
            batch = slice(start, start + batch_size)
            total += loss_and_gradient(model, X[batch], Y[batch], V[batch])
            for layer in model:
                layer.update(learning_rate)
    return total / len(X)
