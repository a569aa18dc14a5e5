"""Lanes that change hands: write down the curve that is done, and take in the next one."""

from typing import Any

from llvmlite import ir

from .lanes import DOUBLE, INT64, Lanes
from .slots import INT32, Arguments, Slots
from .specification import Argument, Specification

INT8, FLOAT = ir.IntType(8), ir.FloatType()
_TOGETHER = 8
"""Points that are copied at a time."""
_NO_BOUND = 1e300
"""A radius that no step exceeds: for lanes without a step to propose."""


class Turnover:
    """Emits what happens to single lanes between two ticks."""

    def __init__(
        self, specification: Specification, lanes: Lanes, slots: Slots, arguments: Arguments
    ) -> None:
        """Begin with the first curve of the list."""
        self._spec, self._slots, self._arguments = specification, slots, arguments
        self._builder = lanes.builder
        self._count = arguments.number(Argument.COUNT)
        self.buffers = arguments.buffers(specification)
        self._next = self._builder.alloca(INT64)
        self._builder.store(INT64(0), self._next)

    def emit(self, mask: Any) -> None:
        """Write down the curves of the lanes in the mask and give these lanes the next ones."""
        builder, slots = self._builder, self._slots
        before = builder.block
        one_lane = builder.append_basic_block("one_lane")
        after = builder.append_basic_block("turned_over")
        builder.branch(one_lane)
        builder.position_at_end(one_lane)
        left = builder.phi(mask.type)
        left.add_incoming(mask, before)
        lane = builder.zext(builder.cttz(left, ir.Constant(ir.IntType(1), 1)), INT64)
        place = builder.fptosi(builder.load(slots.lane("place", lane)), INT64)
        with builder.if_then(builder.icmp_signed(">=", place, INT64(0))):
            self._write_down(lane, place)
        number = builder.load(self._next)
        with builder.if_else(builder.icmp_signed("<", number, self._count)) as (some, none):
            with some:
                builder.store(builder.add(number, INT64(1)), self._next)
                rows = self._arguments.pointer(Argument.ROWS, INT64)
                self._take_in(lane, number, builder.load(builder.gep(rows, [number])))
            with none:
                self._set(lane, active=0.0, rr=0.0, fresh=0.0, delta=_NO_BOUND)
        rest = builder.and_(left, builder.sub(left, ir.Constant(left.type, 1)))
        left.add_incoming(rest, builder.block)
        more = builder.icmp_unsigned("!=", rest, ir.Constant(left.type, 0))
        builder.cbranch(more, one_lane, after)
        builder.position_at_end(after)

    def longest(self) -> Any:
        """Return the largest number of points among the lanes."""
        builder, slots = self._builder, self._slots
        longest = builder.load(slots.lane("length", INT64(0)))
        for lane in range(1, self._spec.width if self._spec.ragged else 1):
            other = builder.load(slots.lane("length", INT64(lane)))
            longest = builder.select(builder.fcmp_ordered(">", other, longest), other, longest)
        return builder.fptosi(longest, INT64)

    def _set(self, lane: Any, **values: float) -> None:
        """Write numbers into slots of a lane."""
        for name, value in values.items():
            self._builder.store(DOUBLE(value), self._slots.lane(name, lane))

    def _write_down(self, lane: Any, place: Any) -> None:
        """Write the result of a lane's curve to its place in the list."""
        builder, slots = self._builder, self._slots
        n = len(self._spec.free)
        for argument, names in (
            (Argument.PARAMS, [f"x{j}" for j in range(n)]),
            (Argument.NORMAL, slots.matrix_names),
            (Argument.RR, ["rr"]),
            (Argument.YY, ["yy"]),
        ):
            begin = builder.mul(place, INT64(len(names)))
            target = builder.gep(self._arguments.pointer(argument), [begin])
            for k, name in enumerate(names):
                value = builder.load(slots.lane(name, lane))
                builder.store(value, builder.gep(target, [INT64(k)]))
        for argument, name, kind in (
            (Argument.NFEV, "nfev", INT32),
            (Argument.NJEV, "njev", INT32),
            (Argument.STATUS, "status", INT8),
        ):
            value = builder.fptosi(builder.load(slots.lane(name, lane)), kind)
            builder.store(value, builder.gep(self._arguments.pointer(argument, kind), [place]))

    def _take_in(self, lane: Any, place: Any, row: Any) -> None:
        """Give a lane the curve `row`, which has this place in the list."""
        builder, slots, arguments = self._builder, self._slots, self._arguments
        self._set(lane, active=1.0, fresh=1.0, delta=_NO_BOUND, nfev=0.0, njev=0.0)
        builder.store(builder.sitofp(place, DOUBLE), slots.lane("place", lane))
        start = builder.load(builder.gep(arguments.pointer(Argument.START, INT64), [row]))
        length = builder.load(builder.gep(arguments.pointer(Argument.LENGTH, INT64), [row]))
        builder.store(builder.sitofp(length, DOUBLE), slots.lane("length", lane))
        self._take_numbers(lane, place)
        self._take_points(lane, start, length)

    def _take_numbers(self, lane: Any, place: Any) -> None:
        """Read start values, fixed parameters and constants of a curve."""
        builder, spec, arguments = self._builder, self._spec, self._arguments
        begin = builder.mul(place, arguments.number(Argument.TEMPLATE_STRIDE))
        template = builder.gep(arguments.pointer(Argument.TEMPLATE), [begin])
        for k, name in enumerate(spec.graph.params):
            value = builder.load(builder.gep(template, [INT64(k)]))
            slot = f"trial{spec.free.index(name)}" if name in spec.free else f"fixed {name}"
            builder.store(value, self._slots.lane(slot, lane))
        first = Argument.PREDICTORS + len(spec.shared)
        for k, name in enumerate(spec.graph.constants):
            offset = builder.mul(place, arguments.number(first + 2 * k + 1))
            pointer = builder.gep(arguments.pointer(first + 2 * k), [offset])
            builder.store(builder.load(pointer), self._slots.lane(f"constant {name}", lane))

    def _take_points(self, lane: Any, start: Any, length: Any) -> None:
        """Copy the points of a curve into the lane's columns of the buffers."""
        builder, spec = self._builder, self._spec
        own = [k for k, shared in enumerate(spec.shared) if not shared]
        sources = [int(Argument.Y), *([int(Argument.SIGMA)] if spec.weighted else [])]
        sources += [Argument.PREDICTORS + k for k in own]
        for source, buffer, single in zip(sources, self.buffers, spec.single, strict=True):
            numbers = self._arguments.pointer(source, FLOAT if single else DOUBLE)
            pointer, column = builder.gep(numbers, [start]), builder.gep(buffer, [lane])
            squares = self._copy(pointer, length, column, inverted=source == Argument.SIGMA)
            if source == Argument.Y:
                builder.store(squares, self._slots.lane("yy", lane))

    def _copy(self, pointer: Any, length: Any, column: Any, *, inverted: bool) -> Any:
        """Copy a curve's numbers into a column of a buffer; return the sum of their squares."""
        builder = self._builder
        done, squares = self._copy_by(
            _TOGETHER, pointer, INT64(0), length, column, inverted=inverted
        )
        _, rest = self._copy_by(1, pointer, done, length, column, inverted=inverted)
        total = builder.extract_element(rest, INT32(0))
        for k in range(_TOGETHER):
            total = builder.fadd(total, builder.extract_element(squares, INT32(k)))
        return total

    def _copy_by(
        self, size: int, pointer: Any, begin: Any, length: Any, column: Any, *, inverted: bool
    ) -> tuple[Any, Any]:
        """Copy `size` numbers at a time while so many are left.

        Returns where the rest begins, and a vector with the sum of squares.
        """
        builder, width = self._builder, self._spec.width
        doubles = ir.VectorType(DOUBLE, size)
        before = builder.block
        head = builder.append_basic_block("copy")
        body = builder.append_basic_block("copy_some")
        after = builder.append_basic_block("copied")
        builder.branch(head)
        builder.position_at_end(head)
        i, squares = builder.phi(INT64), builder.phi(doubles)
        i.add_incoming(begin, before)
        squares.add_incoming(ir.Constant(doubles, [0.0] * size), before)
        following = builder.add(i, INT64(size))
        builder.cbranch(builder.icmp_signed("<=", following, length), body, after)
        builder.position_at_end(body)
        some = self._loaded(builder.gep(pointer, [i]), size)
        if inverted:
            some = builder.fdiv(ir.Constant(doubles, [1.0] * size), some)
        place = builder.gep(column, [builder.mul(i, INT64(width))])
        for k in range(size):
            value = builder.extract_element(some, INT32(k))
            builder.store(value, builder.gep(place, [INT64(k * width)]))
        i.add_incoming(following, builder.block)
        squares.add_incoming(builder.fadd(squares, builder.fmul(some, some)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return i, squares

    def _loaded(self, pointer: Any, size: int) -> Any:
        """Return numbers that follow each other in memory, as a vector of doubles."""
        builder, kind = self._builder, ir.VectorType(pointer.type.pointee, size)
        some = builder.load(builder.bitcast(pointer, kind.as_pointer()))
        single = kind.element == FLOAT
        some.align = 4 if single else 8
        return builder.fpext(some, ir.VectorType(DOUBLE, size)) if single else some
