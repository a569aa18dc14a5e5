"""expm1, expit, sinh, cosh, tanh: what is made of exp(x) and 1.

With exp(x) = 2**k * (t + u) as in `exponential_parts`, and q = 2**-k,

    expm1(x) = 2**k * ((t - q) + u)                  = 2**k * n
    cosh(x)  = 2**(k - 1) * (w + q*q/w),             w = t + u
    sinh(x)  = 2**(k - 1) * (w - q*q/w)              for x > 1
    tanh(x)  = 1 - 2*e/(1 + e),                      e = exp(-2*x), for x > 0.55
    expit(x) = g*(1 - e/(1 + e)),                    e = exp(-abs(x)), g = e or 1

where t - q is exact near x = 0, and nothing overflows before the result does. For smaller x sinh
and tanh are x + x**3*P(x**2), with relative errors of 2**-56.5 and 2**-55.0. The results are right
to 1.9 units in the last place.
"""

from ..lanes import Lanes, Vec
from .exponential_parts import parts_of_exp
from .exponentials import exp_of_multiple
from .polynomials import horner

_SINH = (
    0.16666666666666669,
    0.008333333333333148,
    0.0001984126984143187,
    2.755731915707263e-06,
    2.505212313662893e-08,
    1.605725977450998e-10,
    7.758748662587352e-13,
)
"""(sinh(x)/x - 1)/z in powers of z = x**2 <= 1."""

_TANH = (
    -0.33333333333332316,
    0.1333333333316871,
    -0.0539682538760811,
    0.021869485974856898,
    -0.008863194504857045,
    0.0035917197034998844,
    -0.001453216784345605,
    0.0005791370899779206,
    -0.00021030250722965443,
    5.1021543453682024e-05,
)
"""(tanh(x)/x - 1)/z in powers of z = x**2 <= 0.55**2."""

_SINH_FROM, _TANH_FROM = 1.0, 0.55
_LOWEST = -50.0
"""expm1 is -1 from here down."""


def expm1(lanes: Lanes, x: Vec) -> Vec:
    """Return exp(x) - 1."""
    parts = parts_of_exp(lanes, lanes.larger(_LOWEST, x))
    near = (parts.head - parts.inverse()) + parts.tail
    return lanes.copysign(parts.times(near), x)


def expit(lanes: Lanes, x: Vec) -> Vec:
    """Return 1/(1 + exp(-x))."""
    parts = parts_of_exp(lanes, -lanes.abs(x))
    e = parts.times(parts.head + parts.tail)
    g = lanes.where(x < 0.0, e, 1.0)
    return lanes.fma(-g, e / (1.0 + e), g)


def sinh(lanes: Lanes, x: Vec) -> Vec:
    """Return the hyperbolic sine."""
    size = lanes.abs(x)
    far = _half_sum(lanes, size, -1.0)
    return lanes.copysign(lanes.where(size < _SINH_FROM, _near(lanes, size, _SINH), far), x)


def cosh(lanes: Lanes, x: Vec) -> Vec:
    """Return the hyperbolic cosine."""
    return _half_sum(lanes, lanes.abs(x), 1.0)


def tanh(lanes: Lanes, x: Vec) -> Vec:
    """Return the hyperbolic tangent."""
    size = lanes.abs(x)
    e = exp_of_multiple(lanes, -2.0, size)
    far = 1.0 - (e + e) / (1.0 + e)
    return lanes.copysign(lanes.where(size < _TANH_FROM, _near(lanes, size, _TANH), far), x)


def _half_sum(lanes: Lanes, x: Vec, sign: float) -> Vec:
    """Return (exp(x) + sign*exp(-x))/2 for x >= 0."""
    parts = parts_of_exp(lanes, x)
    inverse = parts.inverse()
    whole = parts.head + parts.tail
    return parts.times(lanes.fma(sign * (inverse / whole), inverse, whole), -1.0)


def _near(lanes: Lanes, x: Vec, coefficients: tuple[float, ...]) -> Vec:
    """Return x + x*z*P(z), z = x**2."""
    z = x * x
    return lanes.fma(x, z * horner(lanes, z, coefficients), x)
