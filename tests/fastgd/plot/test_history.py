"""Pictures of runs have the numbers of the history."""

import numpy as np
import pytest
from matplotlib import pyplot
from pictures import lines, rendered

import fastgd as gd
from fastgd.history import EpochRecord, History, Setback


def history_of(losses, validation=None, rates=None, **metrics):
    history = History()
    for index, loss in enumerate(losses):
        history.append(
            EpochRecord(
                index + 1,
                loss,
                None if validation is None else validation[index],
                0.5 + index,
                None if rates is None else rates[index],
                {name: values[index] for name, values in metrics.items()},
            )
        )
    return history


LOSSES, VALIDATION, RATES, ACCURACY = [0.9, 0.5, 0.4], [0.6, 0.3, 0.35], [0.1, 0.1, 0.05], [0.5, 0.8, 0.7]


def test_epochs_are_whole_numbers():
    for n_epochs in (1, 2, 3):
        axis = rendered(gd.plot.learning_curve(history_of(LOSSES[:n_epochs]))[-1]).xaxis
        low, high = axis.get_view_interval()
        assert {tick for tick in axis.get_ticklocs() if low <= tick <= high} == set(range(1, n_epochs + 1))


def test_learning_curve_shows_the_history():
    history = history_of(LOSSES, VALIDATION, RATES, accuracy=ACCURACY)
    history.setbacks.append(Setback(2, "divergence", 0.25))
    losses, accuracy, rate = rendered(history.plot(noise_loss=0.01))
    found = lines(losses)
    np.testing.assert_array_equal(found["training"], [[1, 2, 3], LOSSES])
    np.testing.assert_array_equal(found["validation"], [[1, 2, 3], VALIDATION])
    np.testing.assert_array_equal(found["best"], [[2], [0.3]])
    np.testing.assert_array_equal(found["noise"][1], [0.01, 0.01])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), ACCURACY)
    np.testing.assert_array_equal(accuracy.lines[1].get_data(), [[2], [0.8]])
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), RATES)
    np.testing.assert_array_equal(lines(rate)["taken"][0], [2, 2])
    labels = [panel.get_ylabel() for panel in (losses, accuracy, rate)]
    assert [*labels, rate.get_xlabel()] == ["loss", "accuracy", "learning rate", "epoch"]


def test_learning_curve_draws_into_the_axes_it_is_given():
    history = history_of(LOSSES, VALIDATION, RATES, accuracy=ACCURACY)
    _, ax = pyplot.subplots()
    assert gd.plot.learning_curve(history, ax=ax) is ax
    assert list(lines(ax)) == ["training", "validation", "best"]
    _, two = pyplot.subplots(2)
    found = gd.plot.learning_curve(history, metrics=[], ax=two)
    assert list(found) == list(two)
    assert two[1].get_ylabel() == "learning rate"
    with pytest.raises(TypeError, match="expected 3 Axes, for the losses, accuracy, the learning rate"):
        gd.plot.learning_curve(history, ax=two)


def test_a_run_without_validation_and_rates_has_one_panel():
    (losses,) = history_of([3.0]).plot()
    assert list(lines(losses)) == ["training"]
    assert losses.lines[0].get_marker() == "o"
    (losses,) = history_of(LOSSES).plot(best_epoch=3)
    np.testing.assert_array_equal(lines(losses)["best"], [[3], [0.4]])


@pytest.mark.parametrize(
    ("losses", "scale"), [([2.0, 0.2, 0.1], "log"), ([2.0, 1.0, 0.2], "linear"), ([2.0, 0.0], "linear")]
)
def test_a_scale_is_logarithmic_where_losses_span_decades(losses, scale):
    assert history_of(losses).plot()[0].get_yscale() == scale


def test_a_trainer_tells_the_name_of_its_loss(rng):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)]), optimizer=gd.SGD(0.01))
    trainer.fit(rng.standard_normal((20, 3)).astype(np.float32), np.ones(20, np.float32), epochs=2)
    losses, _ = gd.plot.learning_curve(trainer)
    assert losses.get_ylabel() == "half squared error"
    np.testing.assert_array_equal(lines(losses)["training"][1], trainer.history.loss)


def test_the_name_of_a_loss_fits_where_it_stands():
    """In two lines in a figure of fastgd's, and in one in a figure of the user's."""
    trainer = gd.Trainer(gd.Model([gd.Linear(1, 1)]), optimizer=gd.SGD(0.01), standardize_targets=True)
    trainer.fit([[0.0], [1.0]], [1.0, 3.0], epochs=2)
    assert gd.plot.learning_curve(trainer)[0].get_ylabel() == "half squared error\nof standardised targets"
    figure, ax = pyplot.subplots(figsize=(6.4, 3.6))
    assert rendered(gd.plot.learning_curve(trainer, ax=ax)).get_ylabel() == "half squared error of standardised targets"
    drawn = ax.yaxis.label.get_window_extent()
    assert figure.bbox.x0 <= drawn.x0
    assert figure.bbox.y0 <= drawn.y0
    assert drawn.y1 <= figure.bbox.y1


def test_throughput_is_rows_over_seconds():
    ax = rendered(gd.plot.throughput(history_of(LOSSES), 30))
    values, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(values, [60, 20, 12])
    np.testing.assert_allclose(edges, [0, 0.5, 2, 4.5])
    assert ax.get_ylabel() == "rows a second"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [20, 20])
    assert not ax.get_title()
    slow = history_of(LOSSES)
    slow.seconds[0] = 100.0
    ax = gd.plot.throughput(slow)
    assert (ax.get_ylabel(), ax.get_xlim()) == ("epochs a second", (100.0, 104.0))
    assert "first epoch, 100 s" in ax.get_title()
    # Of the two that are shown, of 1.5 and 2.5 seconds.
    np.testing.assert_allclose(ax.lines[0].get_ydata(), (1 / 1.5 + 1 / 2.5) / 2)
    assert "median of 2 epochs" in ax.lines[0].get_label()


WRONG = {
    "no epochs": (lambda: History().plot(), ValueError, "the run has no epochs yet"),
    "no run": (lambda: gd.plot.throughput([1, 2]), TypeError, "expected a History or a Trainer"),
    "metric": (lambda: history_of(LOSSES).plot(metrics=["r2"]), ValueError, "metrics is 'r2'"),
    "epoch": (lambda: history_of(LOSSES).plot(best_epoch=4), ValueError, "best_epoch is 4 and the run has 3 epochs"),
    "axes": (lambda: gd.plot.throughput(history_of(LOSSES), ax="below"), TypeError, "expected a matplotlib Axes"),
}


@pytest.mark.parametrize(("draw", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


def test_rates_that_differ_by_rounding_are_not_all_of_the_axis():
    rates = [0.6, 0.6 + 1e-15, 0.6]
    axes = rendered(history_of(LOSSES, rates=rates).plot())[-1]
    assert axes.get_ylim() == (0, pytest.approx(0.63))
