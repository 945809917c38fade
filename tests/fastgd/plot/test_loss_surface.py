"""Pictures of the loss have the losses and gradients of the model."""

import numpy as np
import pytest
from cases import WORKED_X, WORKED_Y, worked_example
from pictures import lines, rendered

import fastgd as gd


def test_tangent_of_the_worked_example():
    """The third row: w goes from 1/5800 to 1/5800 + 0.0003, and the loss from 0.5 to 0.005."""
    neuron = worked_example("float64")
    before = neuron.parameters.copy()
    ax = rendered(gd.plot.tangent(neuron, WORKED_X[2:], WORKED_Y[2:], weight=2, learning_rate=1e-7))
    np.testing.assert_array_equal(neuron.parameters, before)
    found = lines(ax)
    np.testing.assert_allclose(found["w"][:, 0], [1 / 5800, 0.5])
    np.testing.assert_allclose(found["ŵ"][:, 0], [1 / 5800 + 0.0003, 0.005])
    (x0, x1), (y0, y1) = found["tangent"]
    assert (y1 - y0) / (x1 - x0) == pytest.approx(-3000)
    w, loss = found["loss"]
    assert w[0] < 1 / 5800 < 1 / 5800 + 0.0003 < w[-1]
    z = 2000 * before[1] + 3000 * w
    np.testing.assert_allclose(loss, 0.5 * (np.maximum(z, 0) - 1) ** 2, atol=1e-12)
    assert ax.get_xlabel() == "w, which is 0.weight[0, 2]"


def test_a_weight_goes_by_its_place_and_by_its_name():
    """Each with the slope that the gradient has there."""
    model = gd.Model(
        [gd.Standardize(2).fit([[0, 0], [1, 3]]), gd.Linear(2, 2), gd.Linear(2, 1)], dtype="float64", seed=1
    )
    rows = [[1.0, 2.0]], [3.0]
    gradient = model.loss_and_gradient(*rows)[1]
    for place, name in ((3, ("1.weight", 1, 1)), (5, ("1.bias", 1)), (7, ("2.weight", 0, 1)), (8, ("2.bias", 0))):
        pictures = [gd.plot.tangent(model, *rows, weight=weight, learning_rate=0.1) for weight in (place, name)]
        labels = [ax.get_xlabel() for ax in pictures]
        assert labels == [f"w, which is {name[0]}{list(name[1:])}"] * 2
        for ax in pictures:
            (x0, x1), (y0, y1) = lines(ax)["tangent"]
            assert (y1 - y0) / (x1 - x0) == pytest.approx(gradient[place])


def test_a_tangent_near_the_minimum_shows_no_rounding():
    """A float32 model that has all but learnt: its loss is a parabola there, and no staircase."""
    X = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    y = X @ np.array([1.0, 2.0, 3.0], np.float32) + 100
    model = gd.Model([gd.Linear(3, 1)])
    model.parameters[:] = [1, 2, 3, np.nextafter(np.float32(100), np.float32(200))]
    w, loss = lines(gd.plot.tangent(model, X, y, weight=3, learning_rate=1e-3))["loss"]
    np.testing.assert_allclose(loss, 0.5 * (w - 100) ** 2, atol=0.02 * loss.max())


def test_tangent_without_a_step():
    """Where the slope is zero, and where the rate is."""
    neuron = worked_example("float64")
    for row, rate in ((1, 1.0), (2, 0.0)):
        ax = gd.plot.tangent(neuron, [WORKED_X[row]], [WORKED_Y[row]], weight=("0.weight", 0, 0), learning_rate=rate)
        np.testing.assert_array_equal(lines(ax)["w"], lines(ax)["ŵ"])


def two_weights():
    """A model of y = 2 a - b, and a path to it."""
    model = gd.Model([gd.Linear(2, 1, bias=False, init=[[2, -1]])], dtype="float64")
    X = np.array([[1.0, 0], [0, 1]])
    return model, np.array([[0.0, 0], [1, -1.5], [2, -1]]), X, X @ [2, -1]


def test_descent_path_of_two_weights():
    model, path, X, y = two_weights()
    ax = rendered(gd.plot.descent_path(model, path, X, y, resolution=5))
    np.testing.assert_allclose(lines(ax)["path"].T, path, atol=1e-12)
    np.testing.assert_allclose(lines(ax)["end"][:, 0], [2, -1], atol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("0.weight[0, 0]", "0.weight[0, 1]")
    (surface,) = (each for each in ax.collections if hasattr(each, "levels"))
    corners = [(a, b) for a in ax.get_xlim() for b in ax.get_ylim()]
    largest = max(0.25 * ((a - 2) ** 2 + (b + 1) ** 2) for a, b in corners)
    assert surface.levels[-1] == pytest.approx(largest)
    assert surface.levels[0] == pytest.approx(0, abs=0.05)


def test_descent_path_in_its_principal_directions():
    """The plane goes through the path's end, and holds a path that is plane."""
    model = gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], dtype="float64")
    end = model.parameters.copy()
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, end.size))
    path = [end + 3 * u, end + u + 0.5 * v, end]
    X, y = rng.standard_normal((4, 3)), np.ones(4)
    ax = gd.plot.descent_path(model, path, X, y, resolution=2)
    shares = [float(label.split()[3].rstrip("%")) for label in (ax.get_xlabel(), ax.get_ylabel())]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    steps = np.diff(lines(ax)["path"].T, axis=0)
    np.testing.assert_allclose(np.hypot(*steps.T), np.linalg.norm(np.diff(path, axis=0), axis=1))
    np.testing.assert_array_equal(model.parameters, end)
    ax = gd.plot.descent_path(model, path, X, y, directions=(u, v), resolution=2)
    np.testing.assert_allclose(lines(ax)["path"].T, [[3, 0], [1, 0.5], [0, 0]], atol=1e-9)


def test_what_is_no_weight_and_no_path():
    model, path, X, y = two_weights()

    def tangent(weight):
        gd.plot.tangent(model, X, y, weight=weight, learning_rate=0.1)

    with pytest.raises(IndexError, match="weight is 2 and the model has 2 parameters"):
        tangent(2)
    with pytest.raises(IndexError, match=r"0.weight has shape \(1, 2\)"):
        tangent(("0.weight", 1, 0))
    with pytest.raises(ValueError, match=r"one of 0.weight with indices, as in \('0.weight', 0, 0\)"):
        tangent(("1.weight", 0, 0))
    with pytest.raises(ValueError, match=r"weight is '0.weight'; expected a place in model.parameters"):
        tangent("0.weight")
    with pytest.raises(ValueError, match=r"path has shape \(2,\); expected \(n_points, 2\)"):
        gd.plot.descent_path(model, path[0], X, y)
    with pytest.raises(ValueError, match="directions span no plane"):
        gd.plot.descent_path(model, path, X, y, directions=(1, 1))
    with pytest.raises(ValueError, match=r"directions is \(0,\); expected a pair"):
        gd.plot.descent_path(model, path, X, y, directions=(0,))
    deep = gd.Model([gd.Linear(3, 1)])
    with pytest.raises(ValueError, match="path has 2 points of 4 parameters; expected directions"):
        gd.plot.descent_path(deep, np.zeros((2, 4)), np.ones((1, 3)), [1])
