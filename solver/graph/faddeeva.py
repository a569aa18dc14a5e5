"""w(z) = exp(-z**2)*erfc(-i*z) and its derivative, real and imaginary parts, on NumPy arrays.

For y > 0, z = x + i*y, w(z) is an integral over the whole line, and a sum of few terms comes near
it once the pole of the integrand at t = z is accounted for:

    w(z) = 2*i*z/pi * integral of exp(-t**2)/(z**2 - t**2), t from 0
         = 2*i*z*h/pi * sum of a[k]/(z**2 - t[k]**2) + C
    C    = 2*exp(-z**2)/(1 +- exp(-2*pi*i*z/h))

with a[k] = exp(-t[k]**2) and t[k] = (k + 1/2)*h and the sign +, or t[k] = k*h, half of a[0], and
the sign -; whichever nodes are the farther ones from x, so that neither sum nor C is ever large. C
counts for y < pi/h only. With Z = z**2 = X + i*Y, q[k] = a[k]/abs(Z - t[k]**2)**2 and the three
sums S[n] of q[k]*t[k]**(2*n), none of which cancels,

    w     = 2*h/pi * (y*(abs(Z)*S[0] + S[1]) + i*x*(abs(Z)*S[0] - S[1])) + C
    dw/dz = -4*h/pi * (Y*S[1] + i*(X*S[1] - S[2])) - 2*z*C

The derivative is that of the integral by parts, and keeps its digits where z is large and
-2*z*w + 2*i/sqrt(pi) has lost them. Re w is right to a few units even where it is small beside
Im w, for y near 0: there it is a multiple of y and exp(-x**2).

Against mpmath, in the upper half plane and relative to itself, Re w is off by 1.5e-15 at most, Im w
by 7e-15, and the derivative by 5e-14 of abs(dw/dz). Below, w(z) = 2*exp(-z**2) - w(-z), which has
zeros and overflows, as SciPy's wofz.

Source: Matta and Reichel, Math. Comp. 25 (1971) 339; Hunter and Regan, Math. Comp. 26 (1972) 539;
the choice of the nodes, h**2 = pi/12 and bounds of the error: Al Azah and Chandler-Wilde, SIAM J.
Numer. Anal. 59 (2021) 2346. One node more than there keeps Re w near x = 6.
"""

from dataclasses import dataclass
from math import exp, pi, sqrt
from typing import Any

import numpy as np

from ..arrays import Floats

STEP = sqrt(pi / 12.0)
"""h."""
N_NODES = 13
CORRECTED_BELOW = pi / STEP
"""y from where C is left out."""
NOTHING_FROM = 28.0
"""x from where exp(-x**2) is 0."""
NEGLIGIBLE, SMALL_Y = -64.0, 1e-6
"""C counts where its exponent is above the first, or y below the second."""
LARGE = 2.0**32
"""Larger z are made smaller, by a power of two: w(z) is i/(sqrt(pi)*z) there."""


def _nodes(shift: float) -> tuple[tuple[float, float], ...]:
    """Return a[k] and t[k]**2."""
    squares = [((k + shift) * STEP) ** 2 for k in range(N_NODES)]
    return tuple((exp(-t2) if t2 else 0.5, t2) for t2 in squares)


ON, BETWEEN = _nodes(0.0), _nodes(0.5)
"""a[k] and t[k]**2 of the nodes at multiples of h, and halfway between them."""


@dataclass(frozen=True, slots=True)
class Faddeeva:
    """Real and imaginary parts of w(z), and of its derivative."""

    real: Any
    imag: Any
    slope_real: Any
    slope_imag: Any


def wofz_real(x: Any, y: Any) -> Floats:
    """Return the real part of w(x + i*y)."""
    value: Floats = faddeeva(x, y).real
    return value


def wofz_imag(x: Any, y: Any) -> Floats:
    """Return the imaginary part of w(x + i*y)."""
    value: Floats = faddeeva(x, y).imag
    return value


def wofz_slope_real(x: Any, y: Any) -> Floats:
    """Return the real part of dw/dz at z = x + i*y, the derivative of the real part by x."""
    value: Floats = faddeeva(x, y).slope_real
    return value


def wofz_slope_imag(x: Any, y: Any) -> Floats:
    """Return the imaginary part of dw/dz at z = x + i*y, that of the imaginary part by x."""
    value: Floats = faddeeva(x, y).slope_imag
    return value


