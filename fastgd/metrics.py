"""What tells how good predictions are, in numbers that mean the same for every data set."""

import numpy as np

from fastgd.dataset import Dataset
from fastgd.kernels.loss import CrossEntropy, Hinge, LogLoss, ModifiedHuber, Perceptron, SquaredHinge
from fastgd.losses import Loss
from fastgd.model import Model


def score(model: Model, dataset: Dataset, loss: Loss) -> tuple[str, float]:
    """The share of rows whose class is right, for a loss of classes, or R² over all outputs, for any other.

    R² = 1 - Σ v (y - z)² / Σ v (y - ȳ)² with ȳ the mean of each output, v the rows' weights. Not a number where targets
    do not vary.

    model : trained          dataset : rows with targets, with a weight above zero among them
    loss : what the model was trained by, which says what its outputs are

    Returns
    -------
    name : "accuracy" or "R²"
    score : float
    """
    rows = dataset.targets(np.dtype(np.float64))
    y, z = rows.y, model.predict(dataset, dtype="float64")
    v = rows.sample_weight if rows.sample_weight.size else np.ones(len(y))
    if isinstance(loss, CrossEntropy):
        return "accuracy", float(np.average(z.argmax(axis=1) == y[:, 0], weights=v))
    if isinstance(loss, LogLoss):
        # Targets are probabilities, of which most are 0 or 1.
        return "accuracy", float(np.average(((z > 0) == (y > 0.5)).mean(axis=1), weights=v))
    if isinstance(loss, Hinge | SquaredHinge | ModifiedHuber | Perceptron):
        return "accuracy", float(np.average(((z > 0) == (y > 0)).mean(axis=1), weights=v))
    # A power of two rounds nothing, and keeps squares of targets of any scale from overflow.
    exponent = -int(np.frexp(np.abs(y).max())[1])
    y, z = np.ldexp(y, exponent), np.ldexp(z, exponent)
    spread = v @ (y - np.average(y, axis=0, weights=v)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return "R²", float(1 - (v @ (y - z) ** 2).sum() / spread.sum())
