"""Pictures of layers have their weights and outputs."""

import numpy as np
import pytest
from pictures import rendered

import fastgd as gd


def test_first_layer_as_images():
    weight = np.arange(30.0).reshape(5, 6) - 15
    model = gd.Model([gd.Standardize(6), gd.Linear(6, 5, init=weight)])
    image = rendered(gd.plot.first_layer(model, (2, 3), n_units=4)).images[0].get_array()
    np.testing.assert_array_equal(image[:2, :3], weight[0].reshape(2, 3))
    np.testing.assert_array_equal(image[-2:, -3:], weight[3].reshape(2, 3))
    assert image.count() == 24
    ax = gd.plot.first_layer(model, (2, 3), n_units=4)
    assert ax.get_title() == "first layer: weights of the first 4 of 5 units, 2 × 3 each"
    assert ax.images[0].get_clim() == (-15, 15)
    ax = gd.plot.first_layer(model)
    np.testing.assert_array_equal(ax.images[0].get_array(), weight)
    with pytest.raises(ValueError, match="of 9 pixels, and the layer has 6 features"):
        gd.plot.first_layer(model, (3, 3))
    with pytest.raises(ValueError, match="shape is 28"):
        gd.plot.first_layer(model, 28)


def test_first_layer_by_names():
    pandas = pytest.importorskip("pandas")
    model = gd.Model([gd.Linear(2, 3)])
    gd.Trainer(model).fit(pandas.DataFrame({"width": [1.0, 2.0], "height": [0.0, 1.0]}), np.zeros((2, 3)))
    assert [label.get_text() for label in gd.plot.first_layer(model).get_xticklabels()] == ["width", "height"]


@pytest.mark.parametrize("n_units", [1, 2, 3, 30])
@pytest.mark.parametrize("n_features", [1, 2, 13])
def test_first_layer_has_whole_numbers_of_units(n_units, n_features):
    ax = rendered(gd.plot.first_layer(gd.Model([gd.Linear(n_features, n_units)], seed=0)))
    for axis, n in ((ax.yaxis, n_units), (ax.xaxis, n_features)):
        low, high = sorted(axis.get_view_interval())
        shown = [tick for tick in axis.get_ticklocs() if low <= tick <= high]
        assert set(shown) <= set(range(n))
        assert len(shown) >= min(n, 2)


def test_activations_and_dead_units():
    """Of four units, one is 0 for every row, one for none."""
    first = gd.Linear(1, 4, init=[[1], [-1], [0], [0]], bias=[0, 0, -1, 2])
    model = gd.Model([first, gd.ReLU(), gd.Linear(4, 2, init="zeros"), gd.Tanh(), gd.Linear(2, 1)])
    X = np.array([[-1], [1], [2]], np.float32)
    outputs, units = rendered(gd.plot.activations(model, X))
    assert [label.get_text() for label in outputs.get_yticklabels()] == ["1: ReLU, 4 units", "3: Tanh, 2 units"]
    widths = np.array([bar.get_width() for bar in units.patches]).reshape(3, 2)
    np.testing.assert_allclose(widths, [[25, 0], [50, 0], [25, 0]])
    assert [text.get_text() for text in units.texts] == ["25.0% dead", "no ReLU"]
    relu = np.maximum(X @ [[1, -1, 0, 0]] + [0, 0, -1, 2], 0)
    medians = [line.get_xdata()[0] for line in outputs.lines if line.get_linewidth() == 2]
    np.testing.assert_allclose(medians, [np.median(relu), 0])
    with pytest.raises(ValueError, match="has no activation behind a Linear"):
        gd.plot.activations(gd.Model([gd.Linear(1, 1)]), X)
