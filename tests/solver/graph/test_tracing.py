"""Tracing: what the arguments are, and where a function stands that is no formula."""

import contextlib
import functools
import math
import pickle
from typing import Any

import numpy as np
import pytest

from manyfit.solver.graph.conversions import CONVERSIONS, passing_tracers
from manyfit.solver.graph.tracing import TraceError, trace
from manyfit.solver.graph.verifying import verify
from tests.solver.graph.traced import Function, traced

# ruff: noqa: ARG001, ARG005 - functions as people write them


def decay(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x)


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


# Where it fails -------------------------------------------------------------------------------


def if_on_a_parameter(x: Any, a: Any, b: Any) -> Any:
    if a > 0:
        return a * x
    return b * x


def fails(x: Any, a: Any, b: Any) -> Any:
    return a * x + dict[str, float]()["missing"]


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
        with pytest.raises(TraceError, match=rf"^test_tracing.py:\d+, in {name}: what it"):
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
