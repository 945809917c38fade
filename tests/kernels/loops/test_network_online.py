"""The training loop of a network whose every row is an update: when it is chosen, and what it does."""

import sys

import numpy as np
import pytest
from cases import rounding, train_reference
from hypothesis import example, given
from hypothesis import strategies as st
from protected import run_with_protected_memory

import fastgd as gd
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.loops.network import Layer
from fastgd.kernels.loops.network_online import first_layer
from fastgd.kernels.nn.loss import HalfSquaredError
from fastgd.network import network_of

HIDDEN = [gd.Linear(5, 8), gd.ReLU(), gd.Linear(8, 1)]
RULES = {
    "eight units": (HIDDEN, {}, True),
    "seven units": ([gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)], {}, False),
    "a million weights": ([gd.Linear(1024, 1024)], {}, True),
    "more": ([gd.Linear(1025, 1024)], {}, False),
    "one layer": ([gd.Linear(5, 8)], {}, True),
    "standardised features": ([gd.Standardize(5), *HIDDEN], {}, True),
    "an activation in front": ([gd.Tanh(), *HIDDEN], {}, False),
    "batches of two": (HIDDEN, {"batch_size": 2}, False),
    "momentum": (HIDDEN, {"optimizer": gd.SGD(0.1, momentum=0.5)}, False),
    "Adam": (HIDDEN, {"optimizer": gd.Adam()}, False),
    "a penalty": (HIDDEN, {"alpha": 0.1}, False),
    "a schedule": (HIDDEN, {"optimizer": gd.SGD(gd.schedules.InverseScaling(0.1))}, True),
}


@pytest.mark.parametrize("rule", RULES)
def test_choice(rule, monkeypatch):
    layers, settings, expected = RULES[rule]
    called = []
    for name in ("train_network", "train_network_online"):
        monkeypatch.setattr(kernels, name, lambda *arguments, name=name: called.append(name))
    model = gd.Model(layers)
    X, y = np.eye(3, model.in_features), np.zeros((3, model.out_features))
    gd.Trainer(model, **{"optimizer": gd.SGD(0.1)} | settings).fit(X, y)
    assert set(called) == {"train_network_online" if expected else "train_network"}


def test_a_single_row_has_none_to_look_ahead_to(monkeypatch):
    called = []
    monkeypatch.setattr(kernels, "train_network", lambda *arguments: called.append(arguments))
    gd.Trainer(gd.Model(HIDDEN), optimizer=gd.SGD(0.1)).step(np.ones((1, 5)), [1])
    assert len(called) == 1


DTYPES = st.sampled_from(["float32", "float64"])
# Registers hold 4, 8 or 16 numbers, and two of them are worked on at once.
UNITS = st.integers(8, 140)


@given(
    DTYPES,
    st.integers(1, 40),
    UNITS,
    st.lists(st.integers(1, 9), max_size=2),
    st.booleans(),
    st.integers(2, 9),
    st.integers(0, 99),
)
@example("float32", 3, 64, [2], True, 9, 0)
@example("float32", 3, 80, [], False, 8, 0)
@example("float64", 1, 32, [8, 1], True, 9, 0)
def test_training_is_the_reference(dtype, n_in, n_units, widths, has_bias, n_samples, seed):
    layers = [gd.Linear(n_in, n_units, bias=has_bias)]
    for width in widths:
        layers += [gd.ReLU(), gd.Linear(layers[-1].out_features, width)]
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n_samples, n_in)), rng.standard_normal((n_samples, layers[-1].out_features))
    weight = rng.integers(0, 3, n_samples).astype(float)
    model = gd.Model(layers, dtype=dtype, seed=seed)
    X, y = X.astype(dtype), y.astype(dtype)
    rate = 0.02 / max(n_in, n_units)
    expected, loss = train_reference(model, X, y, weight, learning_rate=rate)
    history = gd.Trainer(model, optimizer=gd.SGD(rate)).fit(X, y, sample_weight=weight)
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(model.parameters, expected, rtol=0, atol=9 * rounding(dtype, n_in + 2) * scale)
    assert history.loss[0] == pytest.approx(loss, rel=rounding(dtype, 50), abs=rounding(dtype, 50))


@pytest.mark.parametrize("loss", ["huber", "log_loss", "cross_entropy"])
def test_it_does_what_the_loop_of_batches_does(loss, monkeypatch):
    """With any layer, loss and schedule, rows of weight zero, and what Dropout drops."""
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((50, 6)), rng.integers(0, 3, 50)
    y = rng.integers(0, 2, (50, 1) if loss == "cross_entropy" else (50, 3))
    results = []
    for few_units in (8, 10_000):
        monkeypatch.setattr(kernels.tuning, "FEW_UNITS", few_units)
        layers = [gd.Linear(6, 20), gd.Tanh(), gd.Dropout(0.3), gd.Linear(20, 9), gd.LeakyReLU(), gd.Linear(9, 3)]
        model = gd.Model(layers, dtype="float64")
        trainer = gd.Trainer(model, loss=loss, optimizer=gd.SGD(gd.schedules.InverseScaling(0.1)), shuffle=True, seed=4)
        history = trainer.fit(X, y, epochs=3, sample_weight=weight)
        results.append((model.parameters, history.loss, trainer.n_updates))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)
    assert results[0][2] == results[1][2] == 3 * np.count_nonzero(weight)


