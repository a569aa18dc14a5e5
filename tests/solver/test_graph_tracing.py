"""NumPy functions, as in any tutorial, become formulas; what cannot says where and why."""

import contextlib
import functools
import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.special
import scipy.stats

from manyfit.solver.batch import fit_curves
from manyfit.solver.graph.conversions import CONVERSIONS, passing_tracers
from manyfit.solver.graph.evaluate import evaluate
from manyfit.solver.graph.graph import Graph
from manyfit.solver.graph.nodes import Node
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.tracer import RefusalError, Tracer, as_node
from manyfit.solver.graph.tracing import TraceError, trace
from manyfit.solver.graph.verifying import verify
from manyfit.solver.library.registry import MODELS, get_model
from manyfit.solver.model import Model

# ruff: noqa: ARG001, ARG005, E731 - functions as people write them

Function = Callable[..., Any]
LEVELS = [0.5, 1.5]
DATA = np.linspace(0, 1, 11)
OFFSET = np.array(2.0)


def traced(func: Function, params: Sequence[str] = "ab", x: Sequence[str] = "x") -> Graph:
    """Trace and verify a function of x, then params."""
    arguments = [*x, *params]
    graph = trace(func, arguments, x, [], params)
    verify(graph, func, arguments)
    return graph


# Functions as people write them ---------------------------------------------------------------


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


def gaussian_2d(x: Any, y: Any, a: Any, x0: Any, y0: Any, s: Any, theta: Any, c: Any) -> Any:
    cosine, sine = np.cos(theta), np.sin(theta)
    u = (x - x0) * cosine + (y - y0) * sine
    v = -(x - x0) * sine + (y - y0) * cosine
    return (a * np.exp(-(u**2 / s**2 + v**2 / (2 * s) ** 2) / 2) + c).ravel()


def test_several_predictors() -> None:
    graph = traced(gaussian_2d, ["a", "x0", "y0", "s", "theta", "c"], ["x", "y"])
    assert graph.predictors == ("x", "y")
    assert len(graph.derivatives()) == 6


def test_constants_and_any_order_of_arguments() -> None:
    def spoiled_gradient(a: Any, flip: Any, x: Any, rate: Any) -> Any:
        e = np.exp(-x * rate)
        return a * np.sin(flip) * (1 - e) / (1 - np.cos(flip) * e)

    arguments = ["a", "flip", "x", "rate"]
    graph = trace(spoiled_gradient, arguments, ["x"], ["flip"], ["a", "rate"])
    verify(graph, spoiled_gradient, arguments)
    assert (graph.params, graph.constants) == (("a", "rate"), ("flip",))
    values = (2.0, 0.3, np.arange(1.0, 4.0), 0.5)
    np.testing.assert_allclose(graph.function(arguments)(*values), spoiled_gradient(*values))


def test_star_arguments_lambdas_closures_and_callable_objects() -> None:
    def polynomial(x: Any, *coefficients: Any) -> Any:
        return np.polyval(coefficients, x)

    class Decay:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def __call__(self, x: Any, a: Any, b: Any) -> Any:
            return a * np.exp(-b * x / self.scale)

    assert traced(polynomial, ["p", "q", "r"]).text == "(p*x + q)*x + r"
    assert traced(lambda x, a, b: a * x + b).text == "a*x + b"
    assert traced(Decay(3.0)).text == "a*exp(-b*x/3)"


def test_the_formula_reads_as_it_was_written() -> None:
    assert traced(decay).text == "a*exp(-b*x)"
    assert traced(lambda x, a, b: 2 - a / (1 + b ** (3 - x))).text == "2 - a/(1 + b**(3 - x))"
    assert traced(lambda x, a, b: 1 - (3 / x) % b + 2 // 1).text == "1 - mod(3/x, b) + 2"


def test_a_function_is_called_twice_to_trace_it() -> None:
    calls = []

    def counted(x: Any, a: Any, b: Any) -> Any:
        calls.append(1)
        return a * x + b

    trace(counted, ["x", "a", "b"], ["x"], [], ["a", "b"])
    assert len(calls) == 2


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


# What cannot be traced ------------------------------------------------------------------------


def if_on_a_parameter(x: Any, a: Any, b: Any) -> Any:
    if a > 0:
        return a * x
    return b * x


def if_on_data(x: Any, a: Any, b: Any) -> Any:
    y = a * x
    return y if np.all(x > 0) else b * x


def chained(x: Any, a: Any, b: Any) -> Any:
    return np.where(0 < x < a, x, b)


def python_max(x: Any, a: Any, b: Any) -> Any:
    return max(a, b) * x


def interpolation(x: Any, a: Any, b: Any) -> Any:
    return np.interp(x, LEVELS, LEVELS) * a


def scipy_interpolation(x: Any, a: Any, b: Any) -> Any:
    spline = scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 4])
    return a * spline(b * x)


