"""The loop of a neuron on sparse rows by Adagrad: the same as on dense rows, however columns lie in memory."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loss_cases import CASES
from sparse_cases import csr

import fastgd as gd
from fastgd import kernels, regularization
from fastgd._engine.sparse_adagrad import AdagradCall, is_for_adagrad
from fastgd.losses import kind_of

N_ROWS, N_FEATURES = 40, 12
OPTIMIZERS = {
    "bounded": gd.Adagrad(0.3, bounded=True),
    "bounded, started": gd.Adagrad(0.3, lr_decay=0.01, initial_accumulator_value=0.5, bounded=True),
    "free": gd.Adagrad(0.1, lr_decay=0.01, initial_accumulator_value=0.1),
    "free, falling": gd.Adagrad(gd.schedules.InverseScaling(0.3, 0.5), initial_accumulator_value=0.1),
}
# From squares that start at zero, a gradient that is zero but for rounding would make a whole step.
STARTED = [name for name in OPTIMIZERS if name != "bounded"]
# Of entries a column, from which on the records of all columns are copied.
LAYOUTS = {"of entries": np.inf, "of all": 0}


def _trained(X, y, optimizer, ends="linear", has_bias=True, dtype="float64", sample_weight=None, epochs=2, **options):
    layers = [gd.Linear(X.shape[1], 1, bias=has_bias), *([gd.ReLU()] if ends == "relu" else [])]
    model = gd.Model(layers, dtype=dtype, seed=3)
    trainer = gd.Trainer(model, optimizer=optimizer, **options)
    trainer.fit(X, y, sample_weight=sample_weight, epochs=epochs)
    state = trainer.optimizer_state.values()
    return np.concatenate([model.parameters, *state, trainer.history.loss]).astype(np.float64), trainer


def _assert_as_dense(loss, layout, seed, weighted, index="int32", values="float64", dtype="float64", **options):
    X, dense = csr(N_ROWS, N_FEATURES, seed, values, index)
    rng = np.random.default_rng(seed)
    y = CASES[loss].target(rng.integers(-8, 8, (N_ROWS, 1)) / 8, 1)
    # Whole batches of one row, and perhaps of more, weigh nothing.
    v = rng.integers(0, 3, N_ROWS) * (np.arange(N_ROWS) >= 7) / 2 if weighted else None
    options |= {"loss": CASES[loss].loss, "dtype": dtype, "sample_weight": v}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels.tuning, "ENTRIES_PER_PACKED_COLUMN", LAYOUTS[layout])
        found, _ = _trained(X, y, **options)
    expected, _ = _trained(dense, y, **options)
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


OPTIONS = {
    "seed": st.integers(0, 2**16),
    "layout": st.sampled_from(list(LAYOUTS)),
    "optimizer": st.sampled_from(list(OPTIMIZERS)),
    "batch_size": st.sampled_from([1, 7, 40, None]),
    "weighted": st.booleans(),
    "has_bias": st.booleans(),
    "index": st.sampled_from(["int32"]),
}


def _case(loss, ends="linear", **options):
    name = options.pop("optimizer")
    if kind_of(CASES[loss].loss).curvature is None and OPTIMIZERS[name].bounded:
        name = "free"
    _assert_as_dense(loss, optimizer=OPTIMIZERS[name], ends=ends, **options)


@pytest.mark.slow
@settings(max_examples=40)
@example(seed=0, layout="of entries", optimizer="bounded", batch_size=7, weighted=True, has_bias=True, index="int32")
@example(seed=0, layout="of all", optimizer="bounded", batch_size=1, weighted=False, has_bias=True, index="int32")
@given(**OPTIONS)
def test_log_loss(**options):
    _case("log_loss", **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:targets go down")
@pytest.mark.parametrize(
    ("loss", "ends"),
    [(name, ("linear", "relu")[i % 2]) for i, name in enumerate(CASES) if "cross_entropy" not in name],
)
@settings(max_examples=15)
@given(**OPTIONS | {"optimizer": st.sampled_from(STARTED), "index": st.sampled_from(["int32", "int64"])})
def test_any_loss(loss, ends, **options):
    _case(loss, ends, **options)


@pytest.mark.slow
@settings(max_examples=30)
@given(values=st.sampled_from(["float32", "int8"]), **OPTIONS)
def test_float32_and_values_of_any_dtype(values, **options):
    _case("log_loss", dtype="float32", values=values, **options)


def _by_hand(X, y, n_epochs, rate, curvature):
    """Bounded Adagrad on half squared errors without a bias, row by row, in plain NumPy."""
    w, total = (
        gd.Model([gd.Linear(X.shape[1], 1)], dtype="float64", seed=3).parameters[:-1].copy(),
        np.zeros(X.shape[1]),
    )
    for _ in range(n_epochs):
        for x, target in zip(X, y, strict=True):
            g = (w @ x - target) * x
            total += g**2
            s = g / (np.sqrt(total) + 1e-10)
            slope = s @ g
            if slope != 0:
                w -= rate / (1 + rate * curvature * (s @ x) ** 2 / slope) * s
    return w


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_epochs_by_hand(layout, monkeypatch):
    monkeypatch.setattr(kernels.tuning, "ENTRIES_PER_PACKED_COLUMN", LAYOUTS[layout])
    X, dense = csr(N_ROWS, N_FEATURES)
    y = np.random.default_rng(0).standard_normal(N_ROWS)
    _, trainer = _trained(X, y, OPTIMIZERS["bounded"], has_bias=False)
    np.testing.assert_allclose(trainer.model.parameters, _by_hand(dense, y, 2, 0.3, 1.0), atol=1e-11)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_bits_depend_neither_on_how_columns_lie_nor_on_where_calls_end(batch_size, shuffle, monkeypatch):
    X, _ = csr(400, N_FEATURES)
    y = np.random.default_rng(0).standard_normal(400)
    options = {"optimizer": OPTIMIZERS["bounded"], "batch_size": batch_size, "shuffle": shuffle}
    expected, _ = _trained(X, y, **options)
    monkeypatch.setattr("fastgd._engine.slices._SLICE_SECONDS", 1e-9)
    for entries in (0, 100, np.inf):
        monkeypatch.setattr(kernels.tuning, "ENTRIES_PER_PACKED_COLUMN", entries)
        np.testing.assert_array_equal(_trained(X, y, **options)[0], expected)


def test_the_loop_is_the_one_that_trains(monkeypatch):
    calls = []
    monkeypatch.setattr(AdagradCall, "__call__", lambda self, block, rates: calls.append(block.n_samples))
    X, _ = csr(N_ROWS, N_FEATURES)
    _trained(X, np.zeros(N_ROWS), gd.Adagrad(0.1), epochs=1)
    assert calls == [N_ROWS]


NONE, L2 = (regularization.Regularization(alpha, 0.0, *[None] * 4).settings(is_proximal=False) for alpha in (0.0, 0.1))


@pytest.mark.parametrize(
    ("optimizer", "regularization"),
    [
        (kernels.Bounded(False, 0.0, 0.0, 0.0, 1.0), NONE),
        (kernels.Bounded(True, 0.0, 0.1, 1e-10, 1.0), NONE),
        (kernels.optimizers.Adagrad(0.0, 0.1, 1e-10), NONE),
        (
            kernels.optimizers.Adagrad(0.0, 0.0, 1e-10),
            regularization.Regularization(0.1, 0.0, *[None] * 4).settings(is_proximal=False),
        ),
        (kernels.optimizers.PlainSGD(), NONE),
    ],
)
def test_what_takes_all_weights_or_has_no_squares_is_for_other_loops(optimizer, regularization):
    assert not is_for_adagrad(SimpleNamespace(optimizer=optimizer, regularization=regularization))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_entry_is_named_and_nothing_of_it_stays(bad, layout, monkeypatch):
    monkeypatch.setattr(kernels.tuning, "ENTRIES_PER_PACKED_COLUMN", LAYOUTS[layout])
    X, _ = csr(N_ROWS, N_FEATURES)
    y = np.random.default_rng(0).random(N_ROWS)
    row = int(np.flatnonzero(np.diff(X.indptr))[20])
    spoilt = X.copy()
    spoilt.data[X.indptr[row]] = bad
    # Of a ReLU at minus infinity, there is no trace in the loss.
    model = gd.Model([gd.Linear(N_FEATURES, 1), gd.ReLU()], dtype="float64", seed=3)
    trainer = gd.Trainer(model, optimizer=OPTIMIZERS["bounded"])
    with pytest.raises(ValueError, match=rf"X holds {bad} .* row {row}, column {X.indices[X.indptr[row]]}"):
        trainer.fit(spoilt, y)
    expected = gd.Model([gd.Linear(N_FEATURES, 1), gd.ReLU()], dtype="float64", seed=3)
    again = gd.Trainer(expected, optimizer=OPTIMIZERS["bounded"])
    again.fit(X[:row], y[:row])
    np.testing.assert_array_equal(model.parameters, expected.parameters)
    # The loop goes on from there as if nothing had been.
    trainer.fit(X, y)
    again.fit(X, y)
    np.testing.assert_array_equal(model.parameters, expected.parameters)
