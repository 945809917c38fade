"""Standardised targets: what is learnt of them, the training on them, and the way back to the user's units."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from cases import built, rounding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import fastgd as gd
from fastgd.data import reader as datasets
from fastgd.metrics import score
from fastgd.model_data import rows_without_X

LAYERS = {
    "neuron": [gd.Linear(3, 1)],
    "hidden layer": [gd.Linear(3, 6), gd.Tanh(), gd.Linear(6, 2)],
    "Dropout and Identity last": [gd.Linear(3, 6), gd.ReLU(), gd.Linear(6, 2), gd.Dropout(0.25), gd.Identity()],
}


def assert_learnt(layer, y, weight=None):
    """Mean and scale are those of y, summed in extended precision."""
    exact = np.asarray(y, np.longdouble).reshape(len(y), -1)
    weight = np.ones(len(y), np.longdouble) if weight is None else np.asarray(weight, np.longdouble)
    mean = np.average(exact, axis=0, weights=weight)
    deviation = np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=weight))
    assert layer.mean.dtype == layer.scale.dtype == np.float64
    assert layer.mean.shape == layer.scale.shape == mean.shape
    largest = np.abs(exact).max(0)
    np.testing.assert_allclose((layer.mean - mean) / largest, 0, atol=rounding(np.float64, 100))
    error = rounding(np.float64, 100) + rounding(np.float64, 1) * largest / deviation
    np.testing.assert_allclose((layer.scale / deviation - 1) / error, 0, atol=1)


def by_hand(layer, y):
    """The targets that a plain model is to learn."""
    return (np.asarray(y, np.float64).reshape(len(y), -1) - layer.mean) * (
        1 / np.where(layer.scale > 0, layer.scale, 1)
    )


def same_trainers(layers, dtype="float64", **settings):
    """One that standardises targets, and one for targets that were; their models begin with the same parameters."""
    models = built(layers, dtype), built(layers, dtype)
    return gd.Trainer(models[0], standardize_targets=True, **settings), gd.Trainer(models[1], **settings)


def _mapped(X, y, weight, folder):
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    maps = (np.load(folder / name, mmap_mode="r") for name in ("X.npy", "y.npy"))
    return gd.data.ArrayDataset(*maps, weight)


class OwnDataset(gd.Dataset):
    """A user's: rows can be read, and no more."""

    def __init__(self, X, y, weight):
        self.X, self.y, self.weight = X, y, weight
        self.n_samples, self.n_features, self.n_outputs = *X.shape, y.shape[1]
        self.has_sample_weight, self.dtype = weight is not None, X.dtype

    def read(self, rows, out):
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        out.X[:n], out.y[:n] = self.X[rows], self.y[rows]
        if self.weight is not None:
            out.sample_weight[:n] = self.weight[rows]


SOURCES = {
    "float64": lambda X, y: (X, y),
    "float32": lambda X, y: (X.astype(np.float32), y),
    "float16": lambda X, y: (X.astype(np.float16), y),
    "bytes": lambda X, y: (np.abs(2 * X).astype(np.uint8), y),
    "Fortran order": lambda X, y: (np.asfortranarray(X), np.asfortranarray(y)),
    "float32 targets": lambda X, y: (X, y.astype(np.float32)),
    "integers as targets": lambda X, y: (X, (10 * y).astype(np.int32)),
}
# Each dtype of X has neurons' loops of its own to compile, and networks have none.
KINDS = [("neuron", 7, source) for source in SOURCES]
KINDS += [("neuron", 1, "bytes"), ("neuron", 1, "float32"), ("neuron", None, "float64")]
KINDS += [(name, batch_size, "float64") for name in list(LAYERS)[1:] for batch_size in (1, 7, None)]
KINDS += [("hidden layer", 7, source) for source in list(SOURCES)[1:]]
WAYS = list(itertools.product(["float64", "float32"], *[[False, True]] * 3))
# The quick ones take each kind in one way, and need few loops of neurons.
CASES = [
    pytest.param(*kind, *way, marks=pytest.mark.slow if j != 5 * i % 16 or kind in KINDS[1:9] else [])
    for i, kind in enumerate(KINDS)
    for j, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("name", "batch_size", "source", "dtype", "shuffle", "is_weighted", "is_large"), CASES)