def scipy_quad(x: Any, a: Any, b: Any) -> Any:
    return scipy.integrate.quad(lambda t: np.exp(-a * t), 0, 1)[0] * x


def scipy_distribution(x: Any, a: Any, b: Any) -> Any:
    return a * scipy.stats.norm.pdf(x, b)


def trapezoid(x: Any, a: Any, b: Any) -> Any:
    t = np.linspace(0, 1, 50)
    return np.trapezoid(np.exp(-a * t), t) * x


def in_place_into_x(x: Any, a: Any, b: Any) -> Any:
    x -= b
    return a * x


def mask_write(x: Any, a: Any, b: Any) -> Any:
    y = np.zeros_like(x)
    y[x > 0] = a
    return y


def out_argument(x: Any, a: Any, b: Any) -> Any:
    y = np.zeros(5)
    np.multiply(x, a, out=y)
    return y


def sum_over_x(x: Any, a: Any, b: Any) -> Any:
    return a * x / x.sum()


def np_sum(x: Any, a: Any, b: Any) -> Any:
    return a * x / np.sum(x)


def add_reduce(x: Any, a: Any, b: Any) -> Any:
    return a * np.add.reduce(x)


def first_point(x: Any, a: Any, b: Any) -> Any:
    return a * (x - x[0])


def mask_read(x: Any, a: Any, b: Any) -> Any:
    return a * x[x > 0]


def unpacked(x: Any, a: Any, b: Any) -> Any:
    u, v = x
    return a * u + b * v


def math_function(x: Any, a: Any, b: Any) -> Any:
    return math.exp(-a) * x


def to_float(x: Any, a: Any, b: Any) -> Any:
    return float(a) * x


def to_integer(x: Any, a: Any, b: Any) -> Any:
    return x ** int(b)


def single_precision(x: Any, a: Any, b: Any) -> Any:
    return a * np.asarray(x, dtype=np.float32)


def two_axes(x: Any, a: Any, b: Any) -> Any:
    return a * np.array(x, ndmin=2)


def reshaped(x: Any, a: Any, b: Any) -> Any:
    return a * x.reshape(-1, 1)


def cached(x: Any, a: Any, b: Any) -> Any:
    return width(a) * x


@functools.lru_cache
def width(a: Any) -> Any:
    return 1 / a


def memory(x: Any, a: Any, b: Any) -> Any:
    return {a: 1.0}[a] * x


def a_long_loop(x: Any, a: Any, b: Any) -> Any:
    return sum(a * np.exp(-k * b * x) for k in range(400))


def length(x: Any, a: Any, b: Any) -> Any:
    return a * np.ones(len(x))


def shape(x: Any, a: Any, b: Any) -> Any:
    return a * np.ones(x.shape)


def captured_data(x: Any, a: Any, b: Any) -> Any:
    return a * x + b * DATA


def captured_list(x: Any, a: Any, b: Any) -> Any:
    return a * x + np.add(x, [1, 2, 3])


def complex_numbers(x: Any, a: Any, b: Any) -> Any:
    return np.real(a * np.exp(1j * b * x))


def returns_wofz(x: Any, a: Any, b: Any) -> Any:
    return scipy.special.wofz(x + 1j * b)


def complex_quotient(x: Any, a: Any, b: Any) -> Any:
    return (a / (1 + 1j * (x - b))).real


def size_of_wofz(x: Any, a: Any, b: Any) -> Any:
    return np.abs(scipy.special.wofz(x + 1j * b))


def mean_of_wofz(x: Any, a: Any, b: Any) -> Any:
    return np.mean(scipy.special.wofz(x + 1j * b)).real


def sum_of_wofz(x: Any, a: Any, b: Any) -> Any:
    return np.add.reduce(scipy.special.wofz(x + 1j * b)).real


def complex_array(x: Any, a: Any, b: Any) -> Any:
    return scipy.special.wofz(np.asarray(x + 1j * b)).real


