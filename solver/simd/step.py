"""The Levenberg-Marquardt step from the normal equations, by LDLᵀ without a square root.

    (JᵀJ + par D²) p = -Jᵀr,    JᵀJ + par D² = L diag(d) Lᵀ

All is written in squares: D² is the largest diagonal of JᵀJ so far, ‖D p‖² = Σ D² p². A pivot that
is a small part of its own diagonal, d_k <= PIVOT (JᵀJ)_kk, is no more than rounding: that parameter
stands still in this step, as where MINPACK finds a column that depends on others.

Written over an array namespace, like `manyfit.solver.trust_region`: `xp` is a `Lanes`.

Source: Moré (1978), section 5; constants as in MINPACK-1's ``lmpar``.
"""

from dataclasses import dataclass
from typing import Any, Protocol

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

    def curvature(self, xp: Any, rhs: list[Any]) -> Any:
        """Return rhsᵀ (L diag(d) Lᵀ)⁻¹ rhs."""
        z = self.forward(rhs)
        return dot(xp, self.inverse, z, z)


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
    """A step: `p`, the damping `par` it was made with, and its scaled `length` ‖D p‖."""

    p: list[Any]
    par: Any
    length: Any


SEARCH = ("tried", "lowest", "highest", "excess", "count")
"""How far the search of each lane for its damping has come: the damping to be tried next (0 where
no search is under way: the Gauss-Newton step), what it lies between, ‖D p‖ - delta of the one
before, and its number, from 1."""


class Memory(Protocol):
    """Named vectors in memory."""

    def get(self, name: str) -> Any:
        """Return a vector."""

    def put(self, name: str, value: Any) -> None:
        """Write a vector."""


class Factors(Protocol):
    """What solves a damped problem; `full` where no parameter has to stand still."""

    @property
    def full(self) -> Any:
        """Whether the problem determines all parameters."""

    def curvature(self, xp: Any, rhs: list[Any]) -> Any:
        """Return rhsᵀ (JᵀJ + par D²)⁻¹ rhs."""


class TrustRegion(Protocol):
    """The linear least-squares problem at a point, and how far a step may go."""

    @property
    def g(self) -> list[Any]:
        """The gradient Jᵀr."""

    @property
    def D2(self) -> list[Any]:  # noqa: N802 - the letters of the formula
        """The squared scales."""

    @property
    def delta(self) -> Any:
        """The radius."""

    @property
    def par(self) -> Any:
        """The damping to begin with, where the Gauss-Newton step is too long."""

    def damped(self, xp: Any, par: Any) -> tuple[Factors, list[Any]]:
        """Return what solves the problem with a damping, and its step."""

    def beside(self, xp: Any, held: list[Any], given: list[Any], par: Any) -> "TrustRegion":
        """Return the problem of the others while the held parameters move as given."""


@dataclass(frozen=True, slots=True)
class Region:
    """The problem by its normal equations.

    Attributes
    ----------
    A, g
        JᵀJ, the lower triangle, and Jᵀr.
    D2
        The squared scales.
    delta
        The radius.
    par
        The damping to begin with, where the Gauss-Newton step is too long.
    """

    A: Lower
    g: list[Any]
    D2: list[Any]
    delta: Any
    par: Any

    def damped(self, xp: Any, par: Any) -> tuple[Decomposition, list[Any]]:
        """Return the factors of JᵀJ + par D², and the step."""
        A = self.A
        B = {(i, j): A[i, j] if i != j else xp.fma(par, self.D2[i], A[i, i]) for i, j in A}
        factors = decomposed(xp, B, len(self.g))
        return factors, factors.solve([-value for value in self.g])

    def beside(self, xp: Any, held: list[Any], given: list[Any], par: Any) -> "Region":
        """Return the problem without the held parameters: their rows are the identity's."""
        A, n = self.A, len(self.g)
        rest = {
            (i, j): xp.where(held[i], 1.0, A[i, i])
            if i == j
            else xp.where(held[i] | held[j], 0.0, A[i, j])
            for i, j in A
        }
        symmetric = {**A, **{(j, i): value for (i, j), value in A.items()}}
        slope = []
        for i in range(n):
            value = self.g[i]
            for j in range(n):
                value = xp.fma(symmetric[i, j], given[j], value) if i != j else value
            slope.append(xp.where(held[i], 0.0, value))
        return Region(rest, slope, self.D2, self.delta, par)


