"""Would AdamW, a cosine, averaging or schedule-free steps do better for networks than what "auto" is?

python -m bench.studies.network_optimizers [--sets iris wine] [--rows 4000] [--folds 0 1]

`GDRegressor((64,))` and `GDClassifier((64,))` on the sets and folds of `estimators.py`, in batches of 32. All have as
many epochs as these take by default, until they have converged. A setting wins a set where its score is higher than
that of "auto", and loses it where it is lower, by more than .001.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import fastgd as gd
from bench.readme import markdown
from bench.studies import quality_sets
from bench.studies.estimators import MOST_ROWS, splits
from bench.studies.quality_models import Split
from bench.studies.quality_peers import fit_sklearn
from bench.studies.schedule_free import ScheduleFree
from bench.studies.schedule_free import score_of as schedule_free_score_of
from fastgd.schedules import CosineWarmRestarts, OneCycle
from fastgd.sklearn import GDClassifier, GDRegressor

_BATCH_SIZE, _EQUAL = 32, 1e-3
# What Defazio et al. and others have found for AdamW where rates fall.
_BETAS = (0.9, 0.95)


def _adamw(rate: Any, betas: tuple[float, float] = _BETAS) -> dict[str, Any]:
    return {"solver": gd.AdamW(rate, betas=betas)}


#: Parameters of the estimators, by the numbers of updates and rows of a fit.
SETTINGS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "auto": lambda updates, rows: {},
    "auto, mean of the last half": lambda updates, rows: {"average": rows // 2},
    "auto, mean of the last tenth": lambda updates, rows: {"average": rows - rows // 10},
    "AdamW(.001)": lambda updates, rows: _adamw(1e-3, (0.9, 0.999)),
    "AdamW(.001), β₂ .95": lambda updates, rows: _adamw(1e-3),
    'AdamW("auto"), β₂ .95': lambda updates, rows: _adamw("auto"),
    "AdamW, cosine from .003, β₂ .95": lambda updates, rows: _adamw(CosineWarmRestarts(3e-3, updates)),
    "AdamW, one cycle to .01, β₂ .95": lambda updates, rows: _adamw(OneCycle(1e-2, updates)),
    "AdamW(.003), β₂ .95, mean of the last half": lambda updates, rows: _adamw(3e-3) | {"average": rows // 2},
}
SCHEDULE_FREE = {
    "schedule-free AdamW(.0025), β₂ .999": ScheduleFree(0.0025, 0.999),
    "schedule-free AdamW(.01), β₂ .95": ScheduleFree(0.01, 0.95),
    "schedule-free SGD(.1)": ScheduleFree(0.1, None),
    "schedule-free SGD(.5)": ScheduleFree(0.5, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=quality_sets.NAMES, default=quality_sets.NAMES, metavar="SET")
    parser.add_argument("--rows", type=int, default=MOST_ROWS)
    parser.add_argument("--folds", nargs="+", type=int, default=[0, 1])
    options = parser.parse_args()
    scores: dict[str, dict[str, float]] = {label: {} for label in (*SETTINGS, *SCHEDULE_FREE)}
    for name in options.sets:
        folds = [split for fold, split in splits(name, options.rows) if fold in options.folds]
        found = {label: [] for label in scores}
        for split in folds:
            n_epochs = epochs_of(split)
            for label in SETTINGS:
                found[label].append(score_of(split, label, n_epochs))
            for label, optimizer in SCHEDULE_FREE.items():
                score = schedule_free_score_of(split, optimizer, n_epochs, _BATCH_SIZE)
                found[label].append(-1.0 if score is None else score)
        for label, of_folds in found.items():
            scores[label][name] = max(float(np.mean(of_folds)), 0.0)
        print(name, *(f"{scores[label][name]:.3f}" for label in scores), file=sys.stderr, flush=True)
    print(table(scores))


def _estimator(split: Split, **parameters: Any) -> GDClassifier | GDRegressor:
    kind = GDClassifier if split.is_classes else GDRegressor
    return kind((64,), random_state=0, batch_size=_BATCH_SIZE, **parameters)


def epochs_of(split: Split) -> int:
    """As many as the default takes."""
    estimator = _estimator(split)
    fit_sklearn(split, estimator, is_scaled=False)
    return estimator.n_iter_


def score_of(split: Split, label: str, n_epochs: int) -> float:
    """R² or accuracy on the rows for judging; -1 where training diverged."""
    n_rows = len(split.X_train)
    parameters = SETTINGS[label](-(-n_rows // _BATCH_SIZE) * n_epochs, n_rows * n_epochs)
    estimator = _estimator(split, max_iter=n_epochs, tol=None, **parameters)
    try:
        found = fit_sklearn(split, estimator, is_scaled=False).test
    except gd.DivergenceError:
        return -1.0
    return -1.0 if found is None else found


def table(scores: dict[str, dict[str, float]]) -> str:
    usual = scores["auto"]
    rows = []
    for label, of_sets in scores.items():
        gains = np.array([of_sets[name] - usual[name] for name in usual])
        won, lost = (gains > _EQUAL).sum(), (gains < -_EQUAL).sum()
        rows.append([label, f"{np.mean(list(of_sets.values())):.4f}", str(won), str(lost)])
    return markdown([f"{len(usual)} sets", "mean score", "won against auto", "lost"], rows)


if __name__ == "__main__":
    main()
