"""`gd.data.open(..., columns=model.columns)`: the features that a model was trained on, of any other table."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.data import spooled
from fastgd.data.columns import Columns
from fastgd.data.subset import Subset
from fastgd.data.with_targets import StreamWithTargets, WithTargets

pa = pytest.importorskip("pyarrow")
from pyarrow import csv, feather, parquet  # noqa: E402

WRITERS = {".parquet": parquet.write_table, ".csv": csv.write_csv, ".feather": feather.write_feather}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((12, 3)).round(3)
    return pa.table(
        {
            "price": numbers[:, 0],
            "city": ["Rome", "Oslo", "Lima"] * 4,
            "rooms": numbers[:, 1],
            "agent": [k % 5 for k in range(12)],
            "size": numbers[:, 2],
        }
    )


CHOSEN = {"target": "price", "categories": {"city": ["Oslo", "Rome", "Lima"], "agent": 4}}


def X_of(stream):
    return np.concatenate([np.asarray(block.X) for block in stream.open()])


def test_what_a_table_says(table):
    columns = gd.data.from_stream(table, **CHOSEN).columns
    assert columns.features == ("city", "rooms", "agent", "size")
    assert columns.targets == ("price",)
    assert dict(columns.categories) == CHOSEN["categories"]
    cities, agents = ("city=Oslo", "city=Rome", "city=Lima"), ("agent#0", "agent#1", "agent#2", "agent#3")
    assert columns.feature_names == (*cities, "rooms", *agents, "size")
    assert Columns.restore(columns.describe(), 9) == columns
    assert gd.data.from_stream(table, target="price", drop=["city", "agent"]).columns == Columns(
        ("rooms", "size"), targets=("price",)
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_by_name(suffix, table, tmp_path):
    """In the model's order, whatever else there is and without the target."""
    rows = gd.data.from_stream(table, **CHOSEN)
    other = table.select(["size", "agent", "rooms", "city"]).append_column("id", [list(map(str, range(12)))])
    WRITERS[suffix](other, tmp_path / f"other{suffix}")
    again = gd.data.open(tmp_path / f"other{suffix}", columns=rows.columns)
    assert again.feature_names == rows.feature_names
    assert again.n_outputs == 0
    np.testing.assert_array_equal(X_of(again), X_of(rows))
    WRITERS[suffix](table, tmp_path / f"same{suffix}")
    again = gd.data.open(tmp_path / f"same{suffix}", target="price", columns=rows.columns)
    assert again.columns == rows.columns


def test_lists():
    given = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    rows = gd.data.from_stream(pa.table({"y": [0.5, 1.5], "embedding": given}), target="y")
    assert rows.columns.feature_names == rows.feature_names == ("embedding[0]", "embedding[1]")
    assert Columns.restore(rows.columns.describe(), 2) == rows.columns


def test_classes_of_a_target_are_declared_beside(table):
    classes = {"city": ["Oslo", "Rome", "Lima"]}
    rows = gd.data.from_stream(table, target="city", features=["rooms", "size"], categories=classes)
    assert rows.columns == Columns(("rooms", "size"), targets=("city",), labels=classes)
    other = table.select(["size", "city", "rooms"])
    again = gd.data.from_stream(other, "city", categories=classes, columns=rows.columns)
    assert again.columns == rows.columns
    assert again.n_outputs == 1


@pytest.mark.parametrize("kept_bytes", [1 << 20, 0], ids=["memory", "files"])
def test_rows_that_are_made_of_others_have_them(kept_bytes, table, monkeypatch):
    monkeypatch.setattr(spooled, "KEPT_BYTES", kept_bytes)
    rows = gd.data.from_stream(table, **CHOSEN)
    with spooled.spooled(rows) as dataset:
        others = dataset, Subset(dataset, np.arange(3)), WithTargets(dataset, np.ones(12))
        assert all(each.columns == rows.columns for each in others)
    assert StreamWithTargets(rows, lambda y: y, 1).columns == rows.columns


