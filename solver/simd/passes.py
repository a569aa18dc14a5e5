"""Passes over the points of the curves in the lanes: `library.passes.Curves` that emits code.

Points stand in buffers with the lanes side by side, ``buffer[i * width + lane]``; an x that all
curves share is one array. A curve that is shorter than the longest in the lanes goes on with copies
of its last point, which no sum and no maximum sees.

What a pass carries from point to point stands in memory, as LLVM sees it first, and in registers
once it has been through its passes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

from .elementary import ELEMENTARY, sincos
from .elementary.inverse_trigonometry import arctan2
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted, slot_of
from .periodogram import highest_peaks

INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions of an estimate, in lanes."""

    lanes: Lanes

    def __getattr__(self, name: str) -> Callable[..., Vec]:
        """Return a function of the emitter, or an elementary one."""
        if name not in ELEMENTARY:
            function: Callable[..., Vec] = getattr(self.lanes, name)
            return function
        return lambda *args: ELEMENTARY[name](self.lanes, *(self.lanes.real(a) for a in args))

    def sincos(self, x: Vec) -> tuple[Vec, Vec]:
        """Return sine and cosine."""
        return sincos(self.lanes, x)

    def arctan2(self, y: Vec, x: Vec) -> Vec:
        """Return the angle of a point."""
        return arctan2(self.lanes, y, x)


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


