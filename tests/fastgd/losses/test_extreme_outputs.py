"""Losses of outputs near the end of the numbers."""

import numpy as np
import pytest
from cases import rounding
from loss_cases import CASES, evaluate, made

import fastgd as gd
from fastgd import losses

EXTREMES = {
    "log_loss, sure and wrong": ("log_loss", [1e4], [0], 1e4, [1]),
    "log_loss, sure and right": ("log_loss", [1e4], [1], 0, [0]),
    "log_loss, sure of a half": ("log_loss", [1e4], [0.5], 5e3, [0.5]),
    "log_loss, sure of no, wrong": ("log_loss", [-1e4], [1], 1e4, [-1]),
    "log_loss, sure of no, right": ("log_loss", [-1e4], [0], 0, [0]),
    "log_loss, both ends": ("log_loss", [1e4, -1e4], [0, 1], 2e4, [1, -1]),
    "cross_entropy, right": ("cross_entropy", [1e4, -1e4, 0], [0], 0, [0, 0, 0]),
    "cross_entropy, wrong": ("cross_entropy", [1e4, -1e4, 0], [1], 2e4, [1, -1, 0]),
    "cross_entropy, all low": ("cross_entropy", [-1e4, -1.2e4, -1.4e4], [1], 2e3, [1, -1, 0]),
    "cross_entropy, even": ("cross_entropy", [1e4, 1e4], [1], np.log(2), [0.5, -0.5]),
    "cross_entropy, smoothed": (losses.cross_entropy(0.5), [1e4, -1e4], [0], 5e3, [0.25, -0.25]),
    "cross_entropy, one class": ("cross_entropy", [1e4], [0], 0, [0]),
    "poisson, rate of zero": ("poisson", [-1e4], [2], 2e4, [-2]),
    "poisson, nothing counted": ("poisson", [-1e4], [0], 0, [0]),
    "huber": (losses.huber(2.0), [1e4], [0], 2 * (1e4 - 1), [2]),
    "quantile": (losses.quantile(0.25), [1e4], [-1e4], 1.5e4, [0.75]),
    "quantile of zero": (losses.quantile(0), [-1e4], [0], 0, [0]),
    "quantile of one": (losses.quantile(1), [-1e4], [0], 1e4, [-1]),
    "hinge": ("hinge", [-1e4], [1], 1e4 + 1, [-1]),
    "squared_hinge": ("squared_hinge", [1e4], [-1], (1e4 + 1) ** 2, [2 * (1e4 + 1)]),
    "modified_huber": ("modified_huber", [-1e4], [1], 4e4, [-4]),
    "perceptron": ("perceptron", [-1e4], [1], 1e4, [-1]),
    "epsilon_insensitive": (losses.epsilon_insensitive(0), [1e4], [-1e4], 2e4, [1]),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extreme_outputs(case, dtype):
    """The limits themselves: nothing here depends on the smaller term, and most of it is exact in float32."""
    loss, z, y, value, derivative = EXTREMES[case]
    found, d_out = evaluate(loss, [z], [y], dtype)
    # log(2) is rounded, and a value of 1e8 is a square in float32.
    assert found == pytest.approx(value, rel=rounding(dtype, 1), abs=0)
    np.testing.assert_array_equal(d_out, [derivative])


# Two outputs, in nine tenths of the largest number, a target in the same or a class, the value, and the derivatives.
# Where a float64 cannot hold the value, it is infinite there.
DISTANT = {
    "cross_entropy, right": ("cross_entropy", [1, -1], [0], 0, [0, 0]),
    "cross_entropy, wrong": ("cross_entropy", [1, -1], [1], 2, [1, -1]),
    "cross_entropy, smoothed": (losses.cross_entropy(0.5), [1, -1], [0], 0.5, [0.25, -0.25]),
    "absolute_error": ("absolute_error", [1, -1], [-1, 1], 4, [1, -1]),
    "huber": (losses.huber(0.25), [1, -1], [-1, 1], 1, [0.25, -0.25]),
    "quantile": (losses.quantile(0.25), [1, -1], [-1, 1], 2, [0.75, -0.25]),
    "quantile of one": (losses.quantile(1), [1, 1], [-1, -1], 0, [0, 0]),
    "quantile of zero": (losses.quantile(0), [-1, -1], [1, 1], 0, [0, 0]),
    "epsilon_insensitive": ("epsilon_insensitive", [1, -1], [-1, 1], 4, [1, -1]),
}


@pytest.mark.parametrize("case", DISTANT)
def test_a_distance_that_overflows(case, dtype):
    """What the derivative is for certain, the value is not without the distance: it may be large, and is no NaN."""
    loss, z, y, value, derivative = DISTANT[case]
    largest = 0.9 * float(np.finfo(dtype).max)
    target = y if case.startswith("cross_entropy") else largest * np.array(y)
    found, d_out = evaluate(loss, [largest * np.array(z)], [target], dtype)
    np.testing.assert_array_equal(d_out, [derivative])
    if value and dtype == "float64":
        assert found >= min(value, 1) * largest
    else:
        assert found == pytest.approx(value * largest, rel=1e-6, abs=0)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("z", [5.0, 20.0, 30.0, 36.0, 80.0])
def test_log_loss_of_sure_outputs_keeps_its_digits(z, y, dtype):
    """What is left where z and y z cancel is exp(-|z|), to as many digits as the exponential has."""
    for sign, target in ((1, y), (-1, 1 - y)):
        found, _ = evaluate("log_loss", [[sign * z]], [[target]], dtype)
        assert found == pytest.approx((1 - y) * z + np.log1p(np.exp(-z)), rel=rounding(dtype, 4), abs=0)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_logits_whose_distance_overflows_are_nothing_at_weight_zero(n_classes, dtype):
    z = np.zeros((2, n_classes))
    z[0, :2] = 0.9 * np.finfo(dtype).max, -0.9 * np.finfo(dtype).max
    value, d_out = evaluate("cross_entropy", z, [[1], [0]], dtype, [0, 1])
    assert value == pytest.approx(np.log(n_classes), rel=rounding(dtype, 2))
    np.testing.assert_array_equal(d_out[0], 0)
    assert (d_out[1] != 0).all()


@pytest.mark.parametrize("name", CASES)
def test_no_value_hides_nan(name, dtype):
    case = CASES[name]
    _, y = made(case, 2, 3)
    z = [[1.0, np.nan, 0.5], [0.0, 0.0, 0.0]]
    for weight in ([], [1.0, 1.0], [0.0, 0.0]):
        assert np.isnan(evaluate(case.loss, z, y, dtype, weight)[0])


@pytest.mark.parametrize("z", [100.0, 1e4])
def test_a_poisson_rate_that_overflows_is_divergence(z):
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[z]])])
    with pytest.raises(gd.DivergenceError):
        gd.Trainer(model, "poisson").fit([[1.0]], [1.0])
    assert model.parameters == [z]
