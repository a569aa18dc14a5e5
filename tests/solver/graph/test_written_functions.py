"""NumPy functions, as in any tutorial, become formulas, and so do the library's."""

from typing import Any

import numpy as np
import pytest
import scipy.special

from manyfit.solver.batch import fit_curves
from manyfit.solver.graph.evaluate import evaluate
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.tracing import trace
from manyfit.solver.graph.verifying import verify
from manyfit.solver.library.registry import MODELS, get_model
from manyfit.solver.model import Model
from tests.solver.graph.traced import Function, traced

# ruff: noqa: ARG001, ARG005 - functions as people write them

LEVELS = [0.5, 1.5]
OFFSET = np.array(2.0)


def decay(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x)


def helper(x: Any, mu: Any, width: Any = 2.0) -> Any:
    return np.exp(-((x - mu) ** 2) / (2 * width**2))


def with_a_helper(x: Any, a: Any, b: Any) -> Any:
    return a * helper(x, b) + helper(x, mu=0.5, width=1)


def with_defaults(x: Any, a: Any, b: Any, power: float = 1.5, *, shift: float = 0.25) -> Any:
    return a * (np.abs(x) + shift) ** power + b


def with_intermediates(x: Any, a: Any, b: Any) -> Any:
    z = (x - a) / b
    z2 = z * z
    y = 1.0 / (1.0 + z2)
    y *= a
    y += LEVELS[0]
    y /= np.pi
    return y


def with_aliases(x: Any, a: Any, b: Any) -> Any:
    y = a * x
    z = y
    y += b
    scale = 2 * a
    same = scale
    scale += 1
    z -= same
    return y * scale


def with_a_copy(x: Any, a: Any, b: Any) -> Any:
    u = x.copy()
    u -= a
    v = np.copy(x)
    v *= b
    return u * v


def with_arrays_like_x(x: Any, a: Any, b: Any) -> Any:
    y = np.zeros_like(x)
    z = y
    y += a * x
    y = y + np.ones_like(x) * b + np.full_like(x, a)
    return y + z + x * 0 + 1


def a_constant(x: Any, a: Any, b: Any) -> Any:
    return a * b


def with_a_loop(x: Any, a: Any, b: Any) -> Any:
    total = 0
    for k, level in enumerate(LEVELS, start=1):
        total = total + a * np.sin(k * b * x + level)
    return total


def with_a_sum(x: Any, a: Any, b: Any) -> Any:
    return sum(c * x**k for k, c in enumerate([a, b, 0.5]))


def with_polyval(x: Any, a: Any, b: Any) -> Any:
    return np.polyval([a, b, 1.0], x)


def with_where(x: Any, a: Any, b: Any) -> Any:
    return np.where(x > a, b * (x - a), np.where((x < 0) & (a > 0), -x, 0.0))


def with_masks(x: Any, a: Any, b: Any) -> Any:
    inside = np.logical_and(x > 0.3, x < 1.5)
    return a * inside + b * (~inside) + (inside + (x > 1)) * a - (inside * (x > 1)) * b


def with_piecewise(x: Any, a: Any, b: Any) -> Any:
    return np.piecewise(x, [x < a, x > a + 1], [lambda u: b * u, lambda u: a * b, 3.0])


def with_select(x: Any, a: Any, b: Any) -> Any:
    return np.select([x < 0, x < a], [b * x, x**2], default=a)


def with_clips(x: Any, a: Any, b: Any) -> Any:
    clipped = np.clip(x, 0, 1) + np.clip(x, None, a) + np.clip(x, min=b) + x.clip(-1, 1)
    return clipped + np.minimum(x, a) * np.maximum(x, b)


def with_scipy_special(x: Any, a: Any, b: Any) -> Any:
    special = scipy.special
    return special.erf(a * x) - special.erfc(x - b) + special.expit(x) * special.cbrt(x)


def with_wofz(x: Any, a: Any, b: Any) -> Any:
    z = (x - a + 1j * b) / (1.5 * np.sqrt(2))
    return scipy.special.wofz(z).real


