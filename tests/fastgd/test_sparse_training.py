"""Training on sparse rows: the same parameters, to rounding, as on the same rows dense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES
from sparse_cases import csr

import fastgd as gd
from fastgd.data.as_dataset import array_dataset

N_ROWS, N_FEATURES = 30, 12

PENALTIES = {
    "none": {},
    "l2": {"alpha": 0.1, "l1_ratio": 0.0},
    "l1": {"alpha": 0.05, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.1, "l1_ratio": 0.5},
    # A step multiplies the weights by 1 - 0.25 · 4 = 0, or turns their signs.
    "all of a weight": {"alpha": 8.0, "l1_ratio": 0.5},
    "more than all": {"alpha": 20.0, "l1_ratio": 0.25},
}
RATES = {
    "constant": 0.25,
    "falling": gd.schedules.InverseScaling(0.25, 0.5),
    "to and fro": gd.schedules.CosineWarmRestarts(0.25, 7),
}


def _layers(n_outputs, ends, has_bias=True):
    activation = [] if ends == "linear" else [gd.ReLU() if ends == "relu" else gd.Tanh()]
    return [gd.Linear(N_FEATURES, n_outputs, bias=has_bias), *activation]


def _targets(case, n_outputs, seed):
    numbers = np.random.default_rng(seed).integers(-8, 8, (N_ROWS, n_outputs)) / 8
    return case.target(numbers, n_outputs)


def _trained(layers, X, y, dtype="float64", seed=3, sample_weight=None, epochs=3, **options):
    model = gd.Model(layers, dtype=dtype, seed=seed)
    trainer = gd.Trainer(model, **options)
    trainer.fit(X, y, sample_weight=sample_weight, epochs=epochs)
    return model.parameters.astype(np.float64), np.array(trainer.history.loss), trainer


def _assert_equal(layers, seed, y, dtype="float64", index="int32", values="float64", **options):
    X, dense = csr(N_ROWS, N_FEATURES, seed, values, index)
    expected, losses, _ = _trained(layers, dense, y, dtype, **options)
    parameters, sparse_losses, _ = _trained(layers, X, y, dtype, **options)
    tolerance = 1e-9 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(parameters, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(), 1))
    np.testing.assert_allclose(sparse_losses, losses, rtol=tolerance, atol=tolerance)


def _weights(seed, weighted):
    return np.random.default_rng(seed).integers(0, 4, N_ROWS) / 2 if weighted else None


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
    _assert_equal(
        _layers(1, ends, o["has_bias"]),
        o["seed"],
        y,
        dtype,
        loss=CASES[loss].loss,
        optimizer=gd.SGD(RATES[o["rate"]]),
        batch_size=o["batch_size"],
        shuffle=o["shuffle"],
        sample_weight=_weights(o["seed"], o["weighted"]),
        **PENALTIES[o["penalty"]],
    )


# The kernels of a neuron are compiled for each loss, kind of order, and with weights or without.
@pytest.mark.slow
@settings(max_examples=60)
@given(**OPTIONS | {"shuffle": st.just(True), "weighted": st.just(True)})
def test_a_neuron(**options):
    _neuron("log_loss", **options)


@pytest.mark.slow
@settings(max_examples=60)
@given(**OPTIONS)
def test_a_neuron_in_any_order(**options):
    _neuron("log_loss", **options)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [name for name in CASES if "cross_entropy" not in name])
@settings(max_examples=20)
@given(seed=OPTIONS["seed"], rate=OPTIONS["rate"], has_bias=OPTIONS["has_bias"])
def test_a_neuron_with_any_loss(loss, **options):
    # One combination of what kernels are compiled for beside the loss: `test_a_neuron_in_any_order` has the others.
    ends = "relu" if list(CASES).index(loss) % 2 else "linear"
    _neuron(loss, ends, penalty="elastic net", batch_size=7, shuffle=False, weighted=True, **options)


@pytest.mark.slow
@settings(max_examples=30)
@given(**OPTIONS)
def test_a_neuron_in_float32(**options):
    if options["penalty"] != "more than all":
        _neuron("log_loss", dtype="float32", **options)


@pytest.mark.slow
@settings(max_examples=60)
@given(loss=st.sampled_from(list(CASES)), ends=st.sampled_from(["linear", "tanh"]), **OPTIONS)
def test_several_outputs(loss, ends, **options):
    if loss == "poisson":
        ends = "tanh"
    _assert_equal(
        _layers(3, ends, options["has_bias"]),
        options["seed"],
        _targets(CASES[loss], 3, options["seed"]),
        loss=CASES[loss].loss,
        optimizer=gd.SGD(RATES[options["rate"]]),
        batch_size=options["batch_size"],
        shuffle=options["shuffle"],
        sample_weight=_weights(options["seed"], options["weighted"]),
        **PENALTIES[options["penalty"]],
    )


OPTIMIZERS = {
    "sgd": gd.SGD(0.05),
    "adagrad": gd.Adagrad(0.1),
    "adagrad, decay": gd.Adagrad(0.1, weight_decay=0.1, lr_decay=0.01),
    "adagrad, bounded": gd.Adagrad(0.3, bounded=True),
    "sgd, momentum": gd.SGD(0.02, momentum=0.9),
    "sgd, bounded": gd.SGD(0.3, bounded=True),
    "adam": gd.Adam(0.01),
    "rmsprop": gd.RMSprop(0.01),
}
REGULARIZATION = {
    "none": {},
    "elastic net": {"alpha": 0.1, "l1_ratio": 0.5},
    "clipped": {"clip_norm": 0.5},
    "max_norm": {"max_norm": 0.5},
    "averaged": {"average_from": 5, "alpha": 0.01},
}


@pytest.mark.parametrize(
    ("optimizer", "regularization", "weighted", "is_deep"),
    [
        ("adagrad, bounded", "none", True, False),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("sgd", "elastic net", False, True),
                ("adagrad", "none", False, True),
                ("adam", "elastic net", True, False),
            )
        ),
    ],
)
def test_an_optimizer_with_regularization(optimizer, regularization, weighted, is_deep):
    _optimizers(0, optimizer, regularization, 7, weighted, is_deep)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.sampled_from(list(OPTIMIZERS)),
    st.sampled_from(list(REGULARIZATION)),
    st.sampled_from([1, 7, None]),
    st.booleans(),
    st.booleans(),
)
def test_optimizers_and_regularization(seed, optimizer, regularization, batch_size, weighted, is_deep):
    _optimizers(seed, optimizer, regularization, batch_size, weighted, is_deep)


def _optimizers(seed, optimizer, regularization, batch_size, weighted, is_deep):
    if "bounded" in optimizer:
        is_deep = False
    layers = [gd.Linear(N_FEATURES, 5), gd.Tanh(), gd.Linear(5, 2)] if is_deep else _layers(2, "linear")
    y = np.random.default_rng(seed).standard_normal((N_ROWS, 2))
    _assert_equal(
        layers,
        seed,
        y,
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        sample_weight=_weights(seed, weighted),
        **REGULARIZATION[regularization],
    )


@pytest.mark.parametrize("values", ["float32", "int8"])
def test_values_and_indices_of_any_dtype(values):
    y = np.random.default_rng(0).standard_normal((N_ROWS, 1)) / 8
    _assert_equal(_layers(1, "linear"), 1, y, values=values, index="int64", optimizer=gd.SGD(1e-4))


def _by_hand(dense, y, w, rates, l2, l1):
    """The article's algorithm with penalties, row by row."""
    for x, target, rate in zip(dense, y, rates, strict=True):
        w = (1 - rate * l2) * w - rate * (w @ x - target) * x
        w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
    return w


