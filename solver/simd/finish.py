"""What the normal equations say at the end: covariances of many curves, one in each lane.

    cov = scale L⁻ᵀ diag(1/d) L⁻¹,    JᵀJ = L diag(d) Lᵀ

The smallest pivot relative to its diagonal, min_k d_k / (JᵀJ)_kk, tells how much of the inverse is
rounding: about 2e-16 / pivot of it. Parameters that lie on a bound are taken out first: their rows
are zero, their standard errors NaN. A standard error that is large beside its parameter is only
pointed out here, see `manyfit.solver.determinacy`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Self

from llvmlite import ir

from ..determinacy import AUDIBLE, SUSPICIOUS
from .estimates import fast_lanes
from .lanes import DOUBLE, INT64, Vec
from .loops import counted, slot_of
from .machine import Machine
from .slots import INT8, INT32, Arguments
from .specification import Specification
from .step import Decomposition, decomposed
from .subnormals import LEAST_SQUARES

_LEAST_PIVOT = 1e-7
"""Relative pivot of JᵀJ below which QR takes over: half of the digits of a step are lost, and a
search along the floor of a valley ends too early."""


class Verdict(IntEnum):
    """What becomes of a curve's covariance: worse ones have higher numbers."""

    GOOD = 0
    DOUBTFUL = auto()
    """A standard error is large beside its parameter."""
    ILL_CONDITIONED = auto()
    """The normal equations have lost too many digits."""
    LOST = auto()
    """There is no finite sum of squares."""


class FinishArgument(IntEnum):
    """Places in the array of 64-bit integers that the function is called with.

    The lower triangles of JᵀJ come in one block, and with each the row of its curve in all other
    arrays.
    """

    NORMAL = 0
    ROWS = auto()
    COST = auto()
    YY = auto()
    DOF = auto()
    PARAMS = auto()
    LOWER = auto()
    UPPER = auto()
    COV = auto()
    STDERR = auto()
    VERDICT = auto()


