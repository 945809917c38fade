"""Each optimiser: one loop over the flat parameter vector."""

from ._jit import inlined_kernel


@inlined_kernel
def sgd_update(parameters, gradient, learning_rate):
    """parameters -= learning_rate · gradient  (the article's ŵ = w - α δw).

    parameters : (size,), modified in place          gradient : (size,)
    learning_rate : scalar of the same dtype
    """
    for i in range(parameters.size):
        parameters[i] -= learning_rate * gradient[i]
