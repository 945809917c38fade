"""Whether tables are decoded while others of their rows train: python -m bench.studies.tables [--rows 1000000]

Rows of 50 float32 and a target, in a Parquet file, an Arrow file and a CSV file that the system has in its own cache.
Seconds of a pass, the best of the rounds, in one process: decoding alone (with columns made rows), training alone (on
the same rows in memory), and both, of which the last column is the ratio to the longer of the two. Their parameters are
compared first.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather
import pyarrow.parquet as pq

import fastgd as gd
from bench.readme import markdown
from fastgd.data.base import Stream

N_FEATURES = 50
MODELS = {
    "neuron, batch 1": ([gd.Linear(N_FEATURES, 1), gd.ReLU()], 1),
    "50-16-1, batch 32": ([gd.Linear(N_FEATURES, 16), gd.ReLU(), gd.Linear(16, 1)], 32),
    "50-64-1, batch 32": ([gd.Linear(N_FEATURES, 64), gd.ReLU(), gd.Linear(64, 1)], 32),
}
# How each file is written, and which part of the rows goes there.
FILES: dict[str, tuple[Callable[[pa.Table, Path], None], int]] = {
    "rows.parquet": (lambda table, path: pq.write_table(table, path, row_group_size=1 << 17), 1),
    "rows.feather": (lambda table, path: pa.feather.write_feather(table, path, "uncompressed", chunksize=1 << 16), 1),
    "rows.csv": (pa_csv.write_csv, 8),
}


def decode(stream: Stream) -> None:
    X = y = np.empty((0, 0))
    for block in stream.open():
        if len(X) < len(block.X):
            X, y = np.empty(block.X.shape, np.float32), np.empty(block.y.shape, np.float32)
        block.X.write(X[: len(block.X)])
        block.y.write(y[: len(block.y)])


def train(model: str, *data: object) -> np.ndarray:
    layers, batch_size = MODELS[model]
    trainer = gd.Trainer(gd.Model(layers, seed=0), optimizer=gd.SGD(1e-4), batch_size=batch_size, n_threads=2)
    trainer.fit(*data)
    return trainer.model.parameters


def measure(path: Path, model: str, X: np.ndarray, y: np.ndarray, n_rounds: int) -> list[str]:
    stream = gd.data.open(path, target="y")
    np.testing.assert_array_equal(train(model, stream), train(model, X, y))
    runs = {
        "decode": lambda: decode(stream),
        "train": lambda: train(model, X, y),
        "both": lambda: train(model, stream),
    }
    best = dict.fromkeys(runs, np.inf)
    for _ in range(n_rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    ratio = best["both"] / max(best["decode"], best["train"])
    return [path.suffix, model, *(f"{seconds:.3f}" for seconds in best.values()), f"{ratio:.2f}"]


def main() -> None:
    """Write the files, measure, and remove them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to make the files")
    options = parser.parse_args()
    folder, rows = Path(tempfile.mkdtemp(dir=options.folder)), []
    try:
        X, y = gd.data.synthetic(options.rows, N_FEATURES).arrays()
        table = pa.table({f"x{k}": X[:, k] for k in range(N_FEATURES)} | {"y": y[:, 0]})
        for name, (write, part) in FILES.items():
            n_rows = options.rows // part
            write(table.slice(0, n_rows), folder / name)
            rows += [measure(folder / name, model, X[:n_rows], y[:n_rows], options.rounds) for model in MODELS]
    finally:
        shutil.rmtree(folder)
    heads = ["file", "model", "decoding, s", "training, s", "both, s", "ratio"]
    print(markdown(heads, rows, n_left=2))


if __name__ == "__main__":
    main()
