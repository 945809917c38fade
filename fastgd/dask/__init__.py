"""Training on a cluster of dask.distributed, `pip install "fastgd[dask]"`.

`fit` trains a `gd.Trainer` of replicas, `predict` predicts block by block; `GDRegressor` and `GDClassifier` are those
of `fastgd.sklearn` on Dask arrays and frames, and need scikit-learn, `pip install "fastgd[dask,sklearn]"`.
"""

from typing import TYPE_CHECKING, Any

from fastgd.dask.cluster import fit, predict

if TYPE_CHECKING:
    from fastgd.dask.estimators import GDClassifier, GDRegressor

__all__ = ["GDClassifier", "GDRegressor", "fit", "predict"]


def __getattr__(name: str) -> Any:
    if name in ("GDClassifier", "GDRegressor"):
        # First: its error says what to install.
        import fastgd.sklearn  # noqa: F401
        from fastgd.dask import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
