"""sin, cos, both at once, and tan.

One of sin and cos alone: x = k*pi + r, and x = (k + 1/2)*pi + r, so that both are +-sin(r) with
abs(r) <= pi/2, the sign being the lowest bit of k: no choice, and no second polynomial.

    sin(r) = r + r*(z*S(z)),    z = r*r

Both at once: x = k*pi/2 + r, a shorter S and cos(r) = C(z), exchanged where k is odd.

tan: sin(r)/cos(r), or -cos(r)/sin(r) where k is odd, each with its rounding error.

S and C are minimax with relative errors of 2**-57.3 (pi/2), and 2**-56.3 and 2**-59.1 (pi/4), the
coefficients' rounding included. The results are right to 1.9 units in the last place.
"""

from ..lanes import Lanes, Vec
from .polynomials import horner
from .turns import angle, angle_between

_SIN = (
    -0.16666666666666666,
    0.008333333333333194,
    -0.00019841269841209213,
    2.7557319211136026e-06,
    -2.5052106872683486e-08,
    1.6058939699720027e-10,
    -7.642991323605417e-13,
    2.7211731694642244e-15,
)
"""(sin(r)/r - 1)/z in powers of z, abs(r) <= pi/2."""

_SIN_NEAR = (
    -0.1666666666666663,
    0.008333333333322108,
    -0.0001984126982958018,
    2.7557313618021956e-06,
    -2.5050747218840702e-08,
    1.5896197666900831e-10,
)
"""The same for abs(r) <= pi/4."""

_COS_NEAR = (
    1.0,
    -0.5,
    0.04166666666666649,
    -0.0013888888888863888,
    2.4801587284997663e-05,
    -2.7557313335984417e-07,
    2.0875608204629355e-09,
    -1.1354497983800206e-11,
)
"""cos(r) in powers of z, abs(r) <= pi/4."""

_SIGN = -1 << 63


def sin(lanes: Lanes, x: Vec) -> Vec:
    """Return the sine."""
    turned = angle(lanes, x, 1)
    return _odd(lanes, turned.rest, _flipped(lanes, turned.rest, turned.step << 63), _SIN)


def cos(lanes: Lanes, x: Vec) -> Vec:
    """Return the cosine."""
    turned = angle_between(lanes, x)
    return _odd(lanes, turned.rest, -_flipped(lanes, turned.rest, turned.step << 63), _SIN)


def sincos(lanes: Lanes, x: Vec) -> tuple[Vec, Vec]:
    """Return sine and cosine, for three quarters of what they cost apart."""
    s, c, odd = _near(lanes, x)
    return lanes.where(odd, c, s), lanes.where(odd, -s, c)


def tan(lanes: Lanes, x: Vec) -> Vec:
    """Return the tangent: the quotient, with what rounding took from r, sine and cosine."""
    turned = angle(lanes, x, 2, with_tail=True)
    k, r, tail = turned.step, turned.rest, turned.tail
    z = r * r
    rise, fall = r * _bend(lanes, z, _SIN_NEAR), z * horner(lanes, z, _COS_NEAR[1:])
    s, c = r + rise, 1.0 + fall
    s_rest = lanes.fma(c, tail, rise - (s - r))
    c_rest = lanes.fma(-s, tail, fall - (c - 1.0))
    odd = (k & 1) != 0
    above, above_rest = lanes.where(odd, c, s), lanes.where(odd, c_rest, s_rest)
    below, below_rest = lanes.where(odd, s, c), lanes.where(odd, s_rest, c_rest)
    ratio = above / below
    rest = lanes.fma(-ratio, below_rest, above_rest)
    if lanes.machine.fma:
        rest = rest + lanes.fma(-ratio, below, above)
    return lanes.copysign(ratio + rest / below, _flipped(lanes, r, k << 63))


def _near(lanes: Lanes, x: Vec) -> tuple[Vec, Vec, Vec]:
    """Return +-sin(r), +-cos(r), and whether they change places, the latter with the other sign."""
    turned = angle(lanes, x, 2)
    k, r = turned.step, turned.rest
    sign = (k << 62) & _SIGN
    s = _odd(lanes, r, _flipped(lanes, r, sign), _SIN_NEAR)
    c = _flipped(lanes, horner(lanes, r * r, _COS_NEAR), sign)
    return s, c, (k & 1) != 0


def _odd(lanes: Lanes, r: Vec, signed: Vec, coefficients: tuple[float, ...]) -> Vec:
    """Return f(r)/r*signed from the coefficients of (f(r)/r - 1)/z."""
    return lanes.fma(signed, _bend(lanes, r * r, coefficients), signed)


def _bend(lanes: Lanes, z: Vec, coefficients: tuple[float, ...]) -> Vec:
    """Return z*S(z), +0 for z = 0, so that r + r*z*S(z) keeps the sign of r = 0.

    Without fma the first coefficient stands apart, which saves a rounding that matters then.
    """
    if lanes.machine.fma:
        return lanes.fma(horner(lanes, z, coefficients), z, 0.0)
    return z * coefficients[0] + z * z * horner(lanes, z, coefficients[1:])


def _flipped(lanes: Lanes, x: Vec, sign: Vec) -> Vec:
    """Return x with the sign changed where the first bit of an integer is set."""
    return lanes.from_bits(lanes.bits(x) ^ sign)
