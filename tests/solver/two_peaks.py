"""Two Gaussians above a constant: the function written by hand, and curves of it."""

from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats

X = np.linspace(0.0, 10.0, 80)


def two_peaks(x: Any, a1: Any, mu1: Any, s1: Any, a2: Any, mu2: Any, s2: Any, c: Any = 0.0) -> Any:
    """Evaluate two Gaussians above a constant, by hand."""
    first, second = (x - mu1) / s1, (x - mu2) / s2
    return a1 * np.exp(-0.5 * first**2) + a2 * np.exp(-0.5 * second**2) + c


def peaks(n: int, *, noise: float = 0.05, seed: int = 3) -> tuple[Floats, Floats]:
    """Draw parameters of two_peaks, well apart, (n, 7), and noisy curves, (n, 80)."""
    rng = np.random.default_rng(seed)
    widths = rng.uniform(0.3, 0.8, (2, n))
    first = rng.uniform(1.5, 4.0, n)
    second = first + rng.uniform(2.5, 6.0, n) * widths.mean(axis=0)
    heights = rng.uniform(1.0, 4.0, (2, n))
    level = rng.uniform(-1.0, 3.0, n)
    truth = np.stack([heights[0], first, widths[0], heights[1], second, widths[1], level], axis=1)
    clean = two_peaks(X, *(truth[:, j, None] for j in range(7)))
    return truth, np.asarray(clean + noise * rng.standard_normal(clean.shape))
