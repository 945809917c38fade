"""How should columns of two values, such as zeros and ones, be scaled?

python -m bench.studies.binary_columns [--hidden 64] [--least 0 0.5] [--sets flights murders | --small | --coded]

Standardised, a category that few rows have is multiplied by much: one of a hundredth of the rows by ten. R², or
accuracy and log loss, of the estimators by default, which divide such columns by the difference of their values, and
with such columns divided by their deviations, or by no less than so much of it, on the sets of `quality_sets.py` that
have some, up to 4000 rows of each, in five folds; or in four on the tables with words of R's packages in `pydataset`,
up to 2000 rows of each, with a target each that `default_rng(0)` draws among columns of numbers, and among those of up
to six words. The means over all, with scores of no less than zero, and on how many each is better or worse by .005 than
the first, come last. `--coded`: R's tables without words in their place, that have columns of two other numbers.
"""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold

from bench.readme import markdown
from bench.studies.quality_sets import NAMES, load
from bench.studies.small_tables import complete, frames
from fastgd.moments import FeatureMoments, Moments
from fastgd.sklearn import GDClassifier, GDRegressor

_MOST_ROWS, _MOST_OF_SMALL, _FEWEST_OF_SMALL = 4000, 2000, 60
_MOST_WORDS, _MOST_CLASSES, _FEWEST_OF_CLASS, _FEWEST_VALUES = 60, 6, 8, 10
# By so much a score counts as better or worse.
_GAP = 0.005

#: Name, X, y, whether y is numbers, and how many folds.
Problem = tuple[str, np.ndarray, np.ndarray, bool, int]


@contextmanager
def least_deviation(least: float) -> Iterator[None]:
    """Inside, columns of two values are divided by their deviations, and by no less than so much of their width."""

    def result(moments: FeatureMoments) -> tuple[np.ndarray, np.ndarray] | None:
        found = Moments.result(moments)
        if found is None:
            return None
        mean, deviation = found
        return mean, np.where(deviation > 0, np.maximum(deviation, least * moments.two_values.widths()), deviation)

    with mock.patch.object(FeatureMoments, "result", result):
        yield


def of_sets(names: list[str]) -> Iterator[Problem]:
    for name in names:
        X, y, task = load(name)
        if len(X) > _MOST_ROWS:
            chosen = np.random.default_rng(0).permutation(len(X))[:_MOST_ROWS]
            X, y = X[chosen], y[chosen]
        yield name, X, y, task == "regression", 5


def of_small_tables(are_coded: bool) -> Iterator[Problem]:
    rng = np.random.default_rng(0)
    for name, frame in frames():
        frame = complete(frame)
        if len(frame) > _MOST_OF_SMALL:
            frame = frame.iloc[np.random.default_rng(0).permutation(len(frame))[:_MOST_OF_SMALL]]
        is_number = {column: pd.api.types.is_numeric_dtype(frame[column]) for column in frame}
        words = [column for column in frame if not is_number[column] and frame[column].nunique() <= _MOST_WORDS]
        numbers = [column for column in frame if is_number[column]]
        if are_coded:
            words = [column for column in numbers if _are_two(frame[column])]
            numbers = [column for column in numbers if column not in words]
        frame = frame[words + numbers]
        if len(frame) < _FEWEST_OF_SMALL or not words or frame.shape[1] < 3:
            continue
        measured = [column for column in numbers if frame[column].nunique() > _FEWEST_VALUES]
        classes = [column for column in words if _are_classes(frame[column])]
        for candidates, is_numbers in ((measured, True), (classes, False)):
            if candidates:
                target = rng.choice(candidates)
                y = frame[target] if is_numbers else frame[target].astype(str)
                X = pd.get_dummies(frame.drop(columns=[target]), dtype=np.float64).to_numpy(np.float64)
                yield f"{name}: {target}", X, y.to_numpy(), is_numbers, 4


def _are_two(values: pd.Series) -> bool:
    return values.nunique() == 2 and not values.isin((0, 1)).all()


def _are_classes(words: pd.Series) -> bool:
    counts = words.value_counts()
    return 2 <= len(counts) <= _MOST_CLASSES and counts.min() >= _FEWEST_OF_CLASS


def scores(problem: Problem, hidden: tuple[int, ...]) -> tuple[float, float]:
    """R² of all rows, or accuracy and, less than zero, the log loss."""
    _, X, y, is_numbers, n_folds = problem
    folds = (KFold if is_numbers else StratifiedKFold)(n_folds, shuffle=True, random_state=0)
    estimator = (GDRegressor if is_numbers else GDClassifier)(hidden, random_state=0)
    predicted, found = np.zeros(len(y)), []
    for train, test in folds.split(X, y):
        estimator.fit(X[train], y[train])
        if is_numbers:
            predicted[test] = estimator.predict(X[test])
        else:
            log_likelihood = -log_loss(y[test], estimator.predict_proba(X[test]), labels=estimator.classes_)
            found.append((estimator.score(X[test], y[test]), log_likelihood))
    if is_numbers:
        return max(1 - ((predicted - y) ** 2).mean() / y.var(), 0.0), np.nan
    accuracy, log_likelihood = np.mean(found, axis=0)
    return float(accuracy), float(log_likelihood)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", nargs="+", type=int, default=[], help="sizes of hidden layers")
    parser.add_argument("--least", nargs="+", type=float, default=[0.0, 0.5], help="what they are divided by")
    parser.add_argument("--sets", nargs="+", default=NAMES, choices=NAMES, metavar="SET")
    parser.add_argument("--small", action="store_true", help="R's tables with words in place of the sets")
    parser.add_argument("--coded", action="store_true", help="those with columns of two numbers that are not 0 and 1")
    options = parser.parse_args()
    all_scores = []
    for problem in of_small_tables(options.coded) if options.small or options.coded else of_sets(options.sets):
        name, X = problem[:2]
        n_binary = sum(len(np.unique(column)) == 2 for column in X.T)
        if not n_binary:
            continue
        found = []
        for least in (1.0, *options.least):
            with warnings.catch_warnings(), least_deviation(least):
                warnings.simplefilter("ignore")
                found.append(scores(problem, tuple(options.hidden)))
        all_scores.append(found)
        print(f"{name}, {n_binary} of {X.shape[1]}:", *(f"{score:.4f}" for score, _ in found), flush=True)
    table = np.array(all_scores)
    is_class = ~np.isnan(table[:, 0, 1])
    kinds = {"R²": table[~is_class, :, 0], "accuracy": table[is_class, :, 0], "log loss": table[is_class, :, 1]}
    rows = []
    for kind, of_kind in kinds.items():
        for k, least in enumerate((1.0, *options.least)):
            gain = of_kind[:, k] - of_kind[:, 0]
            counts = f"{(gain > _GAP).sum()}, {(gain < -_GAP).sum()} of {len(gain)}"
            rows.append([kind, f"{least:g}", f"{np.abs(of_kind[:, k].mean()):.4f}", counts])
    print(markdown(["", "divided by no less than so much of it", "mean", "better, worse"], rows, n_left=1))


if __name__ == "__main__":
    main()