def with_real_of_wofz(x: Any, a: Any, b: Any) -> Any:
    z = x * (0.5 + 0j) + np.complex128(2j) * b
    return a * np.real(scipy.special.wofz(z * 1j * -1j)) + np.imag(3 - z)


def with_complex_arithmetic(x: Any, a: Any, b: Any) -> Any:
    z, shift = x + 1j * b, np.array([1.0 - 0.5j])
    product = z * (a - z.conj()) * shift
    return product.real - (-product).imag / 2 + (+z).conjugate().imag


def with_wofz_of_real_numbers(x: Any, a: Any, b: Any) -> Any:
    return a * scipy.special.wofz(x / b).imag + scipy.special.wofz(1j * b).real


def with_peaks_of_scipy_special(x: Any, a: Any, b: Any) -> Any:
    special = scipy.special
    return special.voigt_profile(x - a, b, a) + special.erfcx(x) - special.dawsn(a * x)


def with_gamma_functions(x: Any, a: Any, b: Any) -> Any:
    special, k = scipy.special, x * x + 0.1
    return (
        special.gammaln(k + a) - special.loggamma(k) + special.psi(k) * special.digamma(a + b * b)
    )


def with_many_functions(x: Any, a: Any, b: Any) -> Any:
    y = np.sqrt(np.abs(x)) + np.log1p(x**2) + np.tanh(a * x) + np.arctan2(x, b) + np.hypot(x, a)
    y = y + np.power(np.abs(x), b) + np.square(x) + np.reciprocal(x**2 + 1) + np.fabs(x)
    y = y + np.sinc(x) + np.heaviside(x, 0.5) + np.radians(x) + np.rad2deg(a) + np.sign(x)
    y = y + np.logaddexp(x, a) + np.float_power(2.0, x) + np.exp2(-np.abs(x)) + np.mod(x, 3.0)
    return y + np.real(x) + np.imag(x) + x.real + x.imag + x.T + np.nan_to_num(b / x) + np.floor(x)


def with_methods(x: Any, a: Any, b: Any) -> Any:
    return (a * x.astype(float)).ravel() + b * np.ravel(x).flatten() + x.conj() + np.conjugate(+x)


def with_asarray(x: Any, a: Any, b: Any) -> Any:
    x = np.asarray(x)
    return a * np.exp(-b * x) + np.log10(np.abs(x))


def with_conversions(x: Any, a: Any, b: Any) -> Any:
    x = np.array(np.asarray(x, dtype=float), dtype="float64", copy=True)
    u = np.ascontiguousarray(np.atleast_1d(np.asanyarray(x))).reshape(-1).squeeze()
    x += a
    scale = np.array(a)
    scale *= 2
    terms = np.array([a * x, b * u])
    return x * u + terms[0] - np.sum(terms, axis=0) + np.asarray([1.0, 2.0])[1] * scale


def with_questions(x: Any, a: Any, b: Any) -> Any:
    print(f"{a:.3f}", x)
    if np.isscalar(x) or np.ndim(x) != 1 or not isinstance(x, np.ndarray) or np.iscomplexobj(x):
        return b
    if not isinstance(a, float) or np.shape(a) != () or np.size(b) != 1 or not np.isrealobj(a):
        return b
    y = np.zeros_like(x) + 1
    z = y
    z += a
    return a * x + y if x.ndim == 1 and x.dtype == float and y.ndim == 1 else b


def with_whole_quotients(x: Any, a: Any, b: Any) -> Any:
    return x // 0.1 + np.floor_divide(a, x) + np.ceil(b * x) + np.isinf(np.log(0 * x)) * b


def with_more_of_scipy_special(x: Any, a: Any, b: Any) -> Any:
    special = scipy.special
    y = special.ndtr(a * x) + special.exp10(-(x**2)) + special.xlogy(0 * x, np.abs(x) - 9)
    y = y + special.logit(special.expit(x)) + special.xlogy(a, np.abs(x))
    return y + special.xlog1py(b, np.abs(x)) + special.xlog1py(np.sign(x) - 1, x)


def with_a_formula(x: Any, a: Any, b: Any) -> Any:
    inner = parse("p*exp(-q*x)", params=["p", "q"])
    slopes = inner.jacobian()(x, a, b)
    return inner.function()(x, a * b, 2) + inner.function()(2.0, 1.0, 0.5) + slopes[1]


