"""NormalizedSGD: sums that go on growing, rounding that is no gradient, features that are tiny."""

import math
import pickle

import numpy as np
import pytest
from optimizer_cases import constant_gradients, reloaded

import fastgd as gd


@pytest.mark.parametrize("scale", [2.0**-80, 1, 2.0**70])
def test_the_root_of_a_sum_of_squares_goes_on_growing(scale):
    """√G of so many gradients of one size grows by less than half of its last digit."""
    model, X, y = constant_gradients(1 << 12, scale)
    trainer = gd.Trainer(model, "hinge", gd.NormalizedSGD(0.0))
    trainer.step(X[:1], y[:1])
    trainer._run.engine._vectors.state[0, 0] = scale * 2.0**13
    trainer.fit(X, y)
    expected = math.sqrt(2.0**26 + len(X))
    assert trainer.optimizer_state["sqrt_G"][0] / scale == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize("copied", ["as it is", "pickled", "saved"])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_means_of_normalized_sgd_go_on_moving(batch_size, copied, tmp_path):
    """Of float32 rows, too, and after so many that one of them moves the mean by less than half of its last digit."""
    model = gd.Model([gd.Linear(1, 1)], dtype="float32")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0), batch_size=batch_size)
    trainer.step([[100.0]], [0.0], sample_weight=[1e6])
    for _ in range(2):
        if copied == "pickled":
            trainer = pickle.loads(pickle.dumps(trainer))
        elif copied == "saved":
            trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(np.full((1 << 12, 1), 100.25, np.float32), np.zeros(1 << 12))
    share = 2 * 2.0**12 / (1e6 + 2 * 2.0**12)
    assert trainer.optimizer_state["m"][0] == pytest.approx(100 + share / 4, rel=1e-7)


@pytest.mark.parametrize("order", ["sorted", "random"])
@pytest.mark.parametrize("offset", [0, 10])
@pytest.mark.parametrize("n_rows", [30, 1000, 30_000])
@pytest.mark.parametrize("loss", ["hinge", "log_loss", "half_squared_error"])
def test_rounding_is_no_gradient_for_normalized_sgd(loss, n_rows, offset, order, dtype, rng):
    """Of two classes with the same rows there is nothing to learn, and in neither's favour."""
    X = rng.standard_normal((n_rows // 2, 3)) + offset
    X, y = np.vstack([X, X]), np.repeat([1, 0 if loss == "log_loss" else -1], n_rows // 2)
    if order == "random":
        rows = rng.permutation(n_rows)
        X, y = X[rows], y[rows]
    model = gd.Model([gd.Linear(3, 1, init="zeros")], dtype=dtype)
    gd.Trainer(model, loss=loss, optimizer=gd.NormalizedSGD(), batch_size=None).fit(X, y, epochs=5)
    np.testing.assert_array_equal(model.parameters, 0)


def test_rounding_is_no_gradient_for_a_last_layers_biases(dtype, rng):
    """That begin at the best constants, under weights of zero."""
    counts = np.array([50, 947, 3])
    labels, shares = np.repeat(np.arange(3), counts), counts / 1000
    layers = [gd.Linear(4, 8), gd.ReLU(), gd.Linear(8, 3, init="zeros", bias=np.log(shares))]
    model = gd.Model(layers, dtype=dtype)
    before = model.layers[2].bias.copy()
    trainer = gd.Trainer(model, loss="cross_entropy", optimizer=gd.NormalizedSGD(), batch_size=None)
    trainer.fit(rng.standard_normal((1000, 4)), labels)
    np.testing.assert_array_equal(model.layers[2].bias, before)
    assert model.layers[2].weight.any()


@pytest.mark.parametrize("activation", [gd.ReLU(), gd.LeakyReLU()], ids=repr)
def test_rounding_chooses_no_side_of_a_kink_for_normalized_sgd(activation, dtype):
    """The first row is its own mean, so that the units' outputs are their biases: zero, where the slope is one."""
    for seed in range(20):
        model = gd.Model([gd.Linear(30, 16), activation, gd.Linear(16, 1, bias=[-1])], dtype=dtype, seed=seed)
        X = np.random.default_rng(seed).standard_normal((1, 30)) + 1
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0), batch_size=1)
        trainer.step(X, [[0]])
        root = trainer.optimizer_state["sqrt_G"][30 * 16 : 31 * 16]
        np.testing.assert_allclose(root, np.abs(model.layers[2].weight[0]), rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-24, 1e-36, 1e30])
def test_a_gradient_of_zero_leaves_normalized_sgd_its_root(scale):
    """Where the square of √G is no number."""
    model, X, y = constant_gradients(8, scale)
    trainer = gd.Trainer(model, "hinge", gd.NormalizedSGD(0.0))
    trainer.step(X, y)
    before = trainer.optimizer_state["sqrt_G"].copy()
    assert before[0] > 0
    # A large margin.
    model.layers[0].weight = [[-3 / X[0, 0]]]
    trainer.step(X, y)
    np.testing.assert_array_equal(trainer.optimizer_state["sqrt_G"], before)


# Subnormal numbers, whose inverses are infinite, and those whose inverses leave no room for a weight.
TINY = [("float32", small) for small in (1e-45, 1e-42, 1e-38, 3e-38)] + [
    ("float64", small) for small in (5e-324, 1e-310, 1e-308, 3e-307)
]


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("row", [0, 1, 200, 399])
@pytest.mark.parametrize(("dtype", "small"), TINY)
@pytest.mark.parametrize("name", ["linear", "no bias", "hidden layer"])
def test_normalized_sgd_takes_a_feature_that_is_tiny_once(name, dtype, small, row, batch_size):
    """And zero before, or everywhere else."""
    layers = {
        "linear": [gd.Linear(3, 1)],
        "no bias": [gd.Linear(3, 1, bias=False)],
        "hidden layer": [gd.Linear(3, 8), gd.ReLU(), gd.Linear(8, 1)],
    }[name]
    X = np.random.default_rng(1).standard_normal((400, 3)).astype(dtype)
    X[:row, 1] = 0
    X[row, 1] = small
    y = X[:, 0] - X[:, 2]
    model = gd.Model(layers, dtype=dtype)
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=batch_size).fit(X, y, epochs=10)
    assert history.loss[-1] < 0.1


@pytest.mark.parametrize("small", [1e-38, 1e-36, 1e-33, 1e-30])
def test_normalized_sgd_takes_tiny_features_that_are_always_the_same(small):
    """And features that are tiny in the first row only."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3)).astype("float32")
    X[:, 1] = small
    X[0] = small
    model = gd.Model([gd.Linear(3, 1)])
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=1).fit(X, X[:, 0] - X[:, 2], epochs=20)
    assert history.loss[-1] < 1e-3


@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e25, 1e36])
def test_normalized_sgd_takes_any_scale_in_float32(scale):
    """Squares of such gradients are zero or infinite in float32."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3))
    y = X @ [1, -2, 0.5]
    losses = []
    for factor in (1, scale):
        model = gd.Model([gd.Linear(3, 1)], seed=2)
        losses.append(gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4).fit(X * factor, y, epochs=5).loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
