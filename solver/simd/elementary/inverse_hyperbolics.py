"""arcsinh, arccosh, arctanh: logarithms of 1 and a small sum, which come in two doubles.

    arcsinh(x) = log(1 + x + x**2/(1 + sqrt(x**2 + 1)))
    arccosh(x) = log(1 + t + sqrt(t*(t + 2))),           t = x - 1
    arctanh(x) = log(1 + 2*x/(1 - x))/2

for x >= 0. Where x**2 would overflow the first two are log(x/2) + 2*log(2). Right to 1.9 units in
the last place.
"""

from math import log, nan

from ..lanes import Lanes, Vec
from .logarithms import log1p_of_sum
from .pairs import Pair, quick_sum, quotient

_HUGE = 2.0**500
_TWICE_LOG_2 = 2.0 * log(2.0)


def arcsinh(lanes: Lanes, x: Vec) -> Vec:
    """Return the inverse hyperbolic sine."""
    size = lanes.abs(x)
    root = lanes.sqrt(lanes.fma(size, size, 1.0))
    more = size * (size / (1.0 + root))
    return lanes.copysign(_log_of_sum(lanes, size, size, more), x)


def arccosh(lanes: Lanes, x: Vec) -> Vec:
    """Return the inverse hyperbolic cosine."""
    t = x - 1.0
    value = _log_of_sum(lanes, x, lanes.sqrt(lanes.fma(t, t, 2.0 * t)), t)
    return lanes.where(x < 1.0, nan, value)


def arctanh(lanes: Lanes, x: Vec) -> Vec:
    """Return the inverse hyperbolic tangent."""
    size = lanes.abs(x)
    above = Pair(size + size, lanes.real(0.0))
    ratio = quotient(lanes, above, quick_sum(lanes.real(1.0), -size))
    low = lanes.where(size < 1.0, ratio.tail, 0.0)
    return lanes.copysign(0.5 * log1p_of_sum(lanes, ratio.head, low), x)


def _log_of_sum(lanes: Lanes, x: Vec, larger: Vec, smaller: Vec) -> Vec:
    """Return log(1 + larger + smaller), or log(2*x) where x is huge."""
    huge = x > _HUGE
    quarter = 0.25 * x
    total = quick_sum(lanes.where(huge, quarter, larger), lanes.where(huge, quarter, smaller))
    tail = lanes.where(x == x * 2.0, 0.0, total.tail)
    return log1p_of_sum(lanes, total.head, tail) + lanes.where(huge, _TWICE_LOG_2, 0.0)
