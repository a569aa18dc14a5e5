"""The workloads that benchmarks share: the textbook's three, and W1 to W6 of the field's peers.

The textbook's three come twice: as a user's functions, and as models of the library. Each is a
function as a textbook writes it, its derivatives, x, the truth, the noise and a start; the truth
varies by +-20 % a parameter and curve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Workload:
    """Curves of one kind; `jac` gives one array a parameter, `library` names the same model."""

    title: str
    func: Callable[..., Any]
    jac: Callable[..., list[Any]]
    x: Any
    truth: tuple[float, ...]
    sd: float
    start: tuple[float, ...]
    library: str | None = None

    def curves(self, n_curves: int, seed: int = 2026) -> Floats:
        """Return noisy curves, (n_curves, n_points)."""
        rng = np.random.default_rng(seed)
        n = len(self.truth)
        params = np.array(self.truth) * rng.uniform(0.8, 1.2, (n_curves, n))
        y = self.func(*self.predictors, *(params[:, j, None] for j in range(n)))
        return np.asarray(y + rng.normal(0, self.sd, y.shape))

    @property
    def predictors(self) -> tuple[Floats, ...]:
        """The predictors, (n_points,) each."""
        return self.x if isinstance(self.x, tuple) else (self.x,)


def quadratic(x: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a parabola."""
    return a * x**2 + b * x + c


def quadratic_jac(x: Any, _a: Any, _b: Any, _c: Any) -> list[Any]:
    """Return the derivatives of a parabola."""
    return [x**2, x, np.ones_like(x)]


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    """Return an exponential decay to an offset."""
    return a * np.exp(-b * x) + c


def decay_jac(x: Any, a: Any, b: Any, _c: Any) -> list[Any]:
    """Return the derivatives of a decay."""
    e = np.exp(-b * x)
    return [e, -a * x * e, np.ones_like(x)]