class LaneCurves:
    """The curves in the lanes; `library.passes.Curves` that emits code.

    Attributes
    ----------
    lanes
        Where code is emitted.
    xp
        The functions of an estimate.
    frame
        The units of the curves.
    n_columns
        How many columns have been kept.
    """

    def __init__(self, lanes: Lanes, buffers: Buffers, frame: Any) -> None:
        self.lanes, self._buffers = lanes, buffers
        self.xp, self.frame, self.n_columns = Functions(lanes), frame, 0

    @property
    def count(self) -> Vec:
        """The number of points."""
        lengths, lanes = self._buffers.lengths, self.lanes
        if lengths is not None:
            return lengths
        return lanes.spread(lanes.builder.sitofp(self._buffers.longest, DOUBLE))

    @contextmanager
    def over_points(self) -> Iterator[LanePoint]:
        """Emit a loop over the points, around what is emitted inside."""
        builder = self.lanes.builder
        with counted(builder, self._buffers.longest) as (i, before):
            yield LanePoint(self.lanes, self._buffers, i, before)

    def totals(self, terms: Callable[[Any], Sequence[Vec]]) -> list[Vec]:
        """Emit a pass that sums."""
        lanes = self.lanes
        with self.over_points() as p:
            inside = p.inside
            slots = []
            for term in terms(p):
                value = lanes.real(term)
                slots.append(p.carried(0.0))
                counts = value if inside is None else lanes.where(inside, value, 0.0)
                lanes.store(lanes.load(slots[-1]) + counts, slots[-1])
        return [lanes.load(slot) for slot in slots]

    def largest(self, key: Callable[[Any], tuple[Vec, Sequence[Vec]]]) -> list[Vec]:
        """Emit a pass that looks for the largest key."""
        lanes = self.lanes
        with self.over_points() as p:
            found, values = key(p)
            slots = [p.carried(-INFINITY), *(p.carried(0.0) for _ in values)]
            better = found > lanes.load(slots[0])
            if p.inside is not None:
                better = better & p.inside
            for value, slot in zip((found, *values), slots, strict=True):
                lanes.store(lanes.where(better, lanes.real(value), lanes.load(slot)), slot)
        return [lanes.load(slot) for slot in slots]

    def keep(self, values: Callable[[Any], Sequence[Vec]]) -> list[Any]:
        """Emit a pass that keeps values."""
        builder, columns = self.lanes.builder, []
        with self.over_points() as p:
            for value in values(p):
                with builder.goto_block(p.before_loop):
                    offset = builder.mul(self._buffers.size, INT64(self.n_columns))
                    columns.append(builder.gep(self._buffers.free, [offset]))
                p.keep(columns[-1], value)
                self.n_columns += 1
        return columns

    def x_at(self, index: Vec) -> Vec:
        """Emit loads of x, each lane its own."""
        lanes, builder, buffers = self.lanes, self.lanes.builder, self._buffers
        last = self.count - 1.0
        place = lanes.larger(lanes.smaller(last, index), 0.0)
        places = builder.fptosi(place.ir, lanes.vector(INT64))
        value = ir.Constant(lanes.vector(DOUBLE), ir.Undefined)
        for lane in range(lanes.width):
            i = builder.extract_element(places, ir.IntType(32)(lane))
            if not buffers.shared:
                i = builder.add(builder.mul(i, INT64(lanes.width)), INT64(lane))
            number = builder.load(builder.gep(buffers.x, [i]))
            value = builder.insert_element(value, number, ir.IntType(32)(lane))
        return Vec(lanes, value)

    def highest_peaks(self, count: int) -> list[Vec]:
        """Emit the search for frequencies where the periodogram is high."""
        return highest_peaks(self, count)

    def widening(
        self, state: Sequence[Vec], body: Callable[[RunningLag, list[Vec]], Sequence[Vec]]
    ) -> list[Vec]:
        """Emit a loop over lags of 1, 2, 4 ... points."""
        lanes, builder = self.lanes, self.lanes.builder
        slots = [slot_of(lanes) for _ in state]
        for slot, value in zip(slots, state, strict=True):
            lanes.store(lanes.real(value), slot)
        before = builder.block
        head = builder.append_basic_block("widening")
        after = builder.append_basic_block("widened")
        builder.branch(head)
        builder.position_at_end(head)
        lag = builder.phi(INT64)
        lag.add_incoming(INT64(1), before)
        points = lanes.spread(builder.sitofp(lag, DOUBLE))
        new = body(RunningLag(points, lag), [lanes.load(slot) for slot in slots])
        for slot, value in zip(slots, new, strict=True):
            lanes.store(lanes.real(value), slot)
        wider = builder.shl(lag, INT64(1))
        lag.add_incoming(wider, builder.block)
        more = builder.icmp_signed("<", wider, self._buffers.longest)
        builder.cbranch(more, head, after)
        builder.position_at_end(after)
        return [lanes.load(slot) for slot in slots]

    def best(
        self,
        candidates: Sequence[Sequence[Vec]],
        attempt: Callable[[list[Vec]], tuple[Vec, Sequence[Vec]]],
    ) -> list[Vec]:
        """Emit a loop over the candidates."""
        lanes, builder, n = self.lanes, self.lanes.builder, len(candidates[0])
        table = slot_of(lanes, n * len(candidates))
        for k, value in enumerate(v for candidate in candidates for v in candidate):
            lanes.store(lanes.real(value), builder.gep(table, [INT64(k * lanes.width)]))
        with counted(builder, INT64(len(candidates))) as (k, before):
            row = builder.mul(k, INT64(n * lanes.width))
            candidate = [
                lanes.load(builder.gep(table, [builder.add(row, INT64(j * lanes.width))]))
                for j in range(n)
            ]
            gain, values = attempt(candidate)
            gain = lanes.where(gain == gain, gain, -INFINITY)  # noqa: PLR0124
            slots = [slot_of(lanes) for _ in (gain, *values)]
            with builder.goto_block(before):
                for slot in slots:
                    lanes.store(lanes.real(-INFINITY), slot)
            first = builder.icmp_signed("==", k, INT64(0))
            better = gain > lanes.load(slots[0])
            for value, slot in zip((gain, *values), slots, strict=True):
                chosen = lanes.where(better, lanes.real(value), lanes.load(slot))
                kept = builder.select(first, lanes.real(value).ir, chosen.ir)
                lanes.store(Vec(lanes, kept), slot)
        return [lanes.load(slot) for slot in slots[1:]]
