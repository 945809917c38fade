"""How near each training loop comes to what this machine can do at most.

A neuron's loop has to read its rows, and a network's has to multiply. How fast one thread reads the same rows, and how
fast it multiplies and adds, are measured by turns with the loops, after these have come to NumPy's parameters.
"""

import argparse

import numpy as np

from bench.cases import network_cases
from bench.cases.numpy_training import train_neuron_batch
from bench.cases.runs import TOLERANCE, Fastgd, Numpy, Read, Run, require_equal
from bench.cases.timing import best_seconds
from bench.cases.workloads import Workload
from bench.limits.machine import BlasProduct, Chain, Limit, MultiplyAdds, ReadShuffled, flops_per_row
from bench.readme import machine_line, markdown
from fastgd.data.shuffle import Shuffle
from fastgd.kernels.loops.neuron_online_by_4 import ROWS_AT_ONCE

MARKERS = "roofline"
# Many times the last-level cache, and enough for what an epoch costs beside its rows not to count.
N_BYTES = 600_000_000
N_FLOPS = 2_000_000_000
# Less than the second-level cache of one processor, and read so many times.
N_CACHED_BYTES, TIMES_CACHED = 600_000, 50
# What an epoch costs beside its batches is divided by so many at least.
FEWEST_BATCHES = 8
FEATURES = (16, 32, 100, 1000)
# Those that are trained four rows at a time where each is an update.
NARROW = (16, 32, 100)
BATCHES = (1, 32, 1024)
NETWORKS = (
    ((100, 64, 1), 1),
    ((100, 64, 1), 32),
    ((100, 64, 64, 1), 32),
    ((784, 128, 10), 64),
    ((784, 256, 10), 32),
    ((784, 256, 10), 200),
    ((784, 1024, 1024, 10), 256),
)
PIXELS = 784
FMA, BLAS = "multiply-adds", "BLAS"
# On few rows, as a rounding error that moves z across a ReLU's kink would move the parameters by much more. Shuffled,
# rows of 100 features and more are enough for windows of chunks; see `fastgd.data.shuffle`.
CHECKED_ROWS, CHECKED_SHUFFLED_ROWS = 512, 11_000
NEURONS = (
    "Neurons with a ReLU, float32. At the limit: reading X takes as long as a plain sum over it; for an update after "
    "each row, its three dependent operations (z after the step before, the loss's derivative, the step) take as long "
    "as such a chain alone. The share is of the longer of the two, which a loop could reach only by hiding the other; "
    "it may exceed 100%, since a loop that prefetches reads a little faster than a plain sum. The last "
    "column is what each row of the same loop takes that stays in the second-level cache, where a call can have more "
    "than a batch of them: what takes as long there does not wait for the memory, but for its own operations, of which "
    "`kernels/loops/neuron_online_by_4.py` and `kernels/loops/neuron_batch_passes.py` say what they wait for."
)
PRODUCTS = (
    "Networks, float32. Operations are those of the matrix products alone: forward, of the weights' gradient and, but "
    "for the first layer, of the input's. The limit is the rate of fused multiply-adds from registers, {fma:.0f} "
    "GFLOP/s; NumPy's BLAS multiplies matrices of 1024 x 1024 at {blas:.0f} GFLOP/s (medians over the lines below). At "
    "batch 1 an update also loads and stores every weight for a single row."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5, help="time to spend on each group of loops")


def report(options: argparse.Namespace) -> str:
    numbers = random_numbers(N_BYTES)
    neurons = {n: best_seconds(neuron_runs(numbers, n), options.seconds) for n in FEATURES}
    pixels = best_seconds(pixel_runs(numbers), options.seconds)
    networks = {case: best_seconds(network_runs(*case, N_FLOPS), options.seconds) for case in NETWORKS}
    return "\n\n".join([machine_line(), neuron_table(neurons), variants(neurons, pixels), network_table(networks)])


