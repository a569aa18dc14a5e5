"""SciPy's ``curve_fit`` on the reference engine: one curve, given as a model and data.

Residuals are whitened, W (f(x, *params) - y): W = 1 / sigma for standard deviations, and W = L⁻¹
for a covariance matrix sigma = L Lᵀ. They are minimised by `leastsq`, with or without bounds; the
methods 'trf' and 'dogbox' name the same bounded Levenberg-Marquardt here and differ from 'lm' only
in what SciPy lets one ask of them.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import ArrayLike, Bools, Floats
from .bounds import Box
from .differences import forward_differences
from .leastsq import as_box, leastsq
from .options import TOLERANCE
from .schemes import central_differences, complex_steps
from .status import Status

METHODS = ("lm", "trf", "dogbox")
SCHEMES = ("2-point", "3-point", "cs")


class OptimizeWarning(UserWarning):
    """The fit took place, but its covariance could not be estimated."""


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: ArrayLike,
    p0: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Callable[..., Any] | str | None = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Fit a model to one curve by non-linear least squares.

    Parameters
    ----------
    f
        The model, ``f(xdata, *params)``, returns (n_points,).
    xdata
        The predictors: arrays, lists and tuples become float64 arrays, usually (n_points,) or
        (k, n_points); anything else is handed to `f` as it is.
    ydata
        (n_points,) observations, or one number that stands for all points.
    p0
        (n_params,) start. None: 1 for each named argument of `f` after the first; with bounds,
        the middle of two, or 1 inside the only one.
    sigma
        Standard deviations in units of y, a scalar or (n_points,), > 0, infinite for points of no
        weight; or their covariance matrix, (n_points, n_points). None: all equal.
    absolute_sigma
        Whether `sigma` is to be believed. If not (the default), `pcov` is scaled so that the
        reduced chi-square is 1.
    check_finite
        Whether NaN or infinity in the data is an error; default: yes, unless `nan_policy` is
        given.
    bounds
        ``(lower, upper)``, scalars or (n_params,) each, or an object with the attributes `lb` and
        `ub`; infinite where there is none, the default.
    method
        'lm', 'trf' or 'dogbox'. Default: 'trf' with bounds, else 'lm', which allows none.
    jac
        ``jac(xdata, *params)`` returns the derivatives of `f`, (n_points, n_params). None:
        forward differences. With 'trf' and 'dogbox' also '2-point' (the same), '3-point' (central
        differences) or 'cs' (complex steps, for a model that takes complex parameters).
    full_output
        Whether to return `infodict`, `mesg` and `ier` too.
    nan_policy
        None (the default), 'raise', or 'omit' to leave out points with a NaN in x or y.
    **kwargs
        For 'lm' those of `leastsq`. For 'trf' and 'dogbox': `ftol`, `xtol`, `gtol` (as in
        `leastsq`; None: 0), `max_nfev` or `maxfev` (default 100 * n_params, evaluations for
        differences not counted), `x_scale` (the size of each parameter; 1 or 'jac': by the
        columns of the Jacobian), `diff_step` (relative step of the differences).

    Returns
    -------
    popt
        (n_params,), the parameters at the minimum.
    pcov
        (n_params, n_params), their covariance; all infinite, with a warning, where it cannot be
        estimated. For 'trf' and 'dogbox' it is made with the pseudo-inverse of the Jacobian at
        `popt`, in which parameters at a bound count as free.
    infodict, mesg, ier
        As from `leastsq`, with MINPACK's codes for every method. Only with `full_output`.

    Raises
    ------
    ValueError
        Data that are empty or not finite, a `sigma`, bounds, method, scheme or `nan_policy` that
        cannot be, a start outside the bounds, a model whose parameters cannot be counted. With
        'trf' and 'dogbox' also residuals that are not finite at the start.
    TypeError
        More parameters than points, an unknown keyword, a Jacobian of wrong shape.
    RuntimeError
        When the fit did not converge; the message says how it ended.

    Warns
    -----
    OptimizeWarning
        When the covariance could not be estimated.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 4, 9)
    >>> y = 2.5 * np.exp(-1.3 * x) + 0.01 * np.cos(9 * x)
    >>> popt, pcov = curve_fit(lambda x, a, b: a * np.exp(-b * x), x, y)
    >>> popt.round(2).tolist(), np.sqrt(np.diag(pcov)).round(3).tolist()
    ([2.51, 1.31], [0.007, 0.007])
    """
    n_params = _count_params(f) if p0 is None else np.size(p0)
    box = as_box(bounds, n_params)
    start = _inside(box, n_params) if p0 is None else np.ravel(np.asarray(p0))
    method = _choose_method(method, jac, bounded=box is not None)
    if "args" in kwargs:
        raise ValueError("'args' is not a supported keyword argument: bind them into f")
    xdata, ydata, kept = _as_data(xdata, ydata, check_finite, nan_policy)
    if ydata.size != 1 and n_params > ydata.size:
        raise TypeError(
            f"The number of func parameters={n_params} must not exceed the number of data "
            f"points={ydata.size}"
        )
    whiten = _whitening(sigma, kept, ydata.size)
    step = kwargs.pop("diff_step", None) if method != "lm" else None
    curve = WhitenedCurve(f, jac, xdata, ydata, whiten=whiten, box=box, step=step)
    if method != "lm":
        kwargs = _as_leastsq_options(kwargs, curve, n_params)
    popt, cov_x, infodict, message, ier = leastsq(
        curve.residuals,
        start,
        Dfun=None if curve.by_forward_differences else curve.jacobian,
        full_output=True,
        bounds=None if box is None else (box.lower, box.upper),
        **kwargs,
    )
    if ier == Status.MODEL_NONFINITE and method != "lm":
        raise ValueError(f"Residuals are not finite in the initial point, {start}")
    if not Status(ier).success:
        raise RuntimeError(f"Optimal parameters not found: {message}")
    fun = infodict["fvec"]
    if method != "lm":
        cov_x = _pseudo_inverse(curve.jacobian(popt, fun))
    pcov = _as_pcov(cov_x, fun, n_params, absolute=bool(absolute_sigma))
    if pcov is None:
        warnings.warn(
            "Covariance of the parameters could not be estimated", OptimizeWarning, stacklevel=2
        )
        pcov = np.full((n_params, n_params), np.inf)
    return (popt, pcov, infodict, message, ier) if full_output else (popt, pcov)


