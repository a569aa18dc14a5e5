"""A sinusoid about a constant."""

from typing import Any

import numpy as np

from ..model import Model
from .by_numpy import sine_and_cosine
from .passes import Curves, Point, Value
from .periodogram import TAU
from .projection import Trial
from .recipe import Recipe
from .regression import moments
from .sorted_curves import ONE

PEAKS = 3
"""Peaks of the periodogram that are looked at closely."""

MOST_POINTS = 1024
"""Up to here a periodogram by plain sums is no slower than a fast transform with its grid."""

INFINITY = float("inf")


def sinusoid(*, prefix: str = "") -> Model:
    """Make ``a*sin(w*x + phi) + c``, params a, w, phi, c; w is an angular frequency.

    The guess has a >= 0, w > 0 and phi within -pi..pi. It looks for w up to the mean Nyquist
    frequency, pi*(n - 1)/(range of x) for n distinct x, beyond which evenly spaced points cannot
    tell a frequency from a lower one.
    """
    return Model(
        name="sinusoid",
        params=("a", "w", "phi", "c"),
        func=_sinusoid,
        jac=_sinusoid_jac,
        guess=Recipe(_sinusoid_estimate, 4, most_points=MOST_POINTS),
        expression="a*sin(w*x + phi) + c",
    ).prefixed(prefix)


def _sinusoid(x: Any, a: Any, w: Any, phi: Any, c: Any) -> Any:
    """Evaluate a*sin(w*x + phi) + c."""
    t = np.tan(0.5 * (w * x + phi))
    return (2.0 * a) * t / (1.0 + t * t) + c


def _sinusoid_jac(x: Any, a: Any, w: Any, phi: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, w, phi, c."""
    sine, cosine = sine_and_cosine(w * x + phi)
    by_phi = a * cosine
    return [sine, by_phi * x, by_phi, ONE]


def _sinusoid_estimate(curves: Curves) -> list[Value]:
    """Polish the highest peaks of the periodogram, and a slow wave, and take the best.

    Each polished peak is an exact fit, so the rough periodogram only has to see the right peak
    among its highest.
    """
    xp, frame = curves.xp, curves.frame

    def tried(theta: list[Value]) -> tuple[Value, list[Value]]:
        best = _polished(curves, *theta)
        return best.gain, best.values

    peaks = [*curves.highest_peaks(PEAKS), _slow_wave(curves)]
    w, sine, cosine, c = curves.best([[w] for w in peaks], tried)
    w_x = w / frame.width
    phi = xp.arctan2(cosine, sine) - w_x * frame.origin
    return [
        frame.height * xp.sqrt(sine * sine + cosine * cosine),
        w_x,
        phi - TAU * xp.rint(phi * (1.0 / TAU)),
        frame.level + frame.height * c,
    ]


def _polished(curves: Curves, w: Value) -> Trial:
    """Return w after one Gauss-Newton step of at most 1, where that has the larger gain.

    The derivative by w of a_0*sin(w*x) + a_1*cos(w*x) is a_0 times x*cos(w*x) less a_1 times
    x*sin(w*x): its sums are made of theirs, so that one pass gives a and the step.
    """
    xp = curves.xp

    def columns(p: Point) -> list[Value]:
        sine, cosine = xp.sincos(w * p.x)
        return [sine, cosine, p.x * cosine, p.x * sine]

    summed = moments(curves, columns)
    here = summed.regression(2)
    a_0, a_1 = here.a
    step = summed.with_last([a_0, -a_1]).regression().a[2]
    moved = w + xp.maximum(xp.minimum(step, 1.0), -1.0)
    trial = moments(curves, lambda p: xp.sincos(moved * p.x)).regression()
    return Trial.of([w], here).or_better(xp, Trial.of([moved], trial))


def _slow_wave(curves: Curves) -> Value:
    """Estimate w of a few cycles at most from an integral equation.

    With SS the second integral of y, y'' = -w**2*(y - c) becomes y = -w**2*SS + (polynomial of
    degree 2 in x), a linear regression.

    Source: Jacquelin, Régressions et équations intégrales (2009), sinusoidal regression.
    """
    xp = curves.xp

    def columns(p: Point) -> list[Value]:
        return [p.x, p.x * p.x, p.integral(p.integral(p.y))]

    _, _, minus_square = moments(curves, columns).regression().a
    w = xp.sqrt(xp.maximum(-minus_square, 0.0))
    (steps,) = curves.totals(lambda p: [xp.where(p.x > p.x_before, 1.0, 0.0)])
    fastest = xp.maximum(0.25 * TAU * steps, 1.0)
    return xp.minimum(xp.where((w > 0.3) & (w < INFINITY), w, 3.0), fastest)