def test_training_is_that_on_targets_standardised_by_hand(
    name, batch_size, source, dtype, shuffle, is_weighted, is_large, rng, monkeypatch
):
    y = 300 * rng.standard_normal((50, 1 if name == "neuron" else 2)) + 1e5
    X, y = SOURCES[source](rng.standard_normal((50, 3)), y)
    weight = rng.uniform(0, 2, 50) if is_weighted else None
    if is_large:
        monkeypatch.setattr(datasets, "_CONVERTED_BYTES", 0)
    settings = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 3}
    trainer, plain = same_trainers(LAYERS[name], dtype, **settings)
    history = trainer.fit(X, y, sample_weight=weight, epochs=2, validation=(X[:9], y[:9]))
    layer = trainer.model.layers[-1]
    assert_learnt(layer, y, weight)
    # Not contiguous, they are converted block by block where those of the other are.
    z = np.repeat(by_hand(layer, y), 2, axis=0)[::2]
    expected = plain.fit(X, z, sample_weight=weight, epochs=2, validation=(X[:9], z[:9]))
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    assert history.loss == expected.loss
    assert history.validation_loss == expected.validation_loss
    assert trainer.step(X[:9], y[:9]) == plain.step(X[:9], z[:9])
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    outputs = plain.model.predict(X).astype(np.float64) * layer.scale + layer.mean
    predictions = trainer.model.predict(X)
    assert predictions.dtype == dtype
    np.testing.assert_array_equal(predictions, outputs.astype(dtype))
    np.testing.assert_array_equal(trainer.model.predict(X, dtype="float64"), outputs)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("name", "n_bytes", "dtype"),
    [("neuron", 200, "float64"), ("neuron", 4 << 20, "float64"), ("hidden layer", 1, "float32")],
)
@pytest.mark.parametrize("kind", [_mapped, OwnDataset], ids=["memory-mapped", "a user's own"])
def test_every_data_set_gives_the_same_bits(kind, n_bytes, name, shuffle, dtype, rng, tmp_path, monkeypatch):
    """What was learnt may differ in the last bit, block by block; what is done with it may not."""
    y = rng.standard_normal((90, LAYERS[name][-1].out_features)) + 1e8
    X, weight = rng.standard_normal((90, 3)).astype(dtype), rng.uniform(0, 2, 90)
    learnt = gd.StandardizedTargets(y.shape[1]).fit(y, weight)
    results = []
    for source in (gd.data.ArrayDataset(X, y, weight), kind(X, y, weight, *([tmp_path] if kind is _mapped else []))):
        model = built([*LAYERS[name], learnt], dtype)
        trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4, shuffle=shuffle)
        losses = trainer.fit(source, epochs=2).loss
        loss, gradient = model.loss_and_gradient(source)
        results.append((model.parameters, losses, np.array([model.loss(source), loss, *gradient])))
        monkeypatch.setattr(datasets, "_BLOCK_BYTES", n_bytes)
    (parameters, losses, sums), (others, other_losses, other_sums) = results
    np.testing.assert_array_equal(parameters, others)
    assert losses == other_losses
    # Sums over blocks of other sizes are rounded in other places.
    np.testing.assert_allclose(sums, other_sums, rtol=rounding(dtype, 20), atol=rounding(dtype, 20))


