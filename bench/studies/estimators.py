"""The estimators as a user makes them, on real tables, raw, beside scikit-learn's.

python -m bench.studies.estimators [--sets iris wine] [--rows 4000] [--folds 0 1] [--without MLP] [--batch-size 32]

Five-fold cross-validation, by class for classes; of larger tables so many rows are drawn from `default_rng(0)`. The
sets and the judgement are those of `quality.py`, and so are what the peers are and where their results are kept. Of the
linear estimators it says how often they are more than .01 below the best of SGD*, Ridge and LogisticRegression; of the
networks, on how many sets they beat MLP*, and how near they come to HistGradientBoosting. Scores are R² or accuracies,
means over the folds; those below zero count as zero.
"""

import argparse
import sys
from functools import partial

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from bench.readme import markdown
from bench.studies import quality_sets
from bench.studies.quality import Kept, Record, Scores, is_below, is_wrecked
from bench.studies.quality_models import Split
from bench.studies.quality_peers import baselines, fit_sklearn
from fastgd.sklearn import GDClassifier, GDRegressor

MARKERS = "estimators"
OURS = {
    "GD*()": {},
    "GD*((64,))": {"hidden_layer_sizes": (64,)},
    "GD*((64,), early_stopping=True)": {"hidden_layer_sizes": (64,), "early_stopping": True},
}
LINEAR_PEERS = ("SGD*", "SGD*, scaled", "Ridge / LogisticRegression")
MOST_ROWS, N_FOLDS = 4000, 5
_GAP, _NEAR = 0.01, 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=quality_sets.NAMES, default=quality_sets.NAMES, metavar="SET")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(N_FOLDS)))
    parser.add_argument("--without", nargs="+", default=[], help="peers not to fit: those whose names hold these")
    parser.add_argument("--batch-size", type=batch_size, default="auto", help="of fastgd's estimators")
    add_arguments(parser)
    options = parser.parse_args()
    records = measure(options.sets, options.rows, options.folds, options.without, options.batch_size)
    scores, labels = Scores(records), labels_of(records)
    print(summary(scores, labels), comparison(scores, labels), set_table(scores, labels), sep="\n\n")


def batch_size(text: str) -> int | str:
    return text if text == "auto" else int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=MOST_ROWS, help="the most rows of a set, for the estimators")


def report(options: argparse.Namespace) -> str:
    """The table of all sets, with what is to know about it."""
    records = measure(quality_sets.NAMES, options.rows, list(range(N_FOLDS)), [])
    scores, labels = Scores(records), labels_of(records)
    method = (
        f"The estimators as a user makes them, `GD*()` for `GDRegressor()` and `GDClassifier()`, on raw rows, at most "
        f"{options.rows} of each of the {len(scores.sets)} tables; {N_FOLDS}-fold cross-validation. All others are at "
        "their defaults, too, on raw features, or, scaled, behind a StandardScaler, as Ridge and LogisticRegression "
        "are. Worse than the constant is as above, and scores below zero count as zero."
    )
    return "\n\n".join([method, summary(scores, labels), comparison(scores, labels)])


def measure(
    names: list[str], most_rows: int, folds: list[int], without: list[str], batch_size: int | str = "auto"
) -> list[Record]:
    """Every result; `without` as for the command line."""
    kept = Kept(quality_sets.cache_folder() / "baselines.json")
    records: list[Record] = []
    for name in names:
        for fold, split in splits(name, most_rows):
            if fold in folds:
                records += measured(name, fold, split, kept, without, batch_size)
        kept.save()
        print(name, file=sys.stderr, flush=True)
    return records


def splits(name: str, most_rows: int) -> list[tuple[int, Split]]:
    """The folds of a set, by their numbers."""
    X, y, task = quality_sets.load(name)
    is_classes = task == "classification"
    if len(X) > most_rows:
        rows = np.random.default_rng(0).choice(len(X), most_rows, replace=False)
        X, y = X[rows], y[rows]
    y = np.unique(y, return_inverse=True)[1] if is_classes else y.reshape(len(y), -1)
    folds = (StratifiedKFold if is_classes else KFold)(N_FOLDS, shuffle=True, random_state=0).split(X, y)
    return [(k, Split(X[train], y[train], X[test], y[test], is_classes)) for k, (train, test) in enumerate(folds)]


