"""Peaks and dips above a constant: Gaussian and Lorentzian."""

from typing import Any

import numpy as np

from ..model import Model
from .frames import Frame
from .passes import Curves, Lag, Point, Value
from .projection import Projection, Shapes
from .recipe import Recipe
from .regression import moments
from .sorted_curves import ONE

INFINITY = float("inf")

GAUSSIAN_TO_BOX = 0.75
"""s of a Gaussian over the half width of the box that fits it best."""

LORENTZIAN_TO_BOX = 0.6
"""w of a Lorentzian over the half width of the box that fits it best."""

WIDE = 0.4
"""Width of the wide candidates, over the range of x."""


def gaussian(*, prefix: str = "") -> Model:
    """Make ``a*exp(-(x - mu)**2/(2*s**2)) + c``, params a, mu, s, c; a < 0 is a dip."""
    return Model(
        name="gaussian",
        params=("a", "mu", "s", "c"),
        func=_gaussian,
        jac=_gaussian_jac,
        guess=Recipe(_gaussian_estimate, 4, local=True),
        expression="a*exp(-(x - mu)**2/(2*s**2)) + c",
    ).prefixed(prefix)


def lorentzian(*, prefix: str = "") -> Model:
    """Make ``a/(1 + ((x - mu)/w)**2) + c``, params a, mu, w, c; a < 0 is a dip.

    w is the half width at half maximum.
    """
    return Model(
        name="lorentzian",
        params=("a", "mu", "w", "c"),
        func=_lorentzian,
        jac=_lorentzian_jac,
        guess=Recipe(_lorentzian_estimate, 4, local=True),
        expression="a/(1 + ((x - mu)/w)**2) + c",
    ).prefixed(prefix)


def _gaussian(x: Any, a: Any, mu: Any, s: Any, c: Any) -> Any:
    """Evaluate a*exp(-(x - mu)**2/(2*s**2)) + c."""
    z = (x - mu) * (1.0 / s)
    return a * np.exp(-0.5 * (z * z)) + c


