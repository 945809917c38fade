"""Losses, gradients and epochs of few rows, by fastgd and by NumPy, which come to what NumPy does in float64."""

import functools

import pytest

from bench.cases.few_rows import LINES, prepare
from bench.cases.runs import Run


@functools.cache
def prepared(name: str) -> dict[str, Run]:
    return prepare(LINES[name])


@pytest.mark.parametrize("library", ["fastgd", "NumPy"])
@pytest.mark.parametrize("name", LINES)
def test_few_rows(benchmark, name, library):
    run = prepared(name)[library]
    benchmark.group = f"few rows | {name}"
    benchmark.extra_info["times"] = run.n_samples
    run.reset()
    benchmark(run.epoch)