def complex_shape(x: Any, a: Any, b: Any) -> Any:
    return (x + 1j * b).shape[0] * x


def complex_in_place(x: Any, a: Any, b: Any) -> Any:
    z = x + 1j * b
    z /= a
    return scipy.special.wofz(z).real


def complex_into_real(x: Any, a: Any, b: Any) -> Any:
    z = x - a
    z += 1j * b
    return scipy.special.wofz(z).real


def complex_data(x: Any, a: Any, b: Any) -> Any:
    return (x * np.array([1j, 2j])).imag


def catches_everything(x: Any, a: Any, b: Any) -> Any:
    try:
        scale = float(a)
    except TypeError:
        scale = 1.0
    return scale * x + b


def asks_what_it_can_loop_over(x: Any, a: Any, b: Any) -> Any:
    return a * x if np.iterable(x) else b * x


def gamma_function(x: Any, a: Any, b: Any) -> Any:
    return a * scipy.special.gamma(x)


def minus_truth(x: Any, a: Any, b: Any) -> Any:
    return a * -(x > 0)


def where_option(x: Any, a: Any, b: Any) -> Any:
    return np.exp(x, where=x > 0)


def where_places(x: Any, a: Any, b: Any) -> Any:
    return np.where(x > 0)[0]


def integer_zeros(x: Any, a: Any, b: Any) -> Any:
    return np.zeros_like(x, dtype=int) + a


def as_integer(x: Any, a: Any, b: Any) -> Any:
    return x.astype(int) * a


def odd_call(x: Any, a: Any, b: Any) -> Any:
    return np.clip(x, 0, 1, casting="same_kind") * a


def coefficients_traced(x: Any, a: Any, b: Any) -> Any:
    return np.polyval(x, a)


def text_formula(x: Any, a: Any, b: Any) -> Any:
    return np.add(a * x, "b")


def matrix_product(x: Any, a: Any, b: Any) -> Any:
    return a * (x @ x)


def returns_nothing(x: Any, a: Any, b: Any) -> Any:
    a * x


def returns_a_tuple(x: Any, a: Any, b: Any) -> Any:
    return a * x, b


def fails(x: Any, a: Any, b: Any) -> Any:
    return a * x + dict[str, float]()["missing"]


def random_numbers(x: Any, a: Any, b: Any) -> Any:
    return a * x + np.random.normal()  # noqa: NPY002


STATE = [0]


def global_state(x: Any, a: Any, b: Any) -> Any:
    STATE[0] += 1
    return a * x + STATE[0]


