"""Kinds of curves with their derivatives, as batches of the engine, and as MINPACK ends them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from scipy.optimize import leastsq

from manyfit.solver.arrays import Floats, Ints
from manyfit.solver.differences import forward_differences
from manyfit.solver.minpack import Rules
from manyfit.solver.state import Solution
from manyfit.solver.trust_region import Tolerances

TOLERANCE = 1.49012e-8


@dataclass(frozen=True, slots=True)
class Kind:
    """A model with its derivatives, and how its curves look."""

    func: Callable[..., Any]
    derivatives: Callable[..., Sequence[Any]]
    x: Floats
    truth: tuple[float, ...]
    start: tuple[float, ...]
    noise: float

    def curves(self, n_curves: int, seed: int = 0) -> "Curves":
        """Return noisy curves whose truth and start vary by 20 %."""
        rng = np.random.default_rng(seed)
        shape = (n_curves, len(self.truth))
        truth = np.array(self.truth) * rng.uniform(0.8, 1.2, shape)
        exact = self.func(self.x, *truth.T[:, :, None])
        y = exact + self.noise * rng.normal(size=exact.shape)
        return Curves(self, y, np.array(self.start) * rng.uniform(0.8, 1.2, shape))


@dataclass(frozen=True, slots=True)
class Curves:
    """A batch as the engine asks for it, with its start; it counts its calls."""

    kind: Kind
    y: Floats
    start: Floats
    exact: bool = True
    calls: list[int] = field(default_factory=list)

    def residuals(self, params: Floats) -> Floats:
        self.calls.append(len(params))
        return np.asarray(self.kind.func(self.kind.x, *params.T[:, :, None]) - self.y)

    def jacobian(self, params: Floats, fun: Floats) -> tuple[Floats, int]:
        if not self.exact:
            return forward_differences(self.residuals, params, fun), params.shape[1]
        derivatives = self.kind.derivatives(self.kind.x, *params.T[:, :, None])
        jac = [np.broadcast_to(d, fun.shape) for d in derivatives]
        return np.ascontiguousarray(np.stack(jac, axis=1)), 0

    def take(self, rows: Ints) -> Self:
        return replace(self, y=self.y[rows], start=self.start[rows])

    def __len__(self) -> int:
        return len(self.y)

    def by_minpack(self, i: int, **options: Any) -> Any:
        """Return what SciPy's leastsq makes of curve i."""
        kind, y = self.kind, self.y[i]

        def jac(p: Floats) -> Floats:
            return np.stack(np.broadcast_arrays(*kind.derivatives(kind.x, *p), kind.x)[:-1])

        with np.errstate(all="ignore"):
            return leastsq(
                lambda p: kind.func(kind.x, *p) - y,
                self.start[i],
                Dfun=jac if self.exact else None,
                col_deriv=self.exact,
                full_output=True,
                **options,
            )


def decay_derivatives(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
    e = np.exp(-b * x)
    return e, -a * x * e, np.ones_like(c * x)


def peak(x: Floats, a: Any, m: Any, s: Any, c: Any) -> Any:
    return a * np.exp(-0.5 * ((x - m) / s) ** 2) + c


def peak_derivatives(x: Floats, a: Any, m: Any, s: Any, c: Any) -> Sequence[Any]:
    u = (x - m) / s
    e = np.exp(-0.5 * u * u)
    return e, a * e * u / s, a * e * u * u / s, np.ones_like(c * x)


def biexponential(x: Floats, a: Any, t: Any, b: Any, u: Any, c: Any) -> Any:
    return a * np.exp(-x / t) + b * np.exp(-x / u) + c


def biexponential_derivatives(x: Floats, a: Any, t: Any, b: Any, u: Any, c: Any) -> Sequence[Any]:
    e, f = np.exp(-x / t), np.exp(-x / u)
    return e, a * e * x / t**2, f, b * f * x / u**2, np.ones_like(c * x)


def logistic(x: Floats, lo: Any, hi: Any, middle: Any, slope: Any) -> Any:
    return lo + (hi - lo) / (1 + 10 ** ((middle - x) * slope))


def logistic_derivatives(x: Floats, lo: Any, hi: Any, middle: Any, slope: Any) -> Sequence[Any]:
    power = 10 ** ((middle - x) * slope)
    s = 1 / (1 + power)
    chain = -(hi - lo) * s * s * power * np.log(10)
    return 1 - s, s, chain * slope, chain * (middle - x)


def wave(x: Floats, a: Any, b: Any, c: Any) -> Any:
    return a * np.sin(b * x + c)


def wave_derivatives(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
    return np.sin(b * x + c), a * x * np.cos(b * x + c), a * np.cos(b * x + c)


KINDS = {
    "decay": Kind(
        lambda x, a, b, c: a * np.exp(-b * x) + c,
        decay_derivatives,
        np.linspace(0, 5, 50),
        truth=(2, 1.5, 0.5),
        start=(1, 1, 1),
        noise=0.05,
    ),
    "peak": Kind(peak, peak_derivatives, np.arange(64.0), (100, 32, 5, 10), (80, 30, 4, 8), 3),
    "biexponential": Kind(
        biexponential,
        biexponential_derivatives,
        np.linspace(0, 10, 100),
        truth=(600, 0.5, 400, 2.5, 20),
        start=(500, 0.4, 500, 2, 10),
        noise=5,
    ),
    "logistic": Kind(
        logistic,
        logistic_derivatives,
        np.linspace(-9, -4.5, 10),
        truth=(5, 100, -6.5, 1.2),
        start=(1, 80, -7, 1),
        noise=2,
    ),
    "wave": Kind(
        wave, wave_derivatives, np.linspace(0, 6, 40), (2, 1.5, 0.5), (1.5, 1.5, 0.1), 0.2
    ),
}


def rules(**options: Any) -> Rules:
    """Return rules with SciPy's defaults."""
    tolerances = Tolerances(
        ftol=options.pop("ftol", TOLERANCE),
        xtol=options.pop("xtol", TOLERANCE),
        gtol=options.pop("gtol", 0.0),
        maxfev=options.pop("maxfev", 600),
    )
    return Rules(tolerances, **options)


def as_minpack(curves: Curves, found: Solution, rtol: float = 1e-9, **options: Any) -> list[bool]:
    """Return which curves ended as in MINPACK; the others must have come down as low.

    Parameters that the data hardly determine amplify a rounding: they agree to a share `rtol` of
    the largest, or of a standard error.
    """
    same = []
    for i in range(len(curves)):
        x, cov_x, info, _, status = curves.by_minpack(i, maxfev=600, **options)
        fnorm = np.linalg.norm(info["fvec"])
        dof = max(1, info["fvec"].size - x.size)
        stderr = 0.0 if cov_x is None else np.sqrt(np.diag(cov_x) / dof) * fnorm
        close = np.abs(found.params[i] - x) <= rtol * np.maximum(np.abs(x).max(), stderr)
        same.append(
            status == found.status[i] and info["nfev"] == found.nfev[i] and bool(close.all())
        )
        assert same[-1] or found.fnorm[i] <= fnorm * (1 + 1e-6)
    return same


def assert_same_bits(found: Solution, expected: Sequence[Solution]) -> None:
    """Assert that the ends are those of other solutions, put one after the other."""
    for name in ("params", "fnorm", "status", "nfev", "njev"):
        one = np.concatenate([getattr(e, name) for e in expected])
        np.testing.assert_array_equal(getattr(found, name), one)
