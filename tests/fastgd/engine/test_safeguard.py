"""What keeps learning_rate="auto" from wrecking a model."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from loss_cases import CASES, made

import fastgd as gd
from fastgd import kernels
from fastgd._engine.learning_rate_search import largest_rate
from fastgd._engine.safeguard import LongestRows, best_constant
from fastgd.data import ArrayDataset
from fastgd.history import Setback
from fastgd.losses import as_loss


def test_longest_rows(rng):
    X = rng.standard_normal((5000, 3))
    weight = rng.integers(0, 3, 5000)
    X[[7, 4000]] *= 1000
    for v in (None, weight):
        sizes = ((X**2).sum(1) + 1) * (1 if v is None else v)
        longest = LongestRows(ArrayDataset(X, np.ones(5000), v), np.dtype("float64"))
        assert longest.largest == pytest.approx(sizes.max(), rel=1e-14)
        np.testing.assert_array_equal(np.sort(longest.indices), np.sort(np.argsort(sizes)[-2048:]))


def test_rows_of_weight_zero_are_none_of_the_longest():
    data = ArrayDataset(np.array([[1.0], [9], [2]]), np.ones(3), [1, 0, 1])
    longest = LongestRows(data, np.dtype("float32"))
    assert (sorted(longest.indices), longest.largest) == ([0, 2], 5)


def test_row_squares_do_not_overflow_in_float32():
    out = np.empty(2)
    kernels.row_squares(np.full((2, 3), 1e30, np.float32), out)
    np.testing.assert_allclose(out, 3e60, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("is_weighted", "by_target"), [(False, False), (True, False), (True, True)])
def test_the_best_constant_is_the_best(name, is_weighted, by_target, rng):
    """No other on either side gives a smaller loss, in float64."""
    case = CASES[name]
    X, y = made(case, 60, 3)
    v = rng.integers(0, 4, 60) if is_weighted else None
    loss = as_loss(case.loss)
    rows = ArrayDataset(X, y, v).targets(np.dtype("float64"))
    constant, least = best_constant(rows, loss, 3, by_target)
    model = gd.Model([gd.Linear(X.shape[1], 3, init="zeros", bias=constant)], dtype="float64")
    assert model.loss(X, y, loss=loss, sample_weight=v) == pytest.approx(least, rel=1e-12)
    for step in (1e-3, -1e-3):
        for k in range(3):
            bias = constant.copy()
            bias[k] += step
            model.layers[0].bias = bias
            assert model.loss(X, y, loss=loss, sample_weight=v) >= least - 1e-12 * abs(least)


def test_the_best_constant_of_a_squared_error_is_the_mean(rng):
    y = 1e6 + rng.standard_normal((100, 2))
    constant, _ = best_constant(ArrayDataset(y, y).targets(y.dtype), as_loss("half_squared_error"), 2)
    np.testing.assert_allclose(constant, y.mean(0), rtol=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "loss", "batch_rows", "expected"),
    [
        (gd.SGD("auto"), "half_squared_error", 1, 2 / 50),
        (gd.SGD("auto"), "log_loss", 1, 8 / 50),
        (gd.SGD("auto"), "half_squared_error", 10, 20 / 50),
        (gd.SGD("auto", momentum=0.9), "half_squared_error", 1, 0.2 / 50),
        (gd.SGD("auto"), "half_squared_error", 1000, math.inf),
        (gd.SGD("auto"), "absolute_error", 1, math.inf),
        (gd.Adam("auto"), "half_squared_error", 1, math.inf),
    ],
)
def test_largest_rate(optimizer, loss, batch_rows, expected):
    assert largest_rate(optimizer, as_loss(loss), 50.0, batch_rows, 1000) == pytest.approx(expected)


def rows_with_a_rare_category(n_samples=3000, seed=0):
    """One row of a category of its own: standardised, it is as long as all others together."""
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.standard_normal((n_samples, 4)), np.zeros((n_samples, 2))])
    X[[n_samples // 2], 4] = 1
    X[:2, 5] = 1
    y = X[:, :4] @ [1.0, -2, 0.5, 3] + 20 * X[:, 4] + rng.standard_normal(n_samples)
    return X, y


@pytest.mark.parametrize("batch_size", [1, 32, 256, None])
@pytest.mark.parametrize("optimizer", [gd.SGD, gd.Adam, gd.Adagrad], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("hidden", [(), (16,)], ids=str)
@pytest.mark.parametrize("scale", [1, 1e6])
def test_rare_categories_wreck_no_model(batch_size, optimizer, hidden, scale):
    """On the rows learnt from, none is worse than the mean."""
    X, y = rows_with_a_rare_category()
    widths = [6, *hidden, 1]
    layers = [gd.Standardize(6)]
    for n_in, n_out in pairwise(widths):
        layers += [gd.Linear(n_in, n_out), gd.ReLU()]
    model = gd.Model(layers[:-1], dtype="float64")
    gd.Trainer(model, optimizer=optimizer("auto"), batch_size=batch_size, shuffle=True).fit(X, scale * y, epochs=5)
    assert model.loss(X, scale * y) < 1.01 * np.var(scale * y) / 2


@pytest.fixture
def explosive(monkeypatch):
    """A search that finds far too large a rate."""
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(30.0, 10**9)
    )


@pytest.mark.parametrize("batch_size", [1, 8])
def test_an_epoch_that_goes_wrong_is_taken_back_and_slowed_down(batch_size, explosive, tmp_path):
    X, y = rows_with_a_rare_category(400)
    trainer = gd.Trainer(gd.Model([gd.Linear(6, 1)]), optimizer=gd.SGD("auto"), batch_size=batch_size)
    history = trainer.fit(X, y, epochs=3)
    assert 1 <= len(history.setbacks) < 8
    assert [setback.epoch for setback in history.setbacks] == [1] * len(history.setbacks)
    assert [setback.learning_rate_factor for setback in history.setbacks] == [
        0.25**k for k in range(1, len(history.setbacks) + 1)
    ]
    assert trainer.learning_rate_factor == 0.25 ** len(history.setbacks)
    assert len(history) == 3
    assert trainer.n_updates == 3 * -(-400 // batch_size)
    assert trainer.model.loss(X, y) < np.var(y) / 2
    twin = gd.Trainer(
        gd.Model([gd.Linear(6, 1)]), optimizer=gd.SGD(30 * trainer.learning_rate_factor), batch_size=batch_size
    )
    twin.fit(X, y, epochs=3)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    trainer.save(tmp_path / "run")
    for again in (gd.Trainer.load(tmp_path / "run"), pickle.loads(pickle.dumps(trainer))):
        assert again.history == history
        assert type(again.history.setbacks[0]) is Setback


def test_where_nothing_can_be_learnt_the_model_is_as_good_as_the_best_constant(monkeypatch):
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(1e30, 10**9)
    )
    X, y = rows_with_a_rare_category(400)
    model = gd.Model([gd.Linear(6, 4), gd.ReLU(), gd.Linear(4, 1)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=8)
    with pytest.warns(RuntimeWarning, match=r"epoch 1 has taught the model nothing .*: see history.setbacks") as caught:
        trainer.fit(X, y + 100)
    assert caught[0].filename == __file__
    assert model.loss(X, y + 100) <= np.var(y) / 2 * (1 + 1e-6)
    np.testing.assert_allclose(np.median(model.predict(X)), y.mean() + 100, rtol=1e-3)
    assert len(trainer.history.setbacks) == 8


@pytest.mark.parametrize("ends_in_relu", [False, True])
def test_a_model_that_is_too_sure_keeps_its_order(ends_in_relu, monkeypatch):
    """Its loss is above the best constant's, as its outputs are far too large; but it knows which rows have more."""
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(0.0, 10**9)
    )
    X = np.random.default_rng(0).standard_normal((400, 1))
    y = X[:, 0] + 5
    layers = [gd.Linear(1, 1, init=[[50.0]], bias=[5.0])] + [gd.ReLU()] * ends_in_relu
    model = gd.Model(layers, dtype="float64")
    monkeypatch.setattr("fastgd._engine.safeguard.Safeguard._is_good", lambda *_: True)
    gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=8).fit(X, y)
    assert 0 < model.layers[0].weight[0, 0] < 2
    assert model.loss(X, y) < 0.01 * np.var(y)


