"""Optimisers and regularisation on sparse rows: the same parameters, to rounding, as on the same rows dense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_runs import N_FEATURES, N_ROWS, assert_as_dense, layers_of, weights_of

import fastgd as gd

OPTIMIZERS = {
    "sgd": gd.SGD(0.05),
    "adagrad": gd.Adagrad(0.1),
    "adagrad, decay": gd.Adagrad(0.1, weight_decay=0.1, lr_decay=0.01),
    "adagrad, bounded": gd.Adagrad(0.3, bounded=True),
    "sgd, momentum": gd.SGD(0.02, momentum=0.9),
    "sgd, bounded": gd.SGD(0.3, bounded=True),
    "adam": gd.Adam(0.01),
    "rmsprop": gd.RMSprop(0.01),
}
REGULARIZATION = {
    "none": {},
    "elastic net": {"alpha": 0.1, "l1_ratio": 0.5},
    "clipped": {"clip_norm": 0.5},
    "max_norm": {"max_norm": 0.5},
    "averaged": {"average_from": 5, "alpha": 0.01},
}


@pytest.mark.parametrize(
    ("optimizer", "regularization", "weighted", "is_deep"),
    [
        ("adagrad, bounded", "none", True, False),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("sgd", "elastic net", False, True),
                ("adagrad", "none", False, True),
                ("adam", "elastic net", True, False),
            )
        ),
    ],
)
def test_an_optimizer_with_regularization(optimizer, regularization, weighted, is_deep):
    _optimizers(0, optimizer, regularization, 7, weighted, is_deep)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.sampled_from(list(OPTIMIZERS)),
    st.sampled_from(list(REGULARIZATION)),
    st.sampled_from([1, 7, None]),
    st.booleans(),
    st.booleans(),
)
def test_optimizers_and_regularization(seed, optimizer, regularization, batch_size, weighted, is_deep):
    _optimizers(seed, optimizer, regularization, batch_size, weighted, is_deep)


def _optimizers(seed, optimizer, regularization, batch_size, weighted, is_deep):
    if "bounded" in optimizer:
        is_deep = False
    layers = [gd.Linear(N_FEATURES, 5), gd.Tanh(), gd.Linear(5, 2)] if is_deep else layers_of(2, "linear")
    y = np.random.default_rng(seed).standard_normal((N_ROWS, 2))
    assert_as_dense(
        layers,
        seed,
        y,
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        sample_weight=weights_of(seed, weighted),
        **REGULARIZATION[regularization],
    )
