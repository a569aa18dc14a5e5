"""Trace a NumPy function: call it once with tracers and keep the formula that it computes.

The function is called a second time, and refused when the two formulas differ: then it depends on
something that is not among its arguments. What cannot be traced raises a `TraceError` that says
where in the user's code, why, and what to write instead; `verifying` compares formula and
function before anybody trusts the formula.
"""

import linecache
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from .graph import Graph
from .nodes import Node, symbol
from .tracer import RefusalError, Tracer, as_node


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
    leaves = [symbol(kinds.get(name, "param"), name) for name in arguments]
    root, again = (_call(func, leaves) for _ in range(2))
    if root != again:
        raise TraceError(
            definition(func),
            "two calls with the same arguments gave different formulas: it uses random numbers or "
            "state outside the function. Make everything it needs an argument",
        )
    return Graph(root, tuple(params), tuple(predictors), tuple(constants))


def _call(func: Callable[..., Any], leaves: Sequence[Node]) -> Node:
    """Call the function once and return the formula of its value."""
    tracers = [Tracer(leaf, borrowed=leaf.varies) for leaf in leaves]
    try:
        with np.errstate(all="ignore"):
            result = func(*tracers)
    except Exception as error:
        raise TraceError(_place_of(error, func), _reason_of(error)) from error
    try:
        return as_node(result)
    except RefusalError as error:
        reason = f"what it returns is no formula of its arguments: {error}"
        raise TraceError(definition(func), reason) from error


def definition(func: Callable[..., Any]) -> str:
    """Return where a function is defined, as text."""
    code = getattr(func, "__code__", None)
    if code is None:
        return getattr(func, "__name__", type(func).__name__)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}, in {code.co_name}"


def _reason_of(error: BaseException) -> str:
    """Return what stopped the trace: our own refusal, also where a library hid it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, RefusalError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return (
        f"{type(error).__name__}: {error}. The function was called with symbols in place of arrays "
        "and numbers, to read its formula: write it with NumPy functions of its arguments"
    )


def _place_of(error: BaseException, func: Callable[..., Any]) -> str:
    """Return the deepest line of the user's code that an error passed through, as text."""
    frames = [(f, line) for f, line in _frames(error) if _is_users(f)]
    if not frames:
        return definition(func)
    frame, line = frames[-1]
    file, name = frame.f_code.co_filename, frame.f_code.co_name
    source = linecache.getline(file, line, frame.f_globals).strip()
    shown = f": `{source}`" if source else ""
    return f"{Path(file).name}:{line}, in {name}{shown}"


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of a traceback, the outermost first."""
    yield from traceback.walk_tb(error.__traceback__)


def _is_users(frame: FrameType) -> bool:
    """Return whether a frame belongs to neither this package, NumPy nor SciPy."""
    module = str(frame.f_globals.get("__name__", ""))
    ours = __name__.rpartition(".")[0]
    return module.partition(".")[0] not in {"numpy", "scipy"} and module.rpartition(".")[0] != ours
