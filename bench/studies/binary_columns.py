"""How should columns of zeros and ones be scaled?

python -m bench.studies.binary_columns [--hidden 64] [--least 0.25 0.5 1] [--sets flights murders]

Standardised, a category that few rows have is multiplied by much: one of a hundredth of the rows by ten. R² or accuracy
of the estimators by default, and with columns of zeros and ones divided by no less than so much, on the sets of
`quality_sets.py` that have some, up to 4000 rows of each, in five folds; the mean over the sets is the last line.
"""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from bench.readme import markdown
from bench.studies.quality_sets import NAMES, load
from fastgd.sklearn import GDClassifier, GDRegressor
from fastgd.standardize import Standardize

_MOST_ROWS = 4000


@contextmanager
def least_deviation(is_binary: np.ndarray, least: float) -> Iterator[None]:
    """Inside, Standardize divides these columns by no less."""
    take = Standardize.take

    def taken(layer: Standardize, mean: np.ndarray, deviation: np.ndarray) -> None:
        take(layer, mean, np.where(is_binary & (deviation > 0), np.maximum(deviation, least), deviation))

    with mock.patch.object(Standardize, "take", taken):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", nargs="+", type=int, default=[], help="sizes of hidden layers")
    parser.add_argument("--least", nargs="+", type=float, default=[0.25, 0.5, 1.0], help="what they are divided by")
    parser.add_argument("--sets", nargs="+", default=NAMES, choices=NAMES, metavar="SET")
    options = parser.parse_args()
    rows, scores = [], []
    for name in options.sets:
        X, y, task = load(name)
        if len(X) > _MOST_ROWS:
            chosen = np.random.default_rng(0).permutation(len(X))[:_MOST_ROWS]
            X, y = X[chosen], y[chosen]
        is_binary = np.isin(X, (0, 1)).all(axis=0)
        if not is_binary.any():
            continue
        is_numbers = task == "regression"
        folds = (KFold if is_numbers else StratifiedKFold)(5, shuffle=True, random_state=0)
        estimator = (GDRegressor if is_numbers else GDClassifier)(tuple(options.hidden), random_state=0)
        found = []
        for least in (0.0, *options.least):
            with warnings.catch_warnings(), least_deviation(is_binary, least):
                warnings.simplefilter("ignore")
                found.append(cross_val_score(estimator, X, y, cv=folds).clip(0).mean())
        scores.append(found)
        rows.append([name, f"{is_binary.sum()} of {X.shape[1]}", *(f"{score:.4f}" for score in found)])
        print(" | ".join(rows[-1]), flush=True)
    rows.append(["mean", "", *(f"{score:.4f}" for score in np.mean(scores, axis=0))])
    print(markdown(["set", "columns", "default", *(f"at least {least:g}" for least in options.least)], rows, n_left=2))


if __name__ == "__main__":
    main()
