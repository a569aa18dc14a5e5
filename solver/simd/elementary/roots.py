"""cbrt and hypot.

cbrt: abs(x) = m * 2**(3*q), m between 0.35 and 3, and y near m**(-1/3) from a polynomial (error
2**-11.5); then, with h = 1 - m*y**3, m**(-1/3) = y*(1 - h)**(-1/3) = y*(1 + h/3 + 2/9*h**2 + ...),
and c = m*y**2 gets one step of Newton's, without a division. hypot: the root of the sum of squares
of numbers of moderate size. Both are right to 1.3 units in the last place.
"""

from math import inf

from ..lanes import Lanes, Vec
from .exponentials import SHIFT, times_power_of_two
from .instructions import exponent, has_avx512, mantissa, scaled
from .logarithms import parts_of_number
from .magnitudes import of_moderate_size
from .polynomials import horner

_INVERSE_ROOT = (
    1.714215737776084,
    -1.2344016790516874,
    0.6615072404220476,
    -0.14154933827187624,
)
"""m**(-1/3) in powers of m, 1/sqrt(2) <= m < 3/2."""

_SERIES = (1.0 / 3.0, 2.0 / 9.0)
"""((1 - h)**(-1/3) - 1)/h in powers of h."""

_ROOT_HALF, _ROOT_TWO = 0.7937005259840998, 1.2599210498948732


def cbrt(lanes: Lanes, x: Vec) -> Vec:
    """Return the cube root."""
    if has_avx512(lanes):
        m = mantissa(lanes, x, size=True)
        e = exponent(lanes, x) - exponent(lanes, m)
    else:
        e, f = parts_of_number(lanes, lanes.abs(x))
        m = f + 1.0
    shifted = lanes.fma(e, 1.0 / 3.0, SHIFT)
    k = shifted - SHIFT
    over = lanes.fma(k, -3.0, e)

    def chosen(less: float, same: float, more: float) -> Vec:
        return lanes.where(over > 0.0, more, lanes.where(over < 0.0, less, lanes.real(same)))

    y = horner(lanes, m, _INVERSE_ROOT) * chosen(_ROOT_TWO, 1.0, _ROOT_HALF)
    m = m * chosen(0.5, 1.0, 2.0)
    h = lanes.fma(-(m * y), y * y, 1.0)
    y = lanes.fma(y, h * horner(lanes, h, _SERIES), y)
    square = y * y
    c = m * square
    c = lanes.fma(lanes.fma(-(c * c), c, m), square * (1.0 / 3.0), c)
    c = scaled(lanes, c, k) if has_avx512(lanes) else times_power_of_two(lanes, c, shifted)
    result = lanes.copysign(c, x)
    return lanes.where((x == 0.0) | ~(lanes.abs(x) < inf), x, result)


def hypot(lanes: Lanes, x: Vec, y: Vec) -> Vec:
    """Return sqrt(x**2 + y**2), infinite where one of them is."""
    x, y = lanes.abs(x), lanes.abs(y)
    a, b, unit = of_moderate_size(lanes, x, y)
    root = lanes.sqrt(lanes.fma(a, a, b * b)) * unit
    return lanes.where((x == inf) | (y == inf), inf, root)
