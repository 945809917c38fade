"""Pictures of runs and models, drawn by matplotlib: `pip install "fastgd[plot]"`.

    gd.plot.learning_curve(trainer)                losses, metrics and learning rate of each epoch; also history.plot()
    gd.plot.throughput(trainer, n_samples)         rows a second against the time of training
    gd.plot.tangent(model, X, y, weight=2, ...)    the loss along one weight, its tangent, and the step
    gd.plot.descent_path(model, path, X, y)        the way of the parameters over the loss
    gd.plot.predicted(model, X, y)                 predictions against targets
    gd.plot.confusion_matrix(model, X, y)          predicted classes against true ones
    gd.plot.first_layer(model, (28, 28))           the first layer's weights as images
    gd.plot.activations(model, X)                  what each activation gives, and which units are dead

Estimators of `fastgd.sklearn` have a `trainer_` and a `model_`; for predictions they stand in the place of a model.

Each draws into `ax` where it is given, into a new figure of `matplotlib.pyplot` where not, and returns the axes:
`ax.figure.savefig("run.svg")` writes them. Colours are told apart with any colour vision, and backgrounds, fonts and
sizes are those of the style that matplotlib is told, dark or light.
"""

from fastgd.plot.history import learning_curve, throughput
from fastgd.plot.layers import activations, first_layer
from fastgd.plot.loss_surface import descent_path, tangent
from fastgd.plot.predictions import confusion_matrix, predicted

__all__ = [
    "activations",
    "confusion_matrix",
    "descent_path",
    "first_layer",
    "learning_curve",
    "predicted",
    "tangent",
    "throughput",
]
