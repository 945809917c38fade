"""Pages of memory-mapped files: which are given back, and when."""

import sys
from pathlib import Path

import numpy as np
import pytest

import fastgd as gd
from fastgd.data import maps
from fastgd.data import reader as datasets
from fastgd.data.reader import Reader, blocks
from fastgd.data.shuffle import Shuffle
from fastgd.data.subset import Subset

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads what is resident as Linux reports it")

N_ROWS, N_FEATURES = 40_000, 50
FLOAT32 = np.dtype("float32")


def resident(array):
    """Bytes of the map that an array lies in which are the process's own."""
    while not isinstance(array, np.memmap):
        array = array.base
    address, mine = array.ctypes.data, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if "-" in name:
            begin, end = (int(part, 16) for part in name.split("-"))
            mine = begin <= address < end
        elif mine and name == "Rss:":
            return int(rest[0]) << 10
    raise AssertionError("the array lies in no map")


def mapped(folder):
    """A data set of maps of which nothing is resident."""
    return gd.data.ArrayDataset(*(gd.data.map_array(folder / f"{name}.npy") for name in ("X", "y", "sample_weight")))


@pytest.fixture
def files(tmp_path, rng):
    """X, y and weights in files."""
    X, y = rng.random((N_ROWS, N_FEATURES), np.float32), rng.random(N_ROWS, np.float32)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(X))
    gd.data.ArrayDataset(X, y, y).save(tmp_path)
    return tmp_path


def touched(data):
    for array in (data.X, data.y, data.sample_weight):
        np.asarray(array).sum()
    return data


def all_resident(data):
    return [resident(array) for array in (data.X, data.y, data.sample_weight)]


def test_a_part_is_given_back_at_once(files):
    data = touched(mapped(files))
    before = all_resident(data)
    data.release(0, N_ROWS // 2)
    assert 0.4 < resident(data.X) / before[0] < 0.6
    assert [after < size for after, size in zip(all_resident(data), before, strict=True)] == [True] * 3
    np.testing.assert_array_equal(data.X[:3], np.load(files / "X.npy")[:3])


@pytest.mark.parametrize("most", [1 << 20, 1 << 30])
def test_all_is_given_back_once_it_is_much(most, files, monkeypatch):
    monkeypatch.setattr(maps, "_MOST_BYTES", most)
    data = touched(mapped(files))
    before = all_resident(data)
    data.release(0, N_ROWS)
    assert all_resident(data) == ([0, 0, 0] if most == 1 << 20 else before)


LAYOUTS = {
    "Fortran": lambda files: np.load(files / "fortran.npy", mmap_mode="r"),
    "columns": lambda files: np.load(files / "X.npy", mmap_mode="r")[:, 3:40],
    "backwards": lambda files: np.load(files / "X.npy", mmap_mode="r")[::-1, ::-1],
}


@pytest.mark.parametrize("part", [1 << 16, 1 << 30])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_given_back(layout, part, files, monkeypatch):
    """Whether its rows lie close together or all over the file."""
    monkeypatch.setattr(maps, "_MOST_BYTES", 1 << 16)
    monkeypatch.setattr(maps, "_PART_BYTES", part)
    X = LAYOUTS[layout](files)
    data = gd.data.ArrayDataset(X, np.zeros(N_ROWS))
    assert data.is_mapped
    assert not data.is_in_memory
    for _, block in blocks(data, FLOAT32):
        block.X.sum()
    assert resident(X) < 1 << 19


def test_a_copy_of_a_map_is_in_memory(files):
    X = np.load(files / "X.npy", mmap_mode="r")
    for copy in (X[[3, 5, 7]], np.array(X), np.load(files / "X.npy", mmap_mode="c")):
        assert gd.data.ArrayDataset(copy, np.zeros(len(copy))).is_in_memory


def shuffled(data):
    reader = Reader(data, FLOAT32, in_place=True)
    reader.order = Shuffle(data.n_samples, data.n_features, 0, 0)
    return reader


def test_a_shuffled_read_of_a_map_is_bounded(files, monkeypatch):
    monkeypatch.setattr(datasets, "_MAPPED_BYTES_PER_ORDER", 100 * N_FEATURES * 4)
    data = mapped(files)
    assert shuffled(data).max_rows == 100
    X, y = data.arrays()
    assert shuffled(gd.data.ArrayDataset(X, y)).max_rows > N_ROWS


def read_all(reader):
    for start in range(0, N_ROWS, 1000):
        block = reader.read(start, start + 1000)
        block.gathered(FLOAT32)
        reader.release(start, start + 1000)


@pytest.mark.parametrize("is_part", [False, True])
def test_shuffled_rows_are_given_back_with_their_reader(is_part, files, monkeypatch):
    monkeypatch.setattr(maps, "_MOST_BYTES", 1 << 20)
    data = mapped(files)
    reader = shuffled(Subset(data, np.arange(N_ROWS)) if is_part else data)
    read_all(reader)
    assert resident(data.X) > 7 << 20
    del reader
    assert all_resident(data) == [0, 0, 0]


@pytest.mark.parametrize("is_part", [False, True])
def test_shuffled_rows_are_given_back_when_they_fill_the_memory(is_part, files, monkeypatch):
    monkeypatch.setattr(maps, "_MOST_BYTES", 1 << 19)
    monkeypatch.setattr(datasets, "_PART_OF_MEMORY", maps.memory_bytes() >> 20)
    data = mapped(files)
    reader = shuffled(Subset(data, np.arange(N_ROWS)) if is_part else data)
    read_all(reader)
    assert all(size < 7 << 20 for size in all_resident(data))


def test_a_subset_gives_back_what_lies_between_its_rows(files):
    data = touched(mapped(files))
    before = resident(data.X)
    Subset(data, np.array([15_000, 7, 20_007, 12_000, 39_999])).release(0, 4)
    assert 0.4 < resident(data.X) / before < 0.6


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "case", ["as it is", *(pytest.param(each, marks=pytest.mark.slow) for each in ("halves", "of rows", "fortran"))]
)
def test_a_file_that_becomes_shorter(case, shuffle, files, monkeypatch):
    """An error, and no signal, wherever the map is used next."""
    monkeypatch.setattr(datasets, "_MAPPED_BYTES", 1000 * N_FEATURES * 4)
    monkeypatch.setattr(datasets, "_MAPPED_BYTES_PER_ORDER", 1000 * N_FEATURES * 4)
    name = "fortran.npy" if case == "fortran" else "X.npy"
    data = gd.data.ArrayDataset(gd.data.map_array(files / name), gd.data.map_array(files / "y.npy"))
    data = Subset(data, np.arange(N_ROWS - 5)) if case == "of rows" else data
    model = gd.Model([gd.Linear(N_FEATURES, 1)], dtype="float64" if case == "halves" else "float32")
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-4), batch_size=16, shuffle=shuffle, n_threads=2)
    trainer.fit(data)
    learnt = model.parameters.copy()
    with (files / name).open("r+b") as file:
        file.truncate(N_ROWS * N_FEATURES // 2)
    with pytest.raises(ValueError, match=rf"{name} has 1000000 bytes.*stay as they are") as raised:
        trainer.fit(data)
    assert "while fastgd read rows 0 to" in raised.value.__notes__[0]
    np.testing.assert_array_equal(model.parameters, learnt)
