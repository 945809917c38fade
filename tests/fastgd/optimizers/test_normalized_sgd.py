"""NormalizedSGD: scales, means and units make no difference; weights it begins with."""

import pickle

import numpy as np
import pytest
from cases import model_of, rows_for
from optimizer_formulas import (
    absolute_derivatives,
    assert_same_path,
    gradient_of,
    normalize,
    normalized_sgd,
    write_into,
)

import fastgd as gd
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline


@pytest.mark.parametrize("n_more", [2, 3000])
@pytest.mark.parametrize("name", ["linear neuron", "hidden layer"])
def test_rows_of_no_weight_are_not_there_in_a_full_batch_of_normalized_sgd(name, n_more):
    """However many micro-batches they fill."""
    model, twin = model_of(name), model_of(name)
    X, y, _ = rows_for(model, 50)
    sample_weight = np.append(np.ones(50), np.zeros(n_more))
    gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=None).fit(X, y, epochs=20)
    trainer = gd.Trainer(twin, optimizer=gd.NormalizedSGD(), batch_size=None)
    rows = np.arange(50 + n_more) % 50
    trainer.fit(X[rows], y[rows], epochs=20, sample_weight=sample_weight)
    np.testing.assert_allclose(twin.parameters, model.parameters, rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize(
    "layers",
    [
        [gd.Linear(5, 1, init="zeros")],
        [gd.Linear(5, 1, bias=False, init="zeros"), gd.ReLU()],
        [gd.Linear(5, 7, init="zeros"), gd.ReLU(), gd.Linear(7, 2)],
    ],
    ids=["linear", "neuron", "hidden layer"],
)
def test_normalized_sgd_sees_no_scales(layers, batch_size, dtype):
    """Powers of two scale without rounding, so not a bit may change."""
    model, twin = gd.Model(layers, dtype=dtype), gd.Model(layers, dtype=dtype)
    X, y, sample_weight = rows_for(model, 60)
    X[:20, 3] = 0
    scales = np.array([2.0**-20, 2.0**20, 1, 2.0**-7, 2.0**11])
    for scaled, rows in ((model, X), (twin, X * scales)):
        trainer = gd.Trainer(scaled, optimizer=gd.NormalizedSGD(), batch_size=batch_size)
        trainer.fit(rows, y, epochs=3, sample_weight=sample_weight)
    assert np.ptp(model.predict(X)) > 0.1, "nothing was learnt"
    np.testing.assert_array_equal(twin.predict(X * scales), model.predict(X))
    np.testing.assert_array_equal(twin.layers[0].weight * scales, model.layers[0].weight)


def test_normalized_sgd_in_a_batch_of_several_micro_batches():
    """It sees a micro-batch's rows before its forward pass; the second one has rows to make every weight shrink."""
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 1500)
    X[1024:] = 3 * X[1024:] + 2
    layers, w = baseline.as_reference(model), model.parameters.tolist()
    state = {"layers": [model.layers[0], model.layers[2]], "is linear": False, "is drawn": True}
    state |= {"eps": float(np.finfo(model.dtype).eps), "derivatives": [np.zeros(7), np.zeros(2)]}
    total = np.zeros(len(w))
    for rows in (slice(0, 1024), slice(1024, 1500)):
        weights = [1.0] * len(X[rows])
        normalize(w, state, X[rows].tolist(), weights)
        write_into(layers, w)
        part = absolute_derivatives(layers, X[rows].tolist(), y[rows].tolist(), weights)
        for sums, more in zip(state["derivatives"], part, strict=True):
            sums += np.multiply(more, len(weights) / 1500)
        reference.loss_and_gradient(layers, X[rows].tolist(), y[rows].tolist(), weights)
        total += np.multiply(gradient_of(layers), len(X[rows]) / 1500)
    normalized_sgd(gd.NormalizedSGD(), w, total.tolist(), state, 1)
    gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=1500).fit(X, y)
    assert_same_path(model.parameters, w, "float64")


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("name", ["linear neuron", "hidden layer"])
def test_normalized_sgd_sees_no_means(name, batch_size):
    assert_means_make_no_difference(model_of(name), model_of(name), batch_size)


