"""Every number of the article's worked example, by the kernels in both dtypes and by the reference in fractions."""

from fractions import Fraction as F

import numpy as np
import pytest
from cases import WORKED_X, WORKED_Y, worked_example

import fastgd as gd
from fastgd.reference import article, exact

W = [F(1, 200), F(-3000, 11_600_000), F(1, 5800)]
AFTER = [F(1, 200), F(2, 10_000) - F(3000, 11_600_000), F(3, 10_000) + F(1, 5800)]
ZERO = [0, 0, 0]
# Of each step: o1, o2, o3, y, loss, δ4, δ3, δ2, δw2, ŵ2.
STEPS = [
    ([100, 2000, 100], 0, 0, 0, 0, 0, 0, ZERO, ZERO, W),
    ([200, 0, 0], 1, 1, 1, 0, 0, 0, ZERO, ZERO, W),
    ([0, 2000, 3000], 0, 0, 1, F(1, 2), -1, -1, [-w for w in W], [0, -2000, -3000], AFTER),
]


def numbers_of(step):
    (o2, o3), (d2, d3, d4) = step.outputs, step.deltas
    arrays = step.x, o2, o3, step.y, step.loss, d4, d3, d2, step.gradient, step.parameters_after
    return [np.asarray(array).ravel() for array in arrays]


def test_in_fractions():
    trace = exact.trace(article.layers(), article.X, article.Y, article.LEARNING_RATE)
    assert len(trace) == 3
    for step, expected in zip(trace, STEPS, strict=True):
        for found, number in zip(numbers_of(step), expected, strict=True):
            assert found.tolist() == np.ravel(np.array(number, object)).tolist()
        assert step.parameters_before.tolist() == W
        assert step.learning_rate == F(1, 10**7)
        assert step.masks[0] is None
        assert step.masks[1].all()


def test_by_the_kernels(dtype):
    """To rounding: the sums for o2 are of numbers up to 1."""
    model = worked_example(dtype)
    trace = gd.trace(model, WORKED_X, WORKED_Y, learning_rate=1e-7)
    eps = np.finfo(dtype).eps
    for place, (step, expected) in enumerate(zip(trace, STEPS, strict=True)):
        for found, number in zip(numbers_of(step), expected, strict=True):
            number = np.array(number, np.float64).ravel()
            assert found.dtype == dtype or found.size == 1
            np.testing.assert_allclose(found, number, rtol=8 * eps, atol=8 * eps * (np.abs(number).max() + 1))
        # What moves the weights is not rounding alone.
        np.testing.assert_allclose(step.parameters_after - step.parameters_before, [0, 2e-4, 3e-4] if place == 2 else 0,
                                   rtol=1e-3, atol=1e-9)  # fmt: skip
        assert step.masks[0] is None
        assert step.masks[1].dtype == bool
        assert step.masks[1].all()
        assert (step.update, step.rows, step.learning_rate) == (place + 1, (place, place + 1), 1e-7)
    np.testing.assert_array_equal(model.parameters, worked_example(dtype).parameters)


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_the_example_is_what_the_trainer_makes_of_it(n_epochs):
    model, twin = article.model(), worked_example("float64")
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    trainer, other = (gd.Trainer(each, optimizer=gd.SGD(1e-7)) for each in (model, twin))
    for epoch in range(n_epochs):
        trace = trainer.trace(article.X, article.Y)
        for step, x, y in zip(trace, WORKED_X, WORKED_Y, strict=True):
            other.step([x], [y])
            np.testing.assert_array_equal(step.parameters_after, twin.parameters)
        assert [step.update for step in trace] == [3 * epoch + 1, 3 * epoch + 2, 3 * epoch + 3]
    np.testing.assert_array_equal(model.parameters, twin.parameters)