@dataclass(frozen=True, slots=True)
class WhitenedCurve:
    """The residuals of one curve in units of their standard deviations, and their derivatives.

    Attributes
    ----------
    f, xdata, ydata
        The model, called as ``f(xdata, *params)``, and the data.
    jac
        Its derivatives, called alike, or the name of a scheme of differences; None: '2-point'.
    whiten
        What to apply to (n_points,) residuals and (n_points, n_params) derivatives.
    box
        Bounds that differences must not leave.
    step
        Relative step of differences; None: the scheme's own.
    """

    f: Callable[..., Any]
    jac: Callable[..., Any] | str | None
    xdata: Any
    ydata: Floats
    whiten: Callable[[Any], Any]
    box: Box | None
    step: float | None = None

    @property
    def by_forward_differences(self) -> bool:
        """Whether the engine's own differences do."""
        return self.jac in {None, "2-point"}

    def residuals(self, params: Any) -> Any:
        """Return the residuals, (n_points,)."""
        return self.whiten(np.asarray(self.f(self.xdata, *params)) - self.ydata)

    def jacobian(self, params: Floats, fun: Floats | None = None) -> Any:
        """Return the derivatives, (n_points, n_params); `fun` are the residuals, if known."""
        if callable(self.jac):
            return self.whiten(np.asarray(self.jac(self.xdata, *params)))
        if self.jac == "cs":
            return complex_steps(self.residuals, params)
        if fun is None:
            fun = np.atleast_1d(self.residuals(params))
        if self.jac == "3-point":
            return central_differences(self.residuals, params, fun, self.box, self.step)
        columns = forward_differences(
            lambda p: np.atleast_1d(self.residuals(p[0]))[None],
            params[None],
            fun[None],
            epsfcn=None if self.step is None else self.step**2,
            box=self.box,
        )
        return columns[0].T


def _count_params(f: Callable[..., Any]) -> int:
    """Return the number of named arguments after the first."""
    try:
        arguments = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        arguments = {}.values()
    named = [a for a in arguments if a.kind in {a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD}]
    if len(named) < 2:
        raise ValueError(
            "Unable to determine number of fit parameters. Give p0, or name each parameter in "
            "the signature of f"
        )
    return len(named) - 1


def _inside(box: Box | None, n_params: int) -> Floats:
    """Return a start: 1 where there is no bound, the middle of two, or 1 inside of one."""
    start = np.ones(n_params)
    if box is None:
        return start
    low, high = np.isfinite(box.lower), np.isfinite(box.upper)
    start[low] = box.lower[low] + 1
    start[high] = box.upper[high] - 1
    start[low & high] = 0.5 * (box.lower + box.upper)[low & high]
    return start


def _choose_method(method: str | None, jac: Any, *, bounded: bool) -> str:
    """Return the method, after checking that it can do what is asked."""
    method = method or ("trf" if bounded else "lm")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS} or None, got {method!r}")
    if method == "lm" and bounded:
        raise ValueError(
            "Method 'lm' only works for unconstrained problems. Use 'trf' or 'dogbox' instead"
        )
    schemes = () if method == "lm" else SCHEMES
    if jac is not None and not callable(jac) and jac not in schemes:
        raise ValueError(
            f"jac must be None, a callable, or with method 'trf' or 'dogbox' one of {SCHEMES}; "
            f"got {jac!r} for method {method!r}"
        )
    return method


