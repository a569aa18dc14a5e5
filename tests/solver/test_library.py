"""The library's models: right values, exact derivatives, and found by name."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfcx, wofz

from manyfit.solver import library
from manyfit.solver.arrays import Floats
from manyfit.solver.library import (
    MODELS,
    constant,
    dose_response_4pl,
    exponential_decay,
    gaussian,
    get_model,
    linear,
    logistic,
    lorentzian,
    polynomial,
    power_law,
    sinusoid,
    voigt,
)
from manyfit.solver.model import Model

SPECS = [
    "constant",
    "linear",
    "polynomial:0",
    "polynomial:1",
    "polynomial:5",
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
REAL_ONLY = {"voigt"}
"""Models whose function takes no complex parameters."""


def log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> Floats:
    """Draw n numbers of both signs whose sizes spread evenly over decades."""
    sizes = np.exp(rng.uniform(np.log(low), np.log(high), n))
    return np.asarray(sizes * rng.choice([-1.0, 1.0], n))


def random_points(model: Model, n_curves: int, n_points: int) -> tuple[Floats, list[Floats]]:
    """Draw x and parameters over wide ranges: columns (n_curves, 1), x (n_curves, n_points)."""
    rng = np.random.default_rng(20)
    params = [log_uniform(rng, 0.05, 20.0, n_curves)[:, None] for _ in model.params]
    x = rng.uniform(-5.0, 5.0, (n_curves, n_points))
    if model.name == "voigt":
        params[3] = np.abs(params[3])
    return (np.abs(x) + 1e-3 if model.name == "power_law" else x), params


def by_formula(model: Model, x: float, params: list[float]) -> float:
    """Evaluate the model's expression with Python's own arithmetic."""
    names = dict(zip(model.params, params, strict=True)) | {"x": x}
    assert model.expression is not None
    known = {"exp": math.exp, "sin": math.sin, "wofz_real": lambda x, y: wofz(complex(x, y)).real}
    value = float(eval(model.expression, known, names))
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("spec", SPECS)
def test_values_are_those_of_the_expression(spec: str) -> None:
    model = get_model(spec)
    x, params = random_points(model, 40, 25)
    values = np.broadcast_to(model.func(x, *params), x.shape)
    expected = np.array(
        [
            [by_formula(model, float(t), [float(p[i, 0]) for p in params]) for t in row]
            for i, row in enumerate(x)
        ]
    )
    scale = sum(np.abs(p) for p in params)
    np.testing.assert_array_less(np.abs(values - expected), 1e-12 * (np.abs(expected) + scale))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec not in REAL_ONLY])
def test_the_jacobian_is_exact(spec: str) -> None:
    """Compare with the complex step, which has no rounding error (Squire and Trapp 1998)."""
    model = get_model(spec)
    assert model.jac is not None
    x, params = random_points(model, 200, 20)
    jac = model.jac(x, *params)
    assert len(jac) == model.n_params
    for k, derivative in enumerate(jac):
        shifted: list[Any] = list(params)
        shifted[k] = params[k] + 1e-20j
        expected = np.broadcast_to(np.imag(model.func(x, *shifted)) / 1e-20, x.shape)
        rounding = 1e-15 * np.abs(expected).max()
        found = np.broadcast_to(derivative, x.shape)
        np.testing.assert_allclose(found, expected, rtol=3e-13, atol=rounding)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("shared", [True, False])
def test_one_call_serves_one_curve_or_many(spec: str, shared: bool) -> None:
    model = get_model(spec)
    assert model.jac is not None
    x, params = random_points(model, 6, 9)
    x = x[:1] if shared else x
    values = np.broadcast_to(model.func(x, *params), (6, 9))
    jac = [np.broadcast_to(j, (6, 9)) for j in model.jac(x, *params)]
    for i in range(6):
        one_x = x[0 if shared else i]
        one = [float(p[i, 0]) for p in params]
        np.testing.assert_allclose(np.broadcast_to(model.func(one_x, *one), 9), values[i], 1e-15)
        for j, derivative in zip(jac, model.jac(one_x, *one), strict=True):
            np.testing.assert_allclose(np.broadcast_to(derivative, 9), j[i], 1e-15)


@pytest.mark.parametrize("rate", [1e-3, 5.0, 1e3, 1e12, -5.0, -1e12])
def test_sigmoids_neither_overflow_nor_lose_their_tails(rate: float) -> None:
    x = np.array([-1e9, -50.0, -1.0, 0.0, 1e-9, 1.0, 50.0, 1e9])
    growth, response = logistic(), dose_response_4pl()
    assert growth.jac is not None
    assert response.jac is not None
    values = growth.func(x, 0.0, 2.0, rate, 0.0)
    expected = [2.0 / (1.0 + math.exp(min(-rate * t, 709.0))) for t in x]
    np.testing.assert_allclose(values, expected, rtol=1e-13, atol=1e-300)
    falls = [math.exp(-abs(rate * t)) / (1.0 + math.exp(-abs(rate * t))) ** 2 for t in x]
    jac = growth.jac(x, 0.0, 2.0, rate, 0.0)
    np.testing.assert_allclose(jac[2], 2.0 * np.array(falls) * x, rtol=1e-12, atol=1e-280)
    for values in (response.func(x, 1.0, 3.0, 0.0, rate), *response.jac(x, 1.0, 3.0, 0.0, rate)):
        assert np.isfinite(values).all()
    assert response.func(np.array([1e9]), 1.0, 3.0, 0.0, rate)[0] == (3.0 if rate > 0 else 1.0)


def test_a_power_law_is_differentiable_at_zero() -> None:
    model = power_law()
    assert model.jac is not None
    x = np.array([0.0, 0.0, 1.0])
    for b in (0.3, 1.0, 2.0, 7.5):
        np.testing.assert_array_equal(model.func(x, 4.0, b), [0.0, 0.0, 4.0])
        np.testing.assert_array_equal(model.jac(x, 4.0, b), [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])


def test_the_widths_of_peaks_mean_what_they_say() -> None:
    half_maximum = lorentzian().func(np.array([-0.5, 3.5]), 8.0, 1.5, 2.0, 1.0)
    np.testing.assert_allclose(half_maximum, 1.0 + 4.0)
    one_sigma = gaussian().func(np.array([-0.5, 3.5]), 8.0, 1.5, 2.0, 1.0)
    np.testing.assert_allclose(one_sigma, 1.0 + 8.0 * math.exp(-0.5))


def test_the_jacobian_of_a_voigt_profile_is_exact() -> None:
    """Compare with differences of w at 120 digits."""
    model, truth = voigt(), (3.0, 0.4, -0.8, 0.3, 1.0)
    assert model.jac is not None

    def value(x: float, a: Any, mu: Any, s: Any, g: Any, c: Any) -> Any:
        k = 1 / (mpmath.sqrt(2) * abs(s))
        z, y = k * (x - mu + 1j * g), k * g
        w = mpmath.exp(-z * z) * mpmath.erfc(-1j * z)
        return a * w.real / (mpmath.exp(y * y) * mpmath.erfc(y)) + c

    for x in (-4.0, 0.1, 0.4, 1.7, 9.0):
        found = model.jac(np.array([x]), *truth)
        with mpmath.workdps(120):
            exact = [
                mpmath.diff(lambda *p, at=x: value(at, *p), truth, tuple(i == k for i in range(5)))
                for k in range(5)
            ]
        columns = [float(np.broadcast_to(column, 1)[0]) for column in found]
        np.testing.assert_allclose(columns, [float(v) for v in exact], rtol=1e-11, atol=1e-15)


def test_a_voigt_profile_is_a_peak_of_height_a_and_of_either_kind_at_its_ends() -> None:
    x, model = np.linspace(-3.0, 5.0, 60), voigt()
    np.testing.assert_allclose(model.func(np.array([1.5]), 8.0, 1.5, 2.0, 0.7, 1.0), [9.0])
    gaussian_end = model.func(x, 8.0, 1.5, 2.0, 0.0, 1.0)
    np.testing.assert_allclose(gaussian_end, gaussian().func(x, 8.0, 1.5, 2.0, 1.0), rtol=1e-14)
    lorentzian_end = model.func(x, 8.0, 1.5, 1e-9, 0.7, 1.0)
    np.testing.assert_allclose(lorentzian_end, lorentzian().func(x, 8.0, 1.5, 0.7, 1.0), rtol=1e-13)
    mirrored = model.func(x, 8.0, 1.5, -2.0, 0.7, 1.0)
    np.testing.assert_array_equal(mirrored, model.func(x, 8.0, 1.5, 2.0, 0.7, 1.0))


def test_the_area_of_a_voigt_profile_is_what_its_docstring_says() -> None:
    a, s, g = 3.0, 0.8, 0.5
    area, _ = quad(lambda x: voigt().func(np.array([x]), a, 0.0, s, g, 0.0)[0], -np.inf, np.inf)
    assert area == pytest.approx(a * s * math.sqrt(2 * math.pi) / erfcx(g / (math.sqrt(2) * s)))


def test_ec50_is_where_the_response_is_half_way() -> None:
    assert dose_response_4pl().func(np.array([-6.5]), 5.0, 95.0, -6.5, 1.3)[0] == pytest.approx(50)


def test_a_polynomial_keeps_its_precision() -> None:
    """Horner's rule near a root of (x - 1)**7: no worse than rounding of the coefficients."""
    c = [float(math.comb(7, k) * (-1) ** (7 - k)) for k in range(8)]
    x = np.linspace(0.9, 1.1, 101)
    error = np.abs(polynomial(7).func(x, *c) - (x - 1.0) ** 7)
    assert error.max() < 8 * 2.2e-16 * sum(abs(v) * 1.1**k for k, v in enumerate(c))


