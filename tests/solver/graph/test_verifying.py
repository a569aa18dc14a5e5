"""What a trace does not see is found out where formula and function are compared."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.tracing import TraceError, trace
from manyfit.solver.graph.verifying import verify
from tests.solver.graph.traced import Function

# ruff: noqa: ARG001, E731 - functions as people write them


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