LIMITS = {
    "L2": {"alpha": 0.1},
    "L1": {"alpha": 0.1, "l1_ratio": 1.0},
    "both": {"alpha": 0.1, "l1_ratio": 0.5},
    "max_norm": {"max_norm": 0.3},
    "clip_value": {"clip_value": 0.1},
    "clip_norm": {"clip_norm": 0.1},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_normalized_sgd_sees_no_means_with_a_limit(batch_size, limits):
    layers = [gd.Linear(5, 1, init="zeros")]
    assert_means_make_no_difference(gd.Model(layers, "float64"), gd.Model(layers, "float64"), batch_size, **limits)


def assert_means_make_no_difference(model, twin, batch_size, **settings):
    X, y, sample_weight = rows_for(model, 60)
    X[:20, 3] = 0
    moved = X + np.array([0, -3, 10, 7, -100])
    for shown, rows in ((model, X), (twin, moved)):
        trainer = gd.Trainer(shown, optimizer=gd.NormalizedSGD(), batch_size=batch_size, **settings)
        trainer.fit(rows, y, epochs=3, sample_weight=sample_weight)
    assert np.ptp(model.predict(X)) > 0.1, "nothing was learnt"
    np.testing.assert_allclose(twin.predict(moved), model.predict(X), rtol=1e-6, atol=1e-9)


def test_averages_of_normalized_sgd_see_no_means():
    averages = []
    for offset in (0, 50):
        model = model_of("linear neuron")
        X, y, _ = rows_for(model, 60)
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4, average_from=3)
        trainer.fit(X + offset, y, epochs=3)
        averages.append(trainer.averaged_model().predict(X + offset))
    np.testing.assert_allclose(averages[1], averages[0], rtol=1e-8)


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_normalized_sgd_sees_no_unit_of_the_weights(factor):
    """Many updates, so that the rate falls."""
    results = []
    for scale in (1, factor):
        model = model_of("linear neuron")
        X, y, sample_weight = rows_for(model, 400)
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=2)
        trainer.fit(X, y, epochs=10, sample_weight=scale * sample_weight)
        results.append(model.parameters)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-8)


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_normalized_sgd_needs_a_linear_first(name):
    layers = model_of(name).layers
    for first in (gd.ReLU(), gd.Tanh(), gd.Identity(), gd.Dropout(0.5)):
        with pytest.raises(ValueError, match=r"NormalizedSGD with .*expected Linear as the first layer"):
            gd.Trainer(gd.Model([first, *layers]), optimizer=gd.NormalizedSGD())
    gd.Trainer(gd.Model([gd.Standardize(5), *layers]), optimizer=gd.NormalizedSGD())


@pytest.mark.parametrize("around", [{}, {"alpha": 0.1}, {"alpha": 0.1, "l1_ratio": 0.5}], ids=str)
def test_normalized_sgd_takes_a_feature_that_is_always_zero(around, dtype):
    model = model_of("hidden layer", dtype)
    X, y, _ = rows_for(model, 60)
    X[:, 2] = 0
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4, **around).fit(X, y, epochs=3)
    assert history.loss[-1] < history.loss[0]


OLD_WEIGHTS = {
    "set by hand": lambda model, w: setattr(model.layers[0], "weight", w),
    "given": lambda model, w: gd.Model([gd.Linear(3, 1, init=w)], "float64"),
    "loaded": lambda model, w: gd.Model.restore(model.architecture(), {"0.weight": w, "0.bias": np.zeros(1)}),
    "trained": lambda model, w: gd.Trainer(model, optimizer=gd.SGD(1e-7)).step(np.eye(3), np.ones(3)) and None,
}


