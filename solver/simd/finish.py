"""What the normal equations say at the end: covariances of many curves, one in each lane.

    cov = scale L⁻ᵀ diag(1/d) L⁻¹,    JᵀJ = L diag(d) Lᵀ

The smallest pivot relative to its diagonal, min_k d_k / (JᵀJ)_kk, tells how much of the inverse is
rounding: about 2e-16 / pivot of it. The kernel's caller decides what is good enough. Parameters
that lie on a bound are taken out first: their rows are zero, their standard errors NaN.

A standard error that is large beside its parameter is only pointed out here, see
`manyfit.solver.determinacy`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from ..determinacy import AUDIBLE, SUSPICIOUS
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted, slot_of
from .machine import Machine
from .slots import INT32
from .step import Decomposition, decomposed

ARRAYS = ("normal", "held", "scale", "data", "params", "cov", "stderr", "pivot", "suspicious")
_ONE_EACH = ("scale", "data", "pivot", "suspicious")


def finish_text(n: int, machine: Machine, *, bounded: bool) -> str:
    """Return a module whose ``finish(count, *ARRAYS)`` makes covariances.

    All arrays are float64 and C-contiguous, a row a curve: `normal` n(n+1)/2, the lower triangle of
    JᵀJ by rows; `held` n, not 0 for parameters on a bound, read if `bounded`; `scale` and `data` 1,
    what (JᵀJ)⁻¹ is multiplied with and the sum of squares of the data; `params` n. Written are
    `cov` n*n, `stderr` n, `pivot` 1, and `suspicious` 1, not 0 where a standard error is large
    beside its parameter.

    Spare lanes repeat the last curve: `scale` and `data` must go on with its numbers to a multiple
    of the machine's register, and `pivot` and `suspicious` have room for as many.
    """
    module = ir.Module("manyfit")
    kind = ir.FunctionType(ir.VoidType(), [INT64, *[DOUBLE.as_pointer()] * len(ARRAYS)])
    function = ir.Function(module, kind, "finish")
    _Finish(n, machine, function, bounded=bounded).emit()
    return str(module)


class _Finish:
    """Emits the function: a register of curves at a time, the last ones with spare lanes."""

    def __init__(self, n: int, machine: Machine, function: Any, *, bounded: bool) -> None:
        self._n, self._bounded = n, bounded
        self._count, *arrays = function.args
        self._arrays = dict(zip(ARRAYS, arrays, strict=True))
        self._builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._lanes = Lanes(self._builder, machine.register, machine)
        self._rows: list[Any] = []

    def emit(self) -> None:
        """Emit the loop over the curves."""
        builder, width = self._builder, self._lanes.width
        entry = builder.block
        head = builder.append_basic_block("curves")
        body = builder.append_basic_block("some_curves")
        after = builder.append_basic_block("done")
        builder.branch(head)
        builder.position_at_end(head)
        first = builder.phi(INT64)
        first.add_incoming(INT64(0), entry)
        builder.cbranch(builder.icmp_signed("<", first, self._count), body, after)
        builder.position_at_end(body)
        last = builder.sub(self._count, INT64(1))
        rows = [builder.add(first, INT64(lane)) for lane in range(width)]
        self._rows = [
            builder.select(builder.icmp_signed("<", row, last), row, last) for row in rows
        ]
        self._some_curves()
        first.add_incoming(builder.add(first, INT64(width)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        builder.ret_void()

    def _some_curves(self) -> None:
        """Emit what is done for a register of curves."""
        lanes, n = self._lanes, self._n
        places = [(i, j) for i in range(n) for j in range(i + 1)]
        A = dict(zip(places, self._get("normal", len(places)), strict=True))
        held = [lanes.real(0.0) != 0.0] * n
        if self._bounded:
            held = [value != 0.0 for value in self._get("held", n)]
        pivot, inverse = self._inverse(A, held)
        self._put("pivot", [pivot])

        (scale,), (data,) = self._get("scale", 1), self._get("data", 1)
        rise = lanes.larger(data * (AUDIBLE * AUDIBLE), scale)
        suspicious, stderr = lanes.real(0.0) > 0.0, []
        for j, value in enumerate(self._get("params", n)):
            variance, limit = inverse[j, j], SUSPICIOUS * SUSPICIOUS * value * value
            suspicious = suspicious | ((variance * rise > limit) & ~held[j])
            root = lanes.sqrt(variance * scale)
            stderr.append(lanes.where(held[j], float("nan"), root))
        self._put("suspicious", [lanes.to_real(suspicious)])
        self._put("stderr", stderr)
        scaled = {
            (i, j): lanes.where(held[i] | held[j], 0.0, value * scale)
            for (i, j), value in inverse.items()
        }
        self._put("cov", [scaled[max(i, j), min(i, j)] for i in range(n) for j in range(n)])

    def _inverse(
        self, A: dict[tuple[int, int], Vec], held: list[Vec]
    ) -> tuple[Vec, dict[tuple[int, int], Vec]]:
        """Return the smallest relative pivot and the lower triangle of the inverse."""
        lanes, n = self._lanes, self._n
        rest = {
            (i, j): lanes.where(held[i], 1.0, value)
            if i == j
            else lanes.where(held[i] | held[j], 0.0, value)
            for (i, j), value in A.items()
        }
        factors = decomposed(lanes, rest, n)
        largest = lanes.real(1.0)  # of 1 / pivot: one division will do
        for j in range(n):
            size = factors.inverse[j] * rest[j, j]
            size = lanes.where(factors.inverse[j] > 0, size, float("inf"))
            largest = lanes.larger(size, largest)
        inverse: dict[tuple[int, int], Vec] = {}
        for j in range(n):
            inverse |= {(i, j): value for i, value in self._column(factors, j).items()}
        return 1.0 / largest, inverse

    def _column(self, factors: Decomposition, j: int) -> dict[int, Vec]:
        """Return a column of the inverse from the diagonal down, by row: above it is symmetric."""
        L, n = factors.L, self._n
        z = {j: self._lanes.real(1.0)}
        for i in range(j + 1, n):
            z[i] = self._lanes.real(0.0)
            for k in range(j, i):
                z[i] = z[i] - L[i, k] * z[k]
        p = {i: value * factors.inverse[i] for i, value in z.items()}
        for i in reversed(range(j, n)):
            for k in range(i + 1, n):
                p[i] = p[i] - L[k, i] * p[k]
        return p

    def _get(self, name: str, size: int) -> list[Vec]:
        """Return the numbers of the rows of an array, each as a vector over the rows."""
        if name in _ONE_EACH:
            return [self._lanes.load(self._firsts(name))]
        builder, lanes, width = self._builder, self._lanes, self._lanes.width
        slot = slot_of(lanes, size)
        with self._over(name, size) as (begin, places):
            rows = [_widened(builder, builder.load(place, align=8), width) for place in places]
            for k, column in enumerate(_transposed(builder, rows)[:size]):
                lanes.store(Vec(lanes, column), self._room(slot, builder.add(begin, INT64(k))))
        return [lanes.load(self._room(slot, INT64(k))) for k in range(size)]

    def _put(self, name: str, values: list[Vec]) -> None:
        """Write the rows of an array, from a vector over the rows for each number."""
        if name in _ONE_EACH:
            self._lanes.store(values[0], self._firsts(name))
            return
        builder, lanes, width = self._builder, self._lanes, self._lanes.width
        slot = slot_of(lanes, max(len(values), width))
        for k, value in enumerate(values):
            lanes.store(value, self._room(slot, INT64(k)))
        with self._over(name, len(values)) as (begin, places):
            rooms = [self._room(slot, builder.add(begin, INT64(k))) for k in range(width)]
            rows = _transposed(builder, [lanes.load(room).ir for room in rooms])
            for place, row in zip(places, rows, strict=True):
                builder.store(_widened(builder, row, min(len(values), width)), place, align=8)

    def _room(self, slot: Any, number: Any) -> Any:
        """Return a pointer to the vector of a number."""
        return self._builder.gep(slot, [self._builder.mul(number, INT64(self._lanes.width))])

    def _firsts(self, name: str) -> Any:
        """Return a pointer to the first row's number of an array with one a row."""
        return self._builder.gep(self._arrays[name], [self._rows[0]])

    @contextmanager
    def _over(self, name: str, size: int) -> Iterator[tuple[Any, list[Any]]]:
        """Emit a loop over the numbers of a row, as many at a time as a register holds.

        Gives the first of them, and a pointer to them for each lane; the last ones may overlap
        those before. Unrolled, these copies would be most of the code.
        """
        builder, width = self._builder, self._lanes.width
        together = min(size, width)
        kind = ir.VectorType(DOUBLE, together).as_pointer()
        with counted(builder, INT64(-(-size // together))) as (k, _):
            begin, last = builder.mul(k, INT64(together)), INT64(size - together)
            begin = builder.select(builder.icmp_signed("<", begin, last), begin, last)
            starts = [builder.add(builder.mul(row, INT64(size)), begin) for row in self._rows]
            places = [builder.gep(self._arrays[name], [start]) for start in starts]
            yield begin, [builder.bitcast(place, kind) for place in places]


def _widened(builder: Any, vector: Any, size: int) -> Any:
    """Return a vector with so many lanes: some are left out, or what is in them does not matter."""
    if vector.type.count == size:
        return vector
    places = [min(k, vector.type.count - 1) for k in range(size)]
    kind = ir.VectorType(INT32, size)
    return builder.shuffle_vector(vector, vector, ir.Constant(kind, places))


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return as many vectors, the k-th of which has the k-th lane of each of the rows.

    Blocks off the diagonal change places, of one lane first, then of two, then of four.
    """
    size, kind = len(rows), ir.VectorType(INT32, len(rows))
    block = 1
    while block < size:
        left = [lane if not lane & block else size + lane - block for lane in range(size)]
        right = [lane + block if not lane & block else size + lane for lane in range(size)]
        rows = [
            builder.shuffle_vector(row, rows[k + block], ir.Constant(kind, left))
            if not k & block
            else builder.shuffle_vector(rows[k - block], row, ir.Constant(kind, right))
            for k, row in enumerate(rows)
        ]
        block *= 2
    return rows
