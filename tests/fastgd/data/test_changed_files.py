"""Files that are not as they were when the next pass over their rows begins: an error that names the file."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

import fastgd as gd

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
    sparse.save_npz(folder / "X-0.npz", sparse.csr_matrix(X))
    np.save(folder / "y-0.npy", y)
    return folder, {}


def write_svmlight(folder, X, y):
    dump_svmlight_file(X, y, str(folder / "rows.svm"))
    return folder / "rows.svm", {}


def write_hdf5(folder, X, y):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["X"], file["y"] = X, y
    return folder / "rows.h5", {}


def table_writer(name, write):
    def written(folder, X, y):
        write(pa.table({f"x{k}": X[:, k] for k in range(N_FEATURES)} | {"y": y}), folder / name)
        return folder / name, {"target": "y"}

    return written


WRITERS = {
    "X.npy": write_npy,
    "y.npy": write_npy,
    "X-1.npy": write_shards,
    "X-0.npz": write_csr,
    "y-0.npy": write_csr,
    "rows.svm": write_svmlight,
    "rows.h5": write_hdf5,
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


def trainer(data):
    return gd.Trainer(gd.Model([gd.Linear(data.n_features, 1)], seed=0), optimizer=gd.SGD(0.01))


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
