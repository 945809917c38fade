"""CSV files that cannot be read, or hold no numbers: errors that name file, line and column."""

import gzip
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastgd as gd
from fastgd.data.columnar import csv


def csv_file(folder, text, name="rows.csv"):
    (folder / name).write_text(text)
    return folder / name


FIRST_ROWS = "a,y\n" + "1,2\n" * 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIRST_ROWS + "x,3\n", r"column 'a' holds 'x' in line 402 of .*rows\.csv, and numbers in the first rows"),
        (FIRST_ROWS + "1,2,3\n", r"line 402 of .*rows\.csv has 3 values, '1,2,3'; expected 2, one for each column"),
        (FIRST_ROWS + ",3\n", r"column 'a' has a null in row 400 of .*rows\.csv"),
        (FIRST_ROWS + "1e999,3\n", "X holds inf .* in row 400"),
    ],
)
def test_a_later_line_of_a_csv_file(text, message, tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_SAMPLE_BYTES", 400)
    stream = gd.data.open(csv_file(tmp_path, text), target="y")
    with pytest.raises(ValueError, match=message):
        gd.Trainer(gd.Model([gd.Linear(1, 1)]), optimizer=gd.SGD(1e-4)).fit(stream)


def test_numbers_of_another_kind_in_a_later_line(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_SAMPLE_BYTES", 400)
    stream = gd.data.open(csv_file(tmp_path, FIRST_ROWS + "1.5,1e3\n"), target="y")
    *_, last = stream.open()
    assert (np.asarray(last.X)[-1, 0], np.asarray(last.y)[-1, 0]) == (1.5, 1000)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, ValueError, r"rows\.csv is empty; expected a line of names, and rows"),
        ("a,y\n", {}, ValueError, "has no rows; expected at least one"),
        ("1,2\n3,4\n", {}, ValueError, r"holds numbers, 1,2; expected names, or column_names=\[...\]"),
        ("1,2\n3,4\n", {"column_names": ["a", "b", "y"]}, ValueError, r"line 1 of .* has 2 values, '1,2'; expected 3"),
        ("a;y\n1,5;2\n", {}, TypeError, "as '1,5' in line 2; expected numbers. Write numbers with a point"),
        ("a,y\n1,2\nx,3\n", {}, TypeError, "column 'a' holds string, as 'x' in line 3; expected numbers"),
    ],
)
def test_csv_files_that_cannot_be(text, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        gd.data.open(csv_file(tmp_path, text), target="y", **options)


@pytest.mark.parametrize(
    ("values", "found", "are_nearly_numbers"),
    [
        (["1.5", "NA", "nan", *"123456789", "?", *"12"], "'?' in line 14", True),
        (["", "null", "?", *"12345678"], "'?' in line 4", False),
        (["NA", "Rome", "Oslo"], "'Rome' in line 3", False),
        ([*"1234567" * 300, "many"], "'many' in line 2102", True),
    ],
)
def test_what_a_column_holds_that_is_no_number(values, found, are_nearly_numbers, tmp_path):
    """Neither a number nor a null; a column for each value is proposed where these are words."""
    path = csv_file(tmp_path, "b,y\n" + "".join(f"{value},1\n" for value in values))
    remedy = "Leave it out"
    if are_nearly_numbers:
        remedy = (
            r"Nearly all .* correct the others, or leave them empty, which fill_nulls={'b': 'mean'} fills, or .*, "
            r"or, should it be of words, categories={'b': 'auto'}$"
        )
    with pytest.raises(
        TypeError, match=rf"column 'b' holds string, as {re.escape(found)}; expected numbers\. {remedy}"
    ):
        gd.data.open(path, target="y", fill_nulls="mean")
    if are_nearly_numbers:
        with pytest.raises(TypeError, match="column 'b' holds string"):
            gd.data.open(path, target="y", categories="auto")
        named = gd.data.open(path, target="y", categories={"b": "auto"})
        assert named.n_features == len(set(values) - {"NA", "nan"}) + ("NA" in values)
        with pytest.raises(TypeError, match=r"leave their rows out, or, where all are classes, categories"):
            gd.data.open(path, target="b")
        path.write_text(path.read_text().replace(found.split("'")[1], ""))
        assert gd.data.open(path, target="y", fill_nulls={"b": "mean"}).n_features == 1
        assert gd.data.open(path, target="y", features="b", fill_nulls="mean").columns.fills.keys() == {"b"}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_errors_name_the_line_and_the_column_of_the_file(suffix, tmp_path):
    """Whatever columns are left out, and empty lines counted, which pyarrow passes over."""
    write = gzip.open if suffix == ".csv.gz" else open
    for first, message in (
        ("1,2,3\n" * 300_000, "column 'c' holds 'x' in line 300005 of .*, and numbers in the first rows"),
        ("", "column 'c' holds string, as 'x' in line 5;"),
    ):
        with write(tmp_path / f"rows{suffix}", "wt") as file:
            file.write(f"a,b,c\n{first}\n\n4,5,6\n4,5,x\n")
        with pytest.raises((ValueError, TypeError), match=message):
            [len(block.X) for block in gd.data.open(tmp_path / f"rows{suffix}", target="b", drop="a").open()]


def test_what_is_not_a_csv_file_of_names(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("a,y\n1,2\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is in UTF-16; expected a file in UTF-8, as iconv -f UTF-16 "):
        gd.data.open(path, target="y")
    pq.write_table(pa.table({"a": [1.0], "y": [2.0]}), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"column_names are given, and .*rows.parquet has names of its own"):
        gd.data.open(tmp_path / "rows.parquet", column_names=["b", "y"])


def test_a_first_column_without_a_name_is_an_index(tmp_path):
    text = ",a,y\nfirst,1,2\nsecond,3,4\n"
    with pytest.warns(gd.UsageWarning, match="the first column of .*rows.csv has no name, as an index has none"):
        rows = gd.data.open(csv_file(tmp_path, text), target="y")
    assert rows.feature_names == ("a",)
    with pytest.warns(gd.UsageWarning, match="has no name"):
        assert gd.data.open(csv_file(tmp_path, ",a,b,y\n1,2,3,4\n"), target="y", drop="b").feature_names == ("a",)
    with pytest.raises(ValueError, match="expected names that differ"):
        gd.data.open(csv_file(tmp_path, ",a,,y\n1,2,3,4\n"), target="y")
    numbered = csv_file(tmp_path, text.replace("first", "1").replace("second", "2"))
    assert gd.data.open(numbered, target="").feature_names == ("a", "y")
    assert gd.data.open(numbered, target="y", features=["", "a"]).feature_names == ("", "a")
    # What becomes of one that pandas reads and writes again.
    again = csv_file(tmp_path, "Unnamed: 0,a,y\n1,2,3\n")
    with pytest.warns(
        gd.UsageWarning, match=r"is called 'Unnamed: 0', as .*: it is left out \(features=\['Unnamed: 0',"
    ):
        assert gd.data.open(again, target="y").feature_names == ("a",)
    assert gd.data.open(again, target="y", features=["Unnamed: 0", "a"]).n_features == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {},
            r"column 'city' holds binary, as b'K\\xf6ln' in line 3, which is not UTF-8 \(expected a file",
        ),
        (
            {"categories": {"city": ["Köln", "Bonn"]}},
            r"column 'city' is not UTF-8 in line 3 of .*latin\.csv; expected",
        ),
    ],
)
def test_a_csv_file_whose_text_is_not_in_utf_8(tmp_path, options, words):
    file = tmp_path / "latin.csv"
    file.write_bytes("city,a,y\nBonn,2,3\nKöln,1,2\n".encode("latin-1"))
    with pytest.raises((TypeError, ValueError), match=words):
        gd.Trainer(gd.Model([gd.Linear(3, 1)])).fit(gd.data.open(file, target="y", **options))
    assert gd.data.open(file, target="y", drop=["city"]).feature_names == ("a",)


@pytest.mark.parametrize(
    "change", [lambda packed: packed[:-20], lambda packed: b"a,b,y\n1,2,3\n"], ids=["cut", "plain"]
)
def test_a_csv_file_that_cannot_be_decompressed(tmp_path, change):
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(change(gzip.compress(b"a,b,y\n" + b"1,2,3\n" * 5000)))
    with pytest.raises(ValueError, match=r"rows\.csv\.gz cannot be decompressed: .*; expected a whole file"):
        gd.data.open(file, target="y")


def test_a_csv_file_whose_names_are_not_in_utf_8(tmp_path):
    file = tmp_path / "latin.csv"
    file.write_bytes("a,größe,y\n1,2,3\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"line 1 of .*latin\.csv holds .* which is not UTF-8; expected"):
        gd.data.open(file, target="y")


def test_a_csv_file_without_names(tmp_path):
    stream = gd.data.open(csv_file(tmp_path, "1;2\n3;4\n"), target="y", column_names=["a", "y"])
    (block,) = stream.open()
    np.testing.assert_array_equal(np.asarray(block.X), [[1], [3]])
