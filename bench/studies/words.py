"""How well do sparse rows of words and categories learn by default?

python -m bench.studies.words [--rows 6000]

Titles of films in `pydataset` by their words, counted, weighted (tf-idf) or hashed, and with numbers beside them, say
whether a film is a comedy, and how it is rated; cars by their numbers and the names of their models, one column each,
how far they go or what they cost. Accuracy and log loss, or R², on a quarter of the rows, of the estimators by
default, with SGD for all of them, and divided by deviations without a penalty; of LogisticRegression or Ridge on the
rows as they are, and behind a MaxAbsScaler.
"""

import argparse
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder

from bench.readme import markdown
from bench.studies.quality_sets import read
from fastgd._engine import sparse_checks
from fastgd.optimizers import Adagrad
from fastgd.sklearn import GDClassifier, GDRegressor

_R = "resources.tar.gz!rdata/csv/"


def problems(n_rows: int) -> Iterator[tuple[str, Any, np.ndarray]]:
    """A name, sparse rows, and classes or numbers."""
    films = read("pydataset", _R + "ggplot2/movies.csv").sample(n_rows, random_state=0)
    titles = films["title"].astype(str)
    words = {
        "counted": CountVectorizer().fit_transform(titles),
        "weighted": TfidfVectorizer().fit_transform(titles),
        "hashed": HashingVectorizer(n_features=1 << 16).transform(titles),
        "counted, and numbers": sparse.hstack(
            [
                sparse.csr_matrix(films[["year", "length", "votes"]].to_numpy(float)),
                CountVectorizer().fit_transform(titles),
            ]
        ).tocsr(),
    }
    for name, X in words.items():
        yield f"titles {name}: comedy", X, np.where(films["Comedy"], "yes", "no")
        yield f"titles {name}: rating", X, films["rating"].to_numpy(float)
    cars = {"auto: mpg": read("ISLP", "data/Auto.csv"), "cars: price": read("pydataset", _R + "MASS/Cars93.csv")}
    for (name, frame), target in zip(cars.items(), ("mpg", "Price"), strict=True):
        y = frame.pop(target).to_numpy(float)
        frame = frame.drop(columns=[c for c in frame if str(c).startswith(("Unnamed", "Min.P", "Max.P"))])
        frame = frame.loc[:, frame.notna().all()]
        numbers = sparse.csr_matrix(frame.select_dtypes("number").to_numpy(float))
        names = OneHotEncoder().fit_transform(frame.select_dtypes(exclude="number").astype(str))
        yield name, sparse.hstack([numbers, names]).tocsr(), y


def estimators(is_classes: bool) -> dict[str, BaseEstimator]:
    ours = GDClassifier if is_classes else GDRegressor
    before = {"standardize": "scale", "alpha": 0.0, "solver": Adagrad("auto", bounded=True)}
    peer = LogisticRegression(max_iter=1000) if is_classes else Ridge()
    return {
        "default": ours(random_state=0),
        "SGD": ours(random_state=0),
        "by deviations, alpha=0": ours(random_state=0, **before),
        "peer": peer,
        "peer, MaxAbsScaler": make_pipeline(MaxAbsScaler(), peer),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6000, help="titles of films")
    options = parser.parse_args()
    most = sparse_checks._MOST_PENALIZED
    rows = []
    for name, X, y in problems(options.rows):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
        is_classes, line = y.dtype.kind == "U", [name, "{} x {}".format(*X_train.shape)]
        for kind, estimator in estimators(is_classes).items():
            sparse_checks._MOST_PENALIZED = 0 if kind == "SGD" else most
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = f"{estimator.fit(X_train, y_train).score(X_test, y_test):.3f}"
            if is_classes:
                score += f" / {log_loss(y_test, estimator.predict_proba(X_test)):.3f}"
            line.append(score)
        rows.append(line)
    print(markdown(["rows", "shape", *estimators(True)], rows, n_left=2))


if __name__ == "__main__":
    main()
