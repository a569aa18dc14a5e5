"""Vectors of lanes: LLVM values that are written like NumPy arrays.

A `Lanes` emits instructions into a block of a function; a `Vec` is a value in it, one double (or
truth value, or 64-bit integer) a lane. Functions that are written over an array namespace, as those
in `manyfit.solver.trust_region`, take a `Lanes` in place of NumPy. Nothing here ever mixes lanes.

No instruction carries a fast-math flag: what is written is what is computed, in that order, and
`fma` is written out where it is meant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import copysign
from typing import Any, TypeAlias

from llvmlite import ir

from .machine import Machine

DOUBLE, INT64, BOOL = ir.DoubleType(), ir.IntType(64), ir.IntType(1)

Operand: TypeAlias = "Vec | float"


@dataclass(frozen=True, slots=True, eq=False)
class Vec:
    """A value a lane; `ir` is LLVM's value, of type <width x double>, <width x i64> or i1.

    Arithmetic takes numbers for vectors that hold them in every lane. Comparisons are false for
    NaN, but ``!=`` is true, as in NumPy. On truth values ``& | ~`` are logical.
    """

    lanes: "Lanes"
    ir: Any

    @property
    def element(self) -> Any:
        """LLVM's type of a lane."""
        return self.ir.type.element

    def __add__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("add", self, other)

    def __radd__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("add", other, self)

    def __sub__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("sub", self, other)

    def __rsub__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("sub", other, self)

    def __mul__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("mul", self, other)

    def __rmul__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("mul", other, self)

    def __truediv__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("div", self, other)

    def __rtruediv__(self, other: Operand) -> "Vec":
        return self.lanes.arithmetic("div", other, self)

    def __neg__(self) -> "Vec":
        builder = self.lanes.builder
        return Vec(
            self.lanes,
            builder.fneg(self.ir) if self.element == DOUBLE else builder.neg(self.ir),
        )

    def __lt__(self, other: Operand) -> "Vec":
        return self.lanes.compare("<", self, other)

    def __le__(self, other: Operand) -> "Vec":
        return self.lanes.compare("<=", self, other)

    def __gt__(self, other: Operand) -> "Vec":
        return self.lanes.compare(">", self, other)

    def __ge__(self, other: Operand) -> "Vec":
        return self.lanes.compare(">=", self, other)

    def __eq__(self, other: object) -> "Vec":  # type: ignore[override]
        return self.lanes.compare("==", self, other)

    def __ne__(self, other: object) -> "Vec":  # type: ignore[override]
        return self.lanes.compare("!=", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Operand) -> "Vec":
        return self.lanes.bitwise("and_", self, other)

    def __or__(self, other: Operand) -> "Vec":
        return self.lanes.bitwise("or_", self, other)

    def __xor__(self, other: Operand) -> "Vec":
        return self.lanes.bitwise("xor", self, other)

    def __invert__(self) -> "Vec":
        return Vec(self.lanes, self.lanes.builder.not_(self.ir))

    def __lshift__(self, bits: int) -> "Vec":
        return self.lanes.bitwise("shl", self, bits)

    def __rshift__(self, bits: int) -> "Vec":
        """Shift integers right, keeping the sign."""
        return self.lanes.bitwise("ashr", self, bits)


