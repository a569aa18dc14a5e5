"""The Levenberg-Marquardt step from a triangle R, without squaring the condition number.

    minimise ‖R p + q‖² + par ‖D p‖²,    [R; sqrt(par) D] = Q S,    S p = -z

R and q are the Jacobian and the residuals after orthogonal transformations. The search for the
damping, and for a step inside bounds, is that of `step`.

Source: Moré (1978), sections 3 and 5; MINPACK-1's ``qrsolv`` and ``lmpar``.
"""

from dataclasses import dataclass
from typing import Any

from .lanes import INT64, Vec
from .triangle import ROWS, Lower, Triangle


def gradient(xp: Any, R: Lower, q: list[Vec]) -> list[Vec]:
    """Return Rᵀ q, for R given as its transpose."""
    return [_product(xp, R, q, j) for j in range(len(q))]


def squares(xp: Any, R: Lower, n: int) -> list[Vec]:
    """Return the squared norms of the columns of R."""
    return [_product(xp, R, [R[j, i] for i in range(j + 1)], j) for j in range(n)]


def _product(xp: Any, R: Lower, q: list[Vec], j: int) -> Vec:
    """Return the scalar product of column j of R with q."""
    total = R[j, 0] * q[0]
    for i in range(1, j + 1):
        total = xp.fma(R[j, i], q[i], total)
    return total


def image(xp: Any, R: Lower, q: list[Vec], p: list[Vec]) -> tuple[Vec, Vec]:
    """Return ‖R p‖² and qᵀ R p."""
    square = slope = xp.real(0.0)
    for i, component in enumerate(q):
        value = R[i, i] * p[i]
        for j in range(i + 1, len(p)):
            value = xp.fma(R[j, i], p[j], value)
        square, slope = xp.fma(value, value, square), xp.fma(component, value, slope)
    return square, slope


@dataclass(frozen=True, slots=True)
class Triangular:
    """The factor S of a damped problem, as its transpose, and 1/diag(S) (0 for a zero)."""

    S: Lower
    inverse: list[Vec]
    full: Any

    def curvature(self, xp: Any, rhs: list[Vec]) -> Vec:
        """Return rhsᵀ (SᵀS)⁻¹ rhs."""
        z: list[Vec] = []
        total: Vec = xp.real(0.0)
        for i, value in enumerate(rhs):
            rest = value
            for k in range(i):
                rest = xp.fma(-self.S[i, k], z[k], rest)
            z.append(rest * self.inverse[i])
            total = xp.fma(z[i], z[i], total)
        return total

    def solve(self, xp: Any, rhs: list[Vec]) -> list[Vec]:
        """Solve S p = rhs; parameters with a zero on the diagonal are 0."""
        p = list(rhs)
        for i in reversed(range(len(p))):
            for k in range(i + 1, len(p)):
                p[i] = xp.fma(-self.S[k, i], p[k], p[i])
            p[i] = p[i] * self.inverse[i]
        return p


@dataclass(frozen=True, slots=True)
class TriangleRegion:
    """The problem by a triangle.

    Attributes
    ----------
    memory
        Where triangles are worked on.
    R, q
        The triangle, as its transpose, and its right-hand side.
    g, D2, delta, par
        As in `step.TrustRegion`.
    """

    memory: Triangle
    R: Lower
    q: list[Vec]
    g: list[Vec]
    D2: list[Vec]
    delta: Vec
    par: Vec

    def damped(self, xp: Any, par: Vec) -> tuple[Triangular, list[Vec]]:
        """Return the factor of [R; sqrt(par) D], and the step."""
        self.memory.put(self.R, self.q)

        def damp(_: list[Vec]) -> list[Vec]:
            self._absorb_scales(xp, par)
            return []

        xp.when(par > 0, [], damp)
        S, z = self.memory.get()
        inverse, full = [], xp.real(0.0) == 0
        for j in range(len(z)):
            solid = S[j, j] != 0
            inverse.append(xp.where(solid, 1.0 / S[j, j], 0.0))
            full = full & solid
        factors = Triangular(S, inverse, full)
        return factors, factors.solve(xp, [-value for value in z])

    def _absorb_scales(self, xp: Any, par: Vec) -> None:
        """Take up the rows sqrt(par) D, some at a time."""
        n = len(self.q)
        for first in range(0, n, ROWS):
            self.memory.clear_block()
            for j in range(first, min(n, first + ROWS)):
                self.memory.put_row(INT64(j - first), j, xp.sqrt(par * self.D2[j]))
            self.memory.absorb(first)

    def beside(self, xp: Any, held: list[Any], given: list[Vec], par: Vec) -> "TriangleRegion":
        """Return the problem of the others: R without the held columns, made a triangle again."""
        n = len(self.q)
        some = held[0]
        for more in held[1:]:
            some = some | more

        def without(_: list[Vec]) -> list[Vec]:
            self.memory.clear()
            for first in range(0, n, ROWS):
                self.memory.clear_block()
                for i in range(first, min(n, first + ROWS)):
                    self._put_row(xp, i, INT64(i - first), held, given)
                self.memory.absorb()
            R, q = self.memory.get()
            new = [*(R[place] for place in self.R), *q]
            return [xp.where(some, a, b) for a, b in zip(new, old, strict=True)]

        old = [*self.R.values(), *self.q]
        new = xp.when(some, old, without)
        R = dict(zip(self.R, new, strict=False))
        q = new[len(R) :]
        return TriangleRegion(self.memory, R, q, gradient(xp, R, q), self.D2, self.delta, par)

    def _put_row(self, xp: Any, i: int, row: Any, held: list[Any], given: list[Vec]) -> None:
        """Write a row of R to the block without the held columns, which are in the last one."""
        rest = self.q[i]
        for j in range(i, len(self.q)):
            rest = xp.fma(self.R[j, i], given[j], rest)
            self.memory.put_row(row, j, xp.where(held[j], 0.0, self.R[j, i]))
        self.memory.put_row(row, len(self.q), rest)
