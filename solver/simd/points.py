"""The pass over the points: rᵀr, Jᵀr and JᵀJ of the curves in the lanes, in one loop.

Values, derivatives and sums stay in registers; neither residuals nor Jacobian are ever stored.
Data stand in buffers with the lanes side by side, ``buffer[i * width + lane]``, or, where all
curves share a predictor, in one array. The lanes of one register have a loop of their own, which
takes several points at a time: the values of a point are a chain of dependent instructions, and
the chains of several points fill each other's pauses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ..graph.nodes import Node
from .expressions import Expressions
from .factors import Factors
from .lanes import DOUBLE, INT64, Lanes, Vec
from .sums import Sums

TOGETHER = (4, 2, 1)
"""Points at a time, as long as so many are left: their number hides the latency of exp and its like
behind other points, to the last ones."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where the points are, as LLVM values.

    Attributes
    ----------
    y
        Buffer of the values.
    predictors
        A buffer each, or an array shared by all curves.
    shared
        Which of the predictors are shared.
    weight
        Buffer of 1/sigma, or None: all ones.
    lengths
        Vector of the numbers of points as doubles, or None: all lanes have `length` points.
    length
        The largest number of points, a scalar.
    """

    y: Any
    predictors: tuple[Any, ...]
    shared: tuple[bool, ...]
    weight: Any
    lengths: Vec | None
    length: Any


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal equations: JᵀJ, its lower triangle by (row, column), Jᵀr and rᵀr."""

    A: dict[tuple[int, int], Vec]
    g: list[Vec]
    rr: Vec


def normal_equations(lanes: Lanes, sums: Sums, leaf: Callable[[Node], Vec], data: Data) -> Normal:
    """Emit the pass.

    Parameters
    ----------
    lanes
        The emitter of the vectors of the result.
    sums
        What is summed.
    leaf
        Gives the value of a parameter or constant.
    data
        Where the points are.
    """
    size = lanes.machine.register
    parts = [_Part(lanes, sums, leaf, data, first).emit() for first in range(0, lanes.width, size)]
    joined = [lanes.joined([part[k] for part in parts]) for k in range(len(parts[0]))]
    n = len(sums.columns)
    places = [(i, j) for i in range(n) for j in range(i + 1)]
    A = dict(zip(places, joined, strict=False))
    return Normal(A, joined[len(places) : -1], joined[-1])


class _Part:
    """Emits the loops for as many lanes as a register holds."""

    def __init__(
        self, whole: Lanes, sums: Sums, leaf: Callable[[Node], Vec], data: Data, first: int
    ) -> None:
        self._whole, self._sums, self._data, self._leaf = whole, sums, data, leaf
        self._first = first

    def emit(self) -> list[Vec]:
        """Emit the loops; return the lower triangle of JᵀJ by rows, Jᵀr and rᵀr."""
        lanes = self._whole.narrowed(self._whole.machine.register)
        totals = [lanes.real(0.0)] * self._sums.count
        i = ir.Constant(INT64, 0)
        for together in TOGETHER:
            loop = _Loop(self._whole, self._sums, self._leaf, self._data, self._first, together)
            i, totals = loop.emit(i, totals)
        return self._assembled(loop.coefficients(), totals)

    def _assembled(self, coefficients: list[Vec], totals: list[Vec]) -> list[Vec]:
        """Return JᵀJ and Jᵀr from the sums over cores, and rᵀr."""
        sums = self._sums
        by_pair = dict(zip(sums.pairs, totals, strict=False))
        by_core = dict(zip(sums.cores, totals[len(sums.pairs) :], strict=False))
        factors = sums.factors

        def scaled(total: Vec, *steady: int) -> Vec:
            for j in steady:
                if factors[j].steady != Factors():
                    total = total * coefficients[j]
            return total

        lower = [
            scaled(by_pair[factors[i].core * factors[j].core], i, j)
            for i in range(len(factors))
            for j in range(i + 1)
        ]
        return [*lower, *(scaled(by_core[f.core], j) for j, f in enumerate(factors)), totals[-1]]


