"""The rows of a data set as a model takes them."""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator

import numpy as np

from fastgd.data.base import Dataset, Stream, first_rows
from fastgd.data.block import Block, read_only, require_finite
from fastgd.data.columns import BY_NAME, Columns, require_same_names
from fastgd.data.reader import Reader, blocks, is_ready
from fastgd.data.stream_reader import StreamReader
from fastgd.layer_stack import LayerStack
from fastgd.learn_scales import learn_scales
from fastgd.losses import Loss, kind_of, n_targets, require_any_number, require_targets, takes_every_number
from fastgd.standardize import RobustStandardize

# So many numbers of X are worth a copy, rather than a reader.
_FEW_NUMBERS = 1 << 16


def check_rows(model: LayerStack, dataset: Dataset, loss: Loss) -> None:
    """Raise a ValueError that names the first row with a value that training would refuse."""
    # What is standardised is looked at as it is given.
    dtype = model.dtype if model.standardize is None else dataset.dtype
    dataset.over_parts(functools.partial(_check_part, model=model, loss=loss, dtype=dtype))


def _check_part(part: Dataset, model: LayerStack, loss: Loss, dtype: np.dtype) -> None:
    for _ in _checked(model, part, loss, blocks(part, dtype, y_dtype=_y_dtype(model))):
        pass


def _y_dtype(model: LayerStack) -> np.dtype:
    """What holds targets as they are given, if they are any that the model can learn."""
    return model.dtype if model.standardized_targets is None else np.dtype(np.float64)


def rows_at_once(model: LayerStack, dataset: Dataset) -> Block | None:
    """All rows as `checked_blocks` gives them, unchecked; None where they are many, or have to be made.

    A reader, for any number of rows from anywhere, takes longer than the work on a few hundred.
    """
    size = dataset.n_samples * dataset.n_features
    is_plain = model.standardize is None and model.standardized_targets is None and not dataset.is_sparse
    if size > _FEW_NUMBERS or not is_plain or not dataset.is_in_memory:
        return None
    block = dataset.view(model.dtype)
    if block is None:
        return Block(*map(read_only, first_rows(dataset, dataset.n_samples, model.dtype)[:3]))
    if is_ready(block.y, model.dtype) and is_ready(block.sample_weight, model.dtype):
        return block
    return dataset.targets(model.dtype)._replace(X=block.X)


def checked_blocks(
    model: LayerStack,
    dataset: Dataset,
    loss: Loss | None = None,
    looks_at_X: bool = True,
    n_threads: int | None = 1,
    n_busy: int = 1,
) -> Iterator[tuple[int, Block]]:
    """Every row once, as (first row, block), checked; as the first layer after Standardize takes them.

    looks_at_X : whether X is checked too; if not, the kernels tell from what a Linear first makes of it
    n_threads, n_busy : as for `Reader.parts`
    """
    if loss is None:
        # Targets are not used, and need not be there.
        of_y, y_dtype = None, _y_dtype(model)
    else:
        of_y, y_dtype = model.mean_and_scale_of_y, None
    read = blocks(dataset, model.dtype, model.mean_and_scale, of_y, y_dtype, n_threads, n_busy)
    return _checked(model, dataset, loss, read, looks_at_X)


def _checked(
    model: LayerStack,
    dataset: Dataset,
    loss: Loss | None,
    read: Generator[tuple[int, Block], None, None],
    looks_at_X: bool = True,
) -> Iterator[tuple[int, Block]]:
    with contextlib.closing(read):
        for start, block in read:
            row_of = functools.partial(row_number, dataset, start)
            try:
                require_finite(block if looks_at_X else block._replace(X=block.X[:0]), row_of)
                if loss is not None:
                    require_targets(loss, block.y, model.out_features, row_of)
            except ValueError:
                # A bad X is named before a bad y, looked at beforehand or not.
                require_finite(block, row_of)
                raise
            yield start, block


def learn_missing_scales(model: LayerStack, rows: Dataset | Stream, loss: Loss) -> None:
    """Have Standardize and StandardizedTargets learn, where they are to: all of them, or none where an error is raised.

    Nothing is learnt from data with a target that would end training in its first epoch.
    """
    if not model.unfitted_layers:
        return

    def check(block: Block, row_of: Callable[[int], int]) -> None:
        require_targets(loss, block.y, model.out_features, row_of)

    is_any_number = takes_every_number(loss)
    if isinstance(rows, Dataset) and not is_any_number:
        check_rows(model, rows, loss)
    of_stream = check if isinstance(rows, Stream) and not is_any_number else None
    learn_scales(rows, model.unfitted_layers, of_stream, kind_of(loss).is_robust)


