"""Moments and quartiles of parts, merged, against NumPy's of all rows."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.data.two_values import TwoValues
from fastgd.moments import FeatureMoments, Moments, Quartiles, RobustMoments


def merged(kind, X, v, borders, *arguments):
    first, *others = (kind(X.shape[1], *arguments) for _ in range(len(borders) + 1))
    for part, rows, weights in zip([first, *others], np.split(X, borders), np.split(v, borders), strict=True):
        part.add(rows, weights)
    for other in others:
        first.merge(other)
    return first.result()


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("borders", [[133, 266], [0, 5, 6, 400]])
def test_merged_moments(borders, is_weighted, rng):
    """Of columns with large offsets, and of a size whose squares overflow or underflow; parts may have no rows."""
    X = rng.standard_normal((400, 5)) * [1, 1e-3, 1e300, 1e-200, 1] + [1e9, 1e6, 0, 0, 3]
    v = rng.integers(0, 3, 400).astype(float) if is_weighted else np.ones(400)
    scale = np.array([1, 1, 1e300, 1e-200, 1])
    mean, deviation = merged(Moments, X, v, borders)
    of_units = (X / scale).astype(np.longdouble)
    expected = v @ of_units / v.sum()
    squares = v @ (of_units - expected) ** 2 / v.sum()
    np.testing.assert_allclose(mean / scale, expected.astype(float), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(deviation / scale, np.sqrt(squares).astype(float), rtol=1e-13)


def test_rounding_is_no_variation():
    """Of numbers that are equal but for their last bits nothing is learnt, as one more bit would be a leap."""
    a = np.random.default_rng(0).uniform(0.1, 9, 400)
    columns = np.where(a > 5, 0.1 + 0.2, 0.3), a * 3 / a, 1e15 + np.arange(400) % 2, a
    layer = gd.Standardize(4)
    layer.fit(np.column_stack(columns))
    _, scale = layer.mean_and_scale
    np.testing.assert_array_equal(scale > 0, [False, False, True, True])


def test_what_does_not_vary_has_a_deviation_of_zero():
    X = np.full((30, 1), 0.1)
    assert merged(Moments, X, np.ones(30), [7, 20]) == (np.array([0.1]), np.array([0.0]))


@pytest.mark.parametrize("borders", [[], [133, 266], [0, 5, 6, 400], [399]])
def test_columns_of_two_values_become_as_wide_as_zeros_and_ones(borders, rng):
    """Whatever these are; that the last of 400 rows has a third is seen, unless it has no weight."""
    truths = rng.random((400, 8)) < 0.02
    X, v = np.where(truths, [1, 0, 1, 1, 1, 2, -3, 1e9 + 1e-6], [0, 0, 1, 0, 0, 1, 4, 1e9]), np.ones(400)
    X[399, 3], X[398, 4], v[398] = 0.5, 7, 0
    mean, deviation = merged(FeatureMoments, X, v, borders)
    kept = X[v > 0]
    np.testing.assert_allclose(mean, kept.mean(axis=0))
    np.testing.assert_array_equal(deviation[[0, 1, 2, 4, 5, 6, 7]], [1, 0, 0, 1, 1, 7, X[:, 7].max() - X[:, 7].min()])
    assert deviation[3] == pytest.approx(kept[:, 3].std())


def test_two_values_of_all_dtypes():
    """Values that only differ in the last bits of float64, and those whose difference is infinite."""
    for dtype in (np.float32, np.int64, np.bool_):
        found = TwoValues(2)
        found.add(np.array([[0, 0], [1, 0]], dtype))
        np.testing.assert_array_equal(found.widths(), [1, 0])
    found = TwoValues(2)
    found.add(np.array([[1, 1e308], [1 + 2**-52, -1e308]]))
    np.testing.assert_array_equal(found.widths(), [2**-52, 0])


def test_merged_quartiles(rng):
    X, v = rng.standard_cauchy((400, 3)), rng.integers(0, 3, 400).astype(float)
    whole = Quartiles(3, 400)
    whole.add(X, v)
    np.testing.assert_array_equal(merged(Quartiles, X, v, [100, 250], 400), whole.result())


def test_merged_robust_moments(rng):
    X, v = rng.standard_cauchy((400, 3)), rng.integers(0, 3, 400).astype(float)
    X[:, 2] = np.where(rng.random(400) < 0.9, 1.0, X[:, 2])
    low, median, high = np.quantile(np.repeat(X, v.astype(int), axis=0), [0.25, 0.5, 0.75], axis=0)
    found = merged(RobustMoments, X, v, [100, 250], 400)
    np.testing.assert_allclose(found[0], median, atol=0.01)
    np.testing.assert_allclose(found[1][:2], ((high - low) / 1.349)[:2], rtol=0.02)
    assert found[1][2] == pytest.approx(np.repeat(X[:, 2], v.astype(int)).std())
