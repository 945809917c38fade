"""Rows that anything iterable gives, block after block."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastgd.data import checks
from fastgd.data.base import Stream
from fastgd.data.block import Block
from fastgd.data.columns import Columns
from fastgd.data.frames import feature_names, target_names
from fastgd.data.sparse import is_sparse

_EXPECTED = "(X, y) or (X, y, sample_weight)"
_CALLABLE = "expected a function without arguments that gives the blocks anew each time it is called"


class BlockStream(Stream):
    """Blocks of rows that an iterable gives, in its order.

    Parameters
    ----------
    blocks : iterable, or callable without arguments that returns one
        Of (X, y) or (X, y, sample_weight): X (n_rows, n_features), y (n_rows,) or (n_rows, n_outputs) and sample_weight
        (n_rows,), arrays, frames or CPU tensors of real numbers, with any number of rows, also none. Each epoch
        iterates anew, and has to come to the same blocks: a generator is good for one epoch only, and a function that
        returns one for any number. A block has been used when the next one is asked for.

    Attributes
    ----------
    n_samples : int, or None
        Known once all blocks have come.

    Raises
    ------
    TypeError, ValueError
        For a first block that is not as above. While training, for a later one, for blocks that were used up, and for
        another number of rows than before.

    Examples
    --------
    >>> import fastgd as gd
    >>> import numpy as np
    >>> def blocks():
    ...     for seed in range(3):
    ...         X = np.random.default_rng(seed).random((100, 2))
    ...         yield X, X[:, 0] - X[:, 1]
    >>> model = gd.Model([gd.Linear(2, 1)])
    >>> len(gd.Trainer(model, optimizer=gd.SGD(0.1)).fit(gd.data.from_blocks(blocks), epochs=2))
    2
    """

    def __init__(self, blocks: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._given = blocks
        # The first block tells the shapes; what it came from is what the first epoch goes on with.
        iterator = self._iterator()
        first = next(iterator, None)
        if first is None:
            raise ValueError(f"the blocks are none, or were all used before; {_CALLABLE}")
        X, y, weights = _parts(first, 0)
        self.n_features, self.n_outputs = X.shape[1], y.shape[1]
        self.has_sample_weight = weights is not None
        self.dtype = checks.floating_dtype(X.dtype)
        self.feature_names = feature_names(first[0])
        if self.feature_names is not None:
            self.columns = Columns(self.feature_names, targets=target_names(first[1]))
        self._begun: Iterator[Any] | None = itertools.chain([first], iterator)

    def open(self, cursor: int = 0) -> Iterator[Block]:
        """The rows from number `cursor` on; those before are read and left out."""
        blocks = self._begun if self._begun is not None else self._iterator()
        self._begun = None
        n_rows = 0
        for number, given in enumerate(blocks):
            block = self._checked(given, number)
            n_skipped = min(max(cursor - n_rows, 0), len(block.X))
            n_rows += len(block.X)
            if self.n_samples is not None and n_rows > self.n_samples:
                break
            yield block.rows(n_skipped, len(block.X)) if n_skipped else block
        if self.n_samples not in (None, n_rows):
            found = "were used up" if n_rows == 0 else f"had {'more' if n_rows > self.n_samples else n_rows} rows"
            raise ValueError(f"the blocks {found} this time, and {self.n_samples} rows the first time; {_CALLABLE}")
        self.n_samples = n_rows or None

    def _iterator(self) -> Iterator[Any]:
        given = self._given() if callable(self._given) else self._given
        if isinstance(given, Iterator) and not callable(self._given):
            if self.is_read_once:
                raise ValueError(
                    f"the blocks come from a {type(given).__name__}, which can be read only once, and was; {_CALLABLE}"
                )
            self.is_read_once = True
        if not isinstance(given, Iterable):
            where = "the function gave" if callable(self._given) else "there is"
            raise TypeError(f"{where} {given!r:.80}; expected an iterable of {_EXPECTED}")
        return iter(given)

    def _checked(self, given: Any, number: int) -> Block:
        X, y, weights = _parts(given, number)
        if (weights is not None) != self.has_sample_weight:
            there = ("no sample_weight", "sample_weight")[weights is not None]
            raise ValueError(f"block {number} has {there}, unlike the first; expected it in all blocks or in none")
        if X.shape[1] != self.n_features or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"block {number} has X of shape {X.shape} and y of {y.shape}; expected {self.n_features} features and "
                f"{self.n_outputs} outputs, as in the first"
            )
        if not np.can_cast(X.dtype, self.dtype) and self.dtype == np.float32:
            raise ValueError(
                f"block {number} has X of {X.dtype}, which float32, the first block's, does not hold exactly; expected "
                "one dtype"
            )
        return Block(X, y, np.empty(0) if weights is None else weights)


def _parts(given: Any, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """X, y and the weights of a block."""
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        what = f"{type(given).__name__}" + (f" of {len(given)}" if isinstance(given, tuple | list) else "")
        raise TypeError(f"block {number} is of type {what}; expected {_EXPECTED}")
    if is_sparse(given[0]):
        raise TypeError(
            f"block {number} has a sparse X; expected a dense array, or CSR shards in a folder for gd.data.open"
        )
    try:
        X = checks.real_array(given[0], "X")
        if X.ndim != 2 or X.shape[1] == 0:
            raise ValueError(f"X has shape {X.shape}; expected (n_rows, n_features)")
        y = checks.targets(given[1], len(X))
        return X, y, checks.sample_weights(given[2] if len(given) == 3 else None, len(X))
    except (TypeError, ValueError) as error:
        raise type(error)(f"block {number}: {error}") from None
