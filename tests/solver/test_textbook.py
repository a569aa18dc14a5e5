"""The three textbook problems, a thousand noisy curves each, against a loop over SciPy.

Each as a user's function, by differences, and as a model of the library, with its derivatives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import leastsq

from manyfit import fit_curves
from manyfit.solver.library import get_model

pytestmark = pytest.mark.usefixtures("engine")

Floats = npt.NDArray[np.float64]


def quadratic(x: Floats, a: Any, b: Any, c: Any) -> Any:
    """Return a parabola."""
    return a * x**2 + b * x + c


def decay(x: Floats, a: Any, b: Any, c: Any) -> Any:
    """Return an exponential decay to an offset."""
    return a * np.exp(-b * x) + c


def wave(x: Floats, a: Any, b: Any, c: Any) -> Any:
    """Return a sinusoid."""
    return a * np.sin(b * x + c)


def parabola(x: Floats, c0: Any, c1: Any, c2: Any) -> Any:
    """Return a parabola, its parameters in the library's order."""
    return c0 + c1 * x + c2 * x**2


def offset_wave(x: Floats, a: Any, w: Any, phi: Any, c: Any) -> Any:
    """Return a sinusoid about an offset."""
    return a * np.sin(w * x + phi) + c


_X, _T, _U = np.linspace(-2, 3, 40), np.linspace(0, 5, 50), np.linspace(0, 2 * np.pi, 100)

PROBLEMS: dict[str, Any] = {
    "quadratic": (quadratic, quadratic, _X, (3.1, 4.2, -3.0), 0.1, (0, 0, 0)),
    "decay": (decay, decay, _T, (2, 1.5, 0.5), 0.05, (1, 1, 1)),
    "sinusoid": (wave, wave, _U, (2, 1.5, 0.5), 0.2, (1.5, 1.5, 0)),
    "library polynomial": ("polynomial:2", parabola, _X, (-3.0, 4.2, 3.1), 0.1, (0, 0, 0)),
    "library decay": ("exponential_decay", decay, _T, (2, 1.5, 0.5), 0.05, (1, 1, 1)),
    "library sinusoid": (
        "sinusoid",
        offset_wave,
        _U,
        (2, 1.5, 0.5, 0.2),
        0.2,
        (1.5, 1.5, 0, 0),
    ),
}
"""Name: what we fit, the same for SciPy, x, truth, noise, start."""


@pytest.mark.parametrize("name", PROBLEMS)
def test_agrees_with_a_scipy_loop_curve_by_curve(name: str) -> None:
    func: Callable[..., Any]
    model, func, x, truth, sd, p0 = PROBLEMS[name]
    rng = np.random.default_rng(2026)
    n = len(truth)
    params = np.array(truth) * rng.uniform(0.8, 1.2, (1000, n))
    y = func(x, *(params[:, j, None] for j in range(n))) + rng.normal(0, sd, (1000, x.size))

    fit = fit_curves(get_model(model) if isinstance(model, str) else model, x, y, p0=p0)

    for i in range(1000):
        expected, cov_x, info, _, ier = leastsq(
            lambda p, y=y[i]: func(x, *p) - y, p0, full_output=True
        )
        chi2 = (info["fvec"] ** 2).sum()
        stderr = np.sqrt(np.diag(cov_x) * chi2 / (x.size - n))
        assert fit.success[i] == (1 <= ier <= 4)
        apart = np.abs(fit.params[i] - expected)
        assert np.all((apart <= 1e-6 * np.abs(expected)) | (apart <= 1e-3 * stderr))
        assert 2 * fit.cost[i] <= chi2 * (1 + 1e-9)
        np.testing.assert_allclose(fit.stderr[i], stderr, rtol=1e-3)
    z = (fit.params - params) / fit.stderr
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.03
