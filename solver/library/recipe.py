"""A recipe: how a model of the library guesses, for whichever engine.

It is the model's `guess`, which NumPy executes; the compiled engine takes the recipe apart and
emits the same formulas.
"""

from dataclasses import dataclass
from typing import Any

from ..arrays import Bools, Floats
from .by_numpy import ArrayCurves
from .frames import FrameOf, unit_frame
from .passes import Estimate
from .sorted_curves import SortedCurves, estimate_in_blocks


@dataclass(frozen=True, slots=True)
class Recipe:
    """Start values from the data of each curve; a `Guess`.

    Attributes
    ----------
    estimate
        The formulas: a function of a module, or a frozen value that can be called, so that equal
        recipes are known as such.
    n_params
        The number of parameters.
    frame_of
        The units in which the estimate sees the data.
    most_points
        Longer curves are NumPy's for any engine: their buffers would not fit, or their
        periodogram takes a fast transform.
    local
        Whether it is of a peak, which shows in the points around it alone: in a sum it is looked
        for near the largest deviation too.
    compiles
        Whether an engine may emit it: all that it calls is written over passes.
    """

    estimate: Estimate
    n_params: int
    frame_of: FrameOf = unit_frame
    most_points: int = 1 << 16
    local: bool = False
    compiles: bool = True

    def __call__(self, x: Any, y: Floats, valid: Bools) -> Floats:
        """Return start values, (n_curves, n_params), executed by NumPy; see `Model.guess`."""

        def estimate(curves: SortedCurves) -> list[Any]:
            return list(self.estimate(ArrayCurves.of(curves, self.frame_of)))

        return estimate_in_blocks(estimate, self.n_params, x, y, valid)
