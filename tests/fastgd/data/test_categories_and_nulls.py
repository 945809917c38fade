"""Categories of columns, declared or found, and what takes the place of nulls."""

import datetime
import decimal
import math

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from arrow_tables import CITIES, N_ROWS, columns, opened

import fastgd as gd


@pytest.mark.parametrize("encode", [lambda c: c, lambda c: c.dictionary_encode(), lambda c: c.cast(pa.string_view())])
def test_categories(encode):
    table = columns(city=encode(pa.array(CITIES)))
    X, _, _, stream = opened(table, categories={"city": ["Oslo", "Lima", "Rome"]})
    assert stream.feature_names == ("a", "b", "city=Oslo", "city=Lima", "city=Rome")
    np.testing.assert_array_equal(X[:, 2:], [[city == name for name in ("Oslo", "Lima", "Rome")] for city in CITIES])
    _, y, _, _ = opened(table, target="city", drop="y", categories={"city": ["Oslo", "Rome"]})
    np.testing.assert_array_equal(y[:, 0], [city == "Rome" for city in CITIES])


def test_categories_with_a_null():
    table = columns(city=pa.array([None if city == "Oslo" else city for city in CITIES]))
    X, _, _, stream = opened(table, features="city", categories={"city": ["Rome", None]})
    assert stream.feature_names == ("city=Rome", "city=None")
    np.testing.assert_array_equal(X, [[city == "Rome", city == "Oslo"] for city in CITIES])


def test_categories_that_are_found():
    cities = [None if k == 3 else city for k, city in enumerate(CITIES)]
    table = columns(city=pa.array(cities), group=pa.array([2, 1] * (N_ROWS // 2)))
    X, _, _, stream = opened(table, features=["city", "group"], categories={"city": "auto", "group": "auto"})
    assert stream.feature_names == ("city=Oslo", "city=Rome", "city=None", "group=1", "group=2")
    np.testing.assert_array_equal(X[:, :3], [[city == name for name in ("Oslo", "Rome", None)] for city in cities])
    # Rows for a model have the model's.
    few = table.slice(0, 1)
    found = gd.data.from_stream(few, columns=stream.columns, categories={"city": "auto"})
    assert found.feature_names == stream.feature_names
    # A class is never a null, which is an error as rows are read.
    classes = gd.data.from_stream(table, "city", features="a", categories={"city": "auto"})
    with pytest.raises(ValueError, match=r"holds a null in row 3 .* \['Oslo', 'Rome'\]; expected a label in each row$"):
        list(classes.open())


def test_a_missing_word_is_the_same_in_text_and_elsewhere(tmp_path):
    """Where nothing stands, or NA, as R writes it, in quotes or without."""
    (tmp_path / "t.csv").write_text('city,y\nOslo,1\n,2\nNA,3\n"NA",4\n"",5\n')
    cities = pa.array(["Oslo", None, None, None, None])
    table = pa.table({"city": cities, "y": [1.0, 2, 3, 4, 5]})
    for categories in (["Oslo", "", None], ["Oslo", ""], 8):
        kinds = {"city": categories}
        streams = (
            gd.data.from_stream(table, "y", categories=kinds),
            gd.data.open(tmp_path / "t.csv", target="y", categories=kinds),
        )
        found, of_text = (np.asarray(next(iter(stream.open())).X) for stream in streams)
        np.testing.assert_array_equal(of_text, found)
    # Without a category of its own, a null counts as the empty word; and so do hashes.
    np.testing.assert_array_equal(found[1], found[4])
    auto = gd.data.open(tmp_path / "t.csv", target="y", categories="auto")
    assert auto.feature_names == ("city=Oslo", "city=None")
    (tmp_path / "q.csv").write_text('"a","y"\n"1","1"\n"","2"\n"3","3"\n')
    filled = gd.data.open(tmp_path / "q.csv", target="y", fill_nulls="mean")
    np.testing.assert_array_equal(next(iter(filled.open())).X, [[1], [2], [3]])


FOUND = {
    "text as views": (pa.array(["b", None, "a"] * 2).cast(pa.string_view()), ["c=a", "c=b", "c=None"]),
    "a dictionary of views": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0] * 2, pa.uint32()), pa.array(["b", "a"], pa.string_view())),
        ["c=a", "c=b"],
    ),
    "NaN": (pa.chunked_array([[1.0, math.nan, 0.5], [math.nan, 1.0, 0.5]]), ["c=0.5", "c=1.0", "c=nan"]),
    "two zeros": (pa.array([0.0, -0.0, 1.0] * 2), ["c=0.0", "c=1.0"]),
    "booleans": (pa.array([True, False, True] * 2), ["c=False", "c=True"]),
}


