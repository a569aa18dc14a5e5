"""Trace a NumPy function: call it once with tracers and keep the formula that it computes.

The function is called a second time, and refused when the two formulas differ: then it depends on
something that is not among its arguments. It is refused too when it catches what a tracer refuses:
then it takes another way with symbols than with numbers. What cannot be traced raises a
`TraceError` that says where in the user's code, why, and what to write instead; `verifying`
compares formula and function before anybody trusts the formula.
"""

import inspect
import linecache
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType
from typing import Any

import numpy as np

from .conversions import passing_tracers
from .graph import Graph
from .nodes import Node, ordered, symbol
from .tracer import REFUSALS, Frames, RefusalError, Tracer, as_node

MOST_OPERATIONS = 1000
"""A formula of more would take more memory than it saves time: each of its parts is an array."""


class TraceError(TypeError):
    """A function that cannot be made a formula.

    Attributes
    ----------
    where
        File, line and function, as text.
    reason
        What stopped the trace, and what to write instead.
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[type["TraceError"], tuple[str, str]]:
        return type(self), (self.where, self.reason)


def trace(
    func: Callable[..., Any],
    arguments: Sequence[str],
    predictors: Sequence[str],
    constants: Sequence[str],
    params: Sequence[str],
) -> Graph:
    """Return the formula that a function computes.

    Parameters
    ----------
    func
        Called as ``func(*values)``, one value for each of `arguments`, in their order.
    arguments, predictors, constants, params
        All arguments, and which of them are what; as in `Model`.

    Raises
    ------
    TraceError
        When the function does something with its arguments that is no formula.

    Examples
    --------
    >>> import numpy as np
    >>> def decay(x, a, b):
    ...     rate = 1 / b
    ...     return a * np.exp(-rate * x)
    >>> trace(decay, ["x", "a", "b"], ["x"], [], ["a", "b"]).text
    'a*exp(-1/b*x)'
    """
    kinds = dict.fromkeys(predictors, "predictor") | dict.fromkeys(constants, "constant")
    try:
        leaves = [symbol(kinds.get(name, "param"), name) for name in arguments]
    except ValueError as error:
        raise TraceError(definition(func), str(error)) from error
    root, again = (_call(func, leaves) for _ in range(2))
    if root != again:
        raise TraceError(
            definition(func),
            "two calls with the same arguments gave different formulas: it uses random numbers or "
            "state outside the function. Make everything it needs an argument",
        )
    size = len(ordered([root]))
    if size > MOST_OPERATIONS:
        raise TraceError(
            definition(func),
            f"its formula has {size} operations, more than {MOST_OPERATIONS}. Shorten a loop, or "
            "give the derivatives yourself, jac= in Model.from_function",
        )
    return Graph(root, tuple(params), tuple(predictors), tuple(constants))


def _call(func: Callable[..., Any], leaves: Sequence[Node]) -> Node:
    """Call the function once and return the formula of its value."""
    tracers = [Tracer(leaf, borrowed=leaf.varies) for leaf in leaves]
    refused: list[tuple[RefusalError, Frames]] = []
    token = REFUSALS.set(refused)
    try:
        with np.errstate(all="ignore"), passing_tracers():
            result = func(*tracers)
    except Exception as error:
        frames = list(walk_tb(error.__traceback__))[1:]
        if not refused:
            raise _trace_error(func, frames, _failure(error)) from error
    finally:
        REFUSALS.reset(token)
    if refused:  # the first is what stopped the trace, whatever the function made of it
        first, frames = refused[0]
        outside = sum(1 for _ in walk_stack(sys._getframe()))  # noqa: SLF001 - as deep as this
        raise _trace_error(func, frames[outside:], str(first)) from first
    try:
        return as_node(result)
    except RefusalError as error:
        reason = f"what it returns is no formula of its arguments: {error}"
        raise TraceError(definition(func), reason) from error


def definition(func: Callable[..., Any]) -> str:
    """Return where a function is defined, as text."""
    inner = func
    while isinstance(inner, partial):
        inner = inner.func
    inner = inspect.unwrap(inner)
    called = inner if hasattr(inner, "__code__") else type(inner).__call__
    code = getattr(called, "__code__", None)
    if code is None or not _is_users(str(called.__module__)):
        return getattr(inner, "__name__", type(inner).__name__)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}, in {code.co_name}"


def _trace_error(func: Callable[..., Any], frames: Frames, reason: str) -> TraceError:
    """Return the error that says where a function stopped the trace, and why.

    The place is the last line of the user's code among the frames. What SciPy calls in its turn
    does not count: its caller is to be told.
    """
    above = list(takewhile(lambda pair: not _in_scipy(_module_of(pair[0])), frames))
    scipy = [_public(name) for frame, _ in frames if _in_scipy(name := _module_of(frame))]
    if scipy:
        reason = (
            f"{max(scipy[:2], key=len)} computes with numbers, step by step, and gives no formula. "
            "Write a closed form with NumPy's functions, where there is one"
        )
    users = [pair for pair in above if _is_users(_module_of(pair[0]))]
    return TraceError(_place(*users[-1]) if users else definition(func), reason)


def _failure(error: Exception) -> str:
    """Return what to say of an error that is none of ours."""
    first_line = str(error).partition("\n")[0]
    return (
        f"{type(error).__name__}: {first_line}. The function was called with symbols in place of "
        "arrays and numbers, to read its formula: write it with NumPy functions of its arguments"
    )


def _place(frame: FrameType, line: int) -> str:
    """Return a line of code, and where it is, as text."""
    file, name = frame.f_code.co_filename, frame.f_code.co_name
    source = linecache.getline(file, line, frame.f_globals).strip()
    shown = f": `{source}`" if source else ""
    return f"{Path(file).name}:{line}, in {name}{shown}"


def _module_of(frame: FrameType) -> str:
    """Return the name of the module that a frame's code belongs to."""
    return str(frame.f_globals.get("__name__", ""))


def _public(module: str) -> str:
    """Return the name of the public module that a module belongs to."""
    return ".".join(takewhile(lambda part: not part.startswith("_"), module.split(".")))


def _in_scipy(module: str) -> bool:
    """Return whether a module is one of SciPy's."""
    return module.partition(".")[0] == "scipy"


def _is_users(module: str) -> bool:
    """Return whether a module belongs to neither this package, NumPy nor SciPy."""
    return module.partition(".")[0] not in {__name__.partition(".")[0], "numpy", "scipy"}
