"""fit_curves: many curves of one model, one row of results each.

The batch is laid out in slabs (`curves`), each slab gets start values, is solved by the engine
(`minpack`) and judged (`covariance`), and the ends are written into the arrays of a `BatchFit`.
A curve that cannot be fitted gets a status before the engine sees it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import ArrayLike, Bools, Floats, Ints
from .bounds import Box
from .covariance import unscaled_covariance
from .curves import Curves, Slab, as_curves
from .determinacy import undetermined_by_rise
from .minpack import Rules, Solution, solve
from .model import Model
from .options import TOLERANCE, Engine, FitOptions, NanPolicy
from .pointwise import sample_rows, serves_batches
from .residuals import CurveProblem, read_only
from .result import BatchFit
from .status import Flag, Status
from .trust_region import Tolerances

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
        "reference", or "auto": the fastest that can do the model.

    Returns
    -------
    BatchFit, with one row a curve in the order given.

    Raises
    ------
    ValueError
        When shapes, names or options do not fit. Never because of a curve's values, except with
        nan_policy="raise".

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
) -> BatchFit:
    """Do what `fit_curves` does, with the options as one value."""
    if not isinstance(model, Model):
        model = Model.from_function(model)
    curves = as_curves(model, x, y, offsets, sigma)
    task = _Task.prepare(model, len(curves), p0, constants, options)
    fit = _unfitted(model, curves, task, offsets)
    fit.status[:] = Status.NO_DATA
    for slab in curves.slabs():
        _fit_slab(slab, task, fit)
    return fit


@dataclass(frozen=True, slots=True)
class _Task:
    """What is the same for all slabs of a batch.

    `start` (n_curves or 1, n_params) holds p0, with NaN columns where `guessed`; `constants` are
    (n_curves or 1, 1) each.
    """

    model: Model
    options: FitOptions
    start: Floats
    guessed: Bools
    constants: tuple[Floats, ...]
    free: Ints
    box: Box
    rules: Rules

    @classmethod
    def prepare(
        cls,
        model: Model,
        n_curves: int,
        p0: Any,
        constants: Mapping[str, ArrayLike] | None,
        options: FitOptions,
    ) -> "_Task":
        """Check everything that does not depend on the data of a curve."""
        fixed = options.fixed_for(model.params)
        free = np.array([j for j, p in enumerate(model.params) if p not in fixed], dtype=np.intp)
        start, guessed = start_values(model, n_curves, p0, fixed)
        lower, upper = options.bounds_for(model.params, model.bounds)
        box = Box(lower[free], upper[free])
        bounded = bool(np.isfinite(box.lower).any() or np.isfinite(box.upper).any())
        diag = options.diag_for(model.params)
        evaluations = 100 if model.jac is not None else 200
        rules = Rules(
            tolerances=Tolerances(
                options.ftol,
                options.xtol,
                options.gtol,
                options.maxfev or evaluations * (free.size + 1),
            ),
            factor=options.factor,
            diag=None if diag is None else diag[free],
            box=box if bounded else None,
        )
        return cls(
            model,
            options,
            start,
            guessed,
            _constant_columns(model, n_curves, constants or {}),
            free,
            box,
            rules,
        )

    def start_for(self, slab: Slab) -> Floats:
        """Return the start values of a slab, (n, n_params); guesses are moved into the bounds."""
        n = len(slab.rows)
        start = np.array(
            np.broadcast_to(self.start, (n, self.model.n_params))
            if len(self.start) == 1
            else self.start[slab.rows]
        )
        if self.guessed.any() and self.model.guess is not None:
            views = tuple(read_only(p) for p in slab.predictors)
            x = views if len(views) > 1 else views[0]
            guess = np.asarray(self.model.guess(x, read_only(slab.y), slab.valid), dtype=np.float64)
            start[:, self.guessed] = guess[:, self.guessed]
        movable = self.free[self.guessed[self.free]]
        inside = np.isin(self.free, movable)
        start[:, movable] = np.clip(
            start[:, movable], self.box.lower[inside], self.box.upper[inside]
        )
        return start

    def problem(self, slab: Slab, template: Floats) -> CurveProblem:
        """Return the problem of a slab, ready for the engine."""
        n = len(slab.rows)
        constants = tuple(
            np.broadcast_to(c, (n, 1)) if len(c) == 1 else c[slab.rows] for c in self.constants
        )
        weight = slab.weight
        return CurveProblem(
            model=self.model,
            predictors=slab.predictors,
            constants=constants,
            y=slab.y,
            weight=weight,
            valid=None if slab.valid.all() else slab.valid,
            template=template,
            free=self.free,
            box=self.rules.box,
            epsfcn=self.options.epsfcn,
        )


def start_values(
    model: Model, n_curves: int, p0: Any, fixed: Mapping[str, Any]
) -> tuple[Floats, Bools]:
    """Return start values, (1 or n_curves, n_params), and which of them the model is to guess.

    Raises
    ------
    ValueError
        When p0 or a fixed value has the wrong size or names what is no parameter.
    """
    names, n_params = model.params, model.n_params
    given: dict[str, Any] = {}
    if isinstance(p0, Mapping):
        given = dict(p0)
        unknown = set(given) - set(names)
        if unknown:
            raise ValueError(f"p0 names {sorted(unknown)}, which are no parameters of {names}")
    elif p0 is not None:
        table = np.asarray(p0, dtype=np.float64)
        if table.shape not in {(n_params,), (n_curves, n_params), (1, n_params)}:
            raise ValueError(
                f"p0 must be ({n_params},) or ({n_curves}, {n_params}), one value for each of "
                f"{names}; got shape {table.shape}"
            )
        given = {name: np.atleast_2d(table)[:, j] for j, name in enumerate(names)}
    given |= {name: value for name, value in fixed.items() if value is not None}
    columns = {name: _column(value, n_curves, f"p0[{name!r}]") for name, value in given.items()}
    height = n_curves if any(len(c) != 1 for c in columns.values()) else 1
    start = np.empty((height, n_params))
    for j, name in enumerate(names):
        start[:, j] = columns.get(name, model.start.get(name, 1.0))
    return start, np.array([name not in columns for name in names])


def _column(value: Any, n_curves: int, what: str) -> Floats:
    """Return a value a curve, or one for all, as (n_curves,) or (1,)."""
    column = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if column.shape not in {(1,), (n_curves,)}:
        raise ValueError(f"{what} must be a number or ({n_curves},), got shape {column.shape}")
    return column


def _constant_columns(
    model: Model, n_curves: int, constants: Mapping[str, ArrayLike]
) -> tuple[Floats, ...]:
    """Return the constants in the model's order, (n_curves or 1, 1) each."""
    if set(constants) != set(model.constants):
        raise ValueError(
            f"model {model.name!r} needs the constants {model.constants}, got {tuple(constants)}"
        )
    return tuple(
        _column(constants[name], n_curves, f"constants[{name!r}]")[:, None]
        for name in model.constants
    )


