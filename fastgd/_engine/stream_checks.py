"""What rows that come in one order cannot be trained on by."""

import numbers
from typing import TYPE_CHECKING, Any

from fastgd.data.base import Dataset, Stream

if TYPE_CHECKING:
    from fastgd._engine.run import Run

_OR_ROWS = "or rows that can be read in any order: gd.data.in_memory(rows), arrays, or a Dataset"


def require_stream_support(rows: Dataset | Stream, run: "Run", validation: Any, epochs: int = 1) -> None:
    """Raise a ValueError where a run would have to read the rows of a stream in another order, or know them before.

    validation : what the model is to be judged on, or None          epochs : how many are to come
    """
    if not isinstance(rows, Stream):
        return
    if run.shuffle and (rows.starts is None or len(rows.starts) < 2):
        raise ValueError(
            "shuffle is True, and this stream's rows come in one order; expected False, with rows that were shuffled "
            f"before, files with several parts, such as row groups, {_OR_ROWS}, such as gd.data.open gives of a folder "
            "of .npy shards"
        )
    if rows.is_read_once and epochs != 1:
        raise ValueError(
            f"epochs is {epochs}, and the rows come from an iterator that can be read only once; expected epochs=1, or "
            "a function without arguments that gives the blocks anew each time it is called"
        )
    if run.shares.n_copies > 1:
        raise ValueError(
            "replicas share out rows, and a stream's come in one order; expected 1 replica, sync='gradient', "
            f"{_OR_ROWS}"
        )
    if run.optimizer.learning_rate == "auto":
        raise ValueError(
            'the learning rate is "auto", and the search for one reads rows in any order, which a stream cannot; '
            "expected an optimizer with a number or a schedule, as gd.Adam(1e-3) or gd.SGD(0.01), or Trainer.step on "
            f'one block after the other, which takes "auto" too, {_OR_ROWS}'
        )
    if run.batch_size is None and rows.n_samples is None:
        raise ValueError(
            "batch_size is None, and the stream does not know how many rows a full batch has; expected a number, "
            f"{_OR_ROWS}"
        )
    if isinstance(validation, numbers.Real):
        raise ValueError(
            f"validation is {validation} of a stream's rows, which come in one order; expected (X, y) or a Dataset, "
            f"{_OR_ROWS}"
        )
    if run.metrics and validation is None:
        raise ValueError(f"metrics of a stream's rows need all of them at once; expected validation data, {_OR_ROWS}")
    for layer in run.model.unfitted_layers if rows.is_read_once else ():
        call = "[0].fit(X)" if layer is run.model.standardize else "[-1].fit(y)"
        raise ValueError(
            f"the {type(layer).__name__} layer has no mean and scale yet, and the rows that it would learn them from "
            "can be read only once; expected a function without arguments that gives the blocks anew each time it is "
            f"called, or model.layers{call} with some of the rows first"
        )
