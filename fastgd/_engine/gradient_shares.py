"""One large batch whose gradient is the sum of those of its shares, each of a thread's own.

A batch is cut from its start into parts of at most `n_shares` micro-batches, and each part into `n_shares` shares of
consecutive rows, as equal as can be. Their gradients are added up in the order of the shares: which thread took which
changes no bit.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple, Self

import numpy as np

from fastgd import kernels
from fastgd._engine.loops import Task, hooks_of
from fastgd.data.block import Block
from fastgd.kernels import aligned_empty
from fastgd.network import network_of
from fastgd.threads import most_threads


class ShareThreads:
    """Threads that take the shares of a batch; outside of `with`, the one that calls takes all.

    n_threads : int, with the one that calls
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._depth = 0
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._depth += 1
        if self._pool is None and self.n_threads > 1:
            self._pool = ThreadPoolExecutor(self.n_threads - 1, thread_name_prefix="fastgd share")
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._pool is not None:
            pool, self._pool = self._pool, None
            pool.shutdown()

    def run(self, call: Callable[[int], None], n_calls: int) -> None:
        """call(0), ..., call(n_calls - 1), and return when all have ended."""
        n_busy = 1 if self._pool is None else min(self.n_threads, n_calls)

        def calls_of(thread: int) -> None:
            for number in range(thread, n_calls, n_busy):
                call(number)

        futures = [self._pool.submit(calls_of, thread) for thread in range(1, n_busy)]
        try:
            calls_of(0)
        finally:
            wait(futures)
        for future in futures:
            future.result()


class _Share(NamedTuple):
    """What computes the gradient of a share."""

    network: kernels.Network
    objective: kernels.Objective
    gradient: np.ndarray


class GradientShares:
    """The loop over batches in shares; see `Loop`.

    task : Task, whose micro_batch_rows a share has at most          n_shares : int
    """

    takes_rows_in_place = False
    repeats_epochs = False

    def __init__(self, task: Task, n_shares: int) -> None:
        self._task = task
        self.period = task.batch_rows
        self.unit = min(n_shares * task.micro_batch_rows, task.batch_rows)
        n_shares = min(n_shares, self.unit)
        n_rows = -(-self.unit // n_shares)
        self._shares = [self._share_of(n_rows) for _ in range(n_shares)]
        is_bounded = hooks_of(task.optimizer).is_bounded
        #: What measures the rows that bound a step.
        self._network = self._share_of(task.micro_batch_rows).network if is_bounded else self._shares[0].network
        self._rule = task.rule(keeps_gradient=True, has_rows=True)
        self.pool = ShareThreads(min(n_shares, most_threads() if task.n_threads is None else task.n_threads))
        self._is_compiled = False

    def _share_of(self, n_rows: int) -> _Share:
        task = self._task
        dtype = task.model.dtype
        return _Share(
            network_of(task.model, n_rows, task.seed, n_threads=1),
            kernels.objective(task.loss, dtype),
            aligned_empty(task.model.parameters.size, dtype),
        )

    def run(self, block: Block, rates: np.ndarray, epoch_losses: np.ndarray = kernels.WITHIN_EPOCH) -> None:
        """As `Loop` says."""
        # Between two batches a count may be ahead of another: as of a compiled loop, Ctrl-C comes after the call.
        # What overflows is found as such.
        with kernels.interrupts_deferred(), np.errstate(over="ignore", invalid="ignore"):
            self._run(block, rates)

    def _run(self, block: Block, rates: np.ndarray) -> None:
        task = self._task
        progress, batch_size, number = task.progress, task.batch_rows, task.model.dtype.type
        first, n_epoch, n_before = (int(each[0]) for each in (progress.position, progress.n_rows, progress.n_updates))
        start = 0
        while start < block.n_samples:
            done = (first + start) % batch_size
            batch_rows = min(batch_size, n_epoch - (first + start - done))
            end = min(start + self.unit, start + batch_rows - done, block.n_samples)
            self._add_gradients(block.rows(start, end), done, batch_rows)
            if done + end - start == batch_rows:
                if progress.batch_weight[0] > 0:
                    progress.n_updates[0] += 1
                    t = int(progress.n_updates[0])
                    rate = number(rates[min(t - n_before, len(rates)) - 1])
                    last = block.rows(end - (batch_rows - 1) % task.micro_batch_rows - 1, end)
                    kernels.make_update(self._network, task.vectors, self._rule, rate, t, last.X, last.sample_weight)
                progress.batch_weight[0] = 0
            start = end
        progress.position[0] = first + block.n_samples

    def _add_gradients(self, rows: Block, done: int, batch_rows: int) -> None:
        """Add those of rows of a batch, of which so many are done, to the vectors; losses and weights to the sums."""
        task = self._task
        parameters, gradient, progress = task.vectors.parameters, task.vectors.gradient, task.progress
        n_updates, scale = int(progress.n_updates[0]), task.model.dtype.type(1 / batch_rows)
        n_shares = min(len(self._shares), rows.n_samples)
        bounds = [rows.n_samples * k // n_shares for k in range(n_shares + 1)]

        def add(k: int) -> None:
            share = self._shares[k]
            part = rows.rows(bounds[k], bounds[k + 1])[:3]
            kernels.loss_and_gradient_of_micro_batch(
                share.network,
                parameters,
                share.objective,
                n_updates,
                done + bounds[k],
                *part,
                scale,
                share.gradient,
            )

        if not self._is_compiled:
            # Or threads would wait for the compiler.
            add(0)
            self._is_compiled = True
        self.pool.run(add, n_shares)
        for k, share in enumerate(self._shares[:n_shares]):
            if k or done:
                gradient += share.gradient
            else:
                gradient[:] = share.gradient
            progress.loss_sum[0] += share.objective.sums[0]
            progress.batch_weight[0] += share.objective.sums[1]

    def may_hide_bad_rows(self, block: Block) -> bool:
        """As `Loop` says."""
        weights = block.sample_weight
        return not self._task.model.starts_linear or (weights.size > 0 and bool((weights == 0).any()))
