"""Dask arrays and frames as estimators take them: features, targets and weights, of which none comes to the client."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd.dask.waiting import gathered

if TYPE_CHECKING:
    import dask.array
    from distributed import Client


def is_collection(X: Any) -> bool:
    """Whether X is of Dask: an array, a frame, or one of its columns."""
    import dask

    return dask.is_dask_collection(X)


def is_frame(X: Any) -> bool:
    """Whether X is a Dask frame or a column of one."""
    return is_collection(X) and hasattr(X, "to_dask_array")


def features(X: Any, client: "Client | None", knows_lengths: bool = True) -> "dask.array.Array":
    """X as an array of numbers, (n_samples, n_features); of a frame, float32 where all its columns are no wider.

    knows_lengths : whether the lengths of blocks are counted where they are not known, as `_lengths` does

    Raises TypeError for what is none of numbers.
    """
    if is_frame(X):
        kinds = {str(name): dtype for name, dtype in zip(X.columns, X.dtypes, strict=True)}
        words = [name for name, dtype in kinds.items() if not _is_number(dtype)]
        if words:
            raise TypeError(
                f"X has columns that are no numbers: {', '.join(words[:5])}; expected dummies, as from "
                "dask.dataframe.get_dummies, or without them"
            )
        is_narrow = all(getattr(each, "kind", "") == "f" and each.itemsize <= 4 for each in kinds.values())
        lengths = _lengths(X, client) if knows_lengths else None
        return X.astype(np.float32 if is_narrow else np.float64).to_dask_array(lengths=lengths)
    import dask.array as da

    if not (isinstance(X, da.Array) and X.ndim == 2 and X.dtype.kind in "biuf"):
        shown = f"{type(X).__name__} of shape {getattr(X, 'shape', None)}, {getattr(X, 'dtype', 'unknown dtype')}"
        raise TypeError(f"X is a {shown}; expected a Dask array of numbers, (n_samples, n_features), or a Dask frame")
    return (_with_lengths(X, client) if knows_lengths else X).rechunk({1: -1})


def _is_number(dtype: Any) -> bool:
    # Those of pandas and Arrow have no kind that NumPy knows, but say so.
    return getattr(dtype, "kind", "O") in "biuf"


def _lengths(frame: Any, client: "Client | None") -> "list[int] | bool":
    """Of a frame's partitions, counted by the workers; without a client, that they are to be counted."""
    return True if client is None else _counted(frame.to_delayed(), client)


def _with_lengths(array: "dask.array.Array", client: "Client | None") -> "dask.array.Array":
    """An array whose blocks have known lengths, as those of a frame's `values` have not."""
    import dask.array as da

    if client is None or not np.isnan(array.shape[0]):
        return array
    blocks = array.to_delayed().reshape(array.numblocks[0], -1)[:, 0]
    return da.Array(array.dask, array.name, (tuple(_counted(blocks, client)), *array.chunks[1:]), dtype=array.dtype)


def _counted(blocks: Iterable[Any], client: "Client") -> list[int]:
    """The lengths of delayed blocks, counted by the workers."""
    import dask

    return gathered(client, client.compute([dask.delayed(len, pure=False)(block) for block in blocks]))


def column_like(y: Any, name: str, X: "dask.array.Array", client: "Client | None") -> "dask.array.Array":
    """Targets or weights as an array with the rows of X, (n_samples,) or (n_samples, n_outputs).

    Raises TypeError and ValueError for what has not as many rows.
    """
    import dask.array as da

    if is_frame(y):
        # Of words and of nulls' types Dask makes arrays of a frame, and warns of a column.
        is_column = y.ndim == 1
        y = (y.to_frame() if is_column else y).to_dask_array(lengths=_lengths(y, client))
        y = y[:, 0] if is_column else y
    if not isinstance(y, da.Array):
        y = da.from_array(np.asarray(y), chunks=(X.chunks[0], *([-1] * (np.ndim(y) - 1))))
    y = _with_lengths(y, client)
    if y.ndim not in (1, 2) or y.shape[0] != X.shape[0]:
        raise ValueError(f"{name} has shape {y.shape}; expected ({X.shape[0]},) or a column more, as X has {X.shape}")
    return y.rechunk({0: X.chunks[0]} | ({1: -1} if y.ndim == 2 else {}))


def of_blocks(client: "Client", function: Callable[..., Any], *arrays: "dask.array.Array | None") -> list:
    """function(block of each array) for every block of rows, computed where they are; None stays None."""
    import dask

    columns = [None if each is None else each.to_delayed().ravel().tolist() for each in arrays]
    n_blocks = next(len(each) for each in columns if each is not None)
    rows = zip(*([None] * n_blocks if each is None else each for each in columns), strict=True)
    return gathered(client, client.compute([dask.delayed(function, pure=False)(*each) for each in rows]))


def map_rows(
    function: Callable[..., np.ndarray], first: "dask.array.Array", *others: "dask.array.Array", like: np.ndarray
) -> "dask.array.Array":
    """function(rows of each array), lazily, block by block; of no rows, none.

    like : (1, ...) or (1,), what it gives for a row
    """
    columns = () if like.ndim == 1 else (like.shape[1],)
    chunks = (first.chunks[0], *columns)
    change: dict[str, Any] = {}
    if like.ndim < first.ndim:
        change = {"drop_axis": 1}
    elif like.ndim > first.ndim:
        change = {"new_axis": 1}
    call = partial(_rows_of_block, function=function, none=like[:0])
    return first.map_blocks(call, *others, chunks=chunks, dtype=like.dtype, meta=like[:0], **change)


def _rows_of_block(*blocks: np.ndarray, function: Callable[..., np.ndarray], none: np.ndarray) -> np.ndarray:
    return function(*blocks) if len(blocks[0]) else none


def distinct(client: "Client", y: "dask.array.Array") -> np.ndarray:
    """The values that y has, sorted."""
    return np.unique(np.concatenate(of_blocks(client, np.unique, y)))


def range_and_sum(client: "Client", v: "dask.array.Array") -> tuple[float, float, float]:
    """The least, the largest and the sum of weights."""
    found = np.array([each for each in of_blocks(client, _range_and_sum, v) if each is not None])
    return float(found[:, 0].min()), float(found[:, 1].max()), float(found[:, 2].sum())


def _range_and_sum(v: np.ndarray) -> tuple[float, float, float] | None:
    return (v.min(), v.max(), v.sum(dtype=np.float64)) if len(v) else None
