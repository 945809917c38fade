"""Random tables with whatever makes learning fail: a thousand of them, each from its seed alone.

python -m bench.studies.random_sets [--sets 1000] [--first 0] [--settings "SGD auto"] [--json FILE]

10 to 100 000 rows and 1 to 300 features; scales from 10^-6 to 10^6 and offsets up to 10^6; normal, skewed and
heavy-tailed columns, counts, rare dummies, constants, copies of other columns, exact and nearly so; targets of any
scale with much noise, hardly any or none, nonlinear ones, constant ones; two to ten classes, rare ones too, that can or
cannot be separated, or have nothing to do with the features. The seed also draws batch size, hidden layers and epochs.

It counts the runs that diverge, and those whose loss is more than that of the best constant prediction on the rows that
they learnt from.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from bench.readme import markdown
from bench.studies.quality_models import SETTINGS, Case, Setting, Split, fit_fastgd

MOST_NUMBERS = 1 << 21
TOLERANCE = 1e-3


def make(seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """X (n, d) float64, y (n,) float64 or classes from 0, and "regression" or "classification"."""
    rng = np.random.default_rng([seed, 0])
    n_rows = round(10 ** rng.uniform(1, 5))
    n_features = min(round(300 ** rng.uniform(0, 1)), max(MOST_NUMBERS // n_rows, 1))
    shape = columns(n_rows, n_features, rng)
    X = scaled(shape, rng)
    score = signal(shape, rng)
    if rng.random() < 0.5:
        return X, numbers(score, rng), "regression"
    return X, classes(shape, score, rng), "classification"


def case_of(seed: int, n_rows: int) -> Case:
    """How the set is to be learnt."""
    rng = np.random.default_rng([seed, 1])
    hidden = [(), (64,), (16, 16)][rng.choice(3, p=[0.5, 0.4, 0.1])]
    batch_size = [1, 32, 256, None][rng.choice(4, p=[0.35, 0.35, 0.2, 0.1])]
    most = int(np.clip(100_000 // n_rows, 1, 100))
    return Case(hidden, batch_size, int(rng.integers(1, most + 1)), seed)


def columns(n_rows: int, n_features: int, rng: np.random.Generator) -> np.ndarray:
    """Columns of many shapes, before scales and offsets."""
    X = np.empty((n_rows, n_features))
    kinds = rng.dirichlet(np.ones(9) * 0.5)
    for i in range(n_features):
        z = rng.standard_normal(n_rows)
        match rng.choice(9, p=kinds):
            case 0:
                column = z
            case 1:
                column = np.exp(rng.uniform(0.5, 3) * z)
            case 2:
                column = rng.standard_t(rng.uniform(1, 3), n_rows)
            case 3:
                # A dummy, of one row at times.
                column = (rng.permutation(n_rows) < max(1, n_rows * 10 ** rng.uniform(-5, -0.3))).astype(np.float64)
            case 4:
                column = rng.poisson(10 ** rng.uniform(-2, 2), n_rows).astype(np.float64)
            case 5:
                column = np.full(n_rows, rng.choice([0.0, 1.0, 0.1]))
            case 6:
                column = X[:, rng.integers(i)] if i else z
            case 7:
                # Nearly a sum of others.
                column = X[:, :i] @ rng.standard_normal(i) + 10 ** rng.uniform(-8, 0) * z if i else z
            case _:
                # One row far from all others.
                column = z + (np.arange(n_rows) == rng.integers(n_rows)) * 10 ** rng.uniform(1, 5)
        X[:, i] = column
    return X


def scaled(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scales and offsets, one for all columns or one each."""
    n_features = X.shape[1]
    match rng.integers(4):
        case 0:
            return X
        case 1:
            return X * 10 ** rng.uniform(-6, 6)
        case 2:
            return X * 10 ** rng.uniform(-6, 6, n_features)
        case _:
            offsets = 10 ** rng.uniform(0, 6, n_features) * rng.choice([-1, 0, 1], n_features)
            return X * 10 ** rng.uniform(-6, 6, n_features) + offsets


