"""What combining replicas costs in loss after equal epochs, and what the length of a round and the outer step change.

python -m bench.studies.replicas [--epochs 10] [--rows 200000] [--growth]

Validation losses divided by one replica's, on synthetic rows and on real ones (flights and diamonds, downloaded), as
means over seeds. Each row is trained on as often, whatever the number of replicas. With --growth, what rounds that
grow as the rate falls cost, by the power of its fall and the most that they grow, and how many rounds there are.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import fastgd as gd
from bench.readme import markdown
from bench.studies import quality_sets

SEEDS = (0, 1, 2)
REPLICAS = (2, 4, 8)
ROUNDS = (None, 128, 1024, 8192)
GROWTHS = ((0, 1), (1, 16), (2, 16), (2, 64))
OUTERS = {
    "auto": lambda n: "auto",
    "the mean": lambda n: None,
    "Nesterov(0.7, 0.9)": lambda n: gd.replicas.Nesterov(0.7, 0.9),
    "Nesterov(1.0, 1 - 1 / R)": lambda n: gd.replicas.Nesterov(1.0, 1 - 1 / n),
}


class Problem(NamedTuple):
    """Rows to learn from and to judge by, and what learns them."""

    train: Any
    validation: Any
    layers: Callable[[int], list]
    options: dict[str, Any]


def _synthetic(n_rows: int, hidden: tuple[int, ...], seed: int) -> tuple:
    rows = gd.data.synthetic(n_rows + 50_000, 100, hidden=hidden, noise=0.3, seed=seed).arrays()
    X, y = rows
    return (X[:n_rows], y[:n_rows]), (X[n_rows:], y[n_rows:])


def _table(name: str, seed: int) -> tuple:
    X, y, _ = quality_sets.load(name)
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = np.split(order, [len(X) // 4])
    return (X[train], y[train]), (X[test], y[test])


def _linear(n: int) -> list:
    return [gd.Linear(n, 1)]


def _hidden(n: int) -> list:
    return [gd.Linear(n, 64), gd.ReLU(), gd.Linear(64, 1)]


def problems(n_rows: int, seed: int) -> Iterator[tuple[str, Problem]]:
    """Of one seed, by name."""
    train, validation = _synthetic(n_rows, (), seed)
    sgd = gd.SGD(gd.schedules.InverseScaling(0.01, 0.25))
    yield "linear, squared error", Problem(train, validation, _linear, {"optimizer": sgd, "batch_size": 8})
    above = [(X, (y > np.median(train[1])).astype(float)) for X, y in (train, validation)]
    options = {"loss": "log_loss", "optimizer": gd.SGD(gd.schedules.InverseScaling(0.1, 0.25)), "batch_size": 8}
    yield "linear, log loss", Problem(*above, _linear, options)
    train, validation = _synthetic(n_rows, (64,), seed)
    yield "100-64-1, SGD", Problem(train, validation, _hidden, {"optimizer": gd.SGD(0.02), "batch_size": 32})
    yield "100-64-1, Adam", Problem(train, validation, _hidden, {"optimizer": gd.Adam(1e-3), "batch_size": 32})
    for name in ("flights", "diamonds"):
        train, validation = _table(name, seed)
        auto = {"optimizer": "auto", "batch_size": 32, "standardize_targets": True, "alpha": 1e-3}
        scaled = {"linear": _linear, "hidden layer": _hidden}
        for kind, layers in scaled.items():
            options = auto if kind != "linear" else auto | {"alpha": 0.0}
            yield f"{name}, {kind}, auto", Problem(train, validation, _standardized(layers), options)
        options = auto | {"optimizer": gd.Adam(1e-3), "alpha": 0.0}
        yield f"{name}, hidden layer, Adam", Problem(train, validation, _standardized(_hidden), options)


def _standardized(layers: Callable[[int], list]) -> Callable[[int], list]:
    return lambda n: [gd.Standardize(n), *layers(n)]


def loss_of(problem: Problem, seed: int, epochs: int, **replicas: Any) -> float:
    """On the rows to judge by, after training; infinite where that diverges."""
    layers = problem.layers(problem.train[0].shape[1])
    assert all(a is not b for a, b in pairwise(layers))
    trainer = gd.Trainer(gd.Model(layers, seed=seed), shuffle=True, seed=seed, **problem.options, **replicas)
    try:
        trainer.fit(*problem.train, epochs=epochs)
    except gd.DivergenceError:
        return math.inf
    return trainer.model.loss(*problem.validation, loss=trainer.loss)


def growth_table(n_rows: int, epochs: int, first_rows: int = 512) -> str:
    """Of four replicas, whose rounds begin with so many rows of each."""
    train, validation = _synthetic(n_rows, (64,), 0)
    updates = epochs * n_rows // 4 // 32
    optimizers = {
        "SGD, t^-1/4": gd.SGD(gd.schedules.InverseScaling(0.05, 0.25)),
        "SGD, cosine": gd.SGD(gd.schedules.CosineWarmRestarts(0.03, updates)),
        "Adam, cooldown": gd.Adam(gd.schedules.Cooldown(2e-3, updates // epochs)),
    }
    problems = {
        f"100-64-1, {name}": Problem(train, validation, _hidden, {"optimizer": each, "batch_size": 32})
        for name, each in optimizers.items()
    }
    ones = {name: loss_of(problem, 0, epochs) for name, problem in problems.items()}
    rows = []
    for power, most in GROWTHS:
        cells = []
        for name, problem in problems.items():
            rounds: list[int] = []

            def count(_: int, rate: float, largest: float, __: Any, rounds=rounds, power=power, most=most) -> int:
                fall = min(max(1.0, largest / rate), 1e6) if rate > 0 else 1e6
                rounds.append(int(first_rows * min(fall**power, most)))
                return rounds[-1]

            with mock.patch("fastgd._engine.replicas.rows_of_a_round", count):
                ratio = loss_of(problem, 0, epochs, replicas=4) / ones[name]
            cells.append(f"{ratio:.4f} ({len(rounds)})")
        rows.append([f"power {power}, at most {most} times", *cells])
    return markdown(["validation loss, one replica's = 1 (rounds)", *problems], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rows", type=int, default=200_000, help="synthetic rows to learn from")
    parser.add_argument("--growth", action="store_true", help="rounds that grow as the rate falls")
    options = parser.parse_args()
    if options.growth:
        print(growth_table(options.rows, options.epochs))
        return
    settings = [
        {"replicas": n, "round_rows": rows, "outer": outer} for n in REPLICAS for outer in OUTERS for rows in ROUNDS
    ]
    found: dict[str, list[list[float]]] = {}
    for seed in SEEDS:
        for name, problem in problems(options.rows, seed):
            one = loss_of(problem, seed, options.epochs)
            ratios = [loss_of(problem, seed, options.epochs, **_arguments(each)) / one for each in settings]
            found.setdefault(name, []).append(ratios)
    names = list(found)
    rows = [
        [_label(each), *(f"{statistics.mean(ratios[k] for ratios in found[name]):.3f}" for name in names)]
        for k, each in enumerate(settings)
    ]
    print(markdown(["validation loss, one replica's = 1", *names], rows))


def _arguments(setting: dict[str, Any]) -> dict[str, Any]:
    return setting | {"outer": OUTERS[setting["outer"]](setting["replicas"])}


def _label(setting: dict[str, Any]) -> str:
    return f"{setting['replicas']} replicas, rounds of {setting['round_rows'] or 'default'}, {setting['outer']}"


if __name__ == "__main__":
    main()
