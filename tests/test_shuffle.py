"""Shuffled epochs: the permutation against its docstring in plain Python, and that training follows it."""

import numpy as np
import pytest
from cases import rows_for
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastgd as gd
from fastgd import dataset, shuffle
from fastgd.kernels import Layout, lay_out_chunks
from fastgd.shuffle import Shuffle

BITS = 2**64 - 1
AT_RANDOM = 2**20


def mix(z):
    """SplitMix64's output function."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
    return z ^ (z >> 31)


def subkey(a, b):
    return mix((a + b * 0x9E3779B97F4A7C15) & BITS)


def chunks_in_order(n_samples, n_features, seed, epoch):
    """All rows, chunk after chunk; how many make a full window; and the key of the windows."""
    rng = np.random.default_rng([seed, epoch])
    chunk_rows = 1
    while 2 * chunk_rows * n_features <= 4096:
        chunk_rows *= 2
    chunks = [list(range(start, min(start + chunk_rows, n_samples))) for start in range(0, n_samples, chunk_rows)]
    rows = [row for c in rng.permutation(len(chunks)) for row in chunks[c]]
    return rows, 16 * chunk_rows, int(rng.integers(2**64, dtype=np.uint64))


def by_turns(window, n_features):
    """A window's rows, of which its 16 chunks are taken piece by piece."""
    n = 4 if n_features <= 128 else 1
    pieces = np.reshape(window, (16, -1, n))
    return pieces.swapaxes(0, 1).ravel().tolist()


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
    rows, window_rows, key = chunks_in_order(n_samples, n_features, seed, epoch)
    order = []
    for window, start in enumerate(range(0, n_samples, window_rows)):
        part = rows[start : start + window_rows]
        is_full = len(part) == window_rows
        part = by_turns(part, n_features) if is_full else part
        places = (full_window if is_full else short_window)(len(part), subkey(key, window))
        order += [part[place] for place in places]
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
def test_order_is_the_documented_one(sizes, seed, epoch):
    order = Shuffle(*sizes, seed, epoch).rows(0, sizes[0])
    assert order.dtype == np.int64
    assert order.tolist() == by_hand(*sizes, seed, epoch)


@given(large_sizes(least_features=9), SEEDS)
def test_order_is_a_permutation_of_windows(sizes, seed):
    """Also where the short last chunk lies inside a window, at its end, or in the last one."""
    n_samples = sizes[0]
    order = Shuffle(*sizes, seed, 0).rows(0, n_samples)
    laid_out, window_rows, _ = chunks_in_order(*sizes, seed, 0)
    for start in range(0, n_samples, window_rows):
        window = slice(start, start + window_rows)
        np.testing.assert_array_equal(np.sort(order[window]), np.sort(laid_out[window]))
    np.testing.assert_array_equal(np.sort(order), np.arange(n_samples))


def test_short_chunk_may_stand_anywhere(monkeypatch):
    """First, last, on either side of a window's end, and everywhere else."""
    monkeypatch.setattr(shuffle, "_FEATURES_AT_RANDOM", 0)
    n_samples, n_features, places = 2 * 35 + 1, 2048, set()
    for seed in range(300):
        laid_out, _, _ = chunks_in_order(n_samples, n_features, seed, 0)
        places.add(laid_out.index(n_samples - 1) // 2)
        order = Shuffle(n_samples, n_features, seed, 0).rows(0, n_samples)
        assert order.tolist() == by_hand(n_samples, n_features, seed, 0, at_random=0)
    assert places == set(range(36))


def test_layout_stays_inside_its_rows():
    """Where a chunk's length of positions goes on into the next chunk, at the end of the array too."""
    buffer = np.full(64, -1)
    lay_out_chunks(Layout(np.array([3, 0, 2, 1]), 0, 13, 0, 2, 3), 0, buffer[8:24])
    assert buffer[8:24].tolist() == [12, 3, 0, 8, 1, 9, 2, 10, 11, 4, 5, 6, 7, 7, 7, 7]
    assert (np.delete(buffer, np.s_[8:24]) == -1).all()


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


@given(large_sizes(), SEEDS, st.data())
def test_parts_are_those_of_the_whole(sizes, seed, data):
    n_samples = sizes[0]
    order = Shuffle(*sizes, seed, 1)
    # The next call overwrites what the last one gave.
    whole = order.rows(0, n_samples).copy()
    for _ in range(5):
        start, stop = sorted(data.draw(st.tuples(st.integers(0, n_samples), st.integers(0, n_samples))))
        rows, later = order.rows_and_later(start, stop)
        np.testing.assert_array_equal(rows, whole[start:stop])
        assert rows.dtype == later.dtype == np.int64
        assert len(later) == len(rows)
        assert ((later >= 0) & (later < n_samples)).all()


@pytest.mark.parametrize("n_features", [1000, 128, 129])
def test_later_rows_are_those_of_the_next_window(n_features):
    """Each of them once, the chunks by turns."""
    n_samples = 6_000_000 // n_features + 7
    rows, window_rows, _ = chunks_in_order(n_samples, n_features, 3, 0)
    order = Shuffle(n_samples, n_features, 3, 0)
    n_full = n_samples // window_rows * window_rows
    windows = [by_turns(rows[start : start + window_rows], n_features) for start in range(0, n_full, window_rows)]
    laid_out = [*np.concatenate(windows), *rows[n_full:]]
    for start, stop in ((0, n_samples), (100, 700), (window_rows, 3 * window_rows), (n_full - 5, n_samples)):
        _, later = order.rows_and_later(start, stop)
        expected = laid_out[start + window_rows : stop + window_rows]
        np.testing.assert_array_equal(later[: len(expected)], expected)
        np.testing.assert_array_equal(later[len(expected) :], rows[-1])


def test_seeds_and_epochs_differ():
    sizes = 3000, 1000
    orders = {tuple(Shuffle(*sizes, seed, epoch).rows(0, 3000)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("n_samples", [9, 16], ids=["short window", "full window"])
def test_every_row_may_stand_anywhere(n_samples):
    """Over many seeds each place of a window takes each of its rows about equally often."""
    n_seeds = 3000
    counts = np.zeros((n_samples, n_samples))
    for seed in range(n_seeds):
        counts[np.arange(n_samples), Shuffle(n_samples, 2**17, seed, 0).rows(0, n_samples)] += 1
    mean = n_seeds / n_samples
    assert np.abs(counts - mean).max() < 5 * np.sqrt(mean)


LOOPS = {"by fours": (110, 1), "row by row": (1100, 1), "in batches": (1100, 7)}


def large_problem(n_features, layers=(), dtype="float64"):
    """A model, and rows enough to be shuffled by chunks."""
    model = gd.Model([gd.Linear(n_features, 1 if not layers else 4), gd.ReLU(), *layers], dtype=dtype)
    X, y, _ = rows_for(model, AT_RANDOM // n_features + 77)
    return model, X, y, gd.SGD(0.2 / n_features)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("samples_per_order", [1 << 16, 256])
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
