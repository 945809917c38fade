"""The cross-entropy of many rows, of which several fill a vector."""

import numpy as np
import pytest
from loss_cases import evaluate

from fastgd import losses


@pytest.mark.parametrize("n_classes", [1, 2, 3, 8, 16, 17, 33])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.25])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_row_has_the_bits_that_it_has_alone(n_classes, label_smoothing, is_weighted, dtype):
    rng = np.random.default_rng(0)
    loss = losses.cross_entropy(label_smoothing)
    for n_rows in (1, 7, 8, 9, 16, 17, 50):
        out = 5 * rng.standard_normal((n_rows, n_classes))
        target = rng.integers(0, n_classes, (n_rows, 1))
        weight = rng.integers(0, 3, n_rows) / 2 if is_weighted else np.empty(0)
        total, d_out = evaluate(loss, out, target, dtype, weight, 1 / n_rows)
        alone = [
            evaluate(loss, out[i : i + 1], target[i : i + 1], dtype, weight[i : i + 1], 1 / n_rows)
            for i in range(n_rows)
        ]
        np.testing.assert_array_equal(d_out, np.concatenate([d for _, d in alone]))
        assert total == pytest.approx(sum(value for value, _ in alone), rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 7, 15, 16, 19])
def test_what_is_not_finite_spoils_its_row_alone(row, value, dtype):
    out = np.random.default_rng(0).standard_normal((20, 3))
    out[row, 1] = value
    total, d_out = evaluate("cross_entropy", out, np.zeros((20, 1)), dtype)
    assert not np.isfinite(total)
    assert np.isfinite(d_out).all(axis=1).tolist() == [i != row for i in range(20)]