@pytest.mark.parametrize("spec", SPECS)
def test_models_are_values(spec: str) -> None:
    model = get_model(spec)
    assert get_model(spec) == model
    assert pickle.loads(pickle.dumps(model)) == model
    assert get_model(model.name) == model


def test_different_degrees_are_different_models() -> None:
    assert polynomial(2) != polynomial(3)
    assert exponential_decay(1) != exponential_decay(2)


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ("gaussian", gaussian),
        (" lorentzian ", lorentzian),
        ("polynomial:3", lambda: polynomial(3)),
        ("polynomial : 3", lambda: polynomial(3)),
        ("constant", constant),
        ("linear", linear),
        ("exponential_decay", exponential_decay),
        ("exponential_decay:2", lambda: exponential_decay(2)),
        ("sinusoid", sinusoid),
        ("voigt", voigt),
    ],
)
def test_a_text_names_a_model(spec: str, made: Callable[[], Model]) -> None:
    assert get_model(spec) == made()


@pytest.mark.parametrize("spec", SPECS)
def test_a_model_can_be_had_with_a_prefix(spec: str) -> None:
    model, plain = get_model(spec, prefix="p_"), get_model(spec)
    assert model.params == tuple(f"p_{name}" for name in plain.params)
    assert (model.func, model.jac, model.guess) == (plain.func, plain.jac, plain.guess)


