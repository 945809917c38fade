"""The peers' list, and how each is brought to a fair start: its rows, its best form, a comparison of the results."""

import gc
import importlib
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bench.cases.runs import Run
from bench.peers.fastgd import Fastgd
from bench.peers.workloads import PeerWorkload


class Peer(NamedTuple):
    """What makes a column of the table.

    module : the file here that imports it. Its `forms(workload, X, y)` gives, by name, the functions that make a run;
        none where the peer has no such model. On `MAX_UPDATES` batches it trains in tenths of a second; None for all
    package : without which it cannot take part
    distribution : the package's name for pip
    environment : of the Python that it needs, one of ENVIRONMENTS
    """

    module: str
    package: str
    distribution: str
    environment: str = ""


PEERS = {
    "NumPy": Peer("numpy", "numpy", "numpy"),
    "SGDRegressor": Peer("sgd_regressor", "sklearn", "scikit-learn"),
    "MLPRegressor": Peer("mlp_regressor", "sklearn", "scikit-learn"),
    "PyTorch": Peer("torch", "torch", "torch"),
    "torch.compile": Peer("torch_compile", "torch", "torch"),
    "JAX": Peer("jax", "jax", "jax"),
    "Vowpal Wabbit": Peer("vowpal_wabbit", "vowpalwabbit", "vowpalwabbit"),
    "River": Peer("river", "river", "river"),
    "JAX 0.6.2": Peer("jax", "jax", "jax", "jax-0.6.2"),
    "tinygrad": Peer("tinygrad", "tinygrad", "tinygrad"),
    "MLX": Peer("mlx", "mlx", "mlx"),
    "daal4py": Peer("daal4py", "daal4py", "daal4py", "daal4py"),
}
#: Other Pythons than the running one, which cannot have these versions beside the newest: what runs in them needs.
ENVIRONMENTS = {"jax-0.6.2": {"XLA_FLAGS": "--xla_cpu_use_thunk_runtime=false"}, "daal4py": {}}


def installed(environment: str = "") -> list[str]:
    """The peers of an environment, the one that this runs in, that can take part, in the table's order."""
    peers = [(name, peer.package) for name, peer in PEERS.items() if peer.environment == environment]
    return [name for name, package in peers if importlib.util.find_spec(package)]


@dataclass
class Comparison:
    """One workload's runs, warm and compared.

    runs : fastgd's and those of the peers that came to its parameters
    difference : each peer's largest from fastgd's parameters on the same rows, in the largest of them
    form : each peer's fastest
    excluded : why a peer is not in runs
    """

    runs: dict[str, Run]
    difference: dict[str, float] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)


def prepare(workload: PeerWorkload, names: list[str], clock: Callable[[], float] = time.process_time) -> Comparison:
    """Let every peer train once, from the same weights on the same first rows as a fastgd."""
    X, y = workload.arrays(workload.n_samples)
    comparison = Comparison({"fastgd": warm(Fastgd(workload, X, y))})
    for name in names:
        module = importlib.import_module(f"{__package__}.{PEERS[name].module}")
        n_samples = min(len(X), (module.MAX_UPDATES or len(X)) * workload.batch_size)
        rows = X[:n_samples], y[:n_samples]
        expected = warm(Fastgd(workload, *rows)).parameters
        limit = tolerance(workload, n_samples)
        best = float("inf")
        for form, make in module.forms(workload, *rows).items():
            # A compiler's failure, say, is the peer's own: the others go on.
            try:
                run = warm(make())
            except Exception as error:
                comparison.excluded.setdefault(name, f"{form} fails: {str(error).partition(chr(10))[0]}".strip())
                continue
            difference = largest_difference(run.parameters, expected)
            if not difference <= limit:
                comparison.excluded.setdefault(name, f"{form} differs by {difference:.0e}".strip())
                continue
            seconds = min(seconds_of_epoch(run, clock) for _ in range(3))
            if seconds < best:
                best = seconds
                comparison.runs[name], comparison.form[name], comparison.difference[name] = run, form, difference
    for name in comparison.runs:
        comparison.excluded.pop(name, None)
    gc.collect()
    return comparison


def warm(run: Run) -> Run:
    """The run after an epoch, in which compilers have done their work."""
    run.epoch()
    return run


def seconds_of_epoch(run: Run, clock: Callable[[], float]) -> float:
    run.reset()
    began = clock()
    run.epoch()
    return clock() - began


def largest_difference(parameters: np.ndarray, expected: np.ndarray) -> float:
    """In the largest parameter."""
    return float(np.abs(parameters - expected).max() / np.abs(expected).max())


def tolerance(workload: PeerWorkload, n_samples: int) -> float:
    """What rounding may add up to: each update rounds by a few eps, up as often as down.

    Ten times as much with ReLUs: an input that is zero but for rounding passes in one library and not in another, and
    takes its whole gradient along.
    """
    rounding = 8 * float(np.finfo(workload.dtype).eps) * workload.n_updates(n_samples) ** 0.5
    return rounding if workload.is_neuron else 10 * rounding
