"""Exponentials and sines along evenly spaced points: one evaluation serves several points.

Where the argument of exp is linear in a predictor whose points lie a step dx apart, its values at
neighbouring points have one ratio, and those of a sine turn by one angle:

    exp(u + k h) = exp(u) q^k,    q = exp(h),    h = du/dx dx
    sin(u + k h) = sin u cos kh + cos u sin kh

Points go by groups of `GROUP`, from the curve's first one on. In each one value is evaluated, and
the others follow by products with numbers that are made before the loop; nothing accumulates, and a
value is off by a few units in its last place, as it is by the rounding of its argument. An
exponential starts from its largest value in the group, so that the ratios are at most 1, and that
whether or not the curve has a point there: a value depends on the curve alone, however many points
of a group are taken at a time. Where a rising one would overflow at most seven points beyond the
curve's end its last values are NaN, and the step that led there is refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir

from ..arrays import Floats
from ..graph.derivatives import derivative
from ..graph.nodes import Node, ordered
from .elementary import ELEMENTARY, exponential, sincos
from .lanes import DOUBLE, INT64, Lanes, Vec

Slopes: TypeAlias = Mapping[str, Node]
"""The derivative of a function's argument by each predictor that it depends on."""

GROUP = 8
"""Points that follow from one."""
LEAST_POINTS = 2 * GROUP
"""Shorter curves gain nothing: what is made before the loops costs as much."""

STRAY = 16 * float(np.finfo(np.float64).eps)
"""How far from its place a point may lie, as a share of the range: what rounding does."""
_EXPONENTIALS = frozenset({"exp", "exp2", "exp10"})
_SINES = frozenset({"sin", "cos"})


def is_even(x: Floats) -> bool:
    """Return whether points, (n_points,), are enough and lie i steps from the first."""
    if x.size < LEAST_POINTS or not np.isfinite(x).all():
        return False
    width = x[-1] - x[0]
    step = width / (x.size - 1)
    return bool(np.abs((x - x[0]) - np.arange(x.size) * step).max() <= STRAY * np.abs(width))


def slopes(node: Node, predictors: Iterable[str]) -> Slopes:
    """Return the derivatives of a function's argument by the predictors that it depends on.

    None at all where the node is no exponential or sine, or its argument is not linear in them.
    """
    growing = node.op == "power" and node.args[0].op == "number" and node.args[0].value > 1
    if not node.varies or not (node.op in _EXPONENTIALS | _SINES or growing):
        return {}
    found = {name: derivative(node.args[-1], name) for name in predictors}
    if any(slope.varies for slope in found.values()):
        return {}
    return {name: s for name, s in found.items() if not (s.op == "number" and s.value == 0)}


def linear_functions(roots: Iterable[Node], predictors: Sequence[str]) -> dict[Node, Slopes]:
    """Return the exponentials and sines whose arguments are linear, with their slopes."""
    found = ((node, slopes(node, predictors)) for node in ordered(roots))
    return {node: by_predictor for node, by_predictor in found if by_predictor}


class Table:
    """Vectors that are made before the loops, one for each place in a group."""

    def __init__(self, vectors: list[Vec]) -> None:
        """Write the vectors down where they can be had by a place that is not known yet."""
        self._vectors, lanes = vectors, vectors[0].lanes
        with lanes.builder.goto_entry_block():
            room = lanes.builder.alloca(ir.ArrayType(DOUBLE, lanes.width * len(vectors)))
            room.align = 64
            self._room = lanes.builder.bitcast(room, DOUBLE.as_pointer())
        for k, vector in enumerate(vectors):
            lanes.store(vector, lanes.builder.gep(self._room, [INT64(k * lanes.width)]))

    def at(self, lanes: Lanes, place: Any, k: int) -> Vec:
        """Return the vector of place + k, or of k where `place` is None."""
        if place is None:
            return Vec(lanes, self._vectors[k].ir)
        first = lanes.builder.mul(lanes.builder.add(place, INT64(k)), INT64(lanes.width))
        return lanes.load(lanes.builder.gep(self._room, [first]))


