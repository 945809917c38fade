"""What replicas become together, against the formula on fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastgd as gd
from fastgd.replicas import combine, even_round, rows_of_a_round

numbers = st.integers(-64, 64).map(lambda k: k / 8)


@given(
    rows=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
    outer=st.sampled_from([None, gd.replicas.Nesterov(0.75, 0.5), gd.replicas.Nesterov(1.0, 0.0)]),
    data=st.data(),
)
def test_combining_is_the_formula(rows, outer, data):
    before, velocity, *after = (data.draw(st.lists(numbers, min_size=2, max_size=2)) for _ in range(len(rows) + 2))
    gamma, mu = (1, 0) if outer is None else (Fraction(outer.learning_rate), Fraction(outer.momentum))
    delta = [
        sum(n * (Fraction(before[i]) - Fraction(w[i])) for n, w in zip(rows, after, strict=True)) / sum(rows)
        for i in range(2)
    ]
    expected_velocity = [mu * Fraction(v) + d for v, d in zip(velocity, delta, strict=True)]
    expected = [Fraction(w) - gamma * (d + mu * v) for w, d, v in zip(before, delta, expected_velocity, strict=True)]
    parameters, kept = np.array(before), np.array(velocity if outer else [])
    combine(parameters, [np.array(w) for w in after], rows, kept, outer)
    np.testing.assert_allclose(parameters, np.array(expected, float), rtol=0, atol=1e-12)
    if outer:
        np.testing.assert_allclose(kept, np.array(expected_velocity, float), rtol=0, atol=1e-12)


def test_one_that_has_trained_alone_is_the_result_to_the_bit():
    after = np.array([0.1, 1e-30, 3e30], np.float32)
    parameters = np.ones(3, np.float32)
    combine(parameters, [np.zeros(3, np.float32), after], [0, 7], np.empty(0), None)
    np.testing.assert_array_equal(parameters, after)


def test_larger_models_have_shorter_rounds():
    sizes = [1, 100, 10_000, 10**9]
    assert sorted(map(rows_of_a_round, sizes), reverse=True) == list(map(rows_of_a_round, sizes))
    assert rows_of_a_round(10**12) == 1


def test_momentum_has_rounds_enough():
    """Sixteen an epoch, or four where that costs too much, or more where what takes some milliseconds is less."""
    rows = rows_of_a_round(100)
    shares = {10_000: 2_500, rows: 156_250, 4 * rows: rows / 4, 10**9: rows}
    found = [rows_of_a_round(100, share=share) for share in shares]
    np.testing.assert_allclose(found, list(shares.values()), atol=1)
    assert rows_of_a_round(100, 0.1, 1.0, share=8 * rows) == pytest.approx(rows / 2, abs=1)


@pytest.mark.parametrize("batch_rows", [1, 7, 32])
@pytest.mark.parametrize("most", [1, 31, 384, 10**9])
@pytest.mark.parametrize("share", [1, 200, 12_511])
def test_the_rounds_of_an_epoch_are_alike(share, most, batch_rows):
    left, rounds = share, []
    while left > 0:
        rounds.append(min(even_round(left, most, batch_rows), left))
        left -= rounds[-1]
    assert max(rounds) <= max(most, batch_rows)
    assert all(size % batch_rows == 0 for size in rounds[:-1])
    # The last may lack a batch, and the rows that do not fill one.
    assert max(rounds) - min(rounds) < 2 * batch_rows
    assert len(rounds) == math.ceil(math.ceil(share / batch_rows) / max(most // batch_rows, 1))


def test_rounds_grow_as_the_rate_falls():
    whole = rows_of_a_round(100)
    found = [rows_of_a_round(100, rate, 0.5) / whole for rate in (0.5, 0.25, 0.2, 0.125, 0.01, 0.0, np.nan)]
    np.testing.assert_allclose(found, [1, 4, 6.25, 16, 16, 16, 16], rtol=1e-6)
    # While it rises, as in a warm-up, the largest so far is the rate itself; one that overflows is none.
    assert rows_of_a_round(100, 0.5, 0.5) == rows_of_a_round(100, np.inf, np.inf) == whole


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0.0, 0.5), "learning_rate"), ((1.0, 1.0), "momentum is 1.0"), ((1.0, -0.1), "momentum"), ((1, 0, 0), "rate_sc")],
)
def test_bad_numbers(numbers, message):
    with pytest.raises(ValueError, match=message):
        gd.replicas.Nesterov(*numbers)
