"""Peaks and dips above a constant: Gaussian and Lorentzian."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..model import Model
from .projection import Frame, Shapes, Slopes, best_of, least_squares
from .sorted_curves import ONE, SortedCurves, estimate_in_blocks, integral, running_total

GAUSSIAN_TO_BOX = 0.75
"""s of a Gaussian over the half width of the box that fits it best."""

LORENTZIAN_TO_BOX = 0.6
"""w of a Lorentzian over the half width of the box that fits it best."""

WIDE = 0.4
"""Width of the wide candidates, over the range of x."""


def gaussian() -> Model:
    """Make ``a*exp(-(x - mu)**2/(2*s**2)) + c``, params a, mu, s, c; a < 0 is a dip."""
    return Model(
        name="gaussian",
        params=("a", "mu", "s", "c"),
        func=_gaussian,
        jac=_gaussian_jac,
        guess=_gaussian_guess,
        expression="a*exp(-(x - mu)**2/(2*s**2)) + c",
    )


def lorentzian() -> Model:
    """Make ``a/(1 + ((x - mu)/w)**2) + c``, params a, mu, w, c; a < 0 is a dip.

    w is the half width at half maximum.
    """
    return Model(
        name="lorentzian",
        params=("a", "mu", "w", "c"),
        func=_lorentzian,
        jac=_lorentzian_jac,
        guess=_lorentzian_guess,
        expression="a/(1 + ((x - mu)/w)**2) + c",
    )


def _gaussian(x: Any, a: Any, mu: Any, s: Any, c: Any) -> Any:
    """Evaluate a*exp(-(x - mu)**2/(2*s**2)) + c."""
    z = (x - mu) * (1.0 / s)
    return a * np.exp(-0.5 * (z * z)) + c


def _gaussian_jac(x: Any, a: Any, mu: Any, s: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, mu, s, c."""
    z = (x - mu) * (1.0 / s)
    e = np.exp(-0.5 * (z * z))
    by_mu = (a / s) * (e * z)
    return [e, by_mu, by_mu * z, ONE]


def _gaussian_shapes(x: Floats, mu: Floats, s: Floats) -> list[Floats]:
    """Return the peak of height 1."""
    z = (x - mu) / s
    return [np.exp(-0.5 * (z * z))]


def _gaussian_slopes(
    x: Floats, g: Sequence[Floats], a: Sequence[Floats], mu: Floats, s: Floats
) -> list[Floats]:
    """Return the derivatives of a times the shape with respect to mu and s."""
    z = (x - mu) / s
    by_mu = (a[0] / s) * (g[0] * z)
    return [by_mu, by_mu * z]


def _gaussian_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a, mu, s, c for all curves."""
    return estimate_in_blocks(_gaussian_estimate, 4, x, y, valid)


def _gaussian_estimate(curves: SortedCurves) -> list[Floats]:
    """Estimate a, mu, s, c."""
    return _estimate(curves, _gaussian_shapes, _gaussian_slopes, GAUSSIAN_TO_BOX)


def _lorentzian(x: Any, a: Any, mu: Any, w: Any, c: Any) -> Any:
    """Evaluate a/(1 + ((x - mu)/w)**2) + c."""
    z = (x - mu) * (1.0 / w)
    return a / (1.0 + z * z) + c


def _lorentzian_jac(x: Any, a: Any, mu: Any, w: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, mu, w, c."""
    z = (x - mu) * (1.0 / w)
    q = 1.0 / (1.0 + z * z)
    by_mu = (2.0 * a / w) * (q * q * z)
    return [q, by_mu, by_mu * z, ONE]


def _lorentzian_shapes(x: Floats, mu: Floats, w: Floats) -> list[Floats]:
    """Return the peak of height 1."""
    z = (x - mu) / w
    return [1.0 / (1.0 + z * z)]


def _lorentzian_slopes(
    x: Floats, g: Sequence[Floats], a: Sequence[Floats], mu: Floats, w: Floats
) -> list[Floats]:
    """Return the derivatives of a times the shape with respect to mu and w."""
    z = (x - mu) / w
    by_mu = (2.0 * a[0] / w) * (g[0] * g[0] * z)
    return [by_mu, by_mu * z]