def lm_step(xp: Any, region: TrustRegion, memory: Memory, wanted: Any, spared: Any = None) -> Step:
    """Return the step that fits into the trust region; leave off when few lanes still search it.

    Parameters
    ----------
    xp
        The namespace.
    region
        What the step is to solve.
    memory
        Where `SEARCH` is kept: a lane goes on where it left off. Lanes with `tried` > 0 afterwards
        have no step yet.
    wanted
        The lanes that want a step; the others get 0.
    spared
        The number of lanes, a scalar integer, for whose sake no further damping is tried now: the
        others would wait. Default: 0.
    """
    zero = xp.real(0.0)

    def body(state: list[Any]) -> tuple[list[Any], Any]:
        on, *p, par, length = state
        tried = memory.get("tried")
        factors, step = region.damped(xp, tried)
        now = xp.sqrt(dot(xp, region.D2, step, step))
        fits = now <= (1 + _SLACK) * region.delta
        fits = fits & ((tried == 0) | (now >= (1 - _SLACK) * region.delta))
        memory.put("tried", xp.where(on, 0.0, tried))

        def further(_: list[Any]) -> list[Any]:
            return [_search_on(xp, region, memory, tried, on & ~fits, factors, step, now)]

        again = xp.when(on & ~fits, [on & ~on], further)[0]
        return [
            again,
            *(xp.where(on, new, old) for new, old in zip(step, p, strict=True)),
            xp.where(on, tried, par),
            xp.where(on, now, length),
        ], again

    start = [wanted, *([zero] * (len(region.g) + 2))]
    _, *p, par, length = xp.iterate(start, body, spared)
    return Step(p, par, length)


def _search_on(
    xp: Any,
    region: TrustRegion,
    memory: Memory,
    tried: Any,
    unfit: Any,
    factors: Factors,
    p: list[Any],
    length: Any,
) -> Any:
    """Set what is to be tried after a step `p` that does not fit; return where there is more."""
    lowest, highest, before, count = (memory.get(name) for name in SEARCH[1:])
    first, excess = tried == 0, length - region.delta
    shortest = (lowest == 0) & (excess <= before) & (before < 0)
    again = unfit & (first | (~shortest & (count < _MAX_ITERATIONS)))

    change = _newton(xp, factors, region.D2, p, length, excess, region.delta)
    # By `again`, or the compiler would move the divisions to where every step pays for them.
    g = [xp.where(again, value, 0.0) for value in region.g]
    gnorm2 = g[0] * g[0] / region.D2[0]
    for value, d in zip(g[1:], region.D2[1:], strict=True):
        gnorm2 = gnorm2 + value * value / d
    gnorm = xp.sqrt(gnorm2)
    most = gnorm / region.delta
    most = xp.where(most == 0, _DWARF / xp.smaller(region.delta, 0.1), most)
    raised = xp.where(excess > 0, xp.larger(lowest, tried), lowest)
    lowest = xp.where(first, xp.where(factors.full, change, 0.0), raised)
    lowered = xp.where(excess < 0, xp.smaller(highest, tried), highest)
    highest = xp.where(first, most, lowered)
    begin = xp.smaller(xp.larger(region.par, lowest), highest)
    begin = xp.where(begin == 0, gnorm / length, begin)
    following = xp.where(first, begin, xp.larger(lowest, tried + change))
    following = xp.where(following == 0, xp.larger(0.001 * highest, _DWARF), following)
    count = xp.where(first, 1.0, count + 1.0)
    state = (xp.where(again, following, memory.get("tried")), lowest, highest, excess, count)
    for name, value in zip(SEARCH, state, strict=True):
        memory.put(name, value)
    return again


def _newton(
    xp: Any,
    factors: Factors,
    D2: list[Any],
    p: list[Any],
    length: Any,
    excess: Any,
    delta: Any,
) -> Any:
    """Return Newton's change of the damping: excess / delta / (qᵀ (JᵀJ + par D²)⁻¹ q)."""
    q = [d * value for d, value in zip(D2, p, strict=True)]
    curvature = factors.curvature(xp, q)  # of D p, not of its direction
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
    xp: Any, region: TrustRegion, memory: Memory, x: list[Any], box: Box
) -> tuple[Step, list[Any]]:
    """Return the step that stays inside the box, and where it leads, on the faces exactly.

    Parameters that leave the box stop on their faces, and the step of the others is solved again
    with these displacements given, until the whole step lies inside: `manyfit.solver.bounds`.
    """
    n = len(x)

    def body(state: list[Any]) -> tuple[list[Any], Any]:
        p, target, held = state[:n], state[n : 2 * n], [h > 0 for h in state[2 * n : 3 * n]]
        damping, on = state[3 * n], state[3 * n + 1] > 0
        given = [xp.where(h, t - v, 0.0) for h, t, v in zip(held, target, x, strict=True)]
        inner = region.beside(xp, held, given, damping)
        step = lm_step(xp, inner, memory, xp.real(1.0) > 0)
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

    held = [xp.where(h, 1.0, 0.0) for h in box.held(x, region.g)]
    zeros = [xp.real(0.0)] * n
    state = xp.iterate([*zeros, *x, *held, region.par, xp.real(1.0)], body)
    p = state[:n]
    length = xp.sqrt(dot(xp, region.D2, p, p))
    return Step(p, state[3 * n], length), state[n : 2 * n]
