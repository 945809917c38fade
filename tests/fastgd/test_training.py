"""Training against the reference: every mode, every architecture, both dtypes."""

from itertools import pairwise

import numpy as np
import pytest
from cases import (
    ARCHITECTURES,
    WORKED_AFTER,
    WORKED_X,
    WORKED_Y,
    model_of,
    rows_for,
    train_reference,
    worked_example,
)
from hypothesis import given
from hypothesis import strategies as st

import fastgd as gd

RTOL = {"float32": 1e-6, "float64": 1e-12}


def test_worked_example(dtype):
    model = worked_example(dtype)
    history = gd.Trainer(model, optimizer=gd.SGD(learning_rate=1e-7)).fit(WORKED_X, WORKED_Y)
    np.testing.assert_allclose(model.parameters, WORKED_AFTER, rtol=RTOL[dtype])
    assert history.loss[0] == pytest.approx(1 / 6, rel=1e-6)
    outputs = model.predict(WORKED_X).ravel()
    np.testing.assert_allclose(outputs, [0.43, 1, 1.3], rtol=RTOL[dtype] * 10)
    np.testing.assert_array_equal(outputs >= 0.5, [False, True, True])
    losses = [model.loss([x], [y]) for x, y in zip(WORKED_X, WORKED_Y, strict=True)]
    np.testing.assert_allclose(losses, [0.43**2 / 2, 0, 0.3**2 / 2], rtol=1e-5, atol=1e-12)


