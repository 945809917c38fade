"""What the default learns does not depend on the units of features and targets."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd as gd

datasets = pytest.importorskip("sklearn.datasets")

# A set, and a score that the default passes on rows held out, whatever the seed; and one in ten full batches, which are
# few for a network.
SETS = {"diabetes": (0.3, 0.0), "breast_cancer": (0.9, 0.9), "wine": (0.9, 0.9), "digits": (0.85, 0.8)}
HIDDEN = {"linear": (), "network": (16,)}
SEEDS = (0, 1, 2)
# Half of the sets, of either kind, every time; all of them behind `slow`.
NAMES = ["diabetes", "wine", *(pytest.param(name, marks=pytest.mark.slow) for name in ("breast_cancer", "digits"))]
CHANGES = {"times 1e6": (1e6, 0.0), "times 1e-6": (1e-6, 0.0), "plus 1e4": (1.0, 1e4), "minus 1e4": (1.0, -1e4)}
LESS_THAN = 0.01


@cache
def rows(name):
    """X, y and the number of classes, 0 for numbers."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, y, 0 if name == "diabetes" else len(np.unique(y))


def held_out(X, y, n_classes, hidden, seed, batch_size=32):
    """R² or the accuracy of the default on a quarter of the rows, with all given as it is."""
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = np.split(order, [len(X) // 4])
    layers = [gd.Standardize(X.shape[1])]
    for sizes in pairwise([X.shape[1], *HIDDEN[hidden], max(n_classes, 1)]):
        layers += [gd.Linear(*sizes), gd.ReLU()]
    trainer = gd.Trainer(
        gd.Model(layers[:-1], seed=seed),
        loss="cross_entropy" if n_classes else "half_squared_error",
        optimizer="auto",
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
        standardize_targets=not n_classes,
        alpha=1e-3 if HIDDEN[hidden] else 0.0,
    )
    trainer.fit(X[train], y[train], epochs=10)
    out = trainer.model.predict(X[test], dtype="float64")
    if n_classes:
        return np.mean(out.argmax(axis=1) == y[test])
    return 1 - np.mean((out[:, 0] - y[test]) ** 2) / y[test].var()


@cache
def as_measured(name, hidden, seed, batch_size=32):
    found = held_out(*rows(name), hidden, seed, batch_size)
    assert found > SETS[name][batch_size is None]
    return found


def assert_the_same(X, y, name, hidden, seed, batch_size=32):
    found = held_out(X, y, rows(name)[2], hidden, seed, batch_size)
    assert abs(found - as_measured(name, hidden, seed, batch_size)) < LESS_THAN


def changed(values, change, columns=slice(None)):
    factor, shift = CHANGES[change]
    result = np.array(values, np.float64)
    result[..., columns] = result[..., columns] * factor + shift
    return result


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", NAMES)
class TestOneFeature:
    def test_of_some(self, name, hidden, change):
        X, y, _ = rows(name)
        for seed in SEEDS:
            assert_the_same(changed(X, change, seed), y, name, hidden, seed)

    @pytest.mark.slow
    @pytest.mark.parametrize("batch_size", [1, 32, None])
    def test_each(self, name, hidden, change, batch_size):
        X, y, _ = rows(name)
        # Of the 64 pixels of digits, every third.
        for column in range(0, X.shape[1], X.shape[1] // 30 + 1):
            assert_the_same(changed(X, change, column), y, name, hidden, SEEDS[column % 3], batch_size)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", NAMES)
def test_all_features(name, hidden, change):
    X, y, _ = rows(name)
    for seed in SEEDS:
        assert_the_same(changed(X, change), y, name, hidden, seed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("batch_size", [32, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, None))])
def test_targets(hidden, change, batch_size):
    X, y, _ = rows("diabetes")
    for seed in SEEDS:
        assert_the_same(X, changed(y, change), "diabetes", hidden, seed, batch_size)


powers = st.integers(-6, 6)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(st.data(), st.sampled_from(list(HIDDEN)), st.sampled_from(SEEDS))
def test_each_feature_in_units_of_its_own(name, data, hidden, seed):
    X, y, n_classes = rows(name)
    n_features = X.shape[1]
    factors = 10.0 ** np.array(data.draw(st.lists(powers, min_size=n_features, max_size=n_features)))
    if not n_classes:
        y = y * 10.0 ** data.draw(powers)
    assert_the_same(X * factors, y, name, hidden, seed)