def measured(name: str, fold: int, split: Split, kept: Kept, without: list[str], batch_size: int | str) -> list[Record]:
    """Every result on one fold."""
    key = [name, "fold", len(split.X_train) + len(split.X_test), fold]
    results = {
        label: kept.get([*key, label], partial(fit, split, 0))
        for label, fit in baselines(split.is_classes).items()
        if not any(part in label for part in without)
    }
    kind = GDClassifier if split.is_classes else GDRegressor
    ours = {label: kind(**options, batch_size=batch_size, random_state=0) for label, options in OURS.items()}
    results |= {label: fit_sklearn(split, estimator, False) for label, estimator in ours.items()}
    about = {"set": name, "task": "", "model": None, "seed": fold, "batch_size": None}
    return [about | {"name": label} | result._asdict() for label, result in results.items()]


def labels_of(records: list[Record]) -> list[str]:
    """What was measured, ours first."""
    labels = dict.fromkeys(record["name"] for record in records if record["name"] != "constant")
    return [*OURS, *(label for label in labels if label not in OURS)]


def summary(scores: Scores, labels: list[str]) -> str:
    """One line for each estimator."""
    header = ["estimator", "runs", "diverged", "worse than the best constant: rows learnt from, rows for judging"]
    rows = []
    for label in labels:
        n_runs = n_diverged = n_wrecked = n_below = 0
        seconds = 0.0
        for name in scores.sets:
            for record, constant in zip(scores.runs(name, label), scores.runs(name, "constant"), strict=True):
                n_runs, seconds = n_runs + 1, seconds + record["seconds"]
                if record["train"] is None:
                    n_diverged += 1
                    continue
                n_wrecked += is_wrecked(record, constant)
                n_below += is_below(record, constant)
        mean = np.mean(list(means(scores, label).values()))
        counts = [str(n_runs), str(n_diverged), f"{n_wrecked}, {n_below}"]
        rows.append([f"`{label}`" if label in OURS else label, *counts, f"{mean:.3f}".lstrip("0"), f"{seconds:.0f}"])
    return markdown([*header, "mean score", "seconds of all"], rows)


def comparison(scores: Scores, labels: list[str]) -> str:
    """How the estimators compare with their peers, and on which sets they lose by how much."""
    n_sets = len(scores.sets)
    lines = []
    for label in OURS:
        ours = means(scores, label)
        if "64" not in label:
            peers = [means(scores, peer) for peer in LINEAR_PEERS]
            best = {name: max(of_peer[name] for of_peer in peers) for name in ours}
            short = below(ours, best, _GAP)
            lines.append(
                f"`{label}` is more than {_GAP} below the best linear peer on {len(short)} of {n_sets}{listed(short)}"
            )
            continue
        for peer in (peer for peer in labels if peer.startswith("MLP*")):
            short = below(ours, means(scores, peer))
            lines.append(f"`{label}` is below {peer} on {len(short)} of {n_sets}{listed(short)}")
        trees = means(scores, "HistGradientBoosting")
        ratios = {name: score / trees[name] for name, score in ours.items() if trees[name] > 0}
        far = sorted((ratio, name) for name, ratio in ratios.items() if ratio < _NEAR)
        worst = ", ".join(f"{name} {ratio:.2f}" for ratio, name in far)
        lines.append(
            f"`{label}` scores {np.median(list(ratios.values())):.3f} of HistGradientBoosting, the median, and less "
            f"than {_NEAR} on {len(far)} of {n_sets}: {worst}"
        )
    return "\n".join(f"- {line}." for line in lines)


def means(scores: Scores, label: str) -> dict[str, float]:
    """The score on each set."""
    return {name: max(scores.mean(name, label), 0.0) for name in scores.sets}


def below(ours: dict[str, float], others: dict[str, float], gap: float = 0.0) -> dict[str, float]:
    """By how much scores are below others, where by more than a gap, the largest first."""
    short = {name: others[name] - score for name, score in ours.items() if others[name] - score > gap}
    return dict(sorted(short.items(), key=lambda item: -item[1]))


def listed(gaps: dict[str, float]) -> str:
    return ": " + ", ".join(f"{name} {gap:.3f}" for name, gap in gaps.items()) if gaps else ""


def set_table(scores: Scores, labels: list[str]) -> str:
    """The score of each on each set."""
    rows = []
    for name in scores.sets:
        found = [scores.mean(name, label) for label in labels]
        rows.append([name, *(f"{score:.3f}" if score > -10 else "-" for score in found)])
    return markdown(["set", *labels], rows)


if __name__ == "__main__":
    main()