@pytest.mark.parametrize(("batch_size", "dtype"), [(1, "float32"), (16, "float64")])
def test_synthetic_rows(batch_size, dtype):
    data = gd.data.synthetic(500, 3, dtype=dtype)
    trainer, plain = same_trainers(LAYERS["neuron"], dtype, optimizer=gd.SGD(0.01), batch_size=batch_size)
    trainer.fit(data, epochs=2, validation=data)
    X, y = data.arrays()
    assert_learnt(trainer.model.layers[-1], y)
    plain.fit(X, by_hand(trainer.model.layers[-1], y), epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    assert trainer.history.loss == plain.history.loss


def test_held_out_rows_teach_nothing(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model, seed=4, standardize_targets=True)
    trainer.fit(X, y, validation=0.25)
    held_out = np.sort(np.random.default_rng([4, 0, 1]).permutation(40)[:10])
    kept = np.delete(np.arange(40), held_out)
    layer = model.layers[-1]
    assert_learnt(layer, y[kept])
    np.testing.assert_array_equal(model.layers[0].mean, gd.Standardize(3).fit(X[kept]).mean)
    residuals = model.predict(X[held_out]) - y[held_out, None]
    assert trainer.history.validation_loss[0] == pytest.approx(0.5 * np.mean((residuals / layer.scale) ** 2))


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_targets_of_any_size_and_offset(size, offset, dtype, rng):
    """As good in all units as in one, in float32, too: 1 - 2 · loss is R²."""
    X = rng.standard_normal((300, 3))
    t = X @ [1, -2, 0.5] + 0.1 * rng.standard_normal(300)
    y = size * (t + offset)
    trainer, _ = same_trainers(LAYERS["neuron"], dtype, optimizer=gd.SGD(0.02), batch_size=4)
    loss = trainer.fit(X, y, epochs=5).loss[-1]
    assert loss < 0.01
    exact = trainer.model.predict(X, dtype="float64").ravel()
    r2 = 1 - np.mean(((exact - y) / size) ** 2) / np.var(y / size)
    assert r2 == pytest.approx(1 - 2 * trainer.model.loss(X, y), rel=1e-6)
    assert score(trainer.model, gd.data.ArrayDataset(X, y), trainer.loss) == ("R²", pytest.approx(r2, rel=1e-12))
    assert r2 > 0.99
    if dtype == "float64" or size == 1:
        np.testing.assert_array_equal(trainer.model.predict(X).ravel(), exact.astype(dtype))


UNITS = [(1, 0), (2.0**20, 0), (2.0**-100, 0), (1e6, 0), (1e-30, 0), (1e30, 100), (1e-6, 1e4)]
OPTIMIZERS = [gd.SGD("auto"), gd.NormalizedSGD(), gd.Adam("auto")]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
@pytest.mark.parametrize(("name", "dtype"), [("neuron", "float64"), ("hidden layer", "float32")])
def test_units_make_no_difference(optimizer, name, dtype, rng):
    """A power of two changes not a bit, and another unit or an origin far away nothing but rounding."""
    X = rng.standard_normal((300, 3))
    t = X @ rng.standard_normal((3, LAYERS[name][-1].out_features)) + 0.1 * rng.standard_normal((300, 1))
    found = []
    for unit, offset in UNITS:
        settings = {"optimizer": optimizer, "batch_size": 16, "shuffle": True}
        trainer, _ = same_trainers(LAYERS[name], dtype, **settings)
        trainer.fit(X, unit * (t + offset), epochs=2)
        found.append((trainer.model.predict(X, dtype="float64") / unit - offset, trainer.learning_rate))
    expected, expected_rate = found[0]
    for (unit, offset), (predictions, rate) in zip(UNITS[1:], found[1:], strict=True):
        is_exact = offset == 0 and np.frexp(unit)[0] == 0.5
        tolerance = 0 if is_exact else rounding(dtype, 200) + rounding("float64", 20 * (1 + offset))
        np.testing.assert_allclose(predictions, expected, rtol=0, atol=tolerance)
        assert rate == pytest.approx(expected_rate, rel=tolerance)


def test_predictions_beyond_float32_are_refused(rng):
    X, y = rng.standard_normal((30, 3)), 1e300 * rng.standard_normal(30)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32")
    trainer.fit(X, y)
    with pytest.raises(
        ValueError, match=r"a prediction is .*e\+\d+, more than float32 holds; expected predict\(X, dtype"
    ):
        trainer.model.predict(X)
    with pytest.raises(ValueError, match=r'folded parameters are more than float32 holds.*expected.*dtype="float64"'):
        trainer.model.fold()
    trainer.model.layers[-1].fit([1e308, -1e308, 1e308])
    trainer.model.parameters *= 1000
    with pytest.raises(ValueError, match=r"a prediction is -?inf, more than float64 holds; expected targets divided"):
        trainer.model.predict(X, dtype="float64")


def test_predictions_below_float32_are_refused(rng):
    X, y = rng.standard_normal((30, 3)), 1e-60 * rng.standard_normal(30)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32")
    trainer.fit(X, y)
    for call in (lambda: trainer.model.predict(X), trainer.model.fold):
        with pytest.raises(ValueError, match=r"targets of output 0 .* deviation of .*e-61, less than float32 holds"):
            call()
    assert np.abs(trainer.model.predict(X, dtype="float64")).max() > 1e-61


def test_predictions_in_another_dtype(rng):
    model = built(LAYERS["hidden layer"], "float32")
    X = rng.standard_normal((5, 3))
    np.testing.assert_array_equal(model.predict(X, dtype="float64"), model.predict(X))
    assert model.predict(X, dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match="dtype is 'int8'; expected one of float32, float64"):
        model.predict(X, dtype="int8")


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8 + 0.1, -1e300, 1e-300])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_a_target_that_does_not_vary_is_predicted_exactly(constant, optimizer, rng):
    X, y = rng.standard_normal((50, 3)), np.stack([np.full(50, constant), rng.permutation(np.arange(50.0))], axis=1)
    trainer, _ = same_trainers([gd.Linear(3, 2)], optimizer=optimizer)
    trainer.fit(X, y)
    model = trainer.model
    assert model.layers[-1].scale[0] == 0
    np.testing.assert_array_equal(model.predict(X)[:, 0], constant)
    np.testing.assert_array_equal(model.fold().predict(X)[:, 0], constant)
    model.layers[0].weight = 10
    assert model.predict(np.full((1, 3), 1e308))[0, 0] == constant
    # Other rows may have other targets: the loss has these in their own units.
    model.parameters = 0
    z = by_hand(model.layers[-1], y)[:, 1]
    assert model.loss(X, y + np.array([3 * max(1, abs(constant)), 0])) >= 4.5
    assert model.loss(X, y) == pytest.approx(0.5 * np.mean(z**2))


