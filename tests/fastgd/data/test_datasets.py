"""Sources of rows: the same rows whatever the blocks, and never all of them in memory."""

import math

import numpy as np
import pytest
from cases import model_of
from numba.core import config

import fastgd as gd
from fastgd.data import reader as datasets
from fastgd.data import shuffle as shuffles
from fastgd.data.block import allocate
from fastgd.data.subset import Subset
from fastgd.kernels.rows.synthetic import VARIANCE


def read(data, rows, dtype="float64"):
    n_rows = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
    block = allocate(data, n_rows, np.dtype(dtype))
    data.read(rows, block)
    return block


@pytest.mark.parametrize("hidden", [(), (6,), (4, 3, 5)])
@pytest.mark.parametrize("n_features", [1, 2, 7, 100])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_synthetic_rows_depend_on_seed_and_row_alone(hidden, n_features, n_outputs, dtype, rng):
    # One width may come as a number.
    width = hidden[0] if len(hidden) == 1 else hidden
    data = gd.data.synthetic(300, n_features, n_outputs, width, seed=3, dtype=dtype)
    X, y = data.arrays()
    assert X.shape == (300, n_features)
    assert y.shape == (300, n_outputs)
    assert X.dtype == y.dtype == dtype
    order = rng.permutation(300)
    for rows in (slice(0, 1), slice(299, 300), slice(17, 200), order, order[:5], np.array([7, 7, 7])):
        block = read(data, rows, dtype)
        np.testing.assert_array_equal(block.X, X[rows])
        np.testing.assert_array_equal(block.y, y[rows])


