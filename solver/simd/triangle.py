"""A triangle in memory that takes up rows by orthogonal reflections: QR, a block of rows at a time.

    Q [ R  q ]   [ R'  q' ]
      [ B  c ] = [ 0   c' ]

Column after column, a reflection turns what the block has below the diagonal into the diagonal. The
condition number is never squared, and no row is stored longer than its block. The first row of a
reflection is had as a product with the unit vector, t' = (d t + bᵀc) / d': to subtract it from the
old one would lose it where rows differ by many orders, as the rows of a damped step do.

A block without weight leaves the triangle as it is, to the bit.

Source: Golub and Van Loan, Matrix Computations, 4th ed. (2013), sections 5.1 and 6.5.3.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

from llvmlite import ir

from .evenly import GROUP
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted, slot_of

Lower = dict[tuple[int, int], Vec]

ROWS = GROUP
"""Rows of a block: the elements of a column fill each other's pauses, and fit the registers."""


@dataclass(frozen=True, slots=True)
class Triangle:
    """Emits what is done with a triangle of n parameters, and a block of rows, in every lane.

    Attributes
    ----------
    lanes
        The emitter.
    n
        The number of parameters.
    rows
        Where the triangle is: n rows of n + 1 vectors, the right-hand side last.
    block
        Where the block is: n + 1 columns of `ROWS` vectors.
    """

    lanes: Lanes
    n: int
    rows: Any
    block: Any

    @classmethod
    def of(cls, lanes: Lanes, n: int) -> Self:
        """Make room."""
        return cls(lanes, n, slot_of(lanes, n * (n + 1)), slot_of(lanes, (n + 1) * ROWS))

    def at(self, lanes: Lanes) -> Self:
        """Return the same triangle for an emitter that writes at another place."""
        return replace(self, lanes=lanes)

    def clear(self) -> None:
        """Make the triangle zero."""
        self._zero(self.rows, self.n * (self.n + 1))

    def clear_block(self) -> None:
        """Make the block zero."""
        self._zero(self.block, (self.n + 1) * ROWS)

    def put(self, R: Lower, q: list[Vec]) -> None:
        """Write the triangle: `R` as its transpose, R[j, i] in row i and column j."""
        for (j, i), value in R.items():
            self.lanes.store(value, self._place(i, j))
        for i, value in enumerate(q):
            self.lanes.store(value, self._place(i, self.n))

    def get(self) -> tuple[Lower, list[Vec]]:
        """Return the triangle, transposed, and its right-hand side."""
        lanes, n = self.lanes, self.n
        R = {(j, i): lanes.load(self._place(i, j)) for j in range(n) for i in range(j + 1)}
        return R, [lanes.load(self._place(i, n)) for i in range(n)]

    def put_row(self, row: Any, column: int, value: Vec) -> None:
        """Write a number of the block; `row` may be known when the code runs."""
        place = self.lanes.builder.add(INT64(column * ROWS), row)
        self.lanes.store(value, self._at(self.block, place))

    def absorb(self, first: int = 0) -> None:
        """Take the block up; its columns before `first` are zero. It is spoilt then."""
        builder = self.lanes.builder
        function = _reflections(self.lanes, self.n)
        builder.call(function, [self.rows, self.block, INT64(first)])

    def _place(self, i: int, j: int) -> Any:
        return self._at(self.rows, INT64(i * (self.n + 1) + j))

    def _at(self, pointer: Any, vector: Any) -> Any:
        return _vector_at(self.lanes, pointer, vector)

    def _zero(self, pointer: Any, count: int) -> None:
        with counted(self.lanes.builder, INT64(count)) as (k, _):
            self.lanes.store(self.lanes.real(0.0), self._at(pointer, k))


def _vector_at(lanes: Lanes, pointer: Any, vector: Any) -> Any:
    """Return a pointer to a vector, by its number."""
    return lanes.builder.gep(pointer, [lanes.builder.mul(vector, INT64(lanes.width))])


def _reflections(whole: Lanes, n: int) -> Any:
    """Return the function ``reflections(triangle, block, first column)`` of a module.

    It stands apart, in loops, since it is called from several places and would be most of the code.
    """
    module, name = whole.builder.module, "reflections"
    if name in module.globals:
        return module.globals[name]
    kind = ir.FunctionType(ir.VoidType(), [DOUBLE.as_pointer(), DOUBLE.as_pointer(), INT64])
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    lanes = Lanes(builder, whole.width, whole.machine)
    first = function.args[2]
    with counted(builder, builder.sub(INT64(n), first)) as (k, _):
        _reflect(lanes, n, builder.add(first, k), *function.args[:2])
    builder.ret_void()
    return function


def _reflect(lanes: Lanes, n: int, k: Any, triangle: Any, block: Any) -> None:
    """Turn column k of the block into the diagonal of the triangle."""
    builder = lanes.builder

    def places(column: Any) -> tuple[Any, list[Any]]:
        head = builder.add(builder.mul(k, INT64(n + 1)), column)
        begin = builder.mul(column, INT64(ROWS))
        rows = [builder.add(begin, INT64(u)) for u in range(ROWS)]
        return _vector_at(lanes, triangle, head), [_vector_at(lanes, block, u) for u in rows]

    head, rows = places(k)
    d, b = lanes.load(head), [lanes.load(row) for row in rows]
    weight = _dot(lanes, b, b)
    none = weight == 0.0
    new = -lanes.copysign(lanes.sqrt(lanes.fma(d, d, weight)), d)
    by_new, by_rise = 1.0 / new, 1.0 / (d - new)
    lanes.store(lanes.where(none, d, new), head)
    with counted(builder, builder.sub(INT64(n), k)) as (j, _):
        head, rows = places(builder.add(builder.add(k, INT64(1)), j))
        t, c = lanes.load(head), [lanes.load(row) for row in rows]
        product = lanes.fma(d, t, _dot(lanes, b, c)) * by_new
        share = lanes.where(none, 0.0, (t - product) * by_rise)
        lanes.store(lanes.where(none, t, product), head)
        for row, old, component in zip(rows, c, b, strict=True):
            lanes.store(lanes.fma(-share, component, old), row)


def _dot(lanes: Lanes, a: list[Vec], b: list[Vec]) -> Vec:
    """Return the scalar product of columns, in two chains."""
    sums = [u * v for u, v in zip(a[:2], b[:2], strict=True)]
    for place, (u, v) in enumerate(zip(a[2:], b[2:], strict=True)):
        sums[place % 2] = lanes.fma(u, v, sums[place % 2])
    return sums[0] + sums[1]
