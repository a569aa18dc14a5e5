"""Make sure that a function means the same for rows of curves as for one curve.

A batch calls the user's function with x of shape (n_curves, n_points) and parameters of shape
(n_curves, 1). Most functions do not notice; one that branches on a value, sums over x or
interpolates does. So before a batch is fitted the function is called for a few of its curves one
by one, as SciPy would, and compared; and again where these curves ended. If the two differ, the
whole batch is done curve by curve, and the user is told.
"""

import warnings
from dataclasses import replace

import numpy as np

from .arrays import Floats, Ints
from .residuals import CurveProblem

_SAMPLE = 4
"""Curves that are compared: the first, the last and some between."""
_ROUNDING = 1e-9
"""Difference that is rounding, relative to the largest value of the curve."""


class ModelWarning(UserWarning):
    """A model that works, but not as well as it could; the message says what to change."""


def sample_rows(n_curves: int) -> Ints:
    """Return the places of the curves to compare."""
    return np.unique(np.linspace(0, n_curves - 1, _SAMPLE).astype(np.intp))


def serves_batches(problem: CurveProblem, params: Floats) -> bool:
    """Return whether function and derivatives of the model agree with calls for single curves.

    Parameters
    ----------
    problem
        The curves.
    params
        (n_curves, n_free), where to compare.

    Raises
    ------
    Exception
        Whatever the function raises when it is called for a single curve.
    """
    if problem.alone:
        return False
    rows = sample_rows(len(params))
    few, at = problem.take(rows), params[rows]
    expected = _evaluate(replace(few, alone=True), at)
    try:
        found = _evaluate(few, at)
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises for arrays
        _warn(problem, f"it fails for arrays of curves ({type(error).__name__}: {error})")
        return False
    for one, many in zip(expected, found, strict=True):
        if not _same(one, many, few):
            _warn(problem, "for arrays of curves it gives other values than for one curve")
            return False
    return True


def _evaluate(problem: CurveProblem, params: Floats) -> list[Floats]:
    """Return the model's values and its exact derivatives as one list of (n_curves, n_points)."""
    outputs = [problem.values(params)]
    if problem.model.jac is not None:
        jac = problem.exact_jacobian(params)
        outputs.extend(jac[:, k] for k in range(jac.shape[1]))
    return outputs


def _same(one: Floats, many: Floats, few: CurveProblem) -> bool:
    """Compare values at the points that count, to rounding; NaN and infinity count as equal."""
    valid = np.ones(one.shape, dtype=np.bool_) if few.valid is None else few.valid
    one, many = np.where(valid, one, 0.0), np.where(valid, many, 0.0)
    finite = np.isfinite(one)
    size = np.max(np.abs(np.where(finite, one, 0.0)), axis=1, keepdims=True)
    close = np.abs(one - many) <= _ROUNDING * size
    return bool(np.all(close | (~finite & ~np.isfinite(many))))


def _warn(problem: CurveProblem, reason: str) -> None:
    """Tell the user why the batch is slow and how to mend it."""
    warnings.warn(
        f"model {problem.model.name!r} is called curve by curve, which is slow: {reason}. Write it "
        "with NumPy functions that act on each point by itself (np.where instead of if, no sums "
        "over x) and it is called once for all curves.",
        ModelWarning,
        stacklevel=2,
    )
