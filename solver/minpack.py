"""The reference engine: MINPACK's ``lmder`` and ``lmdif`` over a batch axis.

Each tick makes one step of every curve in the working set:

    curves that moved:  J, J P = Q R, scales D, gnorm;  gtol reached? -> done
    all curves:         p = step that fits the trust region;  f(x + p)
                        gain -> radius, damping;  accepted? -> x = x + p
                        a termination inequality holds? -> done

A curve that is done leaves the working set at once, and when half of it is gone curves that wait
take the places; so a hard curve holds nobody up. No operation mixes curves: what happens to one
depends on that curve alone, to the bit.

Sources: Moré, Garbow, Hillstrom, User Guide for MINPACK-1, ANL-80-74 (1980); Moré (1978).
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from .allocation import keep_freed_memory
from .arrays import Floats, Ints
from .bounds import Box, Step, free_step
from .norms import enorm
from .qr import PivotedQR, multiply_upper_transposed, pivoted_qr
from .state import LastFactors, Solution, WorkingSet
from .status import Status
from .trust_region import (
    Gain,
    Tolerances,
    accepted,
    by_gradient,
    gain,
    judge,
    next_radius,
    termination,
)


class Problem(Protocol):
    """Residuals and Jacobians of a batch of curves; the one thing the engine asks of a model."""

    def residuals(self, params: Floats) -> Floats:
        """Return (n_curves, n_points) residuals at (n_curves, n_params) parameters."""
        ...

    def jacobian(self, params: Floats, fun: Floats) -> tuple[Floats, int]:
        """Return the Jacobian and what it cost.

        The Jacobian is (n_curves, n_params, n_points), C-contiguous and the caller's to overwrite;
        `fun` are the residuals at `params`. The cost is in evaluations of the model a curve: 0 for
        an exact Jacobian.
        """
        ...

    def take(self, rows: Ints) -> Self:
        """Return the problem of some of the curves."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all curves of a batch: tolerances, scales, first radius, bounds.

    `diag` None: scales are the largest norms of the Jacobian's columns so far. `box` None: no
    bounds. `together` is the size of the working set in curves, 0: by the number of points.
    """

    tolerances: Tolerances
    factor: float = 100.0
    diag: Floats | None = None
    box: Box | None = None
    together: int = 0


_WORKING_SET_POINTS = 1 << 17
"""Points in a working set: few enough for the cache, enough to hide the interpreter."""


def solve(problem: Problem, x0: Floats, rules: Rules) -> Solution:
    """Minimise ½‖f‖² for every curve of a batch.

    Parameters
    ----------
    problem
        Residuals and Jacobians.
    x0
        (n_curves, n_params), finite, inside the bounds.
    rules
        What holds for all of them.
    """
    keep_freed_memory()
    solution = Solution.empty(*x0.shape)
    together = rules.together
    waiting = np.arange(len(x0))
    state: WorkingSet | None = None
    with np.errstate(all="ignore"):
        while True:
            if waiting.size and (state is None or 2 * len(state) <= together):
                room = (together or 64) - (0 if state is None else len(state))
                state = _admit(state, problem, x0, waiting[:room])
                waiting = waiting[room:]
                if not together:
                    together = max(64, _WORKING_SET_POINTS // max(1, state.fun.shape[1]))
                state = _retire(state, solution)
            if state is None or not len(state):
                if not waiting.size:
                    return solution
                continue
            active = problem.take(state.row)
            refresh(state, active, rules)
            if state.status.any():
                state = _retire(state, solution)
                active = problem.take(state.row)
            if len(state):
                advance(state, active, rules)
                state = _retire(state, solution)


def solve_alone(problem: Problem, x0: Floats, rules: Rules) -> tuple[Solution, LastFactors]:
    """Minimise ½‖f‖² for one curve, and keep the factors of its last Jacobian.

    Parameters
    ----------
    problem, rules
        As in `solve`.
    x0
        (1, n_params).
    """
    solution = Solution.empty(*x0.shape)
    with np.errstate(all="ignore"):
        state = WorkingSet.start(np.arange(1), x0, problem.residuals(x0))
        factors = None
        while not state.status[0]:
            factors = refresh(state, problem, rules) or factors
            if not state.status[0]:
                advance(state, problem, rules)
    solution.store(state, np.arange(1))
    packed = factors.packed if factors else np.full((1, x0.shape[1], state.fun.shape[1]), np.nan)
    return solution, LastFactors(state.fun, packed, state.pivot, state.qtf)


def _admit(state: WorkingSet | None, problem: Problem, x0: Floats, rows: Ints) -> WorkingSet:
    """Start the curves `rows` beside those at work."""
    x = x0[rows]
    newcomers = WorkingSet.start(rows, x, problem.take(rows).residuals(x))
    return newcomers if state is None or not len(state) else state.join(newcomers)


def _retire(state: WorkingSet, solution: Solution) -> WorkingSet:
    """Write down the curves that are done and return the others."""
    done = state.status != 0
    if not done.any():
        return state
    solution.store(state, np.flatnonzero(done))
    return state.take(np.flatnonzero(~done))


def refresh(state: WorkingSet, problem: Problem, rules: Rules) -> PivotedQR | None:
    """Renew the Jacobian, its factors, the scales and gnorm of the curves that moved.

    Returns the factors of those curves, None when none has moved.
    """
    rows = np.flatnonzero(state.moved)
    if not rows.size:
        return None
    part = problem if rows.size == len(state) else problem.take(rows)
    x, fun, fnorm = state.x[rows], state.fun[rows], state.fnorm[rows]
    jac, cost = part.jacobian(x, fun)
    factors = pivoted_qr(jac, fun)
    norms, pivot = factors.norms, factors.pivot
    state.nfev[rows] += cost
    state.njev[rows] += 1
    state.moved[rows] = False
    state.R[rows], state.qtf[rows], state.pivot[rows] = factors.R, factors.qtf, pivot

    permuted = multiply_upper_transposed(factors.R, factors.qtf)
    gradient = np.empty_like(permuted)
    np.put_along_axis(gradient, pivot, permuted, axis=1)
    state.gradient[rows] = gradient
    cosine = np.abs(gradient / fnorm[:, None]) / norms
    idle = (norms == 0) | (fnorm == 0)[:, None]
    if rules.box is not None:
        idle |= rules.box.held(x, gradient)
    gnorm = np.where(idle, 0.0, cosine).max(axis=1)
    state.gnorm[rows] = gnorm
    state.status[rows] = np.where(
        ~np.isfinite(norms).all(axis=1),
        Status.JACOBIAN_NONFINITE,
        np.where(by_gradient(gnorm, rules.tolerances), Status.CONVERGED_GTOL, 0),
    )
    _rescale(state, rows, norms, rules)
    return factors


def _rescale(state: WorkingSet, rows: Ints, norms: Floats, rules: Rules) -> None:
    """Update the scales; before the first step, also ‖D x‖ and the first radius."""
    fresh = state.njev[rows] == 1
    if rules.diag is not None:
        diag = np.broadcast_to(rules.diag, norms.shape)
    else:
        diag = np.where(
            fresh[:, None], np.where(norms == 0, 1.0, norms), np.maximum(state.diag[rows], norms)
        )
    state.diag[rows] = diag
    xnorm = enorm(diag * state.x[rows])
    first_radius = np.where(xnorm == 0, rules.factor, rules.factor * xnorm)
    state.xnorm[rows] = np.where(fresh, xnorm, state.xnorm[rows])
    state.delta[rows] = np.where(fresh, first_radius, state.delta[rows])


def advance(state: WorkingSet, problem: Problem, rules: Rules) -> None:
    """Try one step of every curve; keep it where it paid, and end the curves that have arrived."""
    step = _propose(state, rules)
    pnorm = enorm(state.diag * step.p)
    delta = np.where(state.first, np.minimum(state.delta, pnorm), state.delta)
    fun_new = problem.residuals(step.x_new)
    fnorm_new = np.where(np.isfinite(step.x_new).all(axis=1), enorm(fun_new), np.inf)
    state.nfev += 1
    judged = _judge(state, step, pnorm, fnorm_new, bounded=rules.box is not None)
    state.delta, state.par = next_radius(
        np,
        judged,
        delta=delta,
        par=step.par,
        pnorm=pnorm,
    )
    took = np.asarray(accepted(judged))
    state.x = np.where(took[:, None], step.x_new, state.x)
    state.fun = fun_new if took.all() else np.where(took[:, None], fun_new, state.fun)
    state.fnorm = np.where(took, fnorm_new, state.fnorm)
    state.xnorm = np.where(took, enorm(state.diag * state.x), state.xnorm)
    state.moved |= took
    state.first &= ~took
    state.status = termination(
        np,
        judged,
        rules.tolerances,
        delta=state.delta,
        xnorm=state.xnorm,
        gnorm=state.gnorm,
        nfev=state.nfev,
    ).astype(np.int8)


def _propose(state: WorkingSet, rules: Rules) -> Step:
    """Return the step that fits the trust region and the bounds."""
    if rules.box is None:
        return free_step(
            state.R,
            state.qtf,
            state.pivot,
            x=state.x,
            diag=state.diag,
            delta=state.delta,
            par=state.par,
        )
    return rules.box.step(
        state.R,
        state.qtf,
        state.pivot,
        x=state.x,
        diag=state.diag,
        delta=state.delta,
        par=state.par,
        gradient=state.gradient,
    )


def _judge(
    state: WorkingSet, step: Step, pnorm: Floats, fnorm_new: Floats, *, bounded: bool
) -> Gain:
    """Return the gain: by MINPACK's formula, or by the linear model where a box shaped the step."""
    if not bounded:
        return gain(
            np,
            fnorm=state.fnorm,
            fnorm_new=fnorm_new,
            jp=step.jp,
            damping=np.sqrt(step.par) * pnorm,
        )
    scale = np.where(state.fnorm > 0, state.fnorm, 1.0)
    slope = step.descent / scale / scale
    linear, shrinkage = step.jp / scale, fnorm_new / scale
    left = np.where(state.fnorm > 0, shrinkage * shrinkage, np.inf)
    return judge(np, left=left, prered=-(2 * slope + linear * linear), slope=slope)
