"""Linear parameters from the others, exactly: y is compared with shapes, not with whole models.

A model Σ a_k g_k(x; theta) + c is linear in a and c, so for any theta the best a and c follow at
once, and the sum of squares they leave; the theta that leaves least is the best of any candidates.

    left(theta) = min over a, c of |y - Σ a_k g_k(x; theta) - c|² = |y - mean|² - gain(theta)

Source: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, variable projection.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .passes import Curves, Point, Value
from .regression import Regression, moments

Shapes: TypeAlias = Callable[..., tuple[Sequence[Value], Sequence[Value]]]
"""``shapes(xp, p, *theta)``: the g_k at a point, and by each theta the derivative of its g_k."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One theta, the best linear parameters beside it, and by how much they lower the squares."""

    theta: list[Value]
    a: list[Value]
    c: Value
    gain: Value

    @classmethod
    def of(cls, theta: Sequence[Value], fit: Regression) -> "Trial":
        """Return theta with its linear parameters."""
        return cls(list(theta), fit.a, fit.c, fit.gain)

    @property
    def values(self) -> list[Value]:
        """Theta, a and c."""
        return [*self.theta, *self.a, self.c]

    def or_better(self, xp: Any, other: "Trial") -> "Trial":
        """Return the better of two, curve by curve; this one where they are equal."""
        better = ~(self.gain >= other.gain) & (other.gain == other.gain)
        values = [xp.where(better, b, a) for a, b in zip(self.values, other.values, strict=True)]
        n = len(self.theta)
        return Trial(values[:n], values[n:-1], values[-1], xp.where(better, other.gain, self.gain))


@dataclass(frozen=True, slots=True)
class Projection:
    """The shapes of a model, and which of them each theta belongs to.

    Attributes
    ----------
    shapes
        The shapes and their slopes.
    owners
        For each theta the place of its shape.
    constant
        Whether the model has a constant c.
    """

    shapes: Shapes
    owners: tuple[int, ...]
    constant: bool = True

    def trial(self, curves: Curves, theta: Sequence[Value]) -> Trial:
        """Return theta with the best linear parameters."""

        def columns(p: Point) -> Sequence[Value]:
            return self.shapes(curves.xp, p, *theta)[0]

        return Trial.of(theta, moments(curves, columns, constant=self.constant).regression())

    def polished(self, curves: Curves, theta: Sequence[Value], limits: Sequence[Value]) -> Trial:
        """Return theta after one Gauss-Newton step, where that has the larger gain.

        The step is that of all parameters, linear ones and theta, from the best linear ones; the
        part of a theta is cut where it is longer than its limit.
        """
        xp, n = curves.xp, max(self.owners) + 1

        def columns(p: Point) -> Sequence[Value]:
            g, slopes = self.shapes(xp, p, *theta)
            return [*g, *slopes]

        summed = moments(curves, columns, constant=self.constant)
        here, full = summed.regression(n), summed.regression()
        moved = []
        for value, owner, along, limit in zip(theta, self.owners, full.a[n:], limits, strict=True):
            a = here.a[owner]
            step = xp.where(a != 0.0, along / a, 0.0)
            moved.append(value + xp.maximum(xp.minimum(step, limit), -limit))
        return Trial.of(theta, here).or_better(xp, self.trial(curves, moved))
