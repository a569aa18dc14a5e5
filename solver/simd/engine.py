"""The compiled engine's Python face: compile a kernel once, call it on many curves."""

import ctypes
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Floats, Ints
from ..bounds import Box
from ..minpack import Rules
from .compiling import Compiled, is_made, machine_code
from .finish import Finish, FinishArgument, finish_text
from .kernel import kernel_text
from .machine import Machine
from .specification import Argument, Specification
from .subnormals import FLUSH


@dataclass(frozen=True, slots=True)
class Points:
    """The points of many curves, flat, as the kernel reads them.

    Attributes
    ----------
    y
        (n_values,) float64 or float32, C-contiguous.
    start, length
        (n_curves,) int64: where a curve begins in `y`, and its number of points.
    predictors
        Each (n_points,) float64, shared by all curves, or flat as `y`.
    shared
        Which of them are shared.
    even
        For each, whether it is shared and lies evenly (`evenly.is_even`), or is to be looked at
        curve by curve. Default: nowhere.
    sigma
        Flat as `y`, > 0, infinite where a point does not count; None: all ones.
    """

    y: npt.NDArray[Any]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    predictors: tuple[npt.NDArray[Any], ...]
    shared: tuple[bool, ...]
    even: tuple[bool, ...] = ()
    sigma: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """How curves ended, a row a curve; arrays in one piece.

    Attributes
    ----------
    params
        (n_rows, n_params), the last accepted point, and the values of what is fixed.
    cost, yy
        (n_rows,), half the sum of squares there, and the sum of squares of y (as it was given,
        without sigma).
    nfev, njev
        (n_rows,) int32.
    status
        (n_rows,) int8: MINPACK's info, or `kernel.HANDED_OVER`.
    n_points
        (n_rows,) int32, the points that count, where the specification says gaps.
    """

    params: Floats
    cost: Floats
    yy: Floats
    nfev: npt.NDArray[np.int32]
    njev: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    n_points: npt.NDArray[np.int32]

    @classmethod
    def places(cls, n_rows: int, n_params: int) -> "Ends":
        """Return room for the ends of so many curves."""
        return cls(
            np.empty((n_rows, n_params)),
            np.empty(n_rows),
            np.empty(n_rows),
            np.empty(n_rows, dtype=np.int32),
            np.empty(n_rows, dtype=np.int32),
            np.empty(n_rows, dtype=np.int8),
            np.empty(n_rows, dtype=np.int32),
        )


@dataclass(frozen=True, slots=True)
class Covariances:
    """The covariances of curves that have ended, a row a curve; arrays in one piece.

    Attributes
    ----------
    cov, stderr
        (n_rows, n_params, n_params) and (n_rows, n_params), scaled; zero and NaN for parameters
        that are fixed or on a bound.
    verdict
        (n_rows,) int8, see `finish.Verdict`.
    dof
        (n_rows,) int32, degrees of freedom, which are read.
    """

    cov: Floats
    stderr: Floats
    verdict: npt.NDArray[np.int8]
    dof: npt.NDArray[np.int32]