def _unfitted(model: Model, curves: Curves, task: _Task, offsets: Any) -> BatchFit:
    """Return the places for the results: NaN and zero counts, until a fit is written in."""
    n_curves, n = len(curves), model.n_params
    ragged = curves.y.ndim == 1
    return BatchFit(
        model=model,
        params=np.full((n_curves, n), np.nan),
        cov=np.full((n_curves, n, n), np.nan),
        stderr=np.full((n_curves, n), np.nan),
        status=np.zeros(n_curves, dtype=np.int8),
        flags=np.zeros(n_curves, dtype=np.uint8),
        at_bound=np.zeros((n_curves, n), dtype=np.bool_),
        undetermined=np.zeros((n_curves, n), dtype=np.bool_),
        nfev=np.zeros(n_curves, dtype=np.int32),
        njev=np.zeros(n_curves, dtype=np.int32),
        cost=np.full(n_curves, np.nan),
        n_points=np.zeros(n_curves, dtype=np.int32),
        dof=np.zeros(n_curves, dtype=np.int32),
        x=curves.predictors,
        constants=tuple(c[0, 0] if len(c) == 1 else c[:, 0] for c in task.constants),
        offsets=np.asarray(offsets, dtype=np.int64) if ragged else None,
    )


def _fit_slab(slab: Slab, task: _Task, fit: BatchFit) -> None:
    """Fit the curves of a slab and write down how they ended."""
    n_points = slab.valid.sum(axis=1)
    fit.n_points[slab.rows] = n_points
    fit.dof[slab.rows] = np.maximum(n_points - task.free.size, 0)
    fit.flags[slab.rows] = Flag.POINTS_OMITTED if slab.omitted else 0
    status = _data_status(slab, n_points, task)
    fit.status[slab.rows] = status
    fittable = np.flatnonzero(status == 0)
    if not fittable.size:
        return
    slab = slab if fittable.size == len(slab.rows) else slab.take(fittable)
    start = task.start_for(slab)
    good = np.isfinite(start).all(axis=1) & task.box.contains(start[:, task.free])
    fit.status[slab.rows[~good]] = Status.BAD_START
    if not good.all():
        slab, start = slab.take(np.flatnonzero(good)), start[good]
    if len(slab.rows):
        _solve_slab(slab, start, task, fit)


