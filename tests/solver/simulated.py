"""Curves of the library's models over wide ranges of parameters and noise, from fixed seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats
from manyfit.solver.library import get_model
from manyfit.solver.model import Model

SPECS = [
    "polynomial:0",
    "polynomial:1",
    "polynomial:6",
    "exponential_decay",
    "exponential_decay:2",
    "sinusoid",
    "gaussian",
    "lorentzian",
    "logistic",
    "dose_response_4pl",
    "power_law",
    "voigt",
]
NONLINEAR = [spec for spec in SPECS if not spec.startswith("polynomial")]


@dataclass(frozen=True)
class Sample:
    """Noisy curves of one model, and what made them."""

    model: Model
    x: Floats
    y: Floats
    truth: Floats
    sigma: Floats


def signs(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(rng.choice([-1.0, 1.0], n))


def decades(rng: np.random.Generator, low: float, high: float, n: int) -> Floats:
    return np.asarray(10.0 ** rng.uniform(low, high, n))


def draw_decay(rng: np.random.Generator, n: int, n_points: int) -> Any:  # noqa: ARG001
    a, b = signs(rng, n) * decades(rng, -2, 3, n), decades(rng, -0.3, 1.5, n)
    b = np.where(rng.random(n) < 0.2, -b / 4.0, b)
    return a, b, rng.normal(size=n) * np.abs(a)


def draw_two_decays(rng: np.random.Generator, n: int, n_points: int) -> Any:  # noqa: ARG001
    slow, apart = decades(rng, -0.3, 1, n), decades(rng, 0.4, 1.2, n)
    return decades(rng, -0.5, 0.5, n), slow * apart, np.ones(n), slow, rng.normal(size=n)


def draw_wave(rng: np.random.Generator, n: int, n_points: int) -> Any:
    cycles = np.exp(rng.uniform(np.log(0.5), np.log(0.45 * n_points), n))
    a = decades(rng, -2, 3, n)
    return a, 2.0 * np.pi * cycles, rng.uniform(-np.pi, np.pi, n), 3.0 * a * rng.normal(size=n)


def draw_peak(rng: np.random.Generator, n: int, n_points: int) -> Any:
    a, width = signs(rng, n) * decades(rng, -2, 3, n), decades(rng, -2, -0.3, n)
    width = np.maximum(width, 1.0 / n_points)
    return a, rng.uniform(0, 1, n), width, 2.0 * a * rng.normal(size=n)


def draw_voigt(rng: np.random.Generator, n: int, n_points: int) -> Any:
    a, mu, width, c = draw_peak(rng, n, n_points)
    share, width = rng.uniform(0.15, 0.85, n), np.minimum(width, 0.2)
    return a, mu, width * share, width * (1.0 - share), c


def draw_growth(rng: np.random.Generator, n: int, n_points: int) -> Any:  # noqa: ARG001
    size, rate = decades(rng, -2, 3, n), signs(rng, n) * decades(rng, 0.6, 2.2, n)
    return 2.0 * size * rng.normal(size=n), size, rate, rng.uniform(0.1, 0.9, n)


def draw_response(rng: np.random.Generator, n: int, n_points: int) -> Any:  # noqa: ARG001
    lo, slope = rng.normal(0, 10, n), signs(rng, n) * decades(rng, 0.3, 1.2, n)
    return lo, lo + rng.uniform(50, 150, n), rng.uniform(0.1, 0.9, n), slope


def draw_power(rng: np.random.Generator, n: int, n_points: int) -> Any:  # noqa: ARG001
    return signs(rng, n) * decades(rng, -2, 3, n), rng.uniform(-2.5, 5.0, n)


DRAWS: dict[str, Callable[..., Any]] = {
    "exponential_decay": draw_decay,
    "exponential_decay:2": draw_two_decays,
    "sinusoid": draw_wave,
    "gaussian": draw_peak,
    "lorentzian": draw_peak,
    "logistic": draw_growth,
    "dose_response_4pl": draw_response,
    "power_law": draw_power,
    "voigt": draw_voigt,
}


def sample(spec: str, layout: str, n_points: int, n_curves: int = 150) -> Sample:
    """Draw curves on x within 0..1 with a signal of 5 to 300 times the noise, from a fixed seed."""
    rng = np.random.default_rng([n_points, SPECS.index(spec), len(layout)])
    model = get_model(spec)
    truth = np.stack(DRAWS[spec](rng, n_curves, n_points), axis=1)
    x = np.linspace(0.02, 1, n_points)[None]
    if layout == "uneven":
        x = np.sort(rng.uniform(0, 1, (n_curves, n_points)), axis=1)
    exact = model.func(x, *(p[:, None] for p in truth.T))
    low, high = (1.5, 4) if spec in {"exponential_decay:2", "voigt"} else (0.7, 2.5)
    sigma = np.ptp(exact, axis=1) / decades(rng, low, high, n_curves)
    y = exact + sigma[:, None] * rng.normal(size=exact.shape)
    return Sample(model, np.broadcast_to(x, y.shape), y, truth, sigma)
