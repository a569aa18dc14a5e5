"""The compiled engine's Python face: compile a kernel once, call it on many curves."""

import ctypes
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Bools, Floats, Ints
from ..minpack import Rules
from .compiling import Compiled, is_made, machine_code
from .finish import finish_text
from .kernel import kernel_text
from .machine import Machine
from .specification import Argument, Specification


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
    """Where the kernel left each curve of the list it was given.

    Attributes
    ----------
    params
        (n_curves, n_free), the last accepted point.
    normal
        (n_curves, n_free * (n_free + 1) / 2), the lower triangle of JᵀJ there, by rows; Rᵀ of
        J = QR, if the specification says rotations.
    rr, yy
        (n_curves,), the sum of squares there, and that of y (as it was given, without sigma).
    nfev, njev
        (n_curves,) int32.
    status
        (n_curves,) int8: MINPACK's info, or `kernel.HANDED_OVER`.
    compile_s
        What compiling the kernel took, in seconds; 0 where it was there already.
    """

    params: Floats
    normal: Floats
    rr: Floats
    yy: Floats
    nfev: npt.NDArray[np.int32]
    njev: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    compile_s: float = 0.0

    @classmethod
    def places(cls, n_curves: int, n_free: int) -> "Ends":
        """Return room for the ends of `n_curves`."""
        return cls(
            np.empty((n_curves, n_free)),
            np.empty((n_curves, n_free * (n_free + 1) // 2)),
            np.empty(n_curves),
            np.empty(n_curves),
            np.empty(n_curves, dtype=np.int32),
            np.empty(n_curves, dtype=np.int32),
            np.empty(n_curves, dtype=np.int8),
        )


def run(
    specification: Specification,
    points: Points,
    rows: Ints,
    template: Floats,
    constants: tuple[Floats, ...],
    rules: Rules,
    room: Ends | None = None,
) -> Ends:
    """Fit the curves `rows` and return their ends, in this order.

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
    room
        Where to write the ends: arrays in one piece. Default: new ones.
    """
    began = perf_counter()
    known = is_made(specification.key, specification.machine)
    code = kernel(specification)
    compile_s = 0.0 if known else perf_counter() - began
    ends = Ends.places(len(rows), len(specification.free)) if room is None else room
    longest = int(points.length[rows].max(initial=0))
    scratch = np.empty(specification.buffers * longest * specification.width + 8)
    aligned = scratch[(-scratch.ctypes.data % 64) // 8 :]
    tolerances, box = rules.tolerances, rules.box
    numbers = np.array([tolerances.ftol, tolerances.xtol, tolerances.gtol, rules.factor])
    constants = tuple(np.ascontiguousarray(c, dtype=np.float64) for c in constants)
    template = np.ascontiguousarray(template, dtype=np.float64)
    arrays = {
        Argument.ROWS: np.ascontiguousarray(rows, dtype=np.int64),
        Argument.START: points.start,
        Argument.LENGTH: points.length,
        Argument.Y: points.y,
        Argument.SIGMA: points.sigma,
        Argument.TOLERANCES: numbers,
        Argument.LOWER: None if box is None else np.ascontiguousarray(box.lower),
        Argument.UPPER: None if box is None else np.ascontiguousarray(box.upper),
        Argument.DIAG: rules.diag,
        Argument.TEMPLATE: template,
        Argument.SCRATCH: aligned,
        Argument.PARAMS: ends.params,
        Argument.NORMAL: ends.normal,
        Argument.RR: ends.rr,
        Argument.YY: ends.yy,
        Argument.NFEV: ends.nfev,
        Argument.NJEV: ends.njev,
        Argument.STATUS: ends.status,
    }
    n_predictors = len(points.predictors)
    given = np.zeros(Argument.PREDICTORS + n_predictors + 2 * len(constants), dtype=np.int64)
    for place, array in arrays.items():
        given[place] = 0 if array is None else array.ctypes.data
    given[Argument.COUNT] = len(rows)
    given[Argument.MAXFEV] = tolerances.maxfev
    given[Argument.TEMPLATE_STRIDE] = template.shape[1] if len(template) > 1 else 0
    given[Argument.CAPACITY] = longest
    for k, predictor in enumerate(points.predictors):
        given[Argument.PREDICTORS + k] = predictor.ctypes.data
    for k, constant in enumerate(constants):
        first = Argument.PREDICTORS + n_predictors + 2 * k
        given[first : first + 2] = constant.ctypes.data, len(constant) > 1
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("fit"))
    call(given.ctypes.data)
    return replace(ends, compile_s=compile_s)


@dataclass(frozen=True, slots=True)
class Finish:
    """What the normal equations say of curves at their ends; see `finish`.

    Attributes
    ----------
    cov
        (n_curves, n, n), scaled, with zero rows for parameters on a bound.
    stderr
        (n_curves, n), NaN for parameters on a bound.
    pivot
        (n_curves,), the smallest relative pivot: 2e-16 / pivot of the covariance is rounding.
    suspicious
        (n_curves,) bool, whether a standard error is large beside its parameter.
    """

    cov: Floats
    stderr: Floats
    pivot: Floats
    suspicious: Bools


def finish(
    params: Floats,
    normal: Floats,
    held: Bools | None,
    scale: Floats,
    data: Floats,
    machine: Machine,
    room: tuple[Floats, Floats] | None = None,
) -> Finish:
    """Return the covariances of curves.

    Parameters
    ----------
    params
        (n_curves, n), their ends.
    normal
        (n_curves, n(n+1)/2), the lower triangle of JᵀJ by rows.
    held
        (n_curves, n), parameters on a bound; None: none.
    scale
        (n_curves,), what (JᵀJ)⁻¹ is multiplied with.
    data
        (n_curves,), the sum of squares of the data.
    machine
        What to compile for.
    room
        Where to write cov and stderr: arrays in one piece. Default: new ones.
    """
    count, n = params.shape
    cov, stderr = (np.empty((count, n, n)), np.empty((count, n))) if room is None else room
    whole = -(-count // machine.register) * machine.register
    pivot, suspicious = np.empty(whole), np.empty(whole)
    if count:
        bounded = held is not None
        on_bound = np.empty(0) if held is None else held.astype(np.float64)
        key = ("finish", n, bounded)
        code = machine_code(key, lambda: finish_text(n, machine, bounded=bounded), machine)
        scale, data = _padded(scale, whole), _padded(data, whole)
        given = [normal, on_bound, scale, data, params, cov, stderr, pivot, suspicious]
        call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(given))
        given[:5] = [np.ascontiguousarray(a, dtype=np.float64) for a in given[:5]]
        call(code.address("finish"))(count, *(a.ctypes.data for a in given))
    return Finish(cov, stderr, pivot[:count], suspicious[:count] != 0)


def _padded(numbers: Floats, size: int) -> Floats:
    """Return `size` numbers, the last one repeated."""
    missing = size - len(numbers)
    return np.append(numbers, np.repeat(numbers[-1:], missing)) if missing else numbers


def kernel(specification: Specification) -> Compiled:
    """Return the machine code of a kernel; compiled once a process, whoever asks."""
    text = partial(kernel_text, specification)
    return machine_code(specification.key, text, specification.machine)
