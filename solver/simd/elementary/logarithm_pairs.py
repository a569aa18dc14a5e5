"""The logarithm of abs(x) in two doubles, to about 2**-64 of its size: what x**y needs.

With AVX-512 as in `logarithms`: e*log(2) + T[i] + log(1 + r), where e*log(2) and T[i] have so few
bits in their first parts that the sum is exact, r = c[i]*m - 1 is exact in two doubles, and only

    log(1 + r) - r + r**2/2 = r**3 * Q(r)

is rounded. Elsewhere, with s = f/(2 + f) and z = s*s in two doubles each,

    log(1 + f) = s*(2 + z*(2/3 + z*P(z))),

only z*P(z) is rounded. Errors of Q and P beside the logarithm: 2**-64.8 and 2**-65.9. Sums and
products in two doubles: Dekker, Numer. Math. 18 (1971) 224.
"""

from decimal import Decimal, localcontext
from functools import cache

from ..lanes import Lanes, Vec
from .instructions import has_avx512, table_of_16
from .logarithms import INVERSES, parts_of_number, split_by_table
from .pairs import Pair, product, quick_sum, quotient, times
from .polynomials import horner

_NEAR = (
    0.6666666666666666,
    -0.4999999999999618,
    0.3999999999999068,
    -0.3333333335806844,
    0.28571428607290516,
    -0.24999945066090898,
    0.22222159666043725,
    -0.20050726415235265,
    0.18232413531259978,
)
"""2*(log(1 + r) - r + r**2/2)/r**3 in powers of r, abs(r) < 0.0337."""

_WIDE = (
    0.40000000000002256,
    0.2857142857009926,
    0.22222222519975146,
    0.18181784362837403,
    0.15386757518127134,
    0.13256813589898633,
    0.13196365836190213,
)
"""(2*atanh(s)/s - 2 - 2*z/3)/z**2 in powers of z, abs(s) <= (sqrt(2) - 1)/(sqrt(2) + 1)."""

_UNIT = 2.0**-42
"""First parts are multiples of this."""

_REST_OF_TWO_THIRDS = 2.0 / 3.0 * 2.0**-54


@cache
def _in_two(number: float) -> tuple[float, float]:
    """Return log(number) as a multiple of the unit, and a rest."""
    with localcontext() as context:
        context.prec = 60
        value = Decimal(number).ln()
        head = float(round(value / Decimal(_UNIT))) * _UNIT
        return head, float(value - Decimal(head))


_TWO, _TWO_REST = _in_two(2.0)
_LOGS, _LOG_RESTS = zip(*((-a, -b) for a, b in map(_in_two, INVERSES)), strict=True)


def log_pair(lanes: Lanes, x: Vec) -> Pair:
    """Return log(abs(x)) for a finite x that is not 0; the tail may be 2**-10 of the head."""
    return _with_table(lanes, x) if has_avx512(lanes) else _without_table(lanes, lanes.abs(x))


def _with_table(lanes: Lanes, x: Vec) -> Pair:
    """Return log(abs(x)) by AVX-512."""
    k, m, index = split_by_table(lanes, x, size=True)
    inverse, log, rest = (table_of_16(lanes, t, index) for t in (INVERSES, _LOGS, _LOG_RESTS))
    scaled = product(lanes, m, inverse)
    r = scaled.head - 1.0
    first = quick_sum(lanes.fma(k, -_TWO, log), r)
    half_square = product(lanes, r, 0.5 * r)
    second = quick_sum(first.head, -half_square.head)
    tail = lanes.fma(scaled.tail, lanes.fma(r, r, -r), scaled.tail)
    tail = lanes.fma(r * half_square.head, horner(lanes, r, _NEAR), tail)
    tail = tail + (lanes.fma(k, -_TWO_REST, rest) - half_square.tail)
    return Pair(second.head, tail + (first.tail + second.tail))


def _without_table(lanes: Lanes, x: Vec) -> Pair:
    """Return log(x) for x > 0 with two divisions."""
    e, f = parts_of_number(lanes, x)
    s = quotient(lanes, Pair(f, lanes.real(0.0)), quick_sum(lanes.real(2.0), f))
    z = times(lanes, s, s)
    third = quick_sum(lanes.real(2.0 / 3.0), z.head * horner(lanes, z.head, _WIDE))
    bend = times(lanes, z, Pair(third.head, third.tail + _REST_OF_TWO_THIRDS))
    whole = quick_sum(lanes.real(2.0), bend.head)
    log = times(lanes, s, Pair(whole.head, whole.tail + bend.tail))
    total = quick_sum(e * _TWO, log.head)
    return Pair(total.head, total.tail + lanes.fma(e, _TWO_REST, log.tail))
