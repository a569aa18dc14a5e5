"""A sinusoid about a constant."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..model import Model
from .projection import Frame, best_of, least_squares
from .sorted_curves import ONE, SortedCurves, estimate_in_blocks, integral

TAU = 2.0 * math.pi

CELLS = 2
"""Cells of the periodogram's grid a point, at least."""

OVERSAMPLING = 4
"""Frequencies of the periodogram a cycle over the range of x."""

PEAKS = 3
"""Peaks of the periodogram that are looked at closely."""


def sinusoid() -> Model:
    """Make ``a*sin(w*x + phi) + c``, params a, w, phi, c; w is an angular frequency.

    The guess has a >= 0, w > 0 and phi within -pi..pi. It looks for w up to the mean Nyquist
    frequency, pi*(n - 1)/(range of x) for n distinct x, beyond which evenly spaced points cannot
    tell a frequency from a lower one.
    """
    return Model(
        name="sinusoid",
        params=("a", "w", "phi", "c"),
        func=_sinusoid,
        jac=_sinusoid_jac,
        guess=_sinusoid_guess,
        expression="a*sin(w*x + phi) + c",
    )


def _sine_and_cosine(phase: Any) -> tuple[Any, Any]:
    """Return both from one tangent, of half the angle; the absolute error is a few 1e-16.

    NumPy has vector code for the tangent of float64, but not for sine and cosine: one tangent is
    up to ten times faster than either.
    """
    t = np.tan(0.5 * phase)
    squared = t * t
    share = 1.0 / (1.0 + squared)
    return 2.0 * t * share, (1.0 - squared) * share


def _sinusoid(x: Any, a: Any, w: Any, phi: Any, c: Any) -> Any:
    """Evaluate a*sin(w*x + phi) + c."""
    t = np.tan(0.5 * (w * x + phi))
    return (2.0 * a) * t / (1.0 + t * t) + c


