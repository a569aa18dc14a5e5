"""The highest peaks of the periodogrammes of curves, by NumPy.

The frequencies are k/OVERSAMPLING cycles over the points' range, a little wider, up to the mean
Nyquist frequency. The power is the gain of a sinusoid and a constant, from the sums over the points
of y*cos, y*sin, cos, sin, cos² and cos*sin: the generalised Lomb-Scargle periodogram. Here a fast
Fourier transform gives all sums, after the points were shared out between the cells of an even
grid, so that they are approximate; it is for those who call this to look closely.

Sources: Zechmeister and Kürster, A&A 496 (2009) 577, eqs. 5-6; Press and Rybicki, ApJ 338 (1989)
277, for the grid.
"""

import math

import numpy as np

from ..arrays import Floats, Ints
from .sorted_curves import SortedCurves

TAU = 2.0 * math.pi

CELLS = 2
"""Cells of the grid a point, at least."""

OVERSAMPLING = 3
"""Frequencies a cycle over the range of x."""

FEWEST_CELLS = 8

MARGIN = 1.5
"""Cells of the grid that lie beyond the range of x."""

NYQUIST = 0.4995
"""Cycles a point below which a frequency can be told from a lower one."""

LEAST_DETERMINANT = 1e-9
"""At least this stands for the determinant of the normal equations of cosine and sine."""


def highest_peaks(curves: SortedCurves, count: int) -> list[Floats]:
    """Return angular frequencies of the highest peaks, (n_curves,) each, x running from 0 to 1.

    The grid of a curve depends on its own number of points alone, in powers of two. Where there
    are fewer peaks the lowest frequency stands for them.
    """
    x = curves.x
    target = curves.centre(curves.y)
    distinct = 1.0 + np.count_nonzero(x[1:] > x[:-1], axis=0)
    distinct = np.broadcast_to(distinct, target.shape[1:])
    n_cells = np.maximum(CELLS * distinct, FEWEST_CELLS)
    n_cells = np.exp2(np.ceil(np.log2(n_cells))).astype(np.intp)
    peaks = np.empty((count, len(distinct)))
    for size in np.unique(n_cells):
        same = np.flatnonzero(n_cells == size)
        power = _periodogram(curves, target, same, int(size))
        cycles = np.arange(power.shape[1]) * ((size - MARGIN) / (OVERSAMPLING * size))
        power[cycles >= NYQUIST * (distinct[same, None] - 1.0)] = 0.0
        inner = power[:, 1:-1]
        inner = np.where((inner >= power[:, :-2]) & (inner > power[:, 2:]), inner, 0.0)
        for i in range(count):
            highest = np.argmax(inner, axis=1)
            peaks[i, same] = TAU * cycles[1 + highest]
            inner[np.arange(len(same)), highest] = 0.0
    return list(peaks)


def _periodogram(curves: SortedCurves, target: Floats, same: Ints, size: int) -> Floats:
    """Return (len(same), n_frequencies), the power of some of the curves."""
    x, valid, count = curves.x, curves.valid, curves.count
    shared = x.shape[1] == 1
    points = x if shared else x[:, same]
    weights = np.ones(points.shape) if valid is None else valid[:, same]
    weights = weights / (count if shared else np.broadcast_to(count, target.shape[1:])[same])
    yc, ys = _fourier_sums(np.broadcast_to(points, (len(x), len(same))), target[:, same], size)
    c, s = _fourier_sums(points, weights, size)
    n = size * OVERSAMPLING // 4
    double_c, double_s = c[:, : 2 * n : 2], s[:, : 2 * n : 2]
    yc, ys, c, s = yc[:, :n], ys[:, :n], c[:, :n], s[:, :n]
    cc = 0.5 * (1.0 + double_c) - c * c
    ss = 0.5 * (1.0 - double_c) - s * s
    cs = 0.5 * double_s - c * s
    determinant = np.maximum(cc * ss - cs * cs, LEAST_DETERMINANT)
    return (ss * (yc * yc) + cc * (ys * ys) - 2.0 * cs * (yc * ys)) / determinant


def _fourier_sums(x: Floats, values: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the sums of values*cos(w_k*x) and values*sin(w_k*x), approximately.

    w_k is k/OVERSAMPLING cycles over `size` cells; each point is shared between the two cells
    beside it.
    """
    place = x * (size - MARGIN)
    cell = place.astype(np.intp)
    part = (place - cell) * values
    cell = cell + size * np.arange(x.shape[1])
    n_cells = size * x.shape[1]
    grid = np.bincount(cell.ravel(), (values - part).ravel(), n_cells)
    grid += np.bincount(cell.ravel() + 1, part.ravel(), n_cells)
    sums = np.fft.rfft(grid.reshape(-1, size), size * OVERSAMPLING, axis=1)
    return sums.real, -sums.imag