@dataclass(frozen=True, slots=True)
class Finish:
    """What covariances are made for.

    Attributes
    ----------
    n_params
        The parameters of the model.
    free
        Which of them are fitted: the rows of the others are zero.
    bounded
        Whether there are bounds.
    absolute
        Whether sigma is absolute; else covariances are scaled by redchi.
    """

    n_params: int
    free: tuple[int, ...]
    bounded: bool
    absolute: bool

    @classmethod
    def of(cls, specification: Specification, *, absolute: bool) -> Self:
        """Return what finishes the curves of a kernel."""
        params = specification.graph.params
        free = tuple(params.index(name) for name in specification.free)
        return cls(len(params), free, specification.bounded, absolute)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells functions for one machine apart."""
        return ("finish", self.n_params, self.free, self.bounded, self.absolute)


def finish_text(finish: Finish, machine: Machine) -> str:
    """Return a module whose ``finish(count, arguments)`` writes covariances: `FinishArgument`.

    Arrays are C-contiguous, float64 where nothing else is said, a row a curve. Read are `NORMAL`
    n(n+1)/2, the lower triangle by rows, and `ROWS` int64, both in the order of the call; and by
    `ROWS` `COST` 1, `YY` 1, the sum of squares of the data, `DOF` int32, `PARAMS` n_params. `LOWER`
    and `UPPER` are the bounds, n. Written are `COV` n_params * n_params, `STDERR` n_params and
    `VERDICT` int8, a `Verdict`.
    """
    module = ir.Module("manyfit")
    kind = ir.FunctionType(ir.VoidType(), [INT64, INT64.as_pointer()])
    _Finish(finish, machine, ir.Function(module, kind, "finish")).emit()
    return str(module)


class _Finish:
    """Emits the function: a register of curves at a time, spare lanes repeat the last one."""

    def __init__(self, finish: Finish, machine: Machine, function: Any) -> None:
        self._finish, self._n = finish, len(finish.free)
        self._builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._lanes = fast_lanes(self._builder, machine.register, machine)
        self._count = function.args[0]
        self._arguments = arguments = Arguments(self._lanes, function.args[1], self._n)
        self._lower, self._upper = (
            arguments.spread(bound) if finish.bounded else []
            for bound in (FinishArgument.LOWER, FinishArgument.UPPER)
        )
        self._places: list[Any] = []
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
        places = [builder.add(first, INT64(lane)) for lane in range(width)]
        self._places = [
            builder.select(builder.icmp_signed("<", place, last), place, last) for place in places
        ]
        rows = self._arguments.pointer(FinishArgument.ROWS, INT64)
        self._rows = [builder.load(builder.gep(rows, [place])) for place in self._places]
        self._some_curves()
        first.add_incoming(builder.add(first, INT64(width)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        builder.ret_void()

    def _some_curves(self) -> None:
        """Emit what is done for a register of curves."""
        lanes, n, free = self._lanes, self._n, self._finish.free
        places = [(i, j) for i in range(n) for j in range(i + 1)]
        normal = self._get(FinishArgument.NORMAL, self._places, len(places))
        A = dict(zip(places, normal, strict=True))
        params = self._get(FinishArgument.PARAMS, self._rows, self._finish.n_params)
        x = [params[j] for j in free]
        held = [lanes.real(0.0) != 0.0] * n
        if self._finish.bounded:
            faces = zip(x, self._lower, self._upper, strict=True)
            held = [(v <= low) | (v >= high) for v, low, high in faces]
        pivot, inverse = self._inverse(A, held)

        cost, data = self._one_each(FinishArgument.COST), self._one_each(FinishArgument.YY)
        scale = self._scale(cost)
        rise = lanes.larger(data * (AUDIBLE * AUDIBLE), scale)
        doubtful, stderr = lanes.real(0.0) > 0.0, []
        for j, value in enumerate(x):
            variance, limit = inverse[j, j], SUSPICIOUS * SUSPICIOUS * value * value
            doubtful = doubtful | ((variance * rise > limit) & ~held[j])
            root = lanes.sqrt(variance * scale)
            stderr.append(lanes.where(held[j], float("nan"), root))
        scaled = {
            (i, j): lanes.where(held[i] | held[j], 0.0, value * scale)
            for (i, j), value in inverse.items()
        }
        self._put_verdict(cost, pivot, doubtful)
        whole = range(self._finish.n_params)
        place = {param: j for j, param in enumerate(free)}
        self._put(
            FinishArgument.STDERR,
            [stderr[place[k]] if k in place else lanes.real(float("nan")) for k in whole],
        )

        def entry(k: int, m: int) -> Vec:
            if k not in place or m not in place:
                return lanes.real(0.0)
            i, j = place[k], place[m]
            return scaled[max(i, j), min(i, j)]

        self._put(FinishArgument.COV, [entry(k, m) for k in whole for m in whole])

    def _scale(self, cost: Vec) -> Vec:
        """Return what (JᵀJ)⁻¹ is multiplied with: redchi, NaN without a degree of freedom."""
        lanes = self._lanes
        if self._finish.absolute:
            return lanes.real(1.0)
        dof = self._one_each(FinishArgument.DOF, INT32)
        return lanes.where(dof > 0, 2.0 * cost / dof, float("nan"))

    def _put_verdict(self, cost: Vec, pivot: Vec, doubtful: Vec) -> None:
        """Write the verdicts."""
        builder, lanes = self._builder, self._lanes
        verdict = lanes.where(doubtful, float(Verdict.DOUBTFUL), lanes.real(float(Verdict.GOOD)))
        ill = ~(pivot >= _LEAST_PIVOT)
        verdict = lanes.where(ill, float(Verdict.ILL_CONDITIONED), verdict)
        verdict = lanes.where(cost < float("inf"), verdict, float(Verdict.LOST))
        codes = builder.fptosi(verdict.ir, lanes.vector(INT8))
        target = self._arguments.pointer(FinishArgument.VERDICT, INT8)
        for lane, row in enumerate(self._rows):
            code = builder.extract_element(codes, INT32(lane))
            builder.store(code, builder.gep(target, [row]))

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
            whole = (factors.inverse[j] > 0) & (rest[j, j] > LEAST_SQUARES)
            size = lanes.where(whole, size, float("inf"))
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

    def _one_each(self, array: FinishArgument, kind: Any = DOUBLE) -> Vec:
        """Return the curves' numbers in an array with one a row, as doubles."""
        builder, lanes = self._builder, self._lanes
        source = self._arguments.pointer(array, kind)
        vector = ir.Constant(lanes.vector(kind), ir.Undefined)
        for lane, row in enumerate(self._rows):
            number = builder.load(builder.gep(source, [row]))
            vector = builder.insert_element(vector, number, INT32(lane))
        if kind != DOUBLE:
            vector = builder.sitofp(vector, lanes.vector(DOUBLE))
        return Vec(lanes, vector)

    def _get(self, array: FinishArgument, rows: list[Any], size: int) -> list[Vec]:
        """Return the numbers of some rows of an array, each as a vector over the rows."""
        builder, lanes, width = self._builder, self._lanes, self._lanes.width
        slot = slot_of(lanes, size)
        with self._over(array, rows, size) as (begin, places):
            some = [_widened(builder, builder.load(place, align=8), width) for place in places]
            for k, column in enumerate(_transposed(builder, some)[:size]):
                lanes.store(Vec(lanes, column), self._room(slot, builder.add(begin, INT64(k))))
        return [lanes.load(self._room(slot, INT64(k))) for k in range(size)]

    def _put(self, array: FinishArgument, values: list[Vec]) -> None:
        """Write the curves' rows of an array, from a vector over the rows for each number."""
        builder, lanes, width = self._builder, self._lanes, self._lanes.width
        slot = slot_of(lanes, max(len(values), width))
        for k, value in enumerate(values):
            lanes.store(value, self._room(slot, INT64(k)))
        with self._over(array, self._rows, len(values)) as (begin, places):
            rooms = [self._room(slot, builder.add(begin, INT64(k))) for k in range(width)]
            rows = _transposed(builder, [lanes.load(room).ir for room in rooms])
            for place, row in zip(places, rows, strict=True):
                builder.store(_widened(builder, row, min(len(values), width)), place, align=8)

    def _room(self, slot: Any, number: Any) -> Any:
        """Return a pointer to the vector of a number."""
        return self._builder.gep(slot, [self._builder.mul(number, INT64(self._lanes.width))])

    @contextmanager
    def _over(
        self, array: FinishArgument, rows: list[Any], size: int
    ) -> Iterator[tuple[Any, list[Any]]]:
        """Emit a loop over the numbers of a row, as many at a time as a register holds.

        Gives the first of them, and a pointer to them for each lane; the last ones may overlap
        those before. Unrolled, these copies would be most of the code.
        """
        builder, width = self._builder, self._lanes.width
        together = min(size, width)
        kind = ir.VectorType(DOUBLE, together).as_pointer()
        numbers = self._arguments.pointer(array)
        with counted(builder, INT64(-(-size // together))) as (k, _):
            begin, last = builder.mul(k, INT64(together)), INT64(size - together)
            begin = builder.select(builder.icmp_signed("<", begin, last), begin, last)
            starts = [builder.add(builder.mul(row, INT64(size)), begin) for row in rows]
            places = [builder.gep(numbers, [start]) for start in starts]
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