def _lorentzian_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a, mu, w, c for all curves."""
    return estimate_in_blocks(_lorentzian_estimate, 4, x, y, valid)


def _lorentzian_estimate(curves: SortedCurves) -> list[Floats]:
    """Estimate a, mu, w, c."""
    return _estimate(curves, _lorentzian_shapes, _lorentzian_slopes, LORENTZIAN_TO_BOX)


def _estimate(curves: SortedCurves, shapes: Shapes, slopes: Slopes, to_box: float) -> list[Floats]:
    """Polish five candidates once - best box up and down, wide peaks - and take the best.

    A wide peak cut by the edge looks much like a narrower dip beside it, so the sign of `a` is
    decided last, between fitted shapes.
    """
    frame = Frame.unit(curves)
    candidates = [(mu, to_box * half) for mu, half in _best_boxes(frame)]
    candidates.append(_wide_peak(frame))
    candidates += [(np.full(1, mu), np.full(1, WIDE)) for mu in (0.15, 0.85)]
    trials = [frame.trial(shapes, mu, width) for mu, width in candidates]
    best = best_of(
        frame.polish(shapes, slopes, trial, [trial.theta[1], 0.5 * trial.theta[1]])
        for trial in trials
    )
    (a,), c = frame.fit(shapes(frame.curves.x, *best.theta))
    mu, width = best.theta
    return [
        frame.height * a,
        frame.origin + frame.width * mu,
        frame.width * width,
        frame.level + frame.height * c,
    ]


def _best_boxes(frame: Frame) -> list[tuple[Floats, Floats]]:
    """Return centre and half width of the box that fits best, upwards and downwards.

    Of all windows of 1, 2, 4 ... points the one with the largest gain S**2*(1/k + 1/(n - k)), S the
    sum of its k of n centred values: an exact fit of a box above a constant, from running sums.

    Source: Kovács, Zucker, Mazeh, A&A 391 (2002) 369, box least squares.
    """
    n_points, n_curves = frame.target.shape
    sums = np.zeros((n_points + 1, n_curves))
    sums[1:] = running_total(frame.target)
    count = frame.curves.count
    gain = np.full((2, n_curves), -1.0)
    first, length = np.zeros((2, n_curves), np.intp), np.ones((2, n_curves), np.intp)
    k = 1
    while k == 1 or k < n_points:
        inside = sums[k:] - sums[:-k]
        if frame.curves.valid is not None:
            inside[np.arange(len(inside))[:, None] + k > count] = 0.0
        weight = np.where(k < count, 1.0 / k + 1.0 / np.maximum(count - k, 1.0), 0.0)
        for i, (extreme, place) in enumerate(((np.max, np.argmax), (np.min, np.argmin))):
            peak = extreme(inside, axis=0)
            new = peak * peak * weight
            better = np.flatnonzero(new > gain[i])
            gain[i, better] = new[better]
            first[i, better] = place(inside[:, better], axis=0)
            length[i, better] = k
        k *= 2
    return [_extent(frame, f, f + n - 1) for f, n in zip(first, length, strict=True)]


def _extent(frame: Frame, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Return centre and half width of a window, out to half the way to its neighbours."""
    x = np.broadcast_to(frame.curves.x, frame.target.shape)
    end = frame.curves.count.astype(np.intp) - 1

    def at(place: Ints) -> Floats:
        values: Floats = np.take_along_axis(x, np.clip(place, 0, end)[None], axis=0)[0]
        return values

    left, right = 0.5 * (at(first - 1) + at(first)), 0.5 * (at(last) + at(last + 1))
    return 0.5 * (left + right), np.maximum(0.5 * (right - left), 1e-6)


def _wide_peak(frame: Frame) -> tuple[Floats, Floats]:
    """Estimate mu and s of a peak that may be wider than the data, from an integral equation.

    A Gaussian has y' = -(x - mu)*(y - c)/s**2, which integrates to

        y = -(1/s**2)*integral(x*y) + (mu/s**2)*integral(y) + (polynomial of degree 2 in x),

    a linear regression. Good for wide peaks, of any kind; the trapezoids miss narrow ones.

    Source: after Jacquelin, Régressions et équations intégrales (2009), Gaussian regression.
    """
    x, y = frame.curves.x, frame.curves.y
    columns = frame.columns([x, x * x, integral(x * y, x), integral(y, x)])
    (_, _, minus_inverse, shift), _ = least_squares(columns, frame.target)
    s = 1.0 / np.sqrt(np.abs(minus_inverse))
    mu = -shift / minus_inverse
    s = np.where(np.isfinite(s), np.clip(s, 1e-3, 1.0), 0.3)
    return np.where(np.isfinite(mu), np.clip(mu, -0.5, 1.5), 0.5), s
