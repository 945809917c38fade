"""Which alpha do small tables of classes want, of linear models and of networks?

python -m bench.studies.small_classes [--hidden 64] [--tables 60]

Some of the tables of `small_tables.py`, drawn from `default_rng(0)`: a column of two to five values, each in ten rows
or more, is the target, of all other columns of numbers. Accuracy and log loss of `GDClassifier` by stratified folds,
with alpha = c / n, of networks at least .001, by its default, and of LogisticRegression or MLPClassifier behind a
StandardScaler; and on how many tables each is better or worse than the default by .01.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.readme import markdown
from bench.studies.small_tables import tables
from fastgd.sklearn import GDClassifier

_MOST_ROWS, _FEWEST_COLUMNS, _MOST_CLASSES, _FEWEST_OF_CLASS, _GAP = 1500, 5, 5, 10, 0.01
_FACTORS = (0.1, 0.3, 1, 2, 3, 10)


def problems(n_tables: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and targets."""
    found = []
    for numbers in tables():
        if len(numbers) > _MOST_ROWS or numbers.shape[1] < _FEWEST_COLUMNS:
            continue
        for name in numbers:
            counts = numbers[name].value_counts()
            if 2 <= len(counts) <= _MOST_CLASSES and counts.min() >= _FEWEST_OF_CLASS:
                found.append((numbers.drop(columns=[name]).to_numpy(), pd.factorize(numbers[name])[0]))
                break
    order = np.random.default_rng(0).permutation(len(found))[:n_tables]
    return [found[index] for index in order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", nargs="+", type=int, default=[], help="sizes of hidden layers")
    parser.add_argument("--tables", type=int, default=60)
    options = parser.parse_args()
    hidden, folds = tuple(options.hidden), StratifiedKFold(3, shuffle=True, random_state=0)
    peer = MLPClassifier(hidden, random_state=0) if hidden else LogisticRegression(max_iter=1000)
    scores: dict[str, list[tuple[float, float]]] = {}
    for X, y in problems(options.tables):
        n_rows = len(X) * 2 // 3
        tried = {"default": GDClassifier(hidden, random_state=0)}
        for factor in _FACTORS:
            alpha = max(factor / n_rows, 1e-3 if hidden else 0.0)
            tried[f"{factor:g} / n"] = GDClassifier(hidden, alpha=alpha, random_state=0)
        tried[f"{type(peer).__name__}, scaled"] = make_pipeline(StandardScaler(), peer)
        for name, estimator in tried.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = cross_validate(estimator, X, y, cv=folds, scoring=("accuracy", "neg_log_loss"))
            scores.setdefault(name, []).append((found["test_accuracy"].mean(), -found["test_neg_log_loss"].mean()))
    default, rows = np.array(scores["default"]), []
    for name, found in scores.items():
        gain = (np.array(found) - default) * [1, -1]
        counts = [f"{(gain > _GAP).sum(axis=0)[k]}, {(gain < -_GAP).sum(axis=0)[k]}" for k in (0, 1)]
        rows.append([name, *(f"{mean:.4f}" for mean in np.mean(found, axis=0)), *counts])
    print(f"{len(default)} tables\n")
    print(markdown(["alpha", "accuracy", "log loss", "accuracy better, worse", "log loss better, worse"], rows))


if __name__ == "__main__":
    main()
