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
from .evenly import GROUP, Slopes, Strides, Table
from .expressions import Expressions
from .factors import Factors
from .lanes import DOUBLE, INT64, Lanes, Vec
from .sums import Sums

TOGETHER = (GROUP, 2, 1)
"""Points at a time, as long as so many are left: their number hides the latency of exp and its like
behind other points. A group is also what one exp serves where points lie evenly."""
_TOGETHER_IN_FEW = (4, 2, 1)
"""The same where each point has an exp of its own and there are 16 registers: what eight points
have under way does not fit, and fetching it back takes longer than waiting."""


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
    gaps
        Whether points of weight 0 do not count, whatever the model is there.
    lengths
        Vector of the numbers of points as doubles, or None: all lanes have `length` points.
    length
        The largest number of points, a scalar.
    steps
        For each predictor the step between its points, where they may lie evenly; else None.
    even
        In which lanes they do; None: in all.
    """

    y: Any
    predictors: tuple[Any, ...]
    shared: tuple[bool, ...]
    weight: Any
    gaps: bool
    lengths: Vec | None
    length: Any
    steps: tuple[Vec | None, ...]
    even: Vec | None


@dataclass(frozen=True, slots=True)
class Linear:
    """The linear least-squares problem at a point, in one of two forms, and rᵀr.

    Normal equations: `A` is JᵀJ, its lower triangle by (row, column), `g` is Jᵀr. Or a triangle, of
    J = QR: `A` is Rᵀ, `g` is Qᵀr.
    """

    A: dict[tuple[int, int], Vec]
    g: list[Vec]
    rr: Vec


def normal_equations(lanes: Lanes, sums: Sums, leaf: Callable[[Node], Vec], data: Data) -> Linear:
    """Emit the pass that sums JᵀJ, Jᵀr and rᵀr.

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
    parts = [Part(lanes, sums, leaf, data, first).emit() for first in range(0, lanes.width, size)]
    joined = [lanes.joined([part[k] for part in parts]) for k in range(len(parts[0]))]
    return linear(len(sums.columns), joined)


def linear(n: int, totals: list[Vec]) -> Linear:
    """Return what a pass has put together: a lower triangle by rows, n numbers, and rᵀr."""
    places = [(i, j) for i in range(n) for j in range(i + 1)]
    return Linear(dict(zip(places, totals, strict=False)), totals[len(places) : -1], totals[-1])


def _even_functions(sums: Sums, data: Data) -> dict[Node, Slopes]:
    """Return the functions that can be had along the points, for what may lie evenly."""
    steps = zip(sums.predictors, data.steps, strict=True)
    even = {name for name, step in steps if step is not None}
    return {node: s for node, s in sums.linear_functions.items() if set(s) <= even}


