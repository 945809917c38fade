"""The pure-Python reference: the article's numbers, exactly, and its gradient by exact differences."""

import doctest
from fractions import Fraction

import pytest

from fastgd.reference import algorithm as reference


def test_docstring_example():
    assert doctest.testmod(reference).failed == 0


def worked_model():
    return [
        reference.Linear([[Fraction(1, 200), Fraction(-3000, 11_600_000), Fraction(1, 5800)]]),
        reference.ReLU(),
    ]


X = [[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]]
Y = [[0], [1], [1]]


def test_worked_example_before():
    model = worked_model()
    assert [reference.predict(model, x) for x in X] == [[0], [1], [0]]
    losses = [reference.half_squared_error(reference.predict(model, x), y)[0] for x, y in zip(X, Y, strict=True)]
    assert losses == [0, 0, Fraction(1, 2)]


def test_worked_example_after_one_epoch():
    model = worked_model()
    assert reference.train(model, X, Y, learning_rate=Fraction(1, 10**7)) == Fraction(1, 6)
    w = [Fraction(1, 200), Fraction(2, 10_000) - Fraction(3000, 11_600_000), Fraction(3, 10_000) + Fraction(1, 5800)]
    assert model[0].weight == [w]
    outputs = [reference.predict(model, x)[0] for x in X]
    assert outputs == [Fraction(43, 100), 1, Fraction(13, 10)]
    assert [int(out >= Fraction(1, 2)) for out in outputs] == [0, 1, 1]
    losses = [(out - y[0]) ** 2 / 2 for out, y in zip(outputs, Y, strict=True)]
    assert losses == [Fraction(1849, 20_000), 0, Fraction(9, 200)]


def test_steps_one_and_two_change_nothing():
    model = worked_model()
    reference.train(model, X[:2], Y[:2], learning_rate=Fraction(1, 10**7))
    assert model[0].weight == worked_model()[0].weight


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_gradient_is_the_exact_difference(batch_size):
    """On each linear piece the loss is a quadratic in one weight, so a central difference of Fractions is exact."""

    def network(shift=None):
        weights = [[[1, -2], [Fraction(1, 2), 3], [-1, -1]], [[2, -1, Fraction(1, 3)]]]
        if shift:
            k, i, j, h = shift
            weights[k][i][j] += h
        return [reference.Linear(weights[0], [1, 0, Fraction(1, 5)]), reference.ReLU(), reference.Linear(weights[1])]

    rows = [[Fraction(1, 3), 2], [-1, Fraction(1, 7)], [Fraction(5, 2), -1]][:batch_size]
    targets = [[1], [Fraction(-1, 2)], [3]][:batch_size]
    v = [1, Fraction(3, 2), Fraction(1, 2)][:batch_size]
    model = network()
    reference.loss_and_gradient(model, rows, targets, v)
    h = Fraction(1, 10**6)
    for k, layer in ((0, model[0]), (1, model[2])):
        for i, row in enumerate(layer.weight):
            for j in range(len(row)):
                up = reference.loss_and_gradient(network((k, i, j, h)), rows, targets, v)
                down = reference.loss_and_gradient(network((k, i, j, -h)), rows, targets, v)
                assert layer.d_weight[i][j] == (up - down) / (2 * h) / batch_size


def test_tolerance_lets_the_gradient_pass_below_zero():
    relu = reference.ReLU(tolerance=0.1)
    assert relu.forward([-0.05, -0.2, 0.0]) == [0, 0, 0]
    assert relu.backward([1, 1, 1]) == [1, 0, 1]
