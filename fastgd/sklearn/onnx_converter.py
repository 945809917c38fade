"""The estimators inside pipelines that skl2onnx converts."""

from typing import Any

import numpy as np

from fastgd.export.onnx import graph_of
from fastgd.sklearn.classifier import GDClassifier
from fastgd.sklearn.regressor import GDRegressor


def register_skl2onnx() -> None:
    """Have skl2onnx convert GDRegressor and GDClassifier, alone and inside pipelines.

    As its own classifiers, GDClassifier takes the option zipmap: False for an array of probabilities, True for a
    dictionary a row. Labels are strings or int64, as skl2onnx wants them. Arithmetic is in the dtype of the estimator,
    whatever that of the input; probabilities and numbers come in that of the input.

    Raises
    ------
    ImportError
        Without the package skl2onnx.

    Examples
    --------
    >>> from fastgd.sklearn import register_skl2onnx
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False})  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError("register_skl2onnx needs the package skl2onnx; expected pip install skl2onnx") from error
    update_registered_converter(GDRegressor, "FastgdGDRegressor", _set_shapes_of_numbers, _convert)
    update_registered_converter(
        GDClassifier,
        "FastgdGDClassifier",
        _set_shapes_of_classes,
        _convert,
        options={"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [False]},
    )


def _set_shapes_of_numbers(operator: Any) -> None:
    n_samples, estimator = operator.inputs[0].get_first_dimension(), operator.raw_operator
    operator.outputs[0].type.shape = [n_samples, estimator.n_outputs_]


def _set_shapes_of_classes(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    n_samples, estimator = operator.inputs[0].get_first_dimension(), operator.raw_operator
    outputs = estimator._onnx_outputs()
    n_classes = len(outputs.classes)
    label_type = Int64TensorType if _are_numbers(outputs.classes) else StringTensorType
    operator.outputs[0].set_type(label_type([n_samples, n_classes] if outputs.is_multilabel else [n_samples]))
    width = estimator.n_outputs_ if outputs.link is None else n_classes
    operator.outputs[1].type.shape = [n_samples, width]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the estimator's graph to that of the pipeline."""
    from skl2onnx.common.data_types import guess_numpy_type
    from skl2onnx.helpers import add_onnx_graph

    estimator = operator.raw_operator
    outputs = estimator._onnx_outputs()
    label_dtype = None
    if outputs.classes is not None and _are_numbers(outputs.classes):
        label_dtype = np.dtype(np.int64)
        if not (outputs.classes.astype(label_dtype) == outputs.classes).all():
            raise ValueError(
                f"the classes are {outputs.classes}, and skl2onnx has labels of whole numbers or strings; expected "
                "either, or estimator.to_onnx"
            )
    dtype = np.dtype(guess_numpy_type(operator.inputs[0].type))
    add_onnx_graph(scope, operator, container, graph_of(estimator.model_, outputs, dtype, label_dtype))


def _are_numbers(classes: np.ndarray) -> bool:
    return classes.dtype.kind in "biuf"
