"""Forward differences, with MINPACK's step.

    J[:, j] = (f(x + h e_j) - f(x)) / h,    h = sqrt(max(epsfcn, eps)) |x_j|,  or sqrt(...) at 0

A step that would leave the bounds is taken backwards, and so is one that ends where the model is
not finite.

Source: MINPACK-1, ``fdjac2``.
"""

from collections.abc import Callable

import numpy as np

from .arrays import Floats
from .bounds import Box


def forward_differences(
    residuals: Callable[[Floats], Floats],
    params: Floats,
    fun: Floats,
    *,
    epsfcn: float | None = None,
    box: Box | None = None,
) -> Floats:
    """Return the Jacobian, (n_curves, n_params, n_points); n_params calls of `residuals`.

    Parameters
    ----------
    residuals
        (n_curves, n_params) -> (n_curves, n_points).
    params, fun
        Where, and the residuals there.
    epsfcn
        Relative error of the residuals; None: machine epsilon.
    box
        Bounds that the steps must not leave.
    """
    n_curves, n_params = params.shape
    jac = np.empty((n_curves, n_params, fun.shape[1]))
    steps = difference_steps(params, epsfcn, box)
    for j in range(n_params):
        shifted = params.copy()
        shifted[:, j] += steps[:, j]
        np.subtract(residuals(shifted), fun, out=jac[:, j])
        jac[:, j] /= steps[:, j, None]
        failed = ~np.isfinite(jac[:, j]).all(axis=1)
        if failed.any():
            back = params[:, j] - steps[:, j]
            if box is not None:
                failed &= (back >= box.lower[j]) & (back <= box.upper[j])
            shifted[:, j] = np.where(failed, back, params[:, j])
            backwards = (residuals(shifted) - fun) / -steps[:, j, None]
            jac[failed, j] = backwards[failed]
    return jac


def difference_steps(params: Floats, epsfcn: float | None, box: Box | None) -> Floats:
    """Return h for every parameter of every curve, (n_curves, n_params)."""
    eps = float(np.finfo(np.float64).eps)
    relative = np.sqrt(max(epsfcn or 0.0, eps))
    steps: Floats = relative * np.abs(params)
    steps = np.where(steps == 0, relative, steps)
    if box is None:
        return steps
    above, below = box.upper - params, params - box.lower
    largest = np.where(above >= below, 0.5 * above, -0.5 * below)
    return np.where(
        params + steps <= box.upper,
        steps,
        np.where(params - steps >= box.lower, -steps, largest),
    )
