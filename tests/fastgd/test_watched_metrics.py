"""Callbacks that watch a metric."""

import math

import pytest
from metric_cases import halves, linear

from fastgd.callbacks import EarlyStopping, ModelCheckpoint, ReduceOnPlateau
from fastgd.history import EpochRecord

MODES = [("accuracy", None, "max"), ("r2", None, "max"), ("mae", None, "min"), ("mine", "max", "max")]


@pytest.mark.parametrize(("monitor", "mode", "better"), MODES)
def test_what_is_better(monitor, mode, better):
    stop = EarlyStopping(2, min_delta=0.1, monitor=monitor, mode=mode)
    trainer, _, _ = linear()
    signs = 1 if better == "max" else -1
    for epoch, value in enumerate([1, 1.05, 3, 2, math.nan], start=1):
        stops = stop(trainer, EpochRecord(epoch, 0.5, None, 0.1, metrics={monitor: signs * value}))
    assert (stop.best, stop.best_epoch, stops) == (signs * 3, 3, True)


def test_callbacks_watch_metrics(tmp_path):
    trainer, (X, y), _ = linear(metrics=["r2", halves])
    stop = EarlyStopping(patience=2, monitor="halves", mode="max")
    best = ModelCheckpoint(tmp_path / "{epoch}-{r2:.3f}", save_best_only=True, monitor="r2")
    lower = ReduceOnPlateau(patience=1, monitor="halves", mode="max")
    history = trainer.fit(X, y, epochs=40, validation=0.25, callbacks=[stop, best, lower])
    values = history.metrics["halves"]
    assert stop.best == max(values)
    assert len(history) == stop.best_epoch + 2 == values.index(max(values)) + 3
    assert trainer.learning_rate_factor < 1
    r2 = history.metrics["r2"]
    saved = {f"{k}-{r2[k - 1]:.3f}" for k in range(1, len(r2) + 1) if r2[k - 1] > max([-math.inf, *r2[: k - 1]])}
    assert {path.name for path in tmp_path.iterdir()} == saved


UNWATCHED = [
    (
        lambda: EarlyStopping(monitor="mae"),
        r"EarlyStopping watches mae and the Trainer's metrics are \['r2'\]",
    ),
    (lambda: ReduceOnPlateau(monitor="f1", mode="max"), r"ReduceOnPlateau watches f1 .* metrics=\[f1\]"),
    (
        lambda: ModelCheckpoint("{mae}"),
        r"path is .* Trainer's metrics are \['r2'\]; .*metrics=\['mae'\]",
    ),
]


@pytest.mark.parametrize(("callback", "message"), UNWATCHED)
def test_a_metric_that_no_epoch_will_have_is_refused_before_training(callback, message):
    trainer, rows, _ = linear(metrics=["r2"])
    with pytest.raises(ValueError, match=message):
        trainer.fit(*rows, validation=rows, callbacks=[callback()])
    assert trainer.n_updates == 0
