"""Tables that cannot be read, or are not what they were: errors that name file and row, and a model as it was."""

import builtins
import gzip
import re
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from cases import model_of

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.block import Block
from fastgd.data.columnar import arrow, csv, table

N_ROWS = 600


def columns(n_rows=N_ROWS, **others):
    rng = np.random.default_rng(n_rows)
    return pa.table(
        {f"x{k}": rng.normal(size=n_rows).astype(np.float32) for k in range(5)}
        | {"y": rng.uniform(size=n_rows)}
        | others
    )


def fit(stream, epochs=2, n_threads=1):
    model = model_of("neuron", "float32")
    gd.Trainer(model, optimizer=gd.SGD(0.01), n_threads=n_threads).fit(stream, epochs=epochs)
    return model


@pytest.fixture
def rows(tmp_path):
    pq.write_table(columns(), tmp_path / "rows.parquet", row_group_size=200)
    return tmp_path / "rows.parquet"


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = b"x" * 400
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (truncated, ValueError, r"rows\.parquet cannot be read as Parquet"),
        (damaged, (ValueError, OSError), r"rows\.parquet cannot be read from row \d+ on"),
        (lambda path: path.unlink(), FileNotFoundError, r"rows\.parquet is gone"),
        (lambda path: path.write_bytes(b""), ValueError, r"rows\.parquet cannot be read as Parquet"),
        (
            lambda path: pq.write_table(columns(500), path),
            ValueError,
            r"has 500 rows in 1 row groups, and had 600 in 3",
        ),
        (
            lambda path: pq.write_table(columns(x0=pa.array(["x"] * N_ROWS)), path, row_group_size=200),
            TypeError,
            r"rows\.parquet: column 'x0' holds string",
        ),
        (
            lambda path: pq.write_table(columns().drop_columns("x3"), path, row_group_size=200),
            ValueError,
            r"rows\.parquet has no column 'x3'",
        ),
    ],
)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_file_that_changes(change, error, message, n_threads, rows, monkeypatch, change_in_a_pass):
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * 5 * 4)
    stream = gd.data.open(rows, target="y")
    model = fit(stream, epochs=1)
    change(rows)
    with pytest.raises(error, match=message):
        fit(stream, n_threads=n_threads)
    assert np.isfinite(model.parameters).all()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


@pytest.mark.parametrize("compression", ["uncompressed", "lz4"])
def test_an_arrow_file_that_changes(compression, tmp_path, change_in_a_pass):
    path = tmp_path / "rows.feather"
    pa.feather.write_feather(columns(), path, compression, chunksize=100)
    stream = gd.data.open(path, target="y")
    fit(stream)
    pa.feather.write_feather(columns(), path, compression, chunksize=200)
    with pytest.raises(ValueError, match=r"rows\.feather has other record batches than before"):
        fit(stream)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"rows\.feather is gone"):
        fit(stream)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_arrow_file_that_is_cut_short_while_it_is_read(is_stream, is_mapped, n_threads, tmp_path, monkeypatch):
    """An error, and no signal, whether batches are read or, as they are large, lie in a map."""
    monkeypatch.setattr(arrow, "_MAPPED_BYTES", 1000 if is_mapped else 1 << 30)
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 50 * 5 * 4)
    path, table = tmp_path / "rows.arrow", columns(5000)
    with (pa.ipc.new_stream if is_stream else pa.ipc.new_file)(path, table.schema) as file:
        file.write_table(table, max_chunksize=500)
    stream, model = gd.data.open(path, target="y"), model_of("neuron", "float32")

    def cut(rows):
        """Half of the file goes after a few blocks."""
        for number, block in enumerate(rows):
            yield Block(*map(np.array, block[:3]))
            if number == 3:
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size // 2)

    read = type(stream).open
    monkeypatch.setattr(type(stream), "open", lambda self, cursor=0: cut(read(self)))
    with pytest.raises((ValueError, OSError), match=r"rows\.arrow .*from row [12]\d+ on"):
        gd.Trainer(model, optimizer=gd.SGD(0.01), n_threads=n_threads).fit(stream)
    assert np.isfinite(model.parameters).all()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected an Arrow file"),
        (b"FEA1....", "Feather file of version 1"),
        (b"hello", "cannot be read"),
    ],
)
def test_what_is_no_arrow_file(content, message, tmp_path):
    (tmp_path / "rows.feather").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        gd.data.open(tmp_path / "rows.feather")


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


def test_rows_are_called_by_their_file(tmp_path):
    pq.write_table(columns(), tmp_path / "a.parquet")
    values = np.where(np.arange(N_ROWS) == 444, np.inf, 1)
    pq.write_table(columns(x0=values), tmp_path / "b.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=r"X holds inf .* in row 444 of .*b\.parquet, column 0"):
        fit(gd.data.open(tmp_path, target="y"))


def test_files_of_several_kinds(tmp_path, rows):
    other = csv_file(tmp_path, FIRST_ROWS)
    for several in (tmp_path, [rows, other]):
        with pytest.raises(ValueError, match=r"several kinds \(.*rows\.csv, .*rows\.parquet\)"):
            gd.data.open(several, target="y")
    with pytest.raises(FileNotFoundError, match=r"no\.parquet does not exist"):
        gd.data.open([rows, tmp_path / "no.parquet"], target="y")
    with pytest.raises(FileNotFoundError, match=r"no file is called .*no\*\.parquet"):
        gd.data.open(str(tmp_path / "no*.parquet"), target="y")
    assert gd.data.open(str(tmp_path / "row*.parquet"), target="y").n_samples == N_ROWS


def test_readers_that_are_used_up(monkeypatch):
    monkeypatch.setattr(table, "_MOST_ROWS", 100)
    stream = gd.data.from_stream(columns().to_reader(), target="y")
    fit(stream, epochs=1)
    with pytest.raises(ValueError, match=r"a RecordBatchReader, which can be read only once.*from_stream\(lambda: "):
        fit(stream, epochs=1)
    reader = columns().to_reader()
    with pytest.raises(ValueError, match=r"the callable gave 0 rows and had given 600; .* a new stream each time"):
        fit(gd.data.from_stream(lambda: reader, target="y"))
    tables = iter([columns(), columns(), columns().slice(0, 599)])
    stream = gd.data.from_stream(lambda: next(tables), target="y")
    with pytest.raises(ValueError, match="the callable gave 599 rows and had given 600"):
        fit(stream, epochs=3)


@pytest.mark.parametrize(("source", "message"), [([1], "stream is a list"), (lambda: 3, "the callable gave a int")])
def test_what_is_no_stream(source, message):
    with pytest.raises(TypeError, match=message):
        gd.data.from_stream(source, target="y")


def test_without_pyarrow(rows, monkeypatch):
    own = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return own(name, *rest)

    for name in [each for each in sys.modules if each.startswith("fastgd.data.columnar.parquet")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"expected pip install 'fastgd\[data\]'"):
        gd.data.open(rows, target="y")
