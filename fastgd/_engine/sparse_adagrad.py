"""How the compiled loop of a neuron on sparse rows by Adagrad is called."""

import numpy as np

from fastgd import kernels
from fastgd._engine.loops import Task, neuron_of
from fastgd.data.block import Block
from fastgd.kernels import aligned_empty


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
        # Memory that is not touched takes no place.
        size = task.vectors.parameters.size
        self._table = aligned_empty(size * kernels.RECORD, task.model.dtype).reshape(size, kernels.RECORD)

    def __call__(self, block: Block, rates: np.ndarray) -> None:
        """As `Loop.run` says."""
        task, table, lengths = self._task, self._table, block.X.lengths
        vectors, X, n_features = task.vectors, block.X.csr, task.model.in_features
        self._make_room(lengths)
        takes_all = lengths.sum() > kernels.tuning.ENTRIES_PER_PACKED_COLUMN * len(table)
        if takes_all:
            kernels.pack_records(vectors, table)
        else:
            kernels.pack_records_of(X, n_features, vectors, table)
        kernels.train_neuron_csr_adagrad(
            self._neuron,
            vectors,
            table,
            self._scratch,
            self._objective,
            self._numbers,
            rates,
            kernels.Samples(X, block.y, block.sample_weight),
            (task.batch_rows, task.micro_batch_rows),
            task.progress,
        )
        if takes_all:
            kernels.unpack_records(table, vectors)
        else:
            kernels.unpack_records_of(X, n_features, table, vectors)

    def _make_room(self, lengths: np.ndarray) -> None:
        """Have scratch for the longest batch; rows begin with one."""
        batch_rows, dtype = self._task.batch_rows, self._task.model.dtype
        rooms = -(-lengths // kernels.RECORD) * kernels.RECORD
        longest = np.add.reduceat(rooms, np.arange(0, len(rooms), batch_rows)).max() if batch_rows > 1 else rooms.max()
        n = int(longest) + kernels.RECORD
        if self._scratch is None or n > self._scratch.values.size:
            z = np.empty(batch_rows, dtype)
            of_bias = np.array([self._task.model.in_features])
            outputs, derivatives = np.empty((2, batch_rows, 1), dtype)
            self._scratch = kernels.Scratch(
                aligned_empty(n, dtype), aligned_empty(n, dtype), z, outputs, derivatives, of_bias
            )
