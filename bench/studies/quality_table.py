"""The table of how good models are on real tables, which are downloaded."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import sklearn

import fastgd as gd
from bench.readme import markdown
from bench.studies import estimators, quality_sets
from bench.studies.quality import (
    BATCH_SIZES,
    LINEAR_GAP,
    NETWORK_GAP,
    REFERENCE,
    SEEDS,
    Kept,
    Record,
    Scores,
    Tally,
    is_below,
    is_wrecked,
    measure,
    tally,
)
from bench.studies.quality_models import GRID, MODELS, SETTINGS
from bench.studies.quality_peers import PEERS, Peer

MARKERS = "quality"
#: The lines of fastgd: all are given raw features and raw targets.
LINES = {
    '`SGD("auto")`': SETTINGS["SGD auto"]._replace(targets="by trainer"),
    "`NormalizedSGD()`": SETTINGS["NormalizedSGD"]._replace(targets="by trainer"),
    "the default": SETTINGS["default"],
}
_DEFAULT, _TREES, _SLOW_SIZES = "the default", "HistGradientBoosting", PEERS["MLP*"].batch_sizes
_RECOMMENDED_SIZE = 32
# Baselines that no line shows.
_WITHOUT = ("SGD*", "MLP*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(markers=MARKERS)
    parser.add_argument("--json", type=Path, help="where to write every score, after each set")
    what = "only the second table, of estimators as a user makes them"
    parser.add_argument("--estimators", dest="markers", action="store_const", const=estimators.MARKERS, help=what)
    estimators.add_arguments(parser)


def report(options: argparse.Namespace) -> str:
    """Both tables, or that of the estimators alone."""
    of_estimators = estimators.report(options)
    if options.markers == estimators.MARKERS:
        return of_estimators
    inner = f"<!-- {estimators.MARKERS} -->\n{of_estimators}\n<!-- /{estimators.MARKERS} -->"
    return f"{of_trainer(options)}\n\n{inner}"


def of_trainer(options: argparse.Namespace) -> str:
    """The table of all sets, with what is to know about it."""
    peers = {label: peer for label, peer in PEERS.items() if peer.version}
    kept, records = Kept(quality_sets.cache_folder() / "baselines.json"), []
    for name in quality_sets.NAMES:
        records += measure(name, SEEDS, LINES, kept, _WITHOUT, peers)
        print(name, file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(records), encoding="utf-8")
    return table(records, peers)


def table(records: list[Record], peers: dict[str, Peer]) -> str:
    scores = Scores(records)
    found = {label: tally(scores, label) for label in [*LINES, *peers]}
    of_numbers, of_classes, of_networks = (f"{gap:g}".removeprefix("0") for gap in (*LINEAR_GAP.values(), NETWORK_GAP))
    header = [
        f"{len(SEEDS)} seeds",
        "runs",
        "diverged",
        "worse than the best constant: rows learnt from, rows for judging",
        f"linear: more than {of_numbers} R² or {of_classes} accuracy below Ridge or LogisticRegression",
        f"hidden layer of {MODELS['network'][0]}: more than {of_networks} below the best of {len(GRID)} constant rates",
        "mean score, linear and hidden",
    ]
    rows = [[label, *cells(of_label)] for label, of_label in found.items()]
    rows += [[label, *cells_of_baseline(scores, label)] for label in (REFERENCE, _TREES)]
    return "\n\n".join([method(scores, peers), markdown(header, rows), comparison(scores)])


def cells(found: Tally) -> list[str]:
    short = [f"{found.n_short(model)} of {len(gaps)}" if gaps else "" for model, gaps in found.gaps.items()]
    means = ", ".join(three(found.mean(model)) if of_model else "–" for model, of_model in found.scores.items())
    worse = f"{found.n_wrecked}, {found.n_below}"
    return [str(found.n_runs), str(found.n_diverged), worse, *short, means]


def cells_of_baseline(scores: Scores, label: str) -> list[str]:
    """Of one that is fitted once a seed."""
    pairs = [
        pair
        for name in scores.sets
        for pair in zip(scores.runs(name, label), scores.runs(name, "constant"), strict=True)
    ]
    worse = ", ".join(str(sum(is_worse(*pair) for pair in pairs)) for is_worse in (is_wrecked, is_below))
    mean = three(float(np.mean([max(scores.mean(name, label), 0.0) for name in scores.sets])))
    return [str(len(pairs)), "0", worse, "", "", f"{mean}, –" if label == REFERENCE else mean]


def three(score: float) -> str:
    """Three decimals and no zero before them."""
    return f"{score:.3f}".removeprefix("0")


def listed(parts: Iterable[object]) -> str:
    *first, last = map(str, parts)
    return f"{', '.join(first)} and {last}"


def method(scores: Scores, peers: dict[str, Peer]) -> str:
    versions = {"fastgd": gd.__version__, "scikit-learn": sklearn.__version__}
    versions |= {peer.distribution: peer.version for peer in peers.values()}
    absent = ", ".join(label for label in PEERS if label not in peers)
    line = "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
    return (
        f"{line}{f' Not installed: {absent}.' if absent else ''}\n"
        f"{len(scores.sets)} tables, 10 to 100 epochs, no rate chosen. fastgd is given raw features and raw targets, "
        f"in batches of {listed(BATCH_SIZES)} rows, and has a Standardize layer and, for numbers, "
        '`standardize_targets=True`; the default is `optimizer="auto"`, with `alpha=1e-3` for networks. The others are '
        "at their own defaults, on standardised features: SGD* takes single rows and as many epochs as it likes; MLP* "
        f"and PyTorch have fastgd's epochs and, as they are slow, batches of {listed(_SLOW_SIZES)} rows only. "
        f"{_TREES}, on raw features, shows how far there is to go. Worse than the constant is, on the rows "
        "learnt from, a larger loss, of SGDClassifier a lower accuracy, and on those for judging a lower score; "
        "shortfalls are of means over the seeds; scores below zero count as zero."
    )


def comparison(scores: Scores) -> str:
    """The default where lines of fewer runs can be compared with it, and the sets where trees are better."""
    some = tally(scores, _DEFAULT, _SLOW_SIZES)
    n_better = sum(
        scores.mean(name, _TREES) > max(scores.mean(name, _DEFAULT, model, _RECOMMENDED_SIZE) for model in MODELS)
        for name in scores.sets
    )
    means = listed(three(some.mean(model)) for model in MODELS)
    return (
        f"In batches of {listed(_SLOW_SIZES)} rows alone the default's means are {means}. On {n_better} of the "
        f"{len(scores.sets)} tables the trees are better than both of its models with batches of {_RECOMMENDED_SIZE}."
    )
