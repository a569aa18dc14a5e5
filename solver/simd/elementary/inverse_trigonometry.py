"""arcsin, arccos, arctan and arctan2.

The arctangent of a/b, a and b not below 0, is that of a number c and a small rest,

    arctan(a/b) = arctan(c) + arctan(u),    u = (a - b*c)/(b + a*c),

with one division. With AVX-512 c = (16 - k)/k, k being 16*b/(a + b), rounded, from an approximate
reciprocal; k = 1 stands for 0 as well, so that abs(u) < 0.0668. Elsewhere c is 0, 1 or infinite,
and abs(u) <= tan(pi/8). arctan(c) comes in two doubles, as u may cancel half of it.

    arcsin(x) = x + x*z*A(z),  z = x**2,               for abs(x) <= 1/2
              = pi/2 - 2*arcsin(s),  s**2 = (1 - x)/2  for more

and arccos likewise (Cody and Waite 1980). Relative errors: 2**-61.0 and 2**-57.4 of arctan(u),
2**-55.8 of arcsin. The results are right to 1.9 units in the last place, arctan2 to 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

from ..lanes import Lanes, Vec
from .instructions import approximate_inverse, has_avx512, table_of_16
from .magnitudes import of_moderate_size
from .pairs import product
from .polynomials import horner
from .turns import pi_times_power_of_two

_ARCTAN_NEAR = (
    -0.33333333333333004,
    0.19999999998945947,
    -0.14285713197623476,
    0.111106206879736,
    -0.08990448968001993,
)
"""(arctan(u)/u - 1)/z in powers of z = u**2, abs(u) < 0.0668."""

_ARCTAN_WIDE = (
    -0.333333333333332,
    0.1999999999995316,
    -0.14285714280157258,
    0.11111110781669617,
    -0.09090897710781319,
    0.07692059451885032,
    -0.06663096101566612,
    0.05847836143856352,
    -0.050390838919282345,
    0.038059378439912826,
    -0.017901959254860104,
)
"""The same for abs(u) <= tan(pi/8)."""

_ARCSIN = (
    0.16666666666665408,
    0.07500000000337007,
    0.04464285682833549,
    0.030381959136675907,
    0.022371758057161035,
    0.017359704665928784,
    0.013885236394137725,
    0.012169205743147499,
    0.006527999860738068,
    0.019528200840148845,
    -0.016224156993502273,
    0.03191220797028663,
)
"""(arcsin(x)/x - 1)/z in powers of z = x**2, abs(x) <= 1/2."""

_SHIFT = 1.5 * 2.0**52
_LARGEST = 2.0**100
_TINY = 2.0**-1000
_TAN_OF_8TH = 0.4142135623730951


def _in_two(value: Decimal) -> tuple[float, float]:
    """Return a number as a double and a rest."""
    return float(value), float(value - Decimal(float(value)))


@cache
def _constants() -> tuple[tuple[float, float], tuple[tuple[float, float], ...]]:
    """Return pi, and arctan((16 - k)/k) for k = 16, 1, 2, ..., 15, in two doubles each."""
    with localcontext() as context:
        context.prec = 50
        pi = Decimal(pi_times_power_of_two(160)) / Decimal(2**160)
        angles = [Decimal(0), *(pi / 2 - _arctan(Decimal(k) / (16 - k)) for k in range(1, 9))]
        angles += [_arctan(Decimal(16 - k) / k) for k in range(9, 16)]
        return _in_two(pi), tuple(map(_in_two, angles))


def _arctan(x: Decimal) -> Decimal:
    """Return the arctangent of a number up to 1, halved three times and summed up."""
    for _ in range(3):
        x = x / (1 + (1 + x * x).sqrt())
    total, power, n = Decimal(0), x, 1
    while abs(power) > Decimal("1e-52"):
        total += power / n
        power, n = -power * x * x, n + 2
    return 8 * total


(_PI, _PI_REST), _ANGLES = _constants()


@dataclass(frozen=True, slots=True)
class _Turned:
    """u = above/below, and arctan(c) in two doubles."""

    above: Vec
    below: Vec
    angle: Vec
    rest: Vec


def arctan(lanes: Lanes, x: Vec) -> Vec:
    """Return the arctangent."""
    size = lanes.smaller(_LARGEST, lanes.abs(x))
    return lanes.copysign(_angle(lanes, size, None), x)


def arctan2(lanes: Lanes, y: Vec, x: Vec) -> Vec:
    """Return the angle of the point (x, y)."""
    angle = _angle(lanes, *_comparable(lanes, lanes.abs(y), lanes.abs(x)))
    left = lanes.bits(x) < 0
    angle = lanes.where(left, (_PI - angle) + _PI_REST, angle)
    return lanes.copysign(angle, y)


def arcsin(lanes: Lanes, x: Vec) -> Vec:
    """Return the arcsine."""
    size = lanes.abs(x)
    near, v, bend = _half(lanes, size)
    most = lanes.fma(-2.0, v, 0.5 * _PI)
    taken = lanes.fma(-2.0, v, 0.5 * _PI - most)
    far = most + (taken - lanes.fma(2.0, bend, -0.5 * _PI_REST))
    return lanes.copysign(lanes.where(near, v + bend, far), x)


def arccos(lanes: Lanes, x: Vec) -> Vec:
    """Return the arccosine."""
    size = lanes.abs(x)
    near, v, bend = _half(lanes, size)
    v, bend = lanes.copysign(v, x), lanes.copysign(bend, x)
    whole = lanes.where(near, 0.5 * _PI, lanes.where(x < 0.0, _PI, 0.0))
    rest = lanes.where(near, 0.5 * _PI_REST, lanes.where(x < 0.0, _PI_REST, 0.0))
    times = lanes.where(near, -1.0, 2.0)
    return lanes.fma(times, v, whole) + lanes.fma(times, bend, rest)


def _half(lanes: Lanes, size: Vec) -> tuple[Vec, Vec, Vec]:
    """Return whether size <= 1/2, and a sum: arcsin(size) or arcsin(sqrt((1 - size)/2))."""
    near = size <= 0.5
    z = lanes.where(near, size * size, lanes.fma(-0.5, size, 0.5))
    v = lanes.where(near, size, lanes.sqrt(z))
    return near, v, v * (z * horner(lanes, z, _ARCSIN))


def _angle(lanes: Lanes, a: Vec, b: Vec | None) -> Vec:
    """Return the arctangent of a/b, or of a."""
    coefficients: tuple[float, ...] = _ARCTAN_WIDE
    if has_avx512(lanes):
        turned, coefficients = _turned_by_table(lanes, a, b), _ARCTAN_NEAR
    else:
        turned = _turned(lanes, a, lanes.real(1.0) if b is None else b)
    u = turned.above / turned.below
    z = u * u
    bend = lanes.fma(u, z * horner(lanes, z, coefficients), turned.rest)
    return turned.angle + (u + bend)


def _turned_by_table(lanes: Lanes, a: Vec, b: Vec | None) -> _Turned:
    """Return u and arctan(c) by AVX-512."""
    part = (
        approximate_inverse(lanes, a + 1.0) if b is None else b * approximate_inverse(lanes, a + b)
    )
    shifted = lanes.fma(lanes.larger(1.0 / 16.0, part), 16.0, _SHIFT)
    k = shifted - _SHIFT
    rest = k - 16.0
    if b is None:
        above, below = lanes.fma(a, k, rest), lanes.fma(-a, rest, k)
    else:
        taken = product(lanes, b, rest)
        above = lanes.fma(a, k, taken.head) + taken.tail
        below = lanes.fma(b, k, -(a * rest))
    index = lanes.bits(shifted)
    angle, angle_rest = (table_of_16(lanes, t, index) for t in _columns(_ANGLES))
    return _Turned(above, below, angle, angle_rest)


def _turned(lanes: Lanes, a: Vec, b: Vec) -> _Turned:
    """Return u and arctan(c), c being 0, 1 or infinite."""
    some, most = a > _TAN_OF_8TH * b, _TAN_OF_8TH * a > b

    def chosen(none: Vec | float, half: Vec | float, full: Vec | float) -> Vec:
        return lanes.where(most, full, lanes.where(some, half, none))

    return _Turned(
        chosen(a, a - b, -b),
        chosen(b, a + b, a),
        chosen(lanes.real(0.0), 0.25 * _PI, 0.5 * _PI),
        chosen(lanes.real(0.0), 0.25 * _PI_REST, 0.5 * _PI_REST),
    )


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return heads and tails."""
    return [head for head, _ in pairs], [tail for _, tail in pairs]


def _comparable(lanes: Lanes, a: Vec, b: Vec) -> tuple[Vec, Vec]:
    """Return numbers of moderate size with the same ratio, the second above 0."""
    a, b, _ = of_moderate_size(lanes, a, b)
    a, b = lanes.smaller(_LARGEST, a), lanes.smaller(_LARGEST, b)
    a = lanes.where((b == _LARGEST) & (a < _LARGEST), 0.0, a)
    return a, lanes.larger(_TINY, b)
