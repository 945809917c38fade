"""What tells the rows of one data set from those of another, without reading them all."""

import hashlib
from typing import Any

import numpy as np

from fastgd.data.base import Dataset, Stream
from fastgd.data.block import Block, allocate

# Rows are compared in so many bytes of features, but no more and no fewer rows than that.
_BYTES, _FEWEST, _MOST = 1 << 20, 16, 1 << 12
_MOST_CHUNKS = 4


def fingerprint(rows: Dataset | Stream) -> dict[str, Any]:
    """Sizes, dtype and names of the features, and a checksum of rows at fixed places; as JSON can hold it.

    All rows where there are few, else up to 4096 from the first to the last at equal distances, X, y and weights. Of a
    stream no rows, as some can be read only once.
    """
    names = rows.feature_names
    found = {
        "n_samples": rows.n_samples,
        "n_features": rows.n_features,
        "n_outputs": rows.n_outputs,
        "has_sample_weight": bool(rows.has_sample_weight),
        "is_sparse": bool(rows.is_sparse),
        "dtype": np.dtype(rows.dtype).name,
        "feature_names": None if names is None else _digest(np.array([str(name) for name in names])),
    }
    return found if isinstance(rows, Stream) else found | {"rows": _digest(*_some_rows(rows))}


def require_same(saved: dict[str, Any], found: dict[str, Any], what: str = "rows") -> None:
    """Raise a ValueError that says what differs; a stream that does not know how many rows it has may have any.

    what : whose fingerprints these are
    """
    said = []
    for name in sorted(saved.keys() | found.keys()):
        before, now = saved.get(name), found.get(name)
        if before == now or (name == "n_samples" and None in (before, now)):
            continue
        is_readable = name not in ("rows", "feature_names")
        said.append(f"{name} was {before} and is {now}" if is_readable else f"{name.replace('_', ' ')} are others")
    if said:
        raise ValueError(
            f"the run was saved while it trained on other {what}: {', '.join(said)}; expected the same, in the same "
            "order, to go on where it was (without resume=True, it trains on any)"
        )


def _some_rows(dataset: Dataset) -> list[np.ndarray]:
    places = _places(dataset)
    if not dataset.is_sparse:
        out = allocate(dataset, len(places), dataset.dtype)
        dataset.read(places, out)
        return [out.X, out.y, out.sample_weight]
    view = dataset.view(dataset.dtype)
    if view is None:
        n_weights = len(places) if dataset.has_sample_weight else 0
        out = Block(np.empty((len(places), 0)), np.empty((len(places), dataset.n_outputs)), np.empty(n_weights))
        X, y, weights = dataset.read_sparse(places, out), out.y, out.sample_weight
    else:
        X, y = view.X[places], view.y[places]
        weights = view.sample_weight[places] if view.sample_weight.size else view.sample_weight
    begin, end, *entries, _ = X.csr
    spans = list(zip(begin, end, strict=True))
    arrays = [np.concatenate([array[first:last] for first, last in spans]) for array in entries]
    return [end - begin, *arrays, y, weights]


def _places(dataset: Dataset) -> np.ndarray:
    n_samples, starts = dataset.n_samples, dataset.starts
    n_rows = min(max(_BYTES // max(dataset.row_bytes, 1), _FEWEST), _MOST, n_samples)
    if not dataset.is_sparse or starts is None:
        return np.linspace(0, n_samples - 1, n_rows).astype(np.int64)
    # Chunks of sparse rows are read as a whole: few of them, from the first to the last.
    chunks = np.unique(np.linspace(0, len(starts) - 1, _MOST_CHUNKS).astype(np.int64))
    ends = np.append(starts[1:], n_samples)[chunks]
    begins = starts[chunks]
    n_each = -(-n_rows // len(chunks))
    spans = zip(begins, ends, strict=True)
    places = [np.linspace(begin, end - 1, min(n_each, end - begin)) for begin, end in spans]
    return np.concatenate(places).astype(np.int64)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
