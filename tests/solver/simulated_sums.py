"""Curves of sums of models, over wide ranges of parameters and noise, from fixed seeds.

Peaks are 1.2 to 6 widths apart and differ up to 25 times in height, in any order; so some hide
behind others, and no start leads every fit to the best minimum.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats
from manyfit.solver.library.composed import composed
from tests.solver.simulated import Sample, decades

Draw = Callable[[np.random.Generator, int], list[Any]]


def draw_peaks(rng: np.random.Generator, n: int, many: int = 2) -> list[Any]:
    widths = rng.uniform(0.25, 2.4 / many, (n, many))
    places = np.cumsum(rng.uniform(1.2, 6.0, (n, many)) * widths, axis=1)
    places -= places[:, :1]
    places += rng.uniform(0.5, np.maximum(9.5 - places[:, -1], 0.6))[:, None]
    order = np.argsort(rng.random((n, many)), axis=1)
    peaks = np.stack([3.0 * 10.0 ** rng.uniform(-0.7, 0.7, (n, many)), places, widths], axis=2)
    return list(np.take_along_axis(peaks, order[:, :, None], axis=1).reshape(n, -1).T)


def draw_level(rng: np.random.Generator, n: int) -> list[Any]:
    return [rng.uniform(-2.0, 2.0, n)]


def draw_line(rng: np.random.Generator, n: int) -> list[Any]:
    return [rng.uniform(-2.0, 2.0, n), rng.uniform(-0.3, 0.3, n)]


def draw_decay(rng: np.random.Generator, n: int) -> list[Any]:
    return [decades(rng, 0.0, 0.7, n), decades(rng, -0.8, 0.2, n), rng.normal(size=n)]


def draw_decays(rng: np.random.Generator, n: int) -> list[Any]:
    slow = decades(rng, -1.0, -0.2, n)
    fast = slow * decades(rng, 0.4, 1.2, n)
    return [decades(rng, -0.5, 0.5, n), fast, np.ones(n), slow, rng.normal(size=n)]


def draw_step(rng: np.random.Generator, n: int) -> list[Any]:
    return [decades(rng, 0.0, 0.5, n), decades(rng, 0.0, 0.8, n), rng.uniform(2.0, 8.0, n)]


def draw_small_peak(rng: np.random.Generator, n: int) -> list[Any]:
    return [decades(rng, -0.5, 0.3, n), rng.uniform(1.5, 9.0, n), rng.uniform(0.25, 1.0, n)]


def draw_wave(rng: np.random.Generator, n: int) -> list[Any]:
    return [decades(rng, -0.3, 0.3, n), decades(rng, -0.2, 1.0, n), rng.uniform(-3.0, 3.0, n)]


SUMS: dict[str, tuple[str, tuple[Draw, ...]]] = {
    "two peaks": (
        "gaussian(prefix=g_) + gaussian(prefix=h_) + constant()",
        (draw_peaks, draw_level),
    ),
    "two peaks on a line": (
        "gaussian(prefix=g_) + gaussian(prefix=h_) + linear()",
        (draw_peaks, draw_line),
    ),
    "two Lorentzians on a line": (
        "lorentzian(prefix=g_) + lorentzian(prefix=h_) + linear()",
        (draw_peaks, draw_line),
    ),
    "three peaks on a line": (
        "gaussian(prefix=g_) + gaussian(prefix=h_) + gaussian(prefix=i_) + linear()",
        (lambda rng, n: draw_peaks(rng, n, 3), draw_line),
    ),
    "two exponentials": (
        "exponential_decay(prefix=d_) + exponential_decay(prefix=e_)",
        (draw_decays,),
    ),
    "peak on a decay": (
        "gaussian(prefix=g_) + exponential_decay()",
        (draw_small_peak, draw_decay),
    ),
    "two peaks on a decay": (
        "gaussian(prefix=g_) + gaussian(prefix=h_) + exponential_decay()",
        (draw_peaks, draw_decay),
    ),
    "step and peak": (
        "logistic(prefix=l_) + gaussian(prefix=g_)",
        (draw_step, draw_small_peak, draw_level),
    ),
    "wave on a line": ("sinusoid(prefix=s_) + linear()", (draw_wave, draw_line)),
}
"""What is summed, in words, and how its parameters are drawn."""


def sample_sum(name: str, layout: str, n_points: int = 64, n_curves: int = 150) -> Sample:
    """Draw curves on x within 0..10, of 10 to 300 times the noise, from a fixed seed."""
    rng = np.random.default_rng([n_points, list(SUMS).index(name), len(layout)])
    text, draws = SUMS[name]
    model = composed(text)
    truth = np.stack([p for draw in draws for p in draw(rng, n_curves)], axis=1)
    x: Floats = np.linspace(0.0, 10.0, n_points)[None]
    if layout == "uneven":
        x = np.sort(rng.uniform(0.0, 10.0, (n_curves, n_points)), axis=1)
    exact = model.func(x, *(p[:, None] for p in truth.T))
    low, high = (2.0, 3.5) if name == "two exponentials" else (1.0, 2.5)
    sigma = np.ptp(exact, axis=1) / decades(rng, low, high, n_curves)
    y = exact + sigma[:, None] * rng.normal(size=exact.shape)
    return Sample(model, np.broadcast_to(x, y.shape), y, truth, sigma)
