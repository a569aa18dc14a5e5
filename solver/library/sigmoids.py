"""Steps from one level to another: the logistic curve and the four-parameter dose response."""

import math
from typing import Any

import numpy as np

from ..model import Model
from .passes import Curves, Point, Value
from .projection import Projection
from .recipe import Recipe
from .sorted_curves import ONE

LOG_10 = math.log(10.0)

LARGEST_EXPONENT = 700.0
"""exp of this is finite, and 1/(1 + exp) as good as 0."""

RATES = (2.0, 5.0, 12.0, 30.0, 80.0)
"""Rates tried, times the range of x: from nearly straight to nearly a step."""


def logistic(*, prefix: str = "") -> Model:
    """Make ``c + K/(1 + exp(-r*(x - tm)))``, params c, K, r, tm.

    K < 0 and r < 0 both describe a fall; the guess has K >= 0.
    """
    return Model(
        name="logistic",
        params=("c", "K", "r", "tm"),
        func=_logistic,
        jac=_logistic_jac,
        guess=Recipe(_logistic_estimate, 4),
        expression="c + K/(1 + exp(-r*(x - tm)))",
    ).prefixed(prefix)


def dose_response_4pl(*, prefix: str = "") -> Model:
    """Make ``lo + (hi - lo)/(1 + 10**((le - x)*h))``, params lo, hi, le, h.

    x is the decimal logarithm of the concentration, le that of the EC50, h the Hill slope: h < 0
    for a response that falls. The guess has lo <= hi.
    """
    return Model(
        name="dose_response_4pl",
        params=("lo", "hi", "le", "h"),
        func=_dose_response,
        jac=_dose_response_jac,
        guess=Recipe(_dose_response_estimate, 4),
        expression="lo + (hi - lo)/(1 + 10**((le - x)*h))",
    ).prefixed(prefix)


def _logistic(x: Any, c: Any, K: Any, r: Any, tm: Any) -> Any:
    """Evaluate c + K/(1 + exp(-r*(x - tm))), without overflow."""
    return c + K / (1.0 + np.exp(np.minimum(r * (tm - x), LARGEST_EXPONENT)))


def _logistic_jac(x: Any, c: Any, K: Any, r: Any, tm: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to c, K, r, tm."""
    ahead = x - tm
    e = np.exp(np.minimum(-r * ahead, LARGEST_EXPONENT))
    rise = 1.0 / (1.0 + e)
    by_exponent = K * ((e * rise) * rise)  # e*rise is 1 - rise, accurate in both tails
    return [ONE, rise, by_exponent * ahead, -r * by_exponent]


def _dose_response(x: Any, lo: Any, hi: Any, le: Any, h: Any) -> Any:
    """Evaluate lo + (hi - lo)/(1 + 10**((le - x)*h)), without overflow."""
    exponent = np.minimum((LOG_10 * h) * (le - x), LARGEST_EXPONENT)
    return lo + (hi - lo) / (1.0 + np.exp(exponent))


def _dose_response_jac(x: Any, lo: Any, hi: Any, le: Any, h: Any) -> list[Any]:
    """Return the derivatives with respect to lo, hi, le, h."""
    below = le - x
    e = np.exp(np.minimum((LOG_10 * h) * below, LARGEST_EXPONENT))
    rise = 1.0 / (1.0 + e)
    fall = e * rise
    by_exponent = (LOG_10 * (lo - hi)) * (fall * rise)
    return [fall, rise, h * by_exponent, by_exponent * below]


def _shapes(xp: Any, p: Point, r: Value, tm: Value) -> tuple[list[Value], list[Value]]:
    """Return the rise from 0 to 1, and its slopes."""
    rise = 1.0 / (1.0 + xp.exp(xp.minimum(r * (tm - p.x), LARGEST_EXPONENT)))
    by_exponent = rise * (1.0 - rise)
    return [rise], [by_exponent * (p.x - tm), -r * by_exponent]


def _logistic_estimate(curves: Curves) -> list[Value]:
    """Take the rate that goes best with the best step, polish both once, and fit c and K."""
    xp, frame = curves.xp, curves.frame
    model = Projection(_shapes, (0, 0))
    step = _best_step(curves)

    def tried(theta: list[Value]) -> tuple[Value, list[Value]]:
        return model.trial(curves, theta).gain, theta

    rate, tm = curves.best([[rate, step] for rate in RATES], tried)
    best = model.polished(curves, [rate, tm], [0.7 * rate, 0.1 + 2.0 / rate])
    (r, tm), (K,) = best.theta, best.a
    falls = K < 0
    return [
        frame.level + frame.height * xp.where(falls, best.c + K, best.c),
        frame.height * xp.abs(K),
        xp.where(falls, -r, r) / frame.width,
        frame.origin + frame.width * tm,
    ]


def _dose_response_estimate(curves: Curves) -> list[Value]:
    """Estimate a logistic curve, in other letters."""
    c, K, r, tm = _logistic_estimate(curves)
    return [c, c + K, tm, r / LOG_10]


def _best_step(curves: Curves) -> Value:
    """Return where a single step explains most of y.

    After the k-th of n points with the largest gain S**2*n/(k*(n - k)), S the sum of the first k
    centred values: an exact fit of a step, from running sums.

    Source: Hinkley, Biometrika 57 (1970) 1, the change point of a mean.
    """
    xp, n = curves.xp, curves.count
    (y_sum,) = curves.totals(lambda p: [p.y])
    mean = y_sum / n

    def gain(p: Point) -> tuple[Value, list[Value]]:
        k, S = p.index, p.before(p.running(p.y - mean))
        return xp.where(k > 0, S * S / (k * (n - k)), -1.0), [0.5 * p.x_before + 0.5 * p.x]

    return curves.largest(gain)[1]
