"""Lanes that change hands: write down the curve that is done, and take in the next one."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .evenly import LEAST_POINTS, STRAY
from .lanes import DOUBLE, INT64, Lanes
from .loops import counted
from .slots import INT8, INT32, Arguments, Slots
from .specification import Argument, Specification

FLOAT = ir.FloatType()
_TOGETHER = 8
"""Points that are copied at a time."""
_AHEAD = 16
"""How many curves ahead points are fetched: what has come must still be there."""
_LINE, _MOST_FETCHED = 64, 512
"""Bytes that are fetched at once, and points of a curve: the processor sees by then where the rest
is, and fetches it by itself."""
_NO_BOUND = 1e300
"""A radius that no step exceeds: for lanes without a step to propose."""


class Turnover:
    """Emits what happens to single lanes between two ticks."""

    def __init__(
        self, specification: Specification, lanes: Lanes, slots: Slots, arguments: Arguments
    ) -> None:
        """Begin with the first curve of the list."""
        self._spec, self._slots, self._arguments = specification, slots, arguments
        self._builder, self._lanes = lanes.builder, lanes
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
        """Write how a lane's curve ended, to the row that belongs to its place in the list."""
        builder, slots, spec = self._builder, self._slots, self._spec
        places = self._arguments.pointer(Argument.PLACES, INT64)
        row = builder.load(builder.gep(places, [place]))
        params = [
            f"x{spec.free.index(name)}" if name in spec.free else f"fixed {name}"
            for name in spec.graph.params
        ]
        for argument, names, where in (
            (Argument.PARAMS, params, row),
            (Argument.YY, ["yy"], row),
            (Argument.NORMAL, slots.matrix_names, place),
        ):
            begin = builder.mul(where, INT64(len(names)))
            target = builder.gep(self._arguments.pointer(argument), [begin])
            for k, name in enumerate(names):
                value = builder.load(slots.lane(name, lane))
                builder.store(value, builder.gep(target, [INT64(k)]))
        if spec.gaps:
            valid = builder.fptosi(builder.load(slots.lane("valid", lane)), INT32)
            counts = self._arguments.pointer(Argument.N_POINTS, INT32)
            builder.store(valid, builder.gep(counts, [row]))
        half = builder.fmul(DOUBLE(0.5), builder.load(slots.lane("rr", lane)))
        builder.store(half, builder.gep(self._arguments.pointer(Argument.COST), [row]))
        for argument, name, kind in (
            (Argument.NFEV, "nfev", INT32),
            (Argument.NJEV, "njev", INT32),
            (Argument.STATUS, "status", INT8),
        ):
            value = builder.fptosi(builder.load(slots.lane(name, lane)), kind)
            builder.store(value, builder.gep(self._arguments.pointer(argument, kind), [row]))

    def _take_in(self, lane: Any, place: Any, row: Any) -> None:
        """Give a lane the curve `row`, which has this place in the list."""
        builder, slots, arguments = self._builder, self._slots, self._arguments
        self._set(lane, active=1.0, fresh=1.0, delta=_NO_BOUND, nfev=0.0, njev=0.0)
        builder.store(builder.sitofp(place, DOUBLE), slots.lane("place", lane))
        start = builder.load(builder.gep(arguments.pointer(Argument.START, INT64), [row]))
        length = builder.load(builder.gep(arguments.pointer(Argument.LENGTH, INT64), [row]))
        builder.store(builder.sitofp(length, DOUBLE), slots.lane("length", lane))
        self._fetch_ahead(place)
        self._take_numbers(lane, place)
        self._take_points(lane, start, length)
        self._take_steps(lane, start, length)

    def _fetch_ahead(self, place: Any) -> None:
        """Have the points of a curve that comes soon brought into the cache.

        A lane would wait for each: the processor itself fetches what follows, but not far enough,
        and not where the curves of the list lie here and there.
        """
        builder, spec, arguments = self._builder, self._spec, self._arguments
        soon = builder.add(place, INT64(_AHEAD))
        last = builder.sub(self._count, INT64(1))
        soon = builder.select(builder.icmp_signed("<", soon, last), soon, last)
        row = builder.load(builder.gep(arguments.pointer(Argument.ROWS, INT64), [soon]))
        start = builder.load(builder.gep(arguments.pointer(Argument.START, INT64), [row]))
        length = builder.load(builder.gep(arguments.pointer(Argument.LENGTH, INT64), [row]))
        most = builder.icmp_signed("<", length, INT64(_MOST_FETCHED))
        length = builder.select(most, length, INT64(_MOST_FETCHED))
        step = INT64(_LINE // 8)
        lines = builder.udiv(builder.add(length, INT64(2 * _LINE // 8 - 1)), step)
        with counted(builder, lines) as (line, _):
            point = builder.add(start, builder.mul(line, step))
            for source, single in zip(self._sources, spec.single, strict=True):
                numbers = arguments.pointer(source, FLOAT if single else DOUBLE)
                self._fetch(builder.gep(numbers, [point]))

    def _fetch(self, pointer: Any) -> None:
        """Have a cache line fetched; nothing happens where the pointer leads nowhere."""
        kinds = [INT8.as_pointer(), INT32, INT32, INT32]
        fetch = self._lanes.declared("llvm.prefetch.p0", ir.VoidType(), *kinds)
        place = self._builder.bitcast(pointer, INT8.as_pointer())
        self._builder.call(fetch, [place, INT32(0), INT32(3), INT32(1)])  # to read

    @property
    def _sources(self) -> list[int]:
        """Where the numbers of the buffers come from."""
        spec = self._spec
        own = [k for k, shared in enumerate(spec.shared) if not shared]
        sources = [int(Argument.Y), *([int(Argument.SIGMA)] if spec.weighted else [])]
        return sources + [Argument.PREDICTORS + k for k in own]

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
        builder, spec, slots = self._builder, self._spec, self._slots
        kinds = zip(self._sources, spec.single, strict=True)
        y, *others = (
            builder.gep(self._arguments.pointer(source, FLOAT if single else DOUBLE), [start])
            for source, single in kinds
        )
        column, *columns = (builder.gep(buffer, [lane]) for buffer in self.buffers)
        squares = self._copy(y, length, column, self._without_gaps)
        builder.store(squares, slots.lane("yy", lane))
        if spec.gaps:
            sigma = others.pop(0) if spec.weighted else None
            valid = self._copy_weights(y, sigma, length, columns.pop(0))
            builder.store(valid, slots.lane("valid", lane))
        elif spec.weighted:
            self._copy(others.pop(0), length, columns.pop(0), self._inverse)
        for pointer, column in zip(others, columns, strict=True):
            self._copy(pointer, length, column, lambda numbers: numbers)

    def _take_steps(self, lane: Any, start: Any, length: Any) -> None:
        """Look how the points of a curve's predictors lie: see `evenly.is_even`."""
        builder, spec = self._builder, self._spec
        last = builder.sub(length, INT64(1))
        steps = builder.select(builder.icmp_signed(">", last, INT64(1)), last, INT64(1))
        even = builder.icmp_signed(">=", length, INT64(LEAST_POINTS))
        own = iter(spec.single[1 + spec.weighted :])
        for k, (shared, looked_at) in enumerate(zip(spec.shared, spec.even, strict=True)):
            kind = DOUBLE if shared or not next(own) else FLOAT
            if not looked_at:
                continue
            begin = self._arguments.pointer(Argument.PREDICTORS + k, kind)
            begin = begin if shared else builder.gep(begin, [start])
            first, end = (
                builder.extract_element(self._loaded(builder.gep(begin, [i]), 1), INT32(0))
                for i in (INT64(0), last)
            )
            width = builder.fsub(end, first)
            step = builder.fdiv(width, builder.sitofp(steps, DOUBLE))
            builder.store(step, self._slots.lane(f"step{k}", lane))
            if not shared:
                stray = self._stray(begin, length, first, step)
                most = builder.fmul(DOUBLE(STRAY), self._size(width))
                even = builder.and_(even, builder.fcmp_ordered("<=", stray, most))
        builder.store(builder.uitofp(even, DOUBLE), self._slots.lane("even", lane))

    def _stray(self, begin: Any, length: Any, first: Any, step: Any) -> Any:
        """Return how far points stray from lying i steps from the first."""
        builder = self._builder

        def further(i: Any, some: Any, far: Any) -> Any:
            size = some.type.count
            indices = [builder.sitofp(builder.add(i, INT64(k)), DOUBLE) for k in range(size)]
            places = self._vector(indices)
            firsts, steps = self._vector([first] * size), self._vector([step] * size)
            expected = builder.fmul(places, steps)
            stray = builder.fsub(builder.fsub(some, firsts), expected)
            return self._larger(self._size(stray), far)

        some, rest = self._walked(begin, length, further)
        largest = builder.extract_element(rest, INT32(0))
        for k in range(_TOGETHER):
            largest = self._larger(builder.extract_element(some, INT32(k)), largest)
        return largest

    def _copy(self, pointer: Any, length: Any, column: Any, change: Callable[[Any], Any]) -> Any:
        """Copy a curve's numbers, changed, into a column; return the sum of their squares."""
        builder = self._builder

        def copied(i: Any, some: Any, squares: Any) -> Any:
            some = change(some)
            self._put(column, i, some)
            return builder.fadd(squares, builder.fmul(some, some))

        return self._summed(*self._walked(pointer, length, copied))

    def _copy_weights(self, y: Any, sigma: Any, length: Any, column: Any) -> Any:
        """Write 1/sigma into a column, 0 beside values that do not count; return how many do."""
        builder = self._builder

        def copied(i: Any, some: Any, count: Any) -> Any:
            one, zero = (_filled(some.type, value) for value in (1.0, 0.0))
            counts, weight = self._is_finite(some), one
            if sigma is not None:
                weight = self._inverse(self._loaded(builder.gep(sigma, [i]), some.type.count))
            self._put(column, i, builder.select(counts, weight, zero))
            return builder.fadd(count, builder.select(counts, one, zero))

        return self._summed(*self._walked(y, length, copied))

    def _put(self, column: Any, i: Any, some: Any) -> None:
        """Write numbers into a column, from place i on."""
        builder, width = self._builder, self._spec.width
        place = builder.gep(column, [builder.mul(i, INT64(width))])
        for k in range(some.type.count):
            value = builder.extract_element(some, INT32(k))
            builder.store(value, builder.gep(place, [INT64(k * width)]))

    def _summed(self, some: Any, rest: Any) -> Any:
        """Return the sum of all that a walk has put together."""
        builder = self._builder
        total = builder.extract_element(rest, INT32(0))
        for k in range(_TOGETHER):
            total = builder.fadd(total, builder.extract_element(some, INT32(k)))
        return total

    def _without_gaps(self, some: Any) -> Any:
        """Return numbers with 0 for those that are not finite, where these are left out."""
        if not self._spec.gaps:
            return some
        return self._builder.select(self._is_finite(some), some, _filled(some.type, 0.0))

    def _is_finite(self, some: Any) -> Any:
        infinity = _filled(some.type, float("inf"))
        return self._builder.fcmp_ordered("<", self._size(some), infinity)

    def _inverse(self, some: Any) -> Any:
        return self._builder.fdiv(_filled(some.type, 1.0), some)

    def _walked(
        self, pointer: Any, length: Any, body: Callable[[Any, Any, Any], Any]
    ) -> tuple[Any, Any]:
        """Go through a curve's numbers, several at a time and then one by one.

        Returns ``total = body(i, numbers from i on, total)``, from zero on, of each of the two.
        """
        done, total = self._walked_by(_TOGETHER, pointer, INT64(0), length, body)
        _, rest = self._walked_by(1, pointer, done, length, body)
        return total, rest

    def _walked_by(
        self, size: int, pointer: Any, begin: Any, length: Any, body: Callable[[Any, Any, Any], Any]
    ) -> tuple[Any, Any]:
        """Take `size` numbers at a time while so many are left; return where the rest begins."""
        builder, doubles = self._builder, ir.VectorType(DOUBLE, size)
        before = builder.block
        head = builder.append_basic_block("walk")
        inside = builder.append_basic_block("walk_some")
        after = builder.append_basic_block("walked")
        builder.branch(head)
        builder.position_at_end(head)
        i, total = builder.phi(INT64), builder.phi(doubles)
        i.add_incoming(begin, before)
        total.add_incoming(_filled(doubles, 0.0), before)
        following = builder.add(i, INT64(size))
        builder.cbranch(builder.icmp_signed("<=", following, length), inside, after)
        builder.position_at_end(inside)
        new = body(i, self._loaded(builder.gep(pointer, [i]), size), total)
        i.add_incoming(following, builder.block)
        total.add_incoming(new, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return i, total

    def _larger(self, a: Any, b: Any) -> Any:
        return self._builder.select(self._builder.fcmp_ordered(">", a, b), a, b)

    def _size(self, a: Any) -> Any:
        """Return the absolute value."""
        builder = self._builder
        return builder.select(
            builder.fcmp_ordered("<", a, ir.Constant(a.type, None)), builder.fneg(a), a
        )

    def _vector(self, numbers: list[Any]) -> Any:
        """Return scalars side by side."""
        vector = ir.Constant(ir.VectorType(DOUBLE, len(numbers)), ir.Undefined)
        for k, number in enumerate(numbers):
            vector = self._builder.insert_element(vector, number, INT32(k))
        return vector

    def _loaded(self, pointer: Any, size: int) -> Any:
        """Return numbers that follow each other in memory, as a vector of doubles."""
        builder, kind = self._builder, ir.VectorType(pointer.type.pointee, size)
        some = builder.load(builder.bitcast(pointer, kind.as_pointer()))
        single = kind.element == FLOAT
        some.align = 4 if single else 8
        return builder.fpext(some, ir.VectorType(DOUBLE, size)) if single else some


def _filled(kind: Any, value: float) -> Any:
    """Return the constant with a number in every lane."""
    return ir.Constant(kind, [value] * kind.count)
