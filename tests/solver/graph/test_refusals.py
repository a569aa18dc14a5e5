"""What cannot be traced says where it is, why, and what to write in its place."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.special
import scipy.stats

from manyfit.solver.graph.tracing import TraceError
from tests.solver.graph.traced import Function, traced

# ruff: noqa: ARG001 - functions as people write them

LEVELS = [0.5, 1.5]
DATA = np.linspace(0, 1, 11)


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
