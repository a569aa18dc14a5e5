"""log, log2, log10 and log1p.

With AVX-512 x = 2**e * m, 3/4 <= m < 3/2, by two instructions that know zeros, infinities, NaN and
subnormal numbers; i = 20*m, rounded, is one of 16 numbers, and

    log(x) = e*log(2) + T[i] + log(1 + r),    r = c[i]*m - 1,    T[i] = -log(c[i])

with abs(r) < 0.0337 and log(1 + r) = r + r*r*Q(r) (Tang, ACM TOMS 16 (1990) 378). c[20] is 1, so
that nothing is lost where x is near 1; the others have ten bits, and of those near 20/i it is the
one whose T is nearest to a double (Gal and Bachelis, ACM TOMS 17 (1991) 26). For log(1 + x) and
other sums r is taken of the terms, with c[i]/2**e for c[i].

Elsewhere x = 2**e * (1 + f), 1/sqrt(2) <= 1 + f < sqrt(2), and with s = f/(2 + f)

    log(1 + f) = 2*atanh(s) = f - s*(f - z*P(z)),    z = s*s.

The relative errors of Q and P are 2**-55.8 and 2**-58.9. The results are right to 1.6 units in the
last place, to bases 2 and 10 to 2 units.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from math import inf, nan, nextafter

from ..lanes import Lanes, Vec
from .instructions import exponent, has_avx512, limited, mantissa, scaled, table_of_16
from .polynomials import horner
from .rare import rarely

_SHIFT = 1.5 * 2.0**52

INVERSES = tuple(
    n / 1024.0
    for n in (1283, 1206, 1140, 1078, 1024, 971, 936, 891, 860, 823, 782, 762, 731, 707, 691, 1338)
)
"""c[i] at i modulo 16: the last is that of 15."""

_NEAR = (
    -0.4999999999999893,
    0.33333333333331566,
    -0.2500000000939295,
    0.20000000011645697,
    -0.16666641131774768,
    0.14285687283883722,
    -0.12527267589595473,
    0.11137358092453506,
)
"""(log(1 + r) - r)/r**2 in powers of r, abs(r) < 0.0337."""

_WIDE = (
    0.6666666666666734,
    0.3999999999941433,
    0.2857142874247324,
    0.2222219856363253,
    0.18183564860062817,
    0.1531403598077731,
    0.147961041939044,
)
"""(2*atanh(s)/s - 2)/z in powers of z, abs(s) <= (sqrt(2) - 1)/(sqrt(2) + 1)."""

_LARGEST_REST = 1.0 / 16.0
_MANTISSA = (1 << 52) - 1
_BIAS = 1023 << 52
_ROOT_HALF = 0x3FE6A09E667F3BCD
_SMALLEST_NORMAL = 2.0**-1022


@dataclass(frozen=True, slots=True)
class _Unit:
    """In what a logarithm is counted: log(2), its rest, 1/log(base), and -log(c) for every c."""

    two: float
    two_rest: float
    one: float
    one_rest: float
    inverses: tuple[float, ...]


@cache
def _unit(base: float | None) -> _Unit:
    """Return the constants of logarithms to a base; None stands for e."""
    with localcontext() as context:
        context.prec = 60
        size = Decimal(1) if base is None else Decimal(base).ln()
        two, one = Decimal(2).ln() / size, 1 / size
        # -0 for c = 1 lets log1p keep the sign of 0
        inverses = tuple(-float(Decimal(c).ln() / size) for c in INVERSES)
        # less than log(2), so that both parts times infinity have one sign
        near_two = float(two) if Decimal(float(two)) <= two else nextafter(float(two), 0.0)
        return _Unit(
            near_two,
            float(two - Decimal(near_two)),
            float(one),
            float(one - Decimal(float(one))),
            inverses,
        )


def log(lanes: Lanes, x: Vec) -> Vec:
    """Return the natural logarithm."""
    return _log(lanes, x, None)


def log2(lanes: Lanes, x: Vec) -> Vec:
    """Return the logarithm to base 2."""
    return _log(lanes, x, 2.0)


def log10(lanes: Lanes, x: Vec) -> Vec:
    """Return the logarithm to base 10."""
    return _log(lanes, x, 10.0)


def log1p(lanes: Lanes, x: Vec) -> Vec:
    """Return log(1 + x)."""
    return log1p_of_sum(lanes, x, None)


def log1p_of_sum(lanes: Lanes, x: Vec, low: Vec | None) -> Vec:
    """Return log(1 + x + low), low being small beside x."""
    whole = 1.0 + x
    if has_avx512(lanes):
        k, _, index = split_by_table(lanes, whole)
        s = scaled(lanes, table_of_16(lanes, INVERSES, index), k)
        first = lanes.fma(x, s, -(1.0 - s))  # -0 - 0, so that log1p(-0) is -0
        r = limited(lanes, first if low is None else lanes.fma(low, s, first), _LARGEST_REST)
        lost = None if low is None else limited(lanes, lanes.fma(low, s, first - r), 2.0**-50)
        return _with_table(lanes, k, index, r, None, lost)
    part = whole - 1.0
    rest = (1.0 - (whole - part)) + (x - part)
    if low is not None:
        rest = rest + low
    value = _without_table(lanes, *_parts_of_normal(lanes, whole), None, rest / whole)
    value = lanes.where(x < inf, lanes.copysign(value, x), x)
    return _below(lanes, whole, value)


def _log(lanes: Lanes, x: Vec, base: float | None) -> Vec:
    """Return the logarithm to a base."""
    if has_avx512(lanes):
        k, m, index = split_by_table(lanes, x)
        r = lanes.fma(m, table_of_16(lanes, INVERSES, index), -1.0)
        return _with_table(lanes, k, index, r, base)
    usual = _without_table(lanes, *_parts_of_normal(lanes, x), base)

    def completed(value: Vec) -> list[Vec]:
        e, f = parts_of_number(lanes, x)
        value = lanes.where(x < _SMALLEST_NORMAL, _without_table(lanes, e, f, base), value)
        return [_below(lanes, x, lanes.where(x < inf, value, x))]

    ordinary = (x >= _SMALLEST_NORMAL) & (x < inf)
    (value,) = rarely(lanes, ~ordinary, [usual], completed)
    return value


def split_by_table(lanes: Lanes, x: Vec, *, size: bool = False) -> tuple[Vec, Vec, Vec]:
    """Return -e and m of x = 2**e * m, and 20*m, rounded, in the lowest bits of integers.

    x below 0 gives NaN, or, if asked for, the same as abs(x).
    """
    m = mantissa(lanes, x, size=size)
    k = exponent(lanes, m) - exponent(lanes, x)
    return k, m, lanes.bits(lanes.fma(m, 20.0, _SHIFT))


def _with_table(
    lanes: Lanes, k: Vec, index: Vec, r: Vec, base: float | None, lost: Vec | None = None
) -> Vec:
    """Return -k*log(2) - log(c) + log(1 + r) to a base; `lost` is what r lacks."""
    unit = _unit(base)
    head = lanes.fma(k, -unit.two, table_of_16(lanes, unit.inverses, index))
    if lost is not None:
        small = lanes.fma(r * r, horner(lanes, r, _NEAR), lanes.fma(k, -unit.two_rest, lost))
        return head + (r + small)
    if base is None:
        tail = lanes.fma(r * r, horner(lanes, r, _NEAR), lanes.fma(k, -unit.two_rest, r))
        return head + tail
    bend = r * horner(lanes, r, [unit.one_rest, *(c * unit.one for c in _NEAR)])
    if unit.two_rest:
        bend = lanes.fma(k, -unit.two_rest, bend)
    return head + lanes.fma(r, unit.one, bend)


def parts_of_number(lanes: Lanes, x: Vec) -> tuple[Vec, Vec]:
    """Return e and f of x = 2**e * (1 + f) for a finite x above 0."""
    tiny = x < _SMALLEST_NORMAL
    e, f = _parts_of_normal(lanes, lanes.where(tiny, x * 2.0**54, x))
    return e - lanes.where(tiny, 54.0, 0.0), f


def _parts_of_normal(lanes: Lanes, x: Vec) -> tuple[Vec, Vec]:
    """Return e and f of x = 2**e * (1 + f) for a finite x that is above 0 and not subnormal."""
    shifted = lanes.bits(x) + (_BIAS - _ROOT_HALF)
    power = lanes.shift_right_unsigned(shifted, 52) | 0x4330000000000000
    e = lanes.from_bits(power) - (2.0**52 + 1023.0)
    return e, lanes.from_bits((shifted & _MANTISSA) + _ROOT_HALF) - 1.0


def _without_table(
    lanes: Lanes, e: Vec, f: Vec, base: float | None, rest: Vec | float = 0.0
) -> Vec:
    """Return e*log(2) + log(1 + f) + rest to a base."""
    unit, natural = _unit(base), _unit(None)
    s = f / (2.0 + f)
    z = s * s
    less = s * (f - z * horner(lanes, z, _WIDE))
    if base is None:
        return lanes.fma(e, natural.two, f - (less - lanes.fma(e, natural.two_rest, rest)))
    tail = (f - less) * unit.one
    if unit.two_rest:
        tail = lanes.fma(e, unit.two_rest, tail)
    return lanes.fma(e, unit.two, tail)


def _below(lanes: Lanes, x: Vec, value: Vec) -> Vec:
    """Return the logarithm where x > 0, else -inf or NaN."""
    return lanes.where(x > 0.0, value, lanes.where(x == 0.0, -inf, nan))
