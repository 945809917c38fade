"""Training on standardised targets, and what is learnt of them."""

import itertools

import numpy as np
import pytest
from cases import built, rounding
from standardized_targets import LAYERS, OwnDataset, assert_learnt, by_hand, same_trainers

import fastgd as gd
from fastgd.data import reader as datasets
from fastgd.model_data import rows_without_X


def _mapped(X, y, weight, folder):
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    maps = (np.load(folder / name, mmap_mode="r") for name in ("X.npy", "y.npy"))
    return gd.data.ArrayDataset(*maps, weight)


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
# Each kind in four ways, or a neuron's in two, the next in the next ones; the quick ones in one, and need few loops of
# neurons.
CASES = [
    pytest.param(*kind, *way, marks=pytest.mark.slow if j != 5 * i % 16 or kind in KINDS[1:9] else [])
    for i, kind in enumerate(KINDS)
    for j, way in enumerate(WAYS)
    if j % (8 if kind[0] == "neuron" else 4) == 5 * i % (8 if kind[0] == "neuron" else 4)
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
