"""Regression."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from fastgd.kernels.nn.loss import Poisson
from fastgd.losses import Loss
from fastgd.sklearn import settings
from fastgd.sklearn.base import GradientDescent


class GDRegressor(RegressorMixin, GradientDescent):
    """TODO."""

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
        max_iter: int = 100,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
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
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            loss=loss,
            epsilon=epsilon,
            activation=activation,
            penalty=penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            fit_intercept=fit_intercept,
            solver=solver,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            shuffle=shuffle,
            random_state=random_state,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            average=average,
            standardize=standardize,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.quantile = quantile
        self.standardize_targets = standardize_targets

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> "GDRegressor":
        """TODO."""
        self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val), is_partial=False)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> "GDRegressor":
        """TODO."""
        self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val), is_partial=True)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """TODO."""
        out = self._outputs(X)
        if isinstance(self._architecture.loss, Poisson):
            out = np.exp(out)
        return out[:, 0] if self._is_flat else out

    @property
    def coef_(self) -> np.ndarray:
        """The weights of a linear model on raw features, (n_features,) or (n_outputs, n_features)."""
        weight = self._only_linear.weight.copy()
        return weight[0] if self._is_flat else weight

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
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
