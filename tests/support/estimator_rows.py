"""A small problem of numbers, and of classes, for estimators."""

import numpy as np
import pandas as pd
import pytest

N_ROWS = 300
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 6))
Z = X @ [1, 2, -1, 0.5, 0, 3]
Y = Z + RNG.normal(scale=0.3, size=N_ROWS)
LABELS = np.where(Z + RNG.normal(size=N_ROWS) > 0, "yes", "no")
FRAME = pd.DataFrame(X, columns=list("abcdef"))
WIDE = RNG.normal(size=(N_ROWS, 1000))
HIDDEN = pytest.mark.parametrize("hidden", [(), pytest.param((32,), marks=pytest.mark.slow)])


def put(value, into=X):
    changed = np.array(into, object if isinstance(value, str | None) else float)
    changed[(3, 2) if changed.ndim == 2 else 3] = value
    return changed
