"""Frames of other libraries in place of arrays."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

import fastgd as gd
from fastgd.data import checks
from fastgd.data.subset import Subset

NUMBERS = {"a": [1.5, 2.5, -3.0], "b": [True, False, True], "c": [1, 2, 3]}
EXPECTED = np.array([[1.5, 1, 1], [2.5, 0, 2], [-3, 1, 3]])

FRAMES = {
    "pandas": lambda columns: pd.DataFrame(columns),
    "pandas, nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas, Arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, objects": lambda columns: pd.DataFrame(columns).astype(object),
    "pandas, sparse": lambda columns: pd.DataFrame(columns).astype(pd.SparseDtype("float64", 0.0)),
    "Polars": pl.DataFrame,
    "pyarrow": pa.table,
    "pyarrow, a batch": pa.RecordBatch.from_pydict,
}


@pytest.mark.parametrize("library", FRAMES)
def test_numbers_are_taken_column_by_column(library):
    array = checks.features(FRAMES[library](NUMBERS))
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, EXPECTED)


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_trains_as_its_array(library):
    frame = FRAMES[library](NUMBERS)
    models = [gd.Model([gd.Standardize(3), gd.Linear(3, 1)]) for _ in range(2)]
    for model, X in zip(models, (frame, EXPECTED), strict=True):
        gd.Trainer(model).fit(X, np.ones(3), epochs=2)
    np.testing.assert_array_equal(models[0].parameters, models[1].parameters)
    np.testing.assert_array_equal(models[0].predict(frame), models[1].predict(EXPECTED))


def test_narrow_columns_stay_narrow():
    frame = pd.DataFrame({"a": np.ones(3, np.float32), "b": [True, False, True], "c": np.ones(3, np.int16)})
    assert checks.features(frame).dtype == np.float32
    assert checks.features(pl.DataFrame({"a": [True], "b": [False]})).dtype == np.bool_


def test_a_frame_of_one_dtype_is_not_copied():
    values = np.ones((5, 2))
    assert np.shares_memory(checks.features(pd.DataFrame(values, copy=False)), values)


def test_decimals_are_numbers():
    table = pa.table({"a": pa.array([1, 2]).cast(pa.decimal128(25, 3))})
    for frame in (table, pl.from_arrow(table)):
        np.testing.assert_array_equal(checks.features(frame), [[1.0], [2.0]])


TARGETS = {
    "pandas": lambda y: pd.Series(y),
    "pandas, nullable": lambda y: pd.Series(y).convert_dtypes(),
    "Polars": lambda y: pl.Series("target", y),
    "pyarrow": pa.array,
    "pyarrow, chunks": lambda y: pa.chunked_array([y[:1], y[1:]]),
}


@pytest.mark.parametrize("library", TARGETS)
@pytest.mark.parametrize("y", [[1.0, 2.0, 3.0], [True, False, True], [0, 1, 2]], ids=["floats", "bools", "integers"])
def test_targets(library, y):
    np.testing.assert_array_equal(checks.targets(TARGETS[library](y), 3), np.reshape(y, (3, 1)))


WORDS = {"a": [1.0, 2.0], "city": ["Oslo", "Rome"]}
NULLS = {"a": [1.0, 2.0], "age": [30, None]}


@pytest.mark.parametrize("library", [name for name in FRAMES if "sparse" not in name])
def test_words_are_named(library):
    with pytest.raises(TypeError, match=r"column 'city' of X holds .*, as 'Oslo'; expected numbers: leave the column"):
        checks.features(FRAMES[library](WORDS))


def test_categories_and_dates_are_named():
    frame = pd.DataFrame({"a": pd.Categorical([1, 2]), "day": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(TypeError, match="column 'a' of X holds category"):
        checks.features(frame)
    with pytest.raises(TypeError, match="column 'day' of X holds datetime64"):
        checks.features(frame[["day"]])
    with pytest.raises(TypeError, match="column 'day' of X holds Date"):
        checks.features(pl.from_pandas(frame[["day"]]).with_columns(pl.col("day").cast(pl.Date)))


@pytest.mark.parametrize(
    "library", [name for name in FRAMES if name not in ("pandas", "pandas, objects", "pandas, sparse")]
)
def test_nulls_are_named(library):
    with pytest.raises(ValueError, match="column 'age' of X has a null in row 1"):
        checks.features(FRAMES[library](NULLS))


def test_words_as_targets_get_a_remedy_of_their_own():
    with pytest.raises(TypeError, match=r"y has dtype <U3; .*; where these are classes, gd.labels.encode"):
        checks.targets(["yes", "no"], 2)
    for y in (pd.Series(["yes", "no"]), pl.Series(["yes", "no"]), pa.array(["yes", "no"])):
        with pytest.raises(
            TypeError, match=r"y holds .*, as 'yes'; expected numbers; where these are classes, gd.labels.encode"
        ):
            checks.targets(y, 2)


OTHERS = {
    "a sparse matrix": (sparse.csr_matrix(np.eye(2)), r"X is a sparse csr matrix; expected .* X\.toarray\(\)"),
    "a sparse array": (sparse.coo_array(np.eye(2)), "X is a sparse coo matrix"),
    "a dict": ({"a": [1, 2]}, "X is a dict; expected rows"),
    "a set": ({1, 2}, "X is a set"),
    "a generator": (([1, 2] for _ in range(2)), "X is a generator, which can be read only once"),
    "a lazy frame": (pl.LazyFrame({"a": [1]}), r"X is a LazyFrame; expected what its collect\(\) returns"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_holds_no_rows_has_a_sentence_of_its_own(kind):
    values, message = OTHERS[kind]
    with pytest.raises(TypeError, match=message):
        checks.features(values)


class Tensor:
    """As one of PyTorch's, which is no dependency of the tests."""

    __module__ = "torch"

    def __init__(self, values, device="cpu", layout="torch.strided"):
        self._values, self.device, self.layout = values, type("Device", (), {"type": device})(), layout

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        """A tensor without a gradient."""
        return self

    def numpy(self):
        """Its memory."""
        return self._values


