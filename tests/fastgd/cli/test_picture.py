"""The learning curve that `fastgd train --plot` writes."""

import sys

import numpy as np
import pytest
from command_line import SMALL, run
from matplotlib import pyplot
from pictures import lines

import fastgd as gd


@pytest.fixture
def curves(monkeypatch):
    """The axes of what is drawn."""
    drawn, learning_curve = [], gd.plot.learning_curve
    monkeypatch.setattr(gd.plot, "learning_curve", lambda *a, **k: drawn.append(learning_curve(*a, **k)) or drawn[-1])
    yield drawn
    pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "begin"), [("run.png", b"\x89PNG"), pytest.param("run.SVG", b"<?xml", marks=pytest.mark.slow)]
)
def test_the_curve_of_a_run(name, begin, curves, capsys, tmp_path):
    status, out, err = run(capsys, "train", *SMALL, "--epochs", 3, "--plot", tmp_path / name)
    assert (status, err) == (0, "")
    assert f"picture      {tmp_path / name}" in out
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    ((losses, rate),) = curves
    found = lines(losses)
    assert f"loss         {found['training'][1][-1]:.6g} (noise floor 0.005)" in out
    np.testing.assert_allclose(found["noise"][1], 0.005, rtol=1e-5)
    assert f"learning rate {rate.lines[0].get_ydata()[-1]:.3g}," in out


def test_a_run_that_diverges_is_seen_up_to_there(curves, capsys, tmp_path):
    picture = tmp_path / "run.png"
    arguments = ["--learning-rate", 3, "--batch-size", "full", "--output", "linear", "--epochs", 200]
    status, _, err = run(capsys, "train", *SMALL, *arguments, "--plot", picture)
    assert status == 1, err
    ((losses, _),) = curves
    assert len(lines(losses)["training"][0]) > 1
    assert picture.exists()


def test_what_cannot_be_drawn_is_said_before_training(capsys, monkeypatch, tmp_path):
    out = tmp_path / "run.png"
    for arguments, message in (
        (["--plot", tmp_path / "run.docx"], "run.docx; expected a name that ends in one of ."),
        (["--plot", out, "--out", out], f"--plot and --out are both {out}; expected two files"),
        (["--plot", ""], "--plot is empty; expected the name of a file to write"),
        (["--plot", tmp_path / "none" / "run.png"], "there is no folder"),
    ):
        status, _, err = run(capsys, "train", *SMALL, *arguments)
        assert status == 2
        assert message in err
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    status, _, err = run(capsys, "train", *SMALL, "--plot", out)
    assert (status, err) == (2, "fastgd: error: --plot needs matplotlib; expected pip install 'fastgd[plot]'\n")
    assert list(tmp_path.iterdir()) == []
