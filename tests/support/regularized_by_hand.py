"""Regularised training in plain Python."""

import math

from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline

RATE = 0.05
# What some dozens of updates leave of rounding errors of a few eps each.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}

PENALTIES = {
    "none": {"alpha": 0.0, "l1_ratio": 0.7},
    "L2": {"alpha": 0.3},
    "L1": {"alpha": 0.3, "l1_ratio": 1.0},
    "both": {"alpha": 0.3, "l1_ratio": 0.4},
    "L2 that would overshoot": {"alpha": 50.0},
    "both, L2 that would overshoot": {"alpha": 50.0, "l1_ratio": 0.02},
}
BOUNDS = {
    "clip_value": {"clip_value": 0.1},
    "clip_norm": {"clip_norm": 0.5},
    "clip_value and clip_norm": {"clip_value": 0.1, "clip_norm": 0.3},
    "max_norm": {"max_norm": 0.7},
    "bounds out of reach": {"clip_value": 1e6, "clip_norm": 1e6, "max_norm": 1e6},
    "all": {"alpha": 0.3, "l1_ratio": 0.4, "clip_value": 0.1, "clip_norm": 0.3, "max_norm": 0.7},
}


def weights_of(layers):
    """The rows of weights of every Linear, to be changed in place."""
    return [row for layer in layers if isinstance(layer, reference.Linear) for row in layer.weight]


def gradients_of(layers):
    """The rows of the gradient, of weights and biases alike, to be changed in place."""
    linears = [layer for layer in layers if isinstance(layer, reference.Linear)]
    return [row for layer in linears for row in (*layer.d_weight, layer.d_bias) if row is not None]


def update(layers, alpha=0.0, l1_ratio=0.0, clip_value=math.inf, clip_norm=math.inf, max_norm=math.inf):
    """One step of plain SGD from the gradient that the layers hold."""
    linears = [layer for layer in layers if isinstance(layer, reference.Linear)]
    for layer in linears:
        for row, d_row in zip(layer.weight, layer.d_weight, strict=True):
            for j, w in enumerate(row):
                d_row[j] += min(alpha * (1 - l1_ratio), 1 / RATE) * w
    rows = gradients_of(layers)
    for row in rows:
        row[:] = [min(max(g, -clip_value), clip_value) for g in row]
    norm = math.hypot(*(g for row in rows for g in row))
    for row in rows:
        row[:] = [g * min(1, clip_norm / norm) if norm else g for g in row]
    for layer in layers:
        layer.update(RATE)
    for row in weights_of(layers):
        row[:] = [math.copysign(max(abs(w) - RATE * alpha * l1_ratio, 0), w) for w in row]
        norm = math.hypot(*row)
        row[:] = [w * min(1, max_norm / norm) if norm else w for w in row]


def train_by_hand(model, X, y, batch_size, epochs=1, **settings):
    """The reference under the same settings: the parameters after each update, and the mean losses of the epochs."""
    layers = baseline.as_reference(model)
    X, y = X.tolist(), y.tolist()
    path, losses = [], []
    for _ in range(epochs):
        total = 0
        for start in range(0, len(X), batch_size):
            batch = slice(start, start + batch_size)
            total += reference.loss_and_gradient(layers, X[batch], y[batch], [1] * len(X[batch]))
            update(layers, **settings)
            path.append(baseline.parameters_of(layers))
        losses.append(total / len(X))
    return path, losses
