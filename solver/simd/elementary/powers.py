"""x**y, and powers whose base or exponent is a number.

x**y = exp(y*log(abs(x))) with the logarithm and its product with y in two doubles each, so that
the exponential gets y*log(x) to 2**-54. That is all for finite x above 0 and moderate y; signs,
and what is not a number, as in C's pow (IEEE 754, section 9.2.1), stand behind a branch. Exponents
beyond 2**80 are as good as infinite. Right to 1.7 units in the last place.
"""

from functools import partial
from math import inf, nan
from typing import Any

from llvmlite import ir

from ..lanes import Lanes, Vec
from .exponentials import exp_of_sum, exponential
from .logarithm_pairs import log_pair
from .pairs import product
from .rare import rarely
from .rounding import floor

_INFINITE = 2.0**80
_SIGN = -1 << 63


def power(lanes: Lanes, x: Vec | float, y: Vec | float) -> Vec:
    """Return x**y; a number for one of them, or a constant vector, makes it faster."""
    base, exponent = _number(x), _number(y)
    if base is not None and 0.0 < base < inf:
        return exponential(lanes, base, lanes.real(y))
    x, y = lanes.real(x), lanes.real(y)
    if exponent == 0.0:
        return lanes.real(1.0)
    if exponent == 0.5:
        return lanes.sqrt(x)
    if exponent == 1.5:
        return lanes.where(x == -inf, inf, x * lanes.sqrt(x) + 0.0)
    usual = (x > 0.0) & (x < inf)
    if exponent is None or not abs(exponent) < _INFINITE:
        usual = usual & (lanes.abs(y) < _INFINITE)
    (value,) = rarely(lanes, ~usual, [_size(lanes, x, y)], partial(_completed, lanes, x, y))
    return value


def _number(value: Vec | float) -> float | None:
    """Return what all lanes hold, if that is known here."""
    if not isinstance(value, Vec):
        return float(value)
    if isinstance(value.ir, ir.Constant) and isinstance(value.ir.constant, list):
        lanes: list[Any] = [getattr(lane, "constant", lane) for lane in value.ir.constant]
        return float(lanes[0]) if len(set(lanes)) == 1 else None
    return None


def _size(lanes: Lanes, x: Vec, y: Vec) -> Vec:
    """Return abs(x)**y for a finite x that is not 0 and a moderate y."""
    log = log_pair(lanes, x)
    total = product(lanes, y, log.head)
    return exp_of_sum(lanes, total.head, lanes.fma(y, log.tail, total.tail))


def _completed(lanes: Lanes, x: Vec, y: Vec, value: Vec) -> list[Vec]:
    """Return x**y for all x and y, given abs(x)**y where it is an ordinary number."""
    size, huge = lanes.abs(x), lanes.abs(y) >= _INFINITE
    edge = (size == 0.0) | (size == inf) | huge
    grows = ~((size > 1.0) ^ (y > 0.0))
    value = lanes.where(edge, lanes.where(grows, lanes.real(inf), 0.0), value)
    value = lanes.where((size == 1.0) & huge, 1.0, value)
    half = 0.5 * y
    whole = floor(lanes, y) == y
    odd = whole & (floor(lanes, half) != half)
    sign = lanes.where(odd, lanes.bits(x) & _SIGN, lanes.integer(0))
    value = lanes.from_bits(lanes.bits(value) | sign)
    unknown = (x != x) | (y != y) | (x < 0.0) & (size < inf) & ~whole  # noqa: PLR0124
    value = lanes.where(unknown, nan, value)
    return [lanes.where((x == 1.0) | (y == 0.0), 1.0, value)]
