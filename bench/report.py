"""Measure everything that the README's tables of speed and of quality say and write it there.

python bench/report.py [--dry-run] [--picture bench/speed.svg]
python bench/report.py quality [--dry-run] [--json FILE]
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# As a script, Python looks for modules beside it.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from bench.cases.runs import baseline_of, prepare
from bench.cases.start import FIRST_UPDATES, Ratios, ratios
from bench.cases.timing import best_seconds
from bench.cases.workloads import WORKLOADS, Workload
from bench.readme import README, markdown, processor, replace_between_markers, rounded
from fastgd.cli import machine

MARKERS = "benchmarks"
METHOD = (
    "Each ratio is of the best processor times of epochs run by turns in one process, after all had come to the same "
    "parameters; pure Python trains on the first rows only. A network's epoch multiplies by kernels of its own, and "
    "may take less time than np.dot calls for the same products alone. First updates: medians over fresh processes."
)
# As they read in the README, and as `machine.describe` names them.
VERSIONS = {"Python": "python", "Numba": "numba", "NumPy": "numpy"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the README's tables of speed or of quality say.")
    parser.add_argument(
        "what",
        nargs="?",
        choices=["speed", "quality"],
        default="speed",
        help="of epochs and first updates, the default; or of models on real tables, which are downloaded",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the table and leave the README as it is")
    parser.add_argument("--readme", type=Path, default=README, help="where to write the table between its markers")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--picture", type=Path, help="draw the speeds, as .svg or .png")
    speed.add_argument("--seconds", type=float, default=10, help="time to spend on each workload")
    speed.add_argument("--starts", type=int, default=7, help="how many fresh processes of each kind to start")
    quality = parser.add_argument_group("quality")
    quality.add_argument("--json", type=Path, help="where to write every score")
    options = parser.parse_args()
    if options.what == "quality":
        from bench.studies import quality_table

        write(options, quality_table.MARKERS, lambda: quality_table.measured(options.json))
    else:
        write(options, MARKERS, lambda: speed_table(options))


def write(options: argparse.Namespace, markers: str, measured: Callable[[], str]) -> None:
    """Have a table measured, and print it or put it into the README."""
    if not options.dry_run:
        replace_between_markers(markers, "", options.readme.read_text(encoding="utf-8"))
    table = measured()
    if options.dry_run:
        print(table)
    else:
        text = replace_between_markers(markers, table, options.readme.read_text(encoding="utf-8"))
        options.readme.write_text(text, encoding="utf-8")


def speed_table(options: argparse.Namespace) -> str:
    """Measured; with a picture where one is asked for."""
    epochs = {name: best_seconds(prepare(workload), options.seconds) for name, workload in WORKLOADS.items()}
    starts = {name: ratios(code, options.starts) for name, code in FIRST_UPDATES.items()}
    if options.picture:
        from bench.cases.picture import draw

        draw({name: speeds(seconds) for name, seconds in epochs.items()}, options.picture)
    return f"{machine_line()}\n{METHOD}\n\n{epoch_table(epochs)}\n\n{start_table(starts)}"


def speeds(seconds: dict[str, float]) -> dict[str, float]:
    """Rows per second of NumPy and fastgd as multiples of pure Python's."""
    return {name: seconds["pure Python"] / seconds[name] for name in ("NumPy", "fastgd")}


def epoch_table(epochs: dict[str, dict[str, float]]) -> str:
    """One line a workload."""
    header = [
        "epoch of",
        "speed, pure Python = 1",
        "speed, NumPy = 1",
        "reading X or np.dot beside it",
        "finite check costs",
    ]
    rows = [[name, *epoch_cells(WORKLOADS[name], seconds)] for name, seconds in epochs.items()]
    return markdown(header, rows)


def epoch_cells(workload: Workload, seconds: dict[str, float]) -> list[str]:
    fastgd, baseline = seconds["fastgd"], baseline_of(workload)
    if workload.is_neuron:
        share = f"{seconds[baseline] / fastgd:.0%} of read bandwidth"
    else:
        share = f"{fastgd / seconds[baseline]:.2f} × {baseline}"
    speed_python, speed_numpy = seconds["pure Python"] / fastgd, seconds["NumPy"] / fastgd
    return [rounded(speed_python), rounded(speed_numpy), share, cost(fastgd / seconds["unchecked"] - 1)]


def cost(share: float) -> str:
    """A share of an epoch; below a hundredth it is lost in the noise."""
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def start_table(starts: dict[str, Ratios]) -> str:
    """One line a model."""
    header = ["first update in a fresh process, `import numba` = 1", "warm cache", "empty cache"]
    return markdown(header, [[name, f"{warm:.1f}", f"{empty:.1f}"] for name, (warm, empty) in starts.items()])


def machine_line() -> str:
    """Where the figures come from."""
    facts = machine.describe()
    versions = ", ".join(f"{name} {facts[key]}" for name, key in VERSIONS.items())
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions += f" with {blas['name']} {blas['version']}"
    return f"{processor()}, {facts['processors']} usable cores; {versions}; threads: {facts['threads']}."


if __name__ == "__main__":
    main()