def test_synthetic_rows_do_not_depend_on_how_many_there_are():
    short, long = gd.data.synthetic(10, 5), gd.data.synthetic(10**12, 5)
    np.testing.assert_array_equal(short.arrays()[0], read(long, slice(0, 10)).X)
    assert np.isfinite(read(long, slice(10**12 - 3, 10**12)).X).all()


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def bell_values(key, size):
    """In Python's integers, after the kernel's docstring."""
    words = [mix((key + (j + 1) * 0x9E3779B97F4A7C15) % 2**64) for j in range(-(-size // 2))]
    paired = words[: size // 2]
    bits = paired + [word >> 32 for word in paired] + words[size // 2 :]
    return [((b & 1023) + ((b >> 10) & 1023) + ((b >> 20) & 1023) - 1534.5) / 512 for b in bits]


@pytest.mark.parametrize("n_features", [4, 9])
@pytest.mark.parametrize("seed", [0, 11, 2**64 - 1])
def test_synthetic_bits(n_features, seed):
    """The same on any machine as in plain Python: every operation is exact, or rounded once in a fixed order."""
    key = mix(seed)
    weights = bell_values(mix(2**64 - 1 - key), 2 * n_features + 2)
    X, y = gd.data.synthetic(5, n_features, hidden=(2,), noise=0.5, seed=seed, dtype="float64").arrays()
    for row in range(5):
        row_key = mix((key + row * 0x9E3779B97F4A7C15) % 2**64)
        x = bell_values(row_key, n_features)
        assert X[row].tolist() == x
        sums = [sum(a * w for a, w in zip(x, weights[u * n_features :], strict=False)) for u in (0, 1)]
        hidden = [max(total * (1 / math.sqrt(n_features)), 0) for total in sums]
        out = 0.0
        for value, weight in zip(hidden, weights[-2:], strict=True):
            out += value * weight
        (noise,) = bell_values(mix(2**64 - 1 - row_key), 1)
        assert y[row, 0] == out * math.sqrt(2 / 2) + 0.5 * noise


def teacher(data):
    """The teacher network as a model."""
    layers = []
    for weight in data.weights:
        layers += [gd.Linear(weight.shape[1], weight.shape[0], bias=False, init=weight), gd.ReLU()]
    return gd.Model(layers[:-1] if data.hidden else layers, dtype="float64")


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_noise_loss_is_the_planted_networks_loss(hidden, n_outputs):
    data = gd.data.synthetic(40_000, 10, n_outputs, hidden, noise=0.3, seed=2, dtype="float64")
    assert data.noise_loss == pytest.approx(0.5 * 0.09 * n_outputs, rel=1e-5)
    assert teacher(data).loss(data) == pytest.approx(data.noise_loss, rel=0.03)
    clean = gd.data.synthetic(1000, 10, n_outputs, hidden, noise=0, seed=2, dtype="float64")
    assert clean.noise_loss == 0
    assert teacher(clean).loss(clean) < 1e-28
    assert clean.arrays()[1].std() > 0.3


def test_synthetic_features_are_independent_and_of_variance_one():
    X, _ = gd.data.synthetic(100_000, 12, seed=5, dtype="float64").arrays()
    np.testing.assert_allclose(X.mean(0), 0, atol=0.015)
    np.testing.assert_allclose(np.cov(X.T), np.eye(12), atol=0.02)
    assert np.abs(X).max() < 3
    following = np.corrcoef(X[:-1].ravel(), X[1:].ravel())[0, 1]
    assert abs(following) < 0.005
    assert len(np.unique(X, axis=0)) == len(X)
    assert (gd.data.synthetic(10, 3, seed=0).arrays()[0] != gd.data.synthetic(10, 3, seed=1).arrays()[0]).all(1).any()


def test_synthetic_rows_in_another_dtype_are_the_same_rows():
    X, y = gd.data.synthetic(50, 5, dtype="float32").arrays()
    block = read(gd.data.synthetic(50, 5, dtype="float32"), slice(0, 50), "float64")
    np.testing.assert_array_equal(block.X, X)
    np.testing.assert_array_equal(block.y, y)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_every_source_trains_to_the_same_bits(shuffle, batch_size, dtype, tmp_path, monkeypatch):
    data = gd.data.synthetic(500, 5, dtype=dtype)
    data.save(tmp_path)
    X, y = data.arrays()
    np.save(tmp_path / "fortran.npy", np.asfortranarray(X))
    monkeypatch.setattr(datasets, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(datasets, "_MAPPED_BYTES", 5000)
    sources = [
        (data,),
        (X, y),
        (X, y.ravel()),
        (gd.data.ArrayDataset(X, y),),
        (gd.data.open(tmp_path),),
        (gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy"),),
        (gd.data.open(tmp_path / "fortran.npy", target=tmp_path / "y.npy"),),
        (np.load(tmp_path / "X.npy", mmap_mode="r"), y),
        (np.load(tmp_path / "X.npy", mmap_mode="c"), y),
    ]
    results = []
    for source in sources:
        model = model_of("neuron", dtype)
        gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=shuffle).fit(*source, epochs=2)
        results.append(model.parameters)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


OTHER_TARGETS = {
    "float64": lambda values: values,
    "float16": lambda values: values.astype("float16"),
    "int8": lambda values: values.astype("int8"),
    "other byte order": lambda values: values.astype(">f8"),
    "every other": lambda values: np.repeat(values.astype("float32"), 2)[::2],
}
SHAPES = {"fours": (5, 1), "rows": (170, 1), "batches": (5, 16), "batches of wide rows": (170, 16)}


@pytest.mark.skipif(bool(config.BOUNDSCHECK), reason="checks are other code in each order, which may round otherwise")
@pytest.mark.parametrize("kind", OTHER_TARGETS)
@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=() if shape == "fours" else pytest.mark.slow) for shape in SHAPES]
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_targets_converted_with_each_block_train_to_the_same_bits(kind, shape, shuffle, rng, monkeypatch):
    """And weights, in windows of chunks as in one permutation."""
    n_features, batch_size = SHAPES[shape]
    X = rng.standard_normal((1000, n_features)).astype("float32")
    y, weights = (OTHER_TARGETS[kind](rng.integers(0, 3, 1000).astype("float64")) for _ in range(2))
    options = {"optimizer": gd.SGD(0.001), "batch_size": batch_size, "shuffle": shuffle, "seed": 1}
    monkeypatch.setattr(datasets, "_SAMPLES_PER_ORDER", 300)
    for at_random in (0, 1 << 20):
        monkeypatch.setattr(shuffles, "FEATURES_AT_RANDOM", at_random)
        results = []
        for limit in (1 << 20, 0):
            monkeypatch.setattr(datasets, "_CONVERTED_BYTES", limit)
            monkeypatch.setattr(datasets, "_MAPPED_BYTES", 300 * 4 * n_features if limit == 0 else 32 << 20)
            model = gd.Model([gd.Linear(n_features, 1)], dtype="float32")
            trainer = gd.Trainer(model, **options)
            trainer.fit(X, y, epochs=2, sample_weight=weights)
            results.append([*model.parameters, *(record.loss for record in trainer.history)])
        assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_bad_targets_converted_with_each_block_are_named(name, shuffle, rng, monkeypatch):
    monkeypatch.setattr(datasets, "_CONVERTED_BYTES", 0)
    monkeypatch.setattr(datasets, "_SAMPLES_PER_ORDER", 300)
    given = {"y": np.ones(1000), "sample_weight": np.ones(1000)}
    given[name][765] = np.nan
    trainer = gd.Trainer(gd.Model([gd.Linear(5, 1)]), shuffle=shuffle)
    with pytest.raises(ValueError, match=rf"^{name} holds nan \(as float32\) in row 765"):
        trainer.fit(rng.random((1000, 5), np.float32), **given)


def test_releasing_a_map_undoes_no_changes(tmp_path):
    """Pages of a copy-on-write map hold what the caller wrote."""
    np.save(tmp_path / "X.npy", np.ones((5000, 5)))
    X = np.load(tmp_path / "X.npy", mmap_mode="c")
    X[:] = 2
    gd.Trainer(model_of("neuron")).fit(X, np.ones(5000), epochs=1)
    assert (np.asarray(X) == 2).all()


def test_save_writes_what_numpy_reads(tmp_path, rng, dtype):
    data = gd.data.ArrayDataset(rng.random((100, 3)).astype(dtype), np.arange(100), rng.random(100))
    data.save(tmp_path / "new" / "folder")
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["X.npy", "sample_weight.npy", "y.npy"]
    X, y, weight = (np.load(tmp_path / "new" / "folder" / f"{name}.npy") for name in ("X", "y", "sample_weight"))
    np.testing.assert_array_equal(X, data.X)
    np.testing.assert_array_equal(y, np.arange(100)[:, None])
    np.testing.assert_array_equal(weight, data.sample_weight.astype(dtype))
    reopened = gd.data.open(tmp_path / "new" / "folder")
    np.testing.assert_array_equal(reopened.sample_weight, weight)


def test_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    data = gd.data.synthetic(10, 3)
    monkeypatch.setattr(type(data), "read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        data.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_open_refuses(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((3, 2)))
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    (tmp_path / "broken.npy").write_text("no array")
    (tmp_path / "X.txt").write_text("no array")
    for path, message in (
        ("X.txt", r"ends in '\.txt'; expected one of .*\.npy"),
        ("objects.npy", r"holds Python objects.*expected numbers, or strings as saved by np.save"),
        ("broken.npy", "cannot be read as a .npy array of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            gd.data.open(tmp_path / path)
    with pytest.raises(FileNotFoundError):
        gd.data.open(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"brings its own y\.npy"):
        gd.data.open(tmp_path, target=tmp_path / "X.npy")


class Squares(gd.Dataset):
    """The least that a source of one's own must do."""

    n_samples, n_features, n_outputs, dtype = 100, 2, 1, np.dtype("float64")

    def read(self, rows, out):
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        out.X[:, 0], out.X[:, 1] = rows / 100, (rows / 100) ** 2
        out.y[:, 0] = rows / 10


def test_a_data_set_of_ones_own():
    model = gd.Model([gd.Linear(2, 1)], dtype="float64")
    gd.Trainer(model, optimizer=gd.SGD(0.1), shuffle=True).fit(Squares(), epochs=50, validation=Squares())
    assert model.loss(Squares()) < 0.01
    assert model.predict(Squares()).shape == (100, 1)


def test_bell_variance_is_exact():
    """Of three uniform integers of 10 bits, divided by 512; noise_loss stands on it."""
    assert 3 * np.var(np.arange(1024.0)) / 512**2 == VARIANCE
    assert gd.data.synthetic(1, 1, noise=1).noise_loss == VARIANCE / 2


def test_noise_is_independent_of_the_features_and_between_outputs():
    options = {"n_outputs": 3, "hidden": (4,), "seed": 7, "dtype": "float64"}
    X, y = gd.data.synthetic(50_000, 3, noise=0.5, **options).arrays()
    clean = gd.data.synthetic(50_000, 3, noise=0, **options).arrays()[1]
    np.testing.assert_allclose(np.cov(X.T, (y - clean).T), np.diag([1, 1, 1, 0.25, 0.25, 0.25]), atol=0.02)


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("mean_and_scale", [None, (np.array([1.0, -2.0]), np.array([0.5, 4.0]))])
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_of_some_rows_are_taken_without_a_look_at_features(is_nested, mean_and_scale, weighted, rng):
    y, weight = rng.standard_normal((50, 2)), rng.uniform(0, 2, 50) if weighted else None
    data, rows = gd.data.ArrayDataset(np.ones((50, 3)), y, weight), rng.permutation(50)[:20]
    data.X = None
    part = Subset(data, rows)
    if is_nested:
        part, rows = Subset(part, np.array([3, 1, 7])), rows[[3, 1, 7]]
    found = part.targets(np.dtype(np.float32), mean_and_scale)
    mean, scale = (0, 1) if mean_and_scale is None else mean_and_scale
    np.testing.assert_array_equal(found.y, ((y[rows] - mean) * scale).astype(np.float32))
    np.testing.assert_array_equal(found.sample_weight, weight[rows].astype(np.float32) if weighted else [])
    assert found.X.shape == (0, 3)