def test_learns_once(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40) + 5
    trainer, _ = same_trainers(LAYERS["neuron"])
    layer = trainer.model.layers[-1]
    assert layer.mean is None
    trainer.fit(X, y)
    mean, scale = layer.mean.copy(), layer.scale.copy()
    trainer.fit(X, 10 * y, epochs=2)
    trainer.step(X, -y)
    gd.Trainer(trainer.model, standardize_targets=True).fit(X, 3 * y)
    other = gd.Trainer(trainer.model)
    other.fit(X, 3 * y)
    assert other.standardize_targets
    assert trainer.model.layers[-1] is layer
    np.testing.assert_array_equal(layer.mean, mean)
    np.testing.assert_array_equal(layer.scale, scale)


def test_what_was_learnt_beforehand_stays_when_features_are_learnt(rng):
    X, y = rng.standard_normal((40, 3)) + 5, rng.standard_normal(40)
    model = built([gd.Standardize(3), gd.Linear(3, 1), gd.StandardizedTargets(1).fit(100 * y)])
    mean, scale = model.layers[-1].mean.copy(), model.layers[-1].scale.copy()
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, y)
    assert model.layers[0].mean is not None
    np.testing.assert_array_equal(model.layers[-1].mean, mean)
    np.testing.assert_array_equal(model.layers[-1].scale, scale)


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)), st.integers(-280, 280))
def test_there_and_back(y, exponent):
    """Standardised, y has mean 0 and variance 1, or is 0 where it does not vary; and then it is y again."""
    y = np.ldexp(y, exponent)
    layer = gd.StandardizedTargets(1).fit(y)
    z = by_hand(layer, y)
    if layer.scale[0] > 0:
        error = rounding("float64", 10) * (1 + np.abs(y).max() / layer.scale[0])
        assert np.mean(z) == pytest.approx(0, abs=error)
        assert np.std(z) == pytest.approx(1, abs=error)
    else:
        np.testing.assert_allclose(z, 0, atol=rounding("float64", 1) * np.abs(y).max())
    back = layer.predictions(z, np.dtype(np.float64))
    np.testing.assert_allclose(back.ravel(), y, rtol=0, atol=rounding("float64", 2) * np.abs(y).max())


@pytest.mark.parametrize("n_bytes", [1, 200, 4 << 20])
def test_fit_of_the_layer(n_bytes, rng, monkeypatch):
    monkeypatch.setattr(datasets, "_BLOCK_BYTES", n_bytes)
    y, weight = rng.standard_normal((40, 2)) * [1e-6, 1e6] + 5, rng.integers(0, 4, 40)
    for rows in (y, y.tolist(), np.asfortranarray(y)):
        layer = gd.StandardizedTargets(2)
        assert layer.fit(rows) is layer
        assert_learnt(layer, y)
    assert_learnt(gd.StandardizedTargets(1).fit(y[:, 0]), y[:, 0])
    # The inverse of a smaller deviation would be infinite.
    assert gd.StandardizedTargets(1).fit([0.0, 1e-309]).scale == 0
    assert_learnt(gd.StandardizedTargets(2).fit(y, sample_weight=weight), y, weight)
    assert_learnt(gd.StandardizedTargets(2).fit(gd.data.ArrayDataset(y, y, weight)), y, weight)
    for bad, error, message in (
        (y[:, 0], ValueError, r"y has shape \(40, 1\); expected \(n_samples, 2\)"),
        (3.0, ValueError, r"y has shape \(\); expected \(n_samples, 2\) with at least one row"),
        ([], ValueError, r"y has shape \(0,\); expected"),
        ("rows", TypeError, "y has dtype"),
        ([[1, np.nan]], ValueError, "y holds nan .*in row 0, column 1"),
    ):
        layer = gd.StandardizedTargets(2)
        with pytest.raises(error, match=message):
            layer.fit(bad)
        assert layer.mean is None


