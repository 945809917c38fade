"""`open` and `from_stream`: files and tables as rows, by what they are called or what they offer."""

import glob
import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from fastgd.data.base import Dataset, Stream
from fastgd.data.columns import Columns
from fastgd.data.request import AllCategories, Fills, HandleUnknown, Names, Request

Paths = str | os.PathLike | Sequence[str | os.PathLike]

#: What files of SVMlight's text end in.
SVMLIGHT = (".svm", ".svmlight", ".libsvm")
#: Which function of fastgd.data opens files of a suffix, as "module:function": each takes paths and a Request.
OPENERS = {
    ".npy": "npy:open_npy",
    ".parquet": "columnar.parquet:open_parquet",
    ".pq": "columnar.parquet:open_parquet",
    ".csv": "columnar.csv:open_csv",
    ".tsv": "columnar.csv:open_csv",
    ".feather": "columnar.arrow:open_arrow",
    ".arrow": "columnar.arrow:open_arrow",
    ".ipc": "columnar.arrow:open_arrow",
    ".arrows": "columnar.arrow:open_arrow",
    ".npz": "npz:open_npz",
    **dict.fromkeys(SVMLIGHT, "chunks.sparse_files:open_svmlight"),
    ".h5": "chunks.sliced:open_hdf5",
    ".hdf5": "chunks.sliced:open_hdf5",
}
#: Which function opens folders that are one data set, by what tells them.
FOLDERS: list[tuple[Callable[[Path], bool], str]] = [
    (lambda folder: (folder / "X.npy").exists(), "npy:open_folder"),
    (
        lambda folder: (folder / "zarr.json").exists() or (folder / ".zgroup").exists(),
        "chunks.sliced:open_zarr",
    ),
    (
        lambda folder: any(folder.glob("X?*.np[yz]")) or any(folder.glob("*/X.npy")),
        "chunks.shards:open_shards",
    ),
]
# How files begin that may be called anything.
_MAGIC = {b"PAR1": ".parquet", b"ARROW1": ".arrow"}
# What follows another suffix where a file is compressed.
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")


