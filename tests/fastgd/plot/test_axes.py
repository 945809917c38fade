"""What all pictures have in common."""

import subprocess
import sys

import pytest
from matplotlib import pyplot
from pictures import lines

import fastgd as gd
from fastgd.history import EpochRecord, History


def test_without_matplotlib_an_error_says_what_to_install():
    code = """
import sys
sys.modules["matplotlib"] = None
import fastgd as gd
try:
    gd.plot.first_layer(gd.Model([gd.Linear(2, 1)]))
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "fastgd.plot needs matplotlib; expected pip install 'fastgd[plot]'\n"


@pytest.mark.parametrize(("style", "color"), [("default", "#0072B2"), ("dark_background", "#56B4E9")])
def test_the_style_is_the_users(style, color):
    history = History()
    history.append(EpochRecord(1, 0.5, None, 0.1))
    with pyplot.style.context(style):
        (ax,) = history.plot()
        assert ax.get_facecolor() == pyplot.figure().add_subplot().get_facecolor()
    assert ax.lines[0].get_color() == color
    assert list(lines(ax)) == ["training"]


@pytest.mark.parametrize("draw", [gd.plot.first_layer, lambda model: gd.plot.activations(model, [[1]])])
def test_an_estimator_is_no_model(draw):
    class Estimator:
        model_ = gd.Model([gd.Linear(1, 1)])

    with pytest.raises(TypeError, match="expected a Model, such as its model_"):
        draw(Estimator())


def test_every_picture_says_so_in_the_packages_docstring():
    for name in gd.plot.__all__:
        assert f"gd.plot.{name}(" in gd.plot.__doc__
        assert "matplotlib" in getattr(gd.plot, name).__doc__
