"""SGD and Adagrad with bounded steps against their formula in NumPy, and what they must hold."""

import numpy as np
import pytest
from bounded_cases import MODELS, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_products import share_every_product

import fastgd as gd
from fastgd._engine import slices as engine
from fastgd.data import reader as dataset
from fastgd.losses import as_loss, kind_of
from fastgd.schedules.formulas import as_schedule

# A ReLU behind bounded steps is tried with any targets.
pytestmark = pytest.mark.filterwarnings("ignore:targets go down to")

SCHEDULE = gd.schedules.Step(0.5, 7, gamma=0.8)
ALL = {"lr_decay": 0.1, "weight_decay": 0.2, "initial_accumulator_value": 0.3, "eps": 1e-3}

TOLERANCE = {"float32": 2e-3, "float64": 1e-10}


def bounded_by_formula(model, loss, optimizer, batches, l2=0.0, last_rows=None):
    """The parameters after each batch of rows X, y, v in float64; last_rows of each are what Δz is taken of."""
    w = model.parameters.astype(np.float64)
    linear = next(layer for layer in model.layers if isinstance(layer, gd.Linear))
    shape = linear.out_features, linear.in_features
    n_weights = shape[0] * shape[1]
    of_weights = np.arange(w.size) < n_weights
    exact = gd.Model(model.layers, "float64")
    is_scaled = isinstance(optimizer, gd.Adagrad)
    G, t, path = np.full(w.size, optimizer.initial_accumulator_value if is_scaled else 0.0), 0, []
    for X, y, v in batches:
        if v.any():
            t += 1
            _, g = exact.loss_and_gradient(X, y, as_loss(loss), v, parameters=w)
            g += l2 * of_weights * w + optimizer.weight_decay * w
            G += g**2
            s = g / (np.sqrt(G) + optimizer.eps) if is_scaled else g
            seen = slice(None) if last_rows is None else slice(last_rows, None)
            change = X[seen] @ s[:n_weights].reshape(shape).T + (s[n_weights:] if linear.has_bias else 0)
            c = kind_of(as_loss(loss)).curvature * (v[seen] * (change**2).sum(axis=1)).mean()
            c += l2 * (of_weights * s**2).sum() + optimizer.weight_decay * (s**2).sum()
            rate = float(as_schedule(optimizer.learning_rate)(np.array([float(t)]))[0])
            rate /= 1 + (t - 1) * (optimizer.lr_decay if is_scaled else 0)
            if s @ g > 0:
                w = w - rate / (1 + rate * c / (s @ g)) * s
        path.append(w)
    return path


BOUNDED = {
    "Adagrad": gd.Adagrad(0.7, bounded=True),
    "Adagrad, schedule": gd.Adagrad(SCHEDULE, bounded=True),
    "Adagrad, all": gd.Adagrad(0.5, bounded=True, **ALL),
    "SGD": gd.SGD(0.7, bounded=True),
    "SGD, all": gd.SGD(SCHEDULE, weight_decay=0.2, bounded=True),
}