def open(
    path: Paths,
    target: Any = None,
    sample_weight: Any = None,
    *,
    features: Names | None = None,
    drop: Names = (),
    weight: str | None = None,
    categories: AllCategories | None = None,
    column_names: Sequence[str] | None = None,
    columns: Columns | None = None,
    fill_nulls: Fills | None = None,
    handle_unknown: HandleUnknown = "error",
    n_features: int | None = None,
    zero_based: bool | Literal["auto"] = "auto",
) -> Dataset | Stream:
    r"""Files as rows to train on; only the rows in use are in memory.

    .npy files are a `Dataset`, whose rows may be shuffled. Up to 512 MB of features are held in memory, in their own
    dtype; larger files are read chunk by chunk, as shards are (below). An archive that `numpy.savez` wrote, of X, y and
    sample_weight or some of them and of nothing else, is held in memory.

    `ArrayDataset(map_array(X), map_array(y))` maps them instead. That is faster where the system has the file in its
    cache and the model is small, as nothing is copied. But shuffled rows of a map keep the pages that they were on, up
    to half of the memory, and the process ends if the file becomes shorter while its rows are read.

    Tables are a `Stream`, whose rows come in the files' order: Parquet (.parquet, .pq), CSV (.csv, .tsv, also
    compressed, as .csv.gz) and Arrow (.feather, .arrow, .ipc, .arrows). They need pyarrow:
    pip install "fastgd[data]". Those with several parts, such as row groups, can be shuffled all the same, see
    `fastgd.data.stream_shuffle`.

    A `Dataset` larger than memory, whose rows may be shuffled (see `fastgd.data.chunks.chunk_shuffle`), and which is
    used as any other, is

    - a folder of shards: X-0.npy, y-0.npy, X-1.npy, ... with any names after X and y, and weights in
      sample_weight-0.npy where there are any; X-0.npz for CSR matrices as `scipy.sparse.save_npz` writes them; or
      folders that `Dataset.save` wrote. Numbers in the names give the order. A list of X*.npy or X*.npz is one too,
      with a list of as many for `target`;
    - an HDF5 file (.h5, .hdf5) or a Zarr group, with h5py or zarr: features, target and weight are names of its arrays,
      by default "X", "y" and "sample_weight";
    - SVMlight's text (.svm, .svmlight, .libsvm), with scikit-learn.

    All files are read and not mapped, but for Arrow files with batches of more than 64 MB. If a file has gone, or its
    size or the time of its last change is another, the next pass over the rows is an error that names it, even where
    the rows are in memory. A file that is found damaged or cut short during a pass is an error that names it and the
    rows that were being read.

    Parameters
    ----------
    path : path, pattern such as "rows-*.parquet", folder, or list of paths
        Several files are one table, in the list's order; those of a folder, with its sub-folders, or of a pattern in
        the order of their names. What folders are called, as year=2024, is a column of Parquet files.
    target : name of a column, or list of names
        What is to be predicted. Of .npy files, the path of y. Not for a folder that `Dataset.save` wrote. Without it,
        the rows can only be predicted on.
    sample_weight : path of the weights as .npy, optional
        For .npy files only.
    features : name of a column, or list of names, optional
        The columns of X, in this order; by default all that are not named otherwise, in the table's order.
    drop : name of a column, or list of names
        Columns to leave out.
    weight : name of a column, optional
        What multiplies each row's loss and gradient, at least 0.
    categories : mapping from names of columns to lists of values, to an int or to "auto", or "auto" for all, optional
        A column with a list of k values, strings or others, becomes k columns of zeros and ones, called "city=Rome"; a
        value that is not on the list is an error (see `handle_unknown`); None on the list stands for a null. "auto" is
        the list of those that there are, up to 1000, sorted, which a pass over the rows finds; in place of the mapping,
        of all features that hold words, and with None for a name, of all others. With an int k, each value has one of k
        columns by its hash, "city#0" to "city#k-1", which is the same anywhere, and of 7, 7.0 and "7.0" too. A target
        becomes one column, of the numbers of its values on the list, from 0.
    column_names : list of names, optional
        Of CSV files whose first line holds none.
    columns : Columns, optional
        `columns` of a model, or of other rows: the features that it was trained on, by name, in its order and with its
        categories, whatever else the table has. `features` are then the columns in their place, one for each, where
        they are called otherwise. Files other than tables have columns without names, and are taken as they are.
    fill_nulls : mapping from names of features to a number or to "mean", or "mean" for all, optional
        What takes the place of nulls in columns of numbers; the mean of the others is found in a pass over the rows.
        `columns` have those that a model was trained with.
    handle_unknown : "error" or "ignore"
        What becomes of values that are on no list of categories, nulls among them: an error that names the row, or
        zeros in all columns of the list, as of scikit-learn's OneHotEncoder. Targets are on their lists in any case.
    n_features : int, optional
        Of SVMlight files, such as `model.in_features`; by default as many as the last that has an entry.
    zero_based : bool or "auto"
        Whether SVMlight's columns count from 0, or from 1; "auto" finds out, from 0 where one is 0. Files that are to
        have features of another one may leave that open, which is an error.

    Returns
    -------
    Dataset or Stream
        X is (n_samples, n_features), y (n_samples, n_outputs).

    Raises
    ------
    FileNotFoundError
        Where there is no such file, or none in a folder or of a pattern.
    ValueError
        For files of several kinds or of one that is not known, for columns that are not there or do not fit each
        other, and, as rows are read, for nulls that nothing fills, with column, file and row.
    TypeError
        For columns that hold no numbers, with what to do about it.
    ImportError
        Where pyarrow is needed and missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastgd as gd
    >>> _ = Path("rows.csv").write_text("price,rooms,size\n3.5,4,100\n2.5,2,70\n")
    >>> rows = gd.data.open("rows.csv", target="price")
    >>> rows.feature_names, rows.n_outputs
    (('rooms', 'size'), 1)
    """
    chosen = (target, sample_weight, features, drop, weight)
    how = (categories, column_names, columns, fill_nulls, handle_unknown)
    return opened(path, Request(*chosen, *how, n_features, zero_based))


def opened(path: Paths, request: Request) -> Dataset | Stream:
    """As `open`."""
    for is_one, opener in FOLDERS:
        if isinstance(path, str | os.PathLike) and Path(path).is_dir() and is_one(Path(path)):
            return _call(opener, [Path(path)], request)
    paths, folder = _found(path)
    request = request._replace(folder=folder)
    suffixes = sorted({_suffix(each) for each in paths})
    if len(suffixes) > 1:
        examples = ", ".join(next(str(each) for each in paths if _suffix(each) == suffix) for suffix in suffixes)
        raise ValueError(f"the files are of several kinds ({examples}); expected one kind")
    if suffixes[0] not in OPENERS:
        _refuse_suffix(paths[0], suffixes[0])
    if suffixes[0] not in SVMLIGHT and not (request.n_features is None and request.zero_based == "auto"):
        raise ValueError(f"n_features or zero_based is given, and {paths[0]} is no SVMlight file; expected neither")
    return _call(OPENERS[suffixes[0]], paths, request)