def with_zero_dimensional_numbers(x: Any, a: Any, b: Any) -> Any:
    return OFFSET * a * x + np.float64(0.5) * b + np.array([1.0]) + np.int64(3) * x


def with_isnan(x: Any, a: Any, b: Any) -> Any:
    y = a / x
    return np.where(np.isnan(y) | ~np.isfinite(y), b, y)


PEOPLES = [
    decay,
    with_a_helper,
    with_defaults,
    with_intermediates,
    with_aliases,
    with_a_copy,
    with_arrays_like_x,
    a_constant,
    with_a_loop,
    with_a_sum,
    with_polyval,
    with_where,
    with_masks,
    with_piecewise,
    with_select,
    with_clips,
    with_scipy_special,
    with_wofz,
    with_real_of_wofz,
    with_complex_arithmetic,
    with_wofz_of_real_numbers,
    with_peaks_of_scipy_special,
    with_gamma_functions,
    with_many_functions,
    with_methods,
    with_asarray,
    with_conversions,
    with_questions,
    with_whole_quotients,
    with_more_of_scipy_special,
    with_a_formula,
    with_zero_dimensional_numbers,
    with_isnan,
]


@pytest.mark.parametrize("func", PEOPLES)
def test_functions_as_people_write_them_are_traced(func: Function) -> None:
    graph = traced(func)
    x = np.random.default_rng(2).uniform(-3, 3, 25)
    values = {"x": x, "a": np.float64(0.7), "b": np.float64(1.3)}
    [found] = evaluate([graph.root], values)
    with np.errstate(divide="ignore"):
        expected = np.broadcast_to(func(x.copy(), np.float64(0.7), np.float64(1.3)), 25)
    np.testing.assert_allclose(np.broadcast_to(found, 25), expected, rtol=1e-12)
    again = parse(graph.text, params=None if func is not decay else ["a", "b"])
    assert again.root == graph.root


LIBRARY = [
    *(name for name in MODELS if name != "polynomial"),
    "polynomial:4",
    "exponential_decay:2",
]


@pytest.mark.parametrize("spec", LIBRARY)
def test_the_models_of_the_library_are_traced_and_differentiated(spec: str) -> None:
    model = get_model(spec)
    assert model.jac is not None
    graph = trace(model.func, model.arguments, model.predictors, model.constants, model.params)
    verify(graph, model.func, model.arguments)
    rng = np.random.default_rng(4)
    columns = [rng.uniform(0.5, 2, (3, 1)) for _ in model.params]
    arguments = model.arrange([rng.uniform(0.1, 3, (1, 20))], [], columns)
    exact = graph.jacobian(model.arguments)(*arguments)
    for found, expected in zip(exact, model.jac(*arguments), strict=True):
        np.testing.assert_allclose(found + 0 * expected, expected, rtol=1e-9, atol=1e-12)
    if model.expression:
        written = parse(model.expression, model.params, model.predictors)
        verify(written, model.func, model.arguments)


def test_a_formula_fits_like_its_function() -> None:
    def peak(x: Any, a: Any, mu: Any, s: Any, c: Any) -> Any:
        return a * np.exp(-((x - mu) ** 2) / (2 * s**2)) + c

    names = ["a", "mu", "s", "c"]
    graph = trace(peak, ["x", *names], ["x"], [], names)
    model = Model(name="peak", params=graph.params, func=graph.function(), jac=graph.jacobian())
    rng = np.random.default_rng(9)
    x = np.linspace(0, 10, 40)
    y = peak(x, 5, 4, 1.2, 1) + 0.1 * rng.normal(size=(20, 40))
    fit = fit_curves(model, x, y, p0=[4, 4.5, 1, 0])
    plain = fit_curves(peak, x, y, p0=[4, 4.5, 1, 0])
    np.testing.assert_allclose(fit.params, plain.params, rtol=1e-5)
    assert fit.success.all()
    alone = fit_curves(model, x, y[7:8], p0=[4, 4.5, 1, 0])
    np.testing.assert_array_equal(alone.params[0], fit.params[7])
