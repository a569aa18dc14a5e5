"""The exponential of any base: exp, exp2, exp10, c**x.

c**x = 2**(k + f) with k = x*log2(c) rounded, and the rest r = x - k/log2(c) from a division of
1/log2(c) in two parts (Cody and Waite 1980). With AVX-512 k is a multiple of 1/16, and

    c**x = 2**floor(k) * (T[i] + T[i]*(c**r - 1)),    T[i] = 2**(i/16), i = 16*k mod 16

with T in two registers (Tang, ACM TOMS 15 (1989) 144) and 2**floor(k) by an instruction that
overflows and underflows as it should; elsewhere k is whole, there is no table, and 2**k is taken
in two halves. c**r - 1 is a minimax polynomial in r*log(c): without a constant term, of degree 6
on [-log(2)/32, log(2)/32] with an error of 2**-56.2, of degree 11 on [-log(2)/2, log(2)/2] with
2**-56.5. Adding 1.5*2**52 to a number rounds it, and leaves the integer in the lowest bits. The
results are right to 1.3 units in the last place, without fma to 1.6.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

from ..lanes import Lanes, Vec
from .instructions import fraction_of_16ths, has_avx512, limited, scaled, table_of_16
from .polynomials import halves, horner

SHIFT = 1.5 * 2.0**52
SHIFT_TO_16THS = SHIFT / 16.0


def _roots_of_two() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return 2**(i/16), and what rounding took from it."""
    with localcontext() as context:
        context.prec = 60
        roots = [Decimal(2) ** (Decimal(i) / 16) for i in range(16)]
        rests = tuple(float(root - Decimal(float(root))) for root in roots)
        return tuple(map(float, roots)), rests


ROOTS, ROOT_RESTS = _roots_of_two()

_NEAR = (
    1.0,
    0.49999999999999606,
    0.16666666664417057,
    0.04166666669328299,
    0.00833347194878151,
    0.0013888593732834346,
)
"""(exp(r) - 1)/r in powers of r, abs(r) <= log(2)/32."""

_WIDE = (
    1.0,
    0.500000000000001,
    0.16666666666666674,
    0.04166666666652199,
    0.008333333333322207,
    0.0013888888947820891,
    0.00019841269886591,
    2.4801487326012337e-05,
    2.7557242336680357e-06,
    2.763265575933203e-07,
    2.5110049895858716e-08,
)
"""(exp(r) - 1)/r in powers of r, abs(r) <= log(2)/2."""

_WHOLE_BITS = 41
"""Bits of 1/log2(c) whose product with any k is exact without fma."""

_ONE = 0x3FF0000000000000


@dataclass(frozen=True, slots=True)
class Base:
    """What c**x needs of c.

    Attributes
    ----------
    log
        log(c).
    rate
        log2(c).
    period, period_rest, period_head, period_tail
        1/log2(c), as a double and what is missing, and the same with few bits in the first.
    """

    log: float
    rate: float
    period: float
    period_rest: float
    period_head: float
    period_tail: float


@cache
def base(c: float | None, times: float = 1.0) -> Base:
    """Return the constants of c**times, a base above 0 that is not 1; None stands for e."""
    with localcontext() as context:
        context.prec = 60
        log = Decimal(times) * (Decimal(1) if c is None else Decimal(c).ln())
        log2 = Decimal(2).ln()
        period = log2 / log
        head = _leading_bits(float(period), _WHOLE_BITS)
        return Base(
            float(log),
            float(log / log2),
            float(period),
            float(period - Decimal(float(period))),
            head,
            float(period - Decimal(head)),
        )


def _leading_bits(value: float, bits: int) -> float:
    """Return a number without all but its leading bits."""
    unit = 2.0 ** (52 - bits) + 1.0
    return value * unit - (value * unit - value)


def exp(lanes: Lanes, x: Vec) -> Vec:
    """Return e**x."""
    return _power_of(lanes, base(None), x)


def exp_of_multiple(lanes: Lanes, times: float, x: Vec) -> Vec:
    """Return exp(times*x) for a number; the product is not rounded if that is of moderate size."""
    if not 2.0**-50 < abs(times) < 2.0**50:
        return exp(lanes, times * x)
    return _power_of(lanes, base(None, times), x)


