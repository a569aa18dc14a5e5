"""Box bounds: lower <= x <= upper, held through every step.

A parameter that lies on a bound while the gradient points out of the box is held (MPFIT's rule).
A step that would leave the box through some faces stops those parameters on their faces, and the
other parameters' step is solved again with these displacements given:

    minimise ‖f + J_held d + J_free p‖  within the trust region,

until the whole step lies inside. Where the stopped parameters leave the others too little of the
radius, the whole may lead uphill (one step in a thousand of random problems): it promises no
reduction, is refused, and a smaller radius follows. MPFIT scales the whole step down instead; then
a parameter close to its bound makes the steps of all others tiny, which ``xtol`` and ``ftol`` take
for convergence.

Source of the rule: C. B. Markwardt, Non-linear least squares fitting in IDL with MPFIT, ASP Conf.
Ser. 411 (2009).
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Bools, Floats, Ints
from .lmpar import lm_step
from .norms import dot, enorm
from .qr import multiply_upper, pivoted_qr


@dataclass(frozen=True, slots=True)
class Step:
    """A step, where it leads, and what the linear model promises of it.

    Attributes
    ----------
    p, x_new
        (n_curves, n_params), in the order of the parameters.
    par
        (n_curves,), the damping it was made with.
    jp
        (n_curves,), ‖J p‖.
    descent
        (n_curves,), fᵀ J p.
    """

    p: Floats
    x_new: Floats
    par: Floats
    jp: Floats
    descent: Floats


def free_step(
    R: Floats, qtf: Floats, pivot: Ints, *, x: Floats, diag: Floats, delta: Floats, par: Floats
) -> Step:
    """Return the Levenberg-Marquardt step of parameters without bounds.

    Parameters
    ----------
    R, qtf, pivot
        The factors of the Jacobian, as in `manyfit.solver.qr.PivotedQR`.
    x, diag
        (n_curves, n_params), where the step begins, and the scales.
    delta, par
        (n_curves,), the radius, and the damping to begin with.
    """
    permuted, par = lm_step(R, qtf, np.take_along_axis(diag, pivot, axis=1), delta, par)
    p = np.empty_like(permuted)
    np.put_along_axis(p, pivot, permuted, axis=1)
    image = multiply_upper(R, permuted)
    return Step(p, x + p, par, enorm(image), dot(qtf, image))


@dataclass(frozen=True, slots=True)
class Box:
    """Lower and upper bounds, (n_params,) each; infinite where there is none."""

    lower: Floats
    upper: Floats

    def contains(self, x: Floats) -> Bools:
        """Return (n_curves,): whether every parameter lies inside or on a face."""
        return np.asarray(((x >= self.lower) & (x <= self.upper)).all(axis=1))

    def on_face(self, x: Floats) -> Bools:
        """Return (n_curves, n_params): whether the parameter lies on one of its bounds."""
        return np.asarray((x <= self.lower) | (x >= self.upper))

    def held(self, x: Floats, gradient: Floats) -> Bools:
        """Return (n_curves, n_params): on a face, with the descent pointing out of the box."""
        below = (x <= self.lower) & (gradient >= 0)
        above = (x >= self.upper) & (gradient <= 0)
        return np.asarray(below | above)

    def step(
        self,
        R: Floats,
        qtf: Floats,
        pivot: Ints,
        *,
        x: Floats,
        diag: Floats,
        delta: Floats,
        par: Floats,
        gradient: Floats,
    ) -> Step:
        """Return the step that stays inside; arguments as in `free_step`, and Jᵀ f."""
        S = np.empty_like(R)
        np.put_along_axis(S, np.broadcast_to(pivot[:, None, :], R.shape), R, axis=2)
        held = self.held(x, gradient)
        p, par = np.zeros_like(x), par.copy()
        x_new = x.copy()
        rows = np.arange(len(x))
        while rows.size:
            given = np.where(held[rows], x_new[rows] - x[rows], 0.0)
            p[rows], par[rows] = _step_beside(
                S[rows], qtf[rows], diag[rows], delta[rows], par[rows], held[rows], given
            )
            target = x[rows] + p[rows]
            out = ((target < self.lower) | (target > self.upper)) & ~held[rows]
            stopped = np.clip(target, self.lower, self.upper)
            x_new[rows] = np.where(held[rows], x_new[rows], stopped)
            held[rows] |= out
            rows = rows[out.any(axis=1)]
        image = multiply_upper(S, p)
        return Step(p, x_new, par, enorm(image), dot(qtf, image))


def _step_beside(
    S: Floats,
    qtf: Floats,
    diag: Floats,
    delta: Floats,
    par: Floats,
    held: Bools,
    given: Floats,
) -> tuple[Floats, Floats]:
    """Return the step of the free parameters beside the given displacements of the held ones."""
    columns = np.ascontiguousarray(np.where(held[:, :, None], 0.0, S.transpose(0, 2, 1)))
    factors = pivoted_qr(columns, qtf + multiply_upper(S, given))
    pivot = factors.pivot
    permuted, par = lm_step(
        factors.R, factors.qtf, np.take_along_axis(diag, pivot, axis=1), delta, par
    )
    p = np.empty_like(permuted)
    np.put_along_axis(p, pivot, permuted, axis=1)
    return np.where(held, given, p), par
