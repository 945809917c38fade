"""What the loops of wide networks wait for: python -m bench.studies.wide_networks [--threads 1 2] [--seconds 5]

For each network, one process a number of threads, and the best of runs by turns in it: the loop's rate beside that of
multiply-adds from registers (of one thread, times the threads); what part of its time goes to products, and of that to
packing; and counts of `perf stat` for each row, where the machine has such counters.

Packing does not depend on how many rows of a are multiplied: with T(m) the time of a product with m of them, it takes
2 T(m) - T(2m). Both, and products, are of one thread. Counts are the difference of a process with many epochs and one
with few, divided by the rows between them.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import numba
import numpy as np

from bench.cases.timing import best_seconds
from bench.limits.machine import Limit, flops_per_row
from bench.limits.roofline import FMA, network_runs
from bench.readme import README, machine_line, markdown
from fastgd import kernels
from fastgd.kernels import aligned_empty
from fastgd.kernels.codegen.views import address, matrix, read_only_span, read_only_strided
from fastgd.kernels.gemm import gemm
from fastgd.kernels.gemm.blocked import call_gemm
from fastgd.kernels.tuning import FEW

NETWORKS = {
    "100-64-1, batch 1": ((100, 64, 1), 1),
    "100-64-1, batch 32": ((100, 64, 1), 32),
    "784-128-10, batch 64": ((784, 128, 10), 64),
    "600-900-900-10, batch 256": ((600, 900, 900, 10), 256),
}
N_FLOPS = 1_000_000_000
COUNTERS = ("cycles", "instructions", "L1-dcache-load-misses", "LLC-load-misses", "dTLB-load-misses")
FEW_EPOCHS, MANY_EPOCHS = 2, 12


class Product(Limit):
    """One of a batch's products by `gemm`: a (m, k) times b (k, n), as rows or, of weights forward, as columns."""

    def __init__(self, m: int, k: int, n: int, is_by_columns: bool, is_transposed: bool) -> None:
        self.n_samples = max(N_FLOPS // 50 // (2 * m * k * n), 1)
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal(size, np.float32) for size in (m * k, k * n))
        strides = ((1, m) if is_transposed else (k, 1)), ((1, k) if is_by_columns else (n, 1))
        c, made = aligned_empty(m * n, np.dtype(np.float32)), kernels.products(np.dtype(np.float32), m, k)
        self._arguments = gemm.pointer(np.float32), a, b, c, (m, k, n), strides, made, self.n_samples

    def epoch(self) -> None:
        multiply(*self._arguments)


@numba.njit
def multiply(pointer, a, b, c, sizes, strides, products, n_times):
    m, k, n = sizes
    (a_row, a_column), (b_row, b_column) = strides
    left, right = read_only_strided(a, m, k, a_row, a_column), read_only_strided(b, k, n, b_row, b_column)
    out, no_bias = matrix(c, 0, m, n), read_only_span(a, 0, 0)
    rest = products.panel, products.pool, address(products.prefetch_range, 0)
    for _ in range(n_times):
        call_gemm(pointer, (left, right, out, no_bias, False, *rest))


def products_of(widths: tuple[int, ...], batch_size: int) -> Iterator[tuple[int, int, int, bool, bool]]:
    """The arguments of a `Product` for those of a batch that `gemm` does: with few rows or outputs others do."""
    for k, (n_in, n_out) in enumerate(pairwise(widths)):
        if min(batch_size, n_out) >= FEW:
            yield batch_size, n_in, n_out, True, False
            yield n_out, batch_size, n_in, False, True
            if k:
                yield batch_size, n_out, n_in, False, False