class _Loop:
    """Emits a loop over the points that takes `together` points at a time.

    The values of these points stand side by side in one vector, so that the processor has
    independent work at every instruction; the sums are one register each.
    """

    def __init__(
        self,
        whole: Lanes,
        sums: Sums,
        leaf: Callable[[Node], Vec],
        data: Data,
        first: int,
        together: int,
    ) -> None:
        self._whole, self._sums, self._data, self._leaf_of_lanes = whole, sums, data, leaf
        self._first, self._together = first, together
        function, size = whole.builder.function, whole.machine.register
        self._one = whole.narrowed(size)
        self._before = whole.narrowed(size * together)
        self._head = function.append_basic_block("points")
        self._body = function.append_basic_block("point")
        self._after = function.append_basic_block("points_done")
        self._inside = Lanes(ir.IRBuilder(self._body), size * together, whole.machine)
        self._parameters: dict[Node, Vec] = {}
        roots = (sums.root, *sums.columns)
        self._values = Expressions(self._before, self._inside, self._leaf, sums.factoring, roots)

    def emit(self, start: Any, totals: list[Vec]) -> tuple[Any, list[Vec]]:
        """Emit the loop from point `start` on; return where it stopped, and the sums."""
        outside = self._whole.builder
        test = ir.IRBuilder(self._head)
        self._i = test.phi(INT64)
        running = [Vec(self._inside_one(), test.phi(total.ir.type)) for total in totals]
        following = test.add(self._i, INT64(self._together))
        test.cbranch(test.icmp_signed("<=", following, self._data.length), self._body, self._after)
        new = self._point(running)
        end = self._inside.builder.block
        self._inside.builder.branch(self._head)
        self.coefficients()
        entry = outside.block
        outside.branch(self._head)
        self._i.add_incoming(start, entry)
        self._i.add_incoming(following, end)
        for phi, old, value in zip(running, totals, new, strict=True):
            phi.ir.add_incoming(old.ir, entry)
            phi.ir.add_incoming(value.ir, end)
        outside.position_at_end(self._after)
        return self._i, [Vec(self._one, total.ir) for total in running]

    def coefficients(self) -> list[Vec]:
        """Return the steady factors of the columns, in the lanes of one register."""
        size = self._one.width
        return [
            self._before.split(self._values.coefficient(f.steady), size)[0]
            for f in self._sums.factors
        ]

    def _inside_one(self) -> Lanes:
        return self._inside.narrowed(self._one.width)

    def _point(self, totals: list[Vec]) -> list[Vec]:
        """Emit what is done at one point: the sums with the point's terms added."""
        sums = self._sums
        weigh = self._weighing()
        r = weigh(self._residual())
        v = {core: weigh(self._values.product(core)) for core in sums.cores if core.powers}
        one = weigh(self._inside.real(1.0))
        unweighted = self._data.weight is None and self._data.lengths is None
        terms = [(left, v.get(right, one), right) for left, right in sums.pairs.values()]
        terms += [(core, r, core) for core in sums.cores]
        new = []
        for total, (left, factor, right) in zip(totals, terms, strict=False):
            if unweighted and not left.powers:
                new.append(self._plus(total, factor))
            elif unweighted and not right.powers:
                new.append(self._plus(total, v[left]))
            else:
                new.append(self._plus(total, v.get(left, one), factor))
        new.append(self._plus(totals[-1], r, r))
        return new

    def _weighing(self) -> Callable[[Vec], Vec]:
        """Return what gives a value its weight, and makes it 0 beyond the end of a curve."""
        lanes, data = self._inside, self._data
        weight = None if data.weight is None else self._buffer(data.weight)
        inside = self._is_inside()

        def weigh(value: Vec) -> Vec:
            value = value if weight is None else value * weight
            return value if inside is None else lanes.where(inside, value, 0.0)

        return weigh

    def _plus(self, total: Vec, left: Vec, right: Vec | None = None) -> Vec:
        """Add left * right, or left, to a sum: one point after the other."""
        lanes, size = self._inside_one(), self._one.width
        if right is None:
            for part in self._inside.split(left, size):
                total = total + part
            return total
        parts = (self._inside.split(value, size) for value in (left, right))
        for a, b in zip(*parts, strict=True):
            total = lanes.fma(a, b, total)
        return total

    def _residual(self) -> Vec:
        """Emit model - y; a steady last term of the model meets y first."""
        root, values = self._sums.root, self._values
        y = self._buffer(self._data.y)
        if root.op == "add" and root.varies:
            for term, rest in (root.args, root.args[::-1]):
                if term.varies and not rest.varies:
                    return values.plus(term, Vec(self._inside, values.value(rest).ir) - y)
        return values.plus(root, -y)

    def _is_inside(self) -> Vec | None:
        """Emit whether the points belong to the lanes' curves; None where all are equally long."""
        if self._data.lengths is None:
            return None
        builder = self._inside.builder
        one = self._inside_one()
        i = [
            one.spread(builder.sitofp(builder.add(self._i, INT64(u)), DOUBLE))
            for u in range(self._together)
        ]
        return self._inside.joined(i) < self._repeated(self._data.lengths)

    def _leaf(self, node: Node) -> Vec:
        """Return the value of a name: a predictor's at the points, others' before the loop."""
        if node.op == "predictor":
            return self._predictor(node.name)
        if node not in self._parameters:
            self._parameters[node] = self._repeated(self._leaf_of_lanes(node))
        return self._parameters[node]

    def _predictor(self, name: str) -> Vec:
        place = self._sums.predictors.index(name)
        pointer = self._data.predictors[place]
        if not self._data.shared[place]:
            return self._buffer(pointer)
        builder, one = self._inside.builder, self._inside_one()
        places = [builder.add(self._i, INT64(u)) for u in range(self._together)]
        return self._inside.joined(
            [one.spread(builder.load(builder.gep(pointer, [i]))) for i in places]
        )

    def _buffer(self, pointer: Any) -> Vec:
        """Load the points of the lanes from a buffer."""
        builder, one, width = self._inside.builder, self._inside_one(), self._whole.width
        offset = builder.mul(self._i, INT64(width))
        places = [
            builder.add(offset, INT64(u * width + self._first)) for u in range(self._together)
        ]
        return self._inside.joined([one.load(builder.gep(pointer, [i])) for i in places])

    def _repeated(self, value: Vec) -> Vec:
        """Return the lanes of this part, once for each point."""
        size = self._one.width
        part = self._whole.split(value, size)[self._first // size]
        return self._before.joined([part] * self._together)
