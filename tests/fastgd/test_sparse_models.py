"""What models and trainers do besides with sparse rows: predictions, losses, scales, searches, validation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sparse_cases import csr
from sparse_runs import N_FEATURES, N_ROWS, layers_of, trained, weights_of

import fastgd as gd
from fastgd.data.as_dataset import array_dataset
from fastgd.data.base import Stream


@pytest.mark.slow
@given(st.integers(0, 2**16), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_predictions_losses_and_gradients(seed, is_deep, weighted):
    X, dense = csr(N_ROWS, N_FEATURES, seed)
    layers = [gd.Linear(N_FEATURES, 5), gd.ReLU(), gd.Linear(5, 2)] if is_deep else layers_of(2, "linear")
    model = gd.Model(layers, dtype="float64")
    model.may_be_untrained = False
    y, v = np.random.default_rng(seed).standard_normal((N_ROWS, 2)), weights_of(seed, weighted)
    np.testing.assert_allclose(model.predict(X), model.predict(dense), atol=1e-12)
    assert model.loss(X, y, sample_weight=v) == pytest.approx(model.loss(dense, y, sample_weight=v))
    loss, gradient = model.loss_and_gradient(X, y, sample_weight=v)
    expected_loss, expected = model.loss_and_gradient(dense, y, sample_weight=v)
    assert loss == pytest.approx(expected_loss)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


@pytest.mark.slow
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
    expected, losses, _ = trained(layers_of(1, "linear"), dense, y, optimizer="auto", batch_size=16, shuffle=True)
    parameters, sparse_losses, trainer = trained(
        layers_of(1, "linear"), X, y, optimizer="auto", batch_size=16, shuffle=True
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
            model = gd.Model(layers_of(1, "linear"), dtype="float64")
            trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), metrics=["r2"])
            trainer.fit(rows, y, validation=held_out, epochs=2)
            histories.append([*trainer.history.validation_loss, *trainer.history.metrics["r2"]])
        np.testing.assert_allclose(*histories)


@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_features_are_scaled_without_centring(weighted):
    X, dense = csr(N_ROWS, N_FEATURES)
    X.data = X.data * 1000
    dense = dense * 1000 + 0
    v = weights_of(0, weighted)
    y = np.random.default_rng(0).standard_normal(N_ROWS)
    parameters = []
    for rows in (X, dense):
        layer = gd.Standardize(N_FEATURES, with_mean=False).fit(array_dataset(rows, y, v))
        counted = dense if v is None else np.repeat(dense, (2 * v).astype(int), axis=0)
        deviation = counted.std(axis=0)
        np.testing.assert_allclose(layer.scale, 1 / np.where(deviation > 0, deviation, 1))
        np.testing.assert_array_equal(layer.mean, 0)
        model = gd.Model([gd.Standardize(N_FEATURES, with_mean=False), *layers_of(1, "linear")], dtype="float64")
        gd.Trainer(model, optimizer=gd.SGD(0.05), alpha=0.1).fit(rows, y, sample_weight=v, epochs=2)
        folded = model.fold()
        np.testing.assert_allclose(folded.predict(rows), model.predict(dense), atol=1e-9)
        parameters.append(model.parameters.copy())
    np.testing.assert_allclose(*parameters, atol=1e-12)


def test_features_that_no_row_lacks_are_centred(tmp_path):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((60, 6)) < 0.3, rng.standard_normal((60, 6)), 0)
    dense[:, 1] = 300 + rng.standard_normal(60)
    # Columns of two values become as wide as one of zeros and ones.
    dense[:, 3:] = np.where(dense[:, 3:] != 0, [1, 2.5, 2], [0, 0, 1])
    y, parameters = dense @ [1, 2, 3, 4, 5, 6], []
    explicit = sparse.csr_array(dense + 9)
    explicit.data -= 9
    blocks = [(dense[:7], y[:7]), (dense[7:], y[7:])]
    for rows in (sparse.csr_array(dense), explicit, dense, gd.data.from_blocks(blocks)):
        model = gd.Model([gd.Standardize(6, with_mean="nonzero"), gd.Linear(6, 1)], dtype="float64")
        given = (rows,) if isinstance(rows, Stream) else (rows, y)
        gd.Trainer(model, optimizer=gd.SGD(0.05), alpha=0.1).fit(*given, epochs=2)
        np.testing.assert_allclose(model.standardize.mean, np.where(dense.all(axis=0), dense.mean(axis=0), 0))
        np.testing.assert_allclose(model.standardize.scale, [*1 / dense[:, :3].std(axis=0), 1, 1 / 2.5, 1])
        parameters.append(model.parameters.copy())
    for found in parameters[1:]:
        np.testing.assert_allclose(found, parameters[0], atol=1e-11)
    model.save(tmp_path / "model.safetensors")
    loaded = gd.Model.load(tmp_path / "model.safetensors")
    assert repr(loaded.layers[0]) == "Standardize(6, with_mean='nonzero')"
    lacking = dense * (rng.random((60, 6)) < 0.5)
    for found in (loaded, model.fold()):
        np.testing.assert_allclose(found.predict(sparse.csr_array(lacking)), model.predict(lacking), atol=1e-9)


def test_what_does_not_vary_is_not_blown_up():
    """A mean that is rounded leaves a deviation of 1e-13."""
    layer = gd.Standardize(1, with_mean=False).fit(gd.data.SparseDataset(sparse.csr_array(np.full((999, 1), 2010.1))))
    np.testing.assert_array_equal(layer.scale, 1)


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
    expected, _, _ = trained(layers_of(1, "linear"), dense, y, **options)
    parameters, _, _ = trained(layers_of(1, "linear"), X, y, **options)
    np.testing.assert_allclose(parameters, expected, rtol=1e-6)


def test_divergence_leaves_a_finite_model():
    X, dense = csr(N_ROWS, N_FEATURES)
    model = gd.Model(layers_of(1, "linear"), dtype="float64")
    with pytest.raises(gd.DivergenceError, match="the largest of this step is"):
        gd.Trainer(model, optimizer=gd.SGD(1e3), alpha=0.1).fit(X, dense[:, 0] + 1, epochs=50)
    assert np.isfinite(model.parameters).all()