def reader_of(
    model: LayerStack, dataset: Dataset | Stream, min_rows: int = 1, in_place: bool = False
) -> Reader | StreamReader:
    """What reads rows as the first layer takes them after Standardize, and targets as the loss does.

    They are zeros where mean and scale are not known, as of rows whose weights are all zero.

    dataset, min_rows, in_place : as for `Reader`
    """
    unfitted = model.unfitted_layers
    of_X = (np.zeros(model.in_features),) * 2 if model.standardize in unfitted else model.mean_and_scale
    of_y = (np.zeros(model.out_features),) * 2 if model.standardized_targets in unfitted else model.mean_and_scale_of_y
    if isinstance(dataset, Stream):
        return StreamReader(dataset, model.dtype, min_rows, of_X, of_y)
    return Reader(dataset, model.dtype, min_rows, of_X, in_place=in_place, mean_and_scale_of_y=of_y)


def rows_without_X(model: LayerStack, dataset: Dataset, dtype: np.dtype | None = None) -> Block:
    """y as the loss takes it and the weights of all rows, without X; by default in the model's dtype."""
    return dataset.targets(model.dtype if dtype is None else dtype, model.mean_and_scale_of_y)


def note_columns(model: LayerStack, rows: Dataset | Stream) -> None:
    """Have a model know the columns that it is trained on, where they have names and it knows none."""
    found = Columns.of(rows) if model.columns is None else None
    if found is not None and len(found.feature_names) != model.in_features:
        raise ValueError(
            f"the rows have {len(found.feature_names)} feature_names and {model.in_features} features; expected a name "
            "for each"
        )
    model.columns = model.columns if found is None else found.storable()


def check_fits(model: LayerStack, dataset: Dataset | Stream, loss: Loss | None = None) -> None:
    """Raise a ValueError unless the data set has as many features as the model, by the same names where both have some,
    and as many targets as the loss, and the loss takes standardised ones where the model has them.
    """
    if dataset.n_features != model.in_features:
        shape = (dataset.n_samples, dataset.n_features)
        are_named = model.columns is not None and dataset.feature_names is not None
        raise ValueError(
            f"X has shape {shape}; expected (n_samples, {model.in_features}) for this model"
            + (f" ({BY_NAME})" if are_named else "")
        )
    require_same_names(model.columns, dataset)
    if dataset.is_sparse:
        _require_sparse_start(model)
    if loss is None:
        return
    if model.standardized_targets is not None:
        require_any_number(loss)
    expected = n_targets(loss, model.out_features)
    if dataset.n_outputs == 0:
        raise ValueError("the data set has no targets; expected y, or gd.data.open(..., target=...)")
    if dataset.n_outputs != expected:
        shape = (dataset.n_samples, dataset.n_outputs)
        flat = " or (n_samples,)" if expected == 1 else ""
        classes = ", classes as in y.argmax(axis=1)," if expected < dataset.n_outputs == model.out_features else ""
        hint = ". Where y holds classes from 0, loss='cross_entropy' takes them" if dataset.n_outputs == 1 else ""
        raise ValueError(
            f"y has shape {shape}; expected (n_samples, {expected}){flat}{classes} for this model and loss{hint}"
        )


def _require_sparse_start(model: LayerStack) -> None:
    """Raise a ValueError where a model's first layers would make sparse rows dense."""
    layer = model.standardize
    if isinstance(layer, RobustStandardize):
        raise ValueError(
            f"X is sparse, and {layer!r} subtracts the medians, which would make it dense; expected "
            f"Standardize({layer.n_features}, with_mean='nonzero'), or dense rows"
        )
    if layer is not None and not layer.keeps_zeros:
        raise ValueError(
            f"X is sparse, and {layer!r} subtracts the means, which would make it dense; expected "
            f"Standardize({layer.n_features}, with_mean='nonzero'), or dense rows"
        )
    if not model.starts_linear:
        raise ValueError(
            f"X is sparse, and the first layer is {model.stack[0]!r}; expected a Linear first, or dense rows"
        )


def row_number(dataset: Dataset, start: int, row: int) -> int:
    """What errors call a row of a block that begins at row `start`."""
    return dataset.row_number(start + row)
