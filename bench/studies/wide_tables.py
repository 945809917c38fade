"""What alpha serves tables of nearly as many features as rows, or more.

python -m bench.studies.wide_tables [--shares 0 0.03 0.1 0.3] [--sets "diabetes cubed" ...] [--hidden 64]

Tables of scikit-learn and drawn ones; five-fold cross-validation of `GDRegressor` and `GDClassifier`: of the default,
with alpha = max(base, share · h · min(r, 1)²) for n rows and r n features, whose base is min(1 / n, .01) of linear
models and .001 of networks and whose h is 1 of squared errors and 1/4 of the log loss, and of Ridge(1) or
LogisticRegression, or MLP*, behind a StandardScaler. R², or accuracy and log loss.
"""

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_friedman1
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from bench.readme import markdown
from fastgd.sklearn import GDClassifier, GDRegressor

Table = tuple[np.ndarray, np.ndarray]


def powers(X: np.ndarray, degree: int) -> np.ndarray:
    """All products of up to so many features."""
    return PolynomialFeatures(degree, include_bias=False).fit_transform(X)


def diabetes(degree: int, n_rows: int = 442) -> Table:
    X, y = load_diabetes(return_X_y=True)
    return powers(X[:n_rows], degree), y[:n_rows]


def squares(load: Callable[..., Table], n_rows: int) -> Table:
    X, y = load(return_X_y=True)
    return powers(X[:n_rows], 2), y[:n_rows]


def friedman(n_rows: int) -> Table:
    X, y = make_friedman1(n_rows, noise=1.0, random_state=0)
    return powers(X, 3), y


def with_noise(X: np.ndarray, y: np.ndarray) -> Table:
    return np.hstack([X, np.random.default_rng(0).normal(0, X.std(), (len(X), 1000))]), y


def mostly_constant() -> Table:
    """Ten features that vary, and 1000 that are one in some row or none."""
    rng = np.random.default_rng(0)
    X, rare = rng.normal(size=(200, 10)), rng.random((200, 1000)) < 0.002
    return np.hstack([X, rare]), X @ rng.normal(size=10) + 0.1 * rng.normal(size=200)


def isotropic(n_rows: int, n_features: int) -> Table:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features))
    signal = X @ rng.normal(size=n_features) / np.sqrt(n_features)
    return X, signal + 0.5 * rng.normal(size=n_rows)


def factors() -> Table:
    """1500 features of ten factors."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 10))
    X = hidden @ rng.normal(size=(10, 1500)) + 0.5 * rng.normal(size=(300, 1500))
    return X, hidden @ rng.normal(size=10) + 0.5 * rng.normal(size=300)


def as_classes(X: np.ndarray, y: np.ndarray) -> Table:
    """Whether each target is above the median."""
    return X, y > np.median(y)


REGRESSION: dict[str, Callable[[], Table]] = {
    "diabetes": lambda: diabetes(1),
    "diabetes, 30 rows": lambda: diabetes(1, 30),
    "diabetes squared": lambda: diabetes(2),
    "diabetes squared, 120 rows": lambda: diabetes(2, 120),
    "diabetes cubed": lambda: diabetes(3),
    "diabetes to the fourth": lambda: diabetes(4),
    "diabetes and noise": lambda: with_noise(*diabetes(1)),
    "friedman cubed, 200 rows": lambda: friedman(200),
    "friedman cubed, 400 rows": lambda: friedman(400),
    "friedman cubed, 1500 rows": lambda: friedman(1500),
    "isotropic, 200 of 100": lambda: isotropic(200, 100),
    "isotropic, 200 of 180": lambda: isotropic(200, 180),
    "isotropic, 400 of 2000": lambda: isotropic(400, 2000),
    "ten factors": factors,
    "mostly constant": mostly_constant,
}
CLASSES: dict[str, Callable[[], Table]] = {
    "cancer squared, 100 rows": lambda: squares(load_breast_cancer, 100),
    "cancer squared": lambda: squares(load_breast_cancer, 569),
    "wine squared": lambda: squares(load_wine, 178),
    "wine and noise": lambda: with_noise(*load_wine(return_X_y=True)),
    "digits squared, 300 rows": lambda: squares(load_digits, 300),
    "diabetes cubed, as classes": lambda: as_classes(*diabetes(3)),
    "isotropic, 400 of 2000, as classes": lambda: as_classes(*isotropic(400, 2000)),
    "ten factors, as classes": lambda: as_classes(*factors()),
    "mostly constant, as classes": lambda: as_classes(*mostly_constant()),
}


def scores(estimator: BaseEstimator, X: np.ndarray, y: np.ndarray, is_classes: bool) -> str:
    folds = (StratifiedKFold if is_classes else KFold)(5, shuffle=True, random_state=0)
    names = ("accuracy", "neg_log_loss") if is_classes else ("r2",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_validate(estimator, X, y, cv=folds, scoring=names)
    means = {name: found[f"test_{name}"].mean() for name in names}
    return " / ".join(f"{-mean if name == 'neg_log_loss' else mean:.3f}" for name, mean in means.items())


def alpha_of(share: float, n_rows: float, n_features: int, is_network: bool) -> float:
    return max(0.001 if is_network else min(1 / n_rows, 0.01), share * min(n_features / n_rows, 1.0) ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.02, 0.05, 0.1, 0.3])
    parser.add_argument("--sets", nargs="+", choices=[*REGRESSION, *CLASSES], default=[*REGRESSION, *CLASSES])
    parser.add_argument("--hidden", nargs="+", type=int, default=[], help="sizes of hidden layers")
    options = parser.parse_args()
    hidden = tuple(options.hidden)
    of_regression = MLPRegressor(hidden_layer_sizes=hidden, random_state=0) if hidden else Ridge()
    of_classes = MLPClassifier(hidden, random_state=0) if hidden else LogisticRegression(max_iter=1000)
    for tables, kind, peer in ((REGRESSION, GDRegressor, of_regression), (CLASSES, GDClassifier, of_classes)):
        rows = []
        for name in (name for name in tables if name in options.sets):
            X, y = tables[name]()
            n_rows, is_classes = 0.8 * len(X), tables is CLASSES
            tried = [make_pipeline(StandardScaler(), peer), kind(hidden, random_state=0)]
            of_loss = 0.25 if is_classes else 1.0
            alphas = [alpha_of(of_loss * share, n_rows, X.shape[1], bool(hidden)) for share in options.shares]
            tried += [kind(hidden, alpha=alpha, random_state=0) for alpha in alphas]
            found = [scores(estimator, X, y, is_classes) for estimator in tried]
            rows.append([name, f"{X.shape[1] / n_rows:.2f}", *found])
        shares = [f"share {share:g}" for share in options.shares]
        if rows:
            print(markdown(["set", "r", f"{type(peer).__name__}, scaled", "default", *shares], rows), "\n", flush=True)


if __name__ == "__main__":
    main()
