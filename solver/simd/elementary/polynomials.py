"""Polynomials in lanes.

Horner's rule has the fewest instructions; where two halves are evaluated apart (Estrin 1960), half
of the waiting is saved for one product more. Several registers to a vector hide the waiting as
well, so that Horner's rule is what we use by default.
"""

from collections.abc import Sequence

from ..lanes import Lanes, Vec


def horner(lanes: Lanes, x: Vec, coefficients: Sequence[float]) -> Vec:
    """Return c[0] + c[1]*x + c[2]*x**2 + ..., one fma a coefficient."""
    total = lanes.real(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = lanes.fma(total, x, coefficient)
    return total


def halves(lanes: Lanes, x: Vec, square: Vec, coefficients: Sequence[float]) -> Vec:
    """Return the same with even and odd powers apart: one more instruction, half the latency."""
    even = horner(lanes, square, coefficients[::2])
    odd = horner(lanes, square, coefficients[1::2])
    return lanes.fma(odd, x, even)
