"""What data sets have in common that are made of another one."""

from fastgd.data.base import Dataset


class DerivedDataset(Dataset):
    """Rows of another data set, whose features lie where that has them.

    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.n_features, self.dtype = dataset.n_features, dataset.dtype
        self.feature_names, self.columns = dataset.feature_names, dataset.columns
        self.entries_per_row, self.reads_in_parallel = dataset.entries_per_row, dataset.reads_in_parallel
        self.finds_rows = dataset.finds_rows

    @property
    def row_bytes(self) -> int:
        """As the other data set's."""
        return self._dataset.row_bytes

    @property
    def is_mapped(self) -> bool:
        """Whether the other data set is."""
        return self._dataset.is_mapped

    @property
    def is_in_memory(self) -> bool:
        """Whether the other data set is."""
        return self._dataset.is_in_memory

    def require_unchanged(self) -> None:
        """As the other data set does."""
        self._dataset.require_unchanged()

    def require_whole(self) -> None:
        """As the other data set does."""
        self._dataset.require_whole()
