"""Linear parameters from the others, exactly: y is compared with shapes, not with whole models.

A model a*g(x; theta) + c is linear in a and c, so for any theta the best a, c and the sum of
squares they leave follow at once; the theta that leaves least is the best of any candidates. All
of it in a frame where x runs from 0 to 1 and y from -1 to 1, with one or several shapes g:

    left(theta) = min over a, c of |y - sum(a_k*g_k(x; theta)) - c|**2 = |y - c|**2 - gain(theta)

Source: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, variable projection.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self, TypeAlias

import numpy as np

from ..arrays import Floats
from .sorted_curves import SortedCurves, total

Shapes: TypeAlias = Callable[..., Sequence[Floats]]
"""``shapes(x, *theta)``: the g_k, (n_points, n_curves) or (n_points, 1) each."""

Slopes: TypeAlias = Callable[..., Sequence[Floats]]
"""``slopes(x, g, a, *theta)``: derivatives of sum(a_k*g_k) with respect to each theta."""

DEPENDENT = 1e-20
"""A column that keeps less than this of its square beside the others is one of them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One theta a curve, and by how much it lowers the sum of squares."""

    theta: list[Floats]
    gain: Floats

    def or_better(self, other: "Trial") -> "Trial":
        """Return the better of two, curve by curve; this one when they are equal."""
        better = other.gain > self.gain
        theta = [np.where(better, b, a) for a, b in zip(self.theta, other.theta, strict=True)]
        return Trial(theta, np.where(better, other.gain, self.gain))


def best_of(trials: Iterable[Trial]) -> Trial:
    """Return the best of several, curve by curve; the first of equals."""
    return reduce(Trial.or_better, trials)


@dataclass(frozen=True, slots=True)
class Frame:
    """Curves in simple units, and the way back: x = origin + width*x', y = level + height*y'.

    Attributes
    ----------
    curves
        The scaled curves.
    target
        (n_points, n_curves): y as the shapes must explain it: less its mean where c is free, and
        zero where there is padding.
    origin, width
        (n_curves,) or (1,); some positive width when all x are equal.
    level, height
        (n_curves,); height is 1 when all y are equal.
    free_level
        Whether the model has a constant c beside its shapes.
    """

    curves: SortedCurves
    target: Floats
    origin: Floats
    width: Floats
    level: Floats
    height: Floats
    free_level: bool

    @classmethod
    def unit(cls, curves: SortedCurves) -> Self:
        """Scale x to 0..1 and y to -1..1, for models with a constant."""
        half_x = 0.5 * curves.x  # differences of halves never overflow
        half_width = _or_one(half_x[-1] - half_x[0])
        half_top, half_bottom = 0.5 * curves.y.max(axis=0), 0.5 * curves.y.min(axis=0)
        level, height = half_top + half_bottom, _or_one(half_top - half_bottom)
        unit = curves.replaced((half_x - half_x[0]) / half_width, (curves.y - level) / height)
        target = unit.centre(unit.y)
        width = 2.0 * half_width
        return cls(unit, target, curves.x[0], width, level, height, free_level=True)

    @classmethod
    def scaled(cls, curves: SortedCurves) -> Self:
        """Scale x and y to at most 1 in size, with zero kept, for models without a constant."""
        width = _or_one(np.abs(curves.x).max(axis=0))
        height = _or_one(np.abs(curves.y).max(axis=0))
        unit = curves.replaced(curves.x / width, curves.y / height)
        zero = np.zeros(1)
        return cls(unit, unit.weigh(unit.y), zero, width, zero, height, free_level=False)

    def columns(self, shapes: Sequence[Floats]) -> list[Floats]:
        """Return shapes prepared as `target` is."""
        prepare = self.curves.centre if self.free_level else self.curves.weigh
        return [prepare(g) for g in shapes]

    def fit(self, shapes: Sequence[Floats]) -> tuple[list[Floats], Floats]:
        """Return the best a of each shape and the best c, in the frame's units."""
        a, _ = least_squares(self.columns(shapes), self.target)
        c = self.curves.mean(self.curves.y)
        for a_k, g in zip(a, shapes, strict=True):
            c = c - a_k * self.curves.mean(g)
        return a, c

    def trial(self, shapes: Shapes, *theta: Floats) -> Trial:
        """Return theta with its gain."""
        columns = self.columns(shapes(self.curves.x, *theta))
        _, gain = least_squares(columns, self.target)
        gain = np.where(np.isnan(gain), -np.inf, gain)
        return Trial([np.broadcast_to(t, gain.shape) for t in theta], gain)

    def polish(
        self, shapes: Shapes, slopes: Slopes, trial: Trial, limits: Sequence[Floats]
    ) -> Trial:
        """Return the trial after one Gauss-Newton step, where that has the larger gain.

        The step is that of all parameters, linear ones and theta, from the best linear ones. A
        component longer than its limit is cut.
        """
        x = self.curves.x
        g = shapes(x, *trial.theta)
        columns = self.columns(g)
        a, _ = least_squares(columns, self.target)
        columns += self.columns(slopes(x, g, a, *trial.theta))
        steps = least_squares(columns, self.target)[0][len(g) :]
        moved = [
            t + np.clip(step, -limit, limit)
            for t, step, limit in zip(trial.theta, steps, limits, strict=True)
        ]
        return trial.or_better(self.trial(shapes, *moved))


def least_squares(columns: Sequence[Floats], y: Floats) -> tuple[list[Floats], Floats]:
    """Return the coefficients of the columns that come closest to y, and |y|**2 less what is left.

    Modified Gram-Schmidt, which does not square the condition number (Björck, BIT 7 (1967) 1). A
    column that depends on those before it has coefficient 0.
    """
    basis: list[Floats] = []
    inverse: list[Floats] = []
    mixed: list[list[Floats]] = []
    coefficients: list[Floats] = []
    gain: Floats = np.zeros(y.shape[1])
    for column in columns:
        size = left = total(column * column)
        rest, mix = column, []
        for q, inv in zip(basis, inverse, strict=True):
            mix.append(total(q * rest) * inv)
            rest = rest - q * mix[-1]
        if basis:
            left = total(rest * rest)
        basis.append(rest)
        inverse.append(np.where(left > DEPENDENT * size, 1.0 / left, 0.0))
        mixed.append(mix)
        along = total(rest * y)
        coefficients.append(along * inverse[-1])
        gain = gain + along * coefficients[-1]
    for k in range(len(columns) - 1, 0, -1):
        for i, r in enumerate(mixed[k]):
            coefficients[i] = coefficients[i] - r * coefficients[k]
    return coefficients, gain


def _or_one(scale: Floats) -> Floats:
    """Replace a scale of zero by one."""
    return np.where(scale > 0, scale, 1.0)
