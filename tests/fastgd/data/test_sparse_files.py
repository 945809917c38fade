"""Sparse rows of files: what a matrix of them gives, and no more of them in memory than are in use."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.chunks import chunk_shuffle, sparse_files

N_ROWS, N_FEATURES = 640, 50
CUTS = (0, 1, 1, 300, N_ROWS)


@pytest.fixture
def arrays(rng):
    X = sparse.random_array((N_ROWS, N_FEATURES), density=0.1, format="csr", rng=rng, dtype=np.float32)
    return X, (X @ rng.standard_normal(N_FEATURES)).astype("float32"), rng.uniform(0, 2, N_ROWS).astype("float32")


@pytest.fixture
def folder(arrays, tmp_path):
    X, y, weights = arrays
    for k, (begin, end) in enumerate(pairwise(CUTS)):
        sparse.save_npz(tmp_path / f"X-{k}.npz", X[begin:end], compressed=k != 2)
        np.save(tmp_path / f"y-{k}.npy", y[begin:end])
        np.save(tmp_path / f"sample_weight-{k}.npy", weights[begin:end])
    return tmp_path


def trained(*data, layers=(), **options):
    names = ("shuffle", "n_threads", "standardize_targets")
    settings = {name: options.pop(name) for name in names if name in options}
    model = gd.Model([*layers, gd.Linear(N_FEATURES, 1)], seed=0)
    gd.Trainer(model, optimizer=gd.SGD(0.05), batch_size=4, **settings).fit(*data, epochs=2, **options)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True, "validation": 0.2},
        {"layers": [gd.Standardize(N_FEATURES, with_mean=False)], "standardize_targets": True, "n_threads": 2},
    ],
)
def test_shards_train_to_the_bits_of_the_matrix(options, folder, arrays, monkeypatch):
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 3000)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)
    X, y, weights = arrays
    data = pickle.loads(pickle.dumps(gd.data.open(folder)))
    model = trained(data, **options)
    np.testing.assert_array_equal(model.parameters, trained(X, y, sample_weight=weights, **options).parameters)
    np.testing.assert_array_equal(model.predict(data), model.predict(X))
    assert model.loss(data) == model.loss(X, y, sample_weight=weights)


@pytest.mark.slow
def test_a_rate_is_found(folder, arrays):
    """The longest rows and those that the model is judged on are looked at."""
    X, y, weights = arrays
    results = []
    for data in ((gd.data.open(folder),), (X, y, 1, weights)):
        model = gd.Model([gd.Linear(N_FEATURES, 1)], seed=0)
        gd.Trainer(model, optimizer=gd.Adagrad("auto"), batch_size=4).fit(*data)
        results.append(model.parameters)
    np.testing.assert_array_equal(*results)


def test_a_run_is_saved_and_goes_on_with_the_same_shards(folder, arrays, tmp_path):
    def trainer_of():
        return gd.Trainer(gd.Model([gd.Linear(N_FEATURES, 1)], seed=0), optimizer=gd.SGD(0.05), batch_size=4)

    whole, cut, path = trainer_of(), trainer_of(), tmp_path / "run.safetensors"
    whole.fit(gd.data.open(folder), epochs=2)
    cut.fit(gd.data.open(folder), epochs=1, callbacks=[gd.callbacks.Checkpoint(path, every=10)])
    resumed = gd.Trainer.load(path)
    resumed.fit(gd.data.open(folder), epochs=2, resume=True)
    np.testing.assert_array_equal(resumed.model.parameters, whole.model.parameters)
    # An entry of the last shard.
    X = arrays[0].copy()
    X.data[-1] += 1
    sparse.save_npz(folder / f"X-{len(CUTS) - 2}.npz", X[CUTS[-2] :])
    with pytest.raises(ValueError, match="other rows: rows are others"):
        gd.Trainer.load(path).fit(gd.data.open(folder), epochs=2, resume=True)


def test_shuffled_chunks_are_few_in_memory(tmp_path, arrays, monkeypatch):
    monkeypatch.setattr(chunk_shuffle, "FEATURES_AT_RANDOM", 0)
    X, y, _ = arrays
    for k in range(64):
        sparse.save_npz(tmp_path / f"X-{k}.npz", X[10 * k : 10 * k + 10])
    np.save(tmp_path / "y.npy", y)
    data = gd.data.open([tmp_path / f"X-{k}.npz" for k in range(64)], target=tmp_path / "y.npy")
    data.window_rows, data._most_held = 100, 280
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 3000)
    n_loads, load = [], data._load
    data._load = lambda k: (n_loads.append(k), load(k))[1]
    model = trained(data, shuffle=True)
    # Some of the second epoch are there from the first.
    assert 120 <= len(n_loads) <= 2 * 64
    assert sum(map(len, data._held.values())) <= 280
    expected = gd.Model([gd.Linear(N_FEATURES, 1)], seed=0)
    trainer = gd.Trainer(expected, optimizer=gd.SGD(0.05), batch_size=4)
    for epoch in range(2):
        order = data.order(0, epoch).rows(0, N_ROWS)
        trainer.fit(X[order], y[order])
    np.testing.assert_array_equal(model.parameters, expected.parameters)


def test_shards_of_several_dtypes(tmp_path, arrays, rng):
    X = arrays[0]
    sparse.save_npz(tmp_path / "X-0.npz", X[:300])
    wide = X[300:].astype("float64")
    wide.indices, wide.indptr = wide.indices.astype("int64"), wide.indptr.astype("int64")
    sparse.save_npz(tmp_path / "X-1.npz", wide)
    data = gd.data.open(tmp_path)
    assert data.dtype == "float64"
    rows = rng.permutation(N_ROWS)
    out = gd.data.base.allocate(data, N_ROWS, np.dtype("float32"))
    data.read(rows, out)
    np.testing.assert_array_equal(out.X, X[rows].toarray())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), r"X-3\.npz cannot be read as a sparse matrix: "),
        (lambda path: np.savez(path, Z=np.ones(3)), r"X-3\.npz holds Z; expected what scipy\.sparse\.save_npz"),
        (lambda path: sparse.save_npz(path, sparse.coo_array(np.eye(340, 50))), r"X-3\.npz is a coo matrix; expected"),
        (lambda path: sparse.save_npz(path, sparse.csr_array((340, 51))), r"X-3\.npz has shape \(340, 51\), and .*X-0"),
        (
            lambda path: sparse.save_npz(path, sparse.csr_array((339, 50))),
            r"y-3\.npy has 340 rows and .*X-3\.npz has 339",
        ),
        (lambda path: np.save(path.with_suffix(".npy"), np.ones((340, 50))), r"X-3\.npy and .*X-3\.npz|X-3\.npz and "),
    ],
)
def test_shards_that_do_not_fit_are_named(change, message, folder):
    change(folder / "X-3.npz")
    with pytest.raises(ValueError, match=message):
        gd.data.open(folder)


def test_shards_that_change_while_they_are_read(folder, arrays, change_in_a_pass):
    X = arrays[0]
    for change, error, message in (
        (
            lambda path: sparse.save_npz(path, X[:100]),
            ValueError,
            "rows 300 to 640 have become 100 rows of 50 features",
        ),
        (lambda path: path.write_bytes(b"PK"), ValueError, r"X-3\.npz cannot be read as a sparse matrix"),
        (lambda path: path.unlink(), FileNotFoundError, r"X-3\.npz"),
    ):
        data = gd.data.open(folder)
        change(folder / "X-3.npz")
        with pytest.raises(error, match=message):
            trained(data)
        sparse.save_npz(folder / "X-3.npz", X[300:])


def test_svmlight_of_a_model_s_features(tmp_path):
    """Where the last have no entry, or the first column none; a shift by one would go unseen."""
    path = tmp_path / "rows.svm"
    path.write_text("1 1:5 3:7\n2 2:6\n")
    for n_features, zero_based, expected in (
        (None, "auto", [[5, 0, 7], [0, 6, 0]]),
        (3, "auto", [[5, 0, 7], [0, 6, 0]]),
        (4, True, [[0, 5, 0, 7], [0, 0, 6, 0]]),
        (None, True, [[0, 5, 0, 7], [0, 0, 6, 0]]),
        (5, False, [[5, 0, 7, 0, 0], [0, 6, 0, 0, 0]]),
    ):
        data = gd.data.open(path, n_features=n_features, zero_based=zero_based)
        digits = 10.0 ** np.arange(data.n_features)
        model = gd.Model([gd.Linear(data.n_features, 1, bias=False, init=[digits])], dtype="float64")
        np.testing.assert_array_equal(model.predict(data)[:, 0], expected @ digits)
    for settings, message in (
        ({"n_features": 4}, "has columns up to 3, none of them 0, of 4 features, .*; expected zero_based=True or"),
        ({"n_features": 2}, "has a column 3, from 1 on; expected 2 features at most"),
        ({"n_features": 3, "zero_based": True}, "has a column 3, from 0 on; expected 3 features at most"),
    ):
        with pytest.raises(ValueError, match=message):
            gd.data.open(path, **settings)
    path.write_text("1 0:5 3:7\n")
    assert gd.data.open(path, n_features=9).n_features == 9
    with pytest.raises(ValueError, match="has a column 0, and zero_based is False"):
        gd.data.open(path, zero_based=False)
    np.save(tmp_path / "X.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"n_features or zero_based is given, and .*X\.npy is no SVMlight file"):
        gd.data.open(tmp_path / "X.npy", n_features=2)


@pytest.mark.parametrize("zero_based", [False, True])
def test_svmlight(zero_based, arrays, tmp_path, monkeypatch):
    from sklearn.datasets import dump_svmlight_file, load_svmlight_file

    monkeypatch.setattr(sparse_files, "_TEXT_BYTES", 3000)
    X, y, _ = arrays
    dump_svmlight_file(X, y, str(tmp_path / "rows.svm"), zero_based=zero_based)
    data = gd.data.open(tmp_path / "rows.svm")
    assert len(data.starts) > 5
    expected = load_svmlight_file(str(tmp_path / "rows.svm"), zero_based=zero_based)
    np.testing.assert_array_equal(trained(data).parameters, trained(*expected).parameters)
    with (tmp_path / "rows.svm").open("a") as file:
        file.write("nothing\n")
    with pytest.raises(ValueError, match=r"rows\.svm, bytes \d+ to \d+: "):
        gd.data.open(tmp_path / "rows.svm")
