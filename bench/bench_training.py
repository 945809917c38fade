"""Whole epochs: fastgd, NumPy and pure Python, and what the epoch is measured against.

All that is compared trains on the same rows: so many that pure Python takes some seconds, and fastgd's call several
times as long as one on hardly any rows. Where there is no such number, pure Python is left out: in 784-1024-1024-10 a
single batch takes it a minute. Untimed, all train on as few rows as `report.py` lets pure Python train on.
"""

import functools

import pytest

from bench.cases.runs import PurePython, Run, baseline_of, prepare
from bench.cases.workloads import WORKLOADS

LIBRARIES = ["fastgd", "NumPy", "pure Python", "baseline", "unchecked"]


@functools.cache
def prepared(name: str, is_timed: bool) -> dict[str, Run]:
    """The libraries' runs on the same rows, warm and checked."""
    workload = WORKLOADS[name]
    n_rows = workload.n_compared or workload.n_samples
    if not is_timed:
        # Whole batches, as NumPy's products take no others.
        n_rows = -(-workload.n_python // workload.batch_size) * workload.batch_size
    workload = workload._replace(n_samples=n_rows)
    runs = prepare(workload)
    if workload.n_compared and is_timed:
        runs["pure Python"] = PurePython(workload._replace(n_python=n_rows), *workload.arrays())
    return runs


@pytest.mark.parametrize(
    ("name", "library"),
    [
        (name, library)
        for name, workload in WORKLOADS.items()
        for library in LIBRARIES
        if library != "pure Python" or workload.n_compared
    ],
)
def test_epoch(benchmark, name, library):
    runs = prepared(name, benchmark.enabled)
    run = runs[baseline_of(WORKLOADS[name]) if library == "baseline" else library]
    if benchmark.enabled:
        assert run.n_samples == runs["fastgd"].n_samples
    run.reset()
    benchmark.group = f"epoch | {name}"
    benchmark.extra_info["rows"] = run.n_samples
    if library == "pure Python":
        benchmark.pedantic(run.epoch)
    else:
        benchmark(run.epoch)
