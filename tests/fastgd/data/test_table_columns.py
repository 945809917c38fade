"""Which columns of tables become X, y and weights, and how."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrow_tables import CITIES, N_ROWS, columns, opened

import fastgd as gd


@pytest.mark.parametrize(
    ("roles", "features", "targets"),
    [
        ({}, ["a", "b"], ["y"]),
        ({"features": ["b", "a"]}, ["b", "a"], ["y"]),
        ({"features": "b"}, ["b"], ["y"]),
        ({"drop": ["a"]}, ["b"], ["y"]),
        ({"target": ["y", "a"]}, ["b"], ["y", "a"]),
        ({"target": None}, ["a", "b", "y"], []),
        ({"weight": "b"}, ["a"], ["y"]),
    ],
)
def test_columns_by_name(roles, features, targets):
    table = columns()
    X, y, weight, stream = opened(table, **roles)
    assert stream.feature_names == tuple(features)
    for array, names in ((X, features), (y, targets)):
        np.testing.assert_array_equal(array, np.array([table[name].to_numpy() for name in names]).reshape(-1, N_ROWS).T)
    if stream.has_sample_weight:
        np.testing.assert_array_equal(weight, table["b"].to_numpy())


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"target": "Y"}, r"target names column 'Y'; expected one of the stream: 'a', 'b', 'y'\. Did you mean 'y'\?"),
        ({"features": ["a", "c"]}, "features names column 'c'"),
        ({"drop": "c"}, "drop names column 'c'"),
        ({"weight": "c"}, "weight names column 'c'"),
        ({"features": []}, "features is empty"),
        ({"features": "a", "drop": "b"}, "features and drop are both given"),
        ({"features": ["a", "y"]}, "column 'y' is both a feature and target"),
        ({"features": ["a", "a"]}, "column 'a' is named twice in features"),
        ({"weight": "y"}, "column 'y' is named twice in weight"),
        ({"drop": ["a", "b"]}, "has no columns but 'a', 'b', 'y'; expected one for X"),
        ({"categories": {"c": ["x"]}}, "categories names column 'c'"),
        ({"drop": "a", "categories": {"a": [1]}}, "column 'a', which is neither feature nor target"),
        ({"categories": {"a": []}}, r"categories of column 'a' are \[\]"),
        ({"categories": {"a": [1.0, 1.0]}}, "expected values that differ"),
        ({"categories": {"a": 0}}, "categories of column 'a' is 0; expected at least 1"),
    ],
)
def test_names_that_cannot_be(roles, message):
    with pytest.raises(ValueError, match=message):
        gd.data.from_stream(columns(), **{"target": "y"} | roles)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"features": 3}, "features is 3; expected the name of a column"),
        ({"weight": ["a"]}, "weight is"),
        ({"categories": ["a"]}, "categories is"),
        ({"categories": {"a": "Rome"}}, "expected a list of values, an int, or 'auto'"),
        ({"categories": {"a": ["Rome"]}}, r"\['Rome'\], and it holds double"),
        ({"categories": {"y": 4}}, "categories of target 'y' is 4"),
    ],
)
def test_names_of_other_kinds(roles, message):
    with pytest.raises(TypeError, match=message):
        gd.data.from_stream(columns(), **{"target": "y"} | roles)


def test_a_name_that_two_columns_have():
    table = columns().rename_columns(["a", "a", "y"])
    with pytest.raises(ValueError, match="several columns called 'a'"):
        gd.data.from_stream(table, target="y")


NUMBERS = {
    "bool": pa.array([True, False] * (N_ROWS // 2)),
    "bool from a place on": pa.array([True] * 3 + [True, False] * (N_ROWS // 2))[3:],
    "int from a place on": pa.array(range(N_ROWS + 3))[3:],
    "half": pa.array(np.arange(N_ROWS, dtype=np.float16)),
    "decimal": pa.array([decimal.Decimal("1.25"), decimal.Decimal("-3.50")] * (N_ROWS // 2)),
    "dictionary": pa.array([7, 3] * (N_ROWS // 2)).dictionary_encode(),
    "uint64": pa.array([2**64 - 1, 1] * (N_ROWS // 2), pa.uint64()),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers(kind):
    X, _, _, stream = opened(columns(c=NUMBERS[kind]))
    np.testing.assert_array_equal(X[:, 2], [float(value) for value in NUMBERS[kind].to_pylist()])
    assert stream.dtype == np.float64


def test_short_numbers_are_float32():
    *_, stream = opened(columns(c=NUMBERS["half"]), features=["b", "c"])
    assert stream.dtype == np.float32


def test_all_columns_that_hold_no_numbers_are_named():
    table = columns(city=pa.array(CITIES), town=pa.array(CITIES), day=pa.array([datetime.date(2024, 1, 1)] * N_ROWS))
    with pytest.raises(
        TypeError,
        match=r"'city' holds.*\. No numbers are in 'town', 'day', either; categories='auto' takes all",
    ):
        gd.data.from_stream(table, target="y")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(CITIES), r"'c' holds string; expected numbers\. Leave it out, drop=\['c'\], .* categories={'c': "),
        (pa.array([datetime.date(2024, 1, 1)] * N_ROWS), "'c' holds date32.*expected numbers. Make numbers of it"),
        (pa.array([[1.0]] * N_ROWS), "Where all lists are of one size"),
        (pa.nulls(N_ROWS), "It is null where its type was looked for"),
    ],
)
def test_what_is_no_number(column, message):
    with pytest.raises(TypeError, match=message):
        gd.data.from_stream(columns(c=column), target="y")
    if column.type == pa.string():
        with pytest.raises(TypeError, match=r"Where these are classes, categories={'c': 'auto'}"):
            gd.data.from_stream(columns(c=column), target="c")


def with_null(values, row=17):
    return pa.array([None if k == row else value for k, value in enumerate(values)])


@pytest.mark.parametrize(
    ("column", "categories", "message"),
    [
        (with_null(range(N_ROWS)), None, "column 'c' has a null in row 17 of the stream; expected a number"),
        (with_null(CITIES), {"c": ["Rome", "Oslo"]}, "column 'c' holds a null in row 17 .*; expected None or '' among"),
        (pa.array(CITIES), {"c": ["Rome"]}, r"column 'c' holds 'Oslo' in row 1 .* none of its categories \['Rome'\]"),
        (
            pa.array([[k, None if k == 17 else 1] for k in range(N_ROWS)], pa.list_(pa.int32(), 2)),
            None,
            "column 'c' has a null in row 17",
        ),
    ],
)
def test_values_that_are_refused(column, categories, message):
    stream = gd.data.from_stream(columns(c=column), target="y", categories=categories)
    with pytest.raises(ValueError, match=message):
        list(stream.open())


def test_unknown_labels_are_refused_in_any_case():
    given = {"target": "c", "categories": {"c": ["Rome"]}}
    stream = gd.data.from_stream(columns(c=pa.array(CITIES)), **given, handle_unknown="ignore")
    with pytest.raises(ValueError, match=r"column 'c' holds 'Oslo' in row 1 .*; expected it among them"):
        list(stream.open())


def test_what_handles_unknown_values(tmp_path):
    with pytest.raises(ValueError, match="handle_unknown is 'zero'; expected 'error' or 'ignore'"):
        gd.data.from_stream(columns(), target="y", handle_unknown="zero")
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"handle_unknown is 'ignore', and \.npy files have no categories"):
        gd.data.open(tmp_path / "X.npy", handle_unknown="ignore")


def test_an_index_is_no_feature(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "y": [3.0, 4.0]}, index=pd.Index([5, 9], name="key"))
    frame.to_parquet(tmp_path / "rows.parquet")
    assert gd.data.open(tmp_path / "rows.parquet", target="y").feature_names == ("a",)
    named = gd.data.open(tmp_path / "rows.parquet", target="y", features=["key", "a"])
    assert named.feature_names == ("key", "a")


def test_folders_may_stand_for_columns(tmp_path):
    years = pa.array([2020, 2021] * (N_ROWS // 2))
    table = columns(year=years, city=pa.array(CITIES))
    pq.write_to_dataset(table, tmp_path, partition_cols=["year", "city"])
    stream = gd.data.open(tmp_path, target="y", categories={"city": ["Rome", "Oslo"]})
    assert stream.feature_names == ("a", "b", "year", "city=Rome", "city=Oslo")
    assert stream.n_samples == N_ROWS
    X = np.concatenate([np.asarray(block.X) for block in stream.open()])
    expected = [[k / 8, k, 2020 + k % 2, k % 2 == 0, k % 2 == 1] for k in range(N_ROWS)]
    np.testing.assert_array_equal(X[np.argsort(X[:, 1])], expected)


def test_a_frame_that_is_not_collected():
    with pytest.raises(TypeError, match=r"a LazyFrame; .* from_stream\(lambda: frame\.collect_batches\(\)\)"):
        gd.data.from_stream(pl.DataFrame({"a": [1]}).lazy())
