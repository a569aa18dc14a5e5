"""exp(x) as a sum, and a power of two: where more than 53 bits of it are needed.

exp(x) = 2**k * (t + u), k whole, t from a table or 1, and u the small rest: right to about 60 bits
while t + u is not added up. Tables and reduction as in `exponentials`; the table's entries come
with their rounding errors, and lie between 1/2 and 1, so that k is rounded up.

(exp(r) - 1 - r)/r**2 is a minimax polynomial whose error is small beside exp(r) - 1: 2**-58.8 with
the table (abs(r) <= log(2)/32), 2**-59.8 without (abs(r) <= log(2)/2).
"""

from dataclasses import dataclass

from ..lanes import Lanes, Vec
from .exponentials import (
    ROOT_RESTS,
    ROOTS,
    SHIFT,
    SHIFT_TO_16THS,
    base,
    parts_of_period,
    times_power_of_two,
)
from .instructions import has_avx512, limited, scaled, table_of_16
from .pairs import quick_sum
from .polynomials import halves, horner

_NEAR = (
    0.5000000000000003,
    0.16666666666666652,
    0.041666666661891505,
    0.008333333333965878,
    0.0013889092523104636,
    0.0001984132750088029,
)
"""(exp(r) - 1 - r)/r**2 in powers of r, abs(r) <= log(2)/32."""

_WIDE = (
    0.5,
    0.16666666666666677,
    0.04166666666666651,
    0.008333333333321681,
    0.0013888888888961477,
    0.00019841269885996848,
    2.480158717458303e-05,
    2.75572443395387e-06,
    2.75574006638601e-07,
    2.5108992076856266e-08,
    2.0876011226188267e-09,
)
"""The same for abs(r) <= log(2)/2."""


_HEADS = (1.0, *(root / 2.0 for root in ROOTS[1:]))
_RESTS = (0.0, *(rest / 2.0 for rest in ROOT_RESTS[1:]))


@dataclass(frozen=True, slots=True)
class Parts:
    """exp(x) = 2**k * (head + tail), k being minus the rounded-down value of `fall`."""

    lanes: Lanes
    head: Vec
    tail: Vec
    fall: Vec

    def inverse(self) -> Vec:
        """Return 2**-k."""
        one = self.lanes.real(1.0)
        if has_avx512(self.lanes):
            return scaled(self.lanes, one, self.fall)
        return times_power_of_two(self.lanes, one, self.fall + SHIFT)

    def times(self, y: Vec, more: float = 0.0) -> Vec:
        """Return y * 2**(k + more), more being whole."""
        if has_avx512(self.lanes):
            return scaled(self.lanes, y, (more + 0.9375) - self.fall)
        return times_power_of_two(self.lanes, y, (more + SHIFT) - self.fall)


def parts_of_exp(lanes: Lanes, x: Vec, low: Vec | None = None) -> Parts:
    """Return the parts of exp(x + low), low being less than 2**-10.

    head and tail are finite whatever x is; infinities and NaN are in `fall`.
    """
    if has_avx512(lanes):
        return _parts_by_table(lanes, x, low)
    c = base(None)
    if low is not None:
        low = lanes.where(lanes.abs(x) < 750.0, low, 0.0)
    x = lanes.larger(-750.0, lanes.smaller(720.0, x))
    fall = SHIFT - lanes.fma(x, c.rate, SHIFT)
    head, tail = parts_of_period(lanes, c)
    first = lanes.fma(fall, head, x)
    r = lanes.fma(fall, tail, first)
    rest = lanes.fma(fall, tail, first - r)
    if low is not None:
        total = quick_sum(r, rest + low)
        r, rest = total.head, total.tail
    z = r * r
    rise = r + lanes.fma(halves(lanes, r, z, _WIDE), z, rest)
    return Parts(lanes, lanes.real(1.0), rise, fall)


def _parts_by_table(lanes: Lanes, x: Vec, low: Vec | None) -> Parts:
    """Return the parts of exp(x + low) by AVX-512."""
    c = base(None)
    shifted = lanes.fma(x, c.rate, SHIFT_TO_16THS)
    fall = SHIFT_TO_16THS - shifted
    r = lanes.fma(fall, c.period_rest, lanes.fma(fall, c.period, x))
    if low is not None:
        r = r + low
    r = limited(lanes, r, c.period / 16.0)
    rise = lanes.fma(horner(lanes, r, _NEAR), r * r, r)
    index = lanes.bits(shifted)
    head, rest = (table_of_16(lanes, t, index) for t in (_HEADS, _RESTS))
    return Parts(lanes, head, lanes.fma(head, rise, rest), fall)