def from_stream(
    stream: Any,
    target: Names | None = None,
    *,
    features: Names | None = None,
    drop: Names = (),
    weight: str | None = None,
    categories: AllCategories | None = None,
    columns: Columns | None = None,
    fill_nulls: Fills | None = None,
    handle_unknown: HandleUnknown = "error",
) -> Stream:
    """Tables of other libraries as rows to train on, read batch by batch: any object with `__arrow_c_stream__`.

    Frames of Polars and pandas, pyarrow's tables and DuckDB's relations can be read again for each epoch. Readers and
    iterators, as of Polars' `collect_batches`, can be read once: for more epochs, give a callable that makes them.
    The rows have to come in the same order each time. DuckDB ends a relation's rows without an error when its
    connection is used for another query meanwhile.

    Parameters
    ----------
    stream : object with `__arrow_c_stream__`, or a callable without arguments that returns one
    target, features, drop, weight, categories, columns, fill_nulls, handle_unknown : as for `open`

    Returns
    -------
    Stream
        X is (n_samples, n_features), y (n_samples, n_outputs); n_samples is known after the first pass.

    Raises
    ------
    TypeError, ValueError
        As `open` does; and, as rows are read, where they are read again and come no more, or not as many.
    ImportError
        Where pyarrow is missing.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import fastgd as gd
    >>> table = pa.table({"price": [3.5, 2.5], "rooms": [4, 2], "size": [100.0, 70.0]})
    >>> rows = gd.data.from_stream(table, target="price")
    >>> rows.feature_names, rows.n_outputs
    (('rooms', 'size'), 1)
    """
    if not (hasattr(stream, "__arrow_c_stream__") or callable(stream)):
        hint = "; of a LazyFrame, as from_stream(lambda: frame.collect_batches())" if hasattr(stream, "collect") else ""
        raise TypeError(
            f"stream is a {type(stream).__name__}; expected an object with __arrow_c_stream__, such as a frame or a "
            f"pyarrow.RecordBatchReader, or a callable that returns one{hint}"
        )
    chosen = (target, None, features, drop, weight)
    request = Request(*chosen, categories, None, columns, fill_nulls, handle_unknown)
    return _call("columnar.c_stream:stream_table", stream, request)


def _call(name: str, source: Any, request: Request) -> Any:
    """Call what makes rows of a source, imported when it is first needed."""
    module, function = name.split(":")
    try:
        opener = getattr(importlib.import_module(f"fastgd.data.{module}"), function)
        if module.startswith("columnar."):
            from fastgd.data.columnar.found_values import with_values_found

            request = with_values_found(lambda part: opener(source, part), request)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        raise ImportError("tables are read by pyarrow; expected pip install 'fastgd[data]'") from error
    return opener(source, request)


def _found(path: Paths) -> tuple[list[Path], Path | None]:
    """The files, and the folder that they are in where that is what was given."""
    if isinstance(path, list | tuple):
        if not path:
            raise ValueError("path is an empty list; expected at least one file")
        return [_file(each) for each in path], None
    if isinstance(path, str) and glob.has_magic(path) and not os.path.exists(path):
        paths = [Path(each) for each in sorted(glob.glob(path, recursive=True)) if os.path.isfile(each)]
        if not paths:
            raise FileNotFoundError(f"no file is called {path!r}; expected at least one")
        return paths, None
    given = Path(_path(path))
    if not given.is_dir():
        return [_file(given)], None
    paths = sorted(each for each in given.rglob("*") if each.is_file() and not _is_hidden(each.relative_to(given)))
    if not paths:
        raise FileNotFoundError(f"{given} is a folder without files; expected at least one")
    return paths, given


def _path(path: Any) -> str | os.PathLike:
    if isinstance(path, str | os.PathLike):
        return path
    hint = "; rows in memory go to fit as they are, fit(X, y)" if hasattr(path, "shape") else ""
    if hasattr(path, "__arrow_c_stream__") and hasattr(path, "columns"):
        hint += ", or by the names of their columns, gd.data.from_stream(frame, target=...)"
    raise TypeError(
        f"path is a {type(path).__name__}; expected the path of a file or folder, a pattern, or a list of files{hint}"
    )


def _file(path: str | os.PathLike) -> Path:
    path = Path(_path(path))
    if path.is_dir():
        raise ValueError(f"{path} is a folder in a list; expected files, or a folder alone")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a file or a folder")
    return path


def _is_hidden(path: Path) -> bool:
    """Whether a file is one that systems leave beside tables, as _SUCCESS and .crc files."""
    return any(part.startswith((".", "_")) and "=" not in part for part in path.parts)


def _suffix(path: Path) -> str:
    """What a file is called at its end; where that says nothing, what it should be, by how it begins."""
    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = Path(path.stem).suffix.lower()
    if suffix in OPENERS:
        return suffix
    with path.open("rb") as file:
        begin = file.read(max(map(len, _MAGIC)))
    return next((known for magic, known in _MAGIC.items() if begin.startswith(magic)), suffix)


def _refuse_suffix(path: Path, suffix: str) -> NoReturn:
    known = ", ".join(sorted(OPENERS))
    raise ValueError(f"{path} ends in {suffix!r}; expected one of {known}, or a folder of such files")
