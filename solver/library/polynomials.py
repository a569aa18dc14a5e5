"""Polynomials of any degree; a constant and a straight line under names of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

from ..model import Model
from .passes import Curves, Point, Value
from .recipe import Recipe
from .sorted_curves import ONE

INFINITY = float("inf")

NEGLIGIBLE = 1e-24
"""A basis polynomial with less than this of the square of the last one is zero at all points."""


def polynomial(degree: int, *, prefix: str = "") -> Model:
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
    expression = " + ".join(c + power for c, power in zip(params, powers, strict=False))
    return _of_degree(degree, f"polynomial:{degree}", params, expression).prefixed(prefix)


def constant(*, prefix: str = "") -> Model:
    """Make ``c``, the same at every x."""
    return _of_degree(0, "constant", ("c",), "c").prefixed(prefix)


def linear(*, prefix: str = "") -> Model:
    """Make ``c + b*x``, params c, b: a straight line."""
    return _of_degree(1, "linear", ("c", "b"), "c + b*x").prefixed(prefix)


def _of_degree(degree: int, name: str, params: tuple[str, ...], expression: str) -> Model:
    """Make a polynomial, with its coefficients from degree 0."""
    return Model(
        name=name,
        params=params,
        func=_polynomial,
        jac=_polynomial_jac,
        guess=Recipe(LeastSquares(degree), degree + 1),
        expression=expression,
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
class LeastSquares:
    """The estimate of a polynomial: its least-squares coefficients."""

    degree: int

    def __call__(self, curves: Curves) -> list[Value]:
        """Expand y in polynomials that are orthogonal over the curve's own points.

        p_0 = 1, p_k+1 = (t - alpha_k)*p_k - beta_k*p_k-1, with t the x scaled to -1..1,

            alpha_k = (t*p_k . p_k)/(p_k . p_k),    beta_k = (p_k . p_k)/(p_k-1 . p_k-1),

        so no system is solved and no condition number squared. Terms that the points cannot
        determine are left out.

        Source: Forsythe, J. SIAM 5 (1957) 74.
        """
        xp, frame = curves.xp, curves.frame
        expansion = _Expansion([], [], [])
        norm_before: Value = 1.0
        for _ in range(self.degree + 1):
            norm, along, moment = curves.totals(expansion.terms)
            some = norm > NEGLIGIBLE * norm_before
            beta = xp.where(some, norm / norm_before, 0.0) if expansion.d else 0.0
            expansion = expansion.with_term(
                xp.where(some, along / norm, 0.0), xp.where(some, moment / norm, 0.0), beta
            )
            norm_before = xp.where(some, norm, INFINITY)
        middle, half = frame.origin + 0.5 * frame.width, 0.5 * frame.width
        lowest, *others = _unscaled(expansion.solution(), middle, half)
        return [frame.level + frame.height * lowest, *(frame.height * c for c in others)]


@dataclass(frozen=True, slots=True)
class _Expansion:
    """The first terms of an expansion: coefficients d_k, and alpha_k and beta_k."""

    d: list[Value]
    alpha: list[Value]
    beta: list[Value]

    def with_term(self, d: Value, alpha: Value, beta: Value) -> "_Expansion":
        """Return the expansion with one more term."""
        return _Expansion([*self.d, d], [*self.alpha, alpha], [*self.beta, beta])

    def terms(self, p: Point) -> list[Value]:
        """Return what the next term sums: p_k**2, p_k times what is left of y, t*p_k**2."""
        t, left = 2.0 * p.x - 1.0, p.y
        basis: Value = 1.0
        before: Value = 0.0
        for d, alpha, beta in zip(self.d, self.alpha, self.beta, strict=True):
            left = left - d * basis
            basis, before = (t - alpha) * basis - beta * before, basis
        square = basis * basis
        return [square, basis * left, square * t]

    def solution(self) -> list[Value]:
        """Return the coefficients of powers of t."""
        powers: list[Value] = [1.0]
        before: list[Value] = []
        solution: list[Value] = []
        for d, alpha, beta in zip(self.d, self.alpha, self.beta, strict=True):
            solution = _add(solution, [d * p for p in powers])
            shifted = _add([0.0, *powers], [-alpha * p for p in powers])
            powers, before = _add(shifted, [-beta * p for p in before]), powers
        return solution


def _add(a: Sequence[Value], b: Sequence[Value]) -> list[Value]:
    """Add two polynomials, given by their coefficients from degree 0."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    return [p + q for p, q in zip(longer, shorter, strict=False)] + list(longer[len(shorter) :])


def _unscaled(c: Sequence[Value], middle: Value, half: Value) -> list[Value]:
    """Turn coefficients of powers of t = (x - middle)/half into those of powers of x."""
    result = [c[-1]]
    for lower in c[-2::-1]:
        raised = [0.0, *(p / half for p in result)]
        result = _add(_add(raised, [-(middle / half) * p for p in result]), [lower])
    return result
