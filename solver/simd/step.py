"""The Levenberg-Marquardt step from the normal equations, by LDLᵀ without a square root.

    (JᵀJ + par D²) p = -Jᵀr,    JᵀJ + par D² = L diag(d) Lᵀ

All is written in squares: D² is the largest diagonal of JᵀJ so far, ‖D p‖² = Σ D² p². A pivot that
is a small part of its own diagonal, d_k <= PIVOT (JᵀJ)_kk, is no more than rounding: that parameter
stands still in this step, as where MINPACK finds a column that depends on others.

Written over an array namespace, like `manyfit.solver.trust_region`: `xp` is a `Lanes`.

Source: Moré (1978), section 5; constants as in MINPACK-1's ``lmpar``.
"""

from dataclasses import dataclass
from typing import Any

Lower = dict[tuple[int, int], Any]

PIVOT = 1e-13
"""Relative size of a pivot that counts as zero."""
_SLACK = 0.1
_MAX_ITERATIONS = 10
_DWARF = 2.2250738585072014e-308


@dataclass(frozen=True, slots=True)
class Decomposition:
    """L diag(d) Lᵀ: L's entries below the diagonal, 1/d (0 for a pivot of no size)."""

    L: Lower
    inverse: list[Any]
    full: Any

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.inverse)

    def forward(self, rhs: list[Any]) -> list[Any]:
        """Solve L z = rhs."""
        z: list[Any] = []
        for i in range(self.n):
            value = rhs[i]
            for k in range(i):
                value = value - self.L[i, k] * z[k]
            z.append(value)
        return z

    def backward(self, z: list[Any]) -> list[Any]:
        """Solve Lᵀ p = z."""
        p: list[Any] = list(z)
        for i in reversed(range(self.n)):
            for k in range(i + 1, self.n):
                p[i] = p[i] - self.L[k, i] * p[k]
        return p

    def solve(self, rhs: list[Any]) -> list[Any]:
        """Solve (L diag(d) Lᵀ) p = rhs; parameters whose pivot has no size are 0."""
        z = self.forward(rhs)
        return self.backward([z[i] * self.inverse[i] for i in range(self.n)])


def decomposed(xp: Any, A: Lower, n: int) -> Decomposition:
    """Return L diag(d) Lᵀ of a symmetric matrix, given by its lower triangle."""
    L: Lower = {}
    W: Lower = {}
    inverse = []
    full: Any = None
    for j in range(n):
        pivot = A[j, j]
        for k in range(j):
            pivot = xp.fma(-L[j, k], W[j, k], pivot)
        solid = pivot > PIVOT * A[j, j]
        inverse.append(xp.where(solid, 1.0 / pivot, 0.0))
        full = solid if full is None else full & solid
        for i in range(j + 1, n):
            entry = A[i, j]
            for k in range(j):
                entry = xp.fma(-L[j, k], W[i, k], entry)
            W[i, j] = entry
            L[i, j] = entry * inverse[j]
    return Decomposition(L, inverse, full)


@dataclass(frozen=True, slots=True)
class Step:
    """A step: `p`, the damping `par` it was made with, and `length2` = ‖D p‖²."""

    p: list[Any]
    par: Any
    length2: Any


def lm_step(xp: Any, A: Lower, g: list[Any], D2: list[Any], delta: Any, par: Any) -> Step:
    """Return the step that fits into the trust region.

    Parameters
    ----------
    xp
        The namespace.
    A, g
        JᵀJ, the lower triangle, and Jᵀr.
    D2
        The squared scales.
    delta
        The radius.
    par
        The damping to begin with, where the Gauss-Newton step is too long.
    """
    n = len(g)
    factors = decomposed(xp, A, n)
    p = factors.solve([-value for value in g])
    length2 = dot(xp, D2, p, p)
    reach = (1 + _SLACK) * delta
    too_long = ~(length2 <= reach * reach)

    def damped(_: list[Any]) -> list[Any]:
        step = _damped(xp, A, g, D2, delta, par, factors, p, length2, too_long)
        return [*step.p, step.par, step.length2]

    new = xp.when(too_long, [*p, xp.real(0.0), length2], damped)
    return Step(new[:n], new[n], new[n + 1])


