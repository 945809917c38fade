"""SIMD vectors: load, convert, store and horizontal sum, for any number of elements, within the memory given."""

import sys

import numba
import numpy as np
import pytest
from protected import run_with_protected_memory

from fastgd.kernels import HalfPrecision, converts_halves
from fastgd.kernels.codegen.simd import (
    broadcast,
    broadcast_like,
    clipped,
    horizontal_sum,
    load,
    simd_vector_for,
    store,
    vector_width,
)

SOURCES = ["float16", "float32", "float64", "bool"]
SOURCES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
USUAL = {("float32", "float16"), ("float32", "uint8"), ("float32", "float32"), ("float64", "int64")}


@numba.njit
def copy_vector(array, begin, n, out, at, m):
    """Load n elements and store m of them; also the vector's width and the sum of those loaded."""
    zero = out.dtype.type(0)
    vector = load(array, begin, n, zero)
    store(out, at, m, vector)
    return vector_width(zero), horizontal_sum(vector)


@numba.njit
def combine(a, b, limit, out):
    """Rows of out: a + b, a - b, a b, a limited, a number broadcast; whole registers."""
    zero = out.dtype.type(0)
    count = vector_width(zero)
    x, y = load(a, 0, count, zero), load(b, 0, count, zero)
    added, less, times = x, x, x
    added += y
    less -= y
    times *= y
    store(out, 0, count, x + y)
    store(out, count, count, x - y)
    store(out, 2 * count, count, x * y)
    store(out, 3 * count, count, clipped(x, broadcast(limit)))
    store(out, 4 * count, count, broadcast(limit))
    store(out, 5 * count, count, added)
    store(out, 6 * count, count, less)
    store(out, 7 * count, count, times)


def loadable(array):
    """The array as the loops are given it."""
    if array.dtype == np.float16:
        return HalfPrecision(array.view(np.uint16))
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def count_of(dtype):
    return copy_vector(np.zeros(64, dtype), 0, 0, np.zeros(64, dtype), 0, 0)[0]


