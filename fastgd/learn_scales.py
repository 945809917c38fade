"""How layers learn mean and scale of the rows of a data set or stream."""

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import numpy as np

from fastgd.data.base import Dataset, Stream
from fastgd.data.block import Block, MeanAndScale, require_finite
from fastgd.data.reader import blocks
from fastgd.data.sparse_moments import EntryScales, mean_and_deviation
from fastgd.data.stream_reader import StreamReader
from fastgd.moments import Moments, Quartiles, RobustMoments

Learner = Moments | Quartiles | RobustMoments


class Scaled(Protocol):
    """A layer that learns by a pass over the rows: a Standardize or a StandardizedTargets.

    is_of_targets : whether what it learns of is y, and not X
    """

    is_of_targets: bool

    def learner(self, n_samples: int, is_robust: bool) -> Learner:
        """What learns from so many rows.

        is_robust : whether targets have median and spread for mean and deviation
        """

    def require_sparse(self) -> None:
        """Raise a ValueError where rows would not stay sparse."""

    def take(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Set what was learnt."""


def learn_scales(
    dataset: Dataset | Stream,
    layers: Sequence[Scaled],
    check: Callable[[Block, Callable[[int], int]], None] | None = None,
    is_robust: bool = False,
) -> None:
    """Have layers learn mean and scale from every row, in one pass over the data; none where a ValueError is raised.

    Of sparse rows, two passes, and so of a stream of unknown length, where quartiles are to be those of all rows.

    check : check(block, row_of) raises a ValueError where rows that are dense may not be learnt from
    is_robust : whether targets have median and spread for mean and deviation
    """
    if dataset.is_sparse:
        _learn_from_sparse_rows(dataset, layers, is_robust)
        return
    n_samples = dataset.n_samples
    if n_samples is None and not all(isinstance(layer.learner(1, is_robust), Moments) for layer in layers):
        n_samples = sum(len(block.X) for block in dataset.open())
    # A model in float64 takes the weights in float64, too.
    dtype = np.dtype(np.float64) if dataset.has_sample_weight else dataset.dtype
    y_dtype = np.dtype(np.float64) if any(layer.is_of_targets for layer in layers) else None
    make = functools.partial(_new_learners, layers, n_samples, is_robust)
    learn = functools.partial(_learners, layers=layers, make=make, dtypes=(dtype, y_dtype), check=check)
    learners, *others = dataset.over_parts(learn) if isinstance(dataset, Dataset) else [learn(dataset)]
    for of_part in others:
        for learner, other in zip(learners, of_part, strict=True):
            learner.merge(other)
    for layer, learner in zip(layers, learners, strict=True):
        learnt = learner.result()
        if learnt is not None:
            layer.take(*learnt)


def _new_learners(layers: Sequence[Scaled], n_samples: int, is_robust: bool) -> list[Learner]:
    return [layer.learner(n_samples, is_robust) for layer in layers]


def _learners(
    dataset: Dataset | Stream,
    layers: Sequence[Scaled],
    make: Callable[[], list[Learner]],
    dtypes: tuple[np.dtype, np.dtype | None],
    check: Callable[[Block, Callable[[int], int]], None] | None,
) -> list[Learner]:
    """What layers learn by, after every row of a data set or of a part of one.

    make : makes them          dtypes : in which X and the weights are read, and y
    """
    learners = make()
    for start, block in _blocks(dataset, *dtypes):

        def row_of(row: int, start: int = start) -> int:
            return dataset.row_number(start + row)

        require_finite(block, row_of)
        if check is not None:
            check(block, row_of)
        for layer, learner in zip(layers, learners, strict=True):
            learner.add(block.y if layer.is_of_targets else block.X, block.sample_weight)
    return learners


def _blocks(
    rows: Dataset | Stream, dtype: np.dtype, y_dtype: np.dtype | None
) -> Generator[tuple[int, Block], None, None]:
    """Every row once, in order, as (first row, block): in the same blocks, whatever they come from."""
    if isinstance(rows, Dataset):
        yield from blocks(rows, dtype, y_dtype=y_dtype)
        return
    with contextlib.closing(StreamReader(rows, dtype, y_dtype=y_dtype).parts()) as parts:
        for part in parts:
            yield part.start, part.block


def learn_from_entries(dataset: Dataset, layer: Scaled) -> None:
    """Have a layer bring sparse rows to scale by their entries, as `EntryScales` does, in one pass."""
    layer.require_sparse()
    scales = EntryScales(dataset.n_features, with_mean=True)
    for start, block in blocks(dataset, np.dtype(np.float64)):
        require_finite(block, lambda row, start=start: dataset.row_number(start + row))
        scales.add(block.X, block.sample_weight)
    learnt = scales.result()
    if learnt is not None:
        layer.take(*learnt)


def _learn_from_sparse_rows(dataset: Dataset, layers: Sequence[Scaled], is_robust: bool) -> None:
    learnt: list[tuple[Scaled, MeanAndScale | None]] = []
    for layer in layers:
        if not layer.is_of_targets:
            layer.require_sparse()
            learnt.append((layer, mean_and_deviation(dataset)))
        else:
            learner, rows = layer.learner(dataset.n_samples, is_robust), dataset.targets(np.dtype(np.float64))
            require_finite(rows, dataset.row_number)
            learner.add(rows.y, rows.sample_weight)
            learnt.append((layer, learner.result()))
    for layer, result in learnt:
        if result is not None:
            layer.take(*result)