@pytest.mark.parametrize("kind", FOUND)
def test_values_of_any_kind_are_found(kind):
    values, names = FOUND[kind]
    stream = gd.data.from_stream(pa.table({"c": values, "y": range(6)}), "y", categories={"c": "auto"})
    assert list(stream.feature_names) == names
    X = np.concatenate([np.asarray(block.X[:]) for block in stream.open()])
    np.testing.assert_array_equal(X.sum(axis=1), 1)
    assert (X.sum(axis=0) > 0).all()


def test_all_columns_of_words_have_categories():
    """Of those that are named, what is said; a target has none, and dates are no words."""
    table = columns(city=pa.array(CITIES), town=pa.array(CITIES), kind=pa.array(CITIES))
    for categories, names in (
        ("auto", ("a", "b", "city=Oslo", "city=Rome", "town=Oslo", "town=Rome", "kind=Oslo", "kind=Rome")),
        ({None: "auto", "town": 1}, ("a", "b", "city=Oslo", "city=Rome", "town#0", "kind=Oslo", "kind=Rome")),
    ):
        assert gd.data.from_stream(table, "y", categories=categories).feature_names == names
    days = table.append_column("day", pa.array([datetime.date(2024, 1, 1)] * N_ROWS))
    with pytest.raises(TypeError, match="column 'day' holds date32"):
        gd.data.from_stream(days, "y", categories="auto")
    with pytest.raises(TypeError, match=r"column 'kind' holds string.* Where these are classes"):
        gd.data.from_stream(table, "kind", categories="auto")
    with pytest.raises(TypeError, match=r"categories is \['city'\]; expected 'auto', or a mapping"):
        gd.data.from_stream(table, "y", categories=["city"])


def test_codes_in_text_are_text(tmp_path):
    """007 is not 7, and words may follow numbers."""
    (tmp_path / "a.csv").write_text("code,y\n007,1\n7,2\n")
    (tmp_path / "b.csv").write_text("code,y\n7.0,3\nx,4\n")
    stream = gd.data.open(tmp_path, target="y", categories={"code": "auto"})
    assert stream.feature_names == ("code=007", "code=7", "code=7.0", "code=x")


