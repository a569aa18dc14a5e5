"""What a kernel is made for, and what it is called with."""

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

from ..graph.graph import Graph
from .machine import Machine


class Argument(IntEnum):
    """Places in the array of 64-bit integers that a kernel is called with."""

    COUNT = 0
    ROWS = auto()
    START = auto()
    LENGTH = auto()
    Y = auto()
    SIGMA = auto()
    TOLERANCES = auto()
    LOWER = auto()
    UPPER = auto()
    DIAG = auto()
    MAXFEV = auto()
    TEMPLATE = auto()
    TEMPLATE_STRIDE = auto()
    SCRATCH = auto()
    CAPACITY = auto()
    PLACES = auto()
    """The row of each curve of the list in the arrays that are written, but for NORMAL."""
    PARAMS = auto()
    COST = auto()
    YY = auto()
    NFEV = auto()
    NJEV = auto()
    STATUS = auto()
    N_POINTS = auto()
    """The number of points that count, written where there may be gaps."""
    NORMAL = auto()
    """In the order of the list."""
    MODE = auto()
    """Bits of the processor's control register that are set meanwhile."""
    PREDICTORS = auto()
    """The first of the predictors; after them a pointer and a stride a constant."""


@dataclass(frozen=True, slots=True)
class Specification:
    """What a kernel is made for; kernels of equal specification are the same.

    Attributes
    ----------
    graph
        The model.
    free
        The parameters that are fitted, in the model's order.
    shared
        For each predictor, whether all curves share it.
    even
        For each predictor, whether its points lie evenly; where curves have their own, whether that
        is to be looked at, curve by curve.
    single
        For y, sigma and each predictor that is not shared: whether it is float32.
    weighted, ragged, bounded, scaled
        Whether there is a sigma a point, curves differ in length, there are bounds, the scales
        are given.
    machine
        What to compile for.
    registers
        Vector registers a value.
    gaps
        Whether points whose y is not finite are left out; else such a curve is handed over.
    rotations
        Whether the kernel holds a triangle instead of normal equations (`ways`); needs one register
        a value.
    """

    graph: Graph
    free: tuple[str, ...]
    shared: tuple[bool, ...]
    even: tuple[bool, ...]
    single: tuple[bool, ...]
    weighted: bool
    ragged: bool
    bounded: bool
    scaled: bool
    machine: Machine
    registers: int = 2
    rotations: bool = False
    gaps: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells kernels for one machine apart."""
        data = (self.shared, self.even, self.single, self.weighted, self.ragged)
        fit = (self.bounded, self.scaled, self.registers, self.rotations, self.gaps)
        return ("fit", self.graph.digest, self.free, *data, *fit)

    @property
    def width(self) -> int:
        """The number of lanes."""
        return self.machine.register * self.registers

    @property
    def buffers(self) -> int:
        """The number of buffers with the points of the lanes."""
        return 1 + (self.weighted or self.gaps) + self.shared.count(False)