def _gaussian_jac(x: Any, a: Any, mu: Any, s: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, mu, s, c."""
    z = (x - mu) * (1.0 / s)
    e = np.exp(-0.5 * (z * z))
    by_mu = (a / s) * (e * z)
    return [e, by_mu, by_mu * z, ONE]


def _gaussian_shapes(xp: Any, p: Point, mu: Value, s: Value) -> tuple[list[Value], list[Value]]:
    """Return the peak of height 1, and its slopes."""
    inverse = 1.0 / s
    z = (p.x - mu) * inverse
    g = xp.exp(-0.5 * (z * z))
    by_mu = inverse * (g * z)
    return [g], [by_mu, by_mu * z]


def _gaussian_estimate(curves: Curves) -> list[Value]:
    """Estimate a, mu, s, c."""
    return _estimate(curves, _gaussian_shapes, GAUSSIAN_TO_BOX)


def _lorentzian(x: Any, a: Any, mu: Any, w: Any, c: Any) -> Any:
    """Evaluate a/(1 + ((x - mu)/w)**2) + c."""
    z = (x - mu) * (1.0 / w)
    return a / (1.0 + z * z) + c


def _lorentzian_jac(x: Any, a: Any, mu: Any, w: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, mu, w, c."""
    z = (x - mu) * (1.0 / w)
    q = 1.0 / (1.0 + z * z)
    by_mu = (2.0 * a / w) * (q * q * z)
    return [q, by_mu, by_mu * z, ONE]


def _lorentzian_shapes(
    xp: Any,  # noqa: ARG001
    p: Point,
    mu: Value,
    w: Value,
) -> tuple[list[Value], list[Value]]:
    """Return the peak of height 1, and its slopes."""
    inverse = 1.0 / w
    z = (p.x - mu) * inverse
    g = 1.0 / (1.0 + z * z)
    by_mu = (2.0 * inverse) * (g * g * z)
    return [g], [by_mu, by_mu * z]


def _lorentzian_estimate(curves: Curves) -> list[Value]:
    """Estimate a, mu, w, c."""
    return _estimate(curves, _lorentzian_shapes, LORENTZIAN_TO_BOX)


def _estimate(curves: Curves, shapes: Shapes, to_box: float) -> list[Value]:
    """Estimate a, mu, width, c."""
    return in_units_of_data(curves.frame, best_peak(curves, shapes, to_box))


def in_units_of_data(frame: Frame, peak: list[Value]) -> list[Value]:
    """Return a, mu, width, c in the units of the data, from mu, width, a, c in simple ones."""
    mu, width, a, c = peak
    return [
        frame.height * a,
        frame.origin + frame.width * mu,
        frame.width * width,
        frame.level + frame.height * c,
    ]


def best_peak(curves: Curves, shapes: Shapes, to_box: float) -> list[Value]:
    """Return mu, width, a and c of the peak that fits best, in simple units.

    Five candidates - best box up and down, wide peaks - are polished once, and the best is taken.

    A wide peak cut by the edge looks much like a narrower dip beside it, so the sign of `a` is
    decided last, between fitted shapes.
    """
    model = Projection(shapes, (0, 0))

    def tried(theta: list[Value]) -> tuple[Value, list[Value]]:
        best = model.polished(curves, theta, [theta[1], 0.5 * theta[1]])
        return best.gain, best.values

    candidates: list[list[Value]] = [[mu, to_box * half] for mu, half in _best_boxes(curves)]
    candidates.append(_wide_peak(curves))
    candidates += [[mu, WIDE] for mu in (0.15, 0.85)]
    return curves.best(candidates, tried)


def _best_boxes(curves: Curves) -> list[tuple[Value, Value]]:
    """Return centre and half width of the box that fits best, upwards and downwards.

    Of all windows of 1, 2, 4 ... points the one with the largest gain S**2*(1/k + 1/(n - k)), S the
    sum of its k of n centred values: an exact fit of a box above a constant, from running sums.

    Source: Kovács, Zucker, Mazeh, A&A 391 (2002) 369, box least squares.
    """
    xp, n = curves.xp, curves.count
    (y_sum,) = curves.totals(lambda p: [p.y])
    mean = y_sum / n
    (sums,) = curves.keep(lambda p: [p.running(p.y - mean)])

    def wider(k: Lag, state: list[Value]) -> list[Value]:
        weight = xp.where(k.points < n, 1.0 / k.points + 1.0 / xp.maximum(n - k.points, 1.0), 0.0)
        new = []
        for sign, best in zip((1.0, -1.0), (state[:3], state[3:]), strict=True):

            def height(p: Point, sign: float = sign) -> tuple[Value, list[Value]]:
                inside = sign * (p.kept(sums) - p.behind(sums, k))
                return xp.where(p.index + 1.0 >= k.points, inside, 0.0), [p.index]

            top, last = curves.largest(height)
            gain = top * top * weight
            values = zip((gain, last, k.points), best, strict=True)
            new += [xp.where(gain > best[0], now, before) for now, before in values]
        return new

    found = curves.widening([-1.0, 0.0, 1.0] * 2, wider)
    return [_extent(curves, last, k) for _, last, k in (found[:3], found[3:])]


def _extent(curves: Curves, last: Value, k: Value) -> tuple[Value, Value]:
    """Return centre and half width of a window, up to halfway to its neighbours."""
    first = last - k + 1.0
    left = 0.5 * (curves.x_at(first - 1.0) + curves.x_at(first))
    right = 0.5 * (curves.x_at(last) + curves.x_at(last + 1.0))
    return 0.5 * (left + right), curves.xp.maximum(0.5 * (right - left), 1e-6)


def _wide_peak(curves: Curves) -> list[Value]:
    """Estimate mu and s of a peak that may be wider than the data, from an integral equation.

    A Gaussian has y' = -(x - mu)*(y - c)/s**2, which integrates to

        y = -(1/s**2)*integral(x*y) + (mu/s**2)*integral(y) + (polynomial of degree 2 in x),

    a linear regression. Good for wide peaks, of any kind; the trapezoids miss narrow ones.

    Source: after Jacquelin, Régressions et équations intégrales (2009), Gaussian regression.
    """
    xp = curves.xp

    def columns(p: Point) -> list[Value]:
        return [p.x, p.x * p.x, p.integral(p.x * p.y), p.integral(p.y)]

    _, _, minus_inverse, shift = moments(curves, columns).regression().a
    s = 1.0 / xp.sqrt(xp.abs(minus_inverse))
    mu = -shift / minus_inverse
    s = xp.where(s < INFINITY, xp.minimum(xp.maximum(s, 1e-3), 1.0), 0.3)
    mu = xp.where(xp.abs(mu) < INFINITY, xp.minimum(xp.maximum(mu, -0.5), 1.5), 0.5)
    return [mu, s]
