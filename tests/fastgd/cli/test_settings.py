"""Options for every setting of optimisers, losses and schedules."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
from command_line import SMALL, run
from scipy import sparse

import fastgd as gd
from fastgd import losses, optimizers, schedules
from fastgd.cli import settings
from fastgd.cli.arguments import parser


@pytest.fixture
def made(capsys, monkeypatch, tmp_path):
    """A function that gives the Trainer that a command makes of 1000 rows, 800 of them to learn from."""
    data = gd.data.synthetic(1000, 3, seed=1)
    data.save(tmp_path)

    def make(*options):
        found = []
        monkeypatch.setattr(gd.Trainer, "fit", lambda trainer, *_, **__: found.append(trainer) or 1 / 0)
        run(capsys, "train", tmp_path, "--quiet", *options)
        assert found, options
        return found[-1]

    return make


def test_many_columns_take_a_larger_penalty(capsys, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "X.npy", rng.normal(size=(100, 160)))
    np.save(tmp_path / "y.npy", rng.normal(size=100))
    found = []
    monkeypatch.setattr(gd.Trainer, "fit", lambda trainer, *_, **__: found.append(trainer.alpha) or 1 / 0)

    def alpha(*options, X=tmp_path):
        run(capsys, "train", X, "--quiet", *options)
        return found[-1]

    # Of 80 rows to learn from.
    assert 0.3 < alpha() <= 1
    assert 0.3 < alpha("--loss", "quantile") <= 1
    assert 0.15 <= alpha("--hidden", 2) <= 0.3
    assert alpha("--alpha", 0) == alpha("--l1-ratio", 0.5) == alpha("--no-standardize") == 0
    assert alpha("--no-standardize-targets") == 0


def test_sparse_rows_have_a_penalty_that_costs_no_more_than_they_do(capsys, monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(gd.Trainer, "fit", lambda trainer, *_, **__: found.append(trainer) or 1 / 0)

    def trainer(n_features, *options):
        X = sparse.random_array((1000, n_features), density=2 / n_features, format="csr", rng=0)
        sparse.save_npz(tmp_path / "X.npz", X)
        np.save(tmp_path / "y.npy", np.arange(1000) % 2 == 0)
        run(capsys, "train", tmp_path / "X.npz", "--target", tmp_path / "y.npy", "--quiet", *options)
        return found[-1].optimizer, found[-1].alpha

    # Of 800 rows to learn from; what cannot be searched for a rate has no penalty.
    assert trainer(100) == (gd.Adagrad("auto", bounded=True), 1 / 800)
    assert trainer(100, "--hidden", 8) == (gd.Adagrad("auto", bounded=False), 2 / 800)
    assert trainer(200_000) == (gd.SGD("auto"), 1 / 800)
    assert trainer(200_000, "--hidden", 8, "--alpha", 0) == (gd.Adagrad("auto", bounded=False), 0)
    assert trainer(2_000_000) == (gd.Adagrad("auto", bounded=True), 0)


@pytest.mark.parametrize(
    ("module", "kinds"), [("optimizers", optimizers.OPTIMIZERS), ("schedules", schedules.SCHEDULES)]
)
def test_settings_are_those_of_the_classes(module, kinds):
    found = settings.classes_in(module)
    assert list(found) == list(kinds)
    for name, kind in kinds.items():
        expected = {field.name: field.default for field in dataclasses.fields(kind) if field.name != "learning_rate"}
        assert list(found[name]) == list(expected)
        for setting, default in expected.items():
            source = found[name][setting].default
            assert (dataclasses.MISSING if source is None else eval(source)) == default


def test_settings_are_those_of_the_losses():
    assert settings.loss_names() == list(losses.LOSSES)
    assert set(settings.losses()) == set(losses._WITH_PARAMETERS)
    for name, found in settings.losses().items():
        parameters = inspect.signature(getattr(losses, name)).parameters
        assert {key: eval(setting.default) for key, setting in found.items()} == {
            key: parameter.default for key, parameter in parameters.items()
        }


@pytest.mark.parametrize("name", list(settings.classes_in("optimizers")))
def test_every_setting_of_an_optimizer_has_an_option(name, made):
    """Each is given, and not its default."""
    default = optimizers.OPTIMIZERS[name]()
    options, expected = [], {}
    for key, setting in settings.classes_in("optimizers")[name].items():
        option = "--rmsprop-alpha" if key == "alpha" else f"--{key.replace('_', '-')}"
        if key in ("dampening", "nesterov"):
            continue
        if key == "bounded" and name == "SGD":
            # With a momentum, there are none.
            continue
        value = {"bool": True, "bool | None": True, "float": 0.5, "tuple[float, float]": (0.5, 0.25)}[setting.type]
        assert value != getattr(default, key)
        options += [option] if value is True else [option, *np.ravel(value)]
        expected[key] = value
    trainer = made("--optimizer", name, "--learning-rate", 0.125, *options)
    assert trainer.optimizer == optimizers.OPTIMIZERS[name](learning_rate=0.125, **expected)


def test_settings_of_plain_sgd(made):
    assert made("--momentum", 0.9, "--nesterov").optimizer == gd.SGD("auto", momentum=0.9, nesterov=True)
    assert made("--momentum", 0.9, "--dampening", 0.5).optimizer == gd.SGD("auto", momentum=0.9, dampening=0.5)
    assert made("--optimizer", "SGD").optimizer == gd.SGD("auto")
    assert made("--optimizer", "Adagrad", "--no-bounded").optimizer == gd.Adagrad(bounded=False)
    assert made("--optimizer", "Adam").optimizer == gd.Adam()


@pytest.mark.parametrize("name", list(settings.losses()))
def test_every_parameter_of_a_loss_has_an_option(name, made):
    (key,) = settings.losses()[name]
    if name != "cross_entropy":
        assert made("--loss", name, f"--{key}", 0.25).loss == getattr(losses, name)(0.25)


def test_settings_of_the_trainer(made):
    trainer = made("--clip-value", 3, "--clip-norm", 2, "--max-norm", 4, "--average-from", 7, "--alpha", 0.5)
    found = trainer.clip_value, trainer.clip_norm, trainer.max_norm, trainer.average_from, trainer.alpha
    assert found == (3, 2, 4, 7, 0.5)


SCHEDULES = {
    "Constant": schedules.Constant(0.5),
    "InverseScaling:power_t=0.5": schedules.InverseScaling(0.5, 0.5),
    "Step:step_size=100,gamma=0.5": schedules.Step(0.5, 100, 0.5),
    "Step:step_size=2epochs": schedules.Step(0.5, 50),
    "Exponential:gamma=0.99": schedules.Exponential(0.5, 0.99),
    "CosineWarmRestarts:T_0=1epoch,T_mult=2": schedules.CosineWarmRestarts(0.5, 25, 2),
    "Cooldown:period=0.5epochs": schedules.Cooldown(0.5, 12),
    "LinearWarmup:n_updates=10": schedules.LinearWarmup(0.5, 10),
    "OneCycle:total_steps=5epochs,pct_start=0.1": schedules.OneCycle(0.5, 125, 0.1),
}


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules(text, made):
    """Of 25 updates in an epoch."""
    assert made("--schedule", text, "--learning-rate", 0.5).optimizer == gd.SGD(SCHEDULES[text])


def test_schedules_without_a_rate(made):
    """It is then the optimiser's own: of Adam, unless SGD is asked for."""
    assert made("--schedule", "Optimal:alpha=0.5").optimizer == gd.SGD(schedules.Optimal(0.5))
    step = "--schedule", "Step:step_size=9"
    assert made(*step).optimizer == gd.Adam(schedules.Step(gd.Adam().learning_rate, 9))
    slow = schedules.Step(gd.SGD().learning_rate, 9)
    assert made(*step, "--optimizer", "SGD").optimizer == gd.SGD(slow)
    assert made(*step, "--momentum", 0.5).optimizer == gd.SGD(slow, momentum=0.5)
    rmsprop = made("--optimizer", "RMSprop", "--schedule", "Step:step_size=9").optimizer
    assert rmsprop == gd.RMSprop(schedules.Step(gd.RMSprop().learning_rate, 9))


