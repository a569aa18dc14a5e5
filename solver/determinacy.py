"""Put large standard errors to the test.

A covariance describes the sum of squares near its minimum by a parabola, along which

    chi2(p ± d_j) - chi2(p) = redchi,    d_j = cov[:, j] / stderr_j,

one standard error from the minimum, the other parameters following. Where a parameter ceases to
matter - the rate of a step that has no height, the height of a step that lies outside the data -
the parabola still has a width, an enormous one, and means nothing (Donaldson and Schnabel,
Technometrics 29, 67 (1987): confidence regions by linearisation can be off without limit). So
wherever stderr is more than twice the parameter the sum of squares is looked at one standard error
away on both sides; if it is not what the covariance says, within a factor of four, the parameter
counts as undetermined. A parameter that may well be zero, an offset say, passes: there the parabola
is right.
"""

from collections.abc import Callable

import numpy as np

from .arrays import Bools, Floats, Ints
from .bounds import Box

SUSPICIOUS = 2.0
"""stderr relative to the parameter above which it is put to the test."""
_FACTOR = 4.0
"""How far the rise of the sum of squares may be from the expected one, either way."""
AUDIBLE = 1e-10
"""Residuals below this share of the data are rounding: the test takes them for so large."""


def undetermined_by_rise(
    params: Floats,
    cov_x: Floats,
    cost: Floats,
    rise: Floats,
    data: Floats,
    chi2_at: Callable[[Ints, Floats], Floats],
    box: Box | None,
) -> Bools:
    """Return which parameters have a stderr that the sum of squares does not bear out.

    Parameters
    ----------
    params
        (n_curves, n_free), the minimum.
    cov_x
        (n_curves, n_free, n_free), unscaled; rows of NaN or zeros are passed over.
    cost
        (n_curves,), ½ chi2 at the minimum.
    rise
        (n_curves,), what chi2 should rise by at one standard error: redchi, or 1 where sigma is
        absolute.
    data
        (n_curves,), the sum of squares of the (weighted) data.
    chi2_at
        ``chi2_at(rows, params)`` gives chi2 of some of the curves, which may be named repeatedly,
        at other parameters, (len(rows), n_free).
    box
        Bounds, beyond which nothing is asked; or None.

    Returns
    -------
    (n_curves, n_free) bool.
    """
    undetermined = np.zeros(params.shape, dtype=np.bool_)
    rise = np.maximum(rise, AUDIBLE * AUDIBLE * data)
    unit = np.sqrt(np.diagonal(cov_x, axis1=1, axis2=2))
    rows, columns = np.nonzero(unit * np.sqrt(rise)[:, None] > SUSPICIOUS * np.abs(params))
    if not rows.size:
        return undetermined
    step = np.nan_to_num(cov_x[rows, :, columns])
    step *= (np.sqrt(rise[rows]) / unit[rows, columns])[:, None]
    there = np.concatenate([params[rows] + step, params[rows] - step])
    both = np.concatenate([rows, rows])
    allowed = np.ones(both.size, dtype=np.bool_) if box is None else box.contains(there)
    chi2 = chi2_at(both, np.where(allowed[:, None], there, params[both]))
    share = (chi2 - 2.0 * cost[both]) / rise[both]
    borne_out = (share >= 1 / _FACTOR) & (share <= _FACTOR)
    plus, minus = np.split(allowed & ~borne_out, 2)
    undetermined[rows, columns] = plus | minus
    return undetermined
