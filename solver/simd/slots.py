"""The state of the curves in the lanes: vectors in memory, where single lanes can be written."""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from .lanes import DOUBLE, INT64, Lanes, Vec
from .specification import Argument, Specification
from .step import SEARCH

INT8, INT32 = ir.IntType(8), ir.IntType(32)


class Vectors:
    """Named vectors in memory."""

    def __init__(self, lanes: Lanes, names: Iterable[str]) -> None:
        """Make room, all zero."""
        self._lanes = lanes
        self._pointers: dict[str, Any] = {}
        for name in names:
            place = lanes.builder.alloca(ir.ArrayType(DOUBLE, lanes.width))
            place.align = 64
            self._pointers[name] = lanes.builder.gep(place, [INT32(0), INT32(0)])
        for name in self._pointers:
            self.put(name, lanes.real(0.0))

    def get(self, name: str) -> Vec:
        """Return a vector."""
        return self._lanes.load(self._pointers[name])

    def put(self, name: str, value: Vec) -> None:
        """Write a vector."""
        self._lanes.store(value, self._pointers[name])

    def lane(self, name: str, lane: Any) -> Any:
        """Return a pointer to one lane of a vector."""
        return self._lanes.builder.gep(self._pointers[name], [lane])


class Slots(Vectors):
    """The state of a kernel; all doubles, whatever they mean.

    x, trial, g, D2 (with the number of the parameter), A (with row and column): the point held, the
    one to be tried, Jᵀr, squared scales, JᵀJ; g and A may be Qᵀr and Rᵀ, see `ways`. delta, par,
    xnorm: radius, damping, ‖D x‖. rr: rᵀr; inverse: 1/rr. pnorm, prered, slope: of the step to be
    tried. first: no step was taken yet. fresh: the trial is the start. active: the lane has a
    curve. orthogonal: 0 if the residuals are orthogonal to the Jacobian to machine precision.
    place: of the curve in the list. yy: Σ y². tried, lowest, highest, excess, count: of a search
    for the damping that is under way (`SEARCH`). even: whether the curve's own predictors lie
    evenly; step: between the points of a predictor. valid: the number of points that count.
    """

    def __init__(self, specification: Specification, lanes: Lanes) -> None:
        """Make room, with no curve in any lane."""
        self._n = len(specification.free)
        self.places = [(i, j) for i in range(self._n) for j in range(i + 1)]
        super().__init__(lanes, self._names(specification))
        self.put("place", lanes.real(-1.0))

    def _names(self, specification: Specification) -> list[str]:
        graph, free = specification.graph, specification.free
        return [
            *(f"{kind}{j}" for kind in ("x", "trial", "g", "D2") for j in range(self._n)),
            *self.matrix_names,
            *("delta", "par", "xnorm", "rr", "inverse", "pnorm", "prered", "slope"),
            *("first", "fresh", "active", "orthogonal", "nfev", "njev", "status"),
            *("place", "length", "yy"),
            *SEARCH,
            "even",
            *(["valid"] if specification.gaps else []),
            *(f"step{k}" for k, even in enumerate(specification.even) if even),
            *(f"fixed {name}" for name in graph.params if name not in free),
            *(f"constant {name}" for name in graph.constants),
        ]

    @property
    def matrix_names(self) -> list[str]:
        """The names of the lower triangle of JᵀJ, by rows."""
        return [f"A{i},{j}" for i, j in self.places]

    def get_all(self, kind: str) -> list[Vec]:
        """Return a vector a parameter."""
        return [self.get(f"{kind}{j}") for j in range(self._n)]

    def put_all(self, kind: str, values: list[Vec]) -> None:
        """Write a vector a parameter."""
        for j, value in enumerate(values):
            self.put(f"{kind}{j}", value)

    def matrix(self) -> dict[tuple[int, int], Vec]:
        """Return JᵀJ, the lower triangle."""
        return {place: self.get(f"A{place[0]},{place[1]}") for place in self.places}

    def put_matrix(self, A: dict[tuple[int, int], Vec]) -> None:
        """Write JᵀJ."""
        for (i, j), value in A.items():
            self.put(f"A{i},{j}", value)


class Arguments:
    """What a kernel was called with."""

    def __init__(self, lanes: Lanes, array: Any, n: int) -> None:
        self._lanes, self._array, self._n = lanes, array, n

    def number(self, place: int) -> Any:
        """Return an integer."""
        builder = self._lanes.builder
        return builder.load(builder.gep(self._array, [INT64(place)]))

    def pointer(self, place: int, kind: Any = DOUBLE) -> Any:
        """Return a pointer to numbers of a type."""
        return self._lanes.builder.inttoptr(self.number(place), kind.as_pointer())

    def spread(self, place: int, count: int | None = None) -> list[Vec]:
        """Return the numbers of an array, one a parameter, each in every lane."""
        builder, pointer = self._lanes.builder, self.pointer(place)
        return [
            self._lanes.spread(builder.load(builder.gep(pointer, [INT64(k)])))
            for k in range(self._n if count is None else count)
        ]

    def buffers(self, specification: Specification) -> list[Any]:
        """Return where the buffers for the points of the lanes begin."""
        builder = self._lanes.builder
        size = builder.mul(self.number(Argument.CAPACITY), INT64(specification.width))
        scratch = self.pointer(Argument.SCRATCH)
        return [
            builder.gep(scratch, [builder.mul(size, INT64(k))])
            for k in range(specification.buffers)
        ]
