"""fit_curves: many curves of one model, one row of results each.

The batch is laid out in slabs (`curves`), each slab gets start values, is solved by the engine
(`minpack`) and judged (`covariance`), and the ends are written into the arrays of a `BatchFit`.
A curve that cannot be fitted gets a status before the engine sees it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .arrays import ArrayLike, Bools, Floats, Ints
from .compiled import LEAST_NORM, Compiled
from .covariance import unscaled_covariance
from .curves import Curves, Slab, as_curves
from .ends import forget, write_covariance
from .formulas import formula_holds, with_formula
from .minpack import solve
from .model import Model
from .norms import dot
from .options import TOLERANCE, Engine, FitOptions, NanPolicy
from .pointwise import sample_rows, serves_batches
from .preparation import Prepared
from .residuals import CurveProblem
from .result import BatchFit
from .state import Solution
from .status import Flag, Status

_EXACT_RANK, _DIFFERENCES_RANK = 1e-14, 3e-8
"""Pivots of the scaled Jacobian that are noise: by rounding, and by forward differences."""
_COVARIANCE_POINTS = 1 << 17
"""Points whose Jacobian is held at a time when covariances are made."""


def fit_curves(
    model: Model | Callable[..., Any],
    x: Any,
    y: ArrayLike,
    *,
    offsets: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    absolute_sigma: bool = False,
    p0: Any = None,
    bounds: Any = None,
    fixed: Any = (),
    constants: Mapping[str, ArrayLike] | None = None,
    nan_policy: NanPolicy = "omit",
    ftol: float = TOLERANCE,
    xtol: float = TOLERANCE,
    gtol: float = 0.0,
    maxfev: int = 0,
    epsfcn: float | None = None,
    factor: float = 100.0,
    diag: ArrayLike | None = None,
    engine: Engine = "auto",
) -> BatchFit:
    """Fit one model to many curves by non-linear least squares.

    Each curve minimises ½ Σ ((f(x_i, p) - y_i) / sigma_i)² by Levenberg-Marquardt as in MINPACK,
    by itself: its result does not depend on the other curves, to the bit.

    Parameters
    ----------
    model
        A `Model`, or a NumPy function ``f(x, a, b, ...)``.
    x
        (n_points,) shared by all curves, (n_curves, n_points), or flat with `offsets`; for
        several predictors a mapping of name to such arrays.
    y
        (n_curves, n_points), or flat with `offsets`.
    offsets
        (n_curves + 1,) integers: curve i is ``y[offsets[i]:offsets[i + 1]]``.
    sigma
        Standard deviations of y, > 0: a number, or an array that broadcasts to the shape of y.
    absolute_sigma
        Whether sigma is in units of y. If not, the covariance is scaled by redchi.
    p0
        Start values: (n_params,), (n_curves, n_params), or ``{name: value or (n_curves,)}`` for
        some of the parameters. Others: the model's guess, else its function's defaults, else 1.
    bounds
        ``{name: (lower, upper)}`` or ``(lower, upper)``. Default: the model's own.
    fixed
        Names of parameters to hold at their start values, or ``{name: value or (n_curves,)}``.
    constants
        ``{name: value or (n_curves,)}`` for the model's constants.
    nan_policy
        "omit" leaves points out that are not finite, "propagate" gives their curves
        ``Status.NONFINITE_DATA``, "raise" raises.
    ftol, xtol, gtol, maxfev, epsfcn, factor, diag
        As in MINPACK; see `FitOptions`.
    engine
        "auto": the fastest that can do the model; "simd" or "reference": see `FitOptions`.

    Returns
    -------
    BatchFit, with one row a curve in the order given.

    Raises
    ------
    ValueError
        When shapes, names or options do not fit. Never because of a curve's values, except with
        nan_policy="raise".

    Warns
    -----
    ModelWarning
        When the model could be fitted faster, and how; see `FitOptions`, engine.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 5, 50)
    >>> y = np.array([[2.0], [3.0]]) * np.exp(-1.5 * x) + 0.5
    >>> fit = fit_curves(lambda x, a, b, c: a * np.exp(-b * x) + c, x, y)
    >>> fit.params.round(6).tolist()
    [[2.0, 1.5, 0.5], [3.0, 1.5, 0.5]]
    >>> fit.success.tolist()
    [True, True]
    """
    options = FitOptions(
        absolute_sigma=absolute_sigma,
        bounds=bounds,
        fixed=fixed,
        nan_policy=nan_policy,
        ftol=ftol,
        xtol=xtol,
        gtol=gtol,
        maxfev=maxfev,
        epsfcn=epsfcn,
        factor=factor,
        diag=diag,
        engine=engine,
    )
    return fit_batch(
        model, x, y, offsets=offsets, sigma=sigma, p0=p0, constants=constants, options=options
    )


def fit_batch(
    model: Model | Callable[..., Any],
    x: Any,
    y: ArrayLike,
    *,
    offsets: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    p0: Any = None,
    constants: Mapping[str, ArrayLike] | None = None,
    options: FitOptions = FitOptions(),  # noqa: B008 - frozen
    settled: bool = False,
) -> BatchFit:
    """Do what `fit_curves` does, with the options as one value.

    `settled` says that model and options are what `rehearsed` has returned: the formula, where
    there is one, is the model's, and is not looked into again.
    """
    if not isinstance(model, Model):
        model = Model.from_function(model)
    curves = as_curves(model, x, y, offsets, sigma)
    given = Prepared.of(model, len(curves), p0, constants, options)
    prepared = given if settled else with_formula(given, curves)
    fit = _fit(curves, prepared, offsets)
    if settled or formula_holds(prepared, given.model, curves, fit.params):
        return fit
    return _fit(curves, given.by(replace(model, graph=None)), offsets)


def _fit(curves: Curves, prepared: Prepared, offsets: Any) -> BatchFit:
    """Fit all curves: those that can be as they lie, then the others slab by slab."""
    fit = _places(curves, prepared, offsets)
    compiled = Compiled.for_batch(prepared, fit)
    if compiled is None:
        forget(fit, slice(None))
    left = None if compiled is None else np.flatnonzero(compiled.fit_curves(curves))
    for slab in curves.slabs(left) if left is None or left.size else ():
        _fit_slab(slab, prepared, fit, compiled)
    return fit if compiled is None else replace(fit, compile_s=sum(compiled.compile_s))


def _places(curves: Curves, prepared: Prepared, offsets: Any) -> BatchFit:
    """Return the places for the results: no data, zero counts, and numbers not yet written.

    They are many, and the compiled engine writes most of them at once: so either an engine writes
    them, or `forget`.
    """
    n_curves, n = len(curves), prepared.model.n_params
    ragged = curves.y.ndim == 1
    return BatchFit(
        model=prepared.model,
        params=np.empty((n_curves, n)),
        cov=np.empty((n_curves, n, n)),
        stderr=np.empty((n_curves, n)),
        status=np.full(n_curves, Status.NO_DATA, dtype=np.int8),
        flags=np.zeros(n_curves, dtype=np.uint8),
        at_bound=np.zeros((n_curves, n), dtype=np.bool_),
        undetermined=np.zeros((n_curves, n), dtype=np.bool_),
        nfev=np.zeros(n_curves, dtype=np.int32),
        njev=np.zeros(n_curves, dtype=np.int32),
        cost=np.empty(n_curves),
        n_points=np.zeros(n_curves, dtype=np.int32),
        dof=np.zeros(n_curves, dtype=np.int32),
        compiled=np.zeros(n_curves, dtype=np.bool_),
        x=curves.predictors,
        constants=tuple(c[0, 0] if len(c) == 1 else c[:, 0] for c in prepared.constants),
        offsets=np.asarray(offsets, dtype=np.int64) if ragged else None,
    )


def _fit_slab(slab: Slab, prepared: Prepared, fit: BatchFit, compiled: Compiled | None) -> None:
    """Fit the curves of a slab and write down how they ended."""
    n_points = slab.valid.sum(axis=1)
    fit.n_points[slab.rows] = n_points
    fit.dof[slab.rows] = np.maximum(n_points - prepared.free.size, 0)
    fit.flags[slab.rows] = Flag.POINTS_OMITTED if slab.omitted else 0
    status = _data_status(slab, n_points, prepared)
    fittable = np.flatnonzero(status == 0)
    fit.status[slab.rows[status != 0]] = status[status != 0]
    if not fittable.size:
        return
    slab = slab if fittable.size == len(slab.rows) else slab.take(fittable)
    begun: Bools = np.asarray(np.isfinite(fit.params[slab.rows]).all(axis=1))
    start = fit.params[slab.rows]
    if not begun.all():
        starts = prepared.start_for if compiled is None else compiled.starts.of_slab
        start = np.where(begun[:, None], start, starts(slab))
    good = prepared.may_start(start)
    fit.status[slab.rows[~good]] = Status.BAD_START
    if not good.all():
        slab, start, begun = slab.take(np.flatnonzero(good)), start[good], begun[good]
    if compiled is not None and slab.omitted and not begun.any():
        left = np.flatnonzero(compiled.fit_slab(slab, start))
        slab, start = slab.take(left), start[left]
        begun = np.asarray(np.isfinite(fit.params[slab.rows]).all(axis=1))
        start = np.where(begun[:, None], fit.params[slab.rows], start)
    if len(slab.rows):
        _solve_slab(slab, start, begun, prepared, fit)


def _data_status(slab: Slab, n_points: Ints, prepared: Prepared) -> Ints:
    """Return 0 where a curve can be fitted, else the status that says why not."""
    status = np.zeros(len(slab.rows), dtype=np.intp)
    status[n_points < prepared.free.size] = Status.TOO_FEW_POINTS
    if slab.sigma is not None:
        status[((slab.sigma <= 0) & slab.valid).any(axis=1)] = Status.BAD_SIGMA
    if slab.omitted:
        if prepared.options.nan_policy == "raise":
            raise ValueError(
                f"curve {slab.rows[0]} has values that are not finite and nan_policy is 'raise'; "
                "nan_policy='omit' leaves such points out"
            )
        lost = n_points == 0
        if prepared.options.nan_policy == "propagate":
            lost = np.ones_like(lost)
        status[lost] = Status.NONFINITE_DATA
    return status


def _solve_slab(slab: Slab, start: Floats, begun: Bools, prepared: Prepared, fit: BatchFit) -> None:
    """Solve a slab of curves that can be fitted; again curve by curve if the model needs it.

    Curves that were `begun` by the other engine go on from where it stopped; those that it has
    ended lack a covariance.
    """
    ended = np.flatnonzero(begun & (fit.status[slab.rows] > 0))
    if ended.size:
        ended = _write_missing_covariances(slab, start, ended, prepared, fit)
        others = np.setdiff1d(np.arange(len(slab.rows)), ended)
        if not others.size:
            return
        slab, start, begun = slab.take(others), start[others], begun[others]
    problem = prepared.problem(slab, start)
    x0 = start[:, prepared.free]
    with np.errstate(all="ignore"):
        if not serves_batches(problem, x0):
            problem = replace(problem, alone=True)
        solution = solve(problem, x0, prepared.rules)
        if not problem.alone and not _still_serves(problem, solution, x0):
            problem = replace(problem, alone=True)
            solution = solve(problem, x0, prepared.rules)
        solution.nfev[begun] += fit.nfev[slab.rows[begun]]
        solution.njev[begun] += fit.njev[slab.rows[begun]]
        _write(slab.rows, problem, solution, prepared, fit)


def _write_missing_covariances(
    slab: Slab, start: Floats, ended: Ints, prepared: Prepared, fit: BatchFit
) -> Ints:
    """Write the covariances of curves `ended` by the other engine; return which of them they are.

    The others are to go on: it was blind where a column of the Jacobian is so small, and was so
    from the beginning, that its squares are nothing.
    """
    problem, ends = prepared.problem(slab, start), start[:, prepared.free]
    with np.errstate(all="ignore"):
        faint = _faint(problem.take(ended), ends[ended])
        some = np.flatnonzero(faint.any(axis=1))
        if some.size:
            part = slab.take(ended[some])
            begin = np.broadcast_to(prepared.start_for(part), (some.size, start.shape[1]))
            faint[some] &= _faint(prepared.problem(part, begin), begin[:, prepared.free])
        blind = faint.any(axis=1)
        fit.status[slab.rows[ended[blind]]], fit.compiled[slab.rows[ended[blind]]] = 0, False
        ended = ended[~blind]
        _write_covariances(slab.rows, problem, ends, ended, prepared, fit)
    return ended


def _faint(problem: CurveProblem, params: Floats) -> Bools:
    """Return (n_curves, n_free): which columns of the Jacobian have no square, but are not zero."""
    size = np.abs(problem.jacobian_at(params)).max(axis=2)
    return np.asarray((size > 0) & (size < LEAST_NORM))


def _still_serves(problem: CurveProblem, solution: Solution, x0: Floats) -> bool:
    """Compare batch and single calls again where a few of the curves ended."""
    rows = sample_rows(len(x0))
    ends = np.where(np.isfinite(solution.params[rows]), solution.params[rows], x0[rows])
    return serves_batches(problem.take(rows), ends)


def _write(
    rows: Ints, problem: CurveProblem, solution: Solution, prepared: Prepared, fit: BatchFit
) -> None:
    """Write the ends of a slab into the result, with covariances."""
    cost = 0.5 * solution.fnorm**2
    status = np.where(np.isfinite(cost), solution.status, Status.MODEL_NONFINITE)
    fit.status[rows] = status
    fit.nfev[rows] = solution.nfev
    fit.njev[rows] = solution.njev
    ended = np.flatnonzero(status != Status.MODEL_NONFINITE)
    fit.params[rows], fit.cost[rows] = np.nan, np.nan
    fit.params[rows[ended]] = problem.take(ended).complete(solution.params[ended])
    fit.cost[rows[ended]] = cost[ended]
    _write_covariances(rows, problem, solution.params, ended, prepared, fit)


def _write_covariances(
    rows: Ints,
    problem: CurveProblem,
    params: Floats,
    ended: Ints,
    prepared: Prepared,
    fit: BatchFit,
) -> None:
    """Write the covariances of the curves `ended` of a slab, some at a time."""
    step = max(1, _COVARIANCE_POINTS // problem.y.shape[1])
    for first in range(0, ended.size, step):
        part = ended[first : first + step]
        _write_some_covariances(rows[part], problem.take(part), params[part], prepared, fit)


def _write_some_covariances(
    rows: Ints, problem: CurveProblem, params: Floats, prepared: Prepared, fit: BatchFit
) -> None:
    """Write covariance, stderr and their flags of some curves, from the Jacobian at their ends."""
    jac = problem.jacobian_at(params)
    held = None
    if prepared.rules.box is not None:
        held = prepared.rules.box.on_face(params)
        jac[held] = 0.0
    rank_tolerance = _EXACT_RANK if prepared.model.jac is not None else _DIFFERENCES_RANK
    covariance = unscaled_covariance(jac, rank_tolerance)
    cov_x = covariance.cov_x
    if held is not None:
        cov_x = np.where(held[:, :, None] | held[:, None, :], 0.0, cov_x)

    def chi2_at(some: Ints, there: Floats) -> Floats:
        """Return the sum of squares of some of the curves at other parameters."""
        fun = problem.take(some).residuals(there)
        return dot(fun, fun)

    data = problem.y if problem.weight is None else problem.y * problem.weight
    write_covariance(
        fit,
        prepared,
        rows,
        params,
        cov_x,
        held=held,
        undetermined=covariance.undetermined,
        data=dot(data, data),
        chi2_at=chi2_at,
    )