@pytest.mark.parametrize("optimizer", [gd.SGD(0.1), gd.SGD("auto"), gd.NormalizedSGD()], ids=repr)
def test_weights_that_are_all_zero_teach_nothing(optimizer, rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40) + 5
    runs = []
    for n_idle in (0, 2):
        trainer, _ = same_trainers([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], optimizer=optimizer, batch_size=7)
        if n_idle:
            assert trainer.fit(X, 1e300 * y, epochs=n_idle, sample_weight=np.zeros(40)).loss == [0, 0]
            assert trainer.model.layers[-1].mean is None
        trainer.fit(X, y, epochs=2)
        runs.append((trainer.model.parameters, trainer.learning_rate, trainer.model.layers[-1].mean))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "batch_size"), [("neuron", 1), ("neuron", None), ("hidden layer", 16), ("Dropout and Identity last", 16)]
)
def test_the_automatic_rate_is_measured_on_standardised_targets(name, batch_size, rng):
    X = rng.standard_normal((200, 3))
    y = 1e6 * (X @ rng.standard_normal((3, 1 if name == "neuron" else 2)) + 50)
    trainer, plain = same_trainers(LAYERS[name], "float32", optimizer=gd.SGD("auto"), batch_size=batch_size)
    trainer.fit(X, y, epochs=2)
    z = by_hand(trainer.model.layers[-1], y)
    plain.fit(X, z, epochs=2)
    assert trainer.learning_rate == plain.learning_rate
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    assert trainer.step(X[:40], y[:40]) == plain.step(X[:40], z[:40])
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)


def explosive(rate):
    """What takes the place of a search, and finds this rate."""
    return lambda *_, **__: gd.schedules.Cooldown(rate, 10**9)


@pytest.mark.parametrize("n_judged", [100, 1 << 15])
def test_an_epoch_that_goes_wrong_is_taken_back(n_judged, rng, monkeypatch):
    """As with targets standardised by hand, whether all rows are judged by or some."""
    monkeypatch.setattr("fastgd._engine.run.automatic_schedule", explosive(30.0))
    monkeypatch.setattr("fastgd._engine.safeguard._JUDGED", n_judged)
    monkeypatch.setattr("fastgd._engine.safeguard._LONGEST", 50)
    X, weight = rng.standard_normal((400, 3)), rng.uniform(0, 2, 400)
    y = 1e9 * (X @ [1.0, -2.0, 0.5] + 50)
    trainer, plain = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD("auto"), batch_size=8)
    history = trainer.fit(X, y, epochs=2, sample_weight=weight)
    expected = plain.fit(X, by_hand(trainer.model.layers[-1], y), epochs=2, sample_weight=weight)
    assert 1 <= len(history.setbacks) < 8
    assert history.setbacks == expected.setbacks
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    assert trainer.model.loss(X, y) < 0.1