def _sinusoid_jac(x: Any, a: Any, w: Any, phi: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, w, phi, c."""
    sine, cosine = _sine_and_cosine(w * x + phi)
    by_phi = a * cosine
    return [sine, by_phi * x, by_phi, ONE]


def _shapes(x: Floats, w: Floats) -> list[Floats]:
    """Return sin(w*x) and cos(w*x), in single precision: enough to start from, and much faster."""
    cycles = (w / TAU) * x
    phase = (TAU * (cycles - np.rint(cycles))).astype(np.float32)
    return [np.sin(phase).astype(np.float64), np.cos(phase).astype(np.float64)]


def _slopes(x: Floats, g: Sequence[Floats], a: Sequence[Floats], w: Floats) -> list[Floats]:  # noqa: ARG001
    """Return the derivative of a_0*sin(w*x) + a_1*cos(w*x) with respect to w."""
    return [x * (a[0] * g[1] - a[1] * g[0])]


def _sinusoid_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a, w, phi, c for all curves."""
    return estimate_in_blocks(_sinusoid_estimate, 4, x, y, valid)


def _sinusoid_estimate(curves: SortedCurves) -> list[Floats]:
    """Polish the highest peaks of the periodogram, and a slow wave, and take the best.

    Each polished peak is an exact fit, so the rough periodogram only has to see the right peak
    among its highest.
    """
    frame = Frame.unit(curves)
    trials = [frame.trial(_shapes, w) for w in (*_highest_peaks(frame), _slow_wave(frame))]
    best = best_of(frame.polish(_shapes, _slopes, trial, [np.ones(1)]) for trial in trials)
    (w,) = best.theta
    (sine, cosine), c = frame.fit(_shapes(frame.curves.x, w))
    w_x = w / frame.width
    phi = np.arctan2(cosine, sine) - w_x * frame.origin
    return [
        frame.height * np.hypot(sine, cosine),
        w_x,
        phi - TAU * np.rint(phi / TAU),
        frame.level + frame.height * c,
    ]


def _slow_wave(frame: Frame) -> Floats:
    """Estimate w of a few cycles at most from an integral equation.

    With SS the second integral of y, y'' = -w**2*(y - c) becomes y = -w**2*SS + (polynomial of
    degree 2 in x), a linear regression.

    Source: Jacquelin, Régressions et équations intégrales (2009), sinusoidal regression.
    """
    x, y = frame.curves.x, frame.curves.y
    columns = frame.columns([x, x * x, integral(integral(y, x), x)])
    (_, _, minus_square), _ = least_squares(columns, frame.target)
    w = np.sqrt(np.maximum(-minus_square, 0.0))
    fastest = np.maximum(0.25 * TAU * (_distinct(frame) - 1.0), 1.0)
    return np.minimum(np.where((w > 0.3) & np.isfinite(w), w, 3.0), fastest)


def _distinct(frame: Frame) -> Floats:
    """Return (n_curves,): the number of distinct x."""
    x = frame.curves.x
    return np.broadcast_to(1.0 + np.count_nonzero(x[1:] > x[:-1], axis=0), frame.level.shape)


def _highest_peaks(frame: Frame) -> list[Floats]:
    """Return w of the highest peaks of each curve's periodogram.

    The grid of a curve depends on its own number of points alone, in powers of two.
    """
    distinct = _distinct(frame)
    n_cells = np.exp2(np.ceil(np.log2(np.maximum(CELLS * distinct, 8.0)))).astype(np.intp)
    peaks = np.empty((PEAKS, len(distinct)))
    for size in np.unique(n_cells):
        same = np.flatnonzero(n_cells == size)
        power = _periodogram(frame, same, int(size))
        cycles = np.arange(power.shape[1]) * ((size - 1.5) / (OVERSAMPLING * size))
        power[cycles >= 0.4995 * (distinct[same, None] - 1.0)] = 0.0
        inner = power[:, 1:-1]
        inner = np.where((inner >= power[:, :-2]) & (inner > power[:, 2:]), inner, 0.0)
        for i in range(PEAKS):
            highest = np.argmax(inner, axis=1)
            peaks[i, same] = TAU * cycles[1 + highest]
            inner[np.arange(len(same)), highest] = 0.0
    return list(peaks)


def _periodogram(frame: Frame, same: Ints, size: int) -> Floats:
    """Return (len(same), n_frequencies): the gain of a sinusoid and a constant, for some curves.

    The points are shared out between the cells of an even grid, where a fast Fourier transform
    gives all sums; from these the gain is that of the generalised Lomb-Scargle periodogram.

    Sources: Zechmeister and Kürster, A&A 496 (2009) 577, eqs. 5-6; Press and Rybicki, ApJ 338
    (1989) 277, for the grid.
    """
    x, valid, count = frame.curves.x, frame.curves.valid, frame.curves.count
    shared = x.shape[1] == 1
    points = x if shared else x[:, same]
    weights = np.ones(points.shape) if valid is None else valid[:, same]
    weights = weights / (count if shared else np.broadcast_to(count, len(frame.level))[same])
    yc, ys = _fourier_sums(
        np.broadcast_to(points, (len(x), len(same))), frame.target[:, same], size
    )
    c, s = _fourier_sums(points, weights, size)
    n = size * OVERSAMPLING // 4
    double_c, double_s = c[:, : 2 * n : 2], s[:, : 2 * n : 2]
    yc, ys, c, s = yc[:, :n], ys[:, :n], c[:, :n], s[:, :n]
    cc = 0.5 * (1.0 + double_c) - c * c
    ss = 0.5 * (1.0 - double_c) - s * s
    cs = 0.5 * double_s - c * s
    determinant = np.maximum(cc * ss - cs * cs, 1e-9)
    return (ss * (yc * yc) + cc * (ys * ys) - 2.0 * cs * (yc * ys)) / determinant


def _fourier_sums(x: Floats, values: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the sums of values*cos(w_k*x) and values*sin(w_k*x), approximately.

    w_k is k/OVERSAMPLING cycles over `size` cells; each point is shared between the two cells
    beside it.
    """
    place = x * (size - 1.5)
    cell = place.astype(np.intp)
    part = (place - cell) * values
    cell = cell + size * np.arange(x.shape[1])
    n_cells = size * x.shape[1]
    grid = np.bincount(cell.ravel(), (values - part).ravel(), n_cells)
    grid += np.bincount(cell.ravel() + 1, part.ravel(), n_cells)
    sums = np.fft.rfft(grid.reshape(-1, size), size * OVERSAMPLING, axis=1)
    return sums.real, -sums.imag
