"""The kernel: fit a list of curves, one in each lane, from start values to the end.

    until no lane has a curve:
        propose a step in every lane                                  (step)
        pass over the points at x + p: rᵀr, Jᵀr, JᵀJ or R, Qᵀr        (ways)
        judge: keep the step or shrink the radius; has it arrived?    (trust_region)
        lanes that are done: write the result, take the next curve

A lane takes the next curve the moment its own is done, so lanes are never idle while curves wait,
and a hard curve holds nobody up. A new curve copies its points into the lane's column of the
buffers and has its start values for a first trial, which is always kept.

A step whose damping takes many trials would hold up all lanes, too: a lane that has not found its
step when most have sits out until the next tick, and goes on there.

A curve that the kernel cannot end as MINPACK would (sums that are not finite, or nearly so) is
handed over with its last iterate: status `HANDED_OVER`.
"""

from typing import Any

from llvmlite import ir

from ..graph.nodes import Node
from ..status import Status
from ..trust_region import EPSILON, Tolerances, accepted, judge, next_radius, termination
from .estimates import fast_lanes
from .lanes import DOUBLE, INT64, Vec
from .points import Data, Linear
from .slots import Arguments, Slots
from .specification import Argument, Specification
from .step import Box, bounded_step, dot, lm_step
from .subnormals import calling
from .sums import Sums
from .turnover import Turnover
from .ways import NormalEquations, Rotations, Way

HANDED_OVER = 100
"""Status of a curve that the kernel leaves to the reference engine."""
_RUNNING = 0
_MOST = 1e300
"""Sums of squares from here on are left to the reference engine: inverses would be subnormal."""
_DAMPING_POINTS, _TICK_POINTS = 5, 5
"""What one more damping costs, and the rest of a tick, in points."""


def kernel_text(specification: Specification) -> str:
    """Return the module of a kernel in LLVM's language; its function is ``fit``."""
    module = ir.Module("manyfit")
    kind = ir.FunctionType(ir.VoidType(), [INT64.as_pointer()])
    function = ir.Function(module, kind, "fit_as_it_is")
    _Kernel(specification, function).emit()
    calling(function, specification.machine, "fit", Argument.MODE)
    return str(module)