@dataclass(frozen=True, slots=True)
class Strides:
    """Emits functions along evenly spaced points, for one loop.

    Attributes
    ----------
    functions
        Those whose arguments run evenly, with their slopes.
    steps
        The step of each predictor that is even.
    value
        Gives the value of a node at the first point of the group.
    tables
        What was made before the loops, by function; shared by the loops over the same lanes.
    together
        The number of points that the loop takes at a time.
    place
        The place of the first of them in its group, a scalar; None where they are the group.
    """

    functions: Mapping[Node, Slopes]
    steps: Mapping[str, Vec]
    value: Callable[[Node], Vec]
    tables: dict[Node, tuple[Table, ...]]
    together: int
    place: Any = None

    def exponentials(self, lanes: Lanes, node: Node) -> list[Vec]:
        """Emit an exponential at the points, a vector each."""
        if node not in self.tables:
            self.tables[node] = self._ratios(node)
        ahead, ratios = self.tables[node]
        argument = Vec(lanes, self.value(node.args[-1]).ir)
        largest = _power(node, lanes, argument + ahead.at(lanes, None, 0))
        return [largest * ratios.at(lanes, self.place, k) for k in range(self.together)]

    def _ratios(self, node: Node) -> tuple[Table, Table]:
        """Return how far ahead the largest value's argument is, and the ratios to that value."""
        rise = self._rise(node)
        lanes, rises = rise.lanes, rise > 0
        ratio = _power(node, lanes, -lanes.abs(rise))
        powers = [lanes.real(1.0)]
        while len(powers) < GROUP:
            powers.append(powers[-1] * ratio)
        ahead = lanes.where(rises, (GROUP - 1) * rise, 0.0)
        ratios = [lanes.where(rises, powers[GROUP - 1 - k], powers[k]) for k in range(GROUP)]
        return Table([ahead]), Table(ratios)

    def sines(self, lanes: Lanes, node: Node) -> list[tuple[Vec, Vec]]:
        """Emit sine and cosine of a node's argument at the points."""
        key = Node("sin", node.args)
        if key not in self.tables:
            self.tables[key] = self._turns(node)
        turns = self.tables[key]
        first = sincos(lanes, Vec(lanes, self.value(node.args[0]).ir))
        return [
            _turned(
                lanes, first, (turns[0].at(lanes, self.place, k), turns[1].at(lanes, self.place, k))
            )
            for k in range(self.together)
        ]

    def _turns(self, node: Node) -> tuple[Table, Table]:
        """Return sine and cosine of the angles from a group's first point to the others."""
        rise = self._rise(node)
        lanes = rise.lanes
        once = sincos(lanes, rise)
        turns = [(lanes.real(0.0), lanes.real(1.0)), once]
        while len(turns) < GROUP:
            turns.append(_turned(lanes, turns[-1], once))
        return Table([s for s, _ in turns]), Table([c for _, c in turns])

    def _rise(self, node: Node) -> Vec:
        """Return the rise of a function's argument from one point to the next."""
        found = self.functions[node]
        (rise, *more) = (
            Vec(step.lanes, self.value(found[name]).ir) * step
            for name, step in self.steps.items()
            if name in found
        )
        for term in more:
            rise = rise + term
        return rise


def _power(node: Node, lanes: Lanes, x: Vec) -> Vec:
    """Emit the exponential that a node is, of another argument."""
    if node.op == "power":
        return exponential(lanes, node.args[0].value, x)
    return ELEMENTARY[node.op](lanes, x)


def _turned(lanes: Lanes, at: tuple[Vec, Vec], by: tuple[Vec, Vec]) -> tuple[Vec, Vec]:
    """Return sine and cosine of the sum of two angles."""
    (s, c), (ds, dc) = at, by
    return lanes.fma(s, dc, c * ds), lanes.fma(c, dc, -(s * ds))
