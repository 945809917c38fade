"""How the compiled loop of a neuron on sparse rows by Adagrad is called."""

import numpy as np

from fastgd import kernels
from fastgd._engine.loops import Task, neuron_of
from fastgd.data.block import Block
from fastgd.kernels import aligned_empty

# How many elements a column's piece of memory has, as a power of two, where columns take turns.
_SHIFT = 2


def is_for_adagrad(task: Task) -> bool:
    """Whether the loop can make the task's updates, its model being a neuron."""
    optimizer = task.optimizer
    is_scaled = isinstance(optimizer, kernels.optimizers.Adagrad) or (
        isinstance(optimizer, kernels.Bounded) and optimizer.is_scaled
    )
    return is_scaled and optimizer.weight_decay == 0 and isinstance(task.regularization, kernels.NoRegularization)


class AdagradCall:
    """Calls the loop on blocks of rows, of which a batch may have any number of entries."""

    def __init__(self, task: Task) -> None:
        self._task, self._neuron = task, neuron_of(task)
        self._objective = kernels.objective(task.loss, task.model.dtype)
        optimizer = task.optimizer
        if not isinstance(optimizer, kernels.Bounded):
            optimizer = kernels.Bounded(True, optimizer.rate_decay, 0.0, optimizer.eps, 0.0)
        self._numbers = kernels.settings_vector(optimizer)
        self._scratch: kernels.Scratch | None = None
        self._separate = self._interleaved = None

    def __call__(self, block: Block, rates: np.ndarray) -> None:
        """As `Loop.run` says."""
        vectors, lengths = self._task.vectors, block.X.lengths
        self._make_room(lengths)
        if lengths.sum() > kernels.tuning.ENTRIES_PER_INTERLEAVED_COLUMN * vectors.parameters.size:
            if self._interleaved is None:
                self._interleaved = _interleaved_columns(vectors.parameters)
            kernels.interleave_columns(vectors, self._interleaved)
            self._train(self._interleaved, block, rates)
            kernels.separate_columns(self._interleaved, vectors)
            return
        if self._separate is None:
            numbers = np.full(vectors.parameters.size, -1, _whole_numbers(vectors.parameters))
            self._separate = kernels.Columns(vectors.parameters, vectors.state[0], vectors.state[1], numbers, 0)
        self._train(self._separate, block, rates)

    def _train(self, columns: kernels.Columns, block: Block, rates: np.ndarray) -> None:
        task = self._task
        kernels.train_neuron_csr_adagrad(
            self._neuron,
            task.vectors,
            columns,
            self._scratch,
            self._objective,
            self._numbers,
            rates,
            kernels.Samples(block.X.csr, block.y, block.sample_weight),
            (task.batch_rows, task.micro_batch_rows),
            task.progress,
        )

    def _make_room(self, lengths: np.ndarray) -> None:
        """Have scratch for the longest batch; rows begin with one."""
        batch_rows, dtype = self._task.batch_rows, self._task.model.dtype
        longest = (
            np.add.reduceat(lengths, np.arange(0, len(lengths), batch_rows)).max() if batch_rows > 1 else lengths.max()
        )
        n = int(longest) + 1
        if self._scratch is not None and n <= self._scratch.values.size:
            return
        values, direction, total, missing = (aligned_empty(n, dtype) for _ in range(4))
        z = np.empty(batch_rows, dtype)
        self._scratch = kernels.Scratch(
            values,
            aligned_empty(n, _whole_numbers(values)),
            aligned_empty(n, np.dtype(np.int64)),
            kernels.aligned_zeros(n, dtype),
            direction,
            total,
            missing,
            z,
            *np.empty((2, batch_rows, 1), dtype),
        )


def _whole_numbers(like: np.ndarray) -> np.dtype:
    """Integers as wide as an array's elements."""
    return np.dtype(f"i{like.itemsize}")


def _interleaved_columns(like: np.ndarray) -> kernels.Columns:
    memory = aligned_empty((like.size << _SHIFT) + 3, like.dtype)
    end = like.size << _SHIFT
    weight, total, missing = (memory[k : k + end] for k in range(3))
    return kernels.Columns(weight, total, missing, memory[3 : 3 + end].view(_whole_numbers(like)), _SHIFT)