def test_tensors_that_need_gradients_are_arrays():
    values = np.ones((2, 3))
    assert checks.features(Tensor(values)) is values
    with pytest.raises(TypeError, match=r"as X\.cpu\(\) returns it"):
        checks.features(Tensor(values, device="cuda"))
    with pytest.raises(TypeError, match="X is a sparse tensor"):
        checks.features(Tensor(values, layout="torch.sparse_coo"))


def test_no_library_of_frames_is_imported():
    code = "import sys, fastgd as gd; gd.Model; print({'pandas', 'polars', 'pyarrow', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("library", FRAMES)
def test_columns_keep_their_names(library):
    data = gd.data.ArrayDataset(FRAMES[library](NUMBERS), np.ones(3))
    assert data.feature_names == ("a", "b", "c")
    assert Subset(data, np.array([2, 0])).feature_names == ("a", "b", "c")


@pytest.mark.parametrize("X", [EXPECTED, EXPECTED.tolist(), pd.DataFrame(EXPECTED)])
def test_what_has_no_names_gets_none(X):
    assert gd.data.ArrayDataset(X, np.ones(3)).feature_names is None


@pytest.mark.parametrize("library", ["pandas", "Polars", "pyarrow"])
def test_a_frame_is_no_path(library):
    """What the error names in its place trains."""
    frame = FRAMES[library](NUMBERS)
    message = r"path is a \w+; expected the path .* fit as they are, fit\(X, y\)"
    for path in (frame, [frame]):
        with pytest.raises(TypeError, match=message + r", or .* gd\.data\.from_stream\(frame, target=\.\.\.\)$"):
            gd.data.open(path, target="c")
    with pytest.raises(TypeError, match=message + "$"):
        gd.data.open(EXPECTED)
    with pytest.raises(TypeError, match=r"path is a NoneType; expected the path .* or a list of files$"):
        gd.data.open(None)
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), optimizer=gd.SGD(0.01))
    trainer.fit(gd.data.from_stream(frame, target="c"))
    trainer.fit(frame.select(["a", "b"]) if library != "pandas" else frame[["a", "b"]], frame["c"])
    assert len(trainer.history) == 2