def test_worked_example_by_steps(dtype):
    model = worked_example(dtype)
    trainer = gd.Trainer(model, optimizer=gd.SGD(learning_rate=1e-7))
    losses = [trainer.step([x], [y]) for x, y in zip(WORKED_X, WORKED_Y, strict=True)]
    np.testing.assert_allclose(losses, [0, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(model.parameters, WORKED_AFTER, rtol=RTOL[dtype])
    assert trainer.n_updates == 3


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 1000, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_worked_example_many_times(dtype, batch_size, shuffle):
    X, y = np.tile(WORKED_X, (1000, 1)).astype(dtype), np.tile(WORKED_Y, 1000)
    model = worked_example(dtype)
    expected_model = worked_example("float64")
    trainer = gd.Trainer(model, optimizer=gd.SGD(learning_rate=1e-7), batch_size=batch_size, shuffle=shuffle, seed=3)
    trainer.fit(X, y)
    order = np.random.default_rng([3, 0]).permutation(len(X)) if shuffle else np.arange(len(X))
    expected, _ = train_reference(
        expected_model, X[order], y[order], learning_rate=1e-7, batch_size=batch_size or len(X)
    )
    assert np.abs(expected - expected_model.parameters).max() > 1e-5, "nothing was learnt"
    np.testing.assert_allclose(model.parameters, expected, rtol=2e-5 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("batch_size", [1, 4, 50, None], ids=lambda size: f"batch {size}")
@pytest.mark.parametrize("is_weighted", [False, True], ids=["equal", "weighted"])
def test_training_is_the_reference(name, batch_size, is_weighted):
    model = model_of(name)
    X, y, sample_weight = rows_for(model, 22)
    sample_weight = sample_weight if is_weighted else None
    batch_rows = batch_size or len(X)
    expected, loss = train_reference(model, X, y, sample_weight, learning_rate=0.02, batch_size=batch_rows, epochs=3)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.02), batch_size=batch_size)
    history = trainer.fit(X, y, epochs=3, sample_weight=sample_weight)
    np.testing.assert_allclose(model.parameters, expected, rtol=1e-10, atol=1e-12)
    assert history.loss[-1] == pytest.approx(loss, rel=1e-10)
    assert trainer.n_updates == 3 * -(-len(X) // batch_rows)


@given(
    st.sampled_from(["float32", "float64"]),
    st.lists(st.integers(1, 12), min_size=2, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(1, 30),
    st.integers(1, 35),
    st.integers(0, 1000),
)
def test_any_shape_is_the_reference(dtype, widths, has_bias, ends_in_relu, n_samples, batch_size, seed):
    layers = []
    for n_in, n_out in pairwise(widths):
        layers += [gd.Linear(n_in, n_out, bias=has_bias), gd.ReLU()]
    model = gd.Model(layers if ends_in_relu else layers[:-1], dtype=dtype, seed=seed)
    X, y, sample_weight = rows_for(model, n_samples, seed)
    expected, loss = train_reference(model, X, y, sample_weight, learning_rate=0.01, batch_size=batch_size)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size)
    history = trainer.fit(X, y, sample_weight=sample_weight)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(model.parameters, expected, rtol=tolerance, atol=tolerance)
    assert history.loss[-1] == pytest.approx(loss, rel=tolerance)


@pytest.mark.parametrize("n_features", [1, 16, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_any_number_of_features(dtype, n_features, batch_size):
    model = gd.Model([gd.Linear(n_features, 1), gd.ReLU()], dtype=dtype)
    X, y, _ = rows_for(model, 8)
    expected, _ = train_reference(model, X, y, learning_rate=0.5 / n_features, batch_size=batch_size)
    gd.Trainer(model, optimizer=gd.SGD(0.5 / n_features), batch_size=batch_size).fit(X, y)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(model.parameters, expected, rtol=tolerance, atol=tolerance / 10)


def test_batches_larger_than_a_micro_batch():
    model = model_of("hidden layer")
    n_samples = 5 * model.micro_batch_rows // 2
    X, y, sample_weight = rows_for(model, n_samples)
    for batch_size in (model.micro_batch_rows + 1, 2 * model.micro_batch_rows, None):
        trained = model_of("hidden layer")
        expected, _ = train_reference(model, X, y, sample_weight, learning_rate=0.1, batch_size=batch_size or n_samples)
        gd.Trainer(trained, optimizer=gd.SGD(0.1), batch_size=batch_size).fit(X, y, sample_weight=sample_weight)
        np.testing.assert_allclose(trained.parameters, expected, rtol=1e-10, atol=1e-12)


def test_shuffled_epochs_take_documented_orders():
    model, twin = model_of("neuron"), model_of("neuron")
    X, y, sample_weight = rows_for(model, 20)
    gd.Trainer(model, optimizer=gd.SGD(0.05), shuffle=True, seed=9).fit(X, y, epochs=3, sample_weight=sample_weight)
    trainer = gd.Trainer(twin, optimizer=gd.SGD(0.05))
    for epoch in range(3):
        order = np.random.default_rng([9, epoch]).permutation(20)
        trainer.fit(X[order], y[order], sample_weight=sample_weight[order])
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_zero_weight_moves_nothing(dtype):
    for name in ("neuron", "hidden layer"):
        for batch_size in (1, 4, None):
            model = model_of(name, dtype)
            X, y, _ = rows_for(model, 10)
            before = model.parameters.copy()
            history = gd.Trainer(model, batch_size=batch_size).fit(X, y, sample_weight=np.zeros(10))
            np.testing.assert_array_equal(model.parameters, before)
            assert history.loss == [0]


@pytest.mark.parametrize("optimizer", [gd.SGD(0.1), gd.Adam(0.1), gd.NormalizedSGD()], ids=repr)
@pytest.mark.parametrize("name", ["linear neuron", "hidden layer"])
def test_double_weight_is_the_row_twice(name, optimizer):
    """Full batch, weights of mean 1: the article's sum over the data."""
    model, twin = model_of(name), model_of(name)
    X, y, _ = rows_for(model, 9)
    weight = np.array([2.0, 1, 1, 1, 1, 1, 1, 1, 1]) * 0.9
    gd.Trainer(model, optimizer=optimizer, batch_size=None).fit(X, y, sample_weight=weight, epochs=20)
    gd.Trainer(twin, optimizer=optimizer, batch_size=None).fit(np.vstack([X[:1], X]), np.vstack([y[:1], y]), epochs=20)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-12)


def test_step_is_one_update_of_one_batch():
    for name in ("neuron", "hidden layer"):
        for n_samples in (1, 5):
            model, twin = model_of(name), model_of(name)
            X, y, sample_weight = rows_for(model, n_samples)
            loss = gd.Trainer(model, optimizer=gd.SGD(0.1)).step(X, y, sample_weight)
            history = gd.Trainer(twin, optimizer=gd.SGD(0.1), batch_size=None).fit(X, y, sample_weight=sample_weight)
            assert loss == history.loss[0]
            np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_synthetic_neuron_reaches_its_noise_loss():
    data = gd.data.synthetic(n_samples=50_000, n_features=20, noise=0.1, seed=4)
    model = gd.Model([gd.Linear(20, 1), gd.ReLU()])
    history = gd.Trainer(model, optimizer=gd.SGD(0.002)).fit(data, epochs=6)
    assert history.loss[-1] == pytest.approx(data.noise_loss, rel=0.05)
    np.testing.assert_allclose(model.layers[0].weight, data.weights[0], atol=0.02)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("z", [0.5, 0.0, -0.125, -0.25, -0.375])
def test_tolerance_of_any_size(z, batch_size, dtype):
    """Between -tolerance and zero, both included, the output is zero and the gradient passes."""
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[z]]), gd.ReLU(tolerance=0.25)], dtype=dtype)
    X, y = np.ones((batch_size, 1)), np.ones(batch_size)
    history = gd.Trainer(model, optimizer=gd.SGD(0.5), batch_size=2).fit(X, y)
    error = max(z, 0) - 1
    assert history.loss == [error**2 / 2]
    assert model.parameters == [z - 0.5 * error if z >= -0.25 else z]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, None])
def test_epoch_loss_adds_up_in_float64(batch_size):
    """A float32 sum would lose every term below 2^-24 of it; a float32 square would overflow."""
    model = gd.Model([gd.Linear(1, 1, init="zeros")], dtype="float32")
    trainer = gd.Trainer(model, optimizer=gd.SGD(0), batch_size=batch_size)
    assert trainer.fit(np.ones((1001, 1), np.float32), [8192] + [1] * 1000).loss == [(2**25 + 500) / 1001]
    y = np.full(3, 1e20, np.float32)
    assert trainer.fit(np.ones((3, 1), np.float32), y).loss[-1] == np.float64(y[0]) ** 2 / 2


def test_steps_of_any_sizes():
    """Each step is one update, whatever the size of the one before."""
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 20)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.1))
    for start, stop in ((0, 5), (5, 6), (6, 18), (18, 20)):
        trainer.step(X[start:stop], y[start:stop])
        gd.Trainer(twin, optimizer=gd.SGD(0.1), batch_size=None).fit(X[start:stop], y[start:stop])
    assert trainer.n_updates == 4
    np.testing.assert_array_equal(model.parameters, twin.parameters)
