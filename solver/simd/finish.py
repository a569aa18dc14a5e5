"""What the normal equations say at the end: covariances of many curves, one in each lane.

    cov = scale L⁻ᵀ diag(1/d) L⁻¹,    JᵀJ = L diag(d) Lᵀ

The smallest pivot relative to its diagonal, min_k d_k / (JᵀJ)_kk, tells how much of the inverse is
rounding: about 2e-16 / pivot of it. The kernel's caller decides what is good enough. Parameters
that lie on a bound are taken out first: their rows are zero, their standard errors NaN.

A standard error that is large beside its parameter is only pointed out here, see
`manyfit.solver.determinacy`.
"""

from typing import Any

from llvmlite import ir

from ..determinacy import AUDIBLE, SUSPICIOUS
from .lanes import DOUBLE, INT64, Lanes, Vec
from .machine import Machine
from .step import decomposed

ARRAYS = ("normal", "held", "scale", "data", "params", "cov", "stderr", "pivot", "suspicious")


def finish_text(n: int, machine: Machine) -> str:
    """Return a module whose ``finish(count, *ARRAYS)`` makes covariances.

    All arrays are float64 and C-contiguous, a row a curve: `normal` n(n+1)/2, the lower triangle of
    JᵀJ by rows; `held` n, not 0 for parameters on a bound; `scale` and `data` 1, what (JᵀJ)⁻¹ is
    multiplied with and the sum of squares of the data; `params` n. Written are `cov` n*n, `stderr`
    n, `pivot` 1, and `suspicious` 1, not 0 where a standard error is large beside its parameter.
    """
    module = ir.Module("manyfit")
    kind = ir.FunctionType(ir.VoidType(), [INT64, *[DOUBLE.as_pointer()] * len(ARRAYS)])
    function = ir.Function(module, kind, "finish")
    _Finish(n, machine, function).emit()
    return str(module)


class _Finish:
    """Emits the function: a register of curves at a time, the last ones with spare lanes."""

    def __init__(self, n: int, machine: Machine, function: Any) -> None:
        self._n = n
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
        columns = [factors.solve([lanes.real(float(i == j)) for i in range(n)]) for j in range(n)]
        return smallest, {(i, j): columns[j][i] for i in range(n) for j in range(i + 1)}

    def _get(self, name: str, size: int) -> list[Vec]:
        """Return the numbers of the rows of an array, each as a vector over the rows."""
        builder, array = self._builder, self._arrays[name]
        vectors = [ir.Constant(self._lanes.vector(DOUBLE), ir.Undefined)] * size
        for lane, row in enumerate(self._rows):
            begin = builder.gep(array, [builder.mul(row, INT64(size))])
            for k in range(size):
                number = builder.load(builder.gep(begin, [INT64(k)]))
                vectors[k] = builder.insert_element(vectors[k], number, ir.IntType(32)(lane))
        return [Vec(self._lanes, vector) for vector in vectors]

    def _put(self, name: str, values: list[Vec]) -> None:
        """Write the rows of an array, from a vector over the rows for each number."""
        builder, array = self._builder, self._arrays[name]
        for lane, row in enumerate(self._rows):
            begin = builder.gep(array, [builder.mul(row, INT64(len(values)))])
            for k, value in enumerate(values):
                number = builder.extract_element(value.ir, ir.IntType(32)(lane))
                builder.store(number, builder.gep(begin, [INT64(k)]))
