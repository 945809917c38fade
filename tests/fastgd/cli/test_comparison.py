"""The comparison with the reference."""

import re

import pytest
from command_line import SMALL, run


def test_a_comparison_does_not_decide_the_status(capsys, monkeypatch):
    """At the rate that was found, plain Python may diverge from the first weights, or raise an OverflowError."""
    status, out, _ = run(capsys, "train", "--synthetic", "10000x10x2", "--hidden", 64, "--batch-size", 32, "--quiet")
    assert status == 0
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-4

    def overflow(*_, **__):
        raise OverflowError("too large")

    monkeypatch.setattr("fastgd.reference.algorithm.train", overflow)
    status, out, _ = run(capsys, "train", *SMALL)
    assert status == 0
    assert "pure Python  not compared: too large" in out


def test_rows_of_ones_own_are_not_compared(capsys, files):
    assert "pure Python" not in run(capsys, "train", files, "--quiet")[1]


@pytest.mark.parametrize(
    "options",
    [
        ["--momentum", 0.9],
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (["--clip-norm", 1], ["--optimizer", "Adam"], ["--loss", "huber"])
        ),
    ],
    ids=str,
)
def test_what_the_reference_does_not_know_is_not_compared(options, capsys):
    status, out, _ = run(capsys, "train", *SMALL, "--learning-rate", 0.001, *options)
    assert status == 0
    assert "pure Python" not in out


UNEVEN = {
    "rate at the end of training": ["10000x10x2", "--hidden", "64", "--batch-size", "32"],
    "large targets": ["500x5x2", "--hidden", "30,30", "--noise", "1e6", "--learning-rate", "1e-12"],
    "full batch": ["3000x20", "--batch-size", "full", "--noise", "100"],
}


@pytest.mark.parametrize("case", UNEVEN)
def test_pure_python_does_not_diverge(case, capsys):
    status, out, err = run(capsys, "train", "--synthetic", *UNEVEN[case], "--quiet", "--epochs", 1)
    assert (status, err) == (0, "")
    assert "times as fast" in out
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-4
