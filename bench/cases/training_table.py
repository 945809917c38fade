"""The table of training speed: epochs beside pure Python, NumPy and reading, and first updates."""

import argparse

from bench.cases.runs import baseline_of, prepare
from bench.cases.start import FIRST_UPDATES, Ratios, ratios
from bench.cases.timing import best_seconds
from bench.cases.workloads import WORKLOADS, Workload
from bench.readme import machine_line, markdown, rounded

MARKERS = "benchmarks"
METHOD = (
    "Each ratio is of the best processor times of epochs run by turns in one process, after all had come to the same "
    "parameters; pure Python trains on the first rows only. A network's epoch multiplies by kernels of its own, and "
    "may take less time than np.dot calls for the same products alone. First updates: medians over fresh processes."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10, help="time to spend on each workload")
    parser.add_argument("--starts", type=int, default=7, help="how many fresh processes of each kind to start")


def report(options: argparse.Namespace) -> str:
    """Measured."""
    epochs = {name: best_seconds(prepare(workload), options.seconds) for name, workload in WORKLOADS.items()}
    starts = {name: ratios(code, options.starts) for name, code in FIRST_UPDATES.items()}
    return f"{machine_line()}\n{METHOD}\n\n{epoch_table(epochs)}\n\n{start_table(starts)}"


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
