"""log(abs(gamma(x))) and its first two derivatives.

The formulas and polynomials of `graph.gammas`. The logarithm in gammaln, what it is taken of and
its product with x - 1/2 are in two doubles, so that neither the zeros at 1 and 2 nor the terms that
nearly cancel cost digits. For x > 0 all three are right to 2 units in the last place; below 0 the
reflection stands behind a branch, and the error is at most 1e-15 of 1 + abs(value).
"""

from functools import partial
from math import inf, nan, pi

from ...graph.gammas import (
    AT_TWO,
    AT_TWO_REST,
    DIGAMMA_FAR,
    DIGAMMA_NEAR,
    DIGAMMA_ZERO,
    DIGAMMA_ZERO_REST,
    GAMMALN_FAR,
    GAMMALN_NEAR,
    HALF_LOG_OF_TWO_PI,
    NEAR_TWO,
    NEAR_TWO_REST,
    SERIES_FROM,
    TRIGAMMA_FAR,
)
from ..lanes import Lanes, Vec
from .logarithm_pairs import log_pair
from .logarithms import log
from .pairs import Pair, product, quick_sum
from .polynomials import halves, horner
from .rare import rarely
from .rounding import floor
from .trigonometry import sin, tan

_HUGE, _LESS = 2.0**500, 2.0**-200
"""From here on gammaln is computed that much smaller, as x*log(x) may overflow before it."""
_TINY, _NORMAL = 2.0**-60, 2.0**-1000


def gammaln(lanes: Lanes, x: Vec) -> Vec:
    """Return log(abs(gamma(x)))."""
    size = lanes.abs(x)
    far = size >= SERIES_FROM
    k = floor(lanes, lanes.smaller(SERIES_FROM, size) + 0.5)
    whole = _product(lanes, size, k)
    argument = lanes.where(far, size, whole.head)
    log_of = log_pair(lanes, argument)
    ratio = lanes.where(far, lanes.real(1.0), whole.tail) / argument
    near = _gammaln_near(lanes, size - k, k, Pair(log_of.head, log_of.tail + ratio))
    value = lanes.where(far, _gammaln_far(lanes, size, log_of, ratio), near)
    unusual = ~((x > 0.0) & (x < inf))
    (value,) = rarely(lanes, unusual, [value], partial(_completed, lanes, x, size))
    return value


def digamma(lanes: Lanes, x: Vec) -> Vec:
    """Return the derivative of gammaln."""
    above = lanes.where(x < 0.0, 1.0 - x, x)
    inverse = 1.0 / above
    u = inverse * inverse
    series = lanes.fma(u, horner(lanes, u, DIGAMMA_FAR), 0.5 * inverse)
    log_of = log_pair(lanes, above)
    far = lanes.where(above == inf, inf, log_of.head + (log_of.tail - series))
    value = lanes.where(above >= SERIES_FROM, far, _digamma_near(lanes, above, inverse))

    def reflected(value: Vec) -> list[Vec]:
        part = _from_whole(lanes, x)
        below = value - pi / tan(lanes, pi * part)
        below = lanes.where((part == 0.0) | (x == -inf), nan, below)
        return [lanes.where(x < 0.0, below, value)]

    (value,) = rarely(lanes, x < 0.0, [value], reflected)
    return value


def trigamma(lanes: Lanes, x: Vec) -> Vec:
    """Return the derivative of digamma."""
    above = lanes.where(x < 0.0, 1.0 - x, x)
    total, shifted = lanes.real(0.0), above
    for k in reversed(range(1, int(SERIES_FROM) + 1)):
        following = above + float(k)
        near = above + (k - 1.0) < SERIES_FROM
        shifted = lanes.where(near & (following >= SERIES_FROM), following, shifted)
        share = 1.0 / (following * following)
        total = total + lanes.where(following < SERIES_FROM, share, 0.0)
    inverse = 1.0 / shifted
    u = inverse * inverse
    first = lanes.where(above < SERIES_FROM, _inverse_square(lanes, above), 0.0)
    most = quick_sum(lanes.larger(first, inverse), lanes.smaller(first, inverse))
    rest = lanes.where(most.head < inf, most.tail, 0.0)
    series = lanes.fma(inverse * u, horner(lanes, u, TRIGAMMA_FAR), 0.5 * u)
    value = most.head + (rest + (total + series))

    def reflected(value: Vec) -> list[Vec]:
        turned = pi / sin(lanes, pi * _from_whole(lanes, x))
        return [lanes.where(x < 0.0, turned * turned - value, value)]

    (value,) = rarely(lanes, x < 0.0, [value], reflected)
    return value


