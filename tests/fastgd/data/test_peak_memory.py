"""Neither X nor y is ever copied or converted whole: the peak of a process that trains on two gigabytes."""

import subprocess
import sys

import numpy as np
import pytest

MEGABYTE = 1 << 20

PROGRAM = """
import resource, sys
import numpy as np
import fastgd as gd
from fastgd.data import reader as datasets

def resident(kind):
    for line in open("/proc/self/status"):
        if line.startswith("Rss" + kind):
            return int(line.split()[1]) * 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

case, folder = sys.argv[1:]
shuffle = case.endswith("shuffled")
options = dict(optimizer=gd.SGD(1e-6), shuffle=shuffle)
if case.startswith("mapped"):
    X, y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("fortran" if "Fortran" in case else "X", "y"))
    X = X[:, 1:] if "columns" in case else X
    data, dtype = (X, y[:len(X)]), "float32"
elif case.startswith("targets"):
    X, dtype = np.ones((30_000_000, 2), np.float32), "float32"
    data = X, np.ones(len(X))
else:
    X = np.random.default_rng(0).random((1_000_000, 100))
    data, dtype = (X, X[:, 0]), "float32"
n_features = X.shape[1]
model = gd.Model([gd.Linear(n_features, 1), gd.ReLU()], dtype=dtype)
small = gd.data.synthetic(100, n_features, dtype="float64" if case.startswith("float64") else "float32").arrays()
if case.startswith("targets"):
    small = small[0], small[1].astype("float64")
    converted, datasets._CONVERTED_BYTES = datasets._CONVERTED_BYTES, 0
weights = np.ones(100) if case.startswith("targets") else None
gd.Trainer(model, **options).fit(*small, sample_weight=weights)
if case.startswith("targets"):
    datasets._CONVERTED_BYTES, weights = converted, np.ones(len(X))
is_peak = not (shuffle and case.startswith("mapped"))
before, files = peak() if is_peak else resident("Anon"), resident("File")
gd.Trainer(model, **options).fit(*data, sample_weight=weights)
print((peak() if is_peak else resident("Anon")) - before, resident("File") - files)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two gigabytes of rows, most of the file a hole that reads as zeros."""
    folder = tmp_path_factory.mktemp("rows")
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (5_000_000, 100))
    X[:1000] = 1
    del X
    np.lib.format.open_memmap(folder / "fortran.npy", "w+", np.float32, (2_000_000, 100), fortran_order=True)
    np.save(folder / "y.npy", np.ones(5_000_000, np.float32))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux reports it")
@pytest.mark.parametrize(
    ("case", "most"),
    [
        ("mapped", 100),
        ("mapped, shuffled", 100),
        ("mapped, Fortran", 400),
        ("mapped, Fortran, shuffled", 100),
        ("mapped, columns", 150),
        ("float64 into float32", 100),
        ("float64 into float32, shuffled", 100),
        ("targets from float64", 50),
        ("targets from float64, shuffled", 50),
    ],
)
def test_peak_memory(case, most, folder):
    """The peak counts every page, mapped ones too; of maps that are shuffled, what is left in the end counts instead.

    A shuffled order touches pages of a mapped file at random, and keeps them while it lasts.
    """
    run = subprocess.run([sys.executable, "-c", PROGRAM, case, str(folder)], capture_output=True, text=True, check=True)
    own, files = map(int, run.stdout.split())
    assert own < most * MEGABYTE
    assert files < 300 * MEGABYTE
