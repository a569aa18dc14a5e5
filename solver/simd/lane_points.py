"""Points of the curves in the lanes: where they stand, and what code at one of them can compute.

Points stand in buffers with the lanes side by side, ``buffer[i * width + lane]``; an x that all
curves share is one array. A curve that is shorter than the longest in the lanes goes on with copies
of its last point, which no sum and no maximum sees.

What a pass carries from point to point stands in memory, as LLVM sees it first, and in registers
once it has been through its passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..graph.graph import GraphFunction
from ..graph.nodes import Node
from .expressions import Expressions
from .factors import Factoring
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import slot_of


@dataclass(frozen=True, slots=True)
class RunningLag:
    """A distance in points, in the code: as a number in every lane, and as an integer."""

    points: Vec
    count: Any


@dataclass(frozen=True, slots=True)
class Buffers:
    """Where the points are, as LLVM values.

    Attributes
    ----------
    y
        The buffer of the values.
    x
        That of the predictor, or the array that all curves share.
    shared
        Whether they do.
    lengths
        Vector of the numbers of points, or None: all lanes have `longest`.
    longest
        The largest number of points, an integer.
    free
        The memory behind the buffers, for what is kept.
    size
        The doubles of a buffer, an integer.
    """

    y: Any
    x: Any
    shared: bool
    lengths: Vec | None
    longest: Any
    free: Any
    size: Any


@dataclass(slots=True)
class LanePoint:
    """The point that the code of a pass is at; a `library.passes.Point`."""

    lanes: Lanes
    buffers: Buffers
    i: Any
    before_loop: Any
    _slots: list[tuple[Any, Vec]] = field(default_factory=list)

    @property
    def x(self) -> Vec:
        """The predictor."""
        return self._x_at(self.i)

    @property
    def y(self) -> Vec:
        """The value."""
        return self._load(self.buffers.y, self.i)

    @property
    def index(self) -> Vec:
        """The number of points before this one."""
        return self.lanes.spread(self.lanes.builder.sitofp(self.i, DOUBLE))

    @property
    def inside(self) -> Vec | None:
        """Whether the point is one of the curve's own; None: always."""
        return None if self.buffers.lengths is None else self.index < self.buffers.lengths

    @property
    def x_before(self) -> Vec:
        """`x` of the point before."""
        builder = self.lanes.builder
        first = builder.icmp_signed("==", self.i, INT64(0))
        return self._x_at(builder.select(first, self.i, builder.sub(self.i, INT64(1))))

    def carried(self, start: float) -> Any:
        """Return room for a value that goes from point to point."""
        slot = slot_of(self.lanes)
        with self.lanes.builder.goto_block(self.before_loop):
            self.lanes.store(self.lanes.real(start), slot)
        return slot

    def running(self, value: Vec) -> Vec:
        """Return the sum up to this point."""
        slot = self.carried(0.0)
        total = self.lanes.load(slot) + value
        self.lanes.store(total, slot)
        return total

    def before(self, value: Vec) -> Vec:
        """Return the value at the point before."""
        slot = self.carried(0.0)
        old = self.lanes.load(slot)
        self.lanes.store(value, slot)
        return old

    def integral(self, value: Vec) -> Vec:
        """Return the integral up to this point; the step to the first has no width."""
        return self.running((value + self.before(value)) * (0.5 * (self.x - self.x_before)))

    def formulas(self, func: GraphFunction, values: Sequence[Any]) -> list[Vec]:
        """Return the values of formulas."""
        predictor, *names = func.arguments
        by_name = dict(zip(names, map(self.lanes.real, values), strict=True))

        def leaf(node: Node) -> Vec:
            return self.x if node.name == predictor else by_name[node.name]

        emitted = Expressions(self.lanes, self.lanes, leaf, Factoring(), func.roots)
        return [emitted.value(root) for root in func.roots]

    def kept(self, column: Any) -> Vec:
        """Return what was kept."""
        return self._load(column, self.i)

    def behind(self, column: Any, lag: RunningLag) -> Vec:
        """Return what was kept some points before."""
        builder = self.lanes.builder
        i = builder.sub(self.i, lag.count)
        outside = builder.icmp_signed("<", i, INT64(0))
        value = self._load(column, builder.select(outside, INT64(0), i))
        zero = self.lanes.real(0.0)
        return Vec(self.lanes, builder.select(outside, zero.ir, value.ir))

    def keep(self, column: Any, value: Vec) -> None:
        """Write a value into a column."""
        self.lanes.store(self.lanes.real(value), self._place(column, self.i))

    def _x_at(self, i: Any) -> Vec:
        if not self.buffers.shared:
            return self._load(self.buffers.x, i)
        builder = self.lanes.builder
        return self.lanes.spread(builder.load(builder.gep(self.buffers.x, [i])))

    def _load(self, buffer: Any, i: Any) -> Vec:
        return self.lanes.load(self._place(buffer, i))

    def _place(self, buffer: Any, i: Any) -> Any:
        builder = self.lanes.builder
        return builder.gep(buffer, [builder.mul(i, INT64(self.lanes.width))])