@given(st.integers(0, 2**16), st.floats(0, 10), st.floats(0, 1))
def test_one_epoch_by_hand(seed, l2, l1):
    rng = np.random.default_rng(seed)
    X, dense = csr(N_ROWS, N_FEATURES, seed)
    y, rate = rng.standard_normal(N_ROWS), 0.25
    model = gd.Model(_layers(1, "linear", has_bias=False), dtype="float64")
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
    once, _, _ = _trained(_layers(1, "linear"), X, y, **options)
    monkeypatch.setattr("fastgd._engine.slices._SLICE_SECONDS", 1e-9)
    often, _, _ = _trained(_layers(1, "linear"), X, y, **options)
    np.testing.assert_array_equal(once, often)


def test_two_epochs_at_once_and_one_after_the_other():
    X, _ = csr(N_ROWS, N_FEATURES)
    y = np.random.default_rng(0).standard_normal(N_ROWS)
    options = {"optimizer": gd.SGD(0.05), "shuffle": True, "alpha": 0.1}
    expected, _, _ = _trained(_layers(1, "linear"), X, y, epochs=2, **options)
    model = gd.Model(_layers(1, "linear"), dtype="float64", seed=3)
    trainer = gd.Trainer(model, **options)
    trainer.fit(X, y)
    trainer.fit(X, y)
    np.testing.assert_array_equal(model.parameters, expected)


