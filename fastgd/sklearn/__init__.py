"""Estimators for scikit-learn, `pip install fastgd[sklearn]`: what SGD* and MLP* are together, on rows as they are.

`base.py` is what both train by; `settings.py` turns scikit-learn's parameters into those of `fastgd.Trainer`; `rows.py`
checks what comes in, `classes.py` knows labels; `scales.py` standardises a stream; `stopping.py` ends the training;
`saved_estimator.py` has the files, `onnx_converter.py` what skl2onnx needs, and `workers.py` knows of joblib.
"""

try:
    import sklearn  # noqa: F401 (whether it is there)
except ImportError as error:
    raise ImportError("fastgd.sklearn needs scikit-learn; expected pip install 'fastgd[sklearn]'") from error

from fastgd.sklearn.classifier import GDClassifier
from fastgd.sklearn.onnx_converter import register_skl2onnx
from fastgd.sklearn.regressor import GDRegressor

__all__ = ["GDClassifier", "GDRegressor", "register_skl2onnx"]
