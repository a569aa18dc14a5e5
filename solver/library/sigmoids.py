"""Steps from one level to another: the logistic curve and the four-parameter dose response."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..model import Model
from .projection import Frame, best_of
from .sorted_curves import ONE, SortedCurves, estimate_in_blocks, running_total

LOG_10 = math.log(10.0)

LARGEST_EXPONENT = 700.0
"""exp of this is finite, and 1/(1 + exp) as good as 0."""

RATES = (2.0, 5.0, 12.0, 30.0, 80.0)
"""Rates tried, times the range of x: from nearly straight to nearly a step."""


def logistic() -> Model:
    """Make ``c + K/(1 + exp(-r*(x - tm)))``, params c, K, r, tm.

    K < 0 and r < 0 both describe a fall; the guess has K >= 0.
    """
    return Model(
        name="logistic",
        params=("c", "K", "r", "tm"),
        func=_logistic,
        jac=_logistic_jac,
        guess=_logistic_guess,
        expression="c + K/(1 + exp(-r*(x - tm)))",
    )


def dose_response_4pl() -> Model:
    """Make ``lo + (hi - lo)/(1 + 10**((le - x)*h))``, params lo, hi, le, h.

    x is the decimal logarithm of the concentration, le that of the EC50, h the Hill slope: h < 0
    for a response that falls. The guess has lo <= hi.
    """
    return Model(
        name="dose_response_4pl",
        params=("lo", "hi", "le", "h"),
        func=_dose_response,
        jac=_dose_response_jac,
        guess=_dose_response_guess,
        expression="lo + (hi - lo)/(1 + 10**((le - x)*h))",
    )


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


def _shapes(x: Floats, r: Floats, tm: Floats) -> list[Floats]:
    """Return the rise from 0 to 1."""
    return [1.0 / (1.0 + np.exp(np.minimum(r * (tm - x), LARGEST_EXPONENT)))]


def _slopes(
    x: Floats, g: Sequence[Floats], a: Sequence[Floats], r: Floats, tm: Floats
) -> list[Floats]:
    """Return the derivatives of a times the shape with respect to r and tm."""
    by_exponent = a[0] * (g[0] * (1.0 - g[0]))
    return [by_exponent * (x - tm), -r * by_exponent]


def _logistic_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess c, K, r, tm for all curves."""
    return estimate_in_blocks(_logistic_estimate, 4, x, y, valid)


def _logistic_estimate(curves: SortedCurves) -> list[Floats]:
    """Take the rate that goes best with the best step, polish both once, and fit c and K."""
    frame = Frame.unit(curves)
    tm = _best_step(frame)
    best = best_of(frame.trial(_shapes, np.full_like(tm, r), tm) for r in RATES)
    rate = best.theta[0]
    best = frame.polish(_shapes, _slopes, best, [0.7 * rate, 0.1 + 2.0 / rate])
    r, tm = best.theta
    (K,), c = frame.fit(_shapes(frame.curves.x, r, tm))
    falls = K < 0
    return [
        frame.level + frame.height * np.where(falls, c + K, c),
        frame.height * np.abs(K),
        np.where(falls, -r, r) / frame.width,
        frame.origin + frame.width * tm,
    ]


def _dose_response_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess lo, hi, le, h for all curves."""
    return estimate_in_blocks(_dose_response_estimate, 4, x, y, valid)


def _dose_response_estimate(curves: SortedCurves) -> list[Floats]:
    """Estimate a logistic curve, in other letters."""
    c, K, r, tm = _logistic_estimate(curves)
    return [c, c + K, tm, r / LOG_10]


def _best_step(frame: Frame) -> Floats:
    """Return where a single step explains most of y.

    After the k-th of n points with the largest gain S**2*n/(k*(n - k)), S the sum of the first k
    centred values: an exact fit of a step, from running sums.

    Source: Hinkley, Biometrika 57 (1970) 1, the change point of a mean.
    """
    n_points, n_curves = frame.target.shape
    k = np.arange(1.0, n_points + 1.0)[:, None]
    rest = frame.curves.count - k
    sums = running_total(frame.target)
    weight = np.where(rest > 0, 1.0 / (k * np.maximum(rest, 1.0)), 0.0)
    last = np.argmax(sums * sums * weight, axis=0)[None]
    x = np.broadcast_to(frame.curves.x, (n_points, n_curves))
    after = np.minimum(last + 1, n_points - 1)
    before, behind = (np.take_along_axis(x, place, axis=0)[0] for place in (last, after))
    middle: Floats = 0.5 * (before + behind)
    return middle
