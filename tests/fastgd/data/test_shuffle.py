"""Shuffled epochs: the permutation against its docstring in plain Python, and that training follows it."""

import itertools

import numpy as np
import pytest
from cases import rows_for
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastgd as gd
from fastgd.data import reader as dataset
from fastgd.data import shuffle
from fastgd.data.shuffle import Shuffle
from fastgd.kernels import Layout, shuffle_windows

BITS = 2**64 - 1
AT_RANDOM = 2**20


def mix(z):
    """SplitMix64's output function."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
    return z ^ (z >> 31)


def subkey(a, b):
    return mix((a + b * 0x9E3779B97F4A7C15) & BITS)


def power_of_two_up_to(number, least):
    power = least
    while 2 * power <= number:
        power *= 2
    return power


def windows_in_order(n_samples, n_features, seed, epoch):
    """The rows of each window, chunk after chunk; how many a full window has; and the key of the windows."""
    rng = np.random.default_rng([seed, epoch])
    n_features = max(n_features, 16)
    features = 4096 if n_features <= 64 else 8192 if n_features <= 512 else 16384
    micro_batch_rows = power_of_two_up_to(features / n_features, 1)
    window_rows = power_of_two_up_to(65536 / n_features, 2)
    n_windows, n_parts = -(-n_samples // window_rows), window_rows // micro_batch_rows
    chunks = rng.permuted(np.arange(n_parts * n_windows).reshape(n_parts, n_windows), axis=1)
    windows = [
        [row for c in mine for row in range(c * micro_batch_rows, min((c + 1) * micro_batch_rows, n_samples))]
        for mine in chunks.T.tolist()
    ]
    return windows, window_rows, int(rng.integers(2**64, dtype=np.uint64))


def full_window(n, key):
    """Where each place of a window of n = 2**bits rows takes its row from."""
    shift, q = n.bit_length() // 2, np.arange(n)
    for r in range(4):
        a, c = subkey(key, 2 * r) | 1, subkey(key, 2 * r + 1)
        q = (a % n * q + c % n) % n
        q ^= q >> shift
    return q.tolist()


def short_window(n, key):
    """The same for fewer rows."""
    places = list(range(n))
    for k in range(n - 1, 0, -1):
        other = (k + 1) * (subkey(key, k) >> 32) >> 32
        places[k], places[other] = places[other], places[k]
    return places


def by_hand(n_samples, n_features, seed, epoch, at_random=AT_RANDOM):
    if n_samples * n_features <= at_random:
        return np.random.default_rng([seed, epoch]).permutation(n_samples).tolist()
    windows, window_rows, key = windows_in_order(n_samples, n_features, seed, epoch)
    order = []
    for number, rows in enumerate(windows):
        places = (full_window if len(rows) == window_rows else short_window)(len(rows), subkey(key, number))
        order += [rows[place] for place in places]
    return order


@st.composite
def large_sizes(draw, least_features=60):
    """(n_samples, n_features) of data sets that are shuffled by chunks, which may be one row long."""
    n_features = draw(st.integers(least_features, 5000) | st.sampled_from([256, 512, 1024, 2048, 4096, 4097, 100_000]))
    fewest = AT_RANDOM // n_features + 1
    return draw(st.integers(fewest, fewest + fewest // 2 + 70)), n_features


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50)
@given(large_sizes(), SEEDS, st.integers(0, 50))
@example((20 * 32, 2048), 0, 0)
@example((1, AT_RANDOM + 1), 0, 0)
@example((66_000, 16), 0, 0)
@example((70_000, 15), 0, 0)
@example((17_000, 64), 0, 0)
@example((17_000, 65), 0, 0)
@example((2100, 512), 0, 0)
@example((2100, 513), 0, 0)
@example((65, 16_384), 0, 0)
@example((65, 16_385), 0, 0)
@example((33, 32_769), 0, 0)
def test_order_is_the_documented_one(sizes, seed, epoch):
    order = Shuffle(*sizes, seed, epoch).rows(0, sizes[0])
    assert order.dtype == np.int64
    assert order.tolist() == by_hand(*sizes, seed, epoch)


@given(large_sizes(least_features=9), SEEDS)
def test_order_is_a_permutation_of_windows(sizes, seed):
    """Also where chunks are missing at the end of the data, and the last one is shorter."""
    n_samples = sizes[0]
    order = Shuffle(*sizes, seed, 0).rows(0, n_samples)
    start = 0
    for window in windows_in_order(*sizes, seed, 0)[0]:
        np.testing.assert_array_equal(np.sort(order[start : start + len(window)]), np.sort(window))
        start += len(window)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_samples))


def test_windows_take_a_chunk_of_each_part_of_the_data():
    # Windows of 512 rows are chunks of 64 from each of eight parts.
    n_samples = 512 * 190
    windows = Shuffle(n_samples, 100, 1, 0).rows(0, n_samples).reshape(-1, 512)
    for window in windows:
        assert np.bincount(window * 8 // n_samples, minlength=8).tolist() == [64] * 8
    # And they do not come in the order of the data.
    first_of_part = windows.min(axis=1)
    assert abs(np.corrcoef(first_of_part, np.arange(190))[0, 1]) < 0.3


def test_short_windows_may_stand_anywhere(monkeypatch):
    """Those of which a chunk is missing, and the one of which it is shorter."""
    monkeypatch.setattr(shuffle, "FEATURES_AT_RANDOM", 0)
    # Two chunks of 16 rows are missing, and one is seven rows short.
    n_samples, n_features, places = 4 * 64 - 39, 1000, set()
    for seed in range(300):
        windows = windows_in_order(n_samples, n_features, seed, 0)[0]
        places.add(tuple(64 - len(window) for window in windows))
        order = Shuffle(n_samples, n_features, seed, 0).rows(0, n_samples)
        assert order.tolist() == by_hand(n_samples, n_features, seed, 0, at_random=0)
    assert places == set(itertools.permutations((16, 16, 7, 0)))


@pytest.mark.parametrize("n_samples", [1, 15, 16, 17, 47, 48, 63, 64, 65, 66, 90])
def test_few_windows(n_samples, monkeypatch):
    """Of 64 rows, in four parts: some parts may be missing, or short of several chunks."""
    monkeypatch.setattr(shuffle, "FEATURES_AT_RANDOM", 0)
    for seed in range(20):
        order = Shuffle(n_samples, 1000, seed, 0).rows(0, n_samples)
        assert order.tolist() == by_hand(n_samples, 1000, seed, 0, at_random=0)


def test_windows_stay_inside_their_rows():
    """A whole window, one of which a chunk is missing, and one with a shorter chunk."""
    begins = np.array([[8, 20], [0, 28], [4, 24]])
    layout = Layout(begins, np.array([0, 8, 12, 19]), 27, 2, 3)
    rows, places = np.full(35, -1), np.full(24, 77, np.uint32)
    shuffle_windows(layout, np.uint64(5), 0, places[8:16], rows[8:27])
    parts = [sorted(part.tolist()) for part in np.split(rows[8:27], [8, 12])]
    assert parts == [[8, 9, 10, 11, 20, 21, 22, 23], [0, 1, 2, 3], [4, 5, 6, 7, 24, 25, 26]]
    assert sorted(places[8:16].tolist()) == list(range(8))
    assert (np.delete(rows, np.s_[8:27]) == -1).all()
    assert (np.delete(places, np.s_[8:16]) == 77).all()
    again = np.empty(11, np.int64)
    shuffle_windows(layout, np.uint64(5), 1, places[8:16], again)
    np.testing.assert_array_equal(again, rows[16:27])


@given(st.integers(1, 2000), st.integers(1, 500), SEEDS, st.integers(0, 50))
def test_small_data_is_permuted_as_a_whole(n_samples, n_features, seed, epoch):
    order = Shuffle(n_samples, n_features, seed, epoch).rows(0, n_samples)
    np.testing.assert_array_equal(order, np.random.default_rng([seed, epoch]).permutation(n_samples))


@pytest.mark.parametrize(("n_samples", "n_features"), [(AT_RANDOM, 1), (1024, 1024), (1, AT_RANDOM)])
def test_small_ends_at_two_to_the_twenty_features(n_samples, n_features):
    whole = np.random.default_rng([7, 0]).permutation(n_samples)
    np.testing.assert_array_equal(Shuffle(n_samples, n_features, 7, 0).rows(0, n_samples), whole)
    larger = Shuffle(n_samples + 1, n_features, 7, 0).rows(0, n_samples + 1)
    np.testing.assert_array_equal(np.sort(larger), np.arange(n_samples + 1))
    if n_samples > 1:
        assert (larger != np.random.default_rng([7, 0]).permutation(n_samples + 1)).any()


@pytest.mark.slow
@given(large_sizes(), SEEDS, st.data())
def test_parts_are_those_of_the_whole(sizes, seed, data):
    n_samples = sizes[0]
    order = Shuffle(*sizes, seed, 1)
    # The next call overwrites what the last one gave.
    whole = order.rows(0, n_samples).copy()
    for _ in range(5):
        start, stop = sorted(data.draw(st.tuples(st.integers(0, n_samples), st.integers(0, n_samples))))
        rows, later = order.rows_and_prefetches(start, stop)
        np.testing.assert_array_equal(rows, whole[start:stop])
        assert rows.dtype == later.dtype == np.int64
        assert len(later) == len(rows)
        assert ((later >= 0) & (later < n_samples)).all()


@pytest.mark.parametrize("n_features", [1000, 512, 64])
def test_later_rows_are_those_one_window_later(n_features):
    n_samples = 6_000_000 // n_features + 7
    windows, window_rows, _ = windows_in_order(n_samples, n_features, 3, 0)
    order = Shuffle(n_samples, n_features, 3, 0)
    whole = order.rows(0, n_samples).copy()
    starts = np.append(0, np.cumsum([len(window) for window in windows]))
    for start, stop in ((0, n_samples), (100, 700), (window_rows, 3 * window_rows), (n_samples - 500, n_samples)):
        _, later = order.rows_and_prefetches(start, stop)
        # Up to the end of the window after the last one of these rows.
        end = starts[min(np.searchsorted(starts, stop - 1, side="right") + 1, len(starts) - 1)]
        expected = whole[start + window_rows : min(stop + window_rows, end)]
        np.testing.assert_array_equal(later[: len(expected)], expected)
        np.testing.assert_array_equal(later[len(expected) :], whole[end - 1])


def test_seeds_and_epochs_differ():
    sizes = 3000, 1000
    orders = {tuple(Shuffle(*sizes, seed, epoch).rows(0, 3000)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("n_samples", [9, 16], ids=["short window", "full window"])
def test_every_row_may_stand_anywhere(n_samples, monkeypatch):
    """Over many seeds each place of a window takes each of its rows about equally often."""
    monkeypatch.setattr(shuffle, "FEATURES_AT_RANDOM", 0)
    n_seeds = 3000
    counts = np.zeros((n_samples, n_samples))
    for seed in range(n_seeds):
        counts[np.arange(n_samples), Shuffle(n_samples, 4096, seed, 0).rows(0, n_samples)] += 1
    mean = n_seeds / n_samples
    assert np.abs(counts - mean).max() < 5 * np.sqrt(mean)


LOOPS = {"by fours": (110, 1), "row by row": (1100, 1), "in batches": (1100, 7)}


def large_problem(n_features, layers=(), dtype="float64"):
    """A model, and rows enough to be shuffled by chunks."""
    model = gd.Model([gd.Linear(n_features, 1 if not layers else 4), gd.ReLU(), *layers], dtype=dtype)
    X, y, _ = rows_for(model, AT_RANDOM // n_features + 77)
    return model, X, y, gd.SGD(0.2 / n_features)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("samples_per_order", [1 << 18, 256])
def test_neuron_trains_in_the_order_in_place(loop, samples_per_order, monkeypatch):
    monkeypatch.setattr(dataset, "_SAMPLES_PER_ORDER", samples_per_order)
    n_features, batch_size = LOOPS[loop]
    model, X, y, optimizer = large_problem(n_features)
    twin, copied = (large_problem(n_features)[0] for _ in range(2))
    settings = {"optimizer": optimizer, "batch_size": batch_size}
    gd.Trainer(model, shuffle=True, seed=5, **settings).fit(X, y, epochs=2)
    gd.Trainer(copied, shuffle=True, seed=5, **settings).fit(np.asfortranarray(X), y, epochs=2)
    trainer = gd.Trainer(twin, **settings)
    for epoch in range(2):
        order = by_hand(*X.shape, 5, epoch)
        trainer.fit(X[order], y[order])
    np.testing.assert_array_equal(copied.parameters, twin.parameters)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-10, atol=1e-12)


def test_network_trains_in_the_order():
    """Gathered, from rows and from columns."""
    results = []
    for arrange in (np.ascontiguousarray, np.asfortranarray):
        model, X, y, optimizer = large_problem(1100, [gd.Linear(4, 1)])
        gd.Trainer(model, optimizer=optimizer, batch_size=7, shuffle=True, seed=5).fit(arrange(X), y)
        results.append(model.parameters)
    twin, X, y, optimizer = large_problem(1100, [gd.Linear(4, 1)])
    order = by_hand(*X.shape, 5, 0)
    gd.Trainer(twin, optimizer=optimizer, batch_size=7).fit(X[order], y[order])
    for result in results:
        np.testing.assert_array_equal(result, twin.parameters)


def test_bad_row_of_a_large_shuffled_epoch_is_named():
    model, X, y, optimizer = large_problem(1100)
    X[613, 9] = np.nan
    with pytest.raises(ValueError, match=r"X holds nan .* in row 613, column 9"):
        gd.Trainer(model, optimizer=optimizer, shuffle=True).fit(X, y)
