"""The penalty with which ridge regression predicts rows that it has not seen, by leave-one-out errors."""

import numpy as np

from fastgd.moments import FeatureMoments, Moments

# Directions along which rows vary by less, next to the most, are rounding.
_LEAST_VARIANCE = 1e-12
# As `bench/studies/small_tables.py` has found: so few rows say little of what a small penalty costs, and of those that
# may be as good the largest does best; of more rows, the least. And how many standard errors apart they may be: a whole
# one costs much of the gain of either.
_FEW_ROWS, _TOLERATED_OF_FEW, _TOLERATED = 50, 0.25, 0.5


def leave_one_out_errors(
    X: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray,
    alphas: np.ndarray,
    with_mean: bool = True,
    has_scale: bool = False,
) -> np.ndarray:
    """The squared error of ridge regression for each row when it is fitted to all others, for each alpha.

    With Z and t the standardised features and targets and v the weights, of sum 1, the fit is the least of
    ½ Σ v (Z w + b - t)² + ½ α |w|². It need not be made without each row in turn: with Z √v = U S V', the error of row
    i is (t_i - Z_i w - b) / (1 - h_i) for h_i = v_i + Σ_k U_ik² S_k² / (S_k² + α). See Allen, "The relationship between
    variable selection and data augmentation and a method for prediction" (1974), and Golub, Heath and Wahba,
    "Generalized cross-validation as a method for choosing a good ridge parameter" (1979). Means and scales are those of
    all rows.

    X : (n, n_features) float64          y : (n, n_outputs) float64
    sample_weight : (n,) float64, at least 0; (0,) are ones
    alphas : (n_alphas,) float64, above 0
    with_mean : whether features are centred, and there is a bias b; without, the v_i of h_i is left out
    has_scale : whether features have been scaled, as those of sparse rows are, and are not divided by deviations

    Returns
    -------
    errors : (n, n_alphas) float64, of the rows with a weight, each times its share of all weights, so that they add up
        to the mean; in units of the variance of the targets, summed over outputs; NaN where numbers overflow
    """
    v = sample_weight / sample_weight.sum() if sample_weight.size else np.full(len(X), 1 / len(X))
    X, y, v = X[v > 0], y[v > 0], v[v > 0]
    root = np.sqrt(v)[:, None]
    if has_scale:
        Z = root * (X - v @ X if with_mean else X)
    else:
        Z = root * _standardized(FeatureMoments, X, v, with_mean)
    t = root * _standardized(Moments, y, v, with_mean)
    by_rows = len(Z) <= Z.shape[1]
    gram = Z @ Z.T if by_rows else Z.T @ Z
    if not (np.isfinite(gram).all() and np.isfinite(t).all()):
        return np.full((len(Z), len(alphas)), np.nan)
    variances, vectors = np.linalg.eigh(gram)
    kept = variances > _LEAST_VARIANCE * variances.max(initial=0.0)
    variances, vectors = variances[kept], vectors[:, kept]
    U = vectors if by_rows else Z @ vectors / np.sqrt(variances)
    shrinkage = variances[:, None] / (variances[:, None] + alphas)
    leverage = U**2 @ shrinkage + (root**2 if with_mean else 0)
    left = np.maximum(1 - leverage, np.finfo(np.float64).eps)
    coordinates = U.T @ t
    residuals = (t[:, [k]] - U @ (shrinkage * coordinates[:, [k]]) for k in range(t.shape[1]))
    return sum(((residual / left) ** 2 for residual in residuals), np.zeros((len(Z), len(alphas))))


def standard_error_rule(errors: np.ndarray, alphas: np.ndarray, n_samples: int) -> float:
    """The least alpha whose mean error is larger than the best one's by no more than half a standard error of the
    difference; of fewer than 50 rows the largest, by no more than a quarter; the first where errors are not finite.

    That is the "one standard error" rule of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees"
    (1984), with less of it, and for most tables towards the usual penalty rather than towards the simplest model.

    errors : (n, n_alphas), as of `leave_one_out_errors`          alphas : (n_alphas,), rising
    n_samples : of how many rows these n were chosen
    """
    if not np.isfinite(errors).all():
        return float(alphas[0])
    differences = errors - errors[:, [errors.sum(axis=0).argmin()]]
    standard_errors = np.sqrt(len(errors)) * differences.std(axis=0)
    are_few = n_samples < _FEW_ROWS
    is_good = differences.sum(axis=0) <= (_TOLERATED_OF_FEW if are_few else _TOLERATED) * standard_errors
    return float(alphas[is_good][-1 if are_few else 0])


def _standardized(kind: type[Moments], values: np.ndarray, v: np.ndarray, with_mean: bool) -> np.ndarray:
    """Columns over their deviations, of mean 0 where they are centred; zeros where one does not vary."""
    moments = kind(values.shape[1])
    moments.add(values, v)
    mean, deviation = moments.result()
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return (values - mean if with_mean else values) * scale
