"""Files of sparse rows: CSR matrices as SciPy saves them, and SVMlight's text."""

import functools
import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from fastgd.data import checks
from fastgd.data.chunks.npy_shards import NpyShards
from fastgd.data.chunks.sparse_chunks import SparseChunk, SparseChunks
from fastgd.data.request import Request
from fastgd.data.sparse import sparse_rows
from fastgd.data.sparse_rows import SparseRows
from fastgd.data.stamps import Stamps

# What the parser gets at once: lines of about so many bytes.
_TEXT_BYTES = 8 << 20


def open_npz(paths: list[Path], request: Request) -> SparseChunks:
    """As `open`, of CSR matrices that `scipy.sparse.save_npz` wrote, one a shard; target and weights are .npy paths."""
    request.require_only("target", "sample_weight", kind=".npz")
    return csr_shards(paths, _listed(request.target), _listed(request.sample_weight))


def csr_shards(
    paths: Sequence[Path], y: Sequence[Path] | None = None, sample_weight: Sequence[Path] | None = None
) -> SparseChunks:
    """Rows of CSR matrices in .npz files, with targets and weights in as many .npy files, or in one.

    Raises
    ------
    OSError, ValueError, TypeError
        For a file that is no CSR matrix of numbers, and for shards that do not fit each other.
    """
    stamps = Stamps([*paths, *(y or ()), *(sample_weight or ())])
    headers = [_CSRHeader.of(path) for path in paths]
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        if header.shape[1] != first.shape[1]:
            raise ValueError(
                f"{path} has shape {header.shape}, and {paths[0]} has {first.shape}; expected as many columns"
            )
    chunks = [SparseChunk(header.shape[0], header.n_entries, header.shape[1]) for header in headers]
    dtypes = {
        "X": np.result_type(*{header.dtype for header in headers}),
        "indices": np.result_type(*{header.index_dtype for header in headers}),
    }
    parts = []
    for name, files in (("y", y), ("sample_weight", sample_weight)):
        parts.append(None)
        if files is not None:
            source = NpyShards(files, 1 if name == "sample_weight" else 2)
            n_rows = [header.shape[0] for header in headers]
            if len(files) == len(paths) and source.sizes != n_rows:
                k = next(k for k, size in enumerate(source.sizes) if size != n_rows[k])
                raise ValueError(
                    f"{files[k]} has {source.sizes[k]} rows and {paths[k]} has {n_rows[k]}; expected as many"
                )
            parts[-1] = np.empty(source.shape, source.dtype)
            source.read(0, source.shape[0], parts[-1])
    load = functools.partial(_load_shard, list(paths), stamps)
    return SparseChunks(chunks, load, stamps, dtypes, *parts, names=list(map(str, paths)))


class _CSRHeader(NamedTuple):
    """What a file says of a CSR matrix before its entries are read."""

    shape: tuple[int, int]
    n_entries: int
    dtype: np.dtype
    index_dtype: np.dtype

    @classmethod
    def of(cls, path: Path) -> "_CSRHeader":
        try:
            with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
                _require_csr(path, file)
                (n_entries,), dtype = _member_header(archive, "data.npy")
                _, index_dtype = _member_header(archive, "indices.npy")
                return cls(tuple(map(int, file["shape"])), n_entries, dtype, index_dtype)
        except _DAMAGED as error:
            raise ValueError(f"{path} cannot be read as a sparse matrix: {error}; expected {_SAVED}") from None


# What reading a damaged file may raise, besides OSError and ValueError.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, RuntimeError)
_SAVED = "what scipy.sparse.save_npz wrote of a CSR matrix"


def _member_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _require_csr(path: Path, file: Any) -> None:
    kind = file["format"].item() if "format" in file.files else "csr"
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if kind != "csr":
        raise ValueError(f"{path} is a {kind} matrix; expected CSR, as scipy.sparse.save_npz(path, X.tocsr()) saves it")
    if not {"format", "shape", "data", "indices", "indptr"} <= set(file.files):
        raise ValueError(f"{path} holds {', '.join(file.files) or 'nothing'}; expected {_SAVED}")


def _load_shard(paths: list[Path], stamps: Stamps, k: int) -> SparseRows:
    rows = _load_csr(paths[k])
    stamps.require_same(paths[k : k + 1])
    return rows