def measure(name: str, seconds: float) -> list[str]:
    """A line of the table for the threads of this process."""
    widths, batch_size = NETWORKS[name]
    n_threads = int(os.environ["OMP_NUM_THREADS"])
    runs = {name: run for name, run in network_runs(widths, batch_size, N_FLOPS).items() if name in ("fastgd", FMA)}
    cases = list(products_of(widths, batch_size))
    for k, (m, *rest) in enumerate(cases):
        runs |= {f"{k}": Product(m, *rest), f"{k} twice": Product(2 * m, *rest)}
    for run in runs.values():
        run.epoch()
    # As long as it takes, with several threads: on a machine that has other work, only one thread's figures hold.
    best = best_seconds(runs, seconds, time.thread_time if n_threads == 1 else time.perf_counter)
    row, flops = best["fastgd"], flops_per_row(widths)
    limit = flops * best[FMA] / n_threads
    products = sum(best[f"{k}"] for k in range(len(cases))) / batch_size
    packing = sum(max(2 * best[f"{k}"] - best[f"{k} twice"], 0) for k in range(len(cases))) / batch_size
    of_products = [f"{products / n_threads / row:.0%}", f"{packing / products:.0%}"] if cases else ["", ""]
    return [name, str(n_threads), f"{1e9 * row:,.0f}", f"{limit / row:.0%}", *of_products]


def counts(name: str, environment: dict[str, str]) -> list[str]:
    """The events of COUNTERS for each row; empty where `perf stat` cannot count them."""
    found = []
    for n_epochs in (FEW_EPOCHS, MANY_EPOCHS):
        command = [sys.executable, "-m", __spec__.name, "--epochs", str(n_epochs), name]
        perf = ["perf", "stat", "-x", ",", "-e", ",".join(COUNTERS), *command]
        try:
            done = subprocess.run(perf, env=environment, cwd=README.parent, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return [""] * len(COUNTERS)
        # Lines of a value, its unit and the event.
        lines = [line.split(",") for line in done.stderr.splitlines() if line.count(",") > 3]
        found.append({line[2].partition(":")[0]: line[0] for line in lines})
        n_rows = int(done.stdout)
    few, many = found
    n_rows *= MANY_EPOCHS - FEW_EPOCHS
    is_counted = [few.get(each, "").isdigit() and many.get(each, "").isdigit() for each in COUNTERS]
    return [
        f"{(int(many[each]) - int(few[each])) / n_rows:,.2f}" if counted else ""
        for each, counted in zip(COUNTERS, is_counted, strict=True)
    ]


def main() -> None:
    """Measure all networks, or in a process of its own one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="; ".join(NETWORKS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5, help="time to spend on each network")
    parser.add_argument("--line", action="store_true", help="print one network's line: of the process itself")
    parser.add_argument("--epochs", type=int, help="train one network for so many, and print the rows of one")
    options = parser.parse_args()
    names = options.networks or list(NETWORKS)
    if options.line:
        print("\t".join(measure(names[0], options.seconds)))
    elif options.epochs:
        run = network_runs(*NETWORKS[names[0]], N_FLOPS)["fastgd"]
        for _ in range(options.epochs):
            run.epoch()
        print(run.n_samples)
    else:
        report(names, options.threads, options.seconds)


def report(names: list[str], threads: list[int], seconds: float) -> None:
    """Print the table."""
    rows = []
    for name in names:
        for n_threads in threads:
            environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
            command = [sys.executable, "-m", __spec__.name, "--line", "--seconds", str(seconds), name]
            line = subprocess.check_output(command, env=environment, cwd=README.parent, text=True)
            rows.append([*line.rstrip("\n").split("\t"), *counts(name, environment)])
    header = ["network", "threads", "ns a row", "share of multiply-adds", "products", "packing, of products"]
    missing = [each for k, each in enumerate(COUNTERS) if not any(row[len(header) + k] for row in rows)]
    print(machine_line())
    print(markdown([*header, *(f"{each} a row" for each in COUNTERS)], rows))
    if missing:
        print(f"`perf stat` does not count here: {', '.join(missing)}.")


if __name__ == "__main__":
    main()
