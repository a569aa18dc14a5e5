"""Two ways to hold the linear least-squares problem of a step: by normal equations, or a triangle.

    JᵀJ p = -Jᵀr        or        R p = -Qᵀr,  J = QR

Normal equations are sums, the fastest pass over the points there is, and square the condition
number: half of the digits of a step are lost where J has a relative pivot of 1e-4. The triangle
loses none, and takes about three times as long. Both are a lower triangle, JᵀJ's or Rᵀ, and n
numbers, Jᵀr or Qᵀr.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..graph.nodes import Node
from .lanes import Lanes, Vec
from .points import Data, Linear, normal_equations
from .step import Region, Step, TrustRegion
from .sums import Sums
from .triangle import Lower, Triangle
from .triangle_points import triangle_of_points
from .triangle_step import TriangleRegion, gradient, image, squares


class Way(Protocol):
    """What a pass over the points puts together, and what is made of that."""

    def over_points(self, leaf: Callable[[Node], Vec], data: Data) -> Linear:
        """Emit the pass."""

    def squares(self, A: Lower) -> list[Vec]:
        """Return the squared norms of the Jacobian's columns."""

    def gradient(self, A: Lower, g: list[Vec]) -> list[Vec]:
        """Return Jᵀr."""

    def region(self, A: Lower, g: list[Vec], D2: list[Vec], delta: Vec, par: Vec) -> TrustRegion:
        """Return the problem that a step is to solve."""

    def promise(self, step: Step, A: Lower, g: list[Vec], *, bounded: bool) -> tuple[Vec, Vec]:
        """Return by how much the linear model says that a step reduces rᵀr, and rᵀ J p."""


@dataclass(frozen=True, slots=True)
class NormalEquations:
    """JᵀJ and Jᵀr, summed over the points."""

    lanes: Lanes
    sums: Sums

    def over_points(self, leaf: Callable[[Node], Vec], data: Data) -> Linear:
        """Emit the pass."""
        return normal_equations(self.lanes, self.sums, leaf, data)

    def squares(self, A: Lower) -> list[Vec]:
        """Return the diagonal."""
        return [A[j, j] for j in range(len(self.sums.columns))]

    def gradient(self, A: Lower, g: list[Vec]) -> list[Vec]:  # noqa: ARG002 - the protocol's
        """Return Jᵀr."""
        return g

    def region(self, A: Lower, g: list[Vec], D2: list[Vec], delta: Vec, par: Vec) -> Region:
        """Return the problem that a step is to solve."""
        return Region(A, g, D2, delta, par)

    def promise(self, step: Step, A: Lower, g: list[Vec], *, bounded: bool) -> tuple[Vec, Vec]:
        """Return the predicted reduction, and rᵀ J p.

        Without bounds pᵀ(JᵀJ)p = -pᵀJᵀr - par ‖D p‖², from the equation of the step.
        """
        lanes = self.lanes
        slope = g[0] * step.p[0]
        for a, b in zip(g[1:], step.p[1:], strict=True):
            slope = lanes.fma(a, b, slope)
        if not bounded:
            return step.par * step.length * step.length - slope, slope
        square = lanes.real(0.0)
        for (i, j), value in A.items():
            twice = value if i == j else 2.0 * value
            square = lanes.fma(twice * step.p[i], step.p[j], square)
        return -lanes.fma(2.0, slope, square), slope


class Rotations:
    """R and Qᵀr, brought up to date by orthogonal transformations."""

    def __init__(self, lanes: Lanes, sums: Sums) -> None:
        """Make room for a triangle."""
        self._lanes, self._sums = lanes, sums
        self._triangle = Triangle.of(lanes, len(sums.columns))

    def over_points(self, leaf: Callable[[Node], Vec], data: Data) -> Linear:
        """Emit the pass."""
        return triangle_of_points(self._lanes, self._sums, leaf, data, self._triangle)

    def squares(self, A: Lower) -> list[Vec]:
        """Return the squared norms of the columns of R."""
        return squares(self._lanes, A, len(self._sums.columns))

    def gradient(self, A: Lower, g: list[Vec]) -> list[Vec]:
        """Return Rᵀ Qᵀr."""
        return gradient(self._lanes, A, g)

    def region(self, A: Lower, g: list[Vec], D2: list[Vec], delta: Vec, par: Vec) -> TriangleRegion:
        """Return the problem that a step is to solve."""
        slope = gradient(self._lanes, A, g)
        return TriangleRegion(self._triangle, A, g, slope, D2, delta, par)

    def promise(self, step: Step, A: Lower, g: list[Vec], *, bounded: bool) -> tuple[Vec, Vec]:
        """Return the predicted reduction, and rᵀ J p."""
        square, slope = image(self._lanes, A, g, step.p)
        if bounded:
            return -self._lanes.fma(2.0, slope, square), slope
        damping = step.par * step.length * step.length
        return square + 2.0 * damping, -(square + damping)
