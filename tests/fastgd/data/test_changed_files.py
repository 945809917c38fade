"""Files that are not as they were when the next pass over their rows begins: an error that names the file."""

import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.chunks import chunked, sparse_files

N_ROWS, N_FEATURES = 200, 3


def write_npy(folder, X, y):
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    return folder / "X.npy", {"target": folder / "y.npy"}


def write_shards(folder, X, y):
    for k, rows in enumerate((slice(0, 90), slice(90, N_ROWS))):
        np.save(folder / f"X-{k}.npy", X[rows])
        np.save(folder / f"y-{k}.npy", y[rows])
    return folder, {}


def write_csr(folder, X, y):
    for k, rows in enumerate((slice(0, 90), slice(90, N_ROWS))):
        sparse.save_npz(folder / f"X-{k}.npz", sparse.csr_matrix(X[rows]))
        np.save(folder / f"y-{k}.npy", y[rows])
    return folder, {}


def write_svmlight(folder, X, y):
    dump_svmlight_file(X, y, str(folder / "rows.svm"))
    return folder / "rows.svm", {}


def write_hdf5(folder, X, y):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["X"], file["y"] = X, y
    return folder / "rows.h5", {}


def write_zarr(folder, X, y):
    zarr = pytest.importorskip("zarr", minversion="3")
    group = zarr.open_group(str(folder / "rows.zarr"), mode="w")
    for name, array in (("X", X), ("y", y)):
        group.create_array(name, shape=array.shape, chunks=(20, *array.shape[1:]), dtype=array.dtype)[:] = array
    return folder / "rows.zarr", {}


def table_writer(name, write):
    def written(folder, X, y):
        write(pa.table({f"x{k}": X[:, k] for k in range(N_FEATURES)} | {"y": y}), folder / name)
        return folder / name, {"target": "y"}

    return written


WRITERS = {
    "X.npy": write_npy,
    "y.npy": write_npy,
    "X-1.npy": write_shards,
    "X-1.npz": write_csr,
    "y-0.npy": write_csr,
    "rows.svm": write_svmlight,
    "rows.h5": write_hdf5,
    "rows.zarr/X/c/8/0": write_zarr,
    "rows.parquet": table_writer("rows.parquet", pq.write_table),
    "rows.feather": table_writer("rows.feather", pa.feather.write_feather),
    "rows.csv": table_writer("rows.csv", pa_csv.write_csv),
}


@pytest.fixture
def opened(tmp_path, rng):
    """Opens rows of which a file is called so, and says where that is."""

    def opened(name):
        X = rng.standard_normal((N_ROWS, N_FEATURES)).astype("float32")
        path, options = WRITERS[name](tmp_path, X, X[:, 0].astype("float64"))
        return gd.data.open(path, **options), tmp_path / name

    return opened


def trainer(data, **options):
    return gd.Trainer(gd.Model([gd.Linear(data.n_features, 1)], seed=0), optimizer=gd.SGD(0.01), **options)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_changes_between_epochs(name, opened):
    """Small files too, all of which are in memory."""
    data, path = opened(name)
    run = trainer(data)
    seen = []

    def change(trainer, record):
        seen.append(trainer.model.parameters.copy())
        os.utime(path, ns=(0, 1))

    with pytest.raises(ValueError, match=rf"{name} has changed since it was opened; expected files that stay"):
        run.fit(data, epochs=3, callbacks=[change])
    np.testing.assert_array_equal(run.model.parameters, *seen)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is gone; expected files that stay"):
        run.fit(data)


def test_a_file_in_memory_that_changes_while_epochs_are_one_call(opened):
    """As nothing comes between them."""
    data, path = opened("X.npy")
    run = trainer(data)
    run.fit(data, epochs=20)
    with path.open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"X\.npy has changed from \d+ bytes to \d+ since"):
        run.fit(data, epochs=20)


def with_other_dtype(path):
    sparse.save_npz(path, sparse.load_npz(path).astype("float64"))


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = b"x" * (len(content) // 2 - len(content) // 4)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        # HDF5 would give zeros.
        (
            "rows.h5",
            lambda path: os.truncate(path, 3000),
            ValueError,
            r"rows\.h5 has changed from \d+ bytes to 3000",
        ),
        ("X-1.npz", damaged, ValueError, r"X-1\.npz cannot be read as a sparse matrix"),
        ("X-1.npz", with_other_dtype, ValueError, r"X-1\.npz has changed from \d+ bytes"),
        ("X-1.npz", lambda path: path.unlink(), FileNotFoundError, r"X-1\.npz"),
        ("rows.svm", damaged, ValueError, r"rows\.svm"),
        # Zarr would give what chunks hold that were never written.
        ("rows.zarr/X/c/8/0", lambda path: path.unlink(), FileNotFoundError, r"X/c/8/0 is gone"),
    ],
)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_file_that_changes_in_a_pass(name, change, error, message, n_threads, opened, monkeypatch):
    """The model is as after the last good update, and no thread is left."""
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 20 * N_FEATURES * 4)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(chunked, "_CHUNK_BYTES", 20 * N_FEATURES * 4)
    monkeypatch.setattr(sparse_files, "_TEXT_BYTES", 1000)
    data, path = opened(name)
    reading = "read_sparse" if data.is_sparse else "read"
    read, calls = getattr(data, reading), []

    def change_first(rows, out):
        calls.append(rows)
        if len(calls) == 3:
            change(path)
        return read(rows, out)

    monkeypatch.setattr(data, reading, change_first)
    run = trainer(data, n_threads=n_threads)
    with pytest.raises(error, match=message) as raised:
        run.fit(data)
    assert any("while fastgd read rows" in note for note in raised.value.__notes__)
    assert np.isfinite(run.model.parameters).all()
    assert run.n_updates > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


def test_a_row_of_csr_shards_is_called_by_its_file(tmp_path):
    X = np.ones((N_ROWS, N_FEATURES), np.float32)
    X[120, 1] = np.nan
    data = gd.data.open(write_csr(tmp_path, X, np.ones(N_ROWS))[0])
    with pytest.raises(ValueError, match=r"X holds nan .* in row 30 of .*X-1\.npz, column 1; expected"):
        trainer(data).fit(data)
