"""A power law."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..model import Model
from .projection import Frame, best_of
from .sorted_curves import SortedCurves, estimate_in_blocks, ratio, total

EXPONENTS = (1.0, -1.0, 3.0)
"""Exponents tried beside the regressions of logarithms."""


def power_law() -> Model:
    """Make ``a*x**b``, params a, b, for x >= 0.

    Where x = 0 the derivatives are those from the right: 0 for b > 0. For b < 0 the model is not
    finite there.
    """
    return Model(
        name="power_law",
        params=("a", "b"),
        func=_power_law,
        jac=_power_law_jac,
        guess=_power_law_guess,
        expression="a*x**b",
    )


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


def _shapes(x: Floats, b: Floats) -> list[Floats]:
    """Return x**b, finite at 0 too."""
    return [_positive_power(np.maximum(x, 1e-300), b)]


def _positive_power(x: Floats, b: Floats) -> Floats:
    """Return x**b with the same bits for one curve or many; `numpy.power` treats a lone 2 apart."""
    return np.exp(b * np.log(x))


def _slopes(x: Floats, g: Sequence[Floats], a: Sequence[Floats], b: Floats) -> list[Floats]:  # noqa: ARG001
    """Return the derivative of a times the shape with respect to b."""
    return [a[0] * g[0] * _log(x)]


def _power_law_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a, b for all curves."""
    return estimate_in_blocks(_power_law_estimate, 2, x, y, valid)


def _power_law_estimate(curves: SortedCurves) -> list[Floats]:
    """Try b from regressions of logarithms and a few others, polish the best twice, and fit a.

    log|y| = log|a| + b*log(x) over points with x > 0 and y of the sign of a: once with weights
    y**2, right for equal noise on y, and once with equal weights, better when y spans decades.
    """
    frame = Frame.scaled(curves)
    x, y = frame.curves.x, frame.curves.y
    size = y * np.sign(total(frame.curves.weigh(y * np.abs(y))))
    usable = (size > 0) & (x > 0)
    log_x, log_y = np.log(np.where(x > 0, x, 1.0)), np.log(np.where(usable, size, 1.0))
    equal = frame.curves.weigh(usable.astype(np.float64))
    candidates = [_slope(log_x, log_y, weights) for weights in (equal * size * size, equal)]
    candidates += [np.full(1, b) for b in EXPONENTS]
    best = best_of(frame.trial(_shapes, b) for b in candidates)
    for _ in range(2):
        best = frame.polish(_shapes, _slopes, best, [0.5 + 0.5 * np.abs(best.theta[0])])
    (b,) = best.theta
    (a,), _ = frame.fit(_shapes(x, b))
    return [frame.height * a * _positive_power(frame.width, -b), b]


def _slope(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Return the slope of the straight line that fits y with weights; 1 when there is none."""
    norm = total(weights)
    x = x - ratio(total(weights * x), norm)
    y = y - ratio(total(weights * y), norm)
    return ratio(total(weights * x * y), total(weights * x * x), default=1.0)
