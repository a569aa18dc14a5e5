"""What a function of x and parameters is traced to."""

from collections.abc import Callable, Sequence
from typing import Any

from manyfit.solver.graph.graph import Graph
from manyfit.solver.graph.tracing import trace
from manyfit.solver.graph.verifying import verify

Function = Callable[..., Any]


def traced(func: Function, params: Sequence[str] = "ab", x: Sequence[str] = "x") -> Graph:
    """Trace and verify a function of x, then params."""
    arguments = [*x, *params]
    graph = trace(func, arguments, x, [], params)
    verify(graph, func, arguments)
    return graph
