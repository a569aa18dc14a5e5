"""The guess, compiled: start values of a list of curves, one in each lane.

    for some curves at a time:
        take them in: points into buffers, least and most of y, is x in order, is y finite
        go over to simple units                                        (library.frames)
        emit the estimate                                              (library.passes)
        write start values down

An estimate is written once, for NumPy and for this: it is called with curves that emit code for
what it computes with them.
"""

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

from llvmlite import ir

from ..library.recipe import Recipe
from .lane_points import Buffers, LanePoint
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted
from .machine import Machine
from .packing import Packing
from .passes import INFINITY, LaneCurves

INT8, INT32, FLOAT = ir.IntType(8), ir.IntType(32), ir.FloatType()


class Finding(IntEnum):
    """What became of a curve."""

    GUESSED = 0
    NOT_FINITE = 1
    """y is not finite everywhere: the start values are NaN."""
    OUT_OF_ORDER = 2
    """x does not ascend, which an estimate relies on: the start values are NaN."""


class Argument(IntEnum):
    """Places in the array of 64-bit integers that the function is called with."""

    COUNT = 0
    ROWS = auto()
    START = auto()
    LENGTH = auto()
    Y = auto()
    X = auto()
    """x of the curves, or the shared x as it is in its units."""
    ENDS = auto()
    """The first and the last shared x."""
    SCRATCH = auto()
    CAPACITY = auto()
    """The largest number of points."""
    GUESS = auto()
    FINDINGS = auto()


@dataclass(frozen=True, slots=True)
class GuessSpecification:
    """What a guess is compiled for.

    Attributes
    ----------
    recipe
        What is emitted.
    shared
        Whether all curves share x.
    single
        Whether y, and x where it is not shared, are float32.
    ragged
        Whether curves differ in length.
    machine
        What to compile for.
    gaps
        Whether points whose y is not finite are left out; else such a curve has no start.
    registers
        Vector registers a value.
    """

    recipe: Recipe
    shared: bool
    single: tuple[bool, bool]
    ragged: bool
    machine: Machine
    gaps: bool = False
    registers: int = 1

    @property
    def common(self) -> bool:
        """Whether all lanes read the same x."""
        return self.shared and not self.gaps

    @property
    def width(self) -> int:
        """The number of lanes."""
        return self.machine.register * self.registers


def guess_text(specification: GuessSpecification) -> str:
    """Return the module of a guess: its function ``guess``, and the number of ``buffers`` of it."""
    module = ir.Module("manyfit")
    kind = ir.FunctionType(ir.VoidType(), [INT64.as_pointer()])
    emitter = _Guess(specification, ir.Function(module, kind, "guess"))
    emitter.emit()
    buffers = ir.GlobalVariable(module, INT64, "buffers")
    buffers.initializer, buffers.global_constant = INT64(emitter.buffers), True
    return str(module)


