"""The rows that `Trainer.fit` validates on."""

import contextlib
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastgd.data.as_dataset import as_dataset
from fastgd.data.base import Dataset
from fastgd.data.columns import Columns, require_same_names
from fastgd.data.reader import blocks
from fastgd.data.subset import split
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.model_data import check_fits, check_rows


@contextlib.contextmanager
def errors_of_validation() -> Iterator[None]:
    """Errors say that they are of the validation data."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"validation: {error}") from None


def split_validation(
    dataset: Dataset, validation: Any, model: Model, loss: Loss, seed: Sequence[int]
) -> tuple[Dataset, Dataset | None]:
    """The rows to train on, and those to validate on, which are checked where they are in memory.

    validation : as for `Trainer.fit`          seed : of the generator that draws the rows of a fraction
    """
    if validation is None:
        return dataset, None
    if isinstance(validation, numbers.Real) and not isinstance(validation, numbers.Integral):
        dataset, held_out = split(dataset, float(validation), np.random.default_rng(seed))
    elif isinstance(validation, Dataset):
        held_out = validation
    elif isinstance(validation, tuple | list) and len(validation) in (2, 3):
        with errors_of_validation():
            held_out = as_dataset(*validation)
    else:
        raise TypeError(
            f"validation is a {type(validation).__name__}; expected a Dataset, (X, y), (X, y, sample_weight) or a "
            "fraction"
        )
    with errors_of_validation():
        check_fits(model, held_out, loss)
        require_same_names(Columns.of(dataset), held_out, "as of the rows to train on")
        if held_out.is_in_memory:
            check_rows(model, held_out, loss)
        if not _counts(held_out):
            raise ValueError("every sample_weight is 0, which says nothing of a model; expected some above 0")
    return dataset, held_out


def _counts(dataset: Dataset) -> bool:
    """Whether a row has a weight other than zero."""
    if not dataset.has_sample_weight:
        return True
    return any(block.sample_weight.any() for _, block in blocks(dataset, dataset.dtype))
