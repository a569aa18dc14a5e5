"""Compare a traced formula with its function before anybody trusts it.

A function may look at its arguments in ways that leave no trace - their exact type, how often it
was called. So both are called at random points: parameters of both signs and of several sizes as
numbers, predictors as arrays, as in a fit of one curve.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..arrays import Bools, Floats
from .graph import Graph
from .tracing import TraceError, definition, trace

SCALES = (1.0, 1.0, 1.0, 0.1, 10.0, 1e-3, 1e3)
"""Sizes of the values tried, one trial each; the first trials are positive."""
N_POINTS = 11
ROUNDING = 1e-9
"""Difference that is rounding, relative to the largest value of a trial."""


_VERIFIED: WeakKeyDictionary[Callable[..., Any], Graph] = WeakKeyDictionary()
"""The last formula of each function that was compared with it."""


def trusted_formula(
    func: Callable[..., Any],
    arguments: Sequence[str],
    predictors: Sequence[str],
    constants: Sequence[str],
    params: Sequence[str],
    *,
    also: Sequence[Mapping[str, Any]] = (),
) -> Graph:
    """Return the formula that a function computes now, compared with it.

    A function may read what lies outside of it, a global say, which may have changed since. So its
    formula is never taken from memory: where it is the same as before, only the comparison at
    random points is not made again.

    Parameters
    ----------
    func, arguments, predictors, constants, params
        As in `trace`.
    also
        As in `verify`; compared each time.

    Raises
    ------
    TraceError
        When there is no formula, or function and formula differ.
    """
    graph = trace(func, arguments, predictors, constants, params)
    if _verified(func) == graph:
        compare(graph, func, arguments, also)
    else:
        verify(graph, func, arguments, also=also)
        with suppress(TypeError):
            _VERIFIED[func] = graph
    return graph


def _verified(func: Callable[..., Any]) -> Graph | None:
    """Return the formula that a function was compared with, if that can be remembered."""
    with suppress(TypeError):  # it can be neither hashed nor referred to weakly
        return _VERIFIED.get(func)
    return None


def verify(
    graph: Graph,
    func: Callable[..., Any],
    arguments: Sequence[str] | None = None,
    *,
    also: Sequence[Mapping[str, Any]] = (),
    seed: int = 20240229,
) -> None:
    """Compare formula and function; return only if they agree.

    Parameters
    ----------
    graph
        What `trace` made of `func`.
    func
        The function.
    arguments
        Its arguments in order; default: predictors, constants, params.
    also
        More values to try, by name: predictors (n_points,), the others numbers.
    seed
        Of the random values.

    Raises
    ------
    TraceError
        When they differ by more than rounding where the function is finite, or the function is
        finite nowhere.
    """
    rng = np.random.default_rng(seed)
    trials = [_draw(graph, rng, scale, positive=i < 2) for i, scale in enumerate(SCALES)]
    compared, failure = compare(graph, func, arguments, (*also, *trials))
    if not compared:
        raise TraceError(
            definition(func),
            f"it cannot be compared with its formula, as it has a finite value at no values tried"
            f"{failure}; give some at which it has, as also=[{{...}}]",
        )


def compare(
    graph: Graph,
    func: Callable[..., Any],
    arguments: Sequence[str] | None,
    trials: Sequence[Mapping[str, Any]],
) -> tuple[int, str]:
    """Compare formula and function at given values.

    Parameters
    ----------
    graph, func, arguments
        As in `verify`.
    trials
        The values, by name.

    Returns
    -------
    The number of values compared, those where the function is finite; and how its last call failed,
    if it did.

    Raises
    ------
    TraceError
        When they differ by more than rounding.
    """
    names = tuple(arguments or graph.arguments)
    formula = graph.function(names)
    compared, failure = 0, ""
    for values in trials:
        ordered = [values[name] for name in names]
        try:
            expected = _expected(func, ordered)
        except Exception as error:  # noqa: BLE001 - what a user's function raises out of its range
            failure = f" ({type(error).__name__}: {error})"
            continue
        found = np.broadcast_to(np.asarray(formula(*ordered)), expected.shape)
        finite = np.isfinite(expected)
        compared += int(finite.sum())
        wrong = finite & ~_close(found, expected, finite)
        if wrong.any():
            raise TraceError(definition(func), _difference(values, found, expected, wrong))
    return compared, failure


def _draw(
    graph: Graph, rng: np.random.Generator, scale: float, *, positive: bool
) -> dict[str, Any]:
    """Return random values of all names."""
    values: dict[str, Any] = {}
    for name in graph.arguments:
        shape = (N_POINTS,) if name in graph.predictors else ()
        sign = 1.0 if positive else rng.choice([-1.0, 1.0], size=shape)
        value = scale * sign * rng.uniform(0.1, 2.0, size=shape)
        values[name] = value if shape else np.float64(value)
    return values


def _expected(func: Callable[..., Any], values: Sequence[Any]) -> Floats:
    """Return the function's values, of the shape of all values together."""
    copies = [np.copy(value) if np.ndim(value) else value for value in values]
    with np.errstate(all="ignore"):
        result = np.asarray(func(*copies))
    if result.dtype.kind == "c":
        raise ValueError(f"it returns complex numbers, {result.dtype}")
    result = result.astype(np.float64)
    shapes = [np.shape(value) for value in values]
    return np.broadcast_to(result, np.broadcast_shapes(result.shape, *shapes))


def _close(found: Floats, expected: Floats, finite: Bools) -> Bools:
    """Return where two arrays agree to rounding."""
    size = np.max(np.abs(expected[finite]), initial=0.0)
    with np.errstate(all="ignore"):
        close: Bools = np.abs(found - expected) <= ROUNDING * size
    return close


def _difference(values: Mapping[str, Any], found: Floats, expected: Floats, wrong: Bools) -> str:
    """Say where function and formula differ."""
    place = int(np.flatnonzero(wrong)[0])
    at = ", ".join(
        f"{name}={np.ravel(value)[place if np.ndim(value) else 0]:.6g}"
        for name, value in values.items()
    )
    return (
        f"the function and the formula read from it differ: {np.ravel(expected)[place]!r} and "
        f"{np.ravel(found)[place]!r} at {at}. Does it look at the type or size of its arguments, "
        "keep values between calls, or sum a list of arrays? A formula has one value a point, made "
        "of its arguments alone"
    )