class _Guess:
    """Emits the function."""

    def __init__(self, specification: GuessSpecification, function: Any) -> None:
        self._spec, self._arguments = specification, function.args[0]
        self._builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._lanes = Lanes(self._builder, specification.width, specification.machine)
        self.buffers = 0

    def _argument(self, place: int) -> Any:
        return self._builder.load(self._builder.gep(self._arguments, [INT64(place)]))

    def _pointer(self, place: int, kind: Any) -> Any:
        return self._builder.inttoptr(self._argument(place), kind.as_pointer())

    def emit(self) -> None:
        """Emit the loop over the curves, as many at a time as there are lanes."""
        builder, width = self._builder, self._spec.width
        count = self._argument(Argument.COUNT)
        last = builder.sub(count, INT64(1))
        rounds = builder.sdiv(builder.add(count, INT64(width - 1)), INT64(width))
        with counted(builder, rounds) as (k, _):
            first = builder.mul(k, INT64(width))
            places = [builder.add(first, INT64(lane)) for lane in range(width)]
            places = [builder.select(builder.icmp_signed("<", p, last), p, last) for p in places]
            self._guess(places)
        builder.ret_void()

    def _guess(self, places: list[Any]) -> None:
        """Emit what is done with the curves at these places of the list."""
        lanes = self._lanes
        curves, finding = self._taken_in(places)
        estimate = self._spec.recipe.estimate(curves)
        fine = finding == float(Finding.GUESSED)
        for j, value in enumerate(estimate):
            finite = lanes.abs(lanes.real(value)) < float("inf")
            start = lanes.where(fine, lanes.where(finite, value, 1.0), float("nan"))
            self._write(start, Argument.GUESS, places, len(estimate), j)
        self._write(finding, Argument.FINDINGS, places, 1, 0)
        self.buffers = 2 - self._spec.common + curves.most_columns

    def _taken_in(self, places: list[Any]) -> tuple[LaneCurves, Vec]:
        """Emit the copy into the buffers; return the curves in their units, and what was found."""
        rows = self._loads(self._pointer(Argument.ROWS, INT64), places)
        starts = self._loads(self._pointer(Argument.START, INT64), rows)
        lengths = self._loads(self._pointer(Argument.LENGTH, INT64), rows)
        buffers = self._buffers_for(lengths)
        if self._spec.gaps:
            buffers = self._packed(buffers, starts, lengths)
        raw = LaneCurves(self._lanes, buffers, None)
        least, most, finding = self._looked_through(raw, starts, lengths)
        framed = raw.framed(self._spec.recipe.frame_of, *self._ends(raw), least, most)
        return framed, finding

    def _buffers_for(self, lengths: list[Any]) -> Buffers:
        """Return where the points of curves of these lengths go."""
        builder, spec = self._builder, self._spec
        longest, counts = lengths[0], None
        if spec.ragged or spec.gaps:
            counts = self._lanes.to_real(self._vector(lengths))
            longest = self._lanes.largest_lane(counts)
        size = builder.mul(self._argument(Argument.CAPACITY), INT64(spec.width))
        y = self._pointer(Argument.SCRATCH, DOUBLE)
        second = builder.gep(y, [size])
        if spec.common:
            x = self._pointer(Argument.X, DOUBLE)
            return Buffers(y, x, spec.common, counts, longest, second, size)
        third = builder.gep(second, [size])
        return Buffers(y, second, spec.common, counts, longest, third, size)

    def _packed(self, room: Buffers, starts: list[Any], lengths: list[Any]) -> Buffers:
        """Emit the copy of the points that count; return where they are."""
        spec, columns = self._spec, (room.y, room.x)
        packing = Packing(self._builder, spec.width, self._sources, spec.shared, columns)
        some = zip(starts, lengths, strict=True)
        counts = [packing.packed(lane, *own) for lane, own in enumerate(some)]
        buffers = self._buffers_for(counts)
        for lane, count in enumerate(counts):
            packing.fill_up(lane, count, buffers.longest)
        return buffers

    @property
    def _sources(self) -> tuple[Any, Any]:
        """Where y and x of the curves are."""
        y, x = (FLOAT if single else DOUBLE for single in self._spec.single)
        return self._pointer(Argument.Y, y), self._pointer(Argument.X, x)

    def _looked_through(
        self, raw: LaneCurves, starts: list[Any], lengths: list[Any]
    ) -> tuple[Vec, Vec, Vec]:
        """Emit the copy of all points, if they are not there yet, and a look at them.

        Returns the least and the most of y, and what was found.
        """
        lanes, sources = self._lanes, self._sources
        with raw.over_points() as p:
            y, *own_x = self._point(p, sources, starts, lengths)
            least, most, spoilt = p.carried(INFINITY), p.carried(-INFINITY), p.carried(0.0)
            lanes.store(lanes.smaller(y, lanes.load(least)), least)
            lanes.store(lanes.larger(y, lanes.load(most)), most)
            lanes.store(lanes.fma(y, 0.0, lanes.load(spoilt)), spoilt)
            falls = p.carried(0.0)
            for x in own_x:
                before = p.carried(-INFINITY)
                fallen = lanes.where(x < lanes.load(before), 1.0, lanes.load(falls))
                lanes.store(fallen, falls)
                lanes.store(x, before)
        finding = lanes.where(lanes.load(falls) > 0, float(Finding.OUT_OF_ORDER), lanes.real(0.0))
        finite = lanes.load(spoilt) == 0.0
        finding = lanes.where(finite, finding, float(Finding.NOT_FINITE))
        return lanes.load(least), lanes.load(most), finding

    def _point(
        self, p: LanePoint, sources: tuple[Any, Any], starts: list[Any], lengths: list[Any]
    ) -> list[Vec]:
        """Return y at a point, and x where it is not common, copied there if they are not yet.

        What was copied is not loaded again: it was written in parts, for which a load waits.
        """
        columns = [p.buffers.y] if self._spec.common else [p.buffers.y, p.buffers.x]
        if self._spec.gaps:
            return [p.kept(column) for column in columns]
        at = self._indices(p.i, starts, lengths)
        values = [self._gathered(source, at) for source in sources[: len(columns)]]
        for column, value in zip(columns, values, strict=True):
            p.keep(column, value)
        return values

    def _ends(self, raw: LaneCurves) -> list[Vec]:
        """Return the first and the last x, as they were given."""
        builder, lanes = self._builder, self._lanes
        if not self._spec.common:
            return [raw.x_at(lanes.real(0.0)), raw.x_at(raw.count)]
        ends = self._pointer(Argument.ENDS, DOUBLE)
        return [lanes.spread(builder.load(builder.gep(ends, [INT64(k)]))) for k in range(2)]

    def _loads(self, pointer: Any, places: list[Any]) -> list[Any]:
        """Load single numbers."""
        builder = self._builder
        return [builder.load(builder.gep(pointer, [place])) for place in places]

    def _vector(self, scalars: list[Any]) -> Vec:
        """Return a scalar a lane as a vector."""
        value = ir.Constant(self._lanes.vector(scalars[0].type), ir.Undefined)
        for lane, scalar in enumerate(scalars):
            value = self._builder.insert_element(value, scalar, INT32(lane))
        return Vec(self._lanes, value)

    def _indices(self, i: Any, starts: list[Any], lengths: list[Any]) -> list[Any]:
        """Return where point i of each lane is; after the last point the last again."""
        builder, indices = self._builder, []
        for start, length in zip(starts, lengths, strict=True):
            own = i
            if self._spec.ragged:
                last = builder.sub(length, INT64(1))
                own = builder.select(builder.icmp_signed("<", i, last), i, last)
            indices.append(builder.add(start, own))
        return indices

    def _gathered(self, pointer: Any, indices: list[Any]) -> Vec:
        """Load a number a lane, as doubles."""
        value = self._vector(self._loads(pointer, indices))
        if value.element == FLOAT:
            return Vec(self._lanes, self._builder.fpext(value.ir, self._lanes.vector(DOUBLE)))
        return value

    def _write(self, value: Vec, argument: int, places: list[Any], stride: int, j: int) -> None:
        """Write a number a lane into column j of an array."""
        builder, pointer = self._builder, self._pointer(argument, DOUBLE)
        for lane, place in enumerate(places):
            offset = builder.add(builder.mul(place, INT64(stride)), INT64(j))
            number = builder.extract_element(value.ir, INT32(lane))
            builder.store(number, builder.gep(pointer, [offset]))
