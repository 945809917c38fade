"""Callbacks for `Trainer.fit`: called after each epoch as `callback(trainer, record)`; one that returns True stops it.

One of your own may be any function of these two. An object may also have these methods, which `fit` calls before the
first step, some ten times a second between two steps, and at the end:

    on_begin(trainer)
    on_slice(trainer)           trainer.save may be called here; the time that it takes counts as the epoch's
    on_end(trainer, error)      error : None, or the exception that ended it, such as DivergenceError, KeyboardInterrupt

They are called in the order given, but that each ModelCheckpoint is called after an epoch when all others were, and so
saves what they have done. `on_end` is for those alone whose `on_begin`, if they have one, has come to its end. All of
them hear of the end before an error that one of them makes there is raised; where an error ended training, that one is
raised, and those of `on_end` are notes on it.

The names here are those that Keras users know. A callback that is used again goes on from what it has seen; make a new
one for a new run. What those here have seen is part of a saved run: in the first `fit` after `Trainer.load`, a new one
of the same class and settings takes it up, and the run goes on as if it had never stopped. Callbacks of your own keep
their state themselves.

Loggers write the numbers of each epoch where people look at them: `JSONLines` into a file, `TensorBoard`, `MLflow`,
`WandB` and `Trackio` where these keep theirs. What a saved run goes on with is in its history, and no state of theirs.
"""

from fastgd._engine.timed_checkpoint import Checkpoint
from fastgd.callbacks.logs import JSONLines, TensorBoard
from fastgd.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceOnPlateau
from fastgd.callbacks.trackers import MLflow, Trackio, WandB

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "JSONLines",
    "MLflow",
    "ModelCheckpoint",
    "ReduceOnPlateau",
    "TensorBoard",
    "Trackio",
    "WandB",
]