@pytest.mark.slow
@given(st.integers(0, 2**16), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_predictions_losses_and_gradients(seed, is_deep, weighted):
    X, dense = csr(N_ROWS, N_FEATURES, seed)
    layers = [gd.Linear(N_FEATURES, 5), gd.ReLU(), gd.Linear(5, 2)] if is_deep else _layers(2, "linear")
    model = gd.Model(layers, dtype="float64")
    model.may_be_untrained = False
    y, v = np.random.default_rng(seed).standard_normal((N_ROWS, 2)), _weights(seed, weighted)
    np.testing.assert_allclose(model.predict(X), model.predict(dense), atol=1e-12)
    assert model.loss(X, y, sample_weight=v) == pytest.approx(model.loss(dense, y, sample_weight=v))
    loss, gradient = model.loss_and_gradient(X, y, sample_weight=v)
    expected_loss, expected = model.loss_and_gradient(dense, y, sample_weight=v)
    assert loss == pytest.approx(expected_loss)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_a_gradient_of_several_blocks(monkeypatch):
    X, dense = csr(N_ROWS, N_FEATURES)
    monkeypatch.setattr("fastgd.data.reader._BLOCK_BYTES", 200)
    model = gd.Model([gd.Linear(N_FEATURES, 5), gd.Tanh(), gd.Linear(5, 1)], dtype="float64")
    y = np.arange(N_ROWS) / N_ROWS
    _, gradient = model.loss_and_gradient(X, y)
    _, expected = model.loss_and_gradient(dense, y)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_auto_finds_what_it_finds_on_dense_rows():
    X, dense = csr(300, N_FEATURES)
    y = dense @ np.arange(N_FEATURES) + 3
    expected, losses, _ = _trained(_layers(1, "linear"), dense, y, optimizer="auto", batch_size=16, shuffle=True)
    parameters, sparse_losses, trainer = _trained(
        _layers(1, "linear"), X, y, optimizer="auto", batch_size=16, shuffle=True
    )
    np.testing.assert_allclose(parameters, expected, rtol=1e-9)
    np.testing.assert_allclose(sparse_losses, losses, rtol=1e-9)
    assert trainer.optimizer == gd.Adagrad("auto", bounded=True)


def test_validation_that_is_held_out_or_given():
    X, dense = csr(200, N_FEATURES)
    y = dense @ np.arange(N_FEATURES)
    for validation in (0.25, (X, y)):
        given_dense = validation if validation == 0.25 else (dense, y)
        histories = []
        for rows, held_out in ((X, validation), (dense, given_dense)):
            model = gd.Model(_layers(1, "linear"), dtype="float64")
            trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), metrics=["r2"])
            trainer.fit(rows, y, validation=held_out, epochs=2)
            histories.append([*trainer.history.validation_loss, *trainer.history.metrics["r2"]])
        np.testing.assert_allclose(*histories)


@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_features_are_scaled_without_centring(weighted):
    X, dense = csr(N_ROWS, N_FEATURES)
    X.data = X.data * 1000
    dense = dense * 1000 + 0
    v = _weights(0, weighted)
    y = np.random.default_rng(0).standard_normal(N_ROWS)
    parameters = []
    for rows in (X, dense):
        layer = gd.Standardize(N_FEATURES, with_mean=False).fit(array_dataset(rows, y, v))
        counted = dense if v is None else np.repeat(dense, (2 * v).astype(int), axis=0)
        deviation = counted.std(axis=0)
        np.testing.assert_allclose(layer.scale, 1 / np.where(deviation > 0, deviation, 1))
        np.testing.assert_array_equal(layer.mean, 0)
        model = gd.Model([gd.Standardize(N_FEATURES, with_mean=False), *_layers(1, "linear")], dtype="float64")
        gd.Trainer(model, optimizer=gd.SGD(0.05), alpha=0.1).fit(rows, y, sample_weight=v, epochs=2)
        folded = model.fold()
        np.testing.assert_allclose(folded.predict(rows), model.predict(dense), atol=1e-9)
        parameters.append(model.parameters.copy())
    np.testing.assert_allclose(*parameters, atol=1e-12)


def test_a_layer_without_mean_is_saved_and_needs_no_bias(tmp_path):
    layer = gd.Standardize(2, with_mean=False)
    model = gd.Model([layer, gd.Linear(2, 1, bias=False)], dtype="float64")
    model.layers[0].fit([[1.0, 10.0], [3.0, 30.0]])
    model.may_be_untrained = False
    model.save(tmp_path / "model.safetensors")
    loaded = gd.Model.load(tmp_path / "model.safetensors")
    assert repr(loaded.layers[0]) == "Standardize(2, with_mean=False)"
    np.testing.assert_array_equal(loaded.predict([[2.0, 1.0]]), model.predict([[2.0, 1.0]]))
    assert not model.fold().layers[0].has_bias


def test_a_search_looks_at_a_few_dense_rows():
    X, dense = csr(300, N_FEATURES)
    y = dense @ np.arange(N_FEATURES) + 3
    options = {"optimizer": gd.SGD("auto"), "batch_size": 16, "shuffle": True}
    expected, _, _ = _trained(_layers(1, "linear"), dense, y, **options)
    parameters, _, _ = _trained(_layers(1, "linear"), X, y, **options)
    np.testing.assert_allclose(parameters, expected, rtol=1e-6)


def test_divergence_leaves_a_finite_model():
    X, dense = csr(N_ROWS, N_FEATURES)
    model = gd.Model(_layers(1, "linear"), dtype="float64")
    with pytest.raises(gd.DivergenceError, match="the largest of this step is"):
        gd.Trainer(model, optimizer=gd.SGD(1e3), alpha=0.1).fit(X, dense[:, 0] + 1, epochs=50)
    assert np.isfinite(model.parameters).all()
