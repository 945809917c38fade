"""Where rows come from: `open` and `from_stream`, `synthetic`, arrays, and the protocols that they all implement."""

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.block_stream import BlockStream as from_blocks
from fastgd.data.files import from_stream, open
from fastgd.data.npy import map_array
from fastgd.data.sparse import SparseDataset
from fastgd.data.synthetic import SyntheticDataset as synthetic

__all__ = [
    "ArrayDataset",
    "Dataset",
    "SparseDataset",
    "Stream",
    "from_blocks",
    "from_stream",
    "map_array",
    "open",
    "synthetic",
]
