"""Polynomials of any degree."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..model import Model
from .sorted_curves import ONE, SortedCurves, estimate_in_blocks, ratio, total

NEGLIGIBLE = 1e-24
"""A basis polynomial with less than this of the square of the last one is zero at all points."""


def polynomial(degree: int) -> Model:
    """Make ``c0 + c1*x + ... + c<degree>*x**degree``, params c0 ... c<degree>.

    The guess is the linear least-squares solution, so a fit ends at once.

    Raises
    ------
    ValueError
        When the degree is negative.
    TypeError
        When it is not an integer.
    """
    degree = index(degree)
    if degree < 0:
        raise ValueError(f"a polynomial's degree must be >= 0, got {degree!r}")
    powers = ["", "*x", *(f"*x**{k}" for k in range(2, degree + 1))]
    params = tuple(f"c{k}" for k in range(degree + 1))
    return Model(
        name=f"polynomial:{degree}",
        params=params,
        func=_polynomial,
        jac=_polynomial_jac,
        guess=PolynomialGuess(degree),
        expression=" + ".join(c + power for c, power in zip(params, powers, strict=False)),
    )


def _polynomial(x: Any, *c: Any) -> Any:
    """Evaluate the polynomial by Horner's rule."""
    if len(c) == 1:
        return c[0] + 0.0 * x
    y = c[-1] * x + c[-2]
    for lower in c[-3::-1]:
        y = y * x + lower
    return y


def _polynomial_jac(x: Any, *c: Any) -> list[Any]:
    """Return the powers of x from 0."""
    powers = [ONE, x]
    while len(powers) < len(c):
        powers.append(powers[-1] * x)
    return powers[: len(c)]


@dataclass(frozen=True, slots=True)
class PolynomialGuess:
    """The least-squares coefficients of a degree, for all curves."""

    degree: int

    def __call__(self, x: Any, y: Floats, valid: Bools) -> Floats:
        """Return (n_curves, degree + 1)."""
        return estimate_in_blocks(self._estimate, self.degree + 1, x, y, valid)

    def _estimate(self, curves: SortedCurves) -> Sequence[Floats]:
        """Expand y in polynomials that are orthogonal over the curve's own points.

        p_0 = 1, p_k+1 = (t - alpha_k)*p_k - beta_k*p_k-1, with t the x scaled to -1..1,

            alpha_k = (t*p_k . p_k)/(p_k . p_k),    beta_k = (p_k . p_k)/(p_k-1 . p_k-1),

        so no system is solved and no condition number squared. Terms that the points cannot
        determine are left out.

        Source: Forsythe, J. SIAM 5 (1957) 74.
        """
        middle = 0.5 * curves.x[0] + 0.5 * curves.x[-1]
        half = 0.5 * curves.x[-1] - 0.5 * curves.x[0]
        half = np.where(half > 0, half, 1.0)
        t = (curves.x - middle) / half
        zero = np.zeros(1)
        basis, before = np.ones_like(t), np.zeros_like(t)
        powers, powers_before = [np.ones(1)], [zero]
        left, norm_before = curves.y, np.ones(1)
        solution: list[Floats] = []
        for _ in range(self.degree + 1):
            weighted = curves.weigh(basis)
            norm = total(weighted * basis)
            norm = np.where(norm > NEGLIGIBLE * norm_before, norm, 0.0)
            d = ratio(total(weighted * left), norm)
            left = left - d * basis
            solution = _add(solution, [d * p for p in powers])
            alpha = ratio(total(weighted * basis * t), norm)
            beta = ratio(norm, norm_before) if len(solution) > 1 else zero
            basis, before = (t - alpha) * basis - beta * before, basis
            shifted = _add([zero, *powers], [-alpha * p for p in powers])
            powers, powers_before = _add(shifted, [-beta * p for p in powers_before]), powers
            norm_before = np.where(norm > 0, norm, np.inf)
        return _unscaled(solution, middle, half)


def _add(a: Sequence[Floats], b: Sequence[Floats]) -> list[Floats]:
    """Add two polynomials, given by their coefficients from degree 0."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    return [p + q for p, q in zip(longer, shorter, strict=False)] + list(longer[len(shorter) :])


def _unscaled(c: Sequence[Floats], middle: Floats, half: Floats) -> list[Floats]:
    """Turn coefficients of powers of t = (x - middle)/half into those of powers of x."""
    result = [c[-1]]
    for lower in c[-2::-1]:
        raised = [np.zeros(1), *(p / half for p in result)]
        result = _add(_add(raised, [-(middle / half) * p for p in result]), [lower])
    return result
