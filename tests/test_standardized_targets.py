"""Standardised targets: what is learnt of them, the training on them, and the way back to the user's units."""

import copy
import pickle

import numpy as np
import pytest
from cases import built, rounding

import fastgd as gd
from fastgd import dataset as datasets

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
    np.testing.assert_allclose((layer.scale * deviation - 1) / error, 0, atol=1)


def by_hand(layer, y):
    """The targets that a plain model is to learn."""
    return (np.asarray(y, np.float64).reshape(len(y), -1) - layer.mean) * layer.scale


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
CASES = [("neuron", 7, source) for source in SOURCES]
CASES += [("neuron", 1, "bytes"), ("neuron", 1, "float32"), ("neuron", None, "float64")]
CASES += [(name, batch_size, "float64") for name in list(LAYERS)[1:] for batch_size in (1, 7, None)]
CASES += [("hidden layer", 7, source) for source in list(SOURCES)[1:]]


@pytest.mark.parametrize(("name", "batch_size", "source"), CASES)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_large", [False, True], ids=["converted once", "converted block by block"])
def test_training_is_that_on_targets_standardised_by_hand(
    name, batch_size, source, shuffle, is_weighted, is_large, dtype, rng, monkeypatch
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
    outputs = plain.model.predict(X).astype(np.float64) / layer.scale + layer.mean
    predictions = trainer.model.predict(X)
    assert predictions.dtype == dtype
    np.testing.assert_array_equal(predictions, outputs.astype(dtype))
    np.testing.assert_array_equal(trainer.model.predict(X, dtype="float64"), outputs)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
@pytest.mark.parametrize("n_bytes", [1, 200, 4 << 20])
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


@pytest.mark.parametrize("batch_size", [1, 16])
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
    assert trainer.history.validation_loss[0] == pytest.approx(0.5 * np.mean((residuals * layer.scale) ** 2))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e8])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_targets_of_any_size_and_offset(size, offset, source, dtype, rng):
    """As good in all units as in one, in float32, too: 1 - 2 · loss is R²."""
    X = rng.standard_normal((300, 3))
    t = X @ [1, -2, 0.5] + 0.1 * rng.standard_normal(300)
    y = size * (t + offset)
    trainer, _ = same_trainers(LAYERS["neuron"], dtype, optimizer=gd.SGD(0.02), batch_size=4)
    loss = trainer.fit(X.astype(source), y, epochs=5).loss[-1]
    assert loss < 0.01
    exact = trainer.model.predict(X.astype(source), dtype="float64").ravel()
    r2 = 1 - np.mean(((exact - y) / size) ** 2) / np.var(y / size)
    assert r2 == pytest.approx(1 - 2 * trainer.model.loss(X.astype(source), y), rel=1e-6)
    assert r2 > 0.99
    if dtype == "float64" or 1e-30 <= size * (1 + offset) <= 1e38:
        np.testing.assert_array_equal(trainer.model.predict(X.astype(source)).ravel(), exact.astype(dtype))


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


def test_predictions_in_another_dtype(rng):
    model = built(LAYERS["hidden layer"], "float32")
    X = rng.standard_normal((5, 3))
    np.testing.assert_array_equal(model.predict(X, dtype="float64"), model.predict(X))
    assert model.predict(X, dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match="dtype is 'int8'; expected one of float32, float64"):
        model.predict(X, dtype="int8")


@pytest.mark.parametrize("constant", [0.0, 7.0, 1e8 + 0.1, -1e300])
def test_a_target_that_does_not_vary(constant, rng):
    X, y = rng.standard_normal((50, 3)), np.stack([np.full(50, constant), np.arange(50.0)], axis=1)
    trainer, _ = same_trainers([gd.Linear(3, 2, init="zeros")], optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    layer = trainer.model.layers[-1]
    assert layer.scale[0] == 1
    np.testing.assert_allclose(layer.mean[0], constant, rtol=1e-15)


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
    for given in (y, y.tolist(), np.asfortranarray(y)):
        layer = gd.StandardizedTargets(2)
        assert layer.fit(given) is layer
        assert_learnt(layer, y)
    assert_learnt(gd.StandardizedTargets(1).fit(y[:, 0]), y[:, 0])
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


@pytest.mark.parametrize("batch_size", [1, 16, None])
@pytest.mark.parametrize("name", LAYERS)
def test_the_automatic_rate_is_measured_on_standardised_targets(name, batch_size, rng):
    X = rng.standard_normal((200, 3))
    y = 1e6 * (X @ rng.standard_normal((3, 1 if name == "neuron" else 2)) + 50)
    trainer, plain = same_trainers(LAYERS[name], "float32", optimizer=gd.SGD("auto"), batch_size=batch_size)
    trainer.fit(X, y, epochs=2)
    plain.fit(X, by_hand(trainer.model.layers[-1], y), epochs=2)
    assert trainer.learning_rate == plain.learning_rate
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)


@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("converted_bytes", [0, 32 << 20])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_the_bad_row_is_named(name, is_learnt, shuffle, converted_bytes, value, dtype, rng, monkeypatch):
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
@pytest.mark.parametrize("first", [[], [gd.Standardize(3)]], ids=["targets alone", "features too"])
def test_it_is_kept(first, is_learnt, dtype, rng, tmp_path):
    X, y = rng.standard_normal((30, 3)), 10 * rng.standard_normal((30, 2)) + 50
    layers = [*first, gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 2)]
    trainer, _ = same_trainers(layers, dtype, optimizer=gd.SGD(0.01), batch_size=4)
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
        run.fit(X, y, epochs=2)
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


def test_fold_of_one_linear_without_a_bias(rng):
    """Standardize brings the bias that the mean of the targets needs."""
    X, y = rng.standard_normal((60, 3)) + 7, rng.standard_normal(60) + 50
    trainer, _ = same_trainers([gd.Standardize(3), gd.Linear(3, 1, bias=False)])
    trainer.fit(X, y)
    np.testing.assert_allclose(trainer.model.fold().predict(X), trainer.model.predict(X), rtol=1e-12)
    trainer, _ = same_trainers([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1, bias=False)])
    trainer.fit(X, y)
    with pytest.raises(ValueError, match="the last Linear has no bias; expected one, to fold the mean of the targets"):
        trainer.model.fold()


def test_fold_refuses_what_stands_between_features_and_linear(rng):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    trainer, _ = same_trainers([gd.Standardize(3), gd.Tanh(), gd.Linear(3, 1)])
    trainer.fit(X, y)
    with pytest.raises(ValueError, match="expected Standardize, then Linear, to fold"):
        trainer.model.fold()
