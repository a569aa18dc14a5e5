"""Voigt peaks and dips above a constant: a Gaussian folded with a Lorentzian."""

from math import log, sqrt
from typing import Any

from ..model import Model
from .passes import Curves, Point, Value
from .peaks import best_peak, in_units_of_data
from .projection import Projection, Shapes
from .recipe import Recipe

HALF_WIDTH_TO_BOX = 0.75
"""Half width at half maximum over the half width of the box that fits best."""

LEAST_SHARE = 0.05
"""Of each of the two in a guess."""

SHARE_TO_LORENTZIAN = (0.72928, 0.19289, 0.07783)
"""Coefficients of powers of the Lorentzian's share, from 1: its width over the whole width."""

SHARE_TO_GAUSSIAN = (-0.74417, -0.24781, -0.00810)
"""The same for the square of the Gaussian's, less 1."""

HALF_WIDTH_OF_GAUSSIAN = sqrt(2.0 * log(2.0))
"""Of one with standard deviation 1, at half maximum."""


def voigt(*, prefix: str = "") -> Model:
    """Make a Voigt profile of height a above c, params a, mu, s, g, c; a < 0 is a dip.

    With w Faddeeva's function, `scipy.special.wofz`, and k = 1/(sqrt(2)*abs(s)),

        a*Re w(k*(x - mu + i*g))/w(i*k*g) + c

    s is the standard deviation of the Gaussian, g the half width at half maximum of the Lorentzian;
    the area is sqrt(2*pi)*abs(s)*a/erfcx(k*g). Where the feet of a peak are lower than a Gaussian's
    the fit ends at some g < 0, close to 0 if that is noise; bounds of g keep it from there.
    """
    return Model.from_expression(
        "a*(wofz_real((x - mu)/(sqrt(2)*abs(s)), g/(sqrt(2)*abs(s)))"
        "/erfcx(g/(sqrt(2)*abs(s)))) + c",
        ("a", "mu", "s", "g", "c"),
        guess=Recipe(_voigt_estimate, 5, local=True),
        name="voigt",
    ).prefixed(prefix)


def _voigt_estimate(curves: Curves) -> list[Value]:
    """Estimate a, mu, s, g, c from sums of a Gaussian and a Lorentzian of one half width.

    First half of each; then the share of the Lorentzian that fits best, and the widths of the Voigt
    profile that looks like it.

    Source of the widths: Thompson, Cox and Hastings, J. Appl. Cryst. 20 (1987) 79.
    """
    xp = curves.xp
    mu, width, _, _ = best_peak(curves, _mixture(0.5), HALF_WIDTH_TO_BOX)
    a, b = Projection(_apart, (0, 1)).trial(curves, [mu, width]).a
    share = b / (a + b)
    share = xp.where(share > LEAST_SHARE, xp.minimum(share, 1.0 - LEAST_SHARE), LEAST_SHARE)
    mixture = Projection(_mixture(share), (0, 0))
    best = mixture.polished(curves, [mu, width], [width, 0.5 * width])
    height, centre, width, level = in_units_of_data(curves.frame, best.values)
    g = width * _powers(share, SHARE_TO_LORENTZIAN)
    s = width * xp.sqrt(1.0 + _powers(share, SHARE_TO_GAUSSIAN)) * (1.0 / HALF_WIDTH_OF_GAUSSIAN)
    return [height, centre, s, g, level]


def _powers(share: Value, coefficients: tuple[float, ...]) -> Value:
    """Return c[0]*share + c[1]*share**2 + c[2]*share**3."""
    first, second, third = coefficients
    return share * (first + share * (second + share * third))


def _apart(xp: Any, p: Point, mu: Value, width: Value) -> tuple[list[Value], list[Value]]:
    """Return a Gaussian and a Lorentzian of height 1 and one half width, without slopes."""
    z = (p.x - mu) * (1.0 / width)
    square = z * z
    return [xp.exp(-log(2.0) * square), 1.0 / (1.0 + square)], []


def _mixture(share: Value) -> Shapes:
    """Return the shape of a sum with some share of the Lorentzian, and its slopes."""

    def shapes(xp: Any, p: Point, mu: Value, width: Value) -> tuple[list[Value], list[Value]]:
        (gaussian, lorentzian), _ = _apart(xp, p, mu, width)
        inverse, rest = 1.0 / width, 1.0 - share
        z = (p.x - mu) * inverse
        slope = log(2.0) * (rest * gaussian) + share * (lorentzian * lorentzian)
        by_mu = 2.0 * inverse * (slope * z)
        return [rest * gaussian + share * lorentzian], [by_mu, by_mu * z]

    return shapes
