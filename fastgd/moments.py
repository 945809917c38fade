"""Means, deviations and quartiles of columns, learnt block by block in one pass."""

import numpy as np

from fastgd.data.block import MeanAndScale
from fastgd.data.sparse_moments import is_everywhere
from fastgd.data.two_values import TwoValues

# Numbers of less than 2^-1000 are subnormal, or soon are, when others are added to them.
_LEAST_EXPONENT = -1000
# What is no more of its mean is rounding: of 0.3 and 0.1 + 0.2, say.
_ROUNDING = 2 * np.finfo(np.float64).eps


class Moments:
    """Mean and deviation of columns whose rows come block by block, in float64.

    Blocks are joined by the formula of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979).
    """

    def __init__(self, n_columns: int) -> None:
        self._total = 0.0
        self._mean, self._squares = np.zeros(n_columns), np.zeros(n_columns)
        # Everything counts in units of 2^exponent, a power of two above all values so far, from the first row on.
        self._origin: np.ndarray | None = None
        self._exponent = np.full(n_columns, _LEAST_EXPONENT)

    def add(self, values: np.ndarray, sample_weight: np.ndarray) -> None:
        """Take a block of rows, (n_rows, n_columns), each by its weight; (0,) weights are ones."""
        X, v = values.astype(np.float64), sample_weight.astype(np.float64)
        if v.size:
            X, v = X[v > 0], v[v > 0]
        if not len(X):
            return
        largest = np.abs(X).max(axis=0)
        needed = np.where(largest > 0, np.frexp(largest)[1], _LEAST_EXPONENT)
        grown = np.clip(needed, self._exponent, -_LEAST_EXPONENT)
        if self._origin is None:
            self._origin, self._exponent = np.ldexp(X[0], -grown), grown
        else:
            self._grow(grown)
        with np.errstate(under="ignore"):
            # Counted from the first row, a column that does not vary has a deviation of exactly zero.
            X *= np.ldexp(1.0, -grown)
            X -= self._origin
            new, new_mean = (v.sum(), v @ X / v.sum()) if v.size else (len(X), X.mean(axis=0))
            X -= new_mean
            within = np.einsum("i,ij,ij->j", v, X, X) if v.size else np.einsum("ij,ij->j", X, X)
            self._join(new, new_mean, within)

    def merge(self, other: "Moments") -> None:
        """Take what another has learnt, whose rows come after those so far; it is changed, and of no more use.

        Up to rounding, this has learnt what it would have from all of them.
        """
        if self._origin is None or other._origin is None:
            if self._origin is None:
                vars(self).update(vars(other))
            return
        grown = np.maximum(self._exponent, other._exponent)
        with np.errstate(under="ignore"):
            self._grow(grown)
            other._grow(grown)
            # The difference of two rows first: where columns hardly vary it is exact.
            self._join(other._total, (other._origin - self._origin) + other._mean, other._squares)

    def _grow(self, exponent: np.ndarray) -> None:
        """Count in larger units."""
        # A power of two rounds nothing, and keeps squares from overflow.
        shrinkage = np.ldexp(1.0, self._exponent - exponent)
        self._origin = self._origin * shrinkage
        self._mean, self._squares = self._mean * shrinkage, self._squares * shrinkage * shrinkage
        self._exponent = exponent

    def _join(self, total: float, mean: np.ndarray, squares: np.ndarray) -> None:
        """Take other rows: their weight, their mean from the origin on, and the sum of squares around it."""
        shift = mean - self._mean
        self._squares += squares + shift**2 * (self._total * total / (self._total + total))
        self._mean += shift * (total / (self._total + total))
        self._total += total

    def result(self) -> MeanAndScale | None:
        """Mean and deviation, zero where its inverse would be infinite; None where no row had a weight."""
        if self._origin is None:
            return None
        deviation = np.ldexp(np.sqrt(self._squares / self._total), self._exponent)
        deviation[deviation < np.finfo(np.float64).tiny] = 0
        return np.ldexp(self._origin + self._mean, self._exponent), deviation


class FeatureMoments(Moments):
    """As `Moments`, with the difference of their values for columns of two, which become as wide as zeros and ones.

    Divided by its deviation, which is as small as a category is rare, one would count for more than any number does.
    Columns that vary no more than rounding does have a deviation of zero.
    """

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.two_values = TwoValues(n_columns)

    def add(self, values: np.ndarray, sample_weight: np.ndarray) -> None:
        """As `Moments.add`."""
        super().add(values, sample_weight)
        self.two_values.add(values[sample_weight > 0] if sample_weight.size else values)

    def merge(self, other: "FeatureMoments") -> None:
        """As `Moments.merge`."""
        two_values = self.two_values
        two_values.merge(other.two_values)
        super().merge(other)
        self.two_values = two_values

    def result(self) -> MeanAndScale | None:
        """As `Moments.result`."""
        found = super().result()
        if found is None:
            return None
        mean, deviation = found
        width = self.two_values.widths()
        scale = np.where((width > 0) & (deviation > 0), width, deviation)
        return mean, np.where(scale <= _ROUNDING * np.abs(mean), 0.0, scale)


