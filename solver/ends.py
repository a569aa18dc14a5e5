"""Write down what the covariance says of curves that are done, whichever engine fitted them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Bools, Floats, Ints
from .determinacy import undetermined_by_rise
from .preparation import Prepared
from .result import BatchFit
from .status import Flag


def write_covariance(
    fit: BatchFit,
    prepared: Prepared,
    rows: Ints,
    params: Floats,
    cov_x: Floats,
    *,
    held: Bools | None,
    undetermined: Bools | None,
    data: Floats,
    chi2_at: Callable[[Ints, Floats], Floats],
) -> None:
    """Write covariance, stderr, masks and flags of some curves; their costs are written already.

    Parameters
    ----------
    fit
        Where to write.
    prepared
        What was fitted.
    rows
        (n,), the places of the curves in the result.
    params
        (n, n_free), their ends.
    cov_x
        (n, n_free, n_free), (JᵀJ)⁻¹, zero where a parameter is held; overwritten.
    held, undetermined
        (n, n_free), parameters on a bound, and those that the Jacobian cannot tell from others;
        None: none.
    data, chi2_at
        As in `undetermined_by_rise`.
    """
    scale = np.ones(len(rows))
    if not prepared.options.absolute_sigma:
        scale = scale_of(fit.dof[rows], 2.0 * fit.cost[rows])
        fit.flags[rows[fit.dof[rows] == 0]] |= np.uint8(Flag.NO_DOF)
    unclear = undetermined_by_rise(
        params, cov_x, fit.cost[rows], scale, data, chi2_at, prepared.rules.box
    )
    if undetermined is not None:
        unclear |= undetermined
    if held is not None:
        unclear &= ~held
    _drop(cov_x, unclear, np.nan)
    cov_x *= scale[:, None, None]
    variance = np.diagonal(cov_x, axis1=1, axis2=2)
    if held is not None:
        variance = np.where(held, np.nan, variance)
        _drop(cov_x, held, 0.0)
        fit.flags[rows[held.any(axis=1)]] |= np.uint8(Flag.AT_BOUND)
    fit.flags[rows[unclear.any(axis=1)]] |= np.uint8(Flag.UNDETERMINED)
    with np.errstate(invalid="ignore"):
        stderr = np.sqrt(variance)
    put(prepared, fit.stderr, rows, stderr)
    put(prepared, fit.undetermined, rows, unclear)
    if held is not None:
        put(prepared, fit.at_bound, rows, held)
    put_cov(prepared, fit, rows, cov_x)


def write_flags(fit: BatchFit, prepared: Prepared, rows: Ints, at: Any, held: Bools | None) -> None:
    """Write which parameters are on a bound; flag that, and the lack of degrees of freedom.

    Parameters
    ----------
    fit, prepared, rows, held
        As in `write_covariance`.
    at
        The rows, or the slice that they are.
    """
    if not prepared.options.absolute_sigma:
        spent = fit.dof[at] == 0
        if spent.any():
            fit.flags[rows[spent]] |= np.uint8(Flag.NO_DOF)
    if held is not None:
        put(prepared, fit.at_bound, rows, held)
        fit.flags[rows[held.any(axis=1)]] |= np.uint8(Flag.AT_BOUND)


def scale_of(dof: npt.NDArray[np.int32], chi2: Floats) -> Floats:
    """Return redchi, NaN where there is no degree of freedom."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = chi2 / dof.astype(np.float64)  # NumPy would convert piece by piece
    spent = dof <= 0
    if spent.any():
        scale[spent] = np.nan
    return scale


def place_of(rows: Ints) -> Any:
    """Return rows as a slice where they follow each other: no copy, no index."""
    if rows.size and rows[-1] - rows[0] == rows.size - 1 and (rows[1:] > rows[:-1]).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def put(prepared: Prepared, target: Any, rows: Any, values: Any) -> None:
    """Write values of the free parameters into an array of all parameters."""
    if prepared.free.size == prepared.model.n_params:
        target[rows] = values
    else:
        target[np.ix_(rows, prepared.free)] = values


def put_cov(prepared: Prepared, fit: BatchFit, rows: Any, cov: Floats) -> None:
    """Write covariances of the free parameters; the rows of the others are zero."""
    if prepared.free.size == prepared.model.n_params:
        fit.cov[rows] = cov
    else:
        fit.cov[rows] = 0.0
        fit.cov[np.ix_(rows, prepared.free, prepared.free)] = cov


def _drop(cov_x: Floats, which: Bools, value: float) -> None:
    """Set the rows and columns of some parameters."""
    if which.any():
        cov_x[which[:, :, None] | which[:, None, :]] = value