def extremes(source):
    """Numbers at the edges of a dtype, and common ones."""
    dtype = np.dtype(source)
    if dtype.kind == "b":
        return np.array([False, True, True, False])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        numbers = [0, -0.0, 1, -1, 0.1, info.max, info.min, info.tiny, info.smallest_subnormal, np.inf, -np.inf, np.nan]
        return np.array(numbers, dtype)
    info = np.iinfo(dtype)
    return np.array([0, 1, 3, info.max, info.max - 1, info.min, info.min // 2, info.max // 2 + 1], dtype)


def types():
    for dtype in ("float32", "float64"):
        for source in SOURCES:
            marks = [] if (dtype, source) in USUAL else [pytest.mark.slow]
            if source == "float16":
                marks.append(pytest.mark.skipif(not converts_halves(), reason="the processor cannot load it"))
            yield pytest.param(dtype, source, marks=marks, id=f"{source} as {dtype}")


@pytest.mark.parametrize(("dtype", "source"), list(types()))
def test_load_converts_as_numpy_does(dtype, source):
    values = extremes(source)
    count = count_of(dtype)
    array = np.resize(values, max(len(values), count) + count)
    with np.errstate(over="ignore"):
        expected = array.astype(dtype)
    for begin in range(len(values)):
        out = np.zeros(count, dtype)
        copy_vector(loadable(array), begin, count, out, 0, count)
        np.testing.assert_array_equal(out, expected[begin : begin + count])
        np.testing.assert_array_equal(np.signbit(out), np.signbit(expected[begin : begin + count]))


@pytest.mark.parametrize(("dtype", "source"), list(types()))
def test_only_n_elements_are_loaded_stored_and_added(dtype, source, rng):
    count = count_of(dtype)
    # A whole vector, from the last place where one begins.
    size = count + 3 + count
    values = np.arange(1, size + 1).astype(source)
    sentinel = np.dtype(dtype).type(-77)
    for n in range(count + 1):
        for begin in (0, 1, count + 3):
            array = values.copy()
            beyond = [i for i in range(len(array)) if not begin <= i < begin + n]
            array[beyond] = np.nan if array.dtype.kind == "f" else extremes(source)[1]
            # What is loaded, whole: zeros beyond n.
            out = np.full(size, sentinel)
            _, added = copy_vector(loadable(array), begin, n, out, 1, count)
            np.testing.assert_array_equal(out[1 : n + 1], values[begin : begin + n].astype(dtype))
            np.testing.assert_array_equal(out[n + 1 : count + 1], 0)
            assert (out[[0, *range(count + 1, size)]] == sentinel).all()
            assert added == values[begin : begin + n].astype(dtype).sum()
            # What is stored of a whole vector: n elements.
            out[:] = sentinel
            copy_vector(loadable(values), begin, count, out, begin, n)
            np.testing.assert_array_equal(out[begin : begin + n], values[begin : begin + n].astype(dtype))
            assert (np.delete(out, range(begin, begin + n)) == sentinel).all()


def test_a_matrix_is_one_flat_sequence():
    matrix = np.arange(120, dtype=np.float32).reshape(8, 15)
    out = np.zeros(16, np.float32)
    copy_vector(matrix, 14, 3, out, 0, 3)
    np.testing.assert_array_equal(out[:3], [14, 15, 16])


def test_count_is_the_register_s():
    assert count_of("float32") == 2 * count_of("float64")
    assert count_of("float32") in (4, 8, 16)


def test_arithmetic(dtype, rng):
    number = np.dtype(dtype).type
    count = count_of(dtype)
    a, b = (3 * rng.standard_normal((2, count))).astype(dtype)
    for limit in (number(1.5), number(0), number(np.inf)):
        out = np.full((8, count), np.nan, dtype)
        combine(a, b, limit, out.reshape(-1))
        expected = [a + b, a - b, a * b, np.clip(a, -limit, limit), np.full(count, limit), a + b, a - b, a * b]
        np.testing.assert_array_equal(out, expected)


@numba.njit
def vector_for_rows(a, out):
    """Write twice the first elements of a, plus one; return how many there are, and the sum of all but the last."""
    zero = simd_vector_for(a, out.dtype.type(0))
    count = vector_width(zero)
    vector = load(a, 1, count, zero)
    vector += vector + broadcast_like(zero, out.dtype.type(1))
    store(out, 1, count, vector)
    return count, horizontal_sum(load(a, 1, count - 1, zero))


@pytest.mark.parametrize("source", ["float32", "float64", "uint8", "int16", "int64"])
def test_loads_for_rows_are_of_at_most_32_bytes(source, dtype, rng):
    a = rng.integers(0, 9, 32).astype(source)
    out = np.zeros(32, dtype)
    count, added = vector_for_rows(a, out)
    assert count == min(count_of(dtype), 32 // a.itemsize)
    assert added == a[1:count].sum()
    np.testing.assert_array_equal(out, np.where((np.arange(32) >= 1) & (np.arange(32) <= count), 2.0 * a + 1, 0))


def test_clipped_limits_every_number(dtype):
    """NaN too: the weights are inspected, not what is taken off them."""
    count = count_of(dtype)
    a = np.resize(np.array([np.inf, -np.inf, np.nan, 2, -2, 0.5, -0.0], dtype), max(count, 7))
    for begin in range(0, len(a) - count + 1, count):
        part = np.ascontiguousarray(a[begin : begin + count])
        out = np.empty((8, count), dtype)
        combine(part, part, np.dtype(dtype).type(1.5), out.reshape(-1))
        numbers = ~np.isnan(part)
        np.testing.assert_array_equal(out[3][numbers], np.clip(part, -1.5, 1.5)[numbers])
        assert (np.abs(out[3][~numbers]) == 1.5).all()


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_horizontal_sum_shows_what_is_not_finite(spoilt, dtype):
    count = count_of(dtype)
    for place in range(count):
        array = np.ones(count, dtype)
        array[place] = spoilt
        _, added = copy_vector(array, 0, count, np.empty(count, dtype), 0, count)
        np.testing.assert_equal(added, np.dtype(dtype).type(spoilt))


AT_THE_END = """
import numpy as np
import fastgd as gd
from protected import assert_protected, at_the_end

assert_protected()
for n_samples, n_features, batch_size in ((9, 5, 1), (7, 17, 1), (4, 131, 1), (7, 5, 4), (6, 19, 6)):
    for shuffle in (False, True):
        rng = np.random.default_rng(n_samples)
        data = [rng.standard_normal((n_samples, n)).astype("float32") for n in (n_features, 1)]
        data.append(rng.uniform(0, 1, n_samples).astype("float32"))
        results = []
        for arrays in (data, [at_the_end(array) for array in data]):
            model = gd.Model([gd.Linear(n_features, 1), gd.ReLU()])
            trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=shuffle)
            trainer.fit(*arrays[:2], sample_weight=arrays[2])
            results.append(model.parameters)
        np.testing.assert_array_equal(*results)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages as Linux does")
def test_training_reads_nothing_beyond_its_rows():
    run_with_protected_memory(AT_THE_END)
