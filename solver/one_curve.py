"""One curve, given as a user's residual function: the engine's problem behind `leastsq`.

What a callable returns is looked at once, before the first step, and held to its shape after it.
Nothing is handed out or kept that the other side could change later: calls get copies, and their
results are copied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .arrays import Floats, Ints
from .bounds import Box
from .differences import forward_differences

Residuals = Callable[..., Any]


@dataclass(slots=True)
class OneCurve:
    """A user's residual function as a problem of the engine: a batch of one curve.

    Attributes
    ----------
    func, jac
        The user's, with their arguments bound; `jac` None: forward differences.
    n_points
        How many residuals there are.
    transposed
        Whether `jac` gives (n_params, n_points).
    known
        What the first look at `func` and `jac` returned, to be used up by the engine's first
        call, which is at the same point.
    """

    func: Callable[[Floats], Any]
    jac: Callable[[Floats], Any] | None
    n_points: int
    transposed: bool
    epsfcn: float
    box: Box | None
    known: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def probe(
        cls,
        func: Residuals,
        jac: Residuals | None,
        start: Any,
        *,
        args: tuple[Any, ...],
        transposed: bool,
        epsfcn: float | None,
        box: Box | None,
    ) -> Self:
        """Call `func` and `jac` once at the start, to learn and check their shapes."""
        n_params = start.size
        returned = func(start.copy(), *args)
        first = np.atleast_1d(returned)
        n_points = len(first)
        if n_params > n_points:
            raise TypeError(
                f"Improper input: func input vector length N={n_params} must not exceed func "
                f"output vector length M={n_points}: fewer residuals than parameters"
            )
        kind = first.dtype if np.issubdtype(first.dtype, np.inexact) else np.float64
        least = float(np.finfo(kind).eps)
        problem = cls(
            func=lambda x: func(x, *args),
            jac=None if jac is None else lambda x: jac(x, *args),
            n_points=n_points,
            transposed=transposed,
            epsfcn=least if epsfcn is None else epsfcn,
            box=box,
        )
        same = start.dtype == np.float64
        if same:
            problem.known["residuals"] = _as_residuals(returned, n_points)
        if jac is not None:
            columns = problem.as_columns(jac(start.copy(), *args), n_params, name=_name(jac))
            if same:
                problem.known["jacobian"] = columns
        return problem

    def residuals(self, params: Floats) -> Floats:
        """Return the residuals, (1, n_points)."""
        known = self.known.pop("residuals", None)
        if known is None:
            known = _as_residuals(self.func(params[0].copy()), self.n_points)
        return known[None]

    def jacobian(self, params: Floats, fun: Floats) -> tuple[Floats, int]:
        """Return the Jacobian, (1, n_params, n_points), and its cost in calls of `func`."""
        if self.jac is None:
            columns = forward_differences(
                self.residuals, params, fun, epsfcn=self.epsfcn, box=self.box
            )
            return columns, params.shape[1]
        known = self.known.pop("jacobian", None)
        if known is None:
            known = self.as_columns(self.jac(params[0].copy()), params.shape[1])
        return known[None], 0

    def take(self, rows: Ints) -> Self:
        """Return itself: there is but one curve."""
        del rows
        return self

    def as_columns(self, value: Any, n_params: int, name: str | None = None) -> Floats:
        """Return what `jac` returned as (n_params, n_points), a copy.

        With one parameter or one residual any shape of the right size will do. With a `name` a
        wrong shape is that function's fault from the beginning; without, it has changed.
        """
        jac = np.atleast_1d(value)
        wanted = (n_params, self.n_points) if self.transposed else (self.n_points, n_params)
        if 1 in wanted and jac.size == n_params * self.n_points:
            jac = jac.reshape(wanted)
        if jac.shape != wanted:
            if name is None:
                raise ValueError(_CHANGED.format(what="Dfun", now=jac.shape, before=wanted))
            raise TypeError(
                "leastsq: there is a mismatch between the input and output shape of the 'Dfun' "
                f"argument {name}: Shape should be {wanted} but it is {jac.shape}"
            )
        jac = _as_real(jac, "Dfun")
        return np.array(jac if self.transposed else jac.T, order="C")


_CHANGED = (
    "The array returned by a function changed size between calls: {what} now returns shape {now}, "
    "at first it was {before}"
)


def _as_real(value: Any, what: str) -> Floats:
    """Return float64, or say that these are no real numbers."""
    array = np.asarray(value)
    reason: object = "no type of real numbers"
    if array.dtype.kind in "fiubO" and value is not None:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            reason = error
    raise TypeError(
        f"Result from function call is not a proper array of floats: {what} returned "
        f"{'None' if value is None else array.dtype} of shape {array.shape} ({reason})"
    )


def _as_residuals(value: Any, n_points: int) -> Floats:
    """Return what `func` returned as (n_points,), a copy."""
    fun = np.atleast_1d(_as_real(value, "func"))
    if fun.ndim != 1:
        raise TypeError(
            "Result from function call is not a proper array of floats: func returned shape "
            f"{fun.shape}, it must be one-dimensional"
        )
    if len(fun) != n_points:
        raise ValueError(_CHANGED.format(what="func", now=fun.shape, before=(n_points,)))
    return fun


def _name(func: Residuals) -> str:
    """Name a callable for people."""
    return repr(getattr(func, "__name__", type(func).__name__))
