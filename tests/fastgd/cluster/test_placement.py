"""Where the rows of Dask arrays come to lie, and what is learnt of them there."""

import logging

import numpy as np
import pytest

import fastgd as gd

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
placement = pytest.importorskip("fastgd.dask.placement")
cluster = pytest.importorskip("fastgd.dask.cluster")

# What Dask leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_rows_of_one_worker_are_balanced(client, rng, caplog):
    X, y = rng.standard_normal((80, 3)), rng.standard_normal(80)
    first, second = sorted(client.scheduler_info()["workers"])
    X_there = client.persist(da.from_array(X, chunks=(20, 3)), workers=[first])
    y_there = client.persist(da.from_array(y, chunks=20), workers=[second])
    with caplog.at_level(logging.INFO, "fastgd"):
        source = cluster.source_of((X_there, y_there), client, 4)
    assert caplog.messages[-1].startswith("80 rows, in 4 blocks, lie on the workers after ")
    holders = [placement._holders(client, [blocks[k] for blocks in source.of_replicas]) for k in (0, 1)]
    assert holders[0] == holders[1] == [first, first, second, second]
    found = source.dataset.arrays()
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1][:, 0], y)


def test_an_error_in_the_arrays_is_raised(client):
    def broken(block):
        raise ValueError("no such file")

    X = da.ones((40, 2), chunks=10).map_blocks(broken, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="no such file"):
        cluster.source_of((X, da.ones(40, chunks=10)), client, 2)


def test_balance():
    """What lies well stays; else workers have as many blocks for each of their threads."""
    assert placement._balanced(["b", "a", "b", "a"], {"a": 1, "b": 1}) == ["b", "a", "b", "a"]
    assert placement._balanced(["a"] * 4, {"a": 1, "b": 3}) == ["a", "b", "b", "b"]
    assert placement._balanced(["gone", "a"], {"a": 1, "b": 1}) == ["b", "a"]
    assert placement._balanced(["a"] * 3, {"a": 1, "b": 1}) == ["a", "a", "b"]
    assert placement._balanced(["a", "a"], {}) == ["a", "a"]


def test_imbalance_is_warned_of():
    placement._warn_of_imbalance(["a", "a", "b"], {"a": 1, "b": 1})
    placement._warn_of_imbalance(["a", "b", "b", "b"], {"a": 1, "b": 3})
    with pytest.warns(gd.UsageWarning, match="3 blocks of them on a and 1 on b"):
        placement._warn_of_imbalance(["a", "a", "a", "b"], {"a": 1, "b": 1})
    with pytest.warns(gd.UsageWarning, match="1 blocks of them on a and 0 on b.* expected .* 2 replicas"):
        placement._warn_of_imbalance(["a"], {"a": 1, "b": 1})


def test_scales_are_learnt_by_the_workers(client, rng, monkeypatch):
    """As of the whole array, up to rounding; bad rows are called by their numbers."""
    X = rng.standard_normal((400, 3)) * [1, 100, 0.01] + 1e4
    v = rng.uniform(0, 2, 400)
    X[200:, 0] *= 50
    source = cluster.source_of([da.from_array(each, chunks=150) for each in (X, X[:, 0], v)], client, 3)
    monkeypatch.setattr(cluster._DaskRows, "read", None)
    here = gd.data.ArrayDataset(X, X[:, 0], v)
    for layer in (gd.Standardize(3), gd.RobustStandardize(3), gd.StandardizedTargets(1)):
        there = type(layer)(*layer.arguments().values()).fit(source.dataset)
        layer.fit(here)
        np.testing.assert_allclose([there.mean, there.scale], [layer.mean, layer.scale], rtol=1e-12)
    X[333, 1] = np.nan
    source = cluster.source_of([da.from_array(each, chunks=150) for each in (X, v)], client, 3)
    with pytest.raises(ValueError, match="row 333"):
        gd.Standardize(3).fit(source.dataset)
