"""The problems of `mixing.py`, small."""

import numpy as np
import pytest

from bench.studies import mixing

# That they are sorted is what is measured.
pytestmark = pytest.mark.filterwarnings("ignore:the rows are sorted by their targets")


@pytest.mark.parametrize("name", mixing.PROBLEMS)
def test_epoch(benchmark, name):
    problem = mixing.PROBLEMS[name](np.random.default_rng(0), 20_000)
    in_order, *mixed = mixing.losses(problem, 0.001, 2)
    assert max(mixed) < in_order
    benchmark.group = f"mixing | {name}"
    benchmark(mixing.loss_after_epoch, problem, 0.001, shuffle=True)