def standardized(X: np.ndarray) -> np.ndarray:
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def signal(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What there is to learn, (n,) of deviation 1, or zero: linear, or of ReLUs, of some of the columns."""
    Z = standardized(X)
    n_used = rng.integers(1, X.shape[1] + 1)
    Z = Z[:, rng.permutation(X.shape[1])[:n_used]]
    found = Z @ rng.standard_normal(n_used)
    if rng.random() < 0.4:
        hidden = np.maximum(Z @ rng.standard_normal((n_used, 8)) + rng.standard_normal(8), 0)
        found = hidden @ rng.standard_normal(8)
    return standardized(found[:, None])[:, 0]


def numbers(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets to predict as numbers."""
    n_rows = len(signal)
    noise = rng.standard_normal(n_rows) if rng.random() < 0.7 else rng.standard_t(1.5, n_rows)
    y = signal + rng.choice([0, 1e-6, 1e-2, 0.3, 1, 10]) * noise
    match rng.integers(8):
        case 0:
            y = np.exp(np.clip(y, -20, 20))
        case 1:
            y = np.maximum(y, 0)
        case 2 if rng.random() < 0.3:
            y = np.zeros(n_rows)
    scale = 1.0 if rng.random() < 0.3 else 10 ** rng.uniform(-6, 10)
    offset = 0.0 if rng.random() < 0.5 else 10 ** rng.uniform(0, 6)
    return scale * y + offset


def classes(X: np.ndarray, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets to predict as classes: at least two."""
    n_rows = len(signal)
    n_classes = 2 if rng.random() < 0.5 else int(rng.integers(3, 11))
    noise = rng.choice([0, 0, 0.1, 1, 100])
    if n_classes == 2:
        share = rng.choice([0.5, 0.2, 0.02, 0.001])
        noisy = signal + noise * rng.standard_normal(n_rows)
        y = (noisy > np.quantile(noisy, 1 - share)).astype(np.int64)
    else:
        scores = standardized(X) @ rng.standard_normal((X.shape[1], n_classes))
        y = (standardized(scores) + noise * rng.standard_normal(scores.shape)).argmax(axis=1)
    y[:2] = [0, 1]
    return y


def judge(seed: int, setting: Setting) -> tuple[float | None, float]:
    """The loss in units of that of the best constant prediction, None where training diverged; and the seconds."""
    X, y, task = make(seed)
    is_classes = task == "classification"
    if not is_classes:
        y = y[:, None]
    result = fit_fastgd(Split(X, y, X, y, is_classes), setting, case_of(seed, len(X)))
    return result.loss, result.seconds


def describe(seed: int) -> str:
    X, _, task = make(seed)
    case = case_of(seed, len(X))
    return f"{seed}: {task}, {X.shape[0]} x {X.shape[1]}, {case.hidden}, batch {case.batch_size}, {case.epochs} epochs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the wrecks on random tables.")
    parser.add_argument("--sets", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--json", type=Path, help="where to write every loss")
    options = parser.parse_args()
    lines, found = [], {}
    for name in options.settings:
        results = {}
        for seed in range(options.first, options.first + options.sets):
            results[seed] = judge(seed, SETTINGS[name])
            loss, _ = results[seed]
            if loss is None or loss > 1 + TOLERANCE:
                print(f"{name}, {describe(seed)}: {'diverged' if loss is None else f'{loss:.4g}'}", file=sys.stderr)
        losses = [loss for loss, _ in results.values()]
        finite = [loss for loss in losses if loss is not None]
        below = sum(loss > 1 + TOLERANCE for loss in finite)
        mean = np.mean([min(loss, 1.0) for loss in finite])
        seconds = sum(seconds for _, seconds in results.values())
        lines.append(
            [name, *map(str, (len(losses), len(losses) - len(finite), below)), f"{mean:.3f}", f"{seconds:.0f}"]
        )
        found[name] = results
        if options.json:
            options.json.write_text(json.dumps(found), encoding="utf-8")
    header = ["setting", "sets", "diverged", "below the best constant", "mean loss, of that constant's", "seconds"]
    print(markdown(header, lines))


if __name__ == "__main__":
    main()
