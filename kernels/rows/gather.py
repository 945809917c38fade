"""Rows of the data, picked in any order and converted to the model's dtype in the same pass."""

import math

import numpy as np

from ..codegen.jit import kernel
from ..codegen.simd import prefetch

# Beyond, a value is the limit to the last digit, and its square may overflow.
_FAR_OUT = 1e8


@kernel
def gather_rows(X, rows, out):
    """out[i] = X[rows[i]], converted to out's dtype.

    X : (n_rows, n_columns), any layout, any integer, boolean or float32/float64 dtype
    rows : (n_samples,) int64, each in [0, n_rows)          out : (n_samples, n_columns), overwritten
    """
    for i in range(rows.size):
        row = rows[i]
        for j in range(out.shape[1]):
            out[i, j] = X[row, j]


@kernel
def gather_rows_prefetching(X, rows, prefetch_rows, out):
    """As `gather_rows`, with row prefetch_rows[i] prefetched while row rows[i] is copied.

    X : as there, C-contiguous          rows, prefetch_rows : (n_samples,) int64, each in [0, n_rows)
    out : (n_samples, n_columns), overwritten
    """
    for i in range(rows.size):
        prefetch(X, prefetch_rows[i] * out.shape[1])
        row = rows[i]
        for j in range(out.shape[1]):
            out[i, j] = X[row, j]


@kernel
def row_squares(X, out):
    """out_i = Σ_j x_ij².

    X : (n_samples, n_features)          out : (n_samples,) float64, overwritten
    """
    for i in range(X.shape[0]):
        total = 0.0
        for j in range(X.shape[1]):
            total += np.float64(X[i, j]) * X[i, j]
        out[i] = total


@kernel
def standardize_rows(X, mean, scale, out):
    """out = (x - mean) · scale, feature by feature, computed in float64.

    X : (n_samples, n_features)          mean, scale : (n_features,) float64
    out : (n_samples, n_features), overwritten; its dtype may differ from X's
    """
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            out[i, j] = (X[i, j] - mean[j]) * scale[j]


@kernel
def standardize_rows_robustly(X, mean, scale, limit, out):
    """out = t / √(1 + (t / limit)²)  with  t = (x - mean) · scale,  feature by feature, computed in float64.

    X : (n_samples, n_features)          mean, scale : (n_features,) float64          limit : float64, more than 0
    out : (n_samples, n_features), overwritten; its dtype may differ from X's; not finite where t is not
    """
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            t = (X[i, j] - mean[j]) * scale[j]
            share = t / limit
            if abs(share) < _FAR_OUT:
                t /= np.sqrt(1 + share * share)
            elif np.isfinite(t):
                t = math.copysign(limit, t)
            out[i, j] = t
