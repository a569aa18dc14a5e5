"""Curves of a matrix as the compiled guess reads them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from manyfit.solver.arrays import Bools
from manyfit.solver.simd.engine import Points


def points_of(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Points:
    """Return all points, x shared or the curves' own."""
    n_curves, n_points = y.shape
    return Points(
        y=np.ascontiguousarray(y).reshape(-1),
        start=np.arange(n_curves) * n_points,
        length=np.full(n_curves, n_points),
        predictors=(np.ascontiguousarray(x).reshape(-1),),
        shared=(x.ndim == 1,),
    )


def points_left(x: npt.NDArray[Any], y: npt.NDArray[Any], valid: Bools) -> Points:
    """Return the valid points, those of one curve behind those of the other."""
    length = valid.sum(axis=1)
    return Points(
        y=y[valid],
        start=np.cumsum(length) - length,
        length=length,
        predictors=(np.broadcast_to(x, y.shape)[valid],),
        shared=(False,),
    )
