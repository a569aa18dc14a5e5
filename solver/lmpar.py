"""The Levenberg-Marquardt parameter: the damping whose step just fits into the trust region.

Find par >= 0 and p minimising ‖J p + f‖² + par ‖D p‖² with

    par = 0 and ‖D p‖ <= 1.1 delta,    or    par > 0 and |‖D p‖ - delta| <= 0.1 delta

by Newton's method on 1/‖D p(par)‖ - 1/delta, kept between bounds. Only the curves whose
Gauss-Newton step is too long take part in the iteration.

Source: Moré (1978), section 5; limits as in MINPACK-1's ``lmpar``.
"""

import numpy as np

from .arrays import Floats
from .norms import enorm
from .qr import (
    leading_rank,
    multiply_upper_transposed,
    solve_upper,
    solve_upper_transposed,
    triangularise,
)

_SLACK = 0.1
_MAX_ITERATIONS = 10
_DWARF = float(np.finfo(np.float64).tiny)


def lm_step(
    R: Floats, qtf: Floats, diag: Floats, delta: Floats, par: Floats
) -> tuple[Floats, Floats]:
    """Return the step p that fits into the trust region, and its damping.

    Parameters
    ----------
    R
        (n_curves, n, n), the triangular factor of J P.
    qtf
        (n_curves, n), the head of Qᵀ f.
    diag
        (n_curves, n), the scales D in the order of R's columns.
    delta
        (n_curves,), the radius.
    par
        (n_curves,), the damping to begin with.

    Returns
    -------
    p, (n_curves, n) in the order of R's columns, and par, (n_curves,).
    """
    p = -solve_upper(R, qtf)
    length = enorm(diag * p)
    excess = length - delta
    too_long = np.flatnonzero(~(excess <= _SLACK * delta))
    par = np.where(excess <= _SLACK * delta, 0.0, par)
    if too_long.size:
        i = too_long
        p[i], par[i] = _damp(R[i], qtf[i], diag[i], delta[i], par[i], p[i], length[i])
    return p, par


def _damp(
    R: Floats, qtf: Floats, diag: Floats, delta: Floats, par: Floats, p: Floats, length: Floats
) -> tuple[Floats, Floats]:
    """Iterate on par for curves whose Gauss-Newton step `p`, of scaled `length`, is too long."""
    lowest, highest, par = _bracket(R, qtf, diag, delta, par, p, length)
    excess = length - delta
    p = p.copy()
    rows = np.arange(len(par))
    for iteration in range(1, _MAX_ITERATIONS + 1):
        par[rows] = np.where(par[rows] == 0, np.maximum(_DWARF, 0.001 * highest[rows]), par[rows])
        S, step = _damped_step(R[rows], qtf[rows], diag[rows], par[rows])
        p[rows] = step
        scaled = diag[rows] * step
        length = enorm(scaled)
        before, now = excess[rows], length - delta[rows]
        excess[rows] = now
        fits = (np.abs(now) <= _SLACK * delta[rows]) | (
            (lowest[rows] == 0) & (now <= before) & (before < 0)
        )
        if iteration == _MAX_ITERATIONS or fits.all():
            break
        on = ~fits
        rows, now = rows[on], now[on]
        change = _newton(S[on], diag[rows], scaled[on], length[on], now, delta[rows])
        lowest[rows] = np.where(now > 0, np.maximum(lowest[rows], par[rows]), lowest[rows])
        highest[rows] = np.where(now < 0, np.minimum(highest[rows], par[rows]), highest[rows])
        par[rows] = np.maximum(lowest[rows], par[rows] + change)
    return p, par


def _bracket(
    R: Floats, qtf: Floats, diag: Floats, delta: Floats, par: Floats, p: Floats, length: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return lower and upper bounds for par, and a first value between them."""
    full = leading_rank(R) == R.shape[1]
    lowest = np.zeros_like(delta)
    if full.any():
        i = np.flatnonzero(full)
        lowest[i] = _newton(
            R[i], diag[i], diag[i] * p[i], length[i], length[i] - delta[i], delta[i]
        )
    gnorm = enorm(multiply_upper_transposed(R, qtf) / diag)
    highest = gnorm / delta
    highest = np.where(highest == 0, _DWARF / np.minimum(delta, 0.1), highest)
    par = np.minimum(np.maximum(par, lowest), highest)
    return lowest, highest, np.where(par == 0, gnorm / length, par)


def _newton(
    R: Floats, diag: Floats, scaled: Floats, length: Floats, excess: Floats, delta: Floats
) -> Floats:
    """Return Newton's change of par, from a step with scaled vector `scaled` = D p."""
    direction = diag * (scaled / length[:, None])
    slope = enorm(solve_upper_transposed(R, direction))
    return np.asarray(((excess / delta) / slope) / slope)


def _damped_step(R: Floats, qtf: Floats, diag: Floats, par: Floats) -> tuple[Floats, Floats]:
    """Minimise ‖R p + qtf‖² + par ‖D p‖²; return the triangular factor and the step."""
    n_curves, n = qtf.shape
    columns = np.zeros((n_curves, n, 2 * n))
    columns[:, :, :n] = R.transpose(0, 2, 1)
    places = np.arange(n)
    columns[:, places, n + places] = np.sqrt(par)[:, None] * diag
    rhs = np.zeros((n_curves, 2 * n))
    rhs[:, :n] = qtf
    S = triangularise(columns, rhs)
    return S, -solve_upper(S, rhs[:, :n])
