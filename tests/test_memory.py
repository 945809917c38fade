"""X is never copied or converted whole: the peak of a process that trains on two gigabytes."""

import subprocess
import sys

import numpy as np
import pytest

MEGABYTE = 1 << 20

PROGRAM = """
import resource, sys
import numpy as np
import fastgd as gd

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

case, folder = sys.argv[1:]
shuffle = case.endswith("shuffled")
options = dict(optimizer=gd.SGD(1e-6), shuffle=shuffle)
if case.startswith("mapped"):
    data, dtype = (gd.data.open(folder + "/X.npy", target=folder + "/y.npy"),), "float32"
else:
    X = np.random.default_rng(0).random((1_000_000, 100))
    data, dtype = (X, X[:, 0]), "float32"
model = gd.Model([gd.Linear(100, 1), gd.ReLU()], dtype=dtype)
small = gd.data.synthetic(100, 100, dtype="float64" if case.startswith("float64") else "float32").arrays()
for warm_up in (gd.Trainer(model, **options), ):
    warm_up.fit(*small)
before = anonymous() if shuffle else peak()
gd.Trainer(model, **options).fit(*data)
print((anonymous() if shuffle else peak()) - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two gigabytes of rows, most of the file a hole that reads as zeros."""
    folder = tmp_path_factory.mktemp("rows")
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (5_000_000, 100))
    X[:1000] = 1
    del X
    np.save(folder / "y.npy", np.ones(5_000_000, np.float32))
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux reports it")
@pytest.mark.parametrize(
    "case", ["mapped", "mapped, shuffled", "float64 into float32", "float64 into float32, shuffled"]
)
def test_peak_memory(case, folder):
    """In the data's order the peak counts every page, mapped ones too; shuffled, it counts what the process owns.

    A shuffled order touches pages of a mapped file at random; the operating system keeps them while it has room.
    """
    run = subprocess.run([sys.executable, "-c", PROGRAM, case, str(folder)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 100 * MEGABYTE
