"""The error function and its complement.

    erf(x)  = x + x*P(x**2)                          for abs(x) < 1
            = 1 - exp(-x**2)*H(t)/(x + 5/2),         t = (x - 5/2)/(x + 5/2), for more
    erfc(x) = exp(-x**2)*G(t)/(1 + 2*x),             t = (x - 15/4)/(x + 15/4), for x > 1/2

and with AVX-512 erf in pieces. P is that of `graph.special`, as is the choice of t (Shepherd and
Laframboise, Math. Comp. 36 (1981) 249); H has an error of 2**-56.7 in erf, G one of 2**-55.7. In
erfc x**2 and the quotient are in two doubles, since each would add its rounding errors otherwise.
erf is right to 1.5 units in the last place, erfc to 1.9.
"""

from ...graph.special import ERF_SERIES, ERFC_CENTRE, ERFC_ZERO
from ..lanes import Lanes, Vec
from .erf_pieces import CENTRES, COEFFICIENTS
from .exponential_parts import parts_of_exp
from .exponentials import SHIFT, exp_of_multiple
from .instructions import has_avx512, table_of_8
from .pairs import product, quick_sum, quotient
from .polynomials import halves, horner

_FAR = (
    1.0540318203057188,
    -0.8046518494391531,
    0.4539141166467588,
    -0.17125114526720212,
    0.028361550138539568,
    0.008393046841228654,
    -0.004818763818506134,
    -0.00043916158923920737,
    0.0007023457513008278,
    5.539966346335389e-05,
    -0.0001225037311316712,
    -3.79493761610816e-05,
)
"""exp(x**2)*erfc(x)*(x + 5/2) in powers of t, 1 <= x < 6."""

_TAIL = (
    -0.14024059858554683,
    0.003585415485466665,
    0.08227673849012457,
    -0.10880393014190173,
    0.09230432116122135,
    -0.05869339858556819,
    0.028362277403432265,
    -0.009746579613483505,
    0.0017556260078260442,
    0.00029371410643981425,
    -0.0002901550020262436,
    5.164691118416454e-05,
    2.2387658474407112e-05,
    -1.1437150931732597e-05,
    -9.815696013867982e-07,
    1.7371747297511255e-06,
    -4.563661838269583e-08,
    -2.398585863960165e-07,
    1.3666948346518855e-08,
    2.4426485953101734e-08,
)
"""exp(x**2)*erfc(x)*(1 + 2*x) less the following, over t, in powers of t, 1/2 <= x <= 27.3."""

_TAIL_AT_CENTRE, _TAIL_AT_CENTRE_REST = 1.2375126308378275, 9.777927029298906e-17

_CENTRE, _NEAR_BELOW, _ONE_FROM = 2.5, 1.0, 6.0


def erf(lanes: Lanes, x: Vec) -> Vec:
    """Return the error function."""
    size = lanes.smaller(_ONE_FROM, lanes.abs(x))
    value = _by_pieces(lanes, size) if has_avx512(lanes) else _by_halves(lanes, size)
    return lanes.copysign(value, x)


def _by_pieces(lanes: Lanes, x: Vec) -> Vec:
    """Return erf(x) for 0 <= x <= 6."""
    index = lanes.bits(lanes.fma(x, 16.0 / 13.0, SHIFT))
    u = x - table_of_8(lanes, CENTRES, index)
    total = table_of_8(lanes, COEFFICIENTS[-1], index)
    for coefficients in COEFFICIENTS[-2::-1]:
        total = lanes.fma(total, u, table_of_8(lanes, coefficients, index))
    return total


def _by_halves(lanes: Lanes, x: Vec) -> Vec:
    """Return erf(x) for 0 <= x <= 6 without a table."""
    square = x * x
    near = lanes.fma(x, horner(lanes, square, ERF_SERIES), x)
    inverse = 1.0 / (x + _CENTRE)
    bend = horner(lanes, (x - _CENTRE) * inverse, _FAR)
    far = lanes.fma(-(exp_of_multiple(lanes, -1.0, square) * inverse), bend, 1.0)
    return lanes.where(x < _NEAR_BELOW, near, far)


def erfc(lanes: Lanes, x: Vec) -> Vec:
    """Return 1 - erf(x)."""
    size = lanes.smaller(ERFC_ZERO, lanes.abs(x))
    tail = _tail(lanes, size)
    less = quick_sum(lanes.real(1.0), -x)
    near = less.head + (less.tail - x * horner(lanes, x * x, ERF_SERIES))
    return lanes.where(size < 0.5, near, lanes.where(x < 0.0, 2.0 - tail, tail))


def _tail(lanes: Lanes, x: Vec) -> Vec:
    """Return erfc(x) for 1/2 <= x <= 28."""
    t = (x - ERFC_CENTRE) / (x + ERFC_CENTRE)
    bend = lanes.fma(t, halves(lanes, t, t * t, _TAIL), _TAIL_AT_CENTRE_REST)
    above = quick_sum(lanes.real(_TAIL_AT_CENTRE), bend)
    ratio = quotient(lanes, above, quick_sum(2.0 * x, lanes.real(1.0)))
    square = product(lanes, x, x)
    parts = parts_of_exp(lanes, -square.head, -square.tail)
    power = parts.head + parts.tail
    return parts.times(lanes.fma(power, ratio.head, power * ratio.tail))
