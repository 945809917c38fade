"""The same rows from any table train to the same bits, wherever blocks and batches end."""

import gzip
import os

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from cases import model_of

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.columnar import csv, table

N_ROWS = 1003
NAMES = [f"x{k}" for k in range(5)]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 5)).astype(np.float32)
    return X, np.abs(X[:, 0] - 0.3 * X[:, 1] + np.float32(0.1)), rng.uniform(0, 2, N_ROWS).astype(np.float32)


@pytest.fixture(scope="module")
def columns(rows):
    X, y, weight = rows
    return pa.table({name: X[:, k] for k, name in enumerate(NAMES)} | {"y": y, "weight": weight})


def csv_text(columns, delimiter=","):
    lines = zip(*(map(str, column.to_numpy()) for column in columns.columns), strict=True)
    return "\n".join(map(delimiter.join, [columns.column_names, *lines])) + "\n"


def write(name, columns, folder):
    """A file or folder of a table, or several; what `open` takes."""
    path = folder / name
    if name == "rows.parquet":
        pq.write_table(columns, path, row_group_size=200)
    elif name == "rows.feather":
        pa.feather.write_feather(columns, path, "lz4", chunksize=170)
    elif name == "rows.arrow":
        pa.feather.write_feather(columns, path, "uncompressed", chunksize=170)
    elif name == "rows.arrows":
        with pa.ipc.new_stream(str(path), columns.schema) as writer:
            writer.write_table(columns, max_chunksize=170)
    elif name == "rows.csv":
        path.write_text(csv_text(columns))
    elif name == "rows.tsv.gz":
        path.write_bytes(gzip.compress(csv_text(columns, "\t").encode()))
    else:
        suffix = name.removeprefix("folder of ")
        path.mkdir()
        for k, start in enumerate(range(0, N_ROWS, 300)):
            written = write(f"rows.{suffix}", columns.slice(start, 300), folder)
            written.rename(path / f"part-{k}.{suffix}")
        (path / "_SUCCESS").touch()
    return path


FILES = [
    *(f"rows.{suffix}" for suffix in ("parquet", "feather", "arrow", "arrows", "csv", "tsv.gz")),
    *(f"folder of {suffix}" for suffix in ("parquet", "arrow", "arrows", "csv")),
]
STREAMS = {
    "pyarrow": lambda columns: columns,
    "reader": lambda columns: lambda: columns.to_reader(max_chunksize=130),
    "polars": pl.from_arrow,
    "collect_batches": lambda columns: lambda: pl.from_arrow(columns).lazy().collect_batches(chunk_size=130),
    "pandas": lambda columns: columns.to_pandas(),
}
ROLES = {"target": "y", "weight": "weight"}


def trained(X, y=None, sample_weight=None, n_threads=1):
    model = model_of("neuron", "float32")
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.05), n_threads=n_threads)
    trainer.fit(X, y, sample_weight=sample_weight, epochs=2)
    return model.parameters


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * 5 * 4)
    monkeypatch.setattr(table, "_MOST_ROWS", 70)
    monkeypatch.setattr(csv, "_BLOCK_BYTES", 4000)


def check(stream, rows, n_threads=1):
    np.testing.assert_array_equal(trained(stream, n_threads=n_threads), trained(*rows))
    assert stream.feature_names == tuple(NAMES)
    assert (stream.n_samples, stream.has_sample_weight) == (N_ROWS, True)


@pytest.mark.parametrize("name", FILES)
def test_files(name, rows, columns, tmp_path, small_blocks):
    check(gd.data.open(write(name, columns, tmp_path), **ROLES), rows)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv"])
def test_a_reading_thread(name, rows, columns, tmp_path, small_blocks):
    check(gd.data.open(write(name, columns, tmp_path), **ROLES), rows, n_threads=2)


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name, rows, columns, small_blocks):
    check(gd.data.from_stream(STREAMS[name](columns), **ROLES), rows)


@pytest.mark.slow
@pytest.mark.parametrize("most_rows", [1, 37, 1 << 17])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", FILES)
def test_any_size_of_blocks(name, n_threads, most_rows, rows, columns, tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(table, "_MOST_ROWS", most_rows)
    check(gd.data.open(write(name, columns, tmp_path), **ROLES), rows, n_threads)


@pytest.mark.slow
def test_a_duckdb_relation(rows, columns, small_blocks):
    duckdb = pytest.importorskip("duckdb")
    for n_threads in (1, 2):
        check(gd.data.from_stream(duckdb.connect().sql("select * from columns"), **ROLES), rows, n_threads)


@pytest.mark.parametrize("name", [*FILES, "pyarrow"])
def test_rows_from_any_on(name, rows, columns, tmp_path, small_blocks):
    """Without those before: where files say what lies where, they are not looked at."""
    source = gd.data.from_stream(columns, **ROLES)
    if name in FILES:
        source = gd.data.open(write(name, columns, tmp_path), **ROLES)
    for cursor in (0, 1, 199, 200, 299, 300, 301, 777, N_ROWS - 1, N_ROWS):
        blocks = [np.asarray(block.X, np.float32) for block in source.open(cursor)]
        X = np.concatenate([np.empty((0, 5)), *blocks])
        np.testing.assert_array_equal(X, rows[0][cursor:])
    if source.starts is not None:
        assert source.starts[0] == 0
        assert (np.diff(source.starts) > 0).all()
    with pytest.raises(ValueError, match="expected the same rows each time"):
        list(source.open(N_ROWS + 1))


def test_lists_of_one_size_are_used_where_they_lie(rows):
    X, y, _ = rows
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.reshape(-1)), 5)
    stream = gd.data.from_stream(pa.table({"embedding": lists, "y": y}), target="y")
    assert stream.feature_names == tuple(f"embedding[{k}]" for k in range(5))
    (block,) = stream.open()
    assert block.X.ctypes.data == lists.values.buffers()[1].address
    np.testing.assert_array_equal(trained(stream), trained(X, y))
    with_others = gd.data.from_stream(pa.table({"first": y, "embedding": lists, "y": y}), target="y")
    (block,) = with_others.open()
    np.testing.assert_array_equal(np.asarray(block.X), np.column_stack([y, X]))


def test_files_that_are_read_piece_by_piece(rows, columns, tmp_path, monkeypatch):
    """Row groups too large to be read whole."""
    monkeypatch.setattr("fastgd.data.columnar.parquet._READ_WHOLE", 100)
    path = tmp_path / "rows"
    pq.write_table(columns, path)
    stream = gd.data.open(os.fspath(path), **ROLES)
    np.testing.assert_array_equal(np.asarray(next(stream.open()).X), rows[0])


def test_one_row_group_is_asked_for_at_a_time(tmp_path, monkeypatch):
    """All that are asked for together are in memory together."""
    read, asked = pq.ParquetFile.iter_batches, []

    def iter_batches(self, batch_rows, row_groups, **options):
        asked.append(row_groups)
        return read(self, batch_rows, row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    pq.write_table(pa.table({"x": np.arange(50.0), "y": np.arange(50.0)}), tmp_path / "r.parquet", row_group_size=10)
    stream = gd.data.open(tmp_path / "r.parquet", target="y")
    rows = np.concatenate([np.asarray(block.X) for block in stream.open(23)])
    np.testing.assert_array_equal(rows[:, 0], np.arange(23.0, 50))
    assert asked == [[2], [3], [4]]
