"""How much memory training takes: python -m bench.studies.peak_memory [--gigabytes 8] [--synthetic 20] [--folder /tmp]

One epoch of 100-16-1 in batches of 32 on rows of 100 float32: synthetic ones, made as they are needed, and those of
one .npy file, of .npy shards and of a Parquet file of so many gigabytes. Each in a process of its own, whose resident
memory is looked at 100 times a second: at most so many megabytes of its own, the interpreter and libraries among them,
and so many of files that it has mapped. One file is there at a time.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import fastgd as gd
from bench.readme import markdown

N_FEATURES, N_SHARDS = 100, 8
ORDERS = ("in order", "shuffled")
GROUP_ROWS = 1 << 17


def opened(kind: str, where: str) -> object:
    """Rows of a kind: of so many gigabytes where they are synthetic, and else of a path."""
    if kind == "synthetic":
        return gd.data.synthetic(n_rows_of(float(where)), N_FEATURES)
    path = Path(where)
    if kind == "one .npy":
        return gd.data.open(path / "X.npy", target=path / "y.npy")
    return gd.data.open(path / "rows.parquet", target="y") if kind == "Parquet" else gd.data.open(path)


def n_rows_of(gigabytes: float) -> int:
    return int(gigabytes * 1e9 / (4 * N_FEATURES))


def resident() -> tuple[int, int]:
    """Megabytes of this process's own, and of files that it has mapped."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(status[name].split()[0]) >> 10 for name in ("RssAnon", "RssFile"))


def child(kind: str, where: str, order: str) -> None:
    """Train, and print what was resident at most, and the seconds."""
    most, is_over = [0, 0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            most[:] = map(max, most, resident())

    threading.Thread(target=watch, daemon=True).start()
    model = gd.Model([gd.Linear(N_FEATURES, 16), gd.ReLU(), gd.Linear(16, 1)], seed=0)
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-4), batch_size=32, shuffle=order == "shuffled")
    began = time.perf_counter()
    trainer.fit(opened(kind, where))
    seconds = time.perf_counter() - began
    is_over.set()
    print(*most, f"{seconds:.0f}")


def make(kind: str, folder: Path, gigabytes: float) -> None:
    """Write rows of a kind, a part at a time."""
    n_rows = n_rows_of(gigabytes)
    if kind == "one .npy":
        gd.data.synthetic(n_rows, N_FEATURES).save(folder)
    elif kind == "shards":
        for k in range(N_SHARDS):
            gd.data.synthetic(n_rows // N_SHARDS, N_FEATURES, seed=k).save(folder / str(k))
    elif kind == "Parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [f"x{k}" for k in range(N_FEATURES)]
        schema = pa.schema([(name, pa.float32()) for name in (*names, "y")])
        # Random digits are not compressible, and dictionaries of them are as large as they are.
        with pq.ParquetWriter(folder / "rows.parquet", schema, compression="none", use_dictionary=False) as writer:
            for k in range(-(-n_rows // GROUP_ROWS)):
                X, y = gd.data.synthetic(min(GROUP_ROWS, n_rows - k * GROUP_ROWS), N_FEATURES, seed=k).arrays()
                columns = [np.ascontiguousarray(column) for column in (*X.T, y[:, 0])]
                writer.write_table(pa.table(columns, schema=schema))


def main() -> None:
    """Make the rows, measure, and remove them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0, help="of each file; 0 for none")
    parser.add_argument("--synthetic", type=float, default=20.0, help="gigabytes of rows that are made; 0 for none")
    parser.add_argument("--folder", help="where to make the files")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    sizes = {"synthetic": options.synthetic} | dict.fromkeys(("one .npy", "shards", "Parquet"), options.gigabytes)
    rows = []
    for kind, gigabytes in sizes.items():
        if not gigabytes:
            continue
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            make(kind, folder, gigabytes)
            where = str(gigabytes) if kind == "synthetic" else str(folder)
            for order in ORDERS:
                command = [sys.executable, "-m", "bench.studies.peak_memory", "--child", kind, where, order]
                out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rows.append([f"{kind}, {gigabytes:g} GB", order, *out.split()])
        finally:
            shutil.rmtree(folder)
    print(markdown(["rows", "order", "MB of its own", "MB of mapped files", "seconds"], rows, n_left=2))


if __name__ == "__main__":
    main()
