"""Regression."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from fastgd.export.onnx import Outputs
from fastgd.labels import Labels, rates
from fastgd.losses import Loss, kind_of
from fastgd.sklearn import rows, settings
from fastgd.sklearn.base import GradientDescent
from fastgd.sklearn.rows import Given


class GDRegressor(RegressorMixin, GradientDescent):
    """Regression by gradient descent: linear, or a network.

    On rows as they are, without scaling and without a learning rate: features and targets are standardised inside, and
    with the default solver no run ends worse than the best constant on the rows that it learns from.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=()
        Width of each hidden layer; none is a linear model.
    loss : str, default="squared_error"
        "squared_error", "absolute_error", "huber", "quantile", "epsilon_insensitive", "squared_epsilon_insensitive", or
        "poisson", whose predictions are exp(z) of the model's output z. See `fastgd.losses` for formulas.
    epsilon : float, optional
        Where "huber" becomes linear, by default 1.35, and what "epsilon_insensitive" and its square ignore, by default
        0.1, in units of the standardised targets.
    quantile : float, default=0.5
        Which of them "quantile" learns, from 0 to 1.
    activation : str or sequence of str, default="relu"
        Of the hidden layers, or of each of them: "relu", "leaky_relu", "tanh", "logistic" or "identity".
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        alpha ½ Σ w², alpha Σ |w|, or alpha ((1 - l1_ratio) ½ Σ w² + l1_ratio Σ |w|), over the weights that features of
        the common scale have, and not over the biases. The latter two make weights exactly zero, with plain SGD those
        that the last update would move by less than its penalty: after single rows they are fewer than SGD*'s, which
        catches up on penalties of earlier rows.
    alpha : float or "auto", default="auto"
        At least 0. "auto" is 1 / n_samples, as of Ridge(1), and at most 0.01, or with hidden layers 0.001; and, for
        all losses but poisson, what serves rows that were left out, where features are 0.02 or more to a row: see
        `fastgd.recommended.recommended_alpha`. That is so where the solver is "auto", the penalty L2, `standardize`
        True and targets are standardised. In `partial_fit` and where a rate is chosen, it is 0.0001, as SGD*'s, or with
        hidden layers 0.001, as on sparse rows. There, it is 0 in `partial_fit`, and for networks on more than a million
        features: each update would be of all weights. Without momentum, SGD multiplies weights by
        max(0, 1 - rate · alpha), as SGD*, and costs no more than the entries.
    l1_ratio : float, default=0.15
        From 0 to 1; of "elasticnet" alone.
    fit_intercept : bool, default=True
        Whether layers have biases. Without, nothing is centred: features and targets are divided by the root of their
        mean² + deviation², as below.
    solver : str or optimiser, default="auto"
        "sgd", "adam", "adamw", "adagrad", "rmsprop", "normalized_sgd", or an optimiser of fastgd with a rate of its
        own, such as `gd.AdamW(3e-4)`. "auto" is what learns best without a rate being chosen (see
        `fastgd.recommended.resolved`). On sparse rows it is Adagrad where that is NormalizedSGD, which cannot see them.
        It is SGD where a penalty would take much longer than the entries do: of linear models at a rate that the rows
        bear. Where a rate is chosen, it is "sgd" without hidden layers and "adam" with some.
    learning_rate : str or schedule, default="auto"
        "auto": a rate that is known to do, or found by short trials, and lowered where an epoch goes wrong; unless
        learning_rate_init is given, which is then constant. In `partial_fit`, where nothing tells how many rows will
        come, it is the solver's own, constant. "constant": learning_rate_init. "invscaling": learning_rate_init /
        t^power_t for the update t. "optimal": 1 / (alpha (t0 + t - 1)), as SGD*'s. "adaptive": learning_rate_init,
        divided by 5 whenever training would end, until it is below 1e-6. Or a schedule of `fastgd.schedules`.
    learning_rate_init : float, optional
        More than 0; by default the solver's own, such as 0.001 of "adam".
    power_t : float, default=0.25
        At least 0; of "invscaling" alone.
    momentum : float, default=0.0
        In [0, 1); of "sgd" alone.
    nesterovs_momentum : bool, default=True
        Whether momentum looks ahead.
    beta_1, beta_2 : float, default=0.9, 0.999
        In [0, 1); of "adam" and "adamw" alone.
    batch_size : int, "auto" or None, default="auto"
        Rows per update, by their mean gradient: 1 is online, as SGD*; None is all of them; "auto" is 32.
    max_iter : int, default=200
        The most epochs that a call of `fit` takes; a ConvergenceWarning says where they were too few.
    tol : float or None, default=1e-4
        Training ends when n_iter_no_change epochs in a row have not brought the loss, that on the validation rows with
        early stopping, tol below the lowest before; None goes on to max_iter. Targets are the standardised ones; for
        "poisson", tol and an alpha of "auto" are times the mean target where that is below 1.
    n_iter_no_change : int or "auto", default="auto"
        At least 1. "auto" is 5 or, where the rate is "auto", as many as make 200 updates, of a network 60 or, in
        full batches, 20; not in `partial_fit`. With such a rate, L-BFGS ends the training of a linear model where its
        objective is least, after 8 epochs if it can; but not with `average`, warm_start or early stopping.
    shuffle : bool, default=True
        Whether each epoch takes the rows in an order of its own.
    random_state : int, RandomState or None, default=None
        Of initial weights, orders and held-out rows: the same number gives the same bits.
    early_stopping : bool, default=False
        Whether to keep the parameters that were best on validation rows, and to stop by these: those of X_val and
        y_val, or a part of the rows given.
    validation_fraction : float, default=0.1
        The part to hold out where there is no X_val.
    warm_start : bool, default=False
        Whether `fit` goes on from where training was, so that two calls of 5 epochs are one of 10.
    average : bool or int, default=False
        Whether to predict by the mean of the parameters after each update: from the first on, or from the batch that
        has the row of this number. Not with early stopping.
    standardize : bool or "scale", default=True
        Whether features are brought to mean 0 and variance 1 while rows are read, those of two values to mean 0 and a
        difference of 1; or all, by "scale", to a mean square of 1. Of sparse rows, and what comes after them, True does
        so with numbers that nearly all rows have, such as years, divides other large ones by the size of their entries,
        and leaves words, counts and categories as they are (see `fastgd.data.sparse_moments.EntryScales`); `coef_` is
        for raw ones.
    standardize_targets : bool, default=True
        Whether targets are, for losses that take any; predictions are in the units of y. In `fit`, losses that targets
        far out hardly move ("absolute_error", "huber", "quantile", "epsilon_insensitive") take the median for the mean,
        and the range between the quartiles over 1.349 for the deviation.
    callbacks : sequence of callables, default=()
        Each is called as `callback(trainer, record)` after each epoch; one that returns True stops. See
        `fastgd.callbacks`; of those that are fastgd's, `callbacks_` has the copies that were used.
    verbose : int, default=0
        1 shows a progress bar, 2 a line for each epoch.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Weights on raw features and for raw targets, without hidden layers.
    intercept_ : ndarray of shape (n_outputs,)
        Biases in the same way.
    coefs_, intercepts_ : lists of ndarray
        Weights, (n_in, n_out), and biases of each layer, likewise.
    n_features_in_, feature_names_in_, n_outputs_, n_layers_
        As scikit-learn's; names where X is a frame that has some.
    n_iter_ : int
        Epochs of the last `fit`, and calls of `partial_fit` since.
    t_ : int
        Updates so far.
    loss_curve_, validation_loss_curve_ : list of float
        Mean loss of each epoch, before L-BFGS, without the penalty: on the rows learnt from, each before its update,
        and after the epoch on the validation rows, None where there are none.
    loss_, best_loss_ : float
        The last of the former; the lowest: with early stopping, of the latter.
    validation_scores_, best_validation_score_ : list of float, float
        The losses on the validation rows times -1, by which early stopping goes, and the largest; None where there are
        no such rows.
    out_activation_ : str
        What makes predictions of a model's outputs: "identity", or "exp" for the Poisson loss.
    alpha_ : float
        The alpha that "auto" has come to, or that was chosen.
    converged_ : bool
        Whether nothing was gained any more when the last call ended: a loop of `partial_fit` may end, too.
    model_ : fastgd.Model
        What predicts; `model_.save(path)` writes it.
    trainer_ : fastgd.Trainer
        What goes on training.
    callbacks_ : list
        The callbacks that were called.

    See Also
    --------
    GDClassifier : The same for classes.
    fastgd.Trainer : What trains; it has more layers, losses and settings.

    Examples
    --------
    >>> from fastgd.sklearn import GDRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> linear = GDRegressor(random_state=0).fit(X, y)
    >>> network = GDRegressor((64,), random_state=0).fit(X, y)
    >>> bool(0.5 < linear.score(X, y) < network.score(X, y))
    True
    >>> linear.coef_.shape, [weights.shape for weights in network.coefs_]
    ((10,), [(10, 64), (64, 1)])
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (),
        *,
        loss: str = "squared_error",
        epsilon: float | None = None,
        quantile: float = 0.5,
        activation: str | Sequence[str] = "relu",
        penalty: str | None = "l2",
        alpha: float | str = "auto",
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        solver: Any = "auto",
        learning_rate: Any = "auto",
        learning_rate_init: float | None = None,
        power_t: float = 0.25,
        momentum: float = 0.0,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        batch_size: int | str | None = "auto",
        max_iter: int = 200,
        tol: float | None = 1e-4,
        n_iter_no_change: int | str = "auto",
        shuffle: bool = True,
        random_state: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        average: bool | int = False,
        standardize: bool | str = True,
        standardize_targets: bool = True,
        callbacks: Sequence[Callable[..., Any]] = (),
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.loss = loss
        self.epsilon = epsilon
        self.quantile = quantile
        self.activation = activation
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.average = average
        self.standardize = standardize
        self.standardize_targets = standardize_targets
        self.callbacks = callbacks
        self.verbose = verbose

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> "GDRegressor":
        """Learn from rows in one epoch more, which may be a block of a stream.

        What was fitted goes on as if the epoch were its next. Otherwise a stream begins: features and targets are
        standardised by all rows so far, whatever the size of the blocks.

        Unshuffled, without standardising (or after `fit`, whose scales stay) and with a rate that was chosen, blocks of
        whole batches give the bits of one epoch of `fit` on all their rows; a block that is not ends with a smaller
        batch. They are equal to rounding where single rows of one output come in blocks that four does not divide, as
        rows are taken four at a time, and on sparse rows with solver="sgd" and a penalty, which is lazy within a call.

        Where all weights are zero, nothing moves. With early stopping, each call is an epoch: the model that predicts
        is the best so far on X_val, or on the part that was held out of this call's rows, and `converged_` tells when
        n_iter_no_change calls in a row have brought nothing.

        Parameters
        ----------
        X, y, X_val, y_val, sample_weight_val
            As for `fit`.
        sample_weight : array-like of shape (n_samples,), optional
            Multiplies each row's loss, at least 0; as given.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, fastgd.DivergenceError
            As for `fit`, and where the rows are not like those before.
        """
        self._train(Given(X, y, sample_weight, X_val, y_val, sample_weight_val), is_partial=True)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The target of each row, (n_samples,) or (n_samples, n_outputs) as y had it, in float32 or float64.

        Raises a ValueError where that dtype cannot hold a prediction.
        """
        out = self._outputs(X)
        if kind_of(self._architecture.loss).link == "log":
            out = rates(out)
        return out[:, 0] if self._is_flat else out

    def score(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """R² of the predictions, 1 at best, of several outputs their mean; a data set or stream brings y and weights.

        See `sklearn.metrics.r2_score`.
        """
        with rows.to_score(X, y, sample_weight, is_numeric=True) as given:
            return super().score(*given)

    @property
    def coef_(self) -> np.ndarray:
        """The weights of a linear model on raw features, (n_features,) or (n_outputs, n_features)."""
        weight = self._only_linear.weight.copy()
        return weight[0] if self._is_flat else weight

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    @property
    def _is_numeric(self) -> bool:
        return True

    def _noted(self, y: np.ndarray, classes: Any, is_first: bool, is_partial: bool = False) -> np.ndarray:
        n_targets = 1 if y.ndim == 1 else y.shape[1]
        if is_first:
            self._is_flat, self._n_targets = y.ndim == 1, n_targets
        elif n_targets != self._n_targets:
            raise ValueError(f"y has {n_targets} targets; expected {self._n_targets}, as when training began")
        return y

    def _loss(self) -> Loss:
        return settings.loss_of(self, settings.LOSSES_OF_REGRESSION)

    def _encoded(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        return y.reshape(len(y), -1)

    @property
    def _n_outputs(self) -> int:
        return self._n_targets

    def _onnx_outputs(self) -> Outputs:
        return Outputs("log" if kind_of(self._architecture.loss).link == "log" else "identity", name="variable")

    def _labels(self) -> Labels | None:
        loss = self._architecture.loss
        return Labels.of(None, loss, self._n_outputs) if kind_of(loss).link == "log" else None

    def _described_targets(self) -> dict[str, Any]:
        return {"is_flat": self._is_flat, "n_targets": self._n_targets}

    def _restore_targets(self, description: dict[str, Any]) -> None:
        self._is_flat, self._n_targets = description["is_flat"], description["n_targets"]