class NonzeroMoments(FeatureMoments):
    """As `FeatureMoments`, with a mean of zero for the columns that are zero in some row."""

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self._of_entries = np.zeros(n_columns)

    def add(self, values: np.ndarray, sample_weight: np.ndarray) -> None:
        """As `Moments.add`."""
        super().add(values, sample_weight)
        v = sample_weight.astype(np.float64) if sample_weight.size else np.ones(len(values))
        self._of_entries += v @ (values != 0)

    def merge(self, other: "NonzeroMoments") -> None:
        """As `Moments.merge`."""
        of_entries = self._of_entries + other._of_entries
        super().merge(other)
        self._of_entries = of_entries

    def result(self) -> MeanAndScale | None:
        """As `Moments.result`."""
        found = super().result()
        if found is None:
            return None
        mean, deviation = found
        return np.where(is_everywhere(self._of_entries, self._total), mean, 0.0), deviation


# So many numbers are kept at most to take quartiles of, and so many rows at least.
_KEPT_NUMBERS, _FEWEST_KEPT = 1 << 23, 1 << 12


class Quartiles:
    """Median and scale of columns whose rows come block by block: those of all rows, or of as many as are kept, evenly
    spread over them.
    """

    def __init__(self, n_columns: int, n_samples: int, most_numbers: int | None = None) -> None:
        self._step = -(-n_samples // max((most_numbers or _KEPT_NUMBERS) // n_columns, _FEWEST_KEPT))
        self._seen = 0
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        self._least, self._most = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)

    def add(self, values: np.ndarray, sample_weight: np.ndarray) -> None:
        """Take a block of rows, as `Moments.add`."""
        v = sample_weight.astype(np.float64) if sample_weight.size else np.ones(len(values))
        X, v = values[v > 0], v[v > 0]
        if not len(X):
            return
        self._least, self._most = np.minimum(self._least, X.min(axis=0)), np.maximum(self._most, X.max(axis=0))
        # Rows without weight do not count, so that the first that has some is kept.
        first = -self._seen % self._step
        self._seen += len(X)
        self._kept.append((X[first :: self._step].astype(np.float64), v[first :: self._step]))

    def merge(self, other: "Quartiles") -> None:
        """Take what another, of as many samples, has kept, whose rows come after those so far."""
        self._seen += other._seen
        self._kept += other._kept
        self._least, self._most = np.minimum(self._least, other._least), np.maximum(self._most, other._most)

    def quartiles(self) -> np.ndarray | None:
        """The three quartiles, (3, n_columns); None where no row had a weight."""
        if not self._kept:
            return None
        X, v = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        # Equal weights take a selection in place of a sort.
        weights = None if (v == v[0]).all() else np.broadcast_to(v[:, None], X.shape)
        return np.quantile(X, [0.25, 0.5, 0.75], axis=0, weights=weights, method="inverted_cdf")

    def result(self) -> MeanAndScale | None:
        """Median and scale, as `RobustStandardize` says; None where no row had a weight."""
        found = self.quartiles()
        if found is None:
            return None
        low, median, high = found
        with np.errstate(divide="ignore", over="ignore"):
            by_range, by_ends = 1 / (high - low), 2 / (self._most - self._least)
        scale = np.where(np.isfinite(by_range), by_range, np.where(np.isfinite(by_ends), by_ends, 0))
        return median, scale


# A normal distribution's range between the quartiles, in deviations; and how many numbers are kept to find it.
_QUARTILES_OF_NORMAL, _KEPT_TARGETS = 1.349, 1 << 20


class RobustMoments:
    """Median and spread of columns whose rows come block by block, which a few that lie far out do not change.

    The spread is the range between the quartiles over 1.349, the standard deviation of normal columns; where it is
    zero, it is the deviation.
    """

    def __init__(self, n_columns: int, n_samples: int) -> None:
        self._quartiles, self._moments = Quartiles(n_columns, n_samples, _KEPT_TARGETS), Moments(n_columns)

    def add(self, values: np.ndarray, sample_weight: np.ndarray) -> None:
        """Take a block of rows, as `Moments.add`."""
        self._quartiles.add(values, sample_weight)
        self._moments.add(values, sample_weight)

    def merge(self, other: "RobustMoments") -> None:
        """Take what another has learnt, as `Moments.merge`."""
        self._quartiles.merge(other._quartiles)
        self._moments.merge(other._moments)

    def result(self) -> MeanAndScale | None:
        """Median and spread; None where no row had a weight."""
        of_quartiles, of_moments = self._quartiles.quartiles(), self._moments.result()
        if of_quartiles is None or of_moments is None:
            return None
        low, median, high = of_quartiles
        spread = (high - low) / _QUARTILES_OF_NORMAL
        is_range = (spread >= np.finfo(np.float64).tiny) & np.isfinite(spread)
        return median, np.where(is_range, spread, of_moments[1])
