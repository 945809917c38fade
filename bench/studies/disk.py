"""Whether rows of files train as fast as they are read: python -m bench.studies.disk [--gigabytes 2] [--folder /tmp]

Rows of 100 float32 in shards of .npy that the system has in its own cache, or with --cold not. Gigabytes of features a
second, the best of the rounds, side by side in one process: reading alone (one thread, block by block, in the order of
the epoch), training alone (on the same rows in memory), and both, of which the last column is the ratio to the slower
of the two. Their parameters are compared first.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import fastgd as gd
from bench.readme import markdown
from fastgd.data.base import Dataset
from fastgd.data.reader import Reader

N_FEATURES, N_SHARDS = 100, 8
MODELS = {
    "neuron, batch 1": ([gd.Linear(N_FEATURES, 1), gd.ReLU()], 1),
    "100-16-1, batch 32": ([gd.Linear(N_FEATURES, 16), gd.ReLU(), gd.Linear(16, 1)], 32),
    "100-64-1, batch 32": ([gd.Linear(N_FEATURES, 64), gd.ReLU(), gd.Linear(64, 1)], 32),
}


def read(data: Dataset, shuffle: bool) -> None:
    reader = Reader(data, np.dtype(np.float32))
    reader.order = data.order(0, 0) if shuffle else None
    for _ in reader.parts():
        pass


def train(model: str, data: Dataset, shuffle: bool) -> np.ndarray:
    layers, batch_size = MODELS[model]
    trainer = gd.Trainer(
        gd.Model(layers, seed=0), optimizer=gd.SGD(1e-4), batch_size=batch_size, shuffle=shuffle, n_threads=2
    )
    trainer.fit(data)
    return trainer.model.parameters


def forget(folder: Path) -> None:
    """Have the system drop the files from its cache."""
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(shards: Dataset, memory: Dataset, model: str, shuffle: bool, n_rounds: int, cold: Path | None) -> list[str]:
    if not shuffle:
        np.testing.assert_array_equal(train(model, shards, False), train(model, memory, False))
    runs = {
        "read": lambda: read(shards, shuffle),
        "train": lambda: train(model, memory, shuffle),
        "both": lambda: train(model, shards, shuffle),
    }
    best = dict.fromkeys(runs, np.inf)
    for _ in range(n_rounds):
        for name, run in runs.items():
            if cold:
                forget(cold)
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    rates = [shards.n_samples * shards.row_bytes / 1e9 / seconds for seconds in best.values()]
    ratio = max(best["read"], best["train"]) / best["both"]
    return [model, "shuffled" if shuffle else "in order", *(f"{rate:.1f}" for rate in rates), f"{ratio:.2f}"]


def main() -> None:
    """Make the shards, measure, and remove them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="read from the disk each time")
    parser.add_argument("--folder", help="where to make the files")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        n_rows = int(options.gigabytes * 1e9 / (4 * N_FEATURES * N_SHARDS))
        for k in range(N_SHARDS):
            gd.data.synthetic(n_rows, N_FEATURES, seed=k).save(folder / str(k))
        shards = gd.data.open(folder)
        memory = gd.data.ArrayDataset(*shards.arrays())
        cases = [(model, shuffle) for model in MODELS for shuffle in (False, True)]
        cold = folder if options.cold else None
        rows = [measure(shards, memory, *case, options.rounds, cold) for case in cases]
    finally:
        shutil.rmtree(folder)
    heads = ["model", "order", "reading, GB/s", "training, GB/s", "both, GB/s", "ratio"]
    print(markdown(heads, rows, n_left=2))


if __name__ == "__main__":
    main()
