"""The options of a fit, checked once and carried as one value through every layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from .arrays import Floats

NanPolicy = Literal["omit", "raise", "propagate"]
Engine = Literal["auto", "simd", "reference"]

TOLERANCE = 1.49012e-8
"""MINPACK's usual tolerance, the square root of the double's unit roundoff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What may be chosen about a fit; the names and defaults are MINPACK's and SciPy's.

    Attributes
    ----------
    absolute_sigma
        Whether sigma is in units of y. If not, the covariance is scaled by redchi.
    bounds
        ``{name: (lower, upper)}``, or ``(lower, upper)`` with scalars or one value a parameter;
        None: the model's own. Infinite, or None in a mapping, where there is none.
    fixed
        Parameters that are not fitted: names (held at their start values) or ``{name: value}``;
        kept as a mapping, with None for the start value.
    nan_policy
        "omit": points with NaN or infinity in x, y or sigma are left out (and flagged).
        "propagate": such a curve ends with ``Status.NONFINITE_DATA``. "raise": ValueError.
    ftol, xtol, gtol
        Relative reduction of the sum of squares, relative change of the scaled parameters, and
        cosine between residuals and Jacobian columns at which a fit has converged.
    maxfev
        The most evaluations of the model a curve; 0: 100 * (n + 1) with an exact Jacobian,
        200 * (n + 1) without, n free parameters.
    epsfcn
        Relative error of the model, for the step of forward differences; None: machine epsilon.
    factor
        The first step bound, in units of the scaled norm of the start; within [0.1, 100].
    diag
        Positive scale factors, one a parameter; None: column norms of the Jacobian.
    engine
        "reference": NumPy, for any function, called as it is. "simd": compiled, for models that
        are a formula; ValueError for others. "auto": the fastest that can do the model. A plain
        function is called with symbols in place of arrays to read its formula, which gives it exact
        derivatives, too; one that is no formula is fitted by the reference engine, with a
        `ModelWarning` that says why. So are models with more than 16 parameters to fit, without
        one: they take seconds to compile, which "simd" spends.

    Raises
    ------
    ValueError
        When a value is outside its range.
    """

    absolute_sigma: bool = False
    bounds: Any = None
    fixed: Any = field(default=())
    nan_policy: NanPolicy = "omit"
    ftol: float = TOLERANCE
    xtol: float = TOLERANCE
    gtol: float = 0.0
    maxfev: int = 0
    epsfcn: float | None = None
    factor: float = 100.0
    diag: Any = None
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Check every value that needs no model; give `fixed` its one form, a mapping."""
        if isinstance(self.fixed, str):
            raise ValueError(f"fixed must be a list of names or a mapping, got {self.fixed!r}")
        if not isinstance(self.fixed, Mapping):
            object.__setattr__(self, "fixed", dict.fromkeys(self.fixed or ()))
        for name in ("ftol", "xtol", "gtol"):
            value = getattr(self, name)
            if not value >= 0 or not np.isfinite(value):
                raise ValueError(f"{name} must be finite and >= 0, got {value!r}")
        if self.maxfev < 0:
            raise ValueError(f"maxfev must be >= 0 (0: the default), got {self.maxfev!r}")
        if not 0 < self.factor < np.inf:
            raise ValueError(f"factor must be > 0, usually within 0.1..100, got {self.factor!r}")
        if self.epsfcn is not None and not 0 <= self.epsfcn < np.inf:
            raise ValueError(f"epsfcn must be >= 0 or None, got {self.epsfcn!r}")
        for name, kind in (("nan_policy", NanPolicy), ("engine", Engine)):
            value = getattr(self, name)
            if value not in get_args(kind):
                raise ValueError(f"{name} must be one of {get_args(kind)}, got {value!r}")

    def bounds_for(
        self, params: Sequence[str], default: Mapping[str, tuple[float, float]]
    ) -> tuple[Floats, Floats]:
        """Return lower and upper bounds, (n_params,) each, infinite where there is none.

        Raises
        ------
        ValueError
            When a name is not a parameter, a size is wrong, or a lower bound is not below the
            upper one.
        """
        n_params = len(params)
        lower, upper = np.full(n_params, -np.inf), np.full(n_params, np.inf)
        given = default if self.bounds is None else self.bounds
        if isinstance(given, Mapping):
            for name, pair in given.items():
                j = index_of(name, params, "bounds")
                try:
                    low, high = pair
                    lower[j] = -np.inf if low is None else low
                    upper[j] = np.inf if high is None else high
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"bounds of {name!r} must be (lower, upper), got {pair!r}"
                    ) from error
        else:
            try:
                low, high = given
                lower[:], upper[:] = low, high
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"bounds must be {{name: (lower, upper)}} or (lower, upper) with scalars or "
                    f"{n_params} values each, for params {tuple(params)}; got {given!r}"
                ) from error
        wrong = [
            f"{p}: {lo} >= {hi}"
            for p, lo, hi in zip(params, lower, upper, strict=True)
            if not lo < hi
        ]
        if wrong:
            raise ValueError(
                f"each lower bound must be below its upper bound ({'; '.join(wrong)}); "
                "to hold a parameter at a value use fixed"
            )
        return lower, upper

    def diag_for(self, params: Sequence[str]) -> Floats | None:
        """Return the scale factors, (n_params,), or None.

        Raises
        ------
        ValueError
            When there is not one positive number a parameter.
        """
        if self.diag is None:
            return None
        diag = np.asarray(self.diag, dtype=np.float64)
        if diag.shape != (len(params),) or not np.all((diag > 0) & np.isfinite(diag)):
            raise ValueError(
                f"diag must be {len(params)} positive numbers, one a parameter, got {self.diag!r}"
            )
        return diag

    def fixed_for(self, params: Sequence[str]) -> dict[str, Any]:
        """Return ``{name: value}`` of the fixed parameters; None stands for the start value.

        Raises
        ------
        ValueError
            When a name is not a parameter, or no parameter is left to fit.
        """
        fixed = dict(self.fixed)
        for name in fixed:
            index_of(name, params, "fixed")
        if len(fixed) == len(params):
            raise ValueError(f"all parameters {tuple(params)} are fixed: nothing is left to fit")
        return fixed


def index_of(name: str, params: Sequence[str], what: str) -> int:
    """Return the position of a parameter, or say which there are."""
    if name not in params:
        raise ValueError(f"{what} names {name!r}, which is no parameter; there are {tuple(params)}")
    return list(params).index(name)