@pytest.mark.parametrize("setting", BOUNDED)
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", MODELS)
def test_steps_are_the_formula(name, batch_size, setting, dtype):
    layers, loss = MODELS[name]
    optimizer, l2 = BOUNDED[setting], 0.05 if "all" in setting else 0.0
    model = gd.Model(layers, dtype, seed=1)
    X, y, v = rows_of(name, 60)
    batches = [tuple(array[k : k + batch_size] for array in (X, y, v)) for k in range(0, 60, batch_size)]
    path = bounded_by_formula(model, loss, optimizer, batches, l2)
    trainer = gd.Trainer(model, loss, optimizer, batch_size, alpha=l2)
    trainer.fit(X, y, sample_weight=v)
    np.testing.assert_allclose(model.parameters, path[-1], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert trainer.n_updates == sum(bool(batch[2].any()) for batch in batches)


@pytest.mark.parametrize("kind", [gd.SGD, gd.Adagrad])
@pytest.mark.parametrize("name", ["neuron", "eight classes"])
def test_a_batch_of_several_chunks_is_bounded_by_its_last(name, kind):
    """All are of one size but for a row or two."""
    layers, loss = MODELS[name]
    model = gd.Model(layers, "float64", seed=1)
    n_rows = 2 * model.micro_batch_rows + 1
    X, y, v = rows_of(name, n_rows)
    optimizer = kind(0.7, bounded=True)
    path = bounded_by_formula(model, loss, optimizer, 5 * [(X, y, v)], last_rows=2 * -(-n_rows // 3))
    gd.Trainer(model, loss, optimizer, batch_size=None).fit(X, y, epochs=5, sample_weight=v)
    np.testing.assert_allclose(model.parameters, path[-1], rtol=1e-10, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["neuron", "neuron without a bias", "log_loss", "three outputs", "eight classes"]),
    seed=st.integers(0, 1000),
    n_rows=st.integers(1, 40),
    rate=st.sampled_from([1e-3, 0.3, 10, 1e6]),
    long=st.sampled_from([1, 100, 1e6]),
    l2=st.sampled_from([0, 0.1]),
    kind=st.sampled_from([gd.SGD, gd.Adagrad]),
)
def test_no_step_raises_the_loss_of_its_batch(name, seed, n_rows, rate, long, l2, kind):
    layers, loss = MODELS[name]
    X, y, _ = rows_of(name, n_rows, seed)
    X[seed % n_rows] *= long
    model = gd.Model(layers, "float64", seed=seed)
    trainer = gd.Trainer(model, loss, kind(rate, bounded=True), alpha=l2)

    def objective():
        return model.loss(X, y, loss) + l2 / 2 * (model.layers[0].weight ** 2).sum()

    for _ in range(3):
        before = objective()
        trainer.step(X, y)
        assert objective() <= before * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("layers", [[gd.Linear(5, 1)], [gd.Linear(5, 3)]], ids=["neuron", "three outputs"])
def test_a_huge_rate_makes_the_best_step_of_a_row(layers):
    """Along g / √G, squared errors of one row and one output end at zero."""
    X, y, _ = rows_of("neuron" if layers[0].out_features == 1 else "three outputs", 1)
    model = gd.Model(layers, "float64", seed=1)
    before = model.loss(X, y)
    gd.Trainer(model, optimizer=gd.Adagrad(1e12, bounded=True)).fit(X, y)
    assert model.loss(X, y) < (1e-12 if layers[0].out_features == 1 else 1) * before


def test_full_batches_are_the_steepest_descent():
    X, y, _ = rows_of("neuron", 300)
    y += X @ np.ones((5, 1))
    model = gd.Model([gd.Standardize(5), gd.Linear(5, 1)], "float64")
    trainer = gd.Trainer(model, optimizer="auto", batch_size=None)
    trainer.fit(X, y)
    assert trainer.optimizer == gd.SGD("auto", bounded=True)
    Z, r = (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean()
    g = -(Z.T @ r)[:, 0] / 300
    step = g @ g / ((Z @ g) ** 2).mean()
    np.testing.assert_allclose(model.layers[1].weight[0], -step / (1 + step / 100) * g, rtol=1e-9)


@pytest.mark.parametrize("kind", [gd.SGD, gd.Adagrad])
def test_rows_that_are_sorted_wreck_no_full_batch(kind):
    """The last micro-batch, of which the bound is taken, is of rows that are all much shorter than the others."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 3)) * np.geomspace(100, 0.01, 4000)[:, None]
    y = X @ np.ones(3)
    model = gd.Model([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model, optimizer=kind("auto", bounded=True), batch_size=None)
    trainer.fit(X, y, epochs=30)
    assert model.loss(X, y) < 0.5 * y.var() / 2


def test_no_row_is_too_long():
    """A category of one row in 2000, standardised: as long as 45 others."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.standard_normal((2000, 3)), np.arange(2000)[:, None] == 700])
    y = X[:, 0] + 5 * X[:, 3]
    model = gd.Model([gd.Standardize(4), gd.Linear(4, 1)])
    history = gd.Trainer(model, optimizer="auto").fit(X, y, epochs=5)
    assert (history.setbacks, history.loss[0] < 1) == ([], True)
    assert model.loss(X, y) < 0.01


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_where_there_is_no_slope_there_is_no_step(batch_size, dtype):
    model = gd.Model([gd.Linear(3, 1)], dtype, seed=1)
    X = np.ones((20, 3))
    y = model.predict(X)
    before = model.parameters.copy()
    gd.Trainer(model, optimizer=gd.Adagrad(0.3, bounded=True), batch_size=batch_size).fit(X, y)
    np.testing.assert_allclose(model.parameters, before, atol=1e-6)
    gd.Trainer(model, optimizer=gd.Adagrad(0.3, bounded=True), batch_size=batch_size).fit(0 * X, y)
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("name", ["neuron", "eight classes"])
def test_the_unit_of_weights_is_none_of_the_steps(name, dtype):
    layers, loss = MODELS[name]
    X, y, _ = rows_of(name, 50)
    found = []
    for unit in (1, 2.0**20):
        model = gd.Model(layers, dtype, seed=1)
        optimizer = gd.Adagrad(0.3, bounded=True, eps=1e-30)
        gd.Trainer(model, loss, optimizer, batch_size=8).fit(X, y, sample_weight=np.full(50, unit))
        found.append(model.parameters.copy())
    np.testing.assert_allclose(*found, rtol=1e-4 if dtype == "float32" else 1e-9)


@pytest.mark.slow
def test_long_sums_of_squares_go_on_growing():
    model = gd.Model([gd.Linear(1, 1, bias=False, init=np.zeros((1, 1)))], "float32")
    trainer = gd.Trainer(model, optimizer=gd.Adagrad(0.0, bounded=True, initial_accumulator_value=1.0))
    trainer.fit(np.full((200_000, 1), 1e-4), np.ones(200_000))
    np.testing.assert_allclose(trainer.optimizer_state["G"], 1 + 200_000 * 1e-8, rtol=1e-5)


def trained(name, batch_size, dtype, source="float64", path=None):
    layers, loss = MODELS[name]
    X, y, v = rows_of(name, 300)
    X = np.abs(X).astype(source)
    trainer = gd.Trainer(
        gd.Model(layers, dtype, seed=1), loss, gd.Adagrad(SCHEDULE, bounded=True), batch_size, shuffle=True, seed=5
    )
    for _ in range(2):
        trainer.fit(X, y, sample_weight=v)
        if path is not None:
            trainer.save(path)
            trainer = gd.Trainer.load(path)
    return trainer.model.parameters.tobytes(), trainer.history.loss


WAYS = [("neuron", 1), ("neuron", 7), ("neuron", None), ("eight classes", 1), ("eight classes", 7)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch_size"), WAYS)
def test_neither_slices_nor_blocks_nor_files_change_a_bit(name, batch_size, dtype, monkeypatch, tmp_path):
    whole = trained(name, batch_size, dtype)
    assert trained(name, batch_size, dtype, path=tmp_path / "run") == whole
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert trained(name, batch_size, dtype) == whole
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 500)
    assert trained(name, batch_size, dtype) == whole


@pytest.mark.parametrize("kind", [gd.SGD, gd.Adagrad])
def test_any_number_of_threads_takes_the_same_steps(kind, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 300), np.float32), rng.standard_normal((40, 129), np.float32)
    results = []
    for workers in (1, 3):
        share_every_product(monkeypatch, workers)
        model = gd.Model([gd.Linear(300, 129)])
        gd.Trainer(model, optimizer=kind(0.3, bounded=True), batch_size=8).fit(X, y, epochs=2)
        results.append(model.parameters)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("source", ["uint8", *(pytest.param(s, marks=pytest.mark.slow) for s in ("float16", "int64"))])
def test_rows_in_place_are_as_converted(source, dtype):
    given, _ = trained("neuron", 7, dtype, source)
    X, y, v = rows_of("neuron", 300)
    model = gd.Model(MODELS["neuron"][0], dtype, seed=1)
    X = np.abs(X).astype(source).astype("float64")
    trainer = gd.Trainer(model, optimizer=gd.Adagrad(SCHEDULE, bounded=True), batch_size=7, shuffle=True, seed=5)
    trainer.fit(X, y, epochs=2, sample_weight=v)
    expected = np.frombuffer(given, dtype)
    np.testing.assert_allclose(model.parameters, expected, rtol=1e-3 if dtype == "float32" else 1e-10)


LIMITS = [{"alpha": 0.1, "l1_ratio": 1.0}, {"clip_norm": 0.1}, {"clip_value": 0.1}, {"max_norm": 0.5}]


@pytest.mark.parametrize("limits", [*LIMITS, {"average_from": 3}], ids=str)
@pytest.mark.parametrize("kind", [gd.SGD, gd.Adagrad])
@pytest.mark.parametrize("name", ["neuron", "eight classes"])
def test_with_regularisation(name, kind, limits):
    layers, loss = MODELS[name]
    X, y, _ = rows_of(name, 200)
    model = gd.Model([gd.Standardize(5), *layers], seed=1)
    trainer = gd.Trainer(model, loss, kind(0.3, bounded=True), batch_size=8, **limits)
    history = trainer.fit(X, y, epochs=5)
    assert history.loss[-1] < history.loss[0]
    weight = model.layers[1].weight
    assert (weight != 0).any()
    if "max_norm" in limits:
        assert (np.linalg.norm(weight, axis=1) <= 0.5 + 1e-6).all()
    if "l1_ratio" in limits:
        assert (weight == 0).any()
    if "average_from" in limits:
        assert np.isfinite(trainer.averaged_model().parameters).all()


@pytest.mark.parametrize("kind", [gd.SGD, gd.Adagrad])
def test_a_penalty_goes_by_the_step_and_not_by_the_rate(kind):
    X = np.random.default_rng(0).standard_normal((500, 5))
    y = X @ [1.0, 2, 0, 0, 3]
    model = gd.Model([gd.Linear(5, 1)])
    trainer = gd.Trainer(model, optimizer=kind(100.0, bounded=True), batch_size=None, alpha=0.1, l1_ratio=1.0)
    trainer.fit(X, y, epochs=50)
    np.testing.assert_allclose(model.layers[0].weight[0], [0.9, 1.9, 0, 0, 2.9], atol=0.1)