def test_every_model_is_registered_under_its_factory_name() -> None:
    for name, entry in MODELS.items():
        assert entry.factory is getattr(library, name)
        assert entry.description
    assert set(MODELS) == set(library.__all__) - {"MODELS", "ModelEntry", "get_model"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gausian", r"no model 'gausian'.*Did you mean 'gaussian'\?.*exponential_decay"),
        ("Sinusoid", r"no model 'Sinusoid'.*Did you mean 'sinusoid'\?"),
        ("xyz", r"no model 'xyz' \(from 'xyz'\)\. There are: .*sinusoid"),
        ("", r"no model ''"),
        ("gaussian:2", r"'gaussian' takes no argument, got 'gaussian:2': write 'gaussian'"),
        ("polynomial", r"'polynomial' needs its degree, got 'polynomial': write 'polynomial:3'"),
        ("polynomial:two", r"degree of model 'polynomial' must be an integer, got 'two'"),
        ("polynomial:", r"degree of model 'polynomial' must be an integer, got ''"),
        ("polynomial:-1", r"degree must be >= 0, got -1"),
        ("exponential_decay:3", r"1 or 2 terms, got 3"),
        ("exponential_decay:1.5", r"terms of model 'exponential_decay' must be an integer"),
    ],
)
def test_a_wrong_name_is_explained(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_model(spec)


def test_a_degree_is_an_integer() -> None:
    with pytest.raises(TypeError, match="integer"):
        polynomial(2.5)  # type: ignore[arg-type]
