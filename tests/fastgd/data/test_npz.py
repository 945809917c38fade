"""Archives of X, y and weights, as `numpy.savez` writes them."""

import numpy as np
import pytest

import fastgd as gd


@pytest.fixture
def arrays(rng):
    return {"X": rng.standard_normal((40, 3)), "y": rng.standard_normal(40), "sample_weight": rng.uniform(1, 2, 40)}


def trained(*data, **options):
    model = gd.Model([gd.Linear(3, 1)], dtype="float64")
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(*data, epochs=2, **options)
    return model.parameters


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_of_an_archive(save, arrays, tmp_path):
    path = tmp_path / "rows.npz"
    save(path, **arrays)
    expected = trained(arrays["X"], arrays["y"], sample_weight=arrays["sample_weight"])
    np.testing.assert_array_equal(trained(gd.data.open(path)), expected)
    save(path, X=arrays["X"])
    rows = gd.data.open(path)
    assert rows.n_outputs == 0
    assert gd.Model([gd.Linear(3, 1)]).predict(rows).shape == (40, 1)


def test_what_cannot_be(arrays, tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(path, X=arrays["X"], y=arrays["y"][:7])
    with pytest.raises(ValueError, match="y has"):
        gd.data.open(path)
    np.savez(path, X=arrays["X"], y=np.array([{}] * 40))
    with pytest.raises(ValueError, match=r"rows\.npz cannot be read as an archive of arrays of numbers: Object arrays"):
        gd.data.open(path)
    np.savez(path, X=arrays["X"], y=arrays["y"], weights=arrays["sample_weight"])
    with pytest.raises(ValueError, match=r"rows\.npz holds 'weights'; expected X, y and sample_weight, or some"):
        gd.data.open(path)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"target is 'y.npy', which numpy.savez's files do not take"):
        gd.data.open(path, target="y.npy")
    rows = gd.data.open(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(ValueError, match=r"rows\.npz has changed from"):
        trained(rows)
    with pytest.raises(ValueError, match=r"rows\.npz cannot be read"):
        gd.data.open(path)
    # A byte of X, which the archive's checksum covers.
    path.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    with pytest.raises(ValueError, match=r"rows\.npz cannot be read as an archive of arrays of numbers: Bad CRC"):
        gd.data.open(path)