def _part(whole: Lanes, value: Vec, first: int) -> Vec:
    """Return the lanes of a register from `first` on."""
    size = whole.machine.register
    return whole.split(value, size)[first // size]


class Part:
    """Emits the loops for as many lanes as a register holds."""

    def __init__(
        self, whole: Lanes, sums: Sums, leaf: Callable[[Node], Vec], data: Data, first: int
    ) -> None:
        self._whole, self._sums, self._data, self._leaf = whole, sums, data, leaf
        self._first = first

    def emit(self) -> list[Vec]:
        """Emit the loops; return the lower triangle of JᵀJ by rows, Jᵀr and rᵀr."""
        even = self._data.even
        if not _even_functions(self._sums, self._data):
            return self._assembled(self._loops(evenly=False))
        if even is None:
            return self._assembled(self._loops(evenly=True))
        lanes = self._lanes
        along = _part(self._whole, even, self._first)
        zeros = [lanes.real(0.0)] * self._count_of_totals
        some = lanes.when(along, zeros, lambda _: self._loops(evenly=True))
        others = lanes.when(~along, zeros, lambda _: self._loops(evenly=False))
        totals = [lanes.where(along, a, b) for a, b in zip(some, others, strict=True)]
        return self._assembled(totals)

    @property
    def _count_of_totals(self) -> int:
        return self._sums.count

    @property
    def _lanes(self) -> Lanes:
        return self._whole.narrowed(self._whole.machine.register)

    def _loops(self, *, evenly: bool) -> list[Vec]:
        """Emit the loops over the points; return the sums."""
        totals = [self._lanes.real(0.0)] * self._sums.count
        i = ir.Constant(INT64, 0)
        tables: dict[Node, tuple[Table, ...]] | None = {} if evenly else None
        side_by_side = not evenly and not self._whole.machine.many_registers
        for together in _TOGETHER_IN_FEW if side_by_side else TOGETHER:
            loop = Loop(
                self._whole, self._sums, self._leaf, self._data, self._first, together, tables
            )
            i, totals = loop.emit(i, totals)
        return totals

    def _assembled(self, totals: list[Vec]) -> list[Vec]:
        """Return JᵀJ and Jᵀr from the sums over cores, and rᵀr."""
        sums = self._sums
        coefficients = self._coefficients()
        by_pair = dict(zip(sums.pairs, totals, strict=False))
        if self._data.weight is None:
            by_pair[Factors()] = self._count()
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

    def _count(self) -> Vec:
        """Return the number of points."""
        lengths = self._data.lengths
        if lengths is None:
            number = self._whole.builder.sitofp(self._data.length, DOUBLE)
            return self._lanes.spread(number)
        return _part(self._whole, lengths, self._first)

    def _coefficients(self) -> list[Vec]:
        """Return the steady factors of the columns."""
        sums, lanes = self._sums, self._lanes

        def leaf(node: Node) -> Vec:
            return _part(self._whole, self._leaf(node), self._first)

        values = Expressions(lanes, lanes, leaf, sums.factoring, (sums.root, *sums.columns))
        return [values.coefficient(factors.steady) for factors in sums.factors]


class Loop:
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
        tables: dict[Node, tuple[Table, ...]] | None,
    ) -> None:
        """Prepare; with `tables`, shared by loops over the same lanes, the points lie evenly."""
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
        self._i = ir.IRBuilder(self._head).phi(INT64)
        roots = (sums.root, *sums.columns)
        strides = None if tables is None else self._strides(tables)
        self._values = Expressions(
            self._before, self._inside, self._leaf, sums.factoring, roots, strides
        )

    def emit(self, start: Any, totals: list[Vec]) -> tuple[Any, list[Vec]]:
        """Emit the loop from point `start` on; return where it stopped, and the sums."""
        outside = self._whole.builder
        test = ir.IRBuilder(self._head)
        running = [Vec(self._inside_one(), test.phi(total.ir.type)) for total in totals]
        following = test.add(self._i, INT64(self._together))
        test.cbranch(test.icmp_signed("<=", following, self._data.length), self._body, self._after)
        new = self._point(running)
        end = self._inside.builder.block
        self._inside.builder.branch(self._head)
        entry = outside.block
        outside.branch(self._head)
        self._i.add_incoming(start, entry)
        self._i.add_incoming(following, end)
        for phi, old, value in zip(running, totals, new, strict=True):
            phi.ir.add_incoming(old.ir, entry)
            phi.ir.add_incoming(value.ir, end)
        outside.position_at_end(self._after)
        return self._i, [Vec(self._one, total.ir) for total in running]

    def _strides(self, tables: dict[Node, tuple[Table, ...]]) -> Strides:
        """Return what emits functions along the points."""
        sums, one, inside = self._sums, self._one, self._inside_one()
        steps = zip(sums.predictors, self._data.steps, strict=True)
        known = {
            name: _part(self._whole, step, self._first) for name, step in steps if step is not None
        }
        place, first = None, self._i
        if self._together != GROUP:
            builder = self._inside.builder
            place = builder.and_(self._i, INT64(GROUP - 1))
            first = builder.sub(self._i, place)

        def leaf(node: Node) -> Vec:
            if node.op == "predictor":
                return self._predictor(node.name, inside, [first])
            return _part(self._whole, self._leaf_of_lanes(node), self._first)

        roots = (sums.root, *sums.columns)
        values = Expressions(one, inside, leaf, sums.factoring, roots)
        functions = _even_functions(sums, self._data)
        return Strides(functions, known, values.value, tables, self._together, place)

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
            if factor is one and not left.powers and self._data.weight is None:
                new.append(total)  # the number of points, which is known
            elif unweighted and not left.powers:
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
        weight = (
            None if data.weight is None else self._buffer(data.weight, self._inside, self._points)
        )
        inside = self._is_inside()
        if weight is not None and data.gaps:
            counts = weight > 0.0
            inside = counts if inside is None else inside & counts

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
        y = self._buffer(self._data.y, self._inside, self._points)
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
        i = [one.spread(builder.sitofp(i, DOUBLE)) for i in self._points]
        return self._inside.joined(i) < self._repeated(self._data.lengths)

    def _leaf(self, node: Node) -> Vec:
        """Return the value of a name: a predictor's at the points, others' before the loop."""
        if node.op == "predictor":
            return self._predictor(node.name, self._inside, self._points)
        if node not in self._parameters:
            self._parameters[node] = self._repeated(self._leaf_of_lanes(node))
        return self._parameters[node]

    def _predictor(self, name: str, lanes: Lanes, points: list[Any]) -> Vec:
        """Load a predictor at some points."""
        place = self._sums.predictors.index(name)
        pointer = self._data.predictors[place]
        if not self._data.shared[place]:
            return self._buffer(pointer, lanes, points)
        builder, one = self._inside.builder, self._inside_one()
        return lanes.joined([one.spread(builder.load(builder.gep(pointer, [i]))) for i in points])

    def _buffer(self, pointer: Any, lanes: Lanes, points: list[Any]) -> Vec:
        """Load some points of the lanes from a buffer."""
        builder, one, width = self._inside.builder, self._inside_one(), INT64(self._whole.width)
        places = [builder.add(builder.mul(i, width), INT64(self._first)) for i in points]
        return lanes.joined([one.load(builder.gep(pointer, [place])) for place in places])

    @property
    def _points(self) -> list[Any]:
        """The points that are taken at a time."""
        return [self._inside.builder.add(self._i, INT64(u)) for u in range(self._together)]

    def _repeated(self, value: Vec) -> Vec:
        """Return the lanes of this part, once for each point."""
        return self._before.joined([_part(self._whole, value, self._first)] * self._together)