def _load_csr(path: Path) -> SparseRows:
    try:
        with np.load(path, allow_pickle=False) as file:
            _require_csr(path, file)
            shape = tuple(map(int, file["shape"]))
            values = file["data"]
            matrix = SimpleNamespace(
                format="csr",
                shape=shape,
                dtype=values.dtype,
                data=values,
                indices=file["indices"],
                indptr=file["indptr"],
            )
    except (*_DAMAGED, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} cannot be read as a sparse matrix: {error}; expected {_SAVED}") from None
    return sparse_rows(matrix, str(path))


def _listed(paths: Any) -> list[Path] | None:
    if paths is None:
        return None
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else list(map(Path, paths))


class _Lines(NamedTuple):
    """Some lines of a file: where they begin and end, in bytes."""

    path: Path
    begin: int
    end: int


def open_svmlight(paths: list[Path], request: Request) -> SparseChunks:
    """As `open`, of SVMlight's text, "label column:value column:value ..." a line, parsed by scikit-learn.

    One pass over the files finds how many features there are, and whether columns count from 1, as they do where none
    is 0; targets are kept. Each epoch parses all lines again: CSR shards are read much faster.
    """
    request.require_only(kind="SVMlight")
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise ImportError(f'{paths[0]} needs scikit-learn: pip install "fastgd[sklearn]"') from error

    stamps = Stamps(paths)
    chunks, sizes, targets = [lines for path in paths for lines in _lines_of(path)], [], []
    first, last = 1, 0
    for lines in chunks:
        X, y = _parsed(lines, load_svmlight_file, zero_based=True)
        sizes.append((X.shape[0], X.nnz))
        targets.append(y)
        if X.nnz:
            first, last = min(first, int(X.indices.min())), max(last, int(X.indices.max()))
    if not chunks:
        raise ValueError(f"{paths[0]} has no lines; expected at least one")
    if request.zero_based != "auto":
        first = _checked_first(paths[0], first, request.zero_based)
    n_features = _width(paths[0], first, last, request)

    load = functools.partial(
        _load_lines, chunks, stamps, load_svmlight_file, zero_based=first == 0, n_features=n_features
    )
    known = [SparseChunk(n_rows, n_entries, n_features) for n_rows, n_entries in sizes]
    dtypes = {"X": np.dtype(np.float64), "indices": np.dtype(np.int64)}
    return SparseChunks(known, load, stamps, dtypes, np.concatenate(targets))


def _checked_first(path: Path, first: int, zero_based: bool) -> int:
    """The column that others count from."""
    if not (zero_based or first):
        raise ValueError(f"{path} has a column 0, and zero_based is False; expected columns from 1, or zero_based=True")
    return 0 if zero_based else 1


def _width(path: Path, first: int, last: int, request: Request) -> int:
    """How many features there are, whose last column with an entry is this one."""
    found = max(last + 1 - first, 1)
    if request.n_features is None:
        return found
    n_features = checks.integer(request.n_features, "n_features", 1)
    if found > n_features:
        raise ValueError(f"{path} has a column {last}, from {first} on; expected {n_features} features at most")
    if found < n_features and first == 1 and request.zero_based == "auto":
        # Shifted by one, each feature would be taken for another.
        raise ValueError(
            f"{path} has columns up to {last}, none of them 0, of {n_features} features, whose columns may be from 0 "
            "or from 1; expected zero_based=True or zero_based=False"
        )
    return n_features


def _parsed(lines: _Lines, parse: Callable[..., Any], **options: Any) -> tuple[Any, np.ndarray]:
    with lines.path.open("rb") as file:
        file.seek(lines.begin)
        text = file.read(lines.end - lines.begin)
    if len(text) < lines.end - lines.begin:
        raise ValueError(f"{lines.path} has become shorter; expected files that stay as they are")
    try:
        with warnings.catch_warnings():
            # The parser's own, of what later versions do.
            warnings.simplefilter("ignore")
            return parse(io.BytesIO(text), **options)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{lines.path}, bytes {lines.begin} to {lines.end}: {error}") from None


def _load_lines(chunks: list[_Lines], stamps: Stamps, parse: Callable[..., Any], k: int, **options: Any) -> SparseRows:
    X, _ = _parsed(chunks[k], parse, **options)
    stamps.require_same([chunks[k].path])
    return sparse_rows(X, str(chunks[k].path))


def _lines_of(path: Path) -> list[_Lines]:
    """The lines of a file, some megabytes at a time."""
    found, begin = [], 0
    with path.open("rb") as file:
        while True:
            file.seek(begin + _TEXT_BYTES)
            file.readline()
            end = min(file.tell(), os.fstat(file.fileno()).st_size)
            if end <= begin:
                return found
            found.append(_Lines(path, begin, end))
            begin = end
