"""SciPy's ``leastsq`` on the reference engine: one curve, given as a residual function.

What goes in and what comes out is as in `scipy.optimize.leastsq`, so that it can stand in its
place. Three things are added: bounds, `atol` as another name of `ftol`, and an end that tells the
truth where the residuals are not finite.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import ArrayLike, Floats
from .bounds import Box
from .minpack import Rules, solve_alone
from .one_curve import OneCurve
from .options import TOLERANCE
from .state import LastFactors, Solution
from .status import Status
from .trust_region import EPSILON, Tolerances


def leastsq(
    func: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    Dfun: Callable[..., Any] | None = None,
    full_output: bool = False,
    col_deriv: bool = False,
    ftol: float = TOLERANCE,
    xtol: float = TOLERANCE,
    gtol: float = 0.0,
    maxfev: int = 0,
    epsfcn: float | None = None,
    factor: float = 100,
    diag: ArrayLike | None = None,
    *,
    atol: float | None = None,
    bounds: Any = None,
) -> tuple[Any, ...]:
    """Minimise a sum of squares, ½‖func(x)‖², from a start.

    Levenberg-Marquardt with MINPACK's trust region, scaling and stopping rules: ``lmder`` when
    `Dfun` is given, ``lmdif`` when not.

    Parameters
    ----------
    func
        ``func(x, *args)`` returns the residuals, (n_points,) for x of shape (n_params,), with
        n_points >= n_params. What it raises is passed on.
    x0
        The start; flattened to (n_params,).
    args
        Further arguments of `func` and `Dfun`; what is no tuple is taken as the only one.
    Dfun
        ``Dfun(x, *args)`` returns the derivatives, (n_points, n_params), or (n_params, n_points)
        with `col_deriv`. None: forward differences.
    full_output
        Whether to return `cov_x`, `infodict` and `mesg` too.
    col_deriv
        Whether `Dfun` gives one derivative a row.
    ftol, xtol, gtol
        Relative reduction of the sum of squares, relative change of the scaled parameters
        (1.49012e-8 each), and cosine between residuals and columns of the Jacobian (0) at which
        the fit has converged.
    maxfev
        The most calls of `func`; 0: 100 * (n_params + 1) with `Dfun`, 200 * (n_params + 1)
        without.
    epsfcn
        Relative error of `func`, for the steps of the differences; None, or less than it: the
        epsilon of the type that `func` returns.
    factor
        The first step bound in units of ‖diag * x0‖, usually within 0.1..100; default 100.
    diag
        (n_params,) positive scale factors. None: the norms of the Jacobian's columns.
    atol
        Another name of `ftol`.
    bounds
        ``(lower, upper)``, scalars or (n_params,) each, or an object with the attributes `lb` and
        `ub`; infinite where there is none. None: no bounds.

    Returns
    -------
    x
        (n_params,), the minimum, or the last iterate; NaN where no fit could begin.
    cov_x
        (n_params, n_params), (JᵀJ)⁻¹ from the last Jacobian; None when that is singular or the
        fit did not converge. Times the variance of the residuals it is the covariance of x. Only
        with `full_output`, as the next two.
    infodict
        ``nfev``, with `Dfun` also ``njev``; ``fvec`` (n_points,), the residuals at x; ``fjac``
        (n_params, n_points), MINPACK's packed QR factors of the last Jacobian, transposed;
        ``ipvt`` (n_params,), column k of R belongs to parameter ipvt[k], counted from 0; ``qtf``
        (n_params,), the head of Qᵀ fvec.
    mesg
        One sentence on how it ended.
    ier
        A code of `manyfit.solver.status.Status`: 1 to 4 converged, 5 to 8 not, 0 improper input;
        negative where the start, the residuals at the start or a Jacobian are not finite.

    Raises
    ------
    TypeError
        More parameters than residuals, a wrong shape, `ftol` and `atol` both given; improper
        tolerances, factor or diag unless `full_output`.
    ValueError
        Bounds that are empty or do not contain `x0`, a wrong length of `diag`, residuals that
        change their length.

    Warns
    -----
    RuntimeWarning
        When the fit did not converge and `full_output` is not there to tell.

    Notes
    -----
    SciPy ends with ier 4, a success, where the residuals are NaN from the start; here ier is
    negative and x is NaN.

    One call takes about a millisecond more than SciPy's, since the engine is made for batches: for
    many curves of one model, `fit_curves` is the faster way.

    Sources: Moré, Garbow, Hillstrom, User Guide for MINPACK-1, ANL-80-74 (1980); Moré (1978).

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 4, 9)
    >>> y = 2.5 * np.exp(-1.3 * t)
    >>> x, ier = leastsq(lambda p: p[0] * np.exp(-p[1] * t) - y, [1, 1])
    >>> x.round(6).tolist(), ier in {1, 2, 3, 4}
    ([2.5, 1.3], True)
    """
    if atol is not None:
        ftol = _one_tolerance(ftol, atol)
    start = _as_start(x0)
    n_params = start.size
    box = as_box(bounds, n_params)
    if box is not None and not np.all((start >= box.lower) & (start <= box.upper)):
        raise ValueError(
            f"Initial guess is outside of provided bounds: {start} is not within "
            f"{box.lower} .. {box.upper}"
        )
    problem = OneCurve.probe(
        func,
        Dfun,
        start,
        args=args if isinstance(args, tuple) else (args,),
        transposed=bool(col_deriv),
        epsfcn=epsfcn,
        box=box,
    )
    scales = _as_scales(diag, n_params)
    if maxfev <= 0:
        maxfev = (200 if Dfun is None else 100) * (n_params + 1)
    tolerances = Tolerances(ftol=ftol, xtol=xtol, gtol=gtol, maxfev=maxfev)
    x = start.astype(np.float64)
    if not _proper(n_params, tolerances, factor, scales):
        end, last = _no_fit(problem, x, Status.IMPROPER_INPUT)
    elif not np.isfinite(x).all():
        end, last = _no_fit(problem, x * np.nan, Status.BAD_START)
    else:
        rules = Rules(tolerances=tolerances, factor=float(factor), diag=scales, box=box)
        end, last = solve_alone(problem, x[None], rules)
    status = Status(int(end.status[0]))
    x = end.params[0] if status is not Status.MODEL_NONFINITE else np.full(n_params, np.nan)
    message = _message(status, tolerances)
    if full_output:
        cov_x = _covariance(last) if status.success else None
        return x, cov_x, _infodict(problem, end, last), message, int(status)
    if status is Status.IMPROPER_INPUT:
        raise TypeError(message)
    if not status.success:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return x, int(status)


def as_box(bounds: Any, n_params: int) -> Box | None:
    """Return bounds as the engine wants them, None when there are none.

    Parameters
    ----------
    bounds
        None, ``(lower, upper)`` or an object with `lb` and `ub`; scalars or (n_params,) each.
    n_params
        The number of parameters.

    Raises
    ------
    ValueError
        When it is no pair, a size is wrong, or a lower bound is not below its upper one.
    """
    if bounds is None:
        return None
    pair = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    try:
        lower, upper = (np.broadcast_to(np.asarray(b, np.float64), (n_params,)) for b in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds must be (lower, upper), scalars or {n_params} values each, got {bounds!r}"
        ) from error
    if not np.all(lower < upper):
        raise ValueError(
            f"Each lower bound must be strictly less than each upper bound, got {lower} and {upper}"
        )
    unbounded = np.all(np.isneginf(lower)) and np.all(np.isposinf(upper))
    return None if unbounded else Box(lower, upper)


def _one_tolerance(ftol: float, atol: float) -> float:
    """Return the tolerance that goes by two names."""
    if ftol != TOLERANCE:
        raise TypeError(f"ftol={ftol!r} and atol={atol!r} are one tolerance: give only one")
    return atol


def _as_start(x0: ArrayLike) -> Any:
    """Return the start as a flat array of real floats; single precision stays so."""
    start = np.asarray(x0).flatten()
    if not np.can_cast(start.dtype, np.float64, casting="same_kind"):
        raise TypeError(
            f"Cannot cast x0 from {start.dtype!r} to float64: the start must be real numbers"
        )
    return start if np.issubdtype(start.dtype, np.floating) else start.astype(np.float64)


def _as_scales(diag: ArrayLike | None, n_params: int) -> Floats | None:
    """Return the scale factors, (n_params,)."""
    if diag is None:
        return None
    scales = np.atleast_1d(np.asarray(diag, dtype=np.float64))
    if scales.shape != (n_params,):
        raise ValueError(f"diag must have {n_params} values, one a parameter, got {diag!r}")
    return scales


def _proper(n_params: int, tolerances: Tolerances, factor: float, scales: Floats | None) -> bool:
    """Return whether MINPACK would begin with these."""
    least: Sequence[float] = (tolerances.ftol, tolerances.xtol, tolerances.gtol)
    return bool(
        n_params > 0
        and all(t >= 0 for t in least)
        and factor > 0
        and (scales is None or np.all(scales > 0))
    )


def _no_fit(problem: OneCurve, x: Floats, status: Status) -> tuple[Solution, LastFactors]:
    """Return the end of a fit that has not begun."""
    n_params = x.size
    solution = Solution.empty(1, n_params)
    solution.params[0] = x
    solution.status[0] = status
    nothing = np.full((1, n_params, problem.n_points), np.nan)
    fun = problem.residuals(x[None])
    return solution, LastFactors(fun, nothing, np.arange(n_params)[None], nothing[:, :, 0])


def _infodict(problem: OneCurve, end: Solution, last: LastFactors) -> dict[str, Any]:
    """Return the counts, the residuals and the factors under MINPACK's names."""
    counts = {"nfev": int(end.nfev[0])}
    if problem.jac is not None:
        counts["njev"] = int(end.njev[0])
    return {
        "fvec": last.fun[0],
        **counts,
        "fjac": last.packed[0],
        "ipvt": last.pivot[0].astype(np.int32),
        "qtf": last.qtf[0],
    }