def test_where_nothing_can_be_learnt_the_mean_is_predicted(rng, monkeypatch):
    monkeypatch.setattr("fastgd._engine.run.automatic_schedule", explosive(1e30))
    X, y = rng.standard_normal((400, 3)), rng.uniform(0, 1e-9, (400, 2)) + 1
    trainer, _ = same_trainers(LAYERS["hidden layer"], optimizer=gd.SGD("auto"), batch_size=8)
    with pytest.warns(RuntimeWarning, match="epoch 1 has taught the model nothing"):
        trainer.fit(X, y)
    predictions = trainer.model.predict(X)
    np.testing.assert_allclose((predictions - y.mean(axis=0)) / np.std(y, axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_all_rows_are_judged_at_last(unit, rng, monkeypatch):
    """A model that is worse than the mean, and stays so, is not what fit leaves behind."""
    monkeypatch.setattr("fastgd._engine.run.automatic_schedule", explosive(0.0))
    monkeypatch.setattr("fastgd._engine.safeguard._JUDGED", 100)
    monkeypatch.setattr("fastgd._engine.safeguard._LONGEST", 50)
    X, y = rng.standard_normal((400, 3)), unit * rng.standard_normal(400)
    trainer, _ = same_trainers(LAYERS["neuron"], optimizer=gd.SGD("auto"), batch_size=8)
    trainer.model.parameters = 100
    trainer.fit(X, y)
    np.testing.assert_allclose(trainer.model.predict(X) / unit, y.mean() / unit, atol=1e-6)


def test_a_data_set_of_ones_own_is_asked_for_targets_that_float32_cannot_hold_as_they_are(rng):
    data = OwnDataset(rng.standard_normal((60, 3)).astype(np.float32), 1e300 * rng.standard_normal((60, 1)), None)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD("auto"), batch_size=4)
    trainer.fit(data, validation=data)
    assert np.isfinite(trainer.model.predict(data, dtype="float64")).all()


@pytest.mark.parametrize("shape", [(60, 1), (60, 3)], ids=str)
@pytest.mark.parametrize("source", ["float64", "float32 targets", "integers as targets", "Fortran order"])
def test_targets_of_all_rows(shape, source, dtype, rng):
    X, y = SOURCES[source](rng.standard_normal((60, 3)), 100 * rng.standard_normal(shape) + 1e4)
    weight = rng.uniform(0, 2, 60)
    model = built([gd.Linear(3, shape[1]), gd.StandardizedTargets(shape[1]).fit(y)], dtype)
    for data in (gd.data.ArrayDataset(X, y, weight), OwnDataset(X, y, weight)):
        rows = rows_without_X(model, data)
        np.testing.assert_array_equal(rows.y, by_hand(model.layers[-1], y).astype(dtype))
        np.testing.assert_array_equal(rows.sample_weight, weight.astype(dtype))
        assert rows.y.dtype == rows.sample_weight.dtype == dtype


BAD = [
    ("neuron", np.nan, False, False, 0, "float32"),
    ("neuron", np.inf, True, True, 0, "float64"),
    ("neuron", -np.inf, False, True, 64 << 20, "float64"),
    ("hidden layer", np.inf, True, False, 64 << 20, "float32"),
    ("hidden layer", np.nan, True, True, 64 << 20, "float64"),
    ("hidden layer", np.nan, False, False, 0, "float64"),
]


@pytest.mark.parametrize(("name", "value", "is_learnt", "shuffle", "converted_bytes", "dtype"), BAD)
def test_the_bad_row_is_named(name, value, is_learnt, shuffle, converted_bytes, dtype, rng, monkeypatch):
    """In y or X, while targets are learnt and after; nothing is learnt from such data."""
    monkeypatch.setattr(datasets, "_CONVERTED_BYTES", converted_bytes)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 1 if name == "neuron" else 2))
    trainer, _ = same_trainers(LAYERS[name], dtype, shuffle=shuffle, optimizer=gd.SGD(0.001))
    if is_learnt:
        trainer.fit(X, y)
    before = trainer.model.parameters.copy()
    bad_y, bad_X = y.copy(), X.copy()
    bad_y[33, -1] = bad_X[21, 2] = value
    column = "" if name == "neuron" else ", column 1"
    with pytest.raises(ValueError, match=rf"y holds {value} .*in row 33{column}; expected finite numbers"):
        trainer.fit(X, bad_y)
    with pytest.raises(ValueError, match=rf"X holds {value} .*in row 21, column 2; expected finite numbers"):
        trainer.fit(bad_X, y)
    with pytest.raises(ValueError, match=rf"validation: y holds {value} .*in row 33{column}"):
        trainer.fit(X, y, validation=(X, bad_y))
    if is_learnt:
        with pytest.raises(ValueError, match=rf"y holds {value} .*in row 33{column}"):
            trainer.model.loss(X, bad_y)
    else:
        assert trainer.model.layers[-1].mean is None
        np.testing.assert_array_equal(trainer.model.parameters, before)
        assert trainer.n_updates == 0


def test_a_bad_weight_is_named_beside_targets_that_float32_cannot_hold(rng):
    X, y, weight = rng.standard_normal((50, 3)), 1e300 * rng.standard_normal(50), np.ones(50)
    weight[17] = -1
    model = built([*LAYERS["neuron"], gd.StandardizedTargets(1).fit(y)], "float32")
    with pytest.raises(ValueError, match=r"sample_weight holds -1.0 in row 17"):
        gd.Trainer(model, optimizer=gd.SGD("auto")).fit(X, y, sample_weight=weight)


def test_validation_data_that_float32_could_not_hold_is_no_bad_data(rng):
    X, y = rng.standard_normal((50, 3)), 1e300 * rng.standard_normal(50)
    trainer, plain = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD(0.01))
    history = trainer.fit(X, y, validation=(X, y))
    z = by_hand(trainer.model.layers[-1], y)
    assert history.validation_loss == plain.fit(X, z, validation=(X, z)).validation_loss


