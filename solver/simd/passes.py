"""Passes over the points of the curves in the lanes: `library.passes.Curves` that emits code."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ..library.frames import FrameOf
from ..library.recipe import Recipe
from .elementary import ELEMENTARY, sincos
from .elementary.inverse_trigonometry import arctan2
from .lane_points import Buffers, LanePoint, RunningLag
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted, slot_of
from .parts import Part, guessed
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
    buffers
        Where the points are.
    parts
        The functions of guesses within the guess.
    n_columns, most_columns
        How many columns are kept, and the room that is needed behind the buffers, in columns.
    """

    def __init__(
        self, lanes: Lanes, buffers: Buffers, frame: Any, parts: dict[Recipe, Part] | None = None
    ) -> None:
        self.lanes, self.buffers = lanes, buffers
        self.parts = {} if parts is None else parts
        self.xp, self.frame, self.n_columns, self.most_columns = Functions(lanes), frame, 0, 0

    def framed(self, frame_of: FrameOf, *extremes: Vec) -> "LaneCurves":
        """Emit the change to the units of a frame, in place; return the curves in these."""
        frame = frame_of(self.xp, *extremes)
        with self.over_points() as p:
            p.keep(self.buffers.y, frame.y_of(p.y))
            if not self.buffers.shared:
                p.keep(self.buffers.x, frame.x_of(p.x))
        return LaneCurves(self.lanes, self.buffers, frame, self.parts)

    def elsewhere(self, lanes: Lanes, free: Any, size: Any, lengths: Vec) -> "LaneCurves":
        """Return curves of other lengths in the memory behind a pointer, yet to be written."""
        builder = lanes.builder
        second, third = (builder.gep(free, [builder.mul(size, INT64(k))]) for k in (1, 2))
        buffers = Buffers(
            free, second, shared=False, lengths=lengths, longest=lanes.largest_lane(lengths),
            free=third, size=size,
        )  # fmt: skip
        return LaneCurves(lanes, buffers, None, self.parts)

    @property
    def free(self) -> Any:
        """The memory behind all that is kept."""
        return self._column(self.n_columns)

    def reserve(self, columns: int) -> None:
        """Have room for columns behind all that is kept."""
        self.most_columns = max(self.most_columns, self.n_columns + columns)

    @property
    def count(self) -> Vec:
        """The number of points."""
        lengths, lanes = self.buffers.lengths, self.lanes
        if lengths is not None:
            return lengths
        return lanes.spread(lanes.builder.sitofp(self.buffers.longest, DOUBLE))

    @contextmanager
    def over_points(self) -> Iterator[LanePoint]:
        """Emit a loop over the points, around what is emitted inside."""
        builder = self.lanes.builder
        with counted(builder, self.buffers.longest) as (i, before):
            yield LanePoint(self.lanes, self.buffers, i, before)

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

    def keep(self, values: Callable[[Any], Sequence[Vec]], room: Sequence[Any] = ()) -> list[Any]:
        """Emit a pass that keeps values."""
        builder, columns = self.lanes.builder, []
        with self.over_points() as p:
            for place, value in enumerate(values(p)):
                if room:
                    columns.append(room[place])
                else:
                    with builder.goto_block(p.before_loop):
                        columns.append(self._column(self.n_columns))
                    self.reserve(1)
                    self.n_columns += 1
                p.keep(columns[-1], value)
        return columns

    def _column(self, place: int) -> Any:
        """Return where a column begins."""
        builder = self.lanes.builder
        return builder.gep(self.buffers.free, [builder.mul(self.buffers.size, INT64(place))])

    def guessed(
        self, guess: Callable[..., Any], column: Any, part: tuple[Vec, Vec] | None = None
    ) -> list[Vec]:
        """Emit a call of the function of another guess."""
        assert isinstance(guess, Recipe)
        return guessed(self, guess, column, part)

    def x_at(self, index: Vec) -> Vec:
        """Emit loads of x, each lane its own."""
        lanes, builder, buffers = self.lanes, self.lanes.builder, self.buffers
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
        more = builder.icmp_signed("<", wider, self.buffers.longest)
        builder.cbranch(more, head, after)
        builder.position_at_end(after)
        return [lanes.load(slot) for slot in slots]

    def repeated(
        self, times: int, state: Sequence[Vec], body: Callable[[list[Vec]], Sequence[Vec]]
    ) -> list[Vec]:
        """Emit a loop over the body."""
        lanes, slots = self.lanes, [slot_of(self.lanes) for _ in state]
        for slot, value in zip(slots, state, strict=True):
            lanes.store(lanes.real(value), slot)
        with counted(lanes.builder, INT64(times)):
            new = body([lanes.load(slot) for slot in slots])
            for slot, value in zip(slots, new, strict=True):
                lanes.store(lanes.real(value), slot)
        return [lanes.load(slot) for slot in slots]

    def each(
        self,
        candidates: Sequence[Sequence[Vec]],
        attempt: Callable[[list[Vec]], Sequence[Vec]],
    ) -> list[list[Vec]]:
        """Emit a loop over the candidates that keeps what each gives."""
        lanes, builder, many = self.lanes, self.lanes.builder, len(candidates)
        with self._over(candidates) as (k, _, candidate):
            tables = []
            for value in attempt(candidate):
                tables.append(slot_of(lanes, many))
                at = builder.gep(tables[-1], [builder.mul(k, INT64(lanes.width))])
                lanes.store(lanes.real(value), at)
        return [
            [lanes.load(builder.gep(table, [INT64(j * lanes.width)])) for table in tables]
            for j in range(many)
        ]

    @contextmanager
    def _over(self, candidates: Sequence[Sequence[Vec]]) -> Iterator[tuple[Any, Any, list[Vec]]]:
        """Emit a loop over the candidates: gives number, block before the loop, and candidate."""
        lanes, builder, n = self.lanes, self.lanes.builder, len(candidates[0])
        table = slot_of(lanes, n * len(candidates))
        for k, value in enumerate(v for candidate in candidates for v in candidate):
            lanes.store(lanes.real(value), builder.gep(table, [INT64(k * lanes.width)]))
        with counted(builder, INT64(len(candidates))) as (k, before):
            row = builder.mul(k, INT64(n * lanes.width))
            yield (
                k,
                before,
                [
                    lanes.load(builder.gep(table, [builder.add(row, INT64(j * lanes.width))]))
                    for j in range(n)
                ],
            )

    def best(
        self,
        candidates: Sequence[Sequence[Vec]],
        attempt: Callable[[list[Vec]], tuple[Vec, Sequence[Vec]]],
    ) -> list[Vec]:
        """Emit a loop over the candidates."""
        lanes, builder = self.lanes, self.lanes.builder
        with self._over(candidates) as (k, before, candidate):
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
