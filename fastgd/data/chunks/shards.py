"""Folders of shards: rows in many files, the name of each of which says what it holds and which shard it is."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fastgd.data.chunks.chunked import ChunkedDataset, starts_of
from fastgd.data.chunks.npy_shards import NpyShards
from fastgd.data.chunks.sparse_chunks import SparseChunks
from fastgd.data.chunks.sparse_files import csr_shards
from fastgd.data.request import Request

Paths = str | os.PathLike | Sequence[str | os.PathLike]

_NAMES = re.compile(r"(X)(.*)\.npz|(X|y|sample_weight)(.*)\.npy")
_EXPECTED = (
    "X*.npy, or X*.npz of CSR matrices, and y*.npy, perhaps sample_weight*.npy, where * is the same for the files of "
    "a shard, as in X-00000.npy and y-00000.npy; or folders with X.npy and y.npy"
)


def npy_dataset(X: Paths, y: Paths | None = None, sample_weight: Paths | None = None) -> ChunkedDataset:
    """Rows of .npy files that are read in parts, and not mapped.

    X, y, sample_weight : a path, or a sequence of paths, one a shard
        Arrays of real numbers; shards may have any numbers of rows, but the same ones in X, y and the weights.
    """
    parts = {"X": X, "y": y, "sample_weight": sample_weight}
    lists = {name: _as_list(paths, name) for name, paths in parts.items() if paths is not None}
    sources = {name: NpyShards(paths, 1 if name == "sample_weight" else 2) for name, paths in lists.items()}
    for name, source in sources.items():
        if len(lists[name]) != len(lists["X"]):
            found = f"{len(lists[name])} files of {name} and {len(lists['X'])} of X"
            raise ValueError(f"there are {found}; expected as many")
        for path, X_path, n_rows, X_rows in zip(lists[name], lists["X"], source.sizes, sources["X"].sizes, strict=True):
            if n_rows != X_rows:
                raise ValueError(f"{path} has {n_rows} rows and {X_path} has {X_rows}; expected as many")
    X_source = sources["X"]
    starts = starts_of(X_source.starts, X_source)
    return ChunkedDataset(X_source, sources.get("y"), sources.get("sample_weight"), starts)


def open_shards(paths: list[Path], request: Request) -> ChunkedDataset | SparseChunks:
    """As `open`, of a folder of .npy shards.

    Either X*.npy, or X*.npz with CSR matrices as `scipy.sparse.save_npz` writes them, with y*.npy and perhaps
    sample_weight*.npy, where * is what a shard is called; or folders, each with
    X.npy, y.npy and perhaps sample_weight.npy, as `Dataset.save` writes them. Shards come in the order of their names,
    with numbers in them by their size: X-2.npy before X-10.npy.

    Raises
    ------
    ValueError
        For a folder with other .npy files, or a shard of which a part is missing.
    """
    (folder,) = paths
    request.require_only(kind="sharded .npy")
    shards: dict[str, dict[str, Path]] = {}
    names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    for name in names:
        path = folder / name
        match = _NAMES.fullmatch(name)
        if match:
            kind, shard = match.groups()[:2] if match[1] else match.groups()[2:]
            if kind in shards.setdefault(shard, {}):
                raise ValueError(f"{path} and {shards[shard][kind]} are one shard; expected one of them")
            shards[shard][kind] = path
        elif name.endswith(".npy"):
            raise ValueError(f"{path} is neither X*.npy nor y*.npy; expected {_EXPECTED}")
        elif path.is_dir() and (path / "X.npy").exists():
            parts = {part: path / f"{part}.npy" for part in ("X", "y", "sample_weight")}
            shards[name] = {part: file for part, file in parts.items() if file.exists()}
    if not shards:
        raise ValueError(f"{folder} holds no shards; expected {_EXPECTED}")
    kinds = {kind for shard in shards.values() for kind in shard} | {"X"}
    for name, shard in shards.items():
        for kind in kinds - shard.keys():
            there = next(iter(shard.values()))
            raise ValueError(f"{there} has no {kind} beside it, in shard {name!r}; expected {_EXPECTED}")
    ordered = [shards[name] for name in sorted(shards, key=_natural)]
    parts = {kind: [shard[kind] for shard in ordered] for kind in kinds}
    suffixes = {path.suffix for path in parts["X"]}
    if len(suffixes) > 1:
        raise ValueError(f"{folder} has shards X*.npy and X*.npz; expected either")
    if suffixes == {".npz"}:
        return csr_shards(parts["X"], parts.get("y"), parts.get("sample_weight"))
    return npy_dataset(parts["X"], parts.get("y"), parts.get("sample_weight"))


def _natural(name: str) -> list[tuple[int, str]]:
    """What puts names in order, and numbers in them by their size."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _as_list(paths: Paths, name: str) -> list[str | os.PathLike]:
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError(f"{name} is an empty list of files; expected at least one")
    return paths
