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
from .step import Decomposition, decomposed

ARRAYS = ("normal", "held", "scale", "data", "params", "cov", "stderr", "pivot", "suspicious")


def finish_text(n: int, machine: Machine, *, bounded: bool) -> str:
    """Return a module whose ``finish(count, *ARRAYS)`` makes covariances.

    All arrays are float64 and C-contiguous, a row a curve: `normal` n(n+1)/2, the lower triangle of
    JᵀJ by rows; `held` n, not 0 for parameters on a bound, read if `bounded`; `scale` and `data` 1,
    what (JᵀJ)⁻¹ is multiplied with and the sum of squares of the data; `params` n. Written are
    `cov` n*n, `stderr` n, `pivot` 1, and `suspicious` 1, not 0 where a standard error is large
    beside its parameter.
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
        smallest = lanes.real(1.0)
        for j in range(n):
            size = 1.0 / (factors.inverse[j] * rest[j, j])
            size = lanes.where(factors.inverse[j] > 0, size, 0.0)
            smallest = lanes.smaller(size, smallest)
        inverse: dict[tuple[int, int], Vec] = {}
        for j in range(n):
            inverse |= {(i, j): value for i, value in self._column(factors, j).items()}
        return smallest, inverse

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
        builder, lanes = self._builder, self._lanes
        slot, width = slot_of(lanes, size), lanes.width
        with self._over(name, size) as (k, places):
            vector = ir.Constant(lanes.vector(DOUBLE), ir.Undefined)
            for lane, place in enumerate(places):
                vector = builder.insert_element(vector, builder.load(place), ir.IntType(32)(lane))
            lanes.store(Vec(lanes, vector), builder.gep(slot, [builder.mul(k, INT64(width))]))
        return [lanes.load(builder.gep(slot, [INT64(k * width)])) for k in range(size)]

    def _put(self, name: str, values: list[Vec]) -> None:
        """Write the rows of an array, from a vector over the rows for each number."""
        builder, lanes = self._builder, self._lanes
        slot, width = slot_of(lanes, len(values)), lanes.width
        for k, value in enumerate(values):
            lanes.store(value, builder.gep(slot, [INT64(k * width)]))
        with self._over(name, len(values)) as (number, places):
            vector = lanes.load(builder.gep(slot, [builder.mul(number, INT64(width))]))
            for lane, place in enumerate(places):
                builder.store(builder.extract_element(vector.ir, ir.IntType(32)(lane)), place)

    @contextmanager
    def _over(self, name: str, size: int) -> Iterator[tuple[Any, list[Any]]]:
        """Emit a loop over the numbers of a row: gives which, and where it is of each lane.

        Unrolled, these copies of single numbers would be most of the code.
        """
        builder, array = self._builder, self._arrays[name]
        with counted(builder, INT64(size)) as (k, _):
            starts = (builder.mul(row, INT64(size)) for row in self._rows)
            yield k, [builder.gep(array, [builder.add(start, k)]) for start in starts]