MISTAKES = {
    "another optimiser": (["--optimizer", "adam"], "--optimizer is 'adam'; expected one of 'auto', 'SGD'"),
    "which": (["--optimizer", "adam"], "Did you mean 'Adam'?"),
    "setting of another": (
        ["--optimizer", "Adam", "--momentum", "0.9"],
        "momentum, a setting of SGD, RMSprop, is given and --optimizer is Adam; expected --optimizer SGD or RMSprop",
    ),
    "parameter of another": (["--delta", "2"], "delta, a setting of huber, is given and --loss is half_squared_error"),
    "out of range": (["--momentum", "1"], "momentum is 1.0; expected less than 1"),
    "loss out of range": (["--loss", "huber", "--delta", "0"], "delta is 0.0; expected more than 0"),
    "no number": (["--momentum", "much"], "argument --momentum: invalid float value: 'much'"),
    "clip": (["--clip-norm", "-1"], "clip_norm is -1.0"),
    "one beta": (["--optimizer", "Adam", "--betas", "0.9"], "argument --betas: expected 2 arguments"),
    "schedule": (["--schedule", "step"], "Did you mean 'Step'?"),
    "no setting": (["--schedule", "Step:size=2"], "Step has no setting 'size'; expected step_size, gamma"),
    "setting is missing": (["--schedule", "Step"], "Step needs step_size; expected it in updates or epochs"),
    "rate is missing": (["--schedule", "Exponential"], "Exponential needs gamma"),
    "no count": (["--schedule", "Step:step_size=2.5"], "step_size of --schedule Step is '2.5'; expected a number of"),
    "count of nothing": (["--schedule", "Step:step_size=0"], "step_size is 0; expected at least 1"),
    "no share": (["--schedule", "Cooldown:period=9,share=x"], "share of --schedule Cooldown is 'x'; expected a number"),
    "rate in the schedule": (["--schedule", "Step:learning_rate=1"], "the rate by --learning-rate"),
    "two rates": (["--schedule", "Optimal", "--learning-rate", "1"], "Optimal takes none"),
    "auto": (["--schedule", "Step:step_size=9", "--learning-rate", "auto"], "which has a schedule of its own"),
    "late average": (["--average-from", "10001"], "--average-from is 10001; expected one of the 10000 updates"),
    "average and patience": (
        ["--average-from", "9", "--patience", "2", "--validation", "0.2"],
        "expected one of them",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_a_line(mistake, capsys):
    options, message = MISTAKES[mistake]
    status, _, err = run(capsys, "train", *SMALL, *options)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_the_average_is_what_is_kept(capsys, tmp_path):
    """And judged."""
    data = gd.data.synthetic(1000, 3, seed=1, noise=0.1)
    data.save(tmp_path)
    options = ["--learning-rate", 0.1, "--average-from", 10, "--validation", tmp_path / "X.npy", tmp_path / "y.npy"]
    options += ["--no-standardize-targets"]
    status, out, _ = run(capsys, "train", tmp_path, "--quiet", *options, "--out", tmp_path / "m")
    assert status == 0
    model = gd.Model([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.1), batch_size=32, shuffle=True, average_from=10)
    rows = gd.data.open(tmp_path)
    # Of 32 updates, to make 5000.
    trainer.fit(rows, epochs=157)
    average = trainer.averaged_model()
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "m").parameters, average.parameters)
    assert float(re.search(r"validation ([\d.]+) of the average", out)[1]) == pytest.approx(average.loss(rows), 1e-4)


def test_few_rows_are_gone_through_until_they_are_learnt(capsys, tmp_path):
    """Five thousand updates, a thousand of networks, or five epochs."""
    for n_rows, hidden, epochs in ((256, (), 625), (256, (2,), 125), (32_000, (2,), 5)):
        gd.data.synthetic(n_rows, 2, noise=0.1).save(tmp_path)
        options = ["--validation", 0, "--quiet", "--optimizer", "Adagrad", *(["--hidden", *hidden] if hidden else [])]
        out = run(capsys, "train", tmp_path, *options)[1]
        assert f"after {epochs} epochs" in out


def test_help_lists_every_setting(capsys):
    out = run(capsys, "train", "--help")[1]
    for name in (
        "momentum",
        "weight-decay",
        "betas",
        "rmsprop-alpha",
        "delta",
        "quantile",
        "label-smoothing",
        "schedule",
    ):
        assert f"--{name} " in out
    assert "default: None" not in out
    assert "default: cross_entropy for classification" in " ".join(out.split())


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"fastgd {gd.__version__}\n", "")


def test_a_setting_that_was_not_given_is_left_to_the_optimiser():
    assert not [name for name in vars(parser().parse_args(["train"])) if "." in name]