def test_an_epoch_too_short_to_get_there_leaves_the_best_constant():
    """One update from random weights is not enough, and is not worse than the mean all the same."""
    X, y = rows_with_a_rare_category(400)
    model = gd.Model([gd.Linear(6, 4), gd.ReLU(), gd.Linear(4, 1)], dtype="float64", seed=3)
    gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=None).fit(X, y + 100)
    assert model.loss(X, y + 100) <= np.var(y) / 2 * (1 + 1e-3)


def test_the_search_is_timed():
    X, y = rows_with_a_rare_category(400)
    trainer = gd.Trainer(gd.Model([gd.Linear(6, 1)]), optimizer=gd.SGD("auto"))
    assert trainer.fit(X, y).search_seconds > 0
    assert gd.Trainer(gd.Model([gd.Linear(6, 1)])).fit(X, y).search_seconds == 0


def test_a_bad_row_is_named_as_ever(rng):
    X, y = rng.standard_normal((5000, 3)), rng.standard_normal(5000)
    X[4321, 1] = np.nan
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD("auto"))
    with pytest.raises(ValueError, match=r"X holds nan .* in row 4321, column 1"):
        trainer.fit(X, y)


@pytest.mark.parametrize("loss", ["half_squared_error", "cross_entropy"])
def test_a_bad_target_that_no_sample_finds_is_named_as_ever(loss, rng):
    """At the end all rows would be judged by, of which one is bad."""
    X, y = rng.standard_normal((70_000, 3)), rng.integers(0, 2, 70_000).astype(float)
    rows = np.linspace(0, 69_999, (1 << 15) - 2048).astype(np.int64)
    row = int(np.setdiff1d(np.arange(35_000, 35_100), rows)[0])
    X[row] = 0
    y[row] = np.nan if loss == "half_squared_error" else -1
    model = gd.Model([gd.Linear(3, 1 if loss == "half_squared_error" else 2)])
    trainer = gd.Trainer(model, loss, gd.SGD("auto"), batch_size=1)
    with pytest.raises(ValueError, match=rf"y holds .* in row {row}"):
        trainer.fit(X, y)
    assert np.isfinite(model.parameters).all()


@pytest.mark.slow
def test_a_loss_below_zero_may_stay_as_it_was(rng, monkeypatch):
    """As that of Poisson counts may be, here of a model worse than the best constant, and at a rate of zero."""
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(0.0, 10**9)
    )
    X, y = rng.standard_normal((3000, 3)), rng.poisson(20.0, 3000)
    model = gd.Model([gd.Linear(3, 1, init="zeros", bias=[2.5])], dtype="float64")
    assert model.loss(X, y, loss="poisson") < 0
    history = gd.Trainer(model, "poisson", gd.SGD("auto"), batch_size=32).fit(X, y, sample_weight=np.ones(3000))
    assert history.setbacks == []
    np.testing.assert_allclose(model.layers[0].bias, np.log(y.mean()), rtol=1e-6)