STARTS = OLD_WEIGHTS | {
    "drawn": lambda model, w: model,
    "zeros": lambda model, w: gd.Model([gd.Linear(3, 1, init="zeros")], "float64"),
}


@pytest.mark.parametrize("source", OLD_WEIGHTS)
def test_normalized_sgd_keeps_weights_that_are_not_fresh(source):
    """At a rate of zero nothing changes them."""
    model = gd.Model([gd.Linear(3, 1)], dtype="float64", seed=5)
    model = OLD_WEIGHTS[source](model, np.array([[2e-3, 0.5, -30]])) or model
    X = np.array([[0, 1, 0], [1e3, -1, 0], [-1e3, 0, 1e-3], [0, 0.5, -1e-3]])
    before = model.parameters.copy()
    gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).fit(X, np.ones(4))
    np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("source", STARTS)
def test_normalized_sgd_survives_a_scale_that_grows(source, batch_size):
    """First rows that hardly differ, in one feature, make a weight that longer rows would multiply."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 3))
    X[:40, 1] *= 1e-9
    y = X @ [1, 0.5, -1]
    model = gd.Model([gd.Linear(3, 1)], dtype="float64", seed=5)
    model = STARTS[source](model, np.array([[0.5, 0.5, 0.5]])) or model
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=batch_size).fit(X, y, epochs=5)
    assert history.loss[0] < y.var()
    assert model.loss(X, y) < 0.05 * y.var()


@pytest.mark.parametrize("part", [0.0, 1e-3])
def test_normalized_sgd_shrinks_what_it_has_added_alone(part):
    """What it began with means the same to rows of any length, and at their mean, so does what it has learnt."""
    start = np.array([[2.0, -1.0]])
    model = gd.Model([gd.Linear(2, 1, init=start, bias=[0.5])], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(part))
    X = np.array([[1.0, 0.5], [2.0, 3.0], [0.0, 1.0]])
    trainer.step(X, np.zeros(3))
    learnt, bias = model.layers[0].weight - start, model.layers[0].bias.copy()
    before, m = trainer.optimizer_state["s"][:2].copy(), X.mean(axis=0)
    trainer._run.engine.rates._schedule = gd.schedules.Constant(0.0)
    row = np.array([[41.0, -7.0]])
    trainer.step(row, [0.0])
    after, m_after = trainer.optimizer_state["s"][:2], np.vstack([X, row]).mean(axis=0)
    assert (after > 2 * before).all()
    kept = learnt * before / after
    np.testing.assert_allclose(model.layers[0].weight, start + kept, rtol=1e-13)
    np.testing.assert_allclose(model.layers[0].bias, bias + learnt @ m - kept @ m_after, rtol=1e-13)


def test_normalized_sgd_takes_over_from_another_optimizer():
    X = np.random.default_rng(0).choice([-1.0, 1.0], (200, 3)) * [1e3, 1, 1e-3]
    y = X @ [1e-3, 2, -1e3] + 1
    model = gd.Model([gd.Linear(3, 1)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4)
    trainer.fit(X, y, epochs=20)
    trainer.optimizer = gd.NormalizedSGD(0.01)
    assert trainer.fit(X, y).loss[-1] < 1e-2 * trainer.history.loss[0]


@pytest.mark.parametrize("copied", ["as it is", "pickled", "saved"])
def test_normalized_sgd_knows_fresh_weights(copied, tmp_path):
    """One feature of 1000 divides its weight by 1000 before the first forward pass."""
    model = gd.Model([gd.Linear(1, 1)], seed=7, dtype="float64")
    drawn = float(model.layers[0].weight[0, 0])
    if copied == "pickled":
        model = pickle.loads(pickle.dumps(model))
    elif copied == "saved":
        gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).save(tmp_path / "run")
        model = gd.Trainer.load(tmp_path / "run").model
    gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).step([[1000.0]], [0.0])
    assert model.layers[0].weight[0, 0] == pytest.approx(drawn / 1000)