REFUSED: dict[Function, tuple[str, str]] = {
    if_on_a_parameter: ("`if a > 0:`", "np.where.condition, a, b. for if"),
    if_on_data: ("np.all", "np.all: a model is a function of one point"),
    chained: ("`return np.where", "np.logical_and for and"),
    python_max: ("`return max", "np.minimum and np.maximum for min and max"),
    interpolation: ("`return np.interp", "np.interp: a model is a function of one point"),
    scipy_interpolation: ("`return a . spline", "scipy.interpolate computes with numbers"),
    scipy_quad: ("`return scipy.integrate.quad", "scipy.integrate computes with numbers"),
    scipy_distribution: ("`return a . scipy.stats", "scipy.stats computes with numbers"),
    trapezoid: ("`return np.trapezoid", "ndarray of 50 values .* without a grid or data"),
    in_place_into_x: ("`x -= b`", "x = x [+] 1 in place of x [+]= 1"),
    mask_write: ("`y.x > 0. = a`", "values are written into an array.*np.where"),
    out_argument: ("out=y", "values are written into an array"),
    sum_over_x: ("x.sum", "[.]sum: a model is a function of one point"),
    np_sum: ("np.sum", "np.sum: a model is a function of one point"),
    add_reduce: ("np.add.reduce", "np.add.reduce: a model is a function of one point"),
    first_point: ("x.0.", "the elements of an argument are taken apart"),
    mask_read: ("x > 0", "np.where.condition, a, b. in place of x.mask."),
    unpacked: ("`u, v = x`", "give several predictors as several arguments"),
    math_function: ("math.exp", "np.exp for math.exp"),
    to_float: ("float.a.", "leave out float"),
    to_integer: ("int.b.", "leave out float.., int"),
    single_precision: ("dtype=np.float32", "all values are float64"),
    two_axes: ("ndmin=2", "x has one axis"),
    reshaped: ("reshape", "[.]reshape.-1, 1.: a model is a function of one point"),
    cached: ("`return width.a. . x`", "used as a key.*Leave out lru_cache"),
    memory: ("a: 1.0", "used as a key, in a cache, dict or set"),
    a_long_loop: ("in a_long_loop", "has [0-9]{4} operations, more than 1000"),
    length: ("len.x.", "np.zeros_like"),
    shape: ("x.shape", "[.]shape: the number of points is asked for"),
    captured_data: ("DATA", "ndarray of 11 values that are no argument"),
    captured_list: ("np.add", "list of 3 values that are no argument"),
    complex_numbers: ("np.real", "exp of complex numbers: of complex numbers only"),
    returns_wofz: ("in returns_wofz", "a complex number: only real arith.*Take .real or .imag"),
    complex_quotient: ("1j . .x - b", "a quotient by a complex number: of complex numbers only"),
    size_of_wofz: ("np.abs", "absolute of complex numbers: of complex numbers only"),
    mean_of_wofz: ("np.mean", "np.mean: of complex numbers only"),
    sum_of_wofz: ("np.add.reduce", "np.add with reduce"),
    complex_array: ("np.asarray", "of complex numbers only"),
    complex_shape: ("shape", "[.]shape: of complex numbers only"),
    complex_in_place: ("z /= a", "z = z / s in place of z /= s"),
    complex_into_real: ("z [+]= 1j", "written into a real array.*z = x [+] 1j.y in place of"),
    complex_data: ("np.array", "2 complex numbers that are no argument"),
    catches_everything: ("`scale = float.a.`", "leave out float"),
    asks_what_it_can_loop_over: ("np.iterable.x.", "NumPy functions of the whole x"),
    gamma_function: ("special.gamma", "gamma of numbers is not among the functions"),
    minus_truth: ("x > 0", "negative of truth values is not among"),
    where_option: ("np.exp", "called with .'where'.: leave these out"),
    where_places: ("np.where", "use np.where.condition, a, b."),
    integer_zeros: ("dtype=int", "all values are float64"),
    as_integer: ("astype", "all values are float64"),
    odd_call: ("np.clip", "np.clip is called in a way not known here"),
    coefficients_traced: ("np.polyval", "must be a list: .a, b, c."),
    text_formula: ("np.add", "a str .'b'.: only numbers can stand in a formula"),
    matrix_product: ("x @ x", "matmul of numbers is not among"),
    returns_nothing: ("in returns_nothing", "what it returns is no formula.*NoneType"),
    returns_a_tuple: ("in returns_a_tuple", "what it returns is no formula.*tuple of 2"),
    fails: ("missing", "KeyError: 'missing'. The function was called with symbols"),
    random_numbers: ("in random_numbers", "random numbers or state outside"),
    global_state: ("in global_state", "random numbers or state outside"),
}


@pytest.mark.parametrize("func", REFUSED)
def test_what_cannot_be_traced_says_where_and_why(func: Function) -> None:
    place, reason = REFUSED[func]
    with pytest.raises(TraceError, match=f"(?s){reason}") as caught:
        traced(func)
    first = func.__code__.co_firstlineno
    name, line = caught.value.where.split(",")[0].split(":")
    assert name == Path(__file__).name
    assert first <= int(line) <= first + 6
    assert func.__name__ in caught.value.where or "<lambda>" in caught.value.where
    with pytest.raises(TraceError, match=place):
        traced(func)


def test_the_place_is_in_the_helper_that_fails() -> None:
    def model(x: Any, a: Any, b: Any) -> Any:
        return a * if_on_a_parameter(x, b, a)

    with pytest.raises(TraceError, match=r"in if_on_a_parameter: `if a > 0:`"):
        traced(model)


def test_functions_are_placed_wherever_they_are_wrapped() -> None:
    class Object:
        def __call__(self, x: Any, a: Any) -> Any:
            yield a * x

        def method(self, x: Any, a: Any) -> Any:
            yield a * x

    @functools.wraps(fails)
    def wrapped(x: Any, a: Any) -> Any:
        return None

    for func, name in (
        (Object(), "__call__"),
        (Object().method, "method"),
        (functools.partial(Object().method), "method"),
        (wrapped, "fails"),
    ):
        with pytest.raises(TraceError, match=rf"^test_graph_tracing.py:\d+, in {name}: what it"):
            trace(func, ["x", "a"], ["x"], [], ["a"])