@dataclass(frozen=True, slots=True)
class Lanes:
    """Emits instructions on vectors of `width` lanes; stands where NumPy stands in formulas.

    Attributes
    ----------
    builder
        Where instructions go.
    width
        Lanes of a vector: any multiple of the machine's register. Several registers to a vector
        let the processor work on one while the results of another are under way.
    machine
        What is compiled for.
    """

    builder: Any
    width: int
    machine: Machine

    # Values

    def vector(self, element: Any) -> Any:
        """Return LLVM's type of a vector."""
        return ir.VectorType(element, self.width)

    def real(self, value: Operand) -> Vec:
        """Return a number in every lane."""
        return value if isinstance(value, Vec) else self._constant(DOUBLE, float(value))

    def integer(self, value: "Vec | int") -> Vec:
        """Return a 64-bit integer in every lane."""
        return value if isinstance(value, Vec) else self._constant(INT64, int(value))

    def logical(self, value: "Vec | bool") -> Vec:
        """Return a truth value in every lane."""
        return value if isinstance(value, Vec) else self._constant(BOOL, int(value))

    def _constant(self, element: Any, value: float) -> Vec:
        return Vec(self, _splat(self.vector(element), value, copysign(1.0, value)))

    def like(self, value: Any, other: Vec) -> Vec:
        """Return a number as a vector of the same type as `other`."""
        return value if isinstance(value, Vec) else self._constant(other.element, value)

    def spread(self, scalar: Any) -> Vec:
        """Return a scalar LLVM value in every lane."""
        kind = self.vector(scalar.type)
        lane = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return Vec(self, self.builder.shuffle_vector(lane, lane, zeros))

    # Arithmetic

    def _pair(self, a: Any, b: Any) -> tuple[Vec, Vec]:
        if isinstance(a, Vec):
            return a, self.like(b, a)
        return self.like(a, b), b

    def arithmetic(self, name: str, a: Any, b: Any) -> Vec:
        """Emit add, sub, mul or div; integers have no div."""
        left, right = self._pair(a, b)
        prefix = "f" if left.element == DOUBLE else ""
        return Vec(self, getattr(self.builder, prefix + name)(left.ir, right.ir))

    def compare(self, op: str, a: Any, b: Any) -> Vec:
        """Emit a comparison."""
        left, right = self._pair(a, b)
        if left.element == DOUBLE:
            emit = self.builder.fcmp_unordered if op == "!=" else self.builder.fcmp_ordered
            return Vec(self, emit(op, left.ir, right.ir))
        return Vec(self, self.builder.icmp_signed(op, left.ir, right.ir))

    def bitwise(self, name: str, a: Any, b: Any) -> Vec:
        """Emit and_, or_, xor, shl or ashr."""
        left, right = self._pair(a, b)
        return Vec(self, getattr(self.builder, name)(left.ir, right.ir))

    def fma(self, a: Operand, b: Operand, c: Operand) -> Vec:
        """Return a * b + c: one rounding where the machine has it, else two."""
        if self.machine.fma:
            return self.call("llvm.fma", self.real(a), self.real(b), self.real(c))
        return self.real(a) * b + c

    def sqrt(self, a: Vec) -> Vec:
        """Return the square root."""
        return self.call("llvm.sqrt", a)

    def abs(self, a: Vec) -> Vec:
        """Return the absolute value."""
        return self.call("llvm.fabs", a)

    def copysign(self, size: Operand, sign: Operand) -> Vec:
        """Return |size| with the sign of `sign`."""
        return self.call("llvm.copysign", self.real(size), self.real(sign))

    def floor(self, a: Vec) -> Vec:
        """Round down."""
        return self.call("llvm.floor", a)

    def rint(self, a: Vec) -> Vec:
        """Round to nearest, halves to even."""
        return self.call("llvm.roundeven" if self.machine.name != "sse2" else "llvm.rint", a)

    # Choice

    def where(self, condition: Vec, a: Any, b: Any) -> Vec:
        """Return a where the condition holds, else b."""
        if not isinstance(a, Vec) and not isinstance(b, Vec):
            a = self.real(a)
        left, right = self._pair(a, b)
        return Vec(self, self.builder.select(condition.ir, left.ir, right.ir))

    def larger(self, a: Operand, b: Operand) -> Vec:
        """Return a where a > b, else b: one instruction, and b where one of them is NaN."""
        left, right = self._pair(a, b)
        return self.where(left > right, left, right)

    def smaller(self, a: Operand, b: Operand) -> Vec:
        """Return a where a < b, else b: one instruction, and b where one of them is NaN."""
        left, right = self._pair(a, b)
        return self.where(left < right, left, right)

    def maximum(self, a: Operand, b: Operand) -> Vec:
        """Return the larger one, NaN where one of them is NaN."""
        left, right = self._pair(a, b)
        return self.where((left > right) | (left != left), left, right)  # noqa: PLR0124

    def minimum(self, a: Operand, b: Operand) -> Vec:
        """Return the smaller one, NaN where one of them is NaN."""
        left, right = self._pair(a, b)
        return self.where((left < right) | (left != left), left, right)  # noqa: PLR0124

    # Bits

    def bits(self, a: Vec) -> Vec:
        """Return the bits of doubles as integers."""
        return Vec(self, self.builder.bitcast(a.ir, self.vector(INT64)))

    def from_bits(self, a: Vec) -> Vec:
        """Return integers as the doubles that have these bits."""
        return Vec(self, self.builder.bitcast(a.ir, self.vector(DOUBLE)))

    def shift_right_unsigned(self, a: Vec, bits: int) -> Vec:
        """Shift integers right, zeros coming in."""
        return self.bitwise("lshr", a, bits)

    def to_real(self, a: Vec) -> Vec:
        """Return integers as doubles, and truth values as 1 or 0."""
        if a.element == BOOL:
            return self.where(a, 1.0, 0.0)
        return Vec(self, self.builder.sitofp(a.ir, self.vector(DOUBLE)))

    # Calls and parts

    def call(self, intrinsic: str, *args: Vec) -> Vec:
        """Call an LLVM intrinsic that takes and returns vectors of one type."""
        kind = args[0].ir.type
        letter = "f" if args[0].element == DOUBLE else "i"
        name = f"{intrinsic}.v{self.width}{letter}64"
        function = self.declared(name, kind, *[kind] * len(args))
        return Vec(self, self.builder.call(function, [a.ir for a in args]))

    def declared(self, name: str, result: Any, *args: Any) -> Any:
        """Return a function of the module by name, declared if it is not there yet."""
        module = self.builder.module
        if name in module.globals:
            return module.globals[name]
        return ir.Function(module, ir.FunctionType(result, args), name)

    # Memory

    def load(self, pointer: Any) -> Vec:
        """Return the doubles at a pointer to the first of them."""
        kind = self.vector(DOUBLE)
        value = self.builder.load(self.builder.bitcast(pointer, kind.as_pointer()))
        value.align = 8
        return Vec(self, value)

    def store(self, value: Vec, pointer: Any) -> None:
        """Write doubles to a pointer to the first of them."""
        place = self.builder.bitcast(pointer, self.vector(DOUBLE).as_pointer())
        self.builder.store(value.ir, place).align = 8

    # Control

    def when(
        self, condition: Vec, state: list[Vec], body: Callable[[list[Vec]], list[Vec]]
    ) -> list[Vec]:
        """Return ``body(state)`` if the condition holds in some lane, else the state as it is.

        The body must leave the lanes where the condition does not hold as they are.
        """
        builder = self.builder
        before = builder.block
        some = self.any(condition)
        inside = builder.function.append_basic_block("when")
        after = builder.function.append_basic_block("when_done")
        builder.cbranch(some, inside, after)
        builder.position_at_end(inside)
        new = body(state)
        end = builder.block
        builder.branch(after)
        builder.position_at_end(after)
        merged = []
        for old, value in zip(state, new, strict=True):
            phi = builder.phi(old.ir.type)
            phi.add_incoming(old.ir, before)
            phi.add_incoming(value.ir, end)
            merged.append(Vec(self, phi))
        return merged

    def iterate(
        self,
        state: list[Vec],
        body: Callable[[list[Vec]], tuple[list[Vec], Vec]],
        spared: Any = None,
    ) -> list[Vec]:
        """Repeat ``state, again = body(state)``, once at least, while `again` holds in some lane.

        The body must leave the lanes that do not take part as they are. With `spared`, a scalar
        integer, repeat while `again` holds in more lanes than that.
        """
        builder = self.builder
        before = builder.block
        head = builder.function.append_basic_block("iterate")
        builder.branch(head)
        builder.position_at_end(head)
        phis = [builder.phi(value.ir.type) for value in state]
        new, again = body([Vec(self, phi) for phi in phis])
        if spared is None:
            some = self.any(again)
        else:
            some = builder.icmp_unsigned(">", self.count(again), spared)
        end = builder.block
        after = builder.function.append_basic_block("iterate_done")
        builder.cbranch(some, head, after)
        for phi, old, value in zip(phis, state, new, strict=True):
            phi.add_incoming(old.ir, before)
            phi.add_incoming(value.ir, end)
        builder.position_at_end(after)
        return new

    def any(self, condition: Vec) -> Any:
        """Return a scalar i1: whether the condition holds in one of the lanes."""
        word = ir.IntType(self.width)
        packed = self.builder.bitcast(condition.ir, word)
        return self.builder.icmp_unsigned("!=", packed, ir.Constant(word, 0))

    def count(self, condition: Vec) -> Any:
        """Return in how many of the lanes the condition holds, a scalar 64-bit integer."""
        packed = self.builder.bitcast(condition.ir, ir.IntType(self.width))
        return self.builder.ctpop(self.builder.zext(packed, INT64))

    def largest_lane(self, a: Vec) -> Any:
        """Return the largest of all lanes as a scalar integer, rounded towards zero."""
        builder = self.builder
        whole = builder.fptosi(a.ir, self.vector(INT64))
        largest = builder.extract_element(whole, ir.IntType(32)(0))
        for lane in range(1, self.width):
            other = builder.extract_element(whole, ir.IntType(32)(lane))
            larger = builder.icmp_signed(">", other, largest)
            largest = builder.select(larger, other, largest)
        return largest

    def narrowed(self, width: int) -> "Lanes":
        """Return an emitter for vectors of another width at the same place."""
        return Lanes(self.builder, width, self.machine)

    def split(self, a: Vec, width: int) -> list[Vec]:
        """Return a vector as vectors of `width` lanes."""
        part = self.narrowed(width)
        if width == self.width:
            return [Vec(part, a.ir)]
        return [
            Vec(part, self._shuffle(a.ir, a.ir, range(first, first + width)))
            for first in range(0, self.width, width)
        ]

    def joined(self, parts: list[Vec]) -> Vec:
        """Return vectors side by side as one of this width."""
        values = [p.ir for p in parts]
        while len(values) > 1:
            size = values[0].type.count
            values = [
                self._shuffle(a, b, range(2 * size))
                for a, b in zip(values[::2], values[1::2], strict=True)
            ]
        return Vec(self, values[0])

    def by_register(self, emit: Callable[..., Vec], *args: Vec) -> Vec:
        """Apply `emit` to each register of the operands: for instructions of one fixed width."""
        size = self.machine.register
        columns = zip(*(self.split(a, size) for a in args), strict=True)
        return self.joined([emit(*column) for column in columns])

    def _shuffle(self, a: Any, b: Any, places: range) -> Any:
        return self.builder.shuffle_vector(a, b, _places(places))


@lru_cache(maxsize=1 << 12)
def _splat(kind: Any, value: float, _sign: float) -> Any:
    """Return the constant with a number in every lane, always the same one: it is printed once."""
    return ir.Constant(kind, [value] * kind.count)


@lru_cache(maxsize=1 << 8)
def _places(places: range) -> Any:
    """Return the constant that says which lanes to take, always the same one."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