def run(
    specification: Specification,
    points: Points,
    rows: Ints,
    template: Floats,
    constants: tuple[Floats, ...],
    rules: Rules,
    ends: Ends,
    places: Ints,
    *,
    flush: bool = True,
) -> tuple[Floats, float]:
    """Fit the curves `rows` of the points and write their ends to their places.

    The interpreter's lock is released meanwhile.

    Parameters
    ----------
    specification
        The kernel.
    points
        The data.
    rows
        Which curves.
    template
        (len(rows) or 1, n_params): start values, and the values of what is fixed.
    constants
        (len(rows) or 1,) each.
    rules
        Tolerances, bounds and scales.
    ends, places
        Where to write: (len(rows),) rows of `ends`.
    flush
        Whether subnormal numbers count as 0 (`subnormals`).

    Returns
    -------
    normal
        (len(rows), n_free * (n_free + 1) / 2), the lower triangle of JᵀJ at their ends, by rows; Rᵀ
        of J = QR, if the specification says rotations.
    compile_s
        What compiling took, in seconds; 0 where the code was there already.
    """
    code, compile_s = kernel(specification)
    n = len(specification.free)
    normal = np.empty((len(rows), n * (n + 1) // 2))
    lengths = points.length[rows if specification.ragged else rows[:1]]
    longest = int(lengths.max(initial=0))
    tolerances, box = rules.tolerances, rules.box
    template = np.ascontiguousarray(template, dtype=np.float64)
    given: dict[int, npt.NDArray[Any] | int | None] = {
        Argument.COUNT: len(rows),
        Argument.ROWS: np.ascontiguousarray(rows, dtype=np.int64),
        Argument.START: points.start,
        Argument.LENGTH: points.length,
        Argument.Y: points.y,
        Argument.SIGMA: points.sigma,
        Argument.TOLERANCES: np.array(
            [tolerances.ftol, tolerances.xtol, tolerances.gtol, rules.factor]
        ),
        Argument.LOWER: None if box is None else box.lower,
        Argument.UPPER: None if box is None else box.upper,
        Argument.DIAG: rules.diag,
        Argument.MAXFEV: tolerances.maxfev,
        Argument.TEMPLATE: template,
        Argument.TEMPLATE_STRIDE: template.shape[1] if len(template) > 1 else 0,
        Argument.SCRATCH: _aligned(specification.buffers * longest * specification.width),
        Argument.CAPACITY: longest,
        Argument.PLACES: np.ascontiguousarray(places, dtype=np.int64),
        Argument.PARAMS: ends.params,
        Argument.COST: ends.cost,
        Argument.YY: ends.yy,
        Argument.NFEV: ends.nfev,
        Argument.NJEV: ends.njev,
        Argument.STATUS: ends.status,
        Argument.N_POINTS: ends.n_points,
        Argument.NORMAL: normal,
        Argument.MODE: FLUSH if flush else 0,
    }
    first = int(Argument.PREDICTORS)
    given |= {first + k: predictor for k, predictor in enumerate(points.predictors)}
    first += len(points.predictors)
    for k, constant in enumerate(constants):
        numbers = np.ascontiguousarray(constant, dtype=np.float64)
        given |= {first + 2 * k: numbers, first + 2 * k + 1: int(len(numbers) > 1)}
    addresses = _addresses(given)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("fit"))(addresses.ctypes.data)
    return normal, compile_s


def finish(
    made_for: Finish,
    machine: Machine,
    normal: Floats,
    ends: Ends,
    places: Ints,
    covariances: Covariances,
    box: Box | None = None,
) -> float:
    """Write the covariances of curves that have ended; return what compiling took.

    Parameters
    ----------
    made_for, machine
        What to compile.
    normal
        (len(places), n_free * (n_free + 1) / 2), the lower triangle of JᵀJ, by rows.
    ends, places
        How they ended, and in which rows.
    covariances
        Where to write, to the same rows.
    box
        The bounds, if there are any.
    """
    code, compile_s = _made(made_for.key, partial(finish_text, made_for, machine), machine)
    given: dict[int, npt.NDArray[Any] | int | None] = {
        FinishArgument.NORMAL: normal,
        FinishArgument.ROWS: np.ascontiguousarray(places, dtype=np.int64),
        FinishArgument.COST: ends.cost,
        FinishArgument.YY: ends.yy,
        FinishArgument.DOF: covariances.dof,
        FinishArgument.PARAMS: ends.params,
        FinishArgument.LOWER: None if box is None else box.lower,
        FinishArgument.UPPER: None if box is None else box.upper,
        FinishArgument.COV: covariances.cov,
        FinishArgument.STDERR: covariances.stderr,
        FinishArgument.VERDICT: covariances.verdict,
    }
    addresses = _addresses(given)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(code.address("finish"))
    call(len(places), addresses.ctypes.data)
    return compile_s


def _addresses(given: Mapping[int, npt.NDArray[Any] | int | None]) -> npt.NDArray[np.int64]:
    """Return an array with numbers at their places, and where arrays begin; 0 for None."""
    addresses = np.zeros(1 + max(given), dtype=np.int64)
    for place, value in given.items():
        if value is not None:
            addresses[place] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return addresses


def _aligned(size: int) -> Floats:
    """Return room for so many numbers, from a multiple of 64 bytes on."""
    room = np.empty(size + 8)
    return room[(-room.ctypes.data % 64) // 8 :]


def kernel(specification: Specification) -> tuple[Compiled, float]:
    """Return a kernel, compiled once a process whoever asks, and what compiling took."""
    machine = specification.machine
    return _made(specification.key, partial(kernel_text, specification), machine)


def _made(key: Hashable, text: Callable[[], str], machine: Machine) -> tuple[Compiled, float]:
    """Return machine code and what compiling it took, in seconds; 0 where it was there already."""
    began, known = perf_counter(), is_made(key, machine)
    code = machine_code(key, text, machine)
    return code, 0.0 if known else perf_counter() - began