def _as_data(
    xdata: Any, ydata: ArrayLike, check_finite: bool | None, nan_policy: str | None
) -> tuple[Any, Floats, Bools | None]:
    """Return the data as floats, without NaN where that is the policy, and what was kept."""
    if nan_policy == "propagate":
        raise ValueError("`nan_policy='propagate'` is not supported by this function.")
    if nan_policy not in {None, "raise", "omit"}:
        raise ValueError(f"nan_policy must be one of {{None, 'raise', 'omit'}}, got {nan_policy!r}")
    check = nan_policy is None if check_finite is None else check_finite
    y = _as_floats(ydata, "ydata", check=check)
    if isinstance(xdata, (list, tuple, np.ndarray)):
        xdata = _as_floats(xdata, "xdata", check=check)
    if y.size == 0:
        raise ValueError("`ydata` must not be empty!")
    if nan_policy is None:
        return xdata, y, None
    return _without_nan(xdata, y, nan_policy)


def _as_floats(values: Any, what: str, *, check: bool) -> Floats:
    """Return float64, finite if `check`."""
    array = np.asarray(values, dtype=np.float64)
    if check and not np.isfinite(array).all():
        raise ValueError(
            f"{what}: array must not contain infs or NaNs; nan_policy='omit' leaves points with "
            "NaN out"
        )
    return array


def _without_nan(xdata: Any, ydata: Floats, nan_policy: str) -> tuple[Any, Floats, Bools | None]:
    """Leave out the points that have a NaN in x or y, or refuse them."""
    bad = np.isnan(ydata)
    is_array = isinstance(xdata, np.ndarray)
    if is_array:
        bad = bad | np.isnan(xdata).any(axis=tuple(range(xdata.ndim - 1)))
    if not bad.any():
        return xdata, ydata, None
    if nan_policy == "raise":
        raise ValueError("The input contains nan values; nan_policy='omit' leaves them out")
    if not is_array:
        raise ValueError(
            f"nan_policy='omit' needs xdata as an array, a list or a tuple, got {type(xdata)}"
        )
    return xdata[..., ~bad], ydata[~bad], ~bad


def _whitening(sigma: ArrayLike | None, kept: Bools | None, n_points: int) -> Callable[[Any], Any]:
    """Return what brings residuals and derivatives to unit variance."""
    if sigma is None:
        return lambda a: a
    sigma = np.asarray(sigma, dtype=np.float64)
    if kept is not None and sigma.ndim in {1, 2} and sigma.size > 1:
        sigma = sigma[kept] if sigma.ndim == 1 else sigma[np.ix_(kept, kept)]
    if sigma.size == 1 or sigma.shape == (n_points,):
        if not np.all(sigma > 0):
            raise ValueError(f"`sigma` must be > 0 at every point, got {sigma}")
        weight = 1.0 / (sigma.reshape(()) if sigma.size == 1 else sigma)
        return lambda a: (a.T * weight).T
    if sigma.shape != (n_points, n_points):
        raise ValueError(
            f"`sigma` has incorrect shape: {sigma.shape}; it must be a scalar, ({n_points},) or "
            f"({n_points}, {n_points})"
        )
    try:
        lower = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError as error:
        raise ValueError("`sigma` must be positive definite.") from error
    inverse = np.linalg.inv(lower)
    return lambda a: inverse @ a


def _as_leastsq_options(
    kwargs: dict[str, Any], curve: WhitenedCurve, n_params: int
) -> dict[str, Any]:
    """Translate the options that SciPy has for 'trf' and 'dogbox' into those of `leastsq`."""
    given = dict(kwargs)
    options = {name: given.pop(name, default) or 0.0 for name, default in _TOLERANCES.items()}
    max_nfev = given.pop("max_nfev", given.pop("maxfev", None)) or 100 * n_params
    each = n_params + 1 if curve.by_forward_differences else 1
    options["maxfev"] = max_nfev * each
    if curve.step is not None:
        options["epsfcn"] = curve.step**2
    x_scale = given.pop("x_scale", None)
    if x_scale is not None and not isinstance(x_scale, str) and np.any(np.asarray(x_scale) != 1):
        options["diag"] = np.broadcast_to(1.0 / np.asarray(x_scale, np.float64), (n_params,))
    if given:
        raise TypeError(
            f"curve_fit() got an unexpected keyword argument {next(iter(given))!r} for method "
            f"'trf' or 'dogbox'; there are {(*_TOLERANCES, 'max_nfev', 'x_scale', 'diff_step')}"
        )
    return options


_TOLERANCES = {"ftol": TOLERANCE, "xtol": TOLERANCE, "gtol": 0.0}


def _pseudo_inverse(jac: Any) -> Floats | None:
    """Return the Moore-Penrose inverse of JᵀJ, None where J is not finite."""
    columns = np.atleast_2d(jac)
    if not np.isfinite(columns).all():
        return None
    _, s, vt = np.linalg.svd(columns, full_matrices=False)
    kept = s > np.finfo(np.float64).eps * max(columns.shape) * s[0]
    scaled = vt[kept] / s[kept, None]
    inverse: Floats = scaled.T @ scaled
    return inverse


def _as_pcov(cov_x: Floats | None, fun: Floats, n_params: int, *, absolute: bool) -> Floats | None:
    """Return the covariance, None where there is none or no scale for it."""
    if cov_x is None or np.isnan(cov_x).any():
        return None
    if absolute:
        return cov_x
    dof = fun.size - n_params
    return cov_x * (np.sum(fun**2) / dof) if dof > 0 else None
