"""How good models get on real tables: fastgd's settings, a grid of rates, and what one would use in their place.

python -m bench.studies.quality [--quick] [--sets bikeshare wine] [--settings "SGD auto"] [--without MLP] [--json FILE]

On each set of `quality_sets.py`: seeds 0 to 2 split the rows (a quarter is for judging) and draw the weights; batches
of 1, 32 and 256 rows; a linear model, and one with a hidden layer of 64. An epoch count for all: 300 000 rows' worth,
from 10 to 100. A score is R² or the accuracy on the rows for judging. Baselines and the grid are kept in the cache
folder's `baselines.json` and fitted once; `--fresh` fits them again. `report.py quality` writes what others read.

What is counted, of a setting's runs: those that diverged; those that are worse than the best constant prediction on
the rows they learnt from, which is a wreck, or on the others; and, of means over the seeds, linear models more than
.005 R² or .01 accuracy below Ridge or LogisticRegression, and networks more than .01 below the grid's best rate. Worse
than a constant on the rows learnt from means a larger loss, and on the others a lower score.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

import fastgd as gd
from bench.readme import markdown
from bench.studies import quality_sets
from bench.studies.quality_models import GRID, MODELS, SETTINGS, Case, Result, Setting, Split, fit_fastgd
from bench.studies.quality_peers import Peer, baselines

SEEDS, BATCH_SIZES = (0, 1, 2), (1, 32, 256)
QUICK_SETS = ("bikeshare", "diamonds", "flights", "companies", "mortgages", "penguins", "diabetes", "iris")
LINEAR_GAP = {"regression": 0.005, "classification": 0.01}
NETWORK_GAP = 0.01
REFERENCE = "Ridge / LogisticRegression"
_ROUNDING = 1e-3

Record = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how good models get on real tables.")
    parser.add_argument("--sets", nargs="+", choices=quality_sets.NAMES, metavar="SET")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--quick", action="store_true", help=f"one seed, {len(QUICK_SETS)} sets where none are named")
    parser.add_argument("--without", nargs="+", default=[], help="baselines not to fit: those whose names hold these")
    parser.add_argument("--fresh", action="store_true", help="fit the baselines again")
    parser.add_argument("--json", type=Path, help="where to write every score")
    options = parser.parse_args()
    names = options.sets or (QUICK_SETS if options.quick else quality_sets.NAMES)
    seeds = SEEDS[:1] if options.quick else SEEDS
    kept = Kept(quality_sets.cache_folder() / "baselines.json", options.fresh)
    records = []
    for name in names:
        records += measure(name, seeds, {name: SETTINGS[name] for name in options.settings}, kept, options.without)
        print(name, file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(records), encoding="utf-8")
    print(report(records, options.settings))


class Kept:
    """Results of baselines in a file, by what they depend on."""

    def __init__(self, path: Path, is_fresh: bool = False) -> None:
        self._path = path
        self._results = {} if is_fresh or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
        self._versions = f"fastgd {gd.__version__}, scikit-learn {sklearn.__version__}"

    def get(self, key: list[Any], fit: Callable[[], Result]) -> Result:
        text = json.dumps([self._versions, *key])
        if text not in self._results:
            self._results[text] = fit()
        return Result(*self._results[text])

    def save(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._results), encoding="utf-8")
        new.replace(self._path)


def measure(
    name: str,
    seeds: tuple[int, ...],
    settings: dict[str, Setting],
    kept: Kept,
    without: Sequence[str] = (),
    peers: dict[str, Peer] | None = None,
) -> list[Record]:
    """Every result on one set.

    without : parts of the names of baselines that are not fitted
    """
    X, y, task = quality_sets.load(name)
    records = []

    def add(label: str, model: str | None, case_seed: int, batch_size: int | None, result: Result) -> None:
        records.append(
            {"set": name, "task": task, "name": label, "model": model, "seed": case_seed, "batch_size": batch_size}
            | result._asdict()
        )

    for seed in seeds:
        split = split_of(X, y, task, seed)
        n_epochs = epochs_of(len(split.X_train))
        for label, fit in baselines(split.is_classes).items():
            if not any(part in label for part in without):
                key = [name, X.shape, seed, label]
                add(label, None, seed, None, kept.get(key, partial(fit, split, seed)))
        for model, batch_size, case in cases(n_epochs, seed):
            for label, setting in GRID.items():
                key = [name, X.shape, seed, label, model, batch_size, n_epochs]
                result = kept.get(key, partial(fit_fastgd, split, setting, case))
                add(label, model, seed, batch_size, result)
            for label, peer in (peers or {}).items():
                if model in peer.models and batch_size in peer.batch_sizes:
                    same = (peer.on_classes if split.is_classes else None) or label
                    key = ["peer", name, X.shape, seed, same, peer.version, model, batch_size, n_epochs]
                    add(label, model, seed, batch_size, kept.get(key, partial(peer.fit, split, case)))
            for label, setting in settings.items():
                add(label, model, seed, batch_size, fit_fastgd(split, setting, case))
        kept.save()
    return records


def split_of(X: np.ndarray, y: np.ndarray, task: str, seed: int) -> Split:
    """A quarter of the rows for judging."""
    rows = np.random.default_rng(seed).permutation(len(X))
    n_test = len(X) // 4
    y = y if task == "classification" else y.reshape(len(y), -1)
    test, train = rows[:n_test], rows[n_test:]
    return Split(X[train], y[train], X[test], y[test], task == "classification")


def epochs_of(n_rows: int) -> int:
    return int(np.clip(300_000 // n_rows, 10, 100))


def cases(epochs: int, seed: int) -> Iterator[tuple[str, int, Case]]:
    for model, hidden in MODELS.items():
        for batch_size in BATCH_SIZES:
            yield model, batch_size, Case(hidden, batch_size, epochs, seed)


class Scores:
    """Records by what they are of."""

    def __init__(self, records: list[Record]) -> None:
        self.sets = {record["set"]: record["task"] for record in records}
        self._results: dict[tuple, list[Record]] = defaultdict(list)
        for record in records:
            self._results[record["set"], record["name"], record["model"], record["batch_size"]].append(record)

    def runs(self, name: str, label: str, model: str | None = None, batch_size: int | None = None) -> list[Record]:
        return sorted(self._results[name, label, model, batch_size], key=lambda record: record["seed"])

    def mean(self, *key: Any, rows: str = "test") -> float:
        """The mean score over the seeds, -inf where one diverged or there is none."""
        scores = [record[rows] for record in self.runs(*key)]
        return -np.inf if not scores or None in scores else float(np.mean(scores))

    def best_of_grid(self, name: str, model: str, batch_size: int) -> float:
        return max(self.mean(name, label, model, batch_size) for label in GRID)


def report(records: list[Record], settings: list[str]) -> str:
    scores = Scores(records)
    return "\n\n".join(
        [
            summary(scores, settings),
            *(set_table(scores, settings, model) for model in MODELS),
            "\n".join(missed(scores, settings)),
        ]
    )


def summary(scores: Scores, settings: list[str]) -> str:
    """One line for a setting with all batch sizes, and one for each of them."""
    header = ["setting", "batch", "runs", "diverged", "below constant: learnt", "below constant: judged"]
    header += ["linear short of Ridge / LR", "mean", "networks short of the grid", "mean", "seconds"]
    rows = []
    for label in settings:
        for sizes in (BATCH_SIZES, *((size,) for size in BATCH_SIZES)):
            found = tally(scores, label, sizes)
            cells = [label, "all" if len(sizes) > 1 else str(*sizes)]
            cells += [str(count) for count in (found.n_runs, found.n_diverged, found.n_wrecked, found.n_below)]
            for model in MODELS:
                cells += [f"{found.n_short(model)} of {len(found.gaps[model])}", f"{found.mean(model):.4f}"]
            rows.append([*cells, f"{found.seconds:.0f}"])
    return markdown(header, rows, 2)


@dataclass
class Tally:
    """What is counted of a setting's or a peer's runs.

    n_wrecked, n_below : worse than the best constant on the rows learnt from, and on those for judging
    gaps, scores : by model, of means over seeds, one for each set and batch size: how much more is allowed to be
        missing than is, negative where it falls short; and the score, 0 where it is less
    """

    n_runs: int = 0
    n_diverged: int = 0
    n_wrecked: int = 0
    n_below: int = 0
    seconds: float = 0.0
    gaps: dict[str, list[float]] = field(default_factory=lambda: {model: [] for model in MODELS})
    scores: dict[str, list[float]] = field(default_factory=lambda: {model: [] for model in MODELS})

    def n_short(self, model: str) -> int:
        return sum(gap < 0 for gap in self.gaps[model])

    def mean(self, model: str) -> float:
        """The mean score; not a number where there are no runs."""
        return float(np.mean(self.scores[model])) if self.scores[model] else np.nan


def is_wrecked(record: Record, constant: Record) -> bool:
    """Whether it is worse than the constant on the rows learnt from: by its loss, if any, else by its score."""
    if record["loss"] is None:
        return record["train"] < constant["train"] - _ROUNDING
    return record["loss"] > 1 + _ROUNDING


def is_below(record: Record, constant: Record) -> bool:
    """Whether a score on the rows for judging is lower than the constant's."""
    return record["test"] < constant["test"] - _ROUNDING


