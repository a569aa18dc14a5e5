"""Derivatives of one curve's residuals by schemes better than forward differences.

``curve_fit`` offers them by SciPy's names: '3-point' (central differences) and 'cs' (complex
steps). They cost more calls of the model and give 10 and 16 digits instead of 8.

Source: W. Squire, G. Trapp, Using complex variables to estimate derivatives of real functions,
SIAM Rev. 40 (1998) 110-112.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import Floats
from .bounds import Box

Residuals = Callable[[Any], Any]


def complex_steps(residuals: Residuals, params: Floats) -> Floats:
    """Return Im f(x + i h) / h, (n_points, n_params), exact to rounding for any small h.

    Parameters
    ----------
    residuals
        (n_params,) -> (n_points,), analytic, for complex parameters.
    params
        Where.
    """
    step = 1e-100
    columns = []
    for j in range(params.size):
        shifted = params.astype(np.complex128)
        shifted[j] += 1j * step
        columns.append(np.imag(np.atleast_1d(residuals(shifted))) / step)
    return np.stack(columns, axis=1)


def central_differences(
    residuals: Residuals,
    params: Floats,
    fun: Floats,
    box: Box | None = None,
    relative: float | None = None,
) -> Floats:
    """Return derivatives of second order in h, (n_points, n_params).

    (f(x + h) - f(x - h)) / 2h, or (4 f(x + h) - f(x + 2h) - 3 f(x)) / 2h beside a bound, where h
    may be negative and is as small as the bounds are narrow.

    Parameters
    ----------
    residuals
        (n_params,) -> (n_points,).
    params, fun
        Where, and the residuals there.
    box
        Bounds that the steps must not leave.
    relative
        h / |x|, or h where x is 0; None: the cube root of machine epsilon.
    """
    if relative is None:
        relative = float(np.cbrt(np.finfo(np.float64).eps))
    columns = []
    for j, x in enumerate(params):
        h = relative * (abs(x) or 1.0)
        low, high = (-np.inf, np.inf) if box is None else (box.lower[j], box.upper[j])
        central = low <= x - h and x + h <= high
        if not central:
            room = max(high - x, x - low)
            h = min(h, 0.49 * room) * (1 if high - x >= x - low else -1)
        near, far = (_shifted(residuals, params, j, s) for s in (h, -h if central else 2 * h))
        columns.append((near - far if central else 4 * near - far - 3 * fun) / (2 * h))
    return np.stack(columns, axis=1)


def _shifted(residuals: Residuals, params: Floats, j: int, step: float) -> Any:
    """Return the residuals with parameter j moved."""
    shifted = params.copy()
    shifted[j] += step
    return np.atleast_1d(residuals(shifted))
