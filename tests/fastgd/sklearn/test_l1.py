"""Linear models under an L1 penalty end where its objective is least, with weights that are exactly zero."""

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.linear_model import ElasticNet
from sklearn.preprocessing import StandardScaler

from fastgd.sklearn import GDClassifier, GDRegressor
from fastgd.sklearn.l1_minimum import minimize_with_l1


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_weights_are_zero_where_those_of_lasso_are(l1_ratio, n_outputs):
    rng = np.random.default_rng(0)
    X = StandardScaler().fit_transform(rng.standard_normal((300, 60)) + rng.standard_normal((300, 1)))
    y = X[:, : 2 * n_outputs].reshape(300, 2, n_outputs).sum(axis=1) + rng.standard_normal((300, n_outputs))
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    found = GDRegressor(penalty="elasticnet", alpha=0.05, l1_ratio=l1_ratio, tol=1e-5, random_state=0)
    found.fit(X, np.squeeze(y))
    for coef, target in zip(np.atleast_2d(found.coef_), y.T, strict=True):
        peer = ElasticNet(0.05, l1_ratio=l1_ratio, tol=1e-8).fit(X, target)
        np.testing.assert_array_equal(coef != 0, peer.coef_ != 0)
        np.testing.assert_allclose(coef, peer.coef_, atol=2e-3)
        assert np.count_nonzero(coef) < 40
    assert found.n_iter_ == 8
    assert found.converged_


def test_weights_of_words_are_those_of_the_least_objective():
    """There, the gradient of the loss is within alpha where a weight is 0, and -alpha sign(w) elsewhere."""
    X = random_array((400, 3000), density=0.01, format="csr", rng=np.random.default_rng(0))
    logits = 60 * (X[:, :5].sum(axis=1) - X[:, 5:10].sum(axis=1))
    y = logits + np.random.default_rng(1).logistic(size=400) > 0
    found = GDClassifier(penalty="l1", alpha=1e-3, tol=1e-5, random_state=0).fit(X, y)
    coef, gradient = found.coef_[0], X.T @ (found.predict_proba(X)[:, 1] - y) / 400
    assert 100 < np.count_nonzero(coef) < 400
    assert np.abs(gradient[coef == 0]).max() <= 1.01e-3
    np.testing.assert_allclose(gradient[coef != 0], -1e-3 * np.sign(coef[coef != 0]), atol=1e-5)


@pytest.mark.parametrize("maxfun", [5000, 7])
def test_minimize_with_l1(maxfun):
    """At the least of f + l1 |x|, the gradient of f is within l1 where x is 0, and -l1 sign(x) elsewhere."""
    rng = np.random.default_rng(0)
    A, start = rng.standard_normal((80, 51)), rng.standard_normal(51)
    A[:, 20] += A[:, 0]
    b = A[:, [0, 20, 50]] @ [3.0, -2.0, 5.0] + 0.1 * rng.standard_normal(80)
    start[10:40] = 0
    # Weight 20 will only be missed once another one has changed.
    start[0] += (b - A @ start) @ A[:, 20] / (A[:, 0] @ A[:, 20])
    assert abs((A @ start - b) @ A[:, 20]) < 1e-9

    def smooth(x):
        return float((A @ x - b) @ (A @ x - b)) / 160, A.T @ (A @ x - b) / 80

    def objective(x):
        return smooth(x)[0] + 0.2 * np.abs(x[:50]).sum()

    options = {"gtol": 1e-7, "ftol": 1e-14, "maxfun": maxfun, "maxiter": 5000}
    found = minimize_with_l1(smooth, start, 50, 0.2, options)
    assert objective(found.x) - objective(start) < found.fun + 1e-9
    assert found.fun < 0
    if maxfun == 7:
        assert not found.success
        return
    gradient = smooth(found.x)[1]
    is_zero = found.x[:50] == 0
    assert is_zero.sum() > 40
    assert np.abs(gradient[:50][is_zero]).max() <= 0.2 + 1e-6
    np.testing.assert_allclose(gradient[:50][~is_zero], -0.2 * np.sign(found.x[:50][~is_zero]), atol=1e-6)
    assert abs(gradient[50]) < 1e-6
