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
    cov_x *= scale[:, None, None]
    variance = np.diagonal(cov_x, axis1=1, axis2=2)
    if held is not None:
        unclear &= ~held
        variance = np.where(held, np.nan, variance)
        cov_x[held[:, :, None] | held[:, None, :]] = 0.0
        _put(prepared, fit.at_bound, rows, held)
        fit.flags[rows[held.any(axis=1)]] |= np.uint8(Flag.AT_BOUND)
    with np.errstate(invalid="ignore"):
        stderr = np.sqrt(variance)
    fit.cov[rows], fit.stderr[rows] = 0.0, np.nan
    _put(prepared, fit.stderr, rows, stderr)
    fit.cov[np.ix_(rows, prepared.free, prepared.free)] = cov_x
    mark_undetermined(fit, prepared, rows, unclear)


def mark_undetermined(fit: BatchFit, prepared: Prepared, rows: Ints, unclear: Bools) -> None:
    """Flag parameters that the data do not determine; their covariances are NaN.

    Rows and columns of parameters that are held stay zero. The others are as in `write_covariance`;
    `unclear` is (n, n_free).
    """
    rows, unclear = rows[unclear.any(axis=1)], unclear[unclear.any(axis=1)]
    if not rows.size:
        return
    _put(prepared, fit.undetermined, rows, unclear)
    fit.flags[rows] |= np.uint8(Flag.UNDETERMINED)
    which = fit.undetermined[rows]
    moves = np.isin(np.arange(prepared.model.n_params), prepared.free) & ~fit.at_bound[rows]
    pairs = (which[:, :, None] | which[:, None, :]) & moves[:, :, None] & moves[:, None, :]
    fit.cov[rows] = np.where(pairs, np.nan, fit.cov[rows])
    fit.stderr[rows] = np.where(which, np.nan, fit.stderr[rows])


def forget(fit: BatchFit, rows: Ints | Bools | slice) -> None:
    """Write that curves have no fit: NaN."""
    fit.params[rows], fit.cov[rows], fit.stderr[rows], fit.cost[rows] = (np.nan,) * 4


def write_flags(fit: BatchFit, prepared: Prepared, rows: Ints, at: Any) -> None:
    """Write which parameters are on a bound; flag that, and the lack of degrees of freedom.

    Parameters
    ----------
    fit, prepared, rows
        As in `write_covariance`; the parameters are written already.
    at
        The rows, or the slice that they are.
    """
    if not prepared.options.absolute_sigma:
        spent = fit.dof[at] == 0
        if spent.any():
            fit.flags[rows[spent]] |= np.uint8(Flag.NO_DOF)
    if prepared.rules.box is not None:
        held = prepared.rules.box.on_face(fit.params[at][:, prepared.free])
        _put(prepared, fit.at_bound, rows, held)
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
    """Return ascending rows as a slice where they follow each other: no copy, no index."""
    if rows.size and rows[-1] - rows[0] == rows.size - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _put(prepared: Prepared, target: Any, rows: Ints, values: Any) -> None:
    """Write values of the free parameters into an array of all parameters."""
    target[np.ix_(rows, prepared.free)] = values