def faddeeva(x: Any, y: Any) -> Faddeeva:
    """Return w and dw/dz at x + i*y."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    with np.errstate(all="ignore"):
        upper = _in_quadrant(np.abs(x), np.abs(y))
        right = Faddeeva(
            upper.real,
            np.copysign(upper.imag, x),
            np.where(np.signbit(x), -upper.slope_real, upper.slope_real),
            upper.slope_imag,
        )
        return _reflected(x, y, right) if (y < 0.0).any() else right


def _in_quadrant(x: Floats, y: Floats) -> Faddeeva:
    """Return w and dw/dz for x, y >= 0; the imaginary part may have any sign where it is 0."""
    near, low = np.minimum(x, NOTHING_FROM), np.minimum(y, CORRECTED_BELOW)
    angle = near * (2.0 * pi / STEP)
    c, s = np.cos(angle), np.sin(angle)
    between = c >= 0.0
    sums = _sums(x, y, between)
    exponent, rest = _exponent(near, low)
    wanted = (y < CORRECTED_BELOW) & ((exponent > NEGLIGIBLE) | (y < SMALL_Y))
    r = np.exp(-2.0 * pi / STEP * low)
    c, s = np.abs(c), np.where(between, s, -s)
    size = 2.0 * np.exp(exponent) * (1.0 + rest) / (r * r + 2.0 * r * c + 1.0)
    turn = 2.0 * near * low
    p, q = np.cos(turn), np.sin(turn)
    u = np.where(wanted, size * (p * (r + c) + q * s), 0.0)
    v = np.where(wanted, size * (p * s - q * (r + c)), 0.0)
    return Faddeeva(
        sums.real + u,
        sums.imag + v,
        sums.slope_real - 2.0 * (near * u - low * v),
        sums.slope_imag - 2.0 * (near * v + low * u),
    )


def _sums(x: Floats, y: Floats, between: Any) -> Faddeeva:
    """Return w and dw/dz less C and what comes of it."""
    largest = np.minimum(np.maximum(np.maximum(x, y), LARGE), 2.0**1021)
    inverse = np.ldexp(LARGE, 1 - np.frexp(largest)[1])
    back = np.where((x == np.inf) | (y == np.inf), 0.0, inverse)
    x, y = np.minimum(x, 2.0**1021) * inverse, np.minimum(y, 2.0**1021) * inverse
    X, Y = (x - y) * (x + y), 2.0 * x * y
    s0 = s1 = s2 = np.zeros(())
    for on, halfway in zip(ON, BETWEEN, strict=True):
        a, b = (np.where(between, *pair) for pair in zip(halfway, on, strict=True))
        distance = X - b
        share = a / (distance * distance + Y * Y)
        s0, s1, s2 = s0 + share, s1 + share * b, s2 + share * b * b
    size, factor = (x * x + y * y) * s0, 2.0 * STEP / pi
    return Faddeeva(
        factor * y * (size + s1) * back,
        factor * x * (size - s1) * back,
        -2.0 * factor * Y * s1 * back * back,
        -2.0 * factor * (X * s1 - s2) * back * back,
    )


def _exponent(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return y**2 - 2*pi/h*y - x**2, and what rounding took from it."""
    square = x * x
    head = np.floor(x * 2.0**20) / 2.0**20
    lost = ((head * head - square) + 2.0 * head * (x - head)) + (x - head) ** 2
    lead = y * (y - 2.0 * pi / STEP)
    total = lead - square
    return total, (lead - (total + square)) - lost


def _reflected(x: Floats, y: Floats, upper: Faddeeva) -> Faddeeva:
    """Return w and dw/dz where y < 0 too, given those at abs(y)."""
    depth = np.abs(y)
    size = np.exp((depth - np.abs(x)) * (depth + np.abs(x)))
    turn = np.where(x == 0.0, 0.0, 2.0 * x * depth)
    p = np.where(size == 0.0, 0.0, 2.0 * size * np.cos(turn))
    q = np.where(size == 0.0, 0.0, 2.0 * size * np.sin(turn))
    pairs = (
        (p - upper.real, upper.real),
        (q + upper.imag, upper.imag),
        (-2.0 * (x * p + depth * q) - upper.slope_real, upper.slope_real),
        (-2.0 * (x * q - depth * p) + upper.slope_imag, upper.slope_imag),
    )
    return Faddeeva(*(np.where(y < 0.0, *pair) for pair in pairs))
