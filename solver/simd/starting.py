"""The compiled guess's Python face: compile a recipe once, call it on many curves."""

import ctypes
import pickle
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from ..arrays import Floats, Ints
from ..library.by_numpy import FUNCTIONS
from ..library.recipe import Recipe
from .compiling import Compiled, machine_code
from .engine import Points
from .guessing import Argument, Finding, GuessSpecification, guess_text
from .machine import Machine

_FIRST = np.zeros(1, dtype=np.int64)
"""Where the only curve of its points begins, and its row."""


def guesses(
    recipe: Recipe, points: Points, rows: Ints, machine: Machine, *, gaps: bool = False
) -> Floats:
    """Return start values, (len(rows), n_params): finite, or NaN where y is not finite everywhere.

    With `gaps` points whose y is not finite are left out: NaN is for curves that have no other.

    A curve's start values are its own to the bit, whatever the other rows, the order of its points
    and who shares its x. The interpreter's lock is released meanwhile.

    Parameters
    ----------
    recipe
        How to guess.
    points
        The data, of one predictor that is finite; sigma is not looked at.
    rows
        Which curves, of one point at least.
    machine
        What to compile for.
    """
    long = points.length[rows] > recipe.most_points
    if long.any():
        start = np.empty((len(rows), recipe.n_params))
        start[~long] = guesses(recipe, points, rows[~long], machine, gaps=gaps)
        for place in np.flatnonzero(long):
            start[place] = _of_long_curve(recipe, points, rows[place], machine, gaps=gaps)
        return start
    if not rows.size:
        return np.empty((0, recipe.n_params))
    if points.shared[0]:
        x = points.predictors[0]
        if not (x[1:] >= x[:-1]).all():
            points, rows = _in_common_order(points, rows), np.arange(len(rows))
        return _called(recipe, points, rows, machine, gaps=gaps)[0]
    start, findings = _called(recipe, points, rows, machine, gaps=gaps)
    late = np.flatnonzero(findings == Finding.OUT_OF_ORDER)
    if late.size:
        ordered = _in_order(points, rows[late])
        start[late] = _called(recipe, ordered, np.arange(late.size), machine, gaps=gaps)[0]
    return start


def _of_long_curve(
    recipe: Recipe, points: Points, row: int, machine: Machine, *, gaps: bool
) -> Floats:
    """Return the start values of one curve, executed by NumPy; of what is left of one with gaps."""
    own = slice(points.start[row], points.start[row] + points.length[row])
    y, x = points.y[own], points.predictors[0]
    x = x if points.shared[0] else x[own]
    counts = np.isfinite(y)
    if gaps and 0 < np.count_nonzero(counts) < y.size:
        left = Points(y[counts], _FIRST, counts.sum(keepdims=True), (x[counts],), (False,))
        guess: Floats = guesses(recipe, left, _FIRST, machine)[0]
        return guess
    if not counts.all():
        return np.full(recipe.n_params, np.nan)
    whole: Floats = recipe(x[None], y[None], counts[None])[0]
    return whole


def _in_common_order(points: Points, rows: Ints) -> Points:
    """Return some curves that share an x, with their points in its order."""
    x = points.predictors[0]
    order = np.argsort(x, kind="stable")
    y = points.y[points.start[rows][:, None] + order]
    starts = np.arange(len(rows), dtype=np.int64) * len(x)
    return Points(y.reshape(-1), starts, points.length[rows], (x[order],), (True,))


def _in_order(points: Points, rows: Ints) -> Points:
    """Return some curves with the points of each in the order of its x."""
    length = points.length[rows]
    ends = np.cumsum(length)
    curve = np.repeat(np.arange(len(rows)), length)
    place = np.arange(ends[-1]) + (points.start[rows] - (ends - length))[curve]
    x, y = points.predictors[0][place], points.y[place]
    order = np.lexsort((x, curve))
    return Points(y[order], ends - length, length, (x[order],), (False,))


def _called(
    recipe: Recipe, points: Points, rows: Ints, machine: Machine, *, gaps: bool
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return what the compiled guess says of some curves: start values and findings."""
    x, length = points.predictors[0], points.length[rows]
    shared, longest = points.shared[0], int(length.max())
    specification = GuessSpecification(
        recipe=recipe,
        shared=shared,
        single=(points.y.dtype == np.float32, not shared and x.dtype == np.float32),
        ragged=bool((length != longest).any()),
        machine=machine,
        gaps=gaps,
    )
    code = _compiled(specification)
    ends = np.array([x[0], x[-1]], dtype=np.float64)
    if specification.common:
        zero = np.zeros(())
        with np.errstate(all="ignore"):
            x = np.ascontiguousarray(recipe.frame_of(FUNCTIONS, *ends, zero, zero).x_of(x))
    width = specification.width
    scratch = np.empty(code.constant("buffers") * longest * width + 8)
    aligned = scratch[(-scratch.ctypes.data % 64) // 8 :]
    start, findings = np.empty((len(rows), recipe.n_params)), np.empty(len(rows))
    arrays = {
        Argument.ROWS: np.ascontiguousarray(rows, dtype=np.int64),
        Argument.START: points.start,
        Argument.LENGTH: points.length,
        Argument.Y: points.y,
        Argument.X: x,
        Argument.ENDS: ends,
        Argument.SCRATCH: aligned,
        Argument.GUESS: start,
        Argument.FINDINGS: findings,
    }
    given = np.zeros(len(Argument), dtype=np.int64)
    for place, array in arrays.items():
        given[place] = array.ctypes.data
    given[Argument.COUNT], given[Argument.CAPACITY] = len(rows), longest
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("guess"))(given.ctypes.data)
    return start, findings


def _compiled(specification: GuessSpecification) -> Compiled:
    """Return the code of a guess; compiled once a process."""
    text = partial(guess_text, specification)
    return machine_code(_key(specification), text, specification.machine)


@cache
def _key(specification: GuessSpecification) -> tuple[str, bytes]:
    """Return what tells guesses apart, in any process."""
    return "guess", pickle.dumps(specification)