class _Kernel:
    """Emits one kernel."""

    def __init__(self, specification: Specification, function: Any) -> None:
        self._spec = specification
        self._builder = builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._lanes = lanes = fast_lanes(builder, specification.width, specification.machine)
        sums = Sums.of(specification.graph, specification.free)
        way = Rotations if specification.rotations else NormalEquations
        self._way: Way = way(lanes, sums)
        self._n = len(specification.free)
        self._slots = Slots(specification, lanes)
        self._arguments = arguments = Arguments(lanes, function.args[0], self._n)
        self._turnover = Turnover(specification, lanes, self._slots, arguments)
        ftol, xtol, gtol, self._factor = arguments.spread(Argument.TOLERANCES, 4)
        maxfev = lanes.spread(builder.sitofp(arguments.number(Argument.MAXFEV), DOUBLE))
        self._tolerances = Tolerances(ftol, xtol, gtol, maxfev)  # type: ignore[arg-type]
        self._box = Box([], [])
        if specification.bounded:
            self._box = Box(arguments.spread(Argument.LOWER), arguments.spread(Argument.UPPER))
        self._given_D2: list[Vec] = []
        if specification.scaled:
            self._given_D2 = [d * d for d in arguments.spread(Argument.DIAG)]

    def emit(self) -> None:
        """Emit the function."""
        builder, width = self._builder, self._spec.width
        mask_type = ir.IntType(width)
        entry = builder.block
        turnover = builder.append_basic_block("turnover")
        tick = builder.append_basic_block("tick")
        leave = builder.append_basic_block("leave")
        builder.branch(turnover)

        builder.position_at_end(turnover)
        mask = builder.phi(mask_type)
        mask.add_incoming(ir.Constant(mask_type, -1), entry)
        self._turnover.emit(mask)
        active = self._lanes.any(self._slots.get("active") > 0)
        length = self._turnover.longest()
        turned = builder.block
        builder.cbranch(active, tick, leave)

        builder.position_at_end(tick)
        longest = builder.phi(INT64)
        longest.add_incoming(length, turned)
        self._propose(longest)
        trial = self._way.over_points(self._leaf, self._data(longest))
        done = self._judge(trial)
        bits = builder.bitcast(done.ir, mask_type)
        longest.add_incoming(longest, builder.block)
        mask.add_incoming(bits, builder.block)
        some = builder.icmp_unsigned("!=", bits, ir.Constant(mask_type, 0))
        builder.cbranch(some, turnover, tick)

        builder.position_at_end(leave)
        builder.ret_void()

    def _leaf(self, node: Node) -> Vec:
        """Return the value of a parameter at the trial point, or of a constant."""
        if node.op == "constant":
            return self._slots.get(f"constant {node.name}")
        if node.name in self._spec.free:
            return self._slots.get(f"trial{self._spec.free.index(node.name)}")
        return self._slots.get(f"fixed {node.name}")

    def _data(self, longest: Any) -> Data:
        """Return where the points of the lanes are."""
        spec = self._spec
        buffers = iter(self._turnover.buffers)
        y = next(buffers)
        weight = next(buffers) if spec.weighted or spec.gaps else None
        predictors = tuple(
            self._arguments.pointer(Argument.PREDICTORS + k) if shared else next(buffers)
            for k, shared in enumerate(spec.shared)
        )
        lengths = self._slots.get("length") if spec.ragged else None
        steps = tuple(self._slots.get(f"step{k}") if e else None for k, e in enumerate(spec.even))
        own = any(e and not shared for e, shared in zip(spec.even, spec.shared, strict=True))
        even = self._slots.get("even") > 0 if own else None
        return Data(y, predictors, spec.shared, weight, spec.gaps, lengths, longest, steps, even)

    def _propose(self, longest: Any) -> None:
        """Set the next trial of every lane that has one behind it and finds its step."""
        lanes, slots = self._lanes, self._slots
        x = slots.get_all("x")
        A, g = slots.matrix(), slots.get_all("g")
        region = self._way.region(A, g, slots.get_all("D2"), slots.get("delta"), slots.get("par"))
        fresh = slots.get("fresh") > 0
        if self._spec.bounded:
            step, target = bounded_step(lanes, region, slots, x, self._box)
        else:
            step = lm_step(lanes, region, slots, ~fresh, self._spared(longest))
            target = [a + b for a, b in zip(x, step.p, strict=True)]
        starts = slots.get_all("trial")
        slots.put_all(
            "trial", [lanes.where(fresh, a, b) for a, b in zip(starts, target, strict=True)]
        )
        inverse = 1.0 / slots.get("rr")
        prered, slope = self._way.promise(step, A, g, bounded=self._spec.bounded)
        slots.put("par", step.par)
        slots.put("pnorm", step.length)
        slots.put("inverse", inverse)
        slots.put("prered", prered * inverse)
        slots.put("slope", slope * inverse)

    def _spared(self, longest: Any) -> Any:
        """Return for how many lanes no further damping is tried in this tick.

        To try one more costs every lane as much as some points do; a lane that sits the tick out
        loses a pass over all of its points and the rest of the tick.
        """
        builder = self._builder
        cost = INT64(self._spec.width * _DAMPING_POINTS)
        return builder.udiv(cost, builder.add(longest, INT64(_TICK_POINTS)))

    def _judge(self, trial: Linear) -> Vec:
        """Keep the trial or not; return the lanes that are done."""
        lanes = self._lanes
        fresh, first = self._slots.get("fresh") > 0, self._slots.get("first") > 0
        waits = self._slots.get("tried") > 0
        pnorm, delta = self._slots.get("pnorm"), self._slots.get("delta")
        judged = judge(
            lanes,
            left=trial.rr * self._slots.get("inverse"),
            prered=self._slots.get("prered"),
            slope=self._slots.get("slope"),
        )
        next_delta, par = next_radius(
            lanes,
            judged,
            delta=lanes.where(first, lanes.smaller(pnorm, delta), delta),
            par=self._slots.get("par"),
            pnorm=pnorm,
        )
        delta = lanes.where(waits, delta, next_delta)
        took = (accepted(judged) & ~waits) | fresh
        x = self._keep("x", took, self._slots.get_all("trial"))
        g = self._keep("g", took, trial.g)
        A = {
            place: lanes.where(took, trial.A[place], old)
            for place, old in self._slots.matrix().items()
        }
        self._slots.put_matrix(A)
        rr = lanes.where(took, trial.rr, self._slots.get("rr"))
        self._slots.put("rr", rr)
        squares = self._way.squares(A)
        xnorm, delta, par = self._rescale(x, squares, took, fresh, delta, par)
        nfev = self._slots.get("nfev") + lanes.where(waits, 0.0, lanes.real(1.0))
        status = termination(
            lanes,
            judged,
            self._tolerances,
            delta=delta,
            xnorm=xnorm,
            gnorm=self._slots.get("orthogonal"),
            nfev=nfev,
        )
        status = lanes.where(fresh | waits, 0.0, status)
        moved = took & (status == 0)
        self._slots.put("nfev", nfev)
        self._slots.put("njev", self._slots.get("njev") + lanes.to_real(moved))
        self._slots.put(
            "first", lanes.where(fresh, 1.0, lanes.where(took, 0.0, self._slots.get("first")))
        )
        self._slots.put("fresh", lanes.real(0.0))
        gradient = self._way.gradient(A, g)
        status = self._by_gradient(status, moved, x, gradient, squares, rr)
        trace = squares[0]
        for square in squares[1:]:
            trace = trace + square
        good = (lanes.abs(trace) < _MOST) & (rr < _MOST)
        status = lanes.where(took & ~good, float(HANDED_OVER), status)
        self._slots.put("status", status)
        return (status != _RUNNING) & (self._slots.get("active") > 0)

    def _keep(self, kind: str, took: Vec, new: list[Vec]) -> list[Vec]:
        """Write the new values where the trial is kept; return what is there now."""
        merged = [
            self._lanes.where(took, value, old)
            for value, old in zip(new, self._slots.get_all(kind), strict=True)
        ]
        self._slots.put_all(kind, merged)
        return merged

    def _rescale(
        self,
        x: list[Vec],
        squares: list[Vec],
        took: Vec,
        fresh: Vec,
        delta: Vec,
        par: Vec,
    ) -> tuple[Vec, Vec, Vec]:
        """Renew the scales, ‖D x‖ (by the scales of the step) and a new curve's radius."""
        lanes, old = self._lanes, self._slots.get_all("D2")
        if self._spec.scaled:
            before, now = self._given_D2, self._given_D2
        else:
            begin = [lanes.where(d == 0, 1.0, d) for d in squares]
            before = [lanes.where(fresh, b, d) for b, d in zip(begin, old, strict=True)]
            now = [lanes.larger(d, b) for d, b in zip(squares, before, strict=True)]
        xnorm = lanes.sqrt(dot(lanes, before, x, x))
        xnorm = lanes.where(took, xnorm, self._slots.get("xnorm"))
        radius = self._factor * lanes.where(xnorm == 0, 1.0, xnorm)
        delta = lanes.where(fresh, radius, delta)
        par = lanes.where(fresh, 0.0, par)
        self._slots.put_all("D2", now)
        for name, value in (("xnorm", xnorm), ("delta", delta), ("par", par)):
            self._slots.put(name, value)
        return xnorm, delta, par

    def _by_gradient(
        self,
        status: Vec,
        moved: Vec,
        x: list[Vec],
        g: list[Vec],
        squares: list[Vec],
        rr: Vec,
    ) -> Vec:
        """End the lanes whose residuals are orthogonal to the Jacobian; all in squares.

        What stands for the cosine from here on is 0 where it is at most the machine's epsilon,
        and 1 elsewhere.
        """
        lanes = self._lanes
        idle = self._box.held(x, g) if self._spec.bounded else None

        def within(bound: Any, params: range) -> Vec:
            square = lanes.real(bound) * bound * rr
            every = lanes.real(1.0) > 0
            for j in params:
                small = g[j] * g[j] <= square * squares[j]
                every = every & (small if idle is None else small | idle[j])
            return every

        def look(_: list[Vec]) -> list[Vec]:
            whole = range(self._n)
            by_gtol = moved & within(self._tolerances.gtol, whole)
            return [
                lanes.where(by_gtol, float(Status.CONVERGED_GTOL), status),
                lanes.where(within(EPSILON, whole), 0.0, lanes.real(1.0)),
            ]

        loosest = lanes.larger(self._tolerances.gtol, EPSILON)
        likely = within(loosest, range(1))
        status, orthogonal = lanes.when(likely, [status, lanes.real(1.0)], look)
        self._slots.put("orthogonal", orthogonal)
        return status
