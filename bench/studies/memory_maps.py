"""What it costs to hold little of a memory map: python -m bench.studies.memory_maps [--gigabytes 4] [--folder /tmp]

Rows of 100 float32 in an .npy file, mapped by `gd.data.map_array`, two epochs of a neuron and of 100-64-1. In order,
pages are given back as they are used. Shuffled, they stay up to half of the machine's memory and go when `fit` ends;
the other lines give them back at smaller bounds. Beside the seconds of the second epoch, what the process holds of its
files at most between epochs, and after `fit`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

import fastgd as gd
from bench.readme import markdown
from fastgd.data import reader as datasets

N_FEATURES = 100
MODELS = {
    "neuron, batch 1": ([gd.Linear(N_FEATURES, 1), gd.ReLU()], 1),
    "100-64-1, batch 32": ([gd.Linear(N_FEATURES, 64), gd.ReLU(), gd.Linear(64, 1)], 32),
}
# Bounds on what is held while rows are shuffled, in MB; None is fastgd's own.
BOUNDS = (None, 1024, 256)


def held_megabytes() -> int:
    """What this process holds of its files in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) >> 10
    raise SystemExit("/proc/self/status has no RssFile; expected Linux")


def measure(folder: Path, model: str, shuffle: bool, bound: int | None) -> list[str]:
    layers, batch_size = MODELS[model]
    data = gd.data.ArrayDataset(*(gd.data.map_array(folder / f"{name}.npy") for name in ("X", "y")))
    before, held = held_megabytes(), []
    if bound is not None:
        datasets.memory_bytes = lambda: datasets._PART_OF_MEMORY * (bound << 20)
    trainer = gd.Trainer(gd.Model(layers), optimizer=gd.SGD(1e-4), batch_size=batch_size, shuffle=shuffle)
    history = trainer.fit(data, epochs=2, callbacks=[lambda trainer, record: held.append(held_megabytes()) and None])
    order = "in order" if not shuffle else "shuffled" if bound is None else f"shuffled, held to {bound} MB"
    ns = 1e9 * history.seconds[-1] / data.n_samples
    return [model, order, f"{ns:.0f}", f"{max(held) - before}", f"{held_megabytes() - before}"]


def main() -> None:
    """Make the file, measure, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--folder", help="where to make the file")
    options = parser.parse_args()
    own = datasets.memory_bytes
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        n_rows = int(options.gigabytes * 1e9 / (4 * N_FEATURES))
        gd.data.synthetic(n_rows, N_FEATURES).save(folder)
        # Read once, the file is in the system's own cache for all.
        np.load(folder / "X.npy", mmap_mode="r").sum(dtype=np.float64)
        rows = []
        for model in MODELS:
            for shuffle, bound in ((False, None), *((True, bound) for bound in BOUNDS)):
                datasets.memory_bytes = own
                rows.append(measure(folder, model, shuffle, bound))
    finally:
        shutil.rmtree(folder)
    print(markdown(["model", "order", "ns a row", "MB held", "MB after fit"], rows, n_left=2))


if __name__ == "__main__":
    main()