def test_other_columns_in_their_place(table):
    """As many, each for the model's in its place, with the categories of that."""
    rows = gd.data.from_stream(table, **CHOSEN)
    other = table.rename_columns(["price", "town", "rooms", "agent", "m2"])
    again = gd.data.from_stream(other, features=["town", "rooms", "agent", "m2"], columns=rows.columns)
    assert again.feature_names == rows.feature_names
    np.testing.assert_array_equal(X_of(again), X_of(rows))


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        (["rooms", "Size"], {}, r"no column 'size'.* 'rooms', 'size'.* features=\[\.\.\.\].*Did you mean 'Size'\?"),
        (["rooms", "size", "id"], {"drop": ["size"]}, r"drop names column 'size', which the model was trained on"),
        (["rooms", "m2"], {"features": ["m2"]}, r"features names 1 column; expected 2.*'rooms', 'size'"),
        (["size", "rooms"], {"features": ["size", "rooms"]}, r"features names column 'size' in place 0.*place 1"),
        (["size", "rooms"], {"features": ["rooms", "area"]}, "features names column 'area'; expected one of"),
    ],
)
def test_what_does_not_fit(columns, given, message):
    table = pa.table({name: [1.0, 2.0] for name in columns})
    with pytest.raises(ValueError, match=message):
        gd.data.from_stream(table, columns=Columns(("rooms", "size")), **given)


@pytest.mark.parametrize(
    ("city", "message"),
    [
        (
            "Bern",
            r"holds 'Bern' in row 1 of the stream, which is none of the model's categories \['Oslo', .*; expected "
            r"handle_unknown='ignore', which gives it none of their columns, or a model trained "
            r"anew, with it among them, or with hashes, categories={'city': 64}, which",
        ),
        (None, "holds a null in row 1 .*; expected handle_.*, or a model trained anew, with nulls among them, or"),
    ],
)
def test_values_that_the_model_has_not(city, message, table):
    """Its categories stay as they are: what else takes such a value is another model."""
    columns = gd.data.from_stream(table, **CHOSEN).columns
    other = table.set_column(table.column_names.index("city"), "city", pa.array(["Rome", city] * (len(table) // 2)))
    with pytest.raises(ValueError, match=message):
        [np.asarray(block.X) for block in gd.data.from_stream(other, columns=columns).open()]
    for categories in ["auto"] if city is None else ["auto", 64]:
        rows = gd.data.from_stream(other, **CHOSEN | {"categories": {"agent": 4, "city": categories}})
        assert sum(len(np.asarray(block.X)) for block in rows.open()) == len(table)


def test_values_that_the_model_has_not_are_ignored(table):
    """As OneHotEncoder's handle_unknown: no column of the list has a one, and hashes take any."""
    columns = gd.data.from_stream(table, **CHOSEN).columns
    cities = pa.array(["Rome", "Bern", None, "Lima"] * 3)
    other = table.set_column(table.column_names.index("city"), "city", cities)
    rows = gd.data.from_stream(other, columns=columns, handle_unknown="ignore")
    expected = np.array(cities.to_pylist(), object)[:, None] == ["Oslo", "Rome", "Lima"]
    np.testing.assert_array_equal(X_of(rows)[:, :3], expected)
    np.testing.assert_array_equal(X_of(rows)[:, 3:], X_of(gd.data.from_stream(table, columns=columns))[:, 3:])
    block = next(rows.open()).X
    np.testing.assert_array_equal(block[5:8][:, :3], expected[5:8])


def test_words_where_numbers_were():
    table = pa.table({"rooms": ["four", "two"]})
    with pytest.raises(TypeError, match=r"'rooms' holds string; expected numbers. The model was trained on numbers"):
        gd.data.from_stream(table, columns=Columns(("rooms",)))


def test_columns_of_another_kind(table):
    with pytest.raises(TypeError, match=r"columns is \['rooms'\]; expected model.columns"):
        gd.data.from_stream(table, columns=["rooms"])


@pytest.mark.parametrize(
    ("values", "are_kept"),
    [
        ((1, 2), True),
        ((np.int64(1), np.int64(2)), True),
        (np.array([1.5, 2.5]), True),
        ((None, True), True),
        ((b"a", b"b"), False),
    ],
    ids=["int", "numpy", "array", "null", "bytes"],
)
def test_categories_that_a_file_can_hold(values, are_kept):
    """Of others the names remain, which no table can be opened by, and which are compared."""
    columns = Columns(("a", "b"), {"b": values})
    kept = columns.storable()
    assert kept.feature_names == columns.feature_names
    assert (kept.features == ("a", "b")) == are_kept
    assert Columns.restore(kept.describe(), 3) == kept