def exp2(lanes: Lanes, x: Vec) -> Vec:
    """Return 2**x."""
    return _power_of(lanes, base(2.0), x)


def exp10(lanes: Lanes, x: Vec) -> Vec:
    """Return 10**x."""
    return _power_of(lanes, base(10.0), x)


def exponential(lanes: Lanes, c: float, x: Vec) -> Vec:
    """Return c**x for a finite number c > 0."""
    if c == 1.0:
        return lanes.real(1.0)
    return _power_of(lanes, base(c), x)


def exp_of_sum(lanes: Lanes, x: Vec, low: Vec) -> Vec:
    """Return exp(x + low), low being less than 1/4; x is finite."""
    return _power_of(lanes, base(None), x, low)


def _power_of(lanes: Lanes, c: Base, x: Vec, low: Vec | None = None) -> Vec:
    """Return c**x, or c**(x + low)."""
    if not has_avx512(lanes):
        return _power_without_table(lanes, c, x, low)
    k, index, r = _reduced_to_16ths(lanes, c, x, low)
    root = table_of_16(lanes, ROOTS, index)
    slope = horner(lanes, r, _scaled(_NEAR, c.log))
    return scaled(lanes, lanes.fma(root * r, slope, root), k)


def _reduced_to_16ths(lanes: Lanes, c: Base, x: Vec, low: Vec | None) -> tuple[Vec, Vec, Vec]:
    """Return k in 16ths, the number of 16ths modulo 16, and r.

    r is kept small where x is too large for it, so that all that follows is positive and finite;
    x = NaN reaches the result through k.
    """
    if c.rate == 1.0:
        shifted = x + SHIFT_TO_16THS
        return shifted - SHIFT_TO_16THS, lanes.bits(shifted), fraction_of_16ths(lanes, x)
    shifted = lanes.fma(x if low is None else x + low, c.rate, SHIFT_TO_16THS)
    k = shifted - SHIFT_TO_16THS
    r = lanes.fma(k, -c.period_rest, lanes.fma(k, -c.period, x))
    if low is not None:
        r = r + low
    return k, lanes.bits(shifted), limited(lanes, r, abs(c.period) / 16.0)


def _power_without_table(lanes: Lanes, c: Base, x: Vec, low: Vec | None) -> Vec:
    """Return c**x by a longer polynomial and whole powers of two."""
    if low is not None:
        low = lanes.where(lanes.abs(x) < 1100.0 * abs(c.period), low, 0.0)
    lowest, highest = sorted((-1080.0 * c.period, 1030.0 * c.period))
    x = lanes.larger(lowest, lanes.smaller(highest, x))
    shifted = lanes.fma(x if low is None else x + low, c.rate, SHIFT)
    k = shifted - SHIFT
    head, tail = parts_of_period(lanes, c)
    r = lanes.fma(k, -tail, lanes.fma(k, -head, x))
    if low is not None:
        r = r + low
    slope = halves(lanes, r, r * r, _scaled(_WIDE, c.log))
    return times_power_of_two(lanes, lanes.fma(r, slope, 1.0), shifted)


def parts_of_period(lanes: Lanes, c: Base) -> tuple[float, float]:
    """Return 1/log2(c) in two parts, the product of the first and k being exact."""
    if lanes.machine.fma:
        return c.period, c.period_rest
    return c.period_head, c.period_tail


def _scaled(coefficients: tuple[float, ...], log: float) -> list[float]:
    """Return the coefficients of (exp(r*log) - 1)/r from those of (exp(r) - 1)/r."""
    return [value * log ** (power + 1) for power, value in enumerate(coefficients)]


def times_power_of_two(lanes: Lanes, y: Vec, shifted: Vec) -> Vec:
    """Return y * 2**k, rounded once, from k + SHIFT; abs(k) < 2046 and 1/2 <= y <= 2."""
    bits = lanes.bits(shifted)
    half = lanes.shift_right_unsigned(bits, 1)
    first = lanes.from_bits((half << 52) + _ONE)
    second = lanes.from_bits(((bits - half) << 52) + _ONE)
    return y * first * second