def random_numbers(n_bytes: int) -> np.ndarray:
    """Standard normal float32 numbers, to be taken as rows of any length."""
    return np.random.default_rng(0).standard_normal(n_bytes // 4, np.float32)


def neuron_runs(numbers: np.ndarray, n_features: int) -> dict[str, Run]:
    """The loops over rows of so many features, checked and warm, and their limits.

    numbers : (size,), the rows one after another
    """
    X = as_rows(numbers, n_features)
    runs = {f"batch {batch}": checked_neuron(X, batch) for batch in BATCHES}
    runs["shuffled"] = checked_neuron(X, 1, shuffle=True)
    for batch in BATCHES:
        rows = cached_rows(n_features, batch)
        runs |= {f"batch {batch}, {n} cached": FromCache(n_features, batch, n) for n in rows}
    return warm(runs | {"reading X": reading(X), "reading shuffled": ReadShuffled(X), "chain": Chain()})


def pixel_runs(numbers: np.ndarray) -> dict[str, Run]:
    """Batches of float32 rows and, in as many bytes, of uint8 rows, checked and warm."""
    X = as_rows(numbers, PIXELS)
    bytes_of_pixels = np.frombuffer(np.random.default_rng(0).bytes(numbers.nbytes), np.uint8)
    return warm({str(x.dtype): checked_neuron(x, 32) for x in (X, as_rows(bytes_of_pixels, PIXELS))})


def cached_rows(n_features: int, batch_size: int) -> tuple[int, ...]:
    """The rows of a short and of a long call of a neuron's loop that stay in a cache; none if only one batch does."""
    fewest = max(batch_size, ROWS_AT_ONCE)
    most = N_CACHED_BYTES // (4 * n_features * fewest) * fewest
    return (fewest, most) if most > fewest else ()


class FromCache(Limit):
    """Calls of a neuron's loop on rows that stay in a cache."""

    def __init__(self, n_features: int, batch_size: int, n_rows: int) -> None:
        if batch_size > 1:
            self._case = network_cases.train_neuron_batch(n_features, batch_size, n_rows)
        elif n_features in NARROW:
            self._case = network_cases.train_neuron_online_by_4(n_features, n_rows)
        else:
            self._case = network_cases.train_neuron_online(n_features, n_rows)
        self.n_samples = TIMES_CACHED * n_rows

    def epoch(self) -> None:
        for _ in range(TIMES_CACHED):
            self._case.fastgd()


def as_rows(numbers: np.ndarray, n_features: int) -> np.ndarray:
    n_samples = numbers.size // n_features
    return numbers[: n_samples * n_features].reshape(n_samples, n_features)


def reading(X: np.ndarray) -> Read:
    return Read(None, X, None)


def checked_neuron(X: np.ndarray, batch_size: int, shuffle: bool = False) -> Fastgd:
    """A neuron's training on X, after it has come to NumPy's parameters in float64 on the first rows.

    X : (n_samples, n_features), float32 or uint8
    """
    n_samples, n_features = X.shape
    y = np.random.default_rng(1).random((n_samples, 1), np.float32)
    square = float(np.square(X[:100], dtype=np.float64).sum(1).mean())
    workload = Workload("", (n_features, 1), batch_size, n_samples, 0, 0.1 / square)
    n_checked = min(CHECKED_SHUFFLED_ROWS if shuffle else max(CHECKED_ROWS, 2 * batch_size), n_samples)
    first_rows = Fastgd(workload, X[:n_checked], y[:n_checked], shuffle)
    expected = first_rows.parameters.astype(np.float64)
    first_rows.epoch()
    order = Shuffle(n_checked, n_features, 0, 0).rows(0, n_checked) if shuffle else np.arange(n_checked)
    train_neuron_batch(expected, TOLERANCE, X[:n_checked], y[:n_checked], workload.learning_rate, batch_size, order)
    require_equal(first_rows.parameters, expected, -(-n_checked // batch_size))
    return Fastgd(workload, X, y, shuffle)


def network_runs(widths: tuple[int, ...], batch_size: int, n_flops: int) -> dict[str, Run]:
    """A network's loop over rows that take n_flops operations or more, checked and warm, and its limits."""
    n_batches = max(n_flops // (flops_per_row(widths) * batch_size), FEWEST_BATCHES)
    workload = Workload("", widths, batch_size, n_batches * batch_size, 0, 1e-3)
    X, y = workload.arrays()
    n_checked = min(max(CHECKED_ROWS // batch_size, 4), n_batches)
    first_rows = slice(n_checked * batch_size)
    runs = [kind(workload, X[first_rows], y[first_rows]) for kind in (Fastgd, Numpy)]
    for run in runs:
        run.epoch()
    require_equal(runs[0].parameters, runs[1].parameters, n_checked)
    return warm({"fastgd": Fastgd(workload, X, y), FMA: MultiplyAdds(), BLAS: BlasProduct()})


def warm(runs: dict[str, Run]) -> dict[str, Run]:
    for run in runs.values():
        run.epoch()
    return runs


def neuron_table(neurons: dict[int, dict[str, float]]) -> str:
    """One line a batch size and a number of features."""
    header = [
        "neuron",
        "bytes a row",
        "ns to read them",
        "ns of the chain",
        "ns a row",
        "share of the limit",
        "ns from cache",
    ]
    rows = []
    for batch in BATCHES:
        for n_features, seconds in neurons.items():
            own, read = seconds[f"batch {batch}"], seconds["reading X"]
            wait = seconds["chain"] if batch == 1 else 0
            limits = str(4 * n_features), ns(read), ns(wait) if wait else ""
            cells = ns(own), f"{max(read, wait) / own:.0%}", from_cache(seconds, n_features, batch)
            rows.append([f"{n_features} inputs, batch {batch}", *limits, *cells])
    return f"{NEURONS}\n\n{markdown(header, rows)}"


def from_cache(seconds: dict[str, float], n_features: int, batch_size: int) -> str:
    """What each row of a cache takes: by as much as a call on many takes longer than a call on few."""
    rows = cached_rows(n_features, batch_size)
    if not rows:
        return ""
    short, long = (n * seconds[f"batch {batch_size}, {n} cached"] for n in rows)
    return ns((long - short) / (rows[1] - rows[0]))


def variants(neurons: dict[int, dict[str, float]], pixels: dict[str, float]) -> str:
    """One line a loop that is measured against another, or a way of reading against reading in order."""
    header = ["neuron, or reading alone", "speed", "of"]
    rows = []
    for n_features, seconds in neurons.items():
        own = f"{seconds['batch 1'] / seconds['shuffled']:.2f}"
        reading_alone = f"{seconds['reading X'] / seconds['reading shuffled']:.2f}"
        rows.append([f"{n_features} inputs, batch 1, shuffled", own, "in order"])
        rows.append([f"reading {n_features} inputs, shuffled", reading_alone, "in order"])
    rows.append([f"{PIXELS} inputs, batch 32, uint8", f"{pixels['float32'] / pixels['uint8']:.2f}", "float32"])
    return markdown(header, rows)


def network_table(networks: dict[tuple[tuple[int, ...], int], dict[str, float]]) -> str:
    """One line a network and batch size."""
    header = [
        "network",
        "operations a row",
        "ns at the limit",
        "ns a row",
        "share of the limit",
        "share of BLAS's rate",
    ]
    rows = []
    for (widths, batch_size), seconds in networks.items():
        own, flops = seconds["fastgd"], flops_per_row(widths)
        at_limit, by_blas = flops * seconds[FMA], flops * seconds[BLAS]
        cells = [f"{flops:,}", ns(at_limit), ns(own), f"{at_limit / own:.0%}", f"{by_blas / own:.0%}"]
        rows.append([f"{'-'.join(map(str, widths))}, batch {batch_size}", *cells])
    fma, blas = (np.median([1e-9 / seconds[name] for seconds in networks.values()]) for name in (FMA, BLAS))
    return f"{PRODUCTS.format(fma=fma, blas=blas)}\n\n{markdown(header, rows)}"


def ns(seconds: float) -> str:
    return f"{seconds * 1e9:,.1f}" if seconds < 1e-6 else f"{seconds * 1e9:,.0f}"
