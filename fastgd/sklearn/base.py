"""What both estimators are: a Trainer that is made, fed and asked as scikit-learn has it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastgd._engine.monitor import Monitor
from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.subset import Subset
from fastgd.errors import DivergenceError
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.model_data import check_fits
from fastgd.sklearn import rows, settings
from fastgd.sklearn.attributes import FittedAttributes
from fastgd.sklearn.callbacks import CallbackSupportMixin, EpochTasks, with_callbacks
from fastgd.sklearn.lbfgs_finish import LBFGSFinish
from fastgd.sklearn.parameter_ranges import require_in_range
from fastgd.sklearn.rows import Found, Given
from fastgd.sklearn.saved_estimator import FileMethods
from fastgd.sklearn.scales import Scales, start_linear
from fastgd.sklearn.settings import Architecture, Training
from fastgd.sklearn.sparse_rate import set_rate_of_sparse_rows
from fastgd.sklearn.stopping import Stopping
from fastgd.sklearn.workers import without_oversubscription

# What tells the draws of held-out rows from those of a Trainer.
_HELD_OUT = 3


class GradientDescent(CallbackSupportMixin, FileMethods, FittedAttributes, BaseEstimator):
    """What GDRegressor and GDClassifier share; see there."""

    # Rows to validate on go where these estimators are, as `Pipeline(transform_input=["X_val"])` expects.
    __metadata_request__fit = {"X_val": True, "y_val": True, "sample_weight_val": True}  # noqa: RUF012 (scikit-learn's)
    __metadata_request__partial_fit = {"X_val": True, "y_val": True, "sample_weight_val": True}  # noqa: RUF012

    # What a trainer has besides; threads that share the rows to predict; whether a function as X gives blocks.
    _settings_of_replicas: Mapping[str, Any] = MappingProxyType({})
    _n_threads: int | None = None
    _takes_blocks = True
    # Parameters of both, set by their constructors.
    hidden_layer_sizes: int | Sequence[int]
    loss: str
    epsilon: float | None
    activation: str | Sequence[str]
    penalty: str | None
    alpha: float | str
    l1_ratio: float
    fit_intercept: bool
    solver: Any
    learning_rate: Any
    learning_rate_init: float | None
    power_t: float
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    batch_size: int | str | None
    max_iter: int
    tol: float | None
    n_iter_no_change: int | str
    shuffle: bool
    random_state: Any
    early_stopping: bool
    validation_fraction: float
    warm_start: bool
    average: bool | int
    standardize: bool | str
    callbacks: Sequence[Callable[..., Any]]
    verbose: int

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
    ) -> Self:
        """Learn from rows, in up to `max_iter` epochs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or Dataset
            Any real dtype and layout, or a frame of numbers; never copied whole. Float32 is float32 throughout, and
            all that is not floating-point becomes float64 as it is read. Of sparse matrices, CSR is read where it lies,
            and any other format is copied to it, with a warning. A data set or stream, as `gd.data.open` gives, or a
            function or iterable of blocks (X, y) of numbers, brings y and the weights, which are held in memory; the
            rows of a stream are read once, to memory up to 1 GB, and else to temporary files.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers; of a classifier labels: strings, booleans, whole numbers, or zeros and ones of several labels a
            row.
        sample_weight : array-like of shape (n_samples,), optional
            Multiplies each row's loss, at least 0; only ratios count, as weights are divided by their mean.
        X_val, y_val, sample_weight_val : array-likes, optional
            Rows to take `validation_loss_curve_` on; with early_stopping=True, they say which epoch was the best.
        coef_init, intercept_init : array-likes, optional
            What a linear model starts from, shaped and meant as `coef_` and `intercept_`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters out of range and for rows that are not as above; a NaN or infinity is named by its place.
        fastgd.DivergenceError
            Where a learning rate that was chosen is too large.
        """
        self._train(
            Given(X, y, sample_weight, X_val, y_val, sample_weight_val, None, coef_init, intercept_init),
            is_partial=False,
        )
        return self

    # What the two kinds differ in.

    @property
    def _is_numeric(self) -> bool:
        """Whether y holds numbers, or labels."""
        raise NotImplementedError

    def _noted(self, y: np.ndarray, classes: Any, is_first: bool, is_partial: bool = False) -> np.ndarray:
        """y as numbers, (n_samples,) or (n_samples, n_outputs); what it holds is noted, or compared with what was.

        is_partial : whether classes may be missing
        """
        raise NotImplementedError

    def _loss(self) -> Loss:
        """The loss of the trainer, for targets such as were noted."""
        raise NotImplementedError

    def _encoded(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        """Noted targets as the loss takes them, (n_samples, n_targets)."""
        raise NotImplementedError

    @property
    def _n_outputs(self) -> int:
        """How many outputs the model has."""
        raise NotImplementedError

    def _weights_of_classes(self, y: np.ndarray, v: np.ndarray | None, is_partial: bool) -> np.ndarray | None:
        """What multiplies the weight of each class, (n_classes,), for noted targets of the rows that are learnt from;
        None where nothing does.
        """
        return None

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """What rows that are held out have by its share, (n_samples,) of numbers."""
        return None

    def _train(self, given: Given, is_partial: bool) -> None:
        """What `fit` and `partial_fit` do."""
        require_in_range(self)
        goes_on = hasattr(self, "model_") and (is_partial or self.warm_start)
        metadata = {"sample_weight": given.sample_weight}
        tasks = [] if is_partial else EpochTasks.of(self, given.X, given.y, metadata)
        before = dict(vars(self))
        try:
            with without_oversubscription(), rows.all_in_any_order(given, self._takes_blocks) as given:
                self._train_checked(given, is_partial, goes_on, tasks)
        except Exception as error:
            # What diverged predicts by its last finite model, and what Ctrl-C has ended by its last.
            if not (goes_on or isinstance(error, DivergenceError)):
                # What was fitted before stays, and nothing of what could not be.
                vars(self).clear()
                vars(self).update(before)
            raise
        for each in tasks:
            each.end()

    def _train_checked(self, given: Given, is_partial: bool, goes_on: bool, tasks: list[EpochTasks]) -> None:
        training = settings.training_of(self)
        found = self._found(given, is_partial, goes_on)
        if found is None:
            return
        X, y, learnt, held_out, architecture = found
        patience = settings.patience_of(self, training, is_partial, learnt, architecture.loss)
        has_start = given.coef_init is not None or given.intercept_init is not None
        if not goes_on:
            self._begin(architecture, training, X, learnt, is_partial, has_scales=has_start)
        elif training != self._training:
            self._retrain(architecture, training, learnt)
        rows.require_uncentred(self, X)
        check_fits(self.trainer_.model, learnt, architecture.loss)
        if self.early_stopping and held_out is None:
            learnt, held_out = self._split(learnt, y)
        self._learn_scales(learnt, goes_on, is_partial)
        if not is_partial:
            set_rate_of_sparse_rows(training, self.trainer_, learnt, is_new=not goes_on)
        if has_start:
            start_linear(self.trainer_.model, given.coef_init, given.intercept_init)
        best = self.model_ if goes_on and self.model_ is not self.trainer_.model else None
        self._stopping.configure(*patience)
        finish = None if is_partial else LBFGSFinish.of(self, training, learnt, patience[1])
        self._stopping.begin(best, held_out, architecture.loss, is_partial and goes_on, finish)
        n_before = len(self.trainer_.history)
        try:
            self._fit_trainer(
                learnt,
                epochs=1 if is_partial else self.max_iter,
                validation=held_out,
                callbacks=[*self.callbacks_, self._stopping, *tasks],
                progress=(False, True, "epochs")[min(int(self.verbose), 2)],
            )
        finally:
            self._stopping.finish = None
            self._take_model()
            before = self.n_iter_ if is_partial and goes_on else 0
            self.n_iter_ = before + len(self.trainer_.history) - n_before
        if not is_partial:
            self._stopping.warn_of_its_end(self.n_iter_ == self.max_iter, training.has_chosen_rate)

    def _found(self, given: Given, is_partial: bool, goes_on: bool) -> Found | None:
        """What is to be learnt from what is given; None where a part of a stream has no weight."""
        X, y = rows.features_and_targets(self, given.X, given.y, not goes_on, self._is_numeric)
        v = rows.weights(given.sample_weight, X)
        if is_partial and v is not None and not v.any():
            return None
        y = self._noted(y, given.classes, not goes_on, is_partial)
        architecture = self._checked_architecture(goes_on)
        of_classes = self._weights_of_classes(y, v, is_partial)
        v = rows.weighted(v, y, of_classes)
        encoded = self._encoded(y, architecture.loss)
        learnt = rows.with_targets(X, encoded, v if is_partial else rows.of_mean_one(v))
        learnt.feature_names = getattr(self, "feature_names_in_", None)
        held_out = self._given_validation(given, architecture.loss, of_classes)
        return Found(X, y, learnt, held_out, architecture)

    def _checked_architecture(self, goes_on: bool) -> Architecture:
        """That of the parameters and of the targets that were noted."""
        architecture = settings.architecture_of(self, self._loss())
        if goes_on:
            architecture.require_same(self._architecture)
        return architecture

    def _fit_trainer(self, learnt: Dataset, **options: Any) -> None:
        """Call `Trainer.fit`."""
        self.trainer_.fit(learnt, **options)

    def _given_validation(self, given: Given, loss: Loss, of_classes: np.ndarray | None) -> Dataset | None:
        """The user's own rows to validate on; None where there are none."""
        if given.X_val is None or (given.y_val is None and not isinstance(given.X_val, Dataset)):
            parts = {name: getattr(given, name) for name in ("X_val", "y_val", "sample_weight_val")}
            there = [name for name, part in parts.items() if part is not None]
            if there:
                raise ValueError(f"{' and '.join(there)} alone is given to validate on; expected X_val and y_val")
            return None
        with rows.errors_about("X_val, y_val or sample_weight_val"):
            X, y = rows.features_and_targets(self, given.X_val, given.y_val, False, self._is_numeric)
            y = self._noted(y, None, is_first=False, is_partial=True)
            v = rows.weighted(rows.weights(given.sample_weight_val, X), y, of_classes)
        return rows.with_targets(X, self._encoded(y, loss), rows.of_mean_one(v, "sample_weight_val"))

    def _split(self, dataset: Dataset, y: np.ndarray) -> tuple[Dataset, Dataset]:
        """The rows to learn from and those held out, which have weights above 0.

        They are the same whenever the same rows come again, so that none is ever learnt from.
        """
        rng = np.random.default_rng([self._seed, 0, _HELD_OUT])
        v = dataset.sample_weight
        counting = np.arange(len(y)) if v is None else np.flatnonzero(v > 0)
        strata = self._strata(y)
        is_held_out = np.zeros(len(y), np.bool_)
        is_held_out[counting] = rows.held_out(
            len(counting), self.validation_fraction, rng, None if strata is None else strata[counting]
        )
        return Subset(dataset, np.flatnonzero(~is_held_out)), Subset(dataset, np.flatnonzero(is_held_out))

    def _begin(
        self, architecture: Architecture, training: Training, X: Any, learnt: Dataset, is_stream: bool, has_scales: bool
    ) -> None:
        """Have a new model and a new trainer.

        learnt : the rows to learn from          has_scales : whether scales are to be known before training begins
        """
        vars(self).pop("model_", None)
        dtype = checks.floating_dtype(X.dtype)
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._is_stream, self._architecture, self._stopping = is_stream, architecture, Stopping()
        is_drawn, is_sparse = not training.starts_at_zero(architecture), rows.is_sparse(X)
        model = architecture.model(X.shape[1], self._n_outputs, dtype, self._seed, is_sparse, is_drawn)
        model.labels = self._labels()
        self._retrain(architecture, training, learnt, model)
        settings.start_at_zero(self.trainer_, is_stream and not training.has_chosen_rate)
        centres = architecture.centres_features and not is_sparse, architecture.fit_intercept
        # What a Trainer learns by itself, it learns when training begins.
        learns_here = is_stream or has_scales or not all(centres)
        by_entries = is_sparse and architecture.standardize is True
        n_robust = None if is_stream else architecture.n_robust(X.shape[0])
        self._scales = Scales(self.trainer_.model, *centres, by_entries, n_robust) if learns_here else None

    def _retrain(
        self, architecture: Architecture, training: Training, learnt: Dataset, model: Model | None = None
    ) -> None:
        """Have a new trainer, of the model that was trained so far if there is no other."""
        model = self.trainer_.model if model is None else model
        self._training = training
        self.trainer_ = training.trainer(
            model, architecture, self._seed, self._is_stream, learnt, **self._settings_of_replicas
        )
        # What is fastgd's remembers the run that it has seen; parameters of an estimator stay as they are.
        self.callbacks_ = [copy.copy(each) if isinstance(each, Monitor) else each for each in self.callbacks]

    def _learn_scales(self, dataset: Dataset, goes_on: bool, is_partial: bool) -> None:
        """Standardise by all rows of a stream so far; by the rows of `fit` for good."""
        if self._scales is not None and (is_partial or not goes_on):
            self._scales.add(dataset)
            models = [self.trainer_.model]
            if goes_on and self.model_ is not self.trainer_.model:
                models.append(self.model_)
            self._scales.tell(models)
        if not is_partial:
            self._scales = None

    def _take_model(self) -> None:
        """Predict by the best model, by the mean of all, or by the last."""
        trainer, best = self.trainer_, self._stopping.best_parameters
        if self.early_stopping and best is not None:
            self.model_ = copy.deepcopy(trainer.model)
            self.model_.parameters = best
        elif trainer.average_from is not None and trainer.n_updates >= trainer.average_from:
            self.model_ = trainer.averaged_model()
        elif not (trainer.model.unfitted_layers or (self.early_stopping and hasattr(self, "model_"))):
            self.model_ = trainer.model

    def _outputs(self, X: Any) -> np.ndarray:
        """The model's outputs for rows, (n_samples, n_outputs)."""
        check_is_fitted(self)
        with without_oversubscription(), rows.in_any_order(X) as X:
            return self.model_.predict(rows.features(self, X), n_threads=self._n_threads)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")