def _product(lanes: Lanes, x: Vec, k: Vec) -> Pair:
    """Return (x - 1)*(x - 2)*...*(x - k + 2), x for k = 1 and x*(x + 1) for k = 0."""
    sum_with_one = quick_sum(lanes.real(1.0), x)
    first = product(lanes, x, sum_with_one.head)
    tail = lanes.fma(x, sum_with_one.tail, first.tail)
    head = lanes.where(k == 0.0, first.head, lanes.where(k == 1.0, x, 1.0))
    tail = lanes.where(k == 0.0, tail, 0.0)
    for j in range(1, int(SERIES_FROM) - 1):
        factor = lanes.where(k >= j + 2.0, x - float(j), 1.0)
        new = product(lanes, head, factor)
        head, tail = new.head, lanes.fma(tail, factor, new.tail)
    return Pair(head, tail)


def _gammaln_near(lanes: Lanes, t: Vec, k: Vec, log_of: Pair) -> Vec:
    """Return gammaln(k + t) for 0 <= k <= 6 from the logarithm of the product."""
    bend = lanes.fma(t, halves(lanes, t, t * t, GAMMALN_NEAR), NEAR_TWO_REST)
    line = product(lanes, t, lanes.real(NEAR_TWO))
    head, tail = (lanes.where(k < 2.0, -v, v) for v in (log_of.head, log_of.tail))
    total = quick_sum(head, line.head)
    return total.head + (lanes.fma(t, bend, tail) + (total.tail + line.tail))


def _gammaln_far(lanes: Lanes, x: Vec, log_of: Pair, inverse: Vec) -> Vec:
    """Return gammaln for x >= 6."""
    scale = lanes.where(x > _HUGE, _LESS, 1.0)
    series = lanes.fma(inverse, horner(lanes, inverse * inverse, GAMMALN_FAR), HALF_LOG_OF_TWO_PI)
    factor = (x - 0.5) * scale
    term = product(lanes, factor, log_of.head)
    total = quick_sum(term.head, -(x * scale))
    rest = lanes.fma(factor, log_of.tail, term.tail) + (total.tail + series * scale)
    return (total.head + rest) / scale


def _completed(lanes: Lanes, x: Vec, size: Vec, value: Vec) -> list[Vec]:
    """Return gammaln for every x, given that of an ordinary abs(x)."""
    value = lanes.where((size == 0.0) | (size == inf), inf, value)
    part = lanes.abs(_from_whole(lanes, x))
    turned = log(lanes, pi / (size * sin(lanes, pi * part))) - value
    turned = lanes.where(size < _TINY, value, turned)
    turned = lanes.where((part == 0.0) | (size == inf), inf, turned)
    return [lanes.where(x < 0.0, turned, value)]


def _digamma_near(lanes: Lanes, x: Vec, inverse: Vec) -> Vec:
    """Return digamma for 0 <= x < 6; `rest` is what rounding took from 1/x."""
    whole = floor(lanes, lanes.smaller(SERIES_FROM - 1.0, x))
    below = whole == 0.0
    n = lanes.where(below, lanes.real(-1.0), lanes.larger(whole - 2.0, 0.0))
    top, bottom = lanes.real(0.0), lanes.real(1.0)
    for j in range(1, int(SERIES_FROM) - 2):
        taken, factor = n >= float(j), x - float(j)
        top = lanes.where(taken, lanes.fma(top, factor, bottom), top)
        bottom = lanes.where(taken, bottom * factor, bottom)
    v = (x - n) - 2.0
    bend = lanes.fma(v, halves(lanes, v, v * v, DIGAMMA_NEAR), AT_TWO_REST)
    slope, distance = quick_sum(lanes.real(AT_TWO), bend), (x - n) - DIGAMMA_ZERO
    back = product(lanes, x, inverse)
    rest = lanes.where(x > 0.25, ((1.0 - back.head) - back.tail) * inverse, 0.0)
    more = lanes.where(below, -rest, top / bottom)
    term = product(lanes, distance, slope.head)
    tail = lanes.fma(distance, slope.tail, term.tail)
    near = term.head + (lanes.fma(slope.head, -DIGAMMA_ZERO_REST, more) + tail)
    return lanes.where(below, near - inverse, near)


def _inverse_square(lanes: Lanes, x: Vec) -> Vec:
    """Return 1/x**2 for x >= 0, by one division where x**2 has all its digits."""
    square, inverse = x * x, 1.0 / x
    return lanes.where(square > _NORMAL, 1.0 / square, inverse * inverse)


def _from_whole(lanes: Lanes, x: Vec) -> Vec:
    """Return x less the nearest whole number."""
    return x - floor(lanes, x + 0.5)
