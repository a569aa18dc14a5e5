"""The trust region: may this step stay, how long may the next be, and is this the end.

A step p is judged by comparing what it did with what the linear model J p promised (Moré 1978):

    actred = 1 - (‖f(x + p)‖ / ‖f‖)²                            actual reduction
    prered = (‖J p‖ / ‖f‖)² + 2 (sqrt(par) ‖D p‖ / ‖f‖)²        predicted reduction
    ratio  = actred / prered                                    the gain

All functions are pure, element by element, and written over an array namespace `xp` that offers
``where``, ``abs``, ``maximum`` and ``minimum``: NumPy executes them, and anything that
traces arrays can emit them. Each inequality stands here and nowhere else.

Source: J. J. Moré, The Levenberg-Marquardt algorithm: implementation and theory, in Numerical
Analysis, LNM 630 (1978); constants as in MINPACK-1's ``lmder``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .status import Status

EPSILON = float(np.finfo(np.float64).eps)
ACCEPT = 1e-4
"""The least gain at which a step is taken."""
_TENFOLD = 100.0
"""Growth of ‖f‖² from which on it does not matter how large it is."""
POOR, GOOD = 0.25, 0.75
"""At most POOR the radius shrinks; at least GOOD, or after a full Gauss-Newton step, it grows."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """When to stop; see `manyfit.solver.options.FitOptions` for the meaning of each."""

    ftol: float
    xtol: float
    gtol: float
    maxfev: int


@dataclass(frozen=True, slots=True)
class Gain:
    """What a step promised and what it did, element by element.

    `left` is (‖f(x + p)‖ / ‖f‖)², and `actred` 1 - left, or -1 after a step that made ‖f‖ ten times
    larger or not finite.
    """

    left: Any
    actred: Any
    prered: Any
    slope: Any
    ratio: Any


def gain(xp: Any, *, fnorm: Any, fnorm_new: Any, jp: Any, damping: Any) -> Gain:
    """Compare the reduction that a Levenberg-Marquardt step made with the one it promised.

    Parameters
    ----------
    xp
        The array namespace.
    fnorm, fnorm_new
        ‖f‖ before and after; a new norm that is not finite counts as no reduction at all.
    jp, damping
        ‖J p‖ and sqrt(par) ‖D p‖.
    """
    safe = xp.where(fnorm > 0, fnorm, 1.0)
    linear, damped, shrinkage = jp / safe, damping / safe, fnorm_new / safe
    linear, damped = linear * linear, damped * damped
    left = xp.where(fnorm > 0, shrinkage * shrinkage, float("inf"))
    return judge(xp, left=left, prered=linear + 2 * damped, slope=-(linear + damped))


def judge(xp: Any, *, left: Any, prered: Any, slope: Any) -> Gain:
    """Return the gain of any step whose predicted reduction and slope are known.

    `left` is what is left of ‖f‖², as a share; `slope` the derivative of ½‖f‖² along the step, in
    units of ‖f‖².
    """
    actred = xp.where(left < _TENFOLD, 1.0 - left, -1.0)
    promised = prered > 0
    ratio = xp.where(promised, actred / xp.where(promised, prered, 1.0), 0.0)
    return Gain(left, actred, prered, slope, ratio)


def accepted(step: Gain) -> Any:
    """Return whether the step may stay."""
    return step.ratio >= ACCEPT


def next_radius(xp: Any, step: Gain, *, delta: Any, par: Any, pnorm: Any) -> tuple[Any, Any]:
    """Return the radius of the trust region and the damping for the next step.

    After a poor step the radius becomes the step that minimises the parabola through ‖f‖², its
    slope and ‖f(x + p)‖², within 0.1..0.5; after a good one, twice the step.

    Parameters
    ----------
    xp
        The array namespace.
    step
        The step's gain.
    delta, par, pnorm
        The radius and damping it was made with, and its scaled length ‖D p‖.
    """
    denominator = step.slope + 0.5 * step.actred
    parabola = 0.5 * step.slope / xp.where(denominator == 0, 1.0, denominator)
    shrink = xp.where(step.actred >= 0, 0.5, parabola)
    hopeless = (step.left >= _TENFOLD) | (shrink < 0.1)
    shrink = xp.where(hopeless, 0.1, shrink)
    poor = ~(step.ratio > POOR)
    good = ~poor & ((par == 0) | (step.ratio >= GOOD))
    next_delta = xp.where(
        poor, shrink * xp.minimum(delta, 10.0 * pnorm), xp.where(good, 2.0 * pnorm, delta)
    )
    next_par = xp.where(poor, par / shrink, xp.where(good, 0.5 * par, par))
    return next_delta, next_par


def termination(
    xp: Any,
    step: Gain,
    tolerances: Tolerances,
    *,
    delta: Any,
    xnorm: Any,
    gnorm: Any,
    nfev: Any,
) -> Any:
    """Return MINPACK's ``info``: 1 to 3 for convergence, 5 to 8 for giving up, 0 to go on.

    Parameters
    ----------
    xp
        The array namespace.
    step
        The gain of the step just judged.
    tolerances
        ftol, xtol, gtol, maxfev.
    delta, xnorm
        The radius after this step, and ‖D x‖ at the point now held.
    gnorm
        The largest cosine between the residuals and a column of the Jacobian.
    nfev
        Evaluations so far.

    Notes
    -----
    A radius that shrank because ‖f‖ grew tenfold or was not finite (actred = -1) does not tell
    that the minimum is near. MINPACK reports convergence by xtol there, even at a start that it
    never left (NIST's MGH17, first start); here the search goes on.
    """
    reduction = xp.maximum(xp.abs(step.actred), step.prered)
    believable = 0.5 * step.ratio <= 1
    by_ftol = (reduction <= tolerances.ftol) & believable
    by_xtol = (delta <= tolerances.xtol * xnorm) & (step.actred > -1)
    info = xp.where(nfev >= tolerances.maxfev, int(Status.MAXFEV), 0)
    info = xp.where((reduction <= EPSILON) & believable, int(Status.FTOL_TOO_SMALL), info)
    info = xp.where(delta <= EPSILON * xnorm, int(Status.XTOL_TOO_SMALL), info)
    info = xp.where(gnorm <= EPSILON, int(Status.GTOL_TOO_SMALL), info)
    info = xp.where(by_ftol, int(Status.CONVERGED_FTOL), info)
    info = xp.where(by_xtol, int(Status.CONVERGED_XTOL), info)
    return xp.where(by_ftol & by_xtol, int(Status.CONVERGED_BOTH), info)


def by_gradient(gnorm: Any, tolerances: Tolerances) -> Any:
    """Return whether the residuals are orthogonal to the Jacobian: MINPACK's ``info`` 4."""
    return gnorm <= tolerances.gtol
