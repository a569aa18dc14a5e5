"""What the Jacobian at the minimum says of the parameters.

    cov_x = (JᵀJ)⁻¹ = E (RᵀR)⁻¹ E,    J E⁻¹ P = Q R,  E = diag(1 / ‖J[:, j]‖)

Columns are scaled to unit length first, so that the rank does not depend on the units of the
parameters. Where R is singular to working precision, the parameters that the null space touches
cannot be told apart by the data: their variances are NaN, while the others keep theirs (an
estimable function has the same variance for every generalised inverse: Rao, Linear Statistical
Inference and its Applications, 2nd ed. 1973, section 4a).
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Bools, Floats
from .norms import enorm
from .qr import pivoted_qr, solve_upper

_NULL_SHARE = 1e-6
"""A parameter whose share in a null vector is less than this counts as determined."""


@dataclass(frozen=True, slots=True)
class Covariance:
    """(JᵀJ)⁻¹, and which parameters it cannot speak of.

    Attributes
    ----------
    cov_x
        (n_curves, n_params, n_params); NaN in the rows and columns of undetermined parameters.
    undetermined
        (n_curves, n_params) bool.
    """

    cov_x: Floats
    undetermined: Bools


def unscaled_covariance(jac: Floats, rank_tolerance: float) -> Covariance:
    """Return (JᵀJ)⁻¹ of every curve.

    Parameters
    ----------
    jac
        (n_curves, n_params, n_points), overwritten.
    rank_tolerance
        A pivot of the scaled Jacobian that is not larger counts as zero.
    """
    n_curves, n_params, n_points = jac.shape
    norms = enorm(jac)
    usable = (norms > 0) & np.isfinite(norms)
    scale = np.where(usable, norms, 1.0)
    jac /= scale[:, :, None]
    jac[~usable] = 0.0
    factors = pivoted_qr(jac, np.zeros((n_curves, n_points)))
    pivots = np.abs(np.diagonal(factors.R, axis1=1, axis2=2))
    solid = np.logical_and.accumulate(pivots > rank_tolerance, axis=1)
    inverse, null_share = _inverse(factors.R, solid)
    places = np.argsort(factors.pivot, axis=1)
    inverse = np.take_along_axis(inverse, places[:, :, None], axis=1) / scale[:, :, None]
    undetermined = np.take_along_axis(null_share, places, axis=1) > _NULL_SHARE
    cov_x = np.zeros((n_curves, n_params, n_params))
    for k in range(n_params):
        cov_x += inverse[:, :, None, k] * inverse[:, None, :, k]
    cov_x[undetermined[:, :, None] | undetermined[:, None, :]] = np.nan
    return Covariance(cov_x, undetermined)


def _inverse(R: Floats, solid: Bools) -> tuple[Floats, Floats]:
    """Invert the leading block of R, and measure how much of each row lies in its null space.

    Returns (n_curves, n, n), zero beyond the leading block, and (n_curves, n), the largest
    component of each parameter in R11⁻¹ R12; 1 for the trailing parameters themselves.
    """
    n = R.shape[1]
    identity = np.eye(n)
    leading = np.where(solid[:, :, None] & solid[:, None, :], R, identity)
    inverse = np.empty_like(R)
    for k in range(n):
        inverse[:, :, k] = solve_upper(leading, np.where(solid[:, k, None], identity[k], 0.0))
    null_share = np.where(solid, 0.0, 1.0)
    for k in range(1, n):
        trailing = ~solid[:, k, None]
        column = np.where(solid & trailing, R[:, :, k], 0.0)
        null_share = np.maximum(null_share, np.abs(solve_upper(leading, column)))
    return inverse, null_share
