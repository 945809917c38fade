"""Gradients against central differences, for every combination of layers. Never skipped."""

import numpy as np
import pytest
from cases import ARCHITECTURES, assert_gradient_is_the_difference, model_of, rows_for, train_reference
from hypothesis import given
from hypothesis import strategies as st

import fastgd as gd


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n_samples", [1, 6])
def test_gradient(name, n_samples):
    model = model_of(name)
    X, y, sample_weight = rows_for(model, n_samples)
    assert_gradient_is_the_difference(model, X, y)
    assert_gradient_is_the_difference(model, X, y, sample_weight)


@st.composite
def networks(draw):
    """Any stack of up to six layers."""
    width = draw(st.integers(1, 6))
    layers = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            n_out = draw(st.integers(1, 6))
            layers.append(gd.Linear(width, n_out, bias=draw(st.booleans())))
            width = n_out
        else:
            layers.append(gd.ReLU())
    if not any(isinstance(layer, gd.Linear) for layer in layers):
        layers.append(gd.Linear(width, 2))
    return layers


@given(networks(), st.integers(1, 5), st.integers(0, 1000))
def test_gradient_of_any_network(layers, n_samples, seed):
    model = gd.Model(layers, dtype="float64", seed=seed)
    # Off the kinks, which a random z misses but a dead layer's zeros may sit on: shift every bias.
    rng = np.random.default_rng(seed)
    model.parameters += 0.1 * rng.standard_normal(model.parameters.shape)
    X, y, sample_weight = rows_for(model, n_samples, seed)
    if _is_near_a_kink(model, X):
        return
    assert_gradient_is_the_difference(model, X, y, sample_weight)


def _is_near_a_kink(model, X):
    """Whether a pre-activation lies where a central difference would straddle the ReLU's corner."""
    values = X
    for layer in model.layers:
        if isinstance(layer, gd.Linear):
            values = values @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        else:
            if (np.abs(values) < 1e-3).any():
                return True
            values = np.maximum(values, 0)
    return False


def test_gradient_of_a_large_batch_is_that_of_its_micro_batches():
    """More rows than a micro-batch holds, and not a multiple of it."""
    model = model_of("hidden layer")
    X, y, sample_weight = rows_for(model, 2 * model.micro_batch_rows + 77)
    loss, gradient = model.loss_and_gradient(X, y, sample_weight=sample_weight)
    expected, expected_loss = train_reference(model, X, y, sample_weight, learning_rate=1.0, batch_size=len(X))
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(model.parameters - gradient, expected, rtol=1e-11, atol=1e-12)


def test_gradient_in_float32():
    model, wide = model_of("hidden layer", "float32"), model_of("hidden layer", "float64")
    wide.parameters = model.parameters
    X, y, _ = rows_for(model, 100)
    loss, gradient = model.loss_and_gradient(X, y)
    expected_loss, expected = wide.loss_and_gradient(X, y)
    assert gradient.dtype == np.float32
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