def _covariance(last: LastFactors) -> Floats | None:
    """Return (JᵀJ)⁻¹ = (P R⁻¹)(P R⁻¹)ᵀ, or None when J is singular to rounding.

    |R[k, k]| is what column k has that those before it have not; against the column's norm this
    does not depend on the units of the parameters.
    """
    pivot = last.pivot[0]
    R = np.triu(last.packed[0].T[: pivot.size])
    own, norms = np.abs(np.diag(R)), np.linalg.norm(R, axis=0)
    if not np.all(own > EPSILON * np.sqrt(last.fun.shape[1]) * norms):
        return None
    inverse = np.linalg.inv(R)
    inverse[pivot] = inverse.copy()
    cov_x: Floats = inverse @ inverse.T
    return cov_x


def _message(status: Status, tolerances: Tolerances) -> str:
    """Return one sentence on the end, with the numbers that decided it."""
    if status is Status.MAXFEV:
        return f"Number of calls to function has reached maxfev = {tolerances.maxfev}."
    numbers = {
        Status.CONVERGED_FTOL: ("ftol",),
        Status.CONVERGED_XTOL: ("xtol",),
        Status.CONVERGED_BOTH: ("ftol", "xtol"),
        Status.CONVERGED_GTOL: ("gtol",),
        Status.FTOL_TOO_SMALL: ("ftol",),
        Status.XTOL_TOO_SMALL: ("xtol",),
        Status.GTOL_TOO_SMALL: ("gtol",),
    }.get(status, ())
    values = ", ".join(f"{name}={getattr(tolerances, name):g}" for name in numbers)
    return f"{status.message} ({values})" if values else status.message
