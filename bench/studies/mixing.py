"""How well `shuffle=True` mixes rows that are sorted: `python -m bench.studies.mixing [--rows 300000] [--seeds 5]`.

Prints the loss on all rows after one epoch of updates row by row: with the rows as they come, with `shuffle=True`,
which keeps near to the order of the memory on data of this size, as rows of files are shuffled, in 30 windows of 64
chunks each (about 2 GB of float32 would have as many), and with a permutation of all. Means over the seeds.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import fastgd as gd
from bench.readme import markdown
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle

N_FEATURES = 100
N_CLASSES = 10
LEARNING_RATES = (0.003, 0.0005)
N_WINDOWS, CHUNKS_PER_WINDOW = 30, 64


class Problem(NamedTuple):
    """Rows that lie in an order.

    X : (n_rows, N_FEATURES) float32          y : (n_rows, 1) float32, or (n_rows,) int64 classes
    """

    X: np.ndarray
    y: np.ndarray
    loss: str
    n_outputs: int = 1


def sorted_by_target(rng: np.random.Generator, n_rows: int) -> Problem:
    X = rng.standard_normal((n_rows, N_FEATURES), np.float32)
    y = X @ rng.standard_normal(N_FEATURES, np.float32) / 10 + 0.3 * rng.standard_normal(n_rows, np.float32)
    order = np.argsort(y)
    return Problem(X[order], y[order, None], "half_squared_error")


def sorted_by_class(rng: np.random.Generator, n_rows: int) -> Problem:
    classes = np.arange(n_rows) * N_CLASSES // n_rows
    centres = rng.standard_normal((N_CLASSES, N_FEATURES), np.float32) / 4
    X = rng.standard_normal((n_rows, N_FEATURES), np.float32) + centres[classes]
    return Problem(X, classes, "cross_entropy", N_CLASSES)


def random_walk(rng: np.random.Generator, n_rows: int) -> Problem:
    """Rows that change slowly from one to the next, with targets that no linear model has."""
    states = rng.standard_normal((n_rows, N_FEATURES), np.float32).cumsum(axis=0)
    states = (states - states.mean(axis=0)) / states.std(axis=0)
    X = (states + rng.standard_normal((n_rows, N_FEATURES), np.float32)) / np.float32(1.4)
    y = X @ rng.standard_normal(N_FEATURES, np.float32) / 10 + np.sin(3 * states[:, 0]) / 2
    return Problem(X, y[:, None], "half_squared_error")


PROBLEMS: dict[str, Callable[[np.random.Generator, int], Problem]] = {
    "sorted by target": sorted_by_target,
    f"{N_CLASSES} classes, one after another": sorted_by_class,
    "a random walk": random_walk,
}


def loss_after_epoch(
    problem: Problem, learning_rate: float, order: np.ndarray | slice = slice(None), **settings: bool | int
) -> float:
    """The loss on all rows after an epoch of them in an order, with further settings of the trainer."""
    model = gd.Model([gd.Linear(N_FEATURES, problem.n_outputs)], dtype="float32", seed=0)
    trainer = gd.Trainer(model, loss=problem.loss, optimizer=gd.SGD(learning_rate), **settings)
    trainer.fit(problem.X[order], problem.y[order])
    return model.loss_and_gradient(problem.X, problem.y, loss=problem.loss)[0]


def order_of_files(n_rows: int, seed: int) -> np.ndarray:
    """The order of a shuffled epoch of rows that are read in chunks."""
    window_rows = n_rows // N_WINDOWS
    starts = np.arange(0, n_rows, window_rows // CHUNKS_PER_WINDOW)
    return ChunkShuffle(starts, n_rows, N_FEATURES, window_rows, seed, 0).rows(0, n_rows)


def losses(problem: Problem, learning_rate: float, n_seeds: int) -> tuple[float, float, float, float]:
    """The mean losses for the rows as they come, shuffled, in chunks, and in a permutation of all."""
    in_chunks = [order_of_files(len(problem.X), seed) for seed in range(n_seeds)]
    chunked = [loss_after_epoch(problem, learning_rate, order) for order in in_chunks]
    shuffled = [loss_after_epoch(problem, learning_rate, shuffle=True, seed=seed) for seed in range(n_seeds)]
    orders = [np.random.default_rng(seed).permutation(len(problem.X)) for seed in range(n_seeds)]
    permuted = [loss_after_epoch(problem, learning_rate, order) for order in orders]
    means = (float(np.mean(found)) for found in (shuffled, chunked, permuted))
    return loss_after_epoch(problem, learning_rate), *means


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how well shuffled epochs mix rows that are sorted.")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for name, make in PROBLEMS.items():
        problem = make(np.random.default_rng(0), options.rows)
        for learning_rate in LEARNING_RATES:
            found = losses(problem, learning_rate, options.seeds)
            rows.append([name, f"{learning_rate:g}", *(f"{loss:.4f}" for loss in found)])
    print(markdown(["rows", "learning rate", "in order", "shuffle=True", "of files", "a permutation of all"], rows))


if __name__ == "__main__":
    main()