def test_slices_change_nothing(monkeypatch, rng):
    """Wherever the time runs out, the weights go to the model and come back with the same bits."""
    X, y = rng.standard_normal((200, 7)), rng.standard_normal((200, 1))
    results = []
    for seconds in (0.05, 0):
        monkeypatch.setattr("fastgd._engine.slices._SLICE_SECONDS", seconds)
        model = gd.Model([gd.Linear(7, 33), gd.ReLU(), gd.Linear(33, 1)])
        gd.Trainer(model, optimizer=gd.SGD(0.01), shuffle=True).fit(X, y, epochs=2)
        results.append(model.parameters)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weight", [0, 1])
def test_a_bad_row_is_named_and_leaves_no_trace(value, weight, rng):
    X, y, weights = rng.standard_normal((40, 5)), rng.standard_normal((40, 1)), np.ones(40)
    X[31, 2], weights[31] = value, weight
    model, twin = gd.Model(HIDDEN, dtype="float64"), gd.Model(HIDDEN, dtype="float64")
    gd.Trainer(twin, optimizer=gd.SGD(0.01)).fit(X[:31], y[:31])
    with pytest.raises(ValueError, match="row 31, column 2"):
        gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-12)


def test_divergence_is_an_error_and_leaves_a_finite_model(rng):
    X, y = 1e3 * rng.standard_normal((400, 5)), rng.standard_normal((400, 1))
    model = gd.Model(HIDDEN)
    with pytest.raises(gd.DivergenceError, match="epoch 1, step"):
        gd.Trainer(model, optimizer=gd.SGD(10.0)).fit(X, y, epochs=9)
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("n_samples", [2, 3, 4])
def test_memory_beyond_the_weights_is_not_touched(n_samples, dtype):
    """What a vector holds beyond the units stays zero, whatever the scratch memory held, and is not written back."""
    model = gd.Model([gd.Linear(3, 9), gd.ReLU(), gd.Linear(9, 1)], dtype=dtype)
    network = network_of(model, 1)
    first = first_layer(Layer(*network.layers[0]), model.dtype)
    for scratch in (network.outputs, network.deltas, *first):
        scratch[:] = np.nan
    none = np.empty(0, dtype)
    state = np.empty((0, 0), dtype)
    own, average = np.empty(0), np.empty(0)
    vectors = kernels.Vectors(model.parameters, none, none, state, own, average, none)
    objective, progress = kernels.objective(HalfSquaredError(), model.dtype), kernels.Progress.zeros()
    X, y = np.ones((n_samples, 3), dtype), np.ones((n_samples, 1), dtype)
    # As training hands them over: other types would be compiled for, too.
    rows = map(read_only, (X, y, none))
    kernels.train_network_online(network, first, vectors, objective, np.array([0.1]), *rows, progress)
    assert np.isfinite(model.parameters).all()
    assert np.isfinite(progress.loss_sum).all()
    assert np.isnan(network.outputs[9:16]).all()
    for scratch in first:
        np.testing.assert_array_equal(scratch.reshape(-1, 16)[:, 9:], 0)


AT_THE_END = """
import numpy as np
import fastgd as gd
from protected import assert_protected, at_the_end

assert_protected()
for dtype in ("float32", "float64"):
    for n_in in range(1, 18):
        for n_samples in (2, 3):
            X, y = (at_the_end(np.ones((n_samples, n), dtype)) for n in (n_in, 1))
            model = gd.Model([gd.Linear(n_in, 9, bias=n_in % 2 == 0), gd.ReLU(), gd.Linear(9, 1)], dtype=dtype)
            gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, y)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages as Linux does")
def test_it_touches_nothing_beyond_the_rows():
    run_with_protected_memory(AT_THE_END)


def test_rows_whose_product_overflows_are_taken_one_by_one():
    """The second row's look-ahead multiplies the rows with one another."""
    X, y = np.full((2, 5), 2e19, np.float32), np.zeros((2, 1), np.float32)
    model, twin = gd.Model(HIDDEN), gd.Model(HIDDEN)
    for one in (model, twin):
        one.parameters *= 1e-20
    gd.Trainer(model, optimizer=gd.SGD(1e-38)).fit(X, y)
    trainer = gd.Trainer(twin, optimizer=gd.SGD(1e-38))
    for row in range(2):
        trainer.step(X[row : row + 1], y[row : row + 1])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
