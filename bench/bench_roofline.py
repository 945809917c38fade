"""The loops and limits of `roofline.py`, small: each loop has come to NumPy's parameters before."""

import functools

import numpy as np
import pytest

from bench.limits import machine, roofline

numbers = roofline.random_numbers(1 << 16)
COMPARISONS = {
    "16 inputs": functools.cache(lambda: roofline.neuron_runs(numbers, 16)),
    "pixels": functools.cache(lambda: roofline.pixel_runs(numbers)),
    "8-4-2": functools.cache(lambda: roofline.network_runs((8, 4, 2), 4, 1 << 14)),
}
RUNS = {
    "16 inputs": [
        *(f"batch {batch}" for batch in roofline.BATCHES),
        *(f"batch {batch}, {n} cached" for batch in roofline.BATCHES for n in roofline.cached_rows(16, batch)),
        *("shuffled", "reading X", "reading shuffled", "chain"),
    ],
    "pixels": ["float32", "uint8"],
    "8-4-2": ["fastgd", roofline.FMA, roofline.BLAS],
}


@pytest.mark.parametrize(
    ("comparison", "name"), [(comparison, name) for comparison in RUNS for name in RUNS[comparison]]
)
def test_run(benchmark, comparison, name):
    run = COMPARISONS[comparison]()[name]
    run.reset()
    # What repeats itself on other rows, or on none, is not compared with what takes the comparison's.
    benchmark.group = f"roofline | {comparison} | {run.n_samples} times"
    benchmark(run.epoch)


@pytest.mark.parametrize("n_features", [16, 100])
def test_shuffled_rows_are_read_once_each(n_features):
    X = np.random.default_rng(0).random((2_000_000 // n_features, n_features), np.float32)
    assert machine.ReadShuffled(X).epoch() == pytest.approx(X.sum(dtype=np.float64), rel=1e-5)


def test_tables():
    seconds = dict.fromkeys(RUNS["16 inputs"], 2e-9)
    assert "| 16 inputs, batch 1 | 64 | 2.0 | 2.0 | 2.0 | 100% | 2.0 |" in roofline.neuron_table({16: seconds})
    table = roofline.variants({16: seconds}, {"float32": 2e-9, "uint8": 1e-9})
    assert "batch 1, shuffled | 1.00 | in order |" in table
    assert "reading 16 inputs, shuffled | 1.00 | in order |" in table
    network = {"fastgd": 512e-9, roofline.FMA: 1e-9, roofline.BLAS: 2e-9}
    table = roofline.network_table({((8, 8), 1): network})
    assert "| 8-8, batch 1 | 256 | 256.0 | 512.0 | 50% | 100% |" in table
