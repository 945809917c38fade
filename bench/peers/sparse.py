"""Linear classification of sparse rows: an epoch of GDClassifier beside SGDClassifier and others.

Two sets of float32 rows in CSR format: columns drawn evenly from 2^20, and from 47 236 by Zipf's law, as words of a
text are, as in RCV1. First, without an intercept or a penalty, an epoch of solver="sgd" must come to SGDClassifier's
weights. Then all are timed by turns on one thread: whole calls of `fit`, with all that they check and learn beforehand.
Vowpal Wabbit, cyanure and Snap ML are among them where they are installed.
"""

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.svm import LinearSVC

from bench.readme import machine_line, markdown
from fastgd.optimizers import Adagrad
from fastgd.sklearn import GDClassifier

MARKERS = "sparse"
METHOD = (
    "Processor time of a whole `fit` for each entry, the best of several by turns in one process, and SGDClassifier's "
    "divided by it, above 1 where it takes less; in brackets the mean log loss on the rows afterwards, or their "
    "accuracy where there are no probabilities. One epoch, but for LIBLINEAR's second line; of cyanure two, which "
    'first learns nothing. SGDClassifier and solver="sgd" take steps of the same rate. Vowpal Wabbit\'s rows were '
    "parsed beforehand."
)
# What takes longer is fitted once, and peers that take many times longer learn from some of the rows alone.
_LONG, _ROWS_OF_SLOW = 5.0, 200_000
_RATE, _ALPHA = 0.1, 1e-6
# Vowpal Wabbit takes milliseconds to parse a row.
_VW_ROWS = 2000


class Rows(NamedTuple):
    """A data set: X, CSR, and y, 0 or 1."""

    X: Any
    y: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the first set; the second has four fifths")
    parser.add_argument("--repeats", type=int, default=5, help="fits by turns, of which the best counts")