def _data_status(slab: Slab, n_points: Ints, task: _Task) -> Ints:
    """Return 0 where a curve can be fitted, else the status that says why not."""
    status = np.zeros(len(slab.rows), dtype=np.intp)
    status[n_points < task.free.size] = Status.TOO_FEW_POINTS
    if slab.sigma is not None:
        status[((slab.sigma <= 0) & slab.valid).any(axis=1)] = Status.BAD_SIGMA
    if slab.omitted:
        if task.options.nan_policy == "raise":
            raise ValueError(
                f"curve {slab.rows[0]} has values that are not finite and nan_policy is 'raise'; "
                "nan_policy='omit' leaves such points out"
            )
        lost = n_points == 0
        if task.options.nan_policy == "propagate":
            lost = np.ones_like(lost)
        status[lost] = Status.NONFINITE_DATA
    return status


def _solve_slab(slab: Slab, start: Floats, task: _Task, fit: BatchFit) -> None:
    """Solve a slab of curves that can be fitted; again curve by curve if the model needs it."""
    problem = task.problem(slab, start)
    x0 = start[:, task.free]
    with np.errstate(all="ignore"):
        if not serves_batches(problem, x0):
            problem = replace(problem, alone=True)
        solution = solve(problem, x0, task.rules)
        if not problem.alone and not _still_serves(problem, solution, x0):
            problem = replace(problem, alone=True)
            solution = solve(problem, x0, task.rules)
        _write(slab.rows, problem, solution, task, fit)


def _still_serves(problem: CurveProblem, solution: Solution, x0: Floats) -> bool:
    """Compare batch and single calls again where a few of the curves ended."""
    rows = sample_rows(len(x0))
    ends = np.where(np.isfinite(solution.params[rows]), solution.params[rows], x0[rows])
    return serves_batches(problem.take(rows), ends)


def _write(
    rows: Ints, problem: CurveProblem, solution: Solution, task: _Task, fit: BatchFit
) -> None:
    """Write the ends of a slab into the result, with covariances."""
    cost = 0.5 * solution.fnorm**2
    status = np.where(np.isfinite(cost), solution.status, Status.MODEL_NONFINITE)
    fit.status[rows] = status
    fit.nfev[rows] = solution.nfev
    fit.njev[rows] = solution.njev
    ended = np.flatnonzero(status != Status.MODEL_NONFINITE)
    fit.params[rows[ended]] = problem.take(ended).complete(solution.params[ended])
    fit.cost[rows[ended]] = cost[ended]
    step = max(1, _COVARIANCE_POINTS // problem.y.shape[1])
    for first in range(0, ended.size, step):
        part = ended[first : first + step]
        _write_covariance(rows[part], problem.take(part), solution.params[part], task, fit)


def _write_covariance(
    rows: Ints, problem: CurveProblem, params: Floats, task: _Task, fit: BatchFit
) -> None:
    """Write covariance, stderr and their flags of some curves, from the Jacobian at their ends."""
    free = task.free
    jac = problem.jacobian_at(params)
    held = np.zeros(params.shape, dtype=np.bool_)
    if task.rules.box is not None:
        held = task.rules.box.on_face(params)
        jac[held] = 0.0
    rank_tolerance = _EXACT_RANK if task.model.jac is not None else _DIFFERENCES_RANK
    covariance = unscaled_covariance(jac, rank_tolerance)
    cov_x = np.where(held[:, :, None] | held[:, None, :], 0.0, covariance.cov_x)
    scale = np.ones(len(rows))
    if not task.options.absolute_sigma:
        dof = fit.dof[rows]
        scale = np.where(dof > 0, 2.0 * fit.cost[rows] / dof, np.nan)
        fit.flags[rows[dof == 0]] |= np.uint8(Flag.NO_DOF)
    undetermined = covariance.undetermined & ~held
    undetermined |= undetermined_by_rise(problem, params, cov_x, fit.cost[rows], scale)
    cov_x[undetermined[:, :, None] | undetermined[:, None, :]] = np.nan
    part = cov_x * scale[:, None, None]
    part[held[:, :, None] | held[:, None, :]] = 0.0
    fit.cov[rows] = 0.0
    fit.cov[np.ix_(rows, free, free)] = part
    fit.stderr[np.ix_(rows, free)] = np.where(
        held, np.nan, np.sqrt(np.diagonal(part, axis1=1, axis2=2))
    )
    fit.at_bound[np.ix_(rows, free)] = held
    fit.undetermined[np.ix_(rows, free)] = undetermined
    fit.flags[rows[held.any(axis=1)]] |= np.uint8(Flag.AT_BOUND)
    fit.flags[rows[undetermined.any(axis=1)]] |= np.uint8(Flag.UNDETERMINED)
