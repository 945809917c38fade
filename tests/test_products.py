"""Products of matrices: every tile, panel and remainder, and the rule that hands wide ones to BLAS."""

import numpy as np
import pytest
from cases import rounding
from hypothesis import example, given
from hypothesis import strategies as st

import fastgd as gd
from fastgd import kernels, model
from fastgd.kernels.product import PANEL_ROWS

DTYPES = st.sampled_from([np.float32, np.float64])
# Tiles have 8 rows and up to 32 columns.
ROWS, COLUMNS = st.integers(1, 20), st.integers(1, 70)
FACTORS = st.sampled_from([(1, 0), (-0.5, 1), (2, 0.5)])
SEEDS = st.integers(0, 2**32 - 1)


def normal(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def guarded(matrix):
    """The matrix's numbers, with NaN before and after them, and the place where they begin."""
    return np.concatenate([np.full(64, np.nan), matrix.ravel(), np.full(64, np.nan)]).astype(matrix.dtype)[64:-64]


@given(DTYPES, ROWS, st.integers(1, 40), COLUMNS, FACTORS, st.booleans(), st.booleans(), st.booleans(), SEEDS)
@example(np.float32, 9, PANEL_ROWS + 5, 33, (2, 0.5), True, True, True, 0)
@example(np.float64, 9, 2 * PANEL_ROWS, 17, (1, 0), True, False, False, 0)
def test_multiply(dtype, m, n_products, n, factors, has_bias, a_is_transposed, b_is_transposed, seed):
    a, b, before, bias = normal(seed, dtype, (m, n_products), (n_products, n), (m, n), n if has_bias else 0)
    alpha, beta = map(dtype, factors)
    c = guarded(before if beta else np.full_like(before, np.nan)).reshape(m, n)
    strides = (1, m) if a_is_transposed else (n_products, 1)
    kernels.multiply(
        guarded(a.T if a_is_transposed else a),
        strides,
        guarded(b.T if b_is_transposed else b),
        (1, n_products) if b_is_transposed else (n, 1),
        n_products,
        c,
        bias,
        alpha,
        beta,
        np.full_like(kernels.products(dtype, n_products).panel, np.nan),
    )
    exact = factors[0] * a.astype(float) @ b.astype(float) + factors[1] * before + (bias if has_bias else 0)
    np.testing.assert_allclose(c, exact, rtol=0, atol=8 * rounding(dtype, n_products))
    outside = c.base
    assert np.isnan(outside[:64]).all()
    assert np.isnan(outside[-64:]).all()


@given(DTYPES, st.integers(1, 9), st.integers(1, 70), st.integers(1, 9), st.booleans(), SEEDS)
def test_multiply_rows(dtype, m, n_products, n, has_bias, seed):
    a, b, bias = normal(seed, dtype, (m, n_products), (n, n_products), n if has_bias else 0)
    c = np.full((m, n), np.nan, dtype)
    kernels.multiply_rows(guarded(a), n_products, guarded(b), bias, c)
    exact = a.astype(float) @ b.T.astype(float) + (bias if has_bias else 0)
    np.testing.assert_allclose(c, exact, rtol=0, atol=4 * rounding(dtype, n_products))


@given(DTYPES, ROWS, COLUMNS, FACTORS, SEEDS)
def test_add_outer(dtype, m, n, factors, seed):
    a, b, before = normal(seed, dtype, m, n, (m, n))
    c = guarded(before if factors[1] else np.full_like(before, np.nan)).reshape(m, n)
    kernels.add_outer(a, guarded(b), *map(dtype, factors), c)
    exact = factors[0] * np.outer(a, b).astype(float) + factors[1] * before
    np.testing.assert_allclose(c, exact, rtol=0, atol=8 * rounding(dtype, 1))
    assert np.isnan(c.base[-64:]).all()


def wide(monkeypatch, threads=2):
    """Everything is worth all processors from now on."""
    monkeypatch.setattr(model, "_WIDE", 0)
    monkeypatch.setattr(model, "blas_threads", lambda: threads)


@pytest.mark.parametrize(
    ("threads", "n_samples", "expected"),
    [
        (1, 1024, kernels.Network),
        (2, 1024, kernels.WideNetwork),
        (2, 47, kernels.Network),
        (2, 48, kernels.WideNetwork),
    ],
)
def test_which_networks_are_worth_all_processors(threads, n_samples, expected, monkeypatch):
    """From 100 million multiplications and additions on: 48 rows of a thousand features to a thousand units."""
    monkeypatch.setattr(model, "blas_threads", lambda: threads)
    network = gd.Model([gd.Linear(1024, 1024), gd.ReLU(), gd.Linear(1024, 1)]).network(n_samples)
    assert type(network) is expected


@pytest.mark.parametrize(("name", "threads"), [("OPENBLAS_NUM_THREADS", 1), ("OMP_NUM_THREADS", 1)])
def test_limits_of_the_environment_count(name, threads, monkeypatch):
    from fastgd import threads as module

    for other in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    assert module.blas_threads() == module.usable_processors()
    monkeypatch.setenv(name, str(threads))
    assert module.blas_threads() == threads


@pytest.mark.parametrize("batch_size", [1, 7, 30, None])
@pytest.mark.parametrize("activation", [gd.ReLU(), gd.Tanh()])
def test_blas_trains_alike(activation, batch_size, monkeypatch):
    """Chunks smaller than the batch too, where gradients add up."""
    monkeypatch.setattr(gd.Model, "chunk_rows", 16)
    X, y = normal(0, np.float64, (50, 5), (50, 2))
    results = []
    for is_wide in (False, True):
        if is_wide:
            wide(monkeypatch)
        twin = gd.Model([gd.Linear(5, 6), activation, gd.Linear(6, 2, bias=False)], dtype="float64")
        assert ("Wide" in type(twin.network(8)).__name__) == is_wide
        trainer = gd.Trainer(
            twin, optimizer=gd.SGD(0.05, momentum=0.5 if batch_size == 7 else 0), batch_size=batch_size
        )
        history = trainer.fit(X, y, epochs=3)
        results.append((twin.parameters, history.loss, twin.loss_and_gradient(X, y)[1], twin.predict(X)))
    for own, blas in zip(*results, strict=True):
        np.testing.assert_allclose(own, blas, rtol=1e-10, atol=1e-12)
