"""Tables that cannot be read, or are not what they were: errors that name file and row, and a model as it was."""

import builtins
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
from fastgd.data.columnar import arrow, table

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


def test_rows_are_called_by_their_file(tmp_path):
    pq.write_table(columns(), tmp_path / "a.parquet")
    values = np.where(np.arange(N_ROWS) == 444, np.inf, 1)
    pq.write_table(columns(x0=values), tmp_path / "b.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=r"X holds inf .* in row 444 of .*b\.parquet, column 0"):
        fit(gd.data.open(tmp_path, target="y"))


def test_files_of_several_kinds(tmp_path, rows):
    other = tmp_path / "rows.csv"
    other.write_text("a,y\n1,2\n")
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
