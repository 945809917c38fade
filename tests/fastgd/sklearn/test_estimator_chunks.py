"""Chunks of rows by `partial_fit` are one epoch of `fit`, to the bit where it says so."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from fastgd.sklearn import GDClassifier, GDRegressor

# All of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 48
CHOSEN = {"learning_rate_init": 0.01, "standardize": False, "shuffle": False, "tol": None, "random_state": 0}
SOLVERS = [
    *({"solver": "sgd", "momentum": momentum} for momentum in (0.0, 0.9)),
    *({"solver": name} for name in ("adam", "adamw", "adagrad", "rmsprop", "normalized_sgd")),
]
OF_NUMBERS = "squared_error", "absolute_error", "huber", "quantile", "epsilon_insensitive", "poisson"
OF_CLASSES = "log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"


def rows_of(dtype, is_sparse):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(N_ROWS, 5)) * (rng.random((N_ROWS, 5)) < 0.6)).astype(dtype)
    return (sparse.csr_array(X) if is_sparse else X), rng


def estimator_of(loss, n_targets, hidden, options):
    """An estimator that stops after an epoch, its targets and what partial_fit is to know of them."""
    rng = np.random.default_rng(1)
    if loss in OF_CLASSES:
        classes = np.arange(max(n_targets, 2))
        y = rng.choice(classes, N_ROWS)
        return GDClassifier(hidden, loss=loss, max_iter=1, **CHOSEN | options), y, {"classes": classes}
    y = rng.poisson(2.0, (N_ROWS, n_targets)).astype(float)
    y = y[:, 0] if n_targets == 1 else y
    return GDRegressor(hidden, loss=loss, max_iter=1, standardize_targets=False, **CHOSEN | options), y, {}


def edges_of(cuts, unit):
    return [0, *sorted({unit * cut for cut in cuts if unit * cut < N_ROWS}), N_ROWS]


def learn(estimator, X, y, edges, **known):
    for start, stop in pairwise(edges):
        estimator.partial_fit(X[start:stop], y[start:stop], **known)
    return estimator


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    cuts=st.lists(st.integers(1, N_ROWS - 1), max_size=6),
    loss=st.sampled_from(OF_NUMBERS + OF_CLASSES),
    n_targets=st.sampled_from([1, 3]),
    hidden=st.sampled_from([(), (4,)]),
    solver=st.sampled_from(SOLVERS),
    rate=st.sampled_from(["constant", "invscaling", "adaptive"]),
    batch_size=st.sampled_from([1, 4, 6]),
    penalty=st.sampled_from([None, "l2", "l1", "elasticnet"]),
    average=st.sampled_from([False, True, 20]),
    dtype=st.sampled_from(["float32", "float64", "int8"]),
    is_sparse=st.booleans(),
)
def test_chunks_of_whole_batches_are_an_epoch(
    cuts, loss, n_targets, hidden, solver, rate, batch_size, penalty, average, dtype, is_sparse
):
    if is_sparse and solver["solver"] == "normalized_sgd":
        return
    X, _ = rows_of(dtype, is_sparse)
    options = {"learning_rate": rate, "batch_size": batch_size, "penalty": penalty, "alpha": 0.01, "average": average}
    whole, y, known = estimator_of(loss, n_targets, hidden, options | solver)
    chunks = estimator_of(loss, n_targets, hidden, options | solver)[0]
    # A neuron takes single rows four at a time.
    edges = edges_of(cuts, 4 if batch_size == 1 else batch_size)
    whole.fit(X, y)
    learn(chunks, X, y, edges, **known)
    found, expected = chunks.model_.parameters, whole.model_.parameters
    is_lazy = is_sparse and solver == {"solver": "sgd", "momentum": 0.0} and penalty is not None
    if is_lazy:
        # The weights that no row touches are brought up to date at the end of each call.
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)
    assert chunks.t_ == whole.t_
    assert chunks.n_iter_ == len(edges) - 1


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, N_ROWS - 1), max_size=4), is_sparse=st.booleans())
@example(cuts=[7], is_sparse=False)
def test_single_rows_for_several_outputs_are_an_epoch_wherever_they_are_cut(cuts, is_sparse):
    X, _ = rows_of("float64", is_sparse)
    whole, y, known = estimator_of("squared_error", 3, (), {"solver": "sgd", "batch_size": 1, "penalty": None})
    chunks = estimator_of("squared_error", 3, (), {"solver": "sgd", "batch_size": 1, "penalty": None})[0]
    learn(chunks, X, y, edges_of(cuts, 1), **known)
    np.testing.assert_array_equal(chunks.coef_, whole.fit(X, y).coef_)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, N_ROWS - 1), max_size=4))
def test_a_chunk_ends_with_a_smaller_batch(cuts):
    X, _ = rows_of("float64", False)
    estimator, y, _ = estimator_of("squared_error", 1, (), {"solver": "sgd", "batch_size": 5, "penalty": None})
    edges = edges_of(cuts, 1)
    w, b = np.zeros(5), 0.0
    for start, stop in pairwise(edges):
        for begin in range(start, stop, 5):
            rows = slice(begin, min(begin + 5, stop))
            error = X[rows] @ w + b - y[rows]
            w, b = w - 0.01 * error @ X[rows] / len(error), b - 0.01 * error.mean()
    learn(estimator, X, y, edges)
    np.testing.assert_allclose([*estimator.coef_, *estimator.intercept_], [*w, b], rtol=1e-10)
    assert estimator.t_ == sum(-(-(stop - start) // 5) for start, stop in pairwise(edges))


@settings(max_examples=15)
@given(
    cuts=st.lists(st.integers(1, 11), max_size=4),
    hidden=st.sampled_from([(), (4,)]),
    is_sparse=st.booleans(),
    standardize=st.sampled_from([True, "scale"]),
)
def test_what_was_fitted_goes_on_with_its_scales(cuts, hidden, is_sparse, standardize):
    X, _ = rows_of("float64", is_sparse)
    X = X * 100 if is_sparse else X * 100 + 7
    options = {"solver": "adam", "batch_size": 4, "standardize": standardize, "warm_start": True}
    whole, y, known = estimator_of("log_loss", 3, hidden, options)
    # Other rows than those that follow, and their scales stay.
    chunks = estimator_of("log_loss", 3, hidden, options)[0].fit(X[:30], y[:30])
    whole.fit(X[:30], y[:30]).fit(X, y)
    learn(chunks, X, y, edges_of(cuts, 4), **known)
    np.testing.assert_array_equal(chunks.model_.parameters, whole.model_.parameters)
    assert chunks.t_ == whole.t_