def test_one_batch_is_too_few_rows_to_learn_from(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    trainer, plain = same_trainers(LAYERS["neuron"])
    before = trainer.model.parameters.copy()
    with pytest.raises(
        ValueError, match=r"StandardizedTargets layer has no mean and scale yet.*expected model.layers\[-1\].fit\(y\)"
    ):
        trainer.step(X[:2], y[:2])
    np.testing.assert_array_equal(trainer.model.parameters, before)
    layer = trainer.model.layers[-1].fit(y)
    assert trainer.step(X[:2], y[:2]) == plain.step(X[:2], by_hand(layer, y[:2]))
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)


def test_nothing_is_predicted_before_targets_were_learnt():
    model = built([gd.Linear(3, 1), gd.StandardizedTargets(1)])
    for call in (
        lambda: model.predict(np.ones((2, 3))),
        lambda: model.loss(np.ones((2, 3)), np.ones(2)),
        lambda: model.loss_and_gradient(np.ones((2, 3)), np.ones(2)),
        lambda: model.fold(),
    ):
        with pytest.raises(
            ValueError, match="the StandardizedTargets layer has no mean and scale yet; train the model"
        ):
            call()


def test_the_gradient_is_that_of_standardised_targets(rng):
    X, y, weight = rng.standard_normal((30, 3)), 50 * rng.standard_normal((30, 2)) + 9, rng.uniform(0, 2, 30)
    layer = gd.StandardizedTargets(2).fit(y)
    model, plain = built([*LAYERS["hidden layer"], layer]), built(LAYERS["hidden layer"])
    loss, gradient = model.loss_and_gradient(X, y, "huber", weight)
    expected, plain_gradient = plain.loss_and_gradient(X, by_hand(layer, y), "huber", weight)
    assert loss == expected == pytest.approx(model.loss(X, y, "huber", weight))
    np.testing.assert_array_equal(gradient, plain_gradient)


REFUSED_LOSSES = ["poisson", "log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron", "cross_entropy"]


@pytest.mark.parametrize("loss", REFUSED_LOSSES)
def test_losses_whose_targets_are_not_any_number_are_refused(loss):
    model = gd.Model([gd.Linear(3, 2)])
    message = f"loss is '{loss}', whose targets are .*expected a loss of regression with standardised targets, one of "
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, loss, standardize_targets=True)
    assert repr(model) == repr(gd.Model([gd.Linear(3, 2)]))
    standardizing = gd.Model([gd.Linear(3, 2), gd.StandardizedTargets(2)])
    for call in (
        lambda: gd.Trainer(standardizing, loss),
        lambda: standardizing.loss(np.ones((4, 3)), np.ones((4, 2)), loss),
        lambda: standardizing.loss_and_gradient(np.ones((4, 3)), np.ones((4, 2)), loss),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_losses_of_regression_are_taken():
    for loss in set(gd.losses.LOSSES) - set(REFUSED_LOSSES):
        assert gd.Trainer(gd.Model([gd.Linear(3, 2)]), loss, standardize_targets=True).standardize_targets


@pytest.mark.parametrize("last", [gd.ReLU(), gd.LeakyReLU(), gd.Tanh(), gd.Sigmoid()], ids=repr)
def test_models_that_end_in_an_activation_are_refused(last):
    for end in ([last], [last, gd.Dropout()], [last, gd.Identity()]):
        model = gd.Model([gd.Linear(3, 1), *end])
        before = repr(model)
        with pytest.raises(
            ValueError, match=rf"the model ends in {type(last).__name__}\(.*expected a Linear at its end"
        ):
            gd.Trainer(model, standardize_targets=True)
        assert repr(model) == before


def test_other_errors():
    model = gd.Model([gd.Linear(3, 1)])
    with pytest.raises(TypeError, match="standardize_targets is 1; expected True or False"):
        gd.Trainer(model, standardize_targets=1)
    trainer = gd.Trainer(model)
    assert trainer.standardize_targets is False
    with pytest.raises(AttributeError, match="standardize_targets is fixed when a Trainer is made"):
        trainer.standardize_targets = True
    for layers, message in (
        ([gd.Linear(3, 2), gd.StandardizedTargets(1)], r"layers\[1\] is StandardizedTargets\(1\); expected it last, "),
        ([gd.StandardizedTargets(3), gd.Linear(3, 2)], r"layers\[0\] is StandardizedTargets\(3\); expected it last, "),
        ([gd.StandardizedTargets(2)], "expected at least one Linear"),
    ):
        with pytest.raises(ValueError, match=message):
            gd.Model(layers)
    with pytest.raises(ValueError, match="n_outputs is 0; expected at least 1"):
        gd.StandardizedTargets(0)


@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.parametrize(
    ("first", "optimizer", "dtype"),
    [([], gd.SGD("auto"), "float32"), ([gd.Standardize(3)], gd.NormalizedSGD(), "float64")],
    ids=["targets alone", "features too"],
)
def test_it_is_kept(first, optimizer, dtype, is_learnt, rng, tmp_path):
    X, y = rng.standard_normal((30, 3)), 10 * rng.standard_normal((30, 2)) + 50
    layers = [*first, gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 2)]
    trainer, _ = same_trainers(layers, dtype, optimizer=optimizer, batch_size=4, shuffle=True)
    model = trainer.model
    assert repr(model) == f"Model([{', '.join(map(repr, [*layers, gd.StandardizedTargets(2)]))}], dtype={dtype!r})"
    if is_learnt:
        trainer.fit(X, y)
        index = len(model.layers) - 1
        assert {f"{index}.mean", f"{index}.scale"} <= set(model.tensors())
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "run")
    runs = gd.Trainer.load(tmp_path / "run"), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    copies = gd.Model.load(tmp_path / "model"), gd.Model.load(tmp_path / "run"), pickle.loads(pickle.dumps(model))
    for copied in (*copies, copy.deepcopy(model), *(run.model for run in runs)):
        assert repr(copied) == repr(model)
        if is_learnt:
            np.testing.assert_array_equal(copied.layers[-1].mean, model.layers[-1].mean)
            np.testing.assert_array_equal(copied.layers[-1].scale, model.layers[-1].scale)
            np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        else:
            assert copied.layers[-1].mean is None
    trainer.fit(X, y, epochs=2)
    for run in runs:
        assert run.standardize_targets
        run.fit(X, y)
        run.fit(X, y)
        np.testing.assert_array_equal(run.model.parameters, trainer.model.parameters)
        assert run.history.loss == trainer.history.loss


