"""A power law."""

from typing import Any

import numpy as np

from ..model import Model
from .frames import SMALLEST, scaled_frame
from .passes import Column, Curves, Point, Value
from .projection import Projection
from .recipe import Recipe
from .regression import DEPENDENT

EXPONENTS = (1.0, -1.0, 3.0)
"""Exponents tried beside the regressions of logarithms."""


def power_law(*, prefix: str = "") -> Model:
    """Make ``a*x**b``, params a, b, for x >= 0.

    Where x = 0 the derivatives are those from the right: 0 for b > 0. For b < 0 the model is not
    finite there.
    """
    return Model(
        name="power_law",
        params=("a", "b"),
        func=_power_law,
        jac=_power_law_jac,
        guess=Recipe(_power_law_estimate, 2, scaled_frame),
        expression="a*x**b",
    ).prefixed(prefix)


def _power_law(x: Any, a: Any, b: Any) -> Any:
    """Evaluate a*x**b."""
    return a * np.power(x, b)


def _power_law_jac(x: Any, a: Any, b: Any) -> list[Any]:
    """Return the derivatives with respect to a, b."""
    power = np.power(x, b)
    return [power, a * power * _log(x)]


def _log(x: Any) -> Any:
    """Return log(x), and 0 for x = 0: x**b goes to zero faster than its logarithm grows."""
    return np.log(np.where(x == 0.0, 1.0, x))


def _power_law_estimate(curves: Curves) -> list[Value]:
    """Try b from regressions of logarithms and a few others, polish the best twice, and fit a.

    log|y| = log|a| + b*log(x) over points with x > 0 and y of the sign of a: once with weights
    y**2, right for equal noise on y, and once with equal weights, better when y spans decades.
    """
    xp, frame = curves.xp, curves.frame
    (log_x,) = curves.keep(lambda p: [xp.log(xp.maximum(p.x, SMALLEST))])
    log_first = xp.log(xp.maximum(curves.x_at(0.0 * curves.count), SMALLEST))

    def shapes(xp: Any, p: Point, b: Value) -> tuple[list[Value], list[Value]]:
        """Return the power of x over the x where it is largest, at most 1, and its slope."""
        ahead = p.kept(log_x) - xp.where(b < 0, log_first, 0.0)
        power = xp.exp(b * ahead)
        return [power], [xp.where(p.x > 0, power * ahead, 0.0)]

    model = Projection(shapes, (0,), constant=False)

    def tried(theta: list[Value]) -> tuple[Value, list[Value]]:
        return model.trial(curves, theta).gain, theta

    (b,) = curves.best([[b] for b in (*_slopes_of_logs(curves, log_x), *EXPONENTS)], tried)
    for _ in range(2):
        best = model.polished(curves, [b], [0.5 + 0.5 * xp.abs(b)])
        (b,) = best.theta
    log_unit = xp.log(frame.width) + xp.where(b < 0, log_first, 0.0)
    return [frame.height * best.a[0] * xp.exp(-b * log_unit), b]


def _slopes_of_logs(curves: Curves, log_x: Column) -> list[Value]:
    """Return b of the regressions of logarithms, with the two kinds of weights; 1 where none is."""
    xp = curves.xp
    (lean,) = curves.totals(lambda p: [p.y * xp.abs(p.y)])
    sign = xp.where(lean < 0, -1.0, 1.0)

    def sums(p: Point) -> list[Value]:
        size, u = p.y * sign, p.kept(log_x)
        v = xp.log(xp.where(size > 0, size, 1.0))
        usable = xp.where((size > 0) & (p.x > 0), 1.0, 0.0)
        return [w * t for w in (usable * size * size, usable) for t in (1.0, u, v, u * u, u * v)]

    summed = curves.totals(sums)
    return [_slope(xp, *summed[:5]), _slope(xp, *summed[5:])]


def _slope(xp: Any, n: Value, u: Value, v: Value, uu: Value, uv: Value) -> Value:
    """Return the slope of the straight line of v over u from weighted sums."""
    n = xp.where(n > 0, n, 1.0)
    square = uu - u * u / n
    return xp.where(square > DEPENDENT * uu, (uv - u * v / n) / square, 1.0)
