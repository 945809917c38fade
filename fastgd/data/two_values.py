"""Columns of two values, such as truths, whatever these are called: 0 and 1, 1 and 2, -1 and 1."""

import numpy as np

# Of a block, to tell nearly all columns of other numbers by.
_FIRST_ROWS = 64


class TwoValues:
    """Which columns have two values, and how far these are apart; rows come block by block."""

    def __init__(self, n_columns: int) -> None:
        self._has_more = np.zeros(n_columns, np.bool_)
        self._first, self._other = np.full((2, n_columns), np.nan)

    def add(self, rows: np.ndarray) -> None:
        """Take a block of rows, (n_rows, n_columns)."""
        for some in (rows[:_FIRST_ROWS], rows[_FIRST_ROWS:]):
            if len(some):
                self._look_at(some)

    def merge(self, others: "TwoValues") -> None:
        """Take the rows that another has seen."""
        self._has_more |= others._has_more
        if not np.isnan(others._first).all():
            self._look_at(np.stack([others._first, np.where(np.isnan(others._other), others._first, others._other)]))

    def widths(self) -> np.ndarray:
        """The difference of a column's values, (n_columns,); zero where it has one, or more than two."""
        with np.errstate(over="ignore"):
            width = np.abs(self._other - self._first)
        return np.where(self._has_more | ~np.isfinite(width), 0.0, width)

    def _look_at(self, rows: np.ndarray) -> None:
        columns = np.flatnonzero(~self._has_more)
        if not len(columns):
            return
        rows = rows if len(columns) == rows.shape[1] else rows[:, columns]
        first, other = self._first[columns], self._other[columns]
        first = np.where(np.isnan(first), rows[0], first)
        is_first = rows == first
        found = rows[is_first.argmin(axis=0), np.arange(len(columns))]
        other = np.where(np.isnan(other) & (found != first), found, other)
        self._has_more[columns] = ~(is_first | (rows == other)).all(axis=0)
        self._first[columns], self._other[columns] = first, other
