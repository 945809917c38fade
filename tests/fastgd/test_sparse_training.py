"""Plain SGD on sparse rows: the same parameters, to rounding, as on the same rows dense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES
from sparse_cases import csr
from sparse_runs import N_FEATURES, N_ROWS, assert_as_dense, layers_of, trained, weights_of

import fastgd as gd

PENALTIES = {
    "none": {},
    "l2": {"alpha": 0.1, "l1_ratio": 0.0},
    "l1": {"alpha": 0.05, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.1, "l1_ratio": 0.5},
    # A step multiplies the weights by 1 - 0.25 · 4 = 0, or would turn their signs, and stops at 0.
    "all of a weight": {"alpha": 8.0, "l1_ratio": 0.5},
    "more than all": {"alpha": 20.0, "l1_ratio": 0.25},
}
RATES = {
    "constant": 0.25,
    "falling": gd.schedules.InverseScaling(0.25, 0.5),
    "to and fro": gd.schedules.CosineWarmRestarts(0.25, 7),
}


def _targets(case, n_outputs, seed):
    numbers = np.random.default_rng(seed).integers(-8, 8, (N_ROWS, n_outputs)) / 8
    return case.target(numbers, n_outputs)


OPTIONS = {
    "seed": st.integers(0, 2**16),
    "penalty": st.sampled_from(list(PENALTIES)),
    "rate": st.sampled_from(list(RATES)),
    "batch_size": st.sampled_from([1, 1, 7, 30, None]),
    "shuffle": st.booleans(),
    "has_bias": st.booleans(),
    "weighted": st.booleans(),
}


def _neuron(loss, ends="linear", dtype="float64", **o):
    y = _targets(CASES[loss], 1, o["seed"])
    assert_as_dense(
        layers_of(1, ends, o["has_bias"]),
        o["seed"],
        y,
        dtype,
        loss=CASES[loss].loss,
        optimizer=gd.SGD(RATES[o["rate"]]),
        batch_size=o["batch_size"],
        shuffle=o["shuffle"],
        sample_weight=weights_of(o["seed"], o["weighted"]),
        **PENALTIES[o["penalty"]],
    )


# The kernels of a neuron are compiled for each loss, kind of order, and with weights or without.
@pytest.mark.slow
@settings(max_examples=100)
@given(**OPTIONS)
def test_a_neuron(**options):
    _neuron("log_loss", **options)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [name for name in CASES if "cross_entropy" not in name])
@settings(max_examples=20)
@given(seed=OPTIONS["seed"], rate=OPTIONS["rate"], has_bias=OPTIONS["has_bias"])
def test_a_neuron_with_any_loss(loss, **options):
    # One combination of what kernels are compiled for beside the loss: `test_a_neuron` has the others.
    ends = "relu" if list(CASES).index(loss) % 2 else "linear"
    _neuron(loss, ends, penalty="elastic net", batch_size=7, shuffle=False, weighted=True, **options)


@pytest.mark.slow
@settings(max_examples=30)
@given(**OPTIONS | {"shuffle": st.just(True), "weighted": st.just(True)})
def test_a_neuron_in_float32(**options):
    if options["penalty"] != "more than all":
        _neuron("log_loss", dtype="float32", **options)


@pytest.mark.slow
@settings(max_examples=60)
@given(loss=st.sampled_from(list(CASES)), ends=st.sampled_from(["linear", "tanh"]), **OPTIONS)
def test_several_outputs(loss, ends, **options):
    if loss == "poisson":
        ends = "tanh"
    assert_as_dense(
        layers_of(3, ends, options["has_bias"]),
        options["seed"],
        _targets(CASES[loss], 3, options["seed"]),
        loss=CASES[loss].loss,
        optimizer=gd.SGD(RATES[options["rate"]]),
        batch_size=options["batch_size"],
        shuffle=options["shuffle"],
        sample_weight=weights_of(options["seed"], options["weighted"]),
        **PENALTIES[options["penalty"]],
    )


@pytest.mark.parametrize("values", ["float32", "int8"])
def test_values_and_indices_of_any_dtype(values):
    y = np.random.default_rng(0).standard_normal((N_ROWS, 1)) / 8
    assert_as_dense(layers_of(1, "linear"), 1, y, values=values, index="int64", optimizer=gd.SGD(1e-4))


def _by_hand(dense, y, w, rates, l2, l1):
    """The article's algorithm with penalties, row by row."""
    for x, target, rate in zip(dense, y, rates, strict=True):
        w = max(0, 1 - rate * l2) * w - rate * (w @ x - target) * x
        w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
    return w


@given(st.integers(0, 2**16), st.floats(0, 10), st.floats(0, 1))
def test_one_epoch_by_hand(seed, l2, l1):
    rng = np.random.default_rng(seed)
    X, dense = csr(N_ROWS, N_FEATURES, seed)
    y, rate = rng.standard_normal(N_ROWS), 0.25
    model = gd.Model(layers_of(1, "linear", has_bias=False), dtype="float64")
    w = model.parameters.copy()
    alpha = l2 + l1
    ratio = l1 / alpha if alpha else 0.0
    gd.Trainer(model, optimizer=gd.SGD(rate), alpha=alpha, l1_ratio=ratio).fit(X, y)
    expected = _by_hand(dense, y, w, [rate] * N_ROWS, alpha * (1 - ratio), alpha * ratio)
    np.testing.assert_allclose(model.parameters, expected, atol=1e-11 * max(np.abs(expected).max(), 1))


def test_weights_that_no_row_touches_shrink_as_any_other():
    X, _ = csr(N_ROWS, N_FEATURES)
    X = X[:, :5].tocsr()
    X.resize((N_ROWS, N_FEATURES))
    model = gd.Model([gd.Linear(N_FEATURES, 1, init="zeros")], dtype="float64")
    model.layers[0].weight[:] = np.linspace(-1, 1, N_FEATURES)
    before = model.layers[0].weight[0].copy()
    gd.Trainer(model, optimizer=gd.SGD(0.01), alpha=0.5, l1_ratio=1.0).fit(X, np.zeros(N_ROWS))
    expected = np.sign(before) * np.maximum(np.abs(before) - N_ROWS * 0.01 * 0.5, 0)
    np.testing.assert_allclose(model.layers[0].weight[0, 5:], expected[5:], atol=1e-15)
    assert (expected[5:] == 0).any()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_bits_do_not_depend_on_where_calls_end(penalty, monkeypatch):
    X, _ = csr(400, N_FEATURES)
    y = np.random.default_rng(0).standard_normal(400)
    options = {"optimizer": gd.SGD(0.05), **PENALTIES[penalty]}
    once, _, _ = trained(layers_of(1, "linear"), X, y, **options)
    monkeypatch.setattr("fastgd._engine.slices._SLICE_SECONDS", 1e-9)
    often, _, _ = trained(layers_of(1, "linear"), X, y, **options)
    np.testing.assert_array_equal(once, often)


def test_two_epochs_at_once_and_one_after_the_other():
    X, _ = csr(N_ROWS, N_FEATURES)
    y = np.random.default_rng(0).standard_normal(N_ROWS)
    options = {"optimizer": gd.SGD(0.05), "shuffle": True, "alpha": 0.1}
    expected, _, _ = trained(layers_of(1, "linear"), X, y, epochs=2, **options)
    model = gd.Model(layers_of(1, "linear"), dtype="float64", seed=3)
    trainer = gd.Trainer(model, **options)
    trainer.fit(X, y)
    trainer.fit(X, y)
    np.testing.assert_array_equal(model.parameters, expected)
