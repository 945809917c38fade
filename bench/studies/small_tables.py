"""Which alpha do small tables of numbers want, with many features for their rows?

python -m bench.studies.small_tables [--hidden 64] [--folds 4] [--targets 2] [--least-width 0.02] [--rows 8]

Every table of R's packages in `pydataset` with 30 to 1500 rows and at least so many features to a row: its columns of
numbers, but for row numbers and those with missing values in a fifth of the rows; up to two of them, drawn from
`default_rng(0)` among those of more than ten values, are a target each, of all the others. Many say little of one
another: a model should then be no worse than the mean. R² of `GDRegressor` with the usual alpha, by its default, and by
the rule that is the default for classes; and of Ridge(1) and RidgeCV, or of MLPRegressor, behind a StandardScaler; by
shuffled folds, all rows of a table together. With `--rows`, a model learns from so many of the rows alone.
"""

import argparse
import tarfile
import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.readme import markdown
from bench.studies.quality_sets import archive_of
from fastgd.losses import as_loss
from fastgd.recommended import usual_alpha
from fastgd.sklearn import GDRegressor

_FEWEST_ROWS, _MOST_ROWS, _FEWEST_COLUMNS, _FEWEST_VALUES, _MOST_MISSING = 30, 1500, 5, 10, 0.2
_ROW_NUMBERS = {"unnamed: 0", "rownames", "id", "obs", "x"}
# By so much R² counts as better or worse.
_GAP = 0.02
_WIDTHS = (0, 0.1, 0.2, 0.5, np.inf)


def frames() -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and contents of each table that pandas can read, in the order of their names."""
    with tarfile.open(archive_of("pydataset")) as outer:
        (resources,) = (name for name in outer.getnames() if name.endswith("resources.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(resources)) as inner:
            for name in sorted(name for name in inner.getnames() if name.endswith(".csv")):
                try:
                    frame = pd.read_csv(inner.extractfile(name), low_memory=False, encoding_errors="replace")
                except pd.errors.ParserError:
                    continue
                yield name.rpartition("/")[2].removesuffix(".csv"), frame


def tables() -> Iterator[pd.DataFrame]:
    """The numbers of each."""
    for _, frame in frames():
        yield complete(frame.select_dtypes("number").astype(np.float64))


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that vary, but for row numbers and what a fifth of the rows lack; and the rows that have them all."""
    frame = frame[[column for column in frame if str(column).lower() not in _ROW_NUMBERS]]
    frame = frame.loc[:, frame.isna().mean() < _MOST_MISSING].dropna()
    return frame.loc[:, frame.nunique() > 1]


def problems(n_targets: int, least_width: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features and targets."""
    for numbers in tables():
        n_rows, n_columns = numbers.shape
        is_small = _FEWEST_ROWS <= n_rows <= _MOST_ROWS and n_columns >= _FEWEST_COLUMNS
        if not (is_small and n_columns - 1 >= least_width * n_rows):
            continue
        measured = [name for name in numbers if numbers[name].nunique() > _FEWEST_VALUES]
        n_chosen = min(n_targets, len(measured))
        for name in np.random.default_rng(0).choice(measured, n_chosen, replace=False) if n_chosen else ():
            yield numbers.drop(columns=[name]).to_numpy(), numbers[name].to_numpy()


def estimators(hidden: tuple[int, ...], n_rows: int, n_features: int) -> dict[str, BaseEstimator]:
    usual = usual_alpha(n_rows, as_loss("half_squared_error"), bool(hidden))
    by_width = max(usual, 0.05 * min(n_features / n_rows, 1.0) ** 2)
    found: dict[str, BaseEstimator] = {
        "usual alpha": GDRegressor(hidden, alpha=usual, random_state=0),
        "default": GDRegressor(hidden, random_state=0),
        "by width alone": GDRegressor(hidden, alpha=by_width, random_state=0),
    }
    peers = (
        {"MLPRegressor": MLPRegressor(hidden_layer_sizes=hidden, random_state=0)}
        if hidden
        else {"Ridge": Ridge(), "RidgeCV": RidgeCV()}
    )
    return found | {f"{name}, scaled": make_pipeline(StandardScaler(), peer) for name, peer in peers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", nargs="+", type=int, default=[], help="sizes of hidden layers")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--targets", type=int, default=2, help="the most of each table")
    parser.add_argument("--least-width", type=float, default=0.02, help="the fewest features to a row")
    parser.add_argument("--rows", type=int, help="the most that a model learns from")
    options = parser.parse_args()
    folds = KFold(options.folds, shuffle=True, random_state=0)
    scores: dict[str, list[float]] = {}
    widths = []
    for X, y in problems(options.targets, options.least_width):
        splits = [
            (np.random.default_rng(0).permutation(learnt)[: options.rows], rest) for learnt, rest in folds.split(X)
        ]
        n_rows = len(splits[0][0])
        widths.append(X.shape[1] / n_rows)
        for name, estimator in estimators(tuple(options.hidden), n_rows, X.shape[1]).items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                predicted = cross_val_predict(clone(estimator), X, y, cv=splits)
            scores.setdefault(name, []).append(1 - ((predicted - y) ** 2).mean() / y.var())
    for low, high in [*pairwise(_WIDTHS), (_WIDTHS[0], _WIDTHS[-1])]:
        chosen = (np.array(widths) >= low) & (np.array(widths) < high)
        if chosen.any():
            print(
                f"{low:g} to {high:g} features a row, {chosen.sum()} targets\n\n{_table(scores, chosen)}\n", flush=True
            )


def _table(scores: dict[str, list[float]], chosen: np.ndarray) -> str:
    usual = np.array(scores["usual alpha"])[chosen].clip(0, 1)
    rows = []
    for name, all_scores in scores.items():
        found = np.array(all_scores)[chosen]
        gain = found.clip(0, 1) - usual
        means = [f"{found.clip(least, 1).mean():.3f}" for least in (-1, 0)]
        rows.append([name, *means, *(f"{count.sum()}" for count in (found < 0, gain > _GAP, gain < -_GAP))])
    header = ["", "mean R², at least -1", "at least 0", "worse than the mean", "better than usual alpha", "worse"]
    return markdown(header, rows)


if __name__ == "__main__":
    main()