def _damped(
    xp: Any,
    A: Lower,
    g: list[Any],
    D2: list[Any],
    delta: Any,
    par: Any,
    factors: Decomposition,
    p: list[Any],
    length2: Any,
    wanted: Any,
) -> Step:
    """Find the damping where `wanted`; elsewhere return the Gauss-Newton step `p`."""
    n = len(g)
    minus_g = [-value for value in g]
    length = xp.sqrt(length2)
    excess = length - delta
    newton = _newton(xp, factors, D2, p, length, excess, delta)
    lowest = xp.where(factors.full, newton, 0.0)
    gnorm2 = g[0] * g[0] / D2[0]
    for j in range(1, n):
        gnorm2 = gnorm2 + g[j] * g[j] / D2[j]
    gnorm = xp.sqrt(gnorm2)
    highest = gnorm / delta
    highest = xp.where(highest == 0, _DWARF / xp.smaller(delta, 0.1), highest)
    first = xp.smaller(xp.larger(par, lowest), highest)
    first = xp.where(first == 0, gnorm / length, first)
    count = xp.real(0.0)

    def body(state: list[Any]) -> tuple[list[Any], Any]:
        *p, par, length2, searching, excess, lowest, highest, count = state
        on = searching > 0
        tried = xp.where(par == 0, xp.larger(0.001 * highest, _DWARF), par)
        B = {(i, j): A[i, j] if i != j else xp.fma(tried, D2[i], A[i, i]) for i, j in A}
        factors = decomposed(xp, B, n)
        step = factors.solve(minus_g)
        now2 = dot(xp, D2, step, step)
        length = xp.sqrt(now2)
        now = length - delta
        count = count + 1
        fits = xp.abs(now) <= _SLACK * delta
        fits = fits | ((lowest == 0) & (now <= excess) & (excess < 0))
        again = on & ~fits & (count < _MAX_ITERATIONS)
        change = _newton(xp, factors, D2, step, length, now, delta)
        up = xp.where(again & (now > 0), xp.larger(lowest, tried), lowest)
        down = xp.where(again & (now < 0), xp.smaller(highest, tried), highest)
        following = xp.where(again, xp.larger(up, tried + change), xp.where(on, tried, par))
        return [
            *(xp.where(on, new, old) for new, old in zip(step, p, strict=True)),
            following,
            xp.where(on, now2, length2),
            xp.where(again, 1.0, 0.0),
            xp.where(on, now, excess),
            up,
            down,
            count,
        ], again

    state = [*p, xp.where(wanted, first, 0.0), length2, xp.where(wanted, 1.0, 0.0)]
    *p, par, length2, _, _, _, _, _ = xp.iterate([*state, excess, lowest, highest, count], body)
    return Step(p, par, length2)


def _newton(
    xp: Any,
    factors: Decomposition,
    D2: list[Any],
    p: list[Any],
    length: Any,
    excess: Any,
    delta: Any,
) -> Any:
    """Return Newton's change of the damping: excess / delta / (qᵀ (JᵀJ + par D²)⁻¹ q)."""
    q = [d * value for d, value in zip(D2, p, strict=True)]
    z = factors.forward(q)
    curvature = dot(xp, factors.inverse, z, z)  # of D p, not of its direction
    return excess * length * length / (delta * curvature)


def dot(xp: Any, weights: list[Any], a: list[Any], b: list[Any]) -> Any:
    """Return Σ weights a b."""
    total = weights[0] * a[0] * b[0]
    for w, u, v in zip(weights[1:], a[1:], b[1:], strict=True):
        total = xp.fma(w * u, v, total)
    return total


@dataclass(frozen=True, slots=True)
class Box:
    """Lower and upper bounds, one a parameter."""

    lower: list[Any]
    upper: list[Any]

    def held(self, x: list[Any], g: list[Any]) -> list[Any]:
        """Return which parameters lie on a face while the descent points out of the box."""
        return [
            ((v <= low) & (slope >= 0)) | ((v >= high) & (slope <= 0))
            for v, slope, low, high in zip(x, g, self.lower, self.upper, strict=True)
        ]


def bounded_step(
    xp: Any, A: Lower, g: list[Any], D2: list[Any], delta: Any, par: Any, x: list[Any], box: Box
) -> tuple[Step, list[Any]]:
    """Return the step that stays inside the box, and where it leads, on the faces exactly.

    Parameters that leave the box stop on their faces, and the step of the others is solved again
    with these displacements given, until the whole step lies inside: `manyfit.solver.bounds`.
    """
    n = len(g)
    symmetric = {**A, **{(j, i): value for (i, j), value in A.items()}}

    def body(state: list[Any]) -> tuple[list[Any], Any]:
        p, target, held = state[:n], state[n : 2 * n], [h > 0 for h in state[2 * n : 3 * n]]
        damping, on = state[3 * n], state[3 * n + 1] > 0
        given = [xp.where(h, t - v, 0.0) for h, t, v in zip(held, target, x, strict=True)]
        rest = {
            (i, j): xp.where(held[i], 1.0, A[i, i])
            if i == j
            else xp.where(held[i] | held[j], 0.0, A[i, j])
            for i, j in A
        }
        slope = []
        for i in range(n):
            value = g[i]
            for j in range(n):
                value = xp.fma(symmetric[i, j], given[j], value) if i != j else value
            slope.append(xp.where(held[i], 0.0, value))
        step = lm_step(xp, rest, slope, D2, delta, damping)
        new_p = [xp.where(h, d, s) for h, d, s in zip(held, given, step.p, strict=True)]
        there = [v + s for v, s in zip(x, new_p, strict=True)]
        out = [
            ((t < low) | (t > high)) & ~h
            for t, low, high, h in zip(there, box.lower, box.upper, held, strict=True)
        ]
        stopped = [
            xp.where(t < low, low, xp.where(t > high, high, t))
            for t, low, high in zip(there, box.lower, box.upper, strict=True)
        ]
        some = out[0]
        for more in out[1:]:
            some = some | more
        again = some & on
        return [
            *(xp.where(on, a, b) for a, b in zip(new_p, p, strict=True)),
            *(xp.where(on & ~h, a, b) for h, a, b in zip(held, stopped, target, strict=True)),
            *(xp.where(h | (o & on), 1.0, 0.0) for h, o in zip(held, out, strict=True)),
            xp.where(on, step.par, damping),
            xp.where(again, 1.0, 0.0),
        ], again

    held = [xp.where(h, 1.0, 0.0) for h in box.held(x, g)]
    zeros = [xp.real(0.0)] * n
    state = xp.iterate([*zeros, *x, *held, par, xp.real(1.0)], body)
    p = state[:n]
    return Step(p, state[3 * n], dot(xp, D2, p, p)), state[n : 2 * n]
