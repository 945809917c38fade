"""What is known of a fitted estimator, by scikit-learn's names."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastgd import losses
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.sklearn.settings import Architecture
from fastgd.sklearn.stopping import Stopping
from fastgd.trainer import Trainer

# By the link of a loss, as MLP* calls it.
_OUT_ACTIVATIONS = {"identity": "identity", "log": "exp", "logit": "logistic", "softmax": "softmax"}


class FittedAttributes:
    """Read from the model that predicts and from the trainer, so that none is ever out of date."""

    model_: Model
    trainer_: Trainer
    _architecture: Architecture
    _stopping: Stopping

    @property
    def _linear(self) -> list[Linear]:
        """The layers on raw features and for raw targets."""
        check_is_fitted(self)
        model = self.model_
        if model.standardize is not None or model.standardized_targets is not None:
            try:
                model = model.fold()
            except ValueError as error:
                raise AttributeError(f"there are no weights on raw features: {error}") from error
        return [layer for layer in model.layers if isinstance(layer, Linear)]

    @property
    def _only_linear(self) -> Linear:
        linear = self._linear
        if len(linear) > 1:
            raise AttributeError("a network has coefs_ and intercepts_, a list of each; expected hidden_layer_sizes=()")
        return linear[0]

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer on raw features and for raw targets, (n_in, n_out) each."""
        return [layer.weight.T.copy() for layer in self._linear]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer in the same way, (n_out,) each."""
        return [_bias(layer) for layer in self._linear]

    @property
    def intercept_(self) -> np.ndarray:
        """The bias of a linear model on raw features, (n_outputs,)."""
        return _bias(self._only_linear)

    @property
    def n_layers_(self) -> int:
        """How many layers there are, the features and the outputs among them."""
        return len(self._linear) + 1

    @property
    def n_outputs_(self) -> int:
        """How many outputs there are."""
        check_is_fitted(self)
        return self.model_.out_features

    @property
    def alpha_(self) -> float:
        """The penalty that "auto" has come to, or that was chosen."""
        check_is_fitted(self)
        return self.trainer_.alpha

    @property
    def t_(self) -> int:
        """How many updates were made."""
        check_is_fitted(self)
        return self.trainer_.n_updates

    @property
    def loss_curve_(self) -> list[float]:
        """The mean loss of each epoch, over all calls that this training consists of."""
        check_is_fitted(self)
        return list(self.trainer_.history.loss)

    @property
    def validation_loss_curve_(self) -> list[float | None] | None:
        """The loss on the rows to validate on after each epoch; None where there were none."""
        check_is_fitted(self)
        curve = list(self.trainer_.history.validation_loss)
        return curve if any(loss is not None for loss in curve) else None

    @property
    def loss_(self) -> float:
        """The mean loss of the last epoch."""
        return self.loss_curve_[-1]

    @property
    def validation_scores_(self) -> list[float] | None:
        """What early stopping takes the largest of: the losses on the rows to validate on times -1; None without."""
        curve = self.validation_loss_curve_
        return None if curve is None else [-loss for loss in curve if loss is not None]

    @property
    def best_validation_score_(self) -> float | None:
        """The largest of them; None without."""
        scores = self.validation_scores_
        return None if scores is None else max(scores)

    @property
    def out_activation_(self) -> str:
        """What makes predictions of a model's outputs: "identity", "logistic", "softmax" or "exp"."""
        check_is_fitted(self)
        return _OUT_ACTIVATIONS[losses.kind_of(self._architecture.loss).link]

    @property
    def best_loss_(self) -> float:
        """The lowest loss that training has come to: of the rows to validate on, with early stopping."""
        check_is_fitted(self)
        return self._stopping.best_loss

    @property
    def converged_(self) -> bool:
        """Whether the last call ended, or could have, because nothing was gained any more."""
        check_is_fitted(self)
        return self._stopping.has_converged


def _bias(layer: Linear) -> np.ndarray:
    return np.zeros(layer.out_features, layer.weight.dtype) if layer.bias is None else layer.bias.copy()
