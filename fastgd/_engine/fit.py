"""The epochs of a call of `Trainer.fit`, from the callbacks' beginning to their end."""

import contextlib
from typing import Any

from fastgd._engine.callback_list import CallbackList
from fastgd._engine.data_warnings import warn_of_last_layer, warn_of_targets, warn_of_weights
from fastgd._engine.epochs_at_once import train_epochs as train_epochs_at_once
from fastgd._engine.learning_rate_search import chosen_rate
from fastgd._engine.progress import Progress, logger
from fastgd._engine.run import Prepared, Run
from fastgd.data.base import Dataset, Stream
from fastgd.data.fingerprint import fingerprint, require_same


def epochs_to_come(run: Run, epochs: int, resume: bool) -> int:
    """How many epochs a call of `fit` trains, the rest of one that was begun among them.

    epochs : as for `Trainer.fit`          resume : whether they are those of the whole run
    """
    if not resume:
        run.is_stopped = False
        run.leave_cut_epoch()
        return epochs
    if run.cut is not None and run.assigned != run.cut.settings:
        before, now = run.cut.settings, run.assigned
        changes = [f"{name} was {before[name]!r} and is {now[name]!r}" for name in now if now[name] != before[name]]
        raise ValueError(
            f"the run was saved in the midst of epoch {len(run.history) + 1}, and since then {', '.join(changes)}; "
            "expected the same for resume=True until the epoch is over"
        )
    n_left = max(epochs - len(run.history), 0)
    if n_left and run.is_stopped:
        logger.info("a callback has stopped the run after epoch %d: nothing is left of it to train", len(run.history))
        return 0
    return n_left


def recognise(run: Run, rows: Dataset | Stream, validation: Dataset | None, resume: bool, may_save: bool) -> None:
    """Take note of what data a run trains on, where it may be saved; a ValueError where it goes on with other data."""
    saved = run.fingerprint if resume else None
    run.fingerprint = None
    if saved is None and not may_save:
        return
    found: dict[str, Any] = {"rows": fingerprint(rows)}
    found["validation"] = None if validation is None else fingerprint(validation)
    try:
        if saved is not None:
            require_same(saved["rows"], found["rows"])
            require_same(saved["validation"] or {}, found["validation"] or {}, "validation data")
    except ValueError:
        run.fingerprint = saved
        raise
    run.fingerprint = found


def rows_to_come(run: Run, rows: Dataset | Stream, epochs: int) -> int | None:
    """How many rows a call of `fit` trains on; None where nobody knows."""
    done = 0 if run.cut is None else run.cut.position
    return None if rows.n_samples is None else max(epochs * rows.n_samples - done, 0)


def prepare(run: Run, dataset: Dataset | Stream, epochs: int, shown: Progress) -> Prepared:
    """What trains on a data set for some epochs, and says what it has found."""
    n_samples = dataset.n_samples
    batch_rows = min(run.batch_size or n_samples, n_samples or run.batch_size)
    if not run.history and run.cut is None and isinstance(dataset, Dataset):
        warn_of_weights(dataset)
        warn_of_last_layer(run.model, run.loss)
        warn_of_targets(run.model, run.loss, dataset, batch_rows, run.shuffle)
    run.go_on()
    was_measured = run.measured_rate is not None
    prepared = run.prepare_epochs(dataset, batch_rows, epochs)
    if run.measured_rate is not None and not was_measured:
        shown.found_rate(chosen_rate(run.measured_rate))
    return prepared


def train_epochs(
    trainer: Any,
    run: Run,
    prepared: Prepared,
    validation: Dataset | None,
    epochs: int,
    calling: CallbackList,
    shown: Progress,
) -> None:
    """Train for some epochs, also none, of which the first may be the rest of one."""
    dataset, on_rows = prepared.reader.dataset, calling.between_slices(trainer, shown.on_rows)
    known, n_heard = calling.known(), len(run.history)
    if run.cut is not None:
        is_stream = isinstance(dataset, Stream)
        how = " (a stream that cannot seek is read up to there, and these rows are left out)" if is_stream else ""
        logger.info("epoch %d goes on after %d of its rows%s", n_heard + 1, run.cut.position, how)
    stack = contextlib.ExitStack()
    try:
        stack.enter_context(prepared.engine.threads)
        n_left, is_unheard = epochs, validation is None and not run.metrics and calling.is_empty
        while n_left > 0:
            if run.engine is None:
                # A callback has assigned another optimiser.
                prepared = prepare(run, dataset, epochs, shown)
                stack.enter_context(prepared.engine.threads)
            n_done = train_epochs_at_once(run, prepared, n_left) if is_unheard and shown.is_silent else 0
            n_left -= max(n_done, 1)
            if n_done:
                n_heard = len(run.history)
                continue
            known = calling.known()
            record = run.train_epoch(prepared, validation, on_rows)
            shown.after_epoch(record)
            run.is_stopped = calling.after_epoch(trainer, record)
            n_heard = len(run.history)
            if run.is_stopped:
                break
        if epochs:
            calling.save(trainer)
    except KeyboardInterrupt as error:
        is_heard = run.under_way is not None or len(run.history) == n_heard
        calling.save_interrupted(trainer, run, None if is_heard else known, error)
        raise
    finally:
        _leave_epoch(run)
        stack.close()


def _leave_epoch(run: Run) -> None:
    """Take note of how far an epoch has come that an error has ended, for a call of `fit` that goes on with it."""
    if run.under_way is not None:
        run.cut, run.under_way = run.cut_here(), None
        if run.cut is not None:
            run.cut.settings = run.assigned