def test_a_name_that_no_formula_can_have_is_no_defect() -> None:
    with pytest.raises(TraceError, match="in decay: 'a b' cannot be the name of a param"):
        trace(decay, ["x", "a b", "c"], ["x"], [], ["a b", "c"])


def test_a_function_without_a_place_is_named() -> None:
    with pytest.raises(TraceError, match=r"interp.*: "):
        trace(np.interp, ["x", "a", "b"], ["x"], [], ["a", "b"])
    with pytest.raises(TraceError, match=r"^atan2: a plain number is needed"):
        trace(math.atan2, ["x", "a"], ["x"], [], ["a"])


def test_a_trace_error_is_pickled() -> None:
    error = pickle.loads(pickle.dumps(TraceError("f.py:3", "no")))
    assert (str(error), error.where, error.reason) == ("f.py:3: no", "f.py:3", "no")


@pytest.mark.parametrize("func", [decay, fails])
def test_numpy_is_as_it_was_after_a_trace(func: Function) -> None:
    before = [getattr(np, name) for name in CONVERSIONS]
    with contextlib.suppress(TraceError):
        traced(func)
    assert [getattr(np, name) for name in CONVERSIONS] == before
    with passing_tracers():
        np.testing.assert_array_equal(np.asarray([1, 2], dtype=float), [1.0, 2.0])
        assert np.array(object=3).shape == ()


# What a trace does not see --------------------------------------------------------------------


def looks_at_the_very_type(x: Any, a: Any, b: Any) -> Any:
    return a * x if type(x) is np.ndarray else b * x


def sums_a_list(x: Any, a: Any, b: Any) -> Any:
    return np.sum([a * x, b * x])


@pytest.mark.parametrize("func", [looks_at_the_very_type, sums_a_list])
def test_a_formula_that_differs_from_its_function_is_found_out(func: Function) -> None:
    graph = trace(func, ["x", "a", "b"], ["x"], [], ["a", "b"])
    with pytest.raises(TraceError, match="the function and the formula read from it differ"):
        verify(graph, func)


def test_a_wrong_formula_is_found_out_where_it_differs() -> None:
    graph = parse("a*abs(x)*b", params=["a", "b"])
    with pytest.raises(TraceError, match=r"differ: .* at x=-.*, a=.*, b="):
        verify(graph, lambda x, a, b: a * x * b)
    far = parse("where(x > 1e6, 0, a*x) + b", params=["a", "b"])
    verify(far, lambda x, a, b: a * x + b)
    with pytest.raises(TraceError, match=r"differ: .* at x=2e\+06, a=3, b=1"):
        verify(
            far, lambda x, a, b: a * x + b, also=[{"x": np.array([1.0, 2e6]), "a": 3.0, "b": 1.0}]
        )


def test_a_function_finite_nowhere_is_not_trusted() -> None:
    func: Function = lambda x, a, b: a * np.sqrt(-1e9 - x**2) + b
    graph = trace(func, ["x", "a", "b"], ["x"], [], ["a", "b"])
    with pytest.raises(TraceError, match="finite value at no values tried"):
        verify(graph, func)

    def picky(x: Any, a: Any, b: Any) -> Any:
        raise ValueError("out of range")

    with pytest.raises(TraceError, match=r"no values tried .ValueError: out of range.; give some"):
        verify(parse("a*x + b"), picky)


def test_the_function_cannot_spoil_the_values_tried() -> None:
    def writes(x: Any, a: Any, b: Any) -> Any:
        y = a * x + b
        if isinstance(x, np.ndarray):
            x[:] = 0
        return y

    verify(parse("a*x + b"), writes)


# The tracer -----------------------------------------------------------------------------------


def test_a_tracer_shows_its_name() -> None:
    x = Tracer(Node("predictor", name="x"), borrowed=True)
    assert repr(x) == "<symbol x>"
    assert repr(x + 1) == "<symbol add>"
    assert x.dtype == np.float64
    assert not hasattr(x, "__array_interface__")


def test_only_numbers_become_nodes() -> None:
    assert as_node(np.array([[2.0]])).value == 2.0
    assert as_node(True).logical  # noqa: FBT003
    with pytest.raises(RefusalError, match="a dict"):
        as_node({})
    with pytest.raises(RefusalError, match=r"an integer beyond 1[.]8e308: 100000000[.]"):
        as_node(10**400)
