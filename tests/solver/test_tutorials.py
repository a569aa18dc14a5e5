"""Functions as tutorials on `scipy.optimize.curve_fit` have them: fitted by their formulas.

None of them is written for a tracer. Each is fitted under engine="auto" without a warning and
compared with SciPy, curve by curve.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.special
from scipy.optimize import curve_fit

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.graph.graph import GraphFunction
from manyfit.solver.model import Model

# ruff: noqa: E731 - functions as people write them

Function = Callable[..., Any]
REFERENCE_T = 298.15
X = np.linspace(0.1, 6, 60)


def exponential(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def gauss(x: Any, height: Any, centre: Any, width: Any) -> Any:
    return height * np.exp(-((x - centre) ** 2) / (2 * width**2))


def two_peaks(x: Any, h1: Any, c1: Any, w1: Any, h2: Any = 1.0, c2: Any = 4.0, w2: Any = 1) -> Any:
    """Sum of two peaks, with a helper and keyword defaults."""
    return gauss(x, h1, c1, w1) + gauss(x, height=h2, centre=c2, width=w2)


def any_peaks(x: Any, *params: Any) -> Any:
    """Sum of as many peaks as there are parameters for."""
    y = np.zeros_like(x)
    for i in range(0, len(params), 3):
        height, centre, width = params[i : i + 3]
        y = y + height * np.exp(-(((x - centre) / width) ** 2))
    return y


def sine(x: Any, amplitude: Any, period: Any, phase: Any, offset: Any) -> Any:
    return amplitude * np.sin(2 * math.pi * x / period + phase) + offset


def damped(t: Any, a: Any, tau: Any, omega: Any, phi: Any) -> Any:
    envelope = a * np.exp(-t / tau)
    return envelope * np.cos(omega * t + np.deg2rad(phi))


def logistic(x: Any, top: Any, rate: Any, middle: Any) -> Any:
    return top / (1 + np.exp(-rate * (x - middle)))


def dose_response(dose: Any, bottom: Any, top: Any, log_ec50: Any, hill: Any) -> Any:
    return bottom + (top - bottom) / (1 + 10 ** ((log_ec50 - np.log10(dose)) * hill))


def lorentz_and_gauss(x: Any, a: Any, x0: Any, w: Any, share: Any) -> Any:
    lorentz = 1 / (1 + ((x - x0) / w) ** 2)
    bell = np.exp(-np.log(2) * ((x - x0) / w) ** 2)
    return a * (share * lorentz + (1 - share) * bell)


def two_lines(x: Any, x0: Any, y0: Any, k1: Any, k2: Any) -> Any:
    return np.piecewise(
        x, [x < x0], [lambda x: k1 * x + y0 - k1 * x0, lambda x: k2 * x + y0 - k2 * x0]
    )


def onset(x: Any, a: Any, tau: Any, c: Any) -> Any:
    late = x > 1.5
    return np.where(late, a * (1 - np.exp(-(x - 1.5) / tau)), 0.0) + c


def three_parts(x: Any, a: Any, b: Any) -> Any:
    return np.select([x < 2, (x >= 2) & (x < 4)], [a * x, 2 * a + b * (x - 2)], 2 * a + 2 * b)


def switched_on(x: Any, a: Any, b: Any, k: Any) -> Any:
    return a + b * np.heaviside(x - 3, 0.5) * np.exp(-k * (x - 3))


def polynomial(x: Any, *coefficients: Any) -> Any:
    return np.polyval(coefficients, x)


def horner(x: Any, c0: Any, c1: Any, c2: Any) -> Any:
    return np.polynomial.polynomial.polyval(x, [c0, c1, c2])


def edge(x: Any, height: Any, place: Any, width: Any) -> Any:
    return height * 0.5 * (1 + scipy.special.erf((x - place) / (width * math.sqrt(2))))


def softened(x: Any, a: Any, b: Any) -> Any:
    return a * scipy.special.expit(b * (x - 2)) + scipy.special.xlogy(x, x)


def stretched(t: Any, a: Any, tau: Any, beta: Any) -> Any:
    return a * np.exp(-np.power(t / tau, beta))


def arrhenius(T: Any, log_a: Any, energy: Any) -> Any:
    kelvin = 300 + 10 * T
    return np.exp(log_a - energy * 1000 / 8.314 * (1 / kelvin - 1 / REFERENCE_T))


def careful(x: Any, a: Any, b: Any) -> Any:
    """Do what careful people do with x first, then write into a copy."""
    x = np.asarray(x, dtype=float)
    if not isinstance(x, np.ndarray) or x.ndim != 1:
        return math.nan
    y = x.copy()
    y *= -b
    np.exp(y, out=y)
    return y * a + np.full_like(x, 0.25) + 0 * np.ones_like(x)


class Instrument:
    """A model with settings of its own."""

    def __init__(self, dead_time: float) -> None:
        self.dead_time = dead_time

    def __call__(self, rate: Any, gain: Any, background: Any) -> Any:
        return gain * rate / (1 + rate * self.dead_time) + background

    def counts(self, rate: Any, gain: Any, background: Any) -> Any:
        return self(rate, gain, background) ** 2


line = lambda x, slope, intercept: slope * x + intercept
plain_power = lambda x, a, b: a * x**b
cosine = functools.partial(sine, offset=0.5)
half_vectorized = np.vectorize(lambda x, a, b: a * x + b**2 * np.exp(-x))

TUTORIALS: dict[str, tuple[Function, Sequence[float], Sequence[str] | None]] = {
    "exponential": (exponential, [2.5, 1.3, 0.5], None),
    "gauss": (gauss, [3, 2.5, 0.7], None),
    "two_peaks": (two_peaks, [3, 1.5, 0.5, 2, 4, 0.8], None),
    "any_peaks": (any_peaks, [3, 1.5, 0.5, 2, 4, 0.8], ["h1", "c1", "w1", "h2", "c2", "w2"]),
    "sine": (sine, [2, 2.5, 0.4, 1], None),
    "damped": (damped, [3, 2, 4, 30], None),
    "logistic": (logistic, [5, 2, 3], None),
    "dose_response": (dose_response, [0.5, 5, 0.2, 2], None),
    "lorentz_and_gauss": (lorentz_and_gauss, [4, 3, 0.8, 0.4], None),
    "two_lines": (two_lines, [2.5, 2, 1.5, -0.5], None),
    "onset": (onset, [3, 1, 0.5], None),
    "three_parts": (three_parts, [2, -1], None),
    "switched_on": (switched_on, [1, 2, 0.7], None),
    "polynomial": (polynomial, [0.3, -1, 2], ["p2", "p1", "p0"]),
    "horner": (horner, [2, -1, 0.3], None),
    "edge": (edge, [4, 3, 0.6], None),
    "softened": (softened, [4, 2], None),
    "stretched": (stretched, [3, 2, 0.8], None),
    "arrhenius": (arrhenius, [0.5, 20], None),
    "careful": (careful, [3, 0.8], None),
    "object": (Instrument(0.2), [2, 0.5], None),
    "method": (Instrument(0.2).counts, [2, 0.5], None),
    "lambda": (line, [2, 1], None),
    "power": (plain_power, [2, 1.5], None),
    "partial": (cosine, [2, 2.5, 0.4], None),
    "vectorize": (half_vectorized, [2, 1], ["a", "b"]),
}


def noisy(func: Function, truth: Sequence[float], n_curves: int = 3) -> Floats:
    """Return curves of about these parameters, with a hundredth of noise."""
    rng = np.random.default_rng(len(truth))
    params = np.array(truth) * rng.uniform(0.95, 1.05, (n_curves, len(truth)))
    exact = np.array([func(X.copy(), *p) for p in params])
    y: Floats = exact + 0.01 * np.ptp(exact) * rng.normal(size=exact.shape)
    return y


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorials_function_is_fitted_by_its_formula_as_scipy_fits_it(name: str) -> None:
    func, truth, params = TUTORIALS[name]
    x = "x" if name == "vectorize" else None  # it has no names of its own
    model = Model.from_function(func, params, x=x)
    y = noisy(func, truth)
    start = np.array(truth) * 1.04
    fit = fit_curves(model, X, y, p0=start)
    assert isinstance(fit.model.func, GraphFunction)
    assert fit.model.graph is not None
    assert fit.model.expression == fit.model.graph.text
    assert fit.success.all()
    for i, one in enumerate(y):
        popt, pcov = curve_fit(func, X, one, p0=start)
        np.testing.assert_allclose(fit.params[i], popt, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fit.stderr[i], np.sqrt(np.diag(pcov)), rtol=1e-2)
    np.testing.assert_allclose(fit.evaluate()[0], func(X.copy(), *fit.params[0]), rtol=1e-9)
