"""What a model predicts where its outputs stand for classes, or for rates, as methods."""

from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data.base import Dataset, Stream
from fastgd.labels import Labels, rates
from fastgd.layer_stack import LayerStack
from fastgd.losses import Loss


class ClassPredictions(LayerStack):
    """Labels and probabilities, of what `predict` gives."""

    @abstractmethod
    def predict(self, X: ArrayLike | Dataset | Stream) -> np.ndarray:
        """The last layer's output for each row."""

    @property
    def classes(self) -> np.ndarray | None:
        """The labels of the classes, (n_classes,), read-only; None where the model was told of none."""
        return None if self.labels is None else self.labels.classes

    def set_classes(self, classes: ArrayLike | None, loss: str | Loss) -> None:
        """Say what the outputs stand for, for `predict_classes` and `predict_proba`; it is saved with the model.

        Parameters
        ----------
        classes : array of shape (n_classes,), or None
            Strings, bytes, booleans, integers or floats, in the order in which `fastgd.labels.encode` numbers them.
            None where targets are probabilities themselves, as log_loss takes them, or rates, as poisson does.
        loss : str, or what a function of `fastgd.losses` returns
            What the model is trained by, one of classes or poisson.

        Raises
        ------
        ValueError, TypeError
            Unless there is an output for each class (cross_entropy), or one output and two classes (any other).

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
        >>> model.set_classes(["no", "yes"], "log_loss")
        >>> model.predict_classes([[-1], [0.5]]).tolist()
        ['no', 'yes']
        >>> model.predict_proba([[-1], [0.5]]).round(2).tolist()
        [[0.73, 0.27], [0.38, 0.62]]
        """
        self.labels = Labels.of(classes, loss, self.out_features)

    def predict_classes(self, X: ArrayLike | Dataset | Stream) -> np.ndarray:
        """The label of each row, (n_samples,), of the dtype of `classes`: that of the largest output.

        Of two classes with a single output, the second where it is more than 0. Arguments and errors as in `predict`;
        ValueError too where the model has no classes.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 3, bias=False, init=[[-1], [0], [1]])])
        >>> model.set_classes(["low", "mid", "high"], "cross_entropy")
        >>> model.predict_classes([[-5], [5]]).tolist()
        ['low', 'high']
        """
        labels = self._require_labels()
        labels.require_classes()
        return labels.decode(self.predict(X))

    def predict_proba(self, X: ArrayLike | Dataset | Stream) -> np.ndarray:
        """The probability of each class, (n_samples, n_classes), in the order of `classes`, of the model's dtype.

        exp(z_k) / Σ_j exp(z_j) for cross_entropy; 1 - p and p with p = 1 / (1 + exp(-z)) for log_loss, and p alone, for
        each output, where targets are probabilities themselves. Arguments and errors as in `predict`; ValueError too
        where the model has no classes, or a loss without probabilities.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[2]])], dtype="float64")
        >>> model.set_classes(["no", "yes"], "log_loss")
        >>> model.predict_proba([[0], [1]]).round(3)
        array([[0.5  , 0.5  ],
               [0.119, 0.881]])
        """
        labels = self._require_labels()
        labels.require_probabilities()
        return labels.probabilities(self.predict(X))

    def predict_rates(self, X: ArrayLike | Dataset | Stream) -> np.ndarray:
        """exp(z) of the outputs z of a model that was trained by the Poisson loss, (n_samples, out_features).

        Arguments and errors as in `predict`; ValueError too unless `set_classes(None, "poisson")` said so, and for
        rates that the model's dtype cannot hold.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
        >>> model.set_classes(None, "poisson")
        >>> model.predict_rates([[0], [1]]).round(3)
        array([[1.   ],
               [2.718]])
        """
        if self.labels is None or not self.labels.are_rates:
            raise ValueError("the model knows of no rates; expected model.set_classes(None, 'poisson') before")
        return rates(self.predict(X))

    def _require_labels(self) -> Labels:
        if self.labels is None:
            raise ValueError(
                "the model has no classes; expected one that was trained on class labels, or model.set_classes before"
            )
        return self.labels