def test_categories_that_cannot_be_found():
    table = columns(city=pa.array(CITIES))
    with pytest.raises(ValueError, match="categories names column 'town'; expected one of the stream: 'a', 'b', 'y'"):
        gd.data.from_stream(table, "y", categories={"city": "auto", "town": "auto"})
    with pytest.raises(ValueError, match="'city' are to be found, and the rows can be read only once; expected them"):
        gd.data.from_stream(table.to_reader(), "y", categories={"city": "auto"})
    with pytest.raises(TypeError, match="'city' is 'Auto'; expected a list of values, an int, or 'auto'"):
        gd.data.from_stream(table, "y", categories={"city": "Auto"})
    with pytest.raises(
        ValueError, match=r"'many' are to be found, and it has more than 1000, .* expected drop=\['many'\]"
    ):
        gd.data.from_stream(pa.table({"many": range(1001), "y": range(1001)}), "y", categories={"many": "auto"})
    with pytest.raises(ValueError, match="the stream has no rows; expected at least one"):
        gd.data.from_stream(table.slice(0, 0), "y", categories={"city": "auto"})
    names = pa.table({"name": [f"name {k}" for k in range(30)], "y": range(30)})
    with pytest.raises(ValueError, match=r"'name' are to be found, and it has 30 in 30 rows; expected drop=\['name'\]"):
        gd.data.from_stream(names, "y", categories="auto")
    with pytest.raises(TypeError, match="column 'city' holds list<"):
        gd.data.from_stream(columns(city=pa.array([["a"], ["b"]] * (N_ROWS // 2))), "y", categories="auto")


FILLED = {
    "whole numbers": (pa.array([1, None, 5, 6] * (N_ROWS // 4)), 4.0),
    "booleans": (pa.array([True, None, None, False] * (N_ROWS // 4)), 0.5),
    "decimals": (pa.array([decimal.Decimal("1.5"), None, None, decimal.Decimal("2.5")] * (N_ROWS // 4)), 2.0),
    "a dictionary": (pa.array([1.0, None, 3.0, 3.0] * (N_ROWS // 4)).dictionary_encode(), 7 / 3),
    "half precision": (
        pa.array(np.array([1, 0, 2, 3], np.float16)[np.arange(N_ROWS) % 4], mask=np.arange(N_ROWS) % 4 == 1),
        2.0,
    ),
}


@pytest.mark.parametrize("kind", FILLED)
@pytest.mark.parametrize("fill", ["mean", {"c": "mean"}, {"c": 7}])
def test_nulls_are_filled(kind, fill):
    values, mean = FILLED[kind]
    X, _, _, stream = opened(columns(c=values), fill_nulls=fill)
    number = 7.0 if fill == {"c": 7} else mean
    np.testing.assert_allclose(X[:, 2], [number if value is None else float(value) for value in values.to_pylist()])
    assert stream.columns.fills["c"] == pytest.approx(number)
    words = pa.table({"word": ["a", "b"], "y": [1.0, 2.0]})
    assert not gd.data.from_stream(words, "y", categories="auto", fill_nulls="mean").columns.fills
    # Rows for a model have the model's, whatever their own mean is; a list of columns in their place, too.
    few = columns(c=values).slice(0, 2).rename_columns(["a", "b", "y", "d"])
    for again in ({}, {"fill_nulls": {"d": "mean"}}):
        found = gd.data.from_stream(few, columns=stream.columns, features=["a", "b", "d"], **again)
        assert found.columns.fills["c"] == pytest.approx(number)
        (block,) = found.open()
        assert np.asarray(block.X[:])[1, 2] == pytest.approx(number)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_nulls_alone_is_filled_for_a_model(suffix, tmp_path):
    """Their type says nothing of numbers; and another mean than the model's is not taken."""
    known = gd.data.from_stream(pa.table({"c": [1.0, None, 5.0], "d": [1.0, 2.0, 3.0]}), fill_nulls={"c": "mean"})
    new = pa.table({"d": [1.0, 2.0], "c": pa.nulls(2)})
    (pa.csv.write_csv if suffix == ".csv" else pa.parquet.write_table)(new, tmp_path / f"new{suffix}")
    rows = gd.data.open(tmp_path / f"new{suffix}", columns=known.columns)
    np.testing.assert_array_equal(np.concatenate([block.X for block in rows.open()]), [[3, 1], [3, 2]])
    plain = gd.data.from_stream(pa.table({"c": [1.0, 5.0]})).columns
    for fill, column in (("mean", ""), ({"c": "mean"}, " of column 'c'")):
        with pytest.raises(ValueError, match=f"fill_nulls{column} is 'mean', and the model was trained without one"):
            gd.data.open(tmp_path / f"new{suffix}", columns=plain, fill_nulls=fill)
    nulls = gd.data.from_stream(pa.table({"c": pa.array([None], pa.float64())}), columns=plain)
    with pytest.raises(ValueError, match=r"'c' has a null in row 0 .*; a model that was trained with fill_nulls has"):
        list(nulls.open())


def test_nulls_that_cannot_be_filled():
    table = columns(
        c=pa.array([None] * N_ROWS, pa.float64()), d=pa.array([None, math.nan] * (N_ROWS // 2)), e=pa.array(CITIES)
    )
    for fill, error, message in (
        ({"c": "mean"}, ValueError, r"column 'c' holds nulls alone; expected drop=\['c'\], or a number in place"),
        ({"d": "mean"}, ValueError, "column 'd' has no mean, as it holds NaN"),
        ({"e": "mean"}, ValueError, "fill_nulls of column 'e' is its mean, and it holds no numbers"),
        ({"e": 1}, ValueError, "fill_nulls names column 'e', which is no feature of numbers"),
        ({"y": 1}, ValueError, "fill_nulls names column 'y', which is no feature of numbers"),
        ({"f": "mean"}, ValueError, "fill_nulls names column 'f'; expected one of the stream"),
        ({"c": "median"}, TypeError, "fill_nulls of column 'c' is 'median'; expected a number, or 'mean'"),
        ({"c": math.nan}, TypeError, "fill_nulls of column 'c' is nan"),
        (["c"], TypeError, r"fill_nulls is \['c'\]; expected 'mean', or a mapping"),
    ):
        with pytest.raises(error, match=message):
            gd.data.from_stream(table, "y", categories={"e": 3}, fill_nulls=fill)
    with pytest.raises(ValueError, match=r"'c' has a null in row 0 .*; fill_nulls={'c': 'mean'} puts the column's"):
        list(gd.data.from_stream(table, "y", features="c").open())
    with pytest.raises(
        ValueError, match=r"'c' has a null in row 0 .*; expected a number in its place, or no such row$"
    ):
        list(gd.data.from_stream(table, "c", features="y").open())


def test_hashes_are_the_same_anywhere():
    X, _, _, stream = opened(columns(city=pa.array(CITIES)), features="city", categories={"city": 8})
    assert stream.feature_names == tuple(f"city#{k}" for k in range(8))
    np.testing.assert_array_equal(X.sum(axis=1), 1)
    assert dict(zip(CITIES, X.argmax(axis=1).tolist(), strict=True)) == {"Rome": 4, "Oslo": 5}


@pytest.mark.parametrize(
    "same", [[7, 7.0, "7", "7.0", "7.00"], [True, "True", "true", "TRUE"], [2.5, "2.5"]], ids=lambda same: str(same[0])
)
def test_hashes_are_the_same_for_every_type(same):
    found = []
    for value in same:
        X, _, _, _ = opened(columns(b=pa.array([value] * N_ROWS)), features="b", categories={"b": 1000})
        found.append(int(X[0].argmax()))
    assert found == [found[0]] * len(same)
