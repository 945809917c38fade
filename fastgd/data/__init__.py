"""Where rows come from: `open` and `from_stream`, `synthetic`, arrays, and the protocols that they all implement."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.sparse import SparseDataset
from fastgd.data.synthetic import SyntheticDataset as synthetic

if _TYPE_CHECKING:
    from fastgd.data.block_stream import BlockStream as from_blocks
    from fastgd.data.files import from_stream, open
    from fastgd.data.npy import map_array
    from fastgd.data.spooled import in_memory

# What training on arrays does without, and where it is.
_IMPORTED_WHEN_USED = {
    "from_blocks": ("block_stream", "BlockStream"),
    "from_stream": ("files", "from_stream"),
    "in_memory": ("spooled", "in_memory"),
    "map_array": ("npy", "map_array"),
    "open": ("files", "open"),
}

__all__ = [
    "ArrayDataset",
    "Dataset",
    "SparseDataset",
    "Stream",
    "from_blocks",
    "from_stream",
    "in_memory",
    "map_array",
    "open",
    "synthetic",
]


def __getattr__(name: str) -> _Any:
    if name not in _IMPORTED_WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _IMPORTED_WHEN_USED[name]
    return getattr(_import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
