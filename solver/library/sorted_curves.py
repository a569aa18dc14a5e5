"""What a guess by NumPy begins with: curves sorted, gaps closed, in blocks that fit a cache.

Arrays here have points first, (n_points, n_curves), so that a sum over the points is a sum of
rows: fast, and always taken in the same order. A curve's guess therefore has the same bits alone
or in any batch, with its invalid points in place or left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Bools, Floats

BLOCK_POINTS = 32_768
"""Points a block: arrays of 256 KiB stay in a core's cache and in the allocator's pool."""

FEW_CURVES = 64
"""Fewer curves than this are summed point by point faster by `numpy.cumsum`, to the same bits."""

ONE = np.float64(1.0)
"""The derivative with respect to an additive constant."""


@dataclass(frozen=True, slots=True)
class SortedCurves:
    """A block of curves with their points in ascending order of x.

    Attributes
    ----------
    x
        (n_points, n_curves), or (n_points, 1) when all curves have the same points.
    y
        (n_points, n_curves).
    valid
        Like `x`: 1.0 for a point, 0.0 for padding, which comes last and repeats the last point.
        None: no padding.
    count
        (n_curves,) or (1,): the number of points, at least 1.
    """

    x: Floats
    y: Floats
    valid: Floats | None
    count: Floats

    def replaced(self, x: Floats, y: Floats) -> "SortedCurves":
        """Return the same curves with other x and y."""
        return SortedCurves(x, y, self.valid, self.count)

    def weigh(self, values: Floats) -> Floats:
        """Return values with zeros in place of the padding, for sums."""
        return values if self.valid is None else values * self.valid

    def mean(self, values: Floats) -> Floats:
        """Return the mean over the points."""
        mean: Floats = total(self.weigh(values)) / self.count
        return mean

    def centre(self, values: Floats) -> Floats:
        """Return values less their mean, with zeros in place of the padding."""
        return self.weigh(values - self.mean(values))


Estimate: TypeAlias = Callable[[SortedCurves], Sequence[Floats]]


def total(values: Floats) -> Floats:
    """Sum over the points, one after the other, for every curve.

    NumPy sums the rows of a matrix in order, but a single column in pairs.
    """
    alone = values.shape[1] == 1
    sums: Floats = np.cumsum(values, axis=0)[-1] if alone else np.add.reduce(values, axis=0)
    return sums


def running_total(values: Floats) -> Floats:
    """Return the partial sums over the points, for every curve."""
    if values.shape[1] < FEW_CURVES:
        return np.cumsum(values, axis=0)
    sums = np.empty_like(values)
    sums[0] = values[0]
    for j in range(1, len(values)):
        np.add(sums[j - 1], values[j], out=sums[j])
    return sums


def integral(values: Floats, x: Floats) -> Floats:
    """Return the integral from the first point to each, by trapezoids."""
    areas = np.zeros(np.broadcast_shapes(values.shape, x.shape))
    np.multiply(values[1:] + values[:-1], 0.5 * (x[1:] - x[:-1]), out=areas[1:])
    return running_total(areas)


def estimate_in_blocks(estimate: Estimate, n_params: int, x: Any, y: Any, valid: Any) -> Floats:
    """Estimate start values for all curves, a block at a time.

    Parameters
    ----------
    estimate
        Takes `SortedCurves`, returns one array (n_curves,) a parameter. It runs with NumPy's
        floating-point warnings off; what is not finite is replaced by 1, SciPy's start.
    n_params
        The number of parameters.
    x, y, valid
        As in `Model.guess`: (1, n_points) or (n_curves, n_points).

    Returns
    -------
    (n_curves, n_params) float64, finite.
    """
    x = np.atleast_2d(np.asarray(x, dtype=np.float64))
    y = np.atleast_2d(np.asarray(y, dtype=np.float64))
    valid = np.broadcast_to(np.asarray(valid, dtype=np.bool_), y.shape)
    n_curves, n_points = y.shape
    start = np.ones((n_curves, n_params))
    if n_points == 0:
        return start
    step = max(1, BLOCK_POINTS // n_points)
    for first in range(0, n_curves, step):
        rows = slice(first, first + step)
        with np.errstate(all="ignore"):
            block = arrange(x if len(x) == 1 else x[rows], y[rows], valid[rows])
            for j, values in enumerate(estimate(block)):
                start[rows, j] = np.where(np.isfinite(values), values, 1.0)
    return start


def arrange(x: Floats, y: Floats, valid: Bools) -> SortedCurves:
    """Sort each curve by x, close the gaps of invalid points, and put the points first."""
    used = valid.any(axis=0)
    if not used.all() and used.any():
        x, y, valid = x[:, used], y[:, used], valid[:, used]
    if valid.all():
        x, y = _sort(x, y, x)
        n_points = np.full(1, float(y.shape[1]))
        return SortedCurves(_points_first(x), _points_first(y), None, n_points)
    x = np.broadcast_to(x, y.shape)
    x, y = _sort(x, y, np.where(valid, x, np.inf))
    count = np.count_nonzero(valid, axis=1)[:, None]
    place = np.arange(y.shape[1])
    nearest = np.minimum(place, np.maximum(count - 1, 0))
    x, y = (np.where(count > 0, np.take_along_axis(a, nearest, axis=1), 0.0) for a in (x, y))
    weights = (place < count).astype(np.float64)
    return SortedCurves(
        _points_first(x),
        _points_first(y),
        _points_first(weights),
        np.maximum(count[:, 0], 1).astype(np.float64),
    )


def _sort(x: Floats, y: Floats, key: Floats) -> tuple[Floats, Floats]:
    """Sort x and y by a key, (1, n_points) or (n_curves, n_points); ties keep their order."""
    if np.all(key[:, 1:] >= key[:, :-1]):
        return x, y
    order = np.argsort(key, axis=1, kind="stable")
    if len(order) == 1:
        return x[:, order[0]], y[:, order[0]]
    return np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)


def _points_first(values: Floats) -> Floats:
    """Transpose, as a copy whose rows are contiguous."""
    return np.ascontiguousarray(values.T)
