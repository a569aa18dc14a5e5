"""The points of a batch as the compiled engine reads them: where they are, without a copy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Bools
from .curves import Curves
from .simd.engine import Points
from .simd.evenly import is_even


def as_they_lie(curves: Curves) -> tuple[Points, Bools]:
    """Return the data as the kernel reads them, and which curves it may read as they are.

    Values of y that are not finite are found by the kernel itself.
    """
    clean = np.ones(len(curves), dtype=np.bool_)
    predictors, shared = [], []
    for values in curves.predictors:
        common = values.ndim == 1 and curves.y.ndim == 2
        shared.append(common)
        predictors.append(
            np.ascontiguousarray(values, dtype=np.float64) if common else _flat(values)
        )
        bad = ~np.isfinite(predictors[-1])
        if bad.any():
            clean &= False if common else ~_curves_with(bad, curves)
    sigma = None
    if curves.sigma is not None:
        sigma = _flat(curves.sigma)
        bad = ~((sigma > 0) & np.isfinite(sigma))
        if bad.any():
            clean &= ~_curves_with(bad, curves)
    points = Points(
        y=_flat(curves.y),
        start=np.ascontiguousarray(curves.start, dtype=np.int64),
        length=np.ascontiguousarray(curves.length, dtype=np.int64),
        predictors=tuple(predictors),
        shared=tuple(shared),
        even=tuple(not s or is_even(p) for s, p in zip(shared, predictors, strict=True)),
        sigma=sigma,
    )
    return points, clean


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers as a flat array that the kernel can read: as they are where it can."""
    kind = np.float32 if values.dtype == np.float32 else np.float64
    return np.ascontiguousarray(values, dtype=kind).reshape(-1)


def _curves_with(bad: Bools, curves: Curves) -> Bools:
    """Return (n_curves,): whether one of a curve's values, flat as y, is bad."""
    before = np.concatenate([[0], np.cumsum(bad)])
    return np.asarray(before[curves.start + curves.length] > before[curves.start])