def test_averaged_models_predict_in_the_same_units(rng):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60) + 1e4
    trainer, _ = same_trainers(LAYERS["neuron"], average_from=1)
    trainer.fit(X, y)
    averaged = trainer.averaged_model()
    np.testing.assert_array_equal(averaged.layers[-1].mean, trainer.model.layers[-1].mean)
    assert np.abs(averaged.predict(X) - 1e4).max() < 100


FOLDED = {
    "neuron": [gd.Linear(3, 1)],
    "hidden layer": [gd.Linear(3, 6, bias=False), gd.Tanh(), gd.Linear(6, 2)],
    "Dropout and Identity last": LAYERS["Dropout and Identity last"],
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("standardizes_features", [False, True])
def test_fold(name, standardizes_features, dtype, rng, tmp_path):
    X = rng.standard_normal((60, 3))
    y = 1e-3 * rng.standard_normal((60, 1 if name == "neuron" else 2)) + 1e-2
    first = [gd.Standardize(3)] if standardizes_features else []
    trainer, _ = same_trainers([*first, *FOLDED[name]], dtype, optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    before = trainer.model.parameters.copy()
    folded = trainer.model.fold()
    assert [type(layer) for layer in folded.layers] == [type(layer) for layer in FOLDED[name]]
    assert folded.dtype == dtype
    expected = trainer.model.predict(X)
    np.testing.assert_allclose(folded.predict(X), expected, rtol=0, atol=rounding(dtype, 40) * np.abs(expected).max())
    folded.save(tmp_path / "folded")
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "folded").predict(X), folded.predict(X))
    folded.parameters = 0
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_fold_of_a_linear_without_a_bias(rng):
    """It gets one, for the mean of the targets."""
    X, y = rng.standard_normal((60, 3)) + 7, rng.standard_normal(60) + 50
    for layers in (
        [gd.Standardize(3), gd.Linear(3, 1, bias=False)],
        [gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1, bias=False)],
    ):
        trainer, _ = same_trainers(layers)
        trainer.fit(X, y)
        np.testing.assert_allclose(trainer.model.fold().predict(X), trainer.model.predict(X), rtol=1e-12)


def test_fold_refuses_what_stands_between_features_and_linear(rng):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    trainer, _ = same_trainers([gd.Standardize(3), gd.Tanh(), gd.Linear(3, 1)])
    trainer.fit(X, y)
    with pytest.raises(ValueError, match="expected Standardize, then Linear, to fold"):
        trainer.model.fold()
