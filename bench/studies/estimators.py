"""The estimators at their defaults on real tables, raw, beside scikit-learn's.

python -m bench.studies.estimators [--sets iris wine] [--seeds 0]

The sets, splits and judgement are those of `quality.py`, and so are what the peers are and where their results are
kept. Of the linear estimators it says how often they are more than .01 below the best of SGD*, Ridge and
LogisticRegression; of the networks, on how many sets they beat MLP*, and how near they come to HistGradientBoosting.
Scores are R² or accuracies on the rows for judging, means over the seeds; in the mean over all sets, those below zero
count as zero.
"""

import argparse
import sys
from functools import partial

import numpy as np

from bench.readme import markdown
from bench.studies import quality_sets
from bench.studies.quality import SEEDS, Kept, Record, Scores, is_below, is_wrecked, split_of
from bench.studies.quality_models import Split
from bench.studies.quality_peers import baselines, fit_sklearn
from fastgd.sklearn import GDClassifier, GDRegressor

OURS = {
    "GD*": {},
    "GD*, early stopping": {"early_stopping": True},
    "GD*(64)": {"hidden_layer_sizes": (64,)},
    "GD*(64), early stopping": {"hidden_layer_sizes": (64,), "early_stopping": True},
}
LINEAR_PEERS = ("SGD*", "SGD*, scaled", "Ridge / LogisticRegression")
_GAP = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=quality_sets.NAMES, default=quality_sets.NAMES, metavar="SET")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--without", nargs="+", default=[], help="peers not to fit: those whose names hold these")
    options = parser.parse_args()
    kept = Kept(quality_sets.cache_folder() / "baselines.json")
    records: list[Record] = []
    for name in options.sets:
        records += measured(name, options.seeds, kept, options.without)
        print(name, file=sys.stderr, flush=True)
    scores = Scores(records)
    labels = list(dict.fromkeys(record["name"] for record in records if record["name"] != "constant"))
    labels = [*OURS, *(label for label in labels if label not in OURS)]
    print(summary(scores, labels), comparison(scores, labels), set_table(scores, labels), sep="\n\n")


def measured(name: str, seeds: list[int], kept: Kept, without: list[str]) -> list[Record]:
    """Every result on one set; `without` as for the command line."""
    X, y, task = quality_sets.load(name)
    records = []
    for seed in seeds:
        split = split_of(X, y, task, seed)
        results = {
            label: kept.get([name, X.shape, seed, label], partial(fit, split, seed))
            for label, fit in baselines(split.is_classes).items()
            if not any(part in label for part in without)
        }
        results |= {label: fit_sklearn(split, estimator(split, seed, label), False) for label in OURS}
        for label, result in results.items():
            about = {"set": name, "task": task, "name": label, "model": None, "seed": seed, "batch_size": None}
            records.append(about | result._asdict())
    kept.save()
    return records


def estimator(split: Split, seed: int, label: str) -> GDClassifier | GDRegressor:
    kind = GDClassifier if split.is_classes else GDRegressor
    return kind(**OURS[label], random_state=seed)


def summary(scores: Scores, labels: list[str]) -> str:
    """One line for each estimator."""
    header = ["estimator", "runs", "diverged", "worse than the constant: learnt", "judged", "mean score", "seconds"]
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
        mean = np.mean([max(scores.mean(name, label), 0) for name in scores.sets])
        rows.append([label, *map(str, (n_runs, n_diverged, n_wrecked, n_below)), f"{mean:.4f}", f"{seconds:.0f}"])
    return markdown(header, rows)


def comparison(scores: Scores, labels: list[str]) -> str:
    """How the estimators compare with their peers, set by set."""
    n_sets = len(scores.sets)
    lines = []
    for label in OURS:
        ours = {name: scores.mean(name, label) for name in scores.sets}
        if "64" not in label:
            short = {
                name: max(scores.mean(name, peer) for peer in LINEAR_PEERS) - score for name, score in ours.items()
            }
            worst = [
                f"{name} {gap:.3f}" for name, gap in sorted(short.items(), key=lambda item: -item[1]) if gap > _GAP
            ]
            lines.append(f"{label}: {len(worst)} of {n_sets} sets below the best linear peer ({', '.join(worst)})")
            continue
        for peer in (peer for peer in labels if peer.startswith("MLP*")):
            n_won = sum(score >= scores.mean(name, peer) for name, score in ours.items())
            lines.append(f"{label}: {n_won} of {n_sets} sets no worse than {peer}")
        ratios = [score / scores.mean(name, "HistGradientBoosting") for name, score in ours.items()]
        lines.append(f"{label}: {np.median(ratios):.3f} of HistGradientBoosting's score, the median over the sets")
    return "\n".join(lines)


def set_table(scores: Scores, labels: list[str]) -> str:
    """The score of each on each set."""
    rows = []
    for name in scores.sets:
        found = [scores.mean(name, label) for label in labels]
        rows.append([name, *(f"{score:.3f}" if score > -10 else "-" for score in found)])
    return markdown(["set", *labels], rows)


if __name__ == "__main__":
    main()