def report(options: argparse.Namespace) -> str:
    sets = {
        "2^20 columns evenly, 50 a row": even_rows(options.rows),
        "47 236 columns by Zipf's law, 75 a row": zipf_rows(options.rows * 4 // 5),
    }
    with warnings.catch_warnings():
        # An epoch is never enough.
        warnings.simplefilter("ignore")
        differences = [require_equal(rows) for rows in sets.values()]
        found = [cells(rows, options.repeats) for rows in sets.values()]
    body = [[name, *(column[name] for column in found)] for name in found[0]]
    equal = ", ".join(f"{difference:.0e}" for difference in differences)
    n_rows = " and ".join(f"{len(rows.y):,}" for rows in sets.values())
    line = (
        f"{n_rows} rows, the slower peers the first {_ROWS_OF_SLOW:,}; largest difference of SGD's weights, in the "
        f"largest weight: {equal}."
    )
    return f"{machine_line()}\n{METHOD}\n{line}\n\n{markdown(['ns an entry', *sets], body)}"


def even_rows(n_rows: int) -> Rows:
    """Fifty columns a row, drawn evenly."""
    rng = np.random.default_rng(0)
    return _rows(rng, rng.integers(0, 1 << 20, n_rows * 50, dtype=np.int32), n_rows, 1 << 20)


def zipf_rows(n_rows: int) -> Rows:
    """About 75 columns a row, the k-th of which comes as often as 1 / k says; none twice in a row."""
    rng, n_columns = np.random.default_rng(0), 47_236
    shares = np.cumsum(1 / np.arange(1, n_columns + 1))
    columns = np.searchsorted(shares / shares[-1], rng.random(n_rows * 98)).clip(max=n_columns - 1)
    return _rows(rng, rng.permutation(n_columns).astype(np.int32)[columns], n_rows, n_columns)


def _rows(rng: np.random.Generator, columns: np.ndarray, n_rows: int, n_columns: int) -> Rows:
    per_row = len(columns) // n_rows
    values = np.abs(rng.standard_normal(len(columns), np.float32)) / np.float32(np.sqrt(per_row))
    offsets = np.arange(0, len(columns) + 1, per_row, dtype=np.int32)
    X = sparse.csr_matrix((values, columns, offsets), (n_rows, n_columns))
    X.sum_duplicates()
    z = X @ rng.standard_normal(n_columns, np.float32) + 0.3 * rng.standard_normal(n_rows)
    return Rows(X, (z > np.median(z)).astype(np.int64))


def learners() -> dict[str, Callable[[], Any]]:
    """Estimators by what the table calls them."""
    steps = {"max_iter": 1, "tol": None, "shuffle": False, "random_state": 0}
    sgd = {"solver": "sgd", "learning_rate_init": _RATE, "alpha": _ALPHA, **steps}
    adagrad = {"solver": Adagrad("auto", bounded=True), "alpha": 0.0, **steps}
    peer = partial(SGDClassifier, loss="log_loss", learning_rate="constant", eta0=_RATE, alpha=_ALPHA, **steps)
    return {
        "SGDClassifier": peer,
        'solver="sgd", batch 1, raw features': partial(GDClassifier, batch_size=1, standardize=False, **sgd),
        'solver="sgd", batch 32, raw features': partial(GDClassifier, standardize=False, **sgd),
        "the default": partial(GDClassifier, **steps),
        "Adagrad without a penalty, batch 1, raw features": partial(
            GDClassifier, batch_size=1, standardize=False, **adagrad
        ),
        "Adagrad without a penalty, raw features": partial(GDClassifier, standardize=False, **adagrad),
        'Adagrad without a penalty, standardize="scale"': partial(GDClassifier, standardize="scale", **adagrad),
    }


def slow_learners() -> dict[str, Callable[[], Any]]:
    """Peers that take many times longer, where they are installed."""
    found = {
        "LIBLINEAR, LinearSVC, one epoch": partial(LinearSVC, loss="hinge", max_iter=1, random_state=0),
        "LIBLINEAR, LogisticRegression, to its end": partial(LogisticRegression, solver="liblinear", random_state=0),
    }
    if importlib.util.find_spec("cyanure"):
        from cyanure.estimators import Classifier

        found["cyanure, miso"] = partial(
            Classifier, "logistic", lambda_1=_ALPHA, solver="miso", max_iter=2, n_threads=1, verbose=False
        )
    if importlib.util.find_spec("snapml"):
        from snapml import LogisticRegression as SnapLogisticRegression

        found["Snap ML, LogisticRegression, one epoch"] = partial(SnapLogisticRegression, max_iter=1, random_state=0)
    return found


def require_equal(rows: Rows) -> float:
    """The largest difference between the weights of fastgd and of SGDClassifier, in the largest weight."""
    same = {"fit_intercept": False, "alpha": 0.0}
    known = learners()
    expected = known["SGDClassifier"](**same).fit(*rows).coef_
    found = known['solver="sgd", batch 1, raw features'](**same).fit(*rows).coef_
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference < 1e-3:
        raise SystemExit(f"an epoch of fastgd and of SGDClassifier differ by {difference:.1e}")
    return difference


def cells(rows: Rows, repeats: int) -> dict[str, str]:
    """A cell for each of the learners."""
    slow = slow_learners()
    known = learners() | slow
    few = Rows(rows.X[:_ROWS_OF_SLOW], rows.y[:_ROWS_OF_SLOW])
    seconds, quality = dict.fromkeys(known, np.inf), {}
    for make in known.values():
        make().fit(rows.X[:1000], rows.y[:1000])
    for _ in range(repeats):
        for name, make in known.items():
            if _LONG < seconds[name] < np.inf:
                continue
            model, given = make(), few if name in slow else rows
            began = time.process_time()
            model.fit(*given)
            seconds[name] = min(seconds[name], time.process_time() - began)
            if name not in quality:
                quality[name] = _quality(model, rows)
    found = {name: seconds[name] / (few if name in slow else rows).X.nnz for name in known}
    text = {
        name: f"{1e9 * of_one:.1f}, {found['SGDClassifier'] / of_one:.2f} x ({quality[name]})"
        for name, of_one in found.items()
    }
    if importlib.util.find_spec("vowpalwabbit"):
        of_one = vowpal_wabbit_seconds(rows, repeats)
        text["Vowpal Wabbit, sgd"] = f"{1e9 * of_one:.1f}, {found['SGDClassifier'] / of_one:.3f} x"
    return text


def _quality(model: Any, rows: Rows) -> str:
    X, y = rows.X[:20_000], rows.y[:20_000]
    if not hasattr(model, "predict_proba"):
        return f"accuracy {model.score(X, y):.3f}"
    p = model.predict_proba(X)[np.arange(len(y)), y]
    return f"{-np.log(np.maximum(p, 1e-300)).mean():.3f}"


def vowpal_wabbit_seconds(rows: Rows, repeats: int) -> float:
    """The time of Vowpal Wabbit's plain updates for an entry, on the first rows."""
    from vowpalwabbit import pyvw

    X, y = rows.X[:_VW_ROWS], rows.y[:_VW_ROWS]
    workspace = pyvw.Workspace(
        f"--quiet --no_stdin --sgd --power_t 0 --learning_rate {_RATE} --loss_function logistic --bit_precision 21"
    )
    examples = []
    for i in range(X.shape[0]):
        entries = slice(X.indptr[i], X.indptr[i + 1])
        features = " ".join(f"{j}:{x:.9g}" for j, x in zip(X.indices[entries], X.data[entries], strict=True))
        examples.append(workspace.parse(f"{2 * y[i] - 1} | {features}"))
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        for example in examples:
            workspace.learn(example)
        best = min(best, time.process_time() - began)
    return best / X.nnz