def wave(x: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a sinusoid."""
    return a * np.sin(b * x + c)


def wave_jac(x: Any, a: Any, b: Any, c: Any) -> list[Any]:
    """Return the derivatives of a sinusoid."""
    u = b * x + c
    cosine = a * np.cos(u)
    return [np.sin(u), x * cosine, cosine]


def parabola(x: Any, c0: Any, c1: Any, c2: Any) -> Any:
    """Return a parabola with its parameters in the library's order."""
    return c0 + c1 * x + c2 * x**2


def parabola_jac(x: Any, _c0: Any, _c1: Any, _c2: Any) -> list[Any]:
    """Return the derivatives of a parabola."""
    return [np.ones_like(x), x, x**2]


def offset_wave(x: Any, a: Any, w: Any, phi: Any, c: Any) -> Any:
    """Return a sinusoid about an offset."""
    return a * np.sin(w * x + phi) + c


def offset_wave_jac(x: Any, a: Any, w: Any, phi: Any, _c: Any) -> list[Any]:
    """Return the derivatives of a sinusoid about an offset."""
    u = w * x + phi
    cosine = a * np.cos(u)
    return [np.sin(u), x * cosine, cosine, np.ones_like(x)]


def gaussian(x: Any, a: Any, m: Any, s: Any, d: Any) -> Any:
    """Return a Gaussian peak on an offset."""
    return a * np.exp(-(((x - m) / s) ** 2) / 2) + d


def gaussian_jac(x: Any, a: Any, m: Any, s: Any, _d: Any) -> list[Any]:
    """Return the derivatives of a Gaussian."""
    u = (x - m) / s
    e = np.exp(-(u**2) / 2)
    slope = a * e * u / s
    return [e, slope, slope * u, np.ones_like(x)]


def gaussian_2d(x: Any, y: Any, a: Any, mx: Any, my: Any, s: Any, d: Any) -> Any:
    """Return a symmetric two-dimensional Gaussian on an offset."""
    return a * np.exp(-((x - mx) ** 2 + (y - my) ** 2) / (2 * s**2)) + d


def gaussian_2d_jac(x: Any, y: Any, a: Any, mx: Any, my: Any, s: Any, _d: Any) -> list[Any]:
    """Return the derivatives of a two-dimensional Gaussian."""
    u, v = (x - mx) / s, (y - my) / s
    e = np.exp(-(u**2 + v**2) / 2)
    slope = a * e / s
    return [e, slope * u, slope * v, slope * (u**2 + v**2), np.ones_like(x)]


def biexponential(x: Any, a1: Any, t1: Any, a2: Any, t2: Any, d: Any) -> Any:
    """Return two decays with lifetimes and an offset."""
    return a1 * np.exp(-x / t1) + a2 * np.exp(-x / t2) + d


def biexponential_jac(x: Any, a1: Any, t1: Any, a2: Any, t2: Any, _d: Any) -> list[Any]:
    """Return the derivatives of two decays."""
    e1, e2 = np.exp(-x / t1), np.exp(-x / t2)
    return [e1, a1 * x * e1 / t1**2, e2, a2 * x * e2 / t2**2, np.ones_like(x)]


def dose_response(x: Any, lo: Any, hi: Any, le: Any, h: Any) -> Any:
    """Return a four-parameter logistic in log10 of the dose."""
    return lo + (hi - lo) / (1 + 10 ** ((le - x) * h))


def dose_response_jac(x: Any, lo: Any, hi: Any, le: Any, h: Any) -> list[Any]:
    """Return the derivatives of a four-parameter logistic."""
    s = 1 / (1 + 10 ** ((le - x) * h))
    slope = -(hi - lo) * s * (1 - s) * np.log(10)
    return [1 - s, s, slope * h, slope * (le - x)]


_GRID = tuple(v.ravel() for v in np.meshgrid(np.arange(13.0), np.arange(13.0)))
_X1, _X5 = np.linspace(0, 5, 50), np.linspace(0, 2 * np.pi, 100)
_X2, _X4 = np.arange(64.0), np.linspace(0, 10, 200)

TEXTBOOK = {
    "quadratic": Workload(
        "a*x**2 + b*x + c, 40 points",
        quadratic,
        quadratic_jac,
        np.linspace(-2, 3, 40),
        (3.1, 4.2, -3.0),
        0.1,
        (0, 0, 0),
    ),
    "decay": Workload(
        "a*exp(-b*x) + c, 50 points", decay, decay_jac, _X1, (2, 1.5, 0.5), 0.05, (1, 1, 1)
    ),
    "sinusoid": Workload(
        "a*sin(b*x + c), 100 points", wave, wave_jac, _X5, (2, 1.5, 0.5), 0.2, (1.5, 1.5, 0)
    ),
}

LIBRARY = {
    "polynomial": Workload(
        "polynomial:2, 40 points",
        parabola,
        parabola_jac,
        np.linspace(-2, 3, 40),
        (-3.0, 4.2, 3.1),
        0.1,
        (0, 0, 0),
        library="polynomial:2",
    ),
    "expdecay": Workload(
        "exponential_decay, 50 points",
        decay,
        decay_jac,
        _X1,
        (2, 1.5, 0.5),
        0.05,
        (1, 1, 1),
        library="exponential_decay",
    ),
    "sine": Workload(
        "sinusoid, 100 points",
        offset_wave,
        offset_wave_jac,
        _X5,
        (2, 1.5, 0.5, 0.2),
        0.2,
        (1.5, 1.5, 0, 0),
        library="sinusoid",
    ),
}

PEERS = {
    "W1": TEXTBOOK["decay"],
    "W2": Workload(
        "Gaussian + constant, 64 points",
        gaussian,
        gaussian_jac,
        _X2,
        (100, 32, 5, 10),
        3.0,
        (80, 30, 4, 8),
    ),
    "W3": Workload(
        "2-D Gaussian, 13x13",
        gaussian_2d,
        gaussian_2d_jac,
        _GRID,
        (100, 6, 6, 2, 10),
        5.0,
        (80, 5.5, 5.5, 1.6, 8),
    ),
    "W4": Workload(
        "biexponential + constant, 200 points",
        biexponential,
        biexponential_jac,
        _X4,
        (600, 0.5, 400, 2.5, 20),
        5.0,
        (500, 0.4, 500, 2, 10),
    ),
    "W5b": TEXTBOOK["sinusoid"],
    "W6": Workload(
        "4PL dose-response, 10 points",
        dose_response,
        dose_response_jac,
        np.linspace(-9, -4.5, 10),
        (5, 100, -6.5, 1.2),
        2.0,
        (0, 80, -7, 1),
    ),
}
