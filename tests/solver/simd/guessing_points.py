"""Curves of a matrix as the compiled guess reads them, and its start values of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.library.recipe import Recipe
from manyfit.solver.simd.engine import Points
from manyfit.solver.simd.machine import Machine, host
from manyfit.solver.simd.starting import guesses


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


def compiled(
    guess: Any,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    rows: Any = None,
    machine: Machine | None = None,
) -> Floats:
    """Guess curves that lie in a matrix, x shared or their own."""
    assert isinstance(guess, Recipe)
    chosen = np.arange(len(y)) if rows is None else np.asarray(rows, dtype=np.intp)
    return guesses(guess, points_of(x, y), chosen, machine or host())


def ragged(
    guess: Any, x: npt.NDArray[Any], y: npt.NDArray[Any], valid: Bools, rows: Any = None
) -> Floats:
    """Guess curves of which some points are left out, one behind the other."""
    assert isinstance(guess, Recipe)
    chosen = np.arange(len(y)) if rows is None else np.asarray(rows, dtype=np.intp)
    return guesses(guess, points_left(x, y, valid), chosen, host())
