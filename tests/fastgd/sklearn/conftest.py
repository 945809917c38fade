import pytest


@pytest.fixture
def raw(rng):
    """Features of many scales, far from zero, and targets of a hundred thousand."""
    X = rng.normal(size=(200, 4)) * [1e-3, 1, 100, 1e4] + [0, 50, -1e3, 1e5]
    y = 1e5 + (X - X.mean(axis=0)) / X.std(axis=0) @ [3e4, -2e4, 1e4, 5e3] + rng.normal(size=200) * 1e3
    return X, y