def tally(scores: Scores, label: str, sizes: Sequence[int] = BATCH_SIZES) -> Tally:
    """Of all runs that there are with these batch sizes."""
    found = Tally()
    for name, task in scores.sets.items():
        constants = scores.runs(name, "constant")
        for model, size in product(MODELS, sizes):
            runs = scores.runs(name, label, model, size)
            if not runs:
                continue
            for record, constant in zip(runs, constants, strict=True):
                found.n_runs += 1
                found.seconds += record["seconds"]
                if record["train"] is None:
                    found.n_diverged += 1
                    continue
                found.n_wrecked += is_wrecked(record, constant)
                found.n_below += is_below(record, constant)
            score = scores.mean(name, label, model, size)
            found.gaps[model].append(allowed(model, task) - (target_of(scores, name, model, size) - score))
            found.scores[model].append(max(score, 0.0))
    return found


def target_of(scores: Scores, name: str, model: str, batch_size: int) -> float:
    return scores.mean(name, REFERENCE) if model == "linear" else scores.best_of_grid(name, model, batch_size)


def allowed(model: str, task: str) -> float:
    return LINEAR_GAP[task] if model == "linear" else NETWORK_GAP


def set_table(scores: Scores, settings: list[str], model: str) -> str:
    """One line a set: each score is a mean over seeds; of batch sizes, the worst."""
    others = list(baselines(False))
    rows = []
    for name in scores.sets:
        found = [min(scores.mean(name, label, model, size) for size in BATCH_SIZES) for label in settings]
        grid = [scores.best_of_grid(name, model, size) for size in BATCH_SIZES]
        found += [max(grid), *(scores.mean(name, label) for label in others)]
        rows.append([name, *(f"{score:.3f}" if score > -10 else "-" for score in found)])
    return markdown([model, *settings, "best of the grid", *others], rows)


def missed(scores: Scores, settings: list[str]) -> Iterator[str]:
    """Where a setting falls short, and by how much."""
    for label in settings:
        for model in MODELS:
            gaps = {}
            for name, task in scores.sets.items():
                for size in BATCH_SIZES:
                    gap = target_of(scores, name, model, size) - scores.mean(name, label, model, size)
                    if gap > allowed(model, task):
                        gaps[f"{name} {size}"] = gap
            worst = sorted(gaps, key=gaps.get, reverse=True)
            yield f"{label}, {model}: " + ", ".join(f"{place} {gaps[place]:.3f}" for place in worst)


if __name__ == "__main__":
    main()
