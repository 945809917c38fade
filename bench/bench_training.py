"""Whole epochs: fastgd, NumPy and pure Python, and what the epoch is measured against.

Pure Python trains on the workload's first rows only: see `rows` in the table's extra information.
"""

import functools

import pytest
from runs import prepare, yardstick_of
from workloads import WORKLOADS

prepared = functools.cache(prepare)


@pytest.mark.parametrize("library", ["fastgd", "NumPy", "pure Python", "yardstick", "unchecked"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_epoch(benchmark, name, library):
    workload = WORKLOADS[name]
    run = prepared(workload)[yardstick_of(workload) if library == "yardstick" else library]
    run.reset()
    benchmark.group = f"epoch | {name}"
    benchmark.extra_info["rows"] = run.n_samples
    benchmark(run.epoch)
