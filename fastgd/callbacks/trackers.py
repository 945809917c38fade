"""Callbacks that hand the numbers of each epoch to trackers of experiments, whose packages are imported on use.

`MLflow` and `WandB` log to the run that is active, and leave it open; where there is none, `fit` begins one with the
trainer's settings, and ends it. Begin a run yourself to log several calls of `fit` to it, or what fastgd does not know
of. `Trackio` begins a run in each `fit`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastgd import losses
from fastgd._engine.checkpoint import SETTINGS
from fastgd.callbacks.logs import scalars
from fastgd.history import EpochRecord

if TYPE_CHECKING:
    from fastgd.trainer import Trainer


def _imported(package: str, callback: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"callbacks.{callback} needs {package}; expected pip install 'fastgd[{package}]'") from error


def _require_mapping(config: Any) -> Mapping[str, Any]:
    """The config of a user's, to be added to the trainer's settings."""
    if not isinstance(config, Mapping):
        raise TypeError(
            f"config is {config!r}; expected a dict, which the trainer's settings are added to, such as vars(options) "
            "of a Namespace"
        )
    return config


def _settings_of(trainer: "Trainer") -> dict[str, Any]:
    """What the run is, as numbers and text."""
    return {
        "model": repr(trainer.model),
        "n_parameters": trainer.model.parameters.size,
        "loss": losses.name_of(trainer.loss),
        "optimizer": repr(trainer.optimizer),
        **{name: getattr(trainer, name) for name in SETTINGS},
    }


class MLflow:
    """Log the numbers of each epoch as metrics of an MLflow run, with the epoch as the step.

    A run that `fit` begins has the trainer's settings as parameters, and ends as FINISHED, KILLED by Ctrl-C, or FAILED.
    It needs mlflow: `pip install "fastgd[mlflow]"`.

    Parameters
    ----------
    experiment : str, optional
        The name of the experiment in which a run is begun; by default MLflow's.
    run_name : str, optional
        What a run that is begun is called.
    tracking_uri : str, optional
        Where MLflow keeps its runs, as for `mlflow.set_tracking_uri`; by default what it is set to.

    Raises
    ------
    ImportError
        Without mlflow.

    Examples
    --------
    >>> import fastgd as gd
    >>> trainer.fit(X, y, epochs=10, callbacks=[gd.callbacks.MLflow("prices")])  # doctest: +SKIP
    """

    def __init__(
        self, experiment: str | None = None, run_name: str | None = None, tracking_uri: str | None = None
    ) -> None:
        self._mlflow = _imported("mlflow", "MLflow")
        self.experiment, self.run_name, self.tracking_uri = experiment, run_name, tracking_uri
        self._has_begun = False

    def on_begin(self, trainer: "Trainer") -> None:
        """Begin a run, unless there is one."""
        self._has_begun = self._mlflow.active_run() is None
        if not self._has_begun:
            return
        if self.tracking_uri is not None:
            self._mlflow.set_tracking_uri(self.tracking_uri)
        if self.experiment is not None:
            self._mlflow.set_experiment(self.experiment)
        self._mlflow.start_run(run_name=self.run_name)
        try:
            self._mlflow.log_params(_settings_of(trainer))
        except BaseException as error:
            # What fails to begin is not told of the end, and the next `fit` would log to this run.
            self.on_end(trainer, error)
            raise

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Log an epoch."""
        self._mlflow.log_metrics(scalars(record), step=record.epoch)

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """End the run that `fit` began."""
        if self._has_begun:
            status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
            self._mlflow.end_run("FINISHED" if error is None else status)


class WandB:
    """Log the numbers of each epoch, and the epoch beside them, to a run of Weights & Biases.

    A run that `fit` begins has the trainer's settings as its config. It needs wandb: `pip install "fastgd[wandb]"`.

    Parameters
    ----------
    project : str, optional
        Where a run is begun; by default what wandb is set to.
    **options
        As `wandb.init` takes them for a run that is begun, such as name="adam" or mode="offline".

    Raises
    ------
    TypeError
        For a config that is no dict.
    ImportError
        Without wandb.

    Examples
    --------
    >>> import fastgd as gd
    >>> log = gd.callbacks.WandB("prices", mode="offline")  # doctest: +SKIP
    >>> trainer.fit(X, y, epochs=10, callbacks=[log])  # doctest: +SKIP
    """

    def __init__(self, project: str | None = None, **options: Any) -> None:
        self._wandb = _imported("wandb", "WandB")
        self._config = _require_mapping(options.pop("config", {}))
        self._options = {"project": project} | options
        self._run: Any = None
        self._has_begun = False

    def on_begin(self, trainer: "Trainer") -> None:
        """Begin a run, unless there is one."""
        self._has_begun = self._wandb.run is None
        config = _settings_of(trainer) | dict(self._config)
        self._run = self._wandb.init(**self._options, config=config) if self._has_begun else self._wandb.run

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Log an epoch."""
        self._run.log({"epoch": record.epoch} | scalars(record))

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Finish the run that `fit` began."""
        if self._has_begun:
            self._run.finish(exit_code=0 if error is None else 1)


class Trackio:
    """Log the numbers of each epoch to a run of Trackio that `fit` begins, with the epoch as the step.

    Its config has the trainer's settings. It needs trackio: `pip install "fastgd[trackio]"`.

    Parameters
    ----------
    project : str
        Where the run is begun.
    **options
        As `trackio.init` takes them, such as name="adam", or resume="allow" for the run of this name to go on.

    Raises
    ------
    TypeError
        For a config that is no dict.
    ImportError
        Without trackio.

    Examples
    --------
    >>> import fastgd as gd
    >>> trainer.fit(X, y, epochs=10, callbacks=[gd.callbacks.Trackio("prices")])  # doctest: +SKIP
    """

    def __init__(self, project: str, **options: Any) -> None:
        self._trackio = _imported("trackio", "Trackio")
        self._config = _require_mapping(options.pop("config", {}))
        self._options = {"project": project} | options

    def on_begin(self, trainer: "Trainer") -> None:
        """Begin the run."""
        self._trackio.init(**self._options, config=_settings_of(trainer) | dict(self._config))

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Log an epoch."""
        self._trackio.log(scalars(record), step=record.epoch)

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Finish the run."""
        self._trackio.finish()
