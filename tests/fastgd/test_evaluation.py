"""Losses and gradients of few rows: at once, in a network that is kept from call to call."""

import copy
import threading

import numpy as np
import pytest
from cases import ARCHITECTURES, built, model_of, rows_for
from loss_cases import CASES

import fastgd as gd
from fastgd import evaluation, network

NETWORK = [gd.Linear(5, 7), gd.Tanh(), gd.Linear(7, 2)]


def both(model, *given, **settings):
    return model.loss(*given, **settings), *model.loss_and_gradient(*given, **settings)


def assert_same(found, expected):
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, other)


@pytest.fixture
def block_by_block(monkeypatch):
    """A call with rows that come block by block."""

    def call(*given, **settings):
        with monkeypatch.context() as patched:
            patched.setattr(evaluation, "rows_at_once", lambda *_: None)
            return both(*given, **settings)

    return call


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n_rows", [1, 3, 50, 2500])
def test_any_number_of_rows(name, n_rows, block_by_block, dtype):
    model = model_of(name, dtype)
    X, y, weight = rows_for(model, n_rows)
    for given in ((X, y), (X.astype(np.float64), y.tolist())):
        for sample_weight in (None, weight):
            assert_same(
                both(model, *given, sample_weight=sample_weight),
                block_by_block(model, *given, sample_weight=sample_weight),
            )


@pytest.mark.parametrize("loss", CASES)
def test_every_loss(loss, block_by_block):
    model = built(NETWORK)
    X, y, weight = rows_for(model, 40)
    given = X, CASES[loss].target(np.round(8 * y) / 8, 2)
    settings = {"loss": CASES[loss].loss, "sample_weight": weight}
    assert_same(both(model, *given, **settings), block_by_block(model, *given, **settings))


@pytest.mark.parametrize("layers", [[gd.Standardize(5), *NETWORK], [*NETWORK, gd.StandardizedTargets(2)]])
def test_what_is_standardized(layers, block_by_block):
    model = built(layers)
    X, y, _ = rows_for(model, 40)
    gd.Trainer(model, optimizer=gd.SGD(1e-3), batch_size=8).fit(X, 3 * y + 1)
    assert_same(both(model, X, y), block_by_block(model, X, y))


def test_a_call_knows_the_parameters_of_the_moment():
    model = built(NETWORK)
    X, y, _ = rows_for(model, 20)
    before = both(model, X, y)
    given = model.parameters.copy()
    for assign in (
        lambda: setattr(model, "parameters", 2 * given),
        lambda: setattr(model.layers[0], "weight", 3 * np.ones((7, 5))),
        lambda: model.layers[2].bias.__setitem__(0, 9.0),
        lambda: gd.Trainer(model, optimizer=gd.SGD(0.01)).step(X, y),
    ):
        assign()
        fresh = gd.Model(NETWORK, "float64")
        fresh.parameters = model.parameters
        assert_same(both(model, X, y), both(fresh, X, y))
        assert model.loss(X, y) != before[0]
    assert_same(model.loss_and_gradient(X, y, parameters=given), before[1:])


def test_a_call_knows_the_settings_of_the_moment():
    model = built([gd.Linear(5, 7), gd.LeakyReLU(0.1), gd.Linear(7, 2)])
    X, y, _ = rows_for(model, 20)
    before = both(model, X, y)
    model.layers[1].slope = 0.5
    fresh = built([gd.Linear(5, 7), gd.LeakyReLU(0.5), gd.Linear(7, 2)])
    assert_same(both(model, X, y), both(fresh, X, y))
    assert model.loss(X, y) != before[0]
    np.testing.assert_array_equal(model.predict(X), fresh.predict(X))


def test_gradients_are_the_callers_own():
    model = built(NETWORK)
    X, y, _ = rows_for(model, 20)
    _, first = model.loss_and_gradient(X, y)
    kept = first.copy()
    _, second = model.loss_and_gradient(-X, y)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    assert (first != second).any()


def test_threads_do_not_share_a_network():
    model = built([gd.Linear(5, 64), gd.Tanh(), gd.Linear(64, 2)])
    X, y, _ = rows_for(model, 900)
    expected = [both(model, (k + 1) * X, y) for k in range(6)]
    found = [[] for _ in expected]

    def call(k):
        found[k].extend(both(model, (k + 1) * X, y) for _ in range(30))

    threads = [threading.Thread(target=call, args=(k,)) for k in range(len(expected))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, results in enumerate(found):
        assert len(results) == 30
        for result in results:
            assert_same(result, expected[k])


BAD = {"X": (np.nan, np.inf, -np.inf), "y": (np.nan, np.inf), "sample_weight": (np.nan, -1.0)}


@pytest.mark.parametrize("layers", [NETWORK, [gd.ReLU(), *NETWORK], [gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 2)]])
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_bad_rows_are_named(layers, name, value, weight):
    model = built(layers)
    given = dict(zip(("X", "y", "sample_weight"), rows_for(model, 30), strict=True))
    given["sample_weight"][11] = weight
    good = both(model, **given)
    bad = {key: array.copy() for key, array in given.items()}
    bad[name][11] = value
    for call in (model.loss, model.loss_and_gradient):
        with pytest.raises(ValueError, match=rf"{name} holds .* in row 11"):
            call(**bad)
    assert_same(both(model, **given), good)


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        ("cross_entropy", 2),
        ("cross_entropy", -1),
        ("cross_entropy", 0.5),
        ("hinge", 0),
        ("poisson", -1),
        ("log_loss", 2),
    ],
)
def test_targets_that_the_loss_does_not_take(loss, value):
    model = built(NETWORK)
    X = rows_for(model, 30)[0]
    y = np.ones((30, 1 if loss == "cross_entropy" else 2))
    model.loss_and_gradient(X, y, loss)
    y[11] = value
    for call in (model.loss, model.loss_and_gradient):
        with pytest.raises(ValueError, match="in row 11; "):
            call(X, y, loss)


@pytest.mark.slow
def test_finite_rows_that_overflow(block_by_block):
    model = built(NETWORK, "float32")
    X, y, _ = rows_for(model, 20)
    found = both(model, X, 1e30 * y)
    assert found[0] == np.inf or found[0] > 1e38
    assert_same(found, block_by_block(model, X, 1e30 * y))


def test_few_networks_are_kept():
    model, wide = built(NETWORK), gd.Model([gd.Linear(5, 2000), gd.ReLU(), gd.Linear(2000, 1)])
    for n_rows in range(1, 100):
        X, y, _ = rows_for(model, n_rows)
        both(model, X, y)
    kept = [one for networks in model.idle_networks.values() for one in networks]
    assert 0 < len(kept) <= network._MOST_SIZES
    wide.loss(*rows_for(wide, 1000)[:2])
    assert not any(wide.idle_networks.values())
    assert copy.deepcopy(model).idle_networks == {}
