"""The pass over the points that keeps a triangle up to date: R and Qᵀr of J = QR, and rᵀr.

The rows of the Jacobian go into a block, a group of points at a time, and reflections bring them
into the triangle. A last group that is not full has rows of zeros, as have the points beyond the
end of a shorter curve: so a curve's blocks are the same whatever the lengths of its neighbours.
"""

from collections.abc import Callable
from typing import Any

from ..graph.nodes import Node
from .evenly import GROUP, Table
from .lanes import INT64, Lanes, Vec
from .points import TOGETHER, Data, Linear, Loop, Part, linear
from .sums import Sums
from .triangle import ROWS, Triangle


def triangle_of_points(
    lanes: Lanes, sums: Sums, leaf: Callable[[Node], Vec], data: Data, triangle: Triangle
) -> Linear:
    """Emit the pass, for lanes of one register; arguments as in `points.normal_equations`.

    `triangle` is what the points are taken up by.
    """
    assert lanes.width == lanes.machine.register
    return linear(len(sums.columns), _Part(triangle, lanes, sums, leaf, data, 0).emit())


class _Part(Part):
    """Emits the loops over whole groups and over the points that are left."""

    def __init__(self, triangle: Triangle, *given: Any) -> None:
        """Prepare; `given` as to `Part`."""
        super().__init__(*given)
        self._triangle = triangle

    @property
    def _count_of_totals(self) -> int:
        n = len(self._sums.columns)
        return n * (n + 1) // 2 + n + 1

    def _loops(self, *, evenly: bool) -> list[Vec]:
        """Emit the loops; return Rᵀ, its lower triangle by rows, Qᵀr and rᵀr."""
        builder, triangle = self._whole.builder, self._triangle
        tables: dict[Node, tuple[Table, ...]] | None = {} if evenly else None
        triangle.clear()
        i: Any = INT64(0)
        totals = [self._lanes.real(0.0)]
        given = (self._whole, self._sums, self._leaf, self._data, self._first)
        for together in TOGETHER:
            loop = _Loop(triangle, *given, together, tables)
            i, totals = loop.emit(i, totals)
            if together == GROUP:
                triangle.clear_block()
        rest = builder.and_(i, INT64(GROUP - 1))
        with builder.if_then(builder.icmp_signed(">", rest, INT64(0))):
            triangle.absorb()
        R, q = triangle.get()
        return [*R.values(), *q, *totals]

    def _assembled(self, totals: list[Vec]) -> list[Vec]:
        """Return the triangle as it is: steady factors were in the rows already."""
        return totals


class _Loop(Loop):
    """Emits a loop that puts its points into the block, and takes a full one up."""

    def __init__(self, triangle: Triangle, *given: Any) -> None:
        """Prepare; `given` as to `Loop`."""
        super().__init__(*given)
        self._triangle = triangle.at(self._inside_one())

    def _point(self, totals: list[Vec]) -> list[Vec]:
        """Put the rows of the points into the block; return rᵀr with them."""
        weigh, factors = self._weighing(), self._sums.factors
        r = weigh(self._residual())
        columns = [weigh(Vec(self._inside, self._values.product(f).ir)) for f in factors]
        builder, triangle = self._inside.builder, self._triangle
        place = builder.and_(self._i, INT64(ROWS - 1))
        for column, values in enumerate([*columns, r]):
            for u, value in enumerate(self._inside.split(values, self._one.width)):
                triangle.put_row(builder.add(place, INT64(u)), column, value)
        if self._together == ROWS:
            triangle.absorb()
        return [self._plus(totals[0], r, r)]
