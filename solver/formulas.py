"""Decide whether a model is fitted by its formula, and make sure that the formula is the model's.

A plain function is called with symbols to read its formula (`graph.tracing`), and the two are
compared at random points, where the fit starts, and again where it has ended. What is no formula,
or not everywhere, is fitted by calling the function, and the user is told.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from .arrays import Floats
from .curves import Curves
from .graph.graph import GraphFunction
from .graph.tracer import RefusalError
from .graph.tracing import TraceError
from .graph.verifying import compare
from .model import Model
from .options import FitOptions
from .pointwise import ModelWarning, sample_rows
from .preparation import Prepared


def with_formula(given: Prepared, curves: Curves) -> Prepared:
    """Return the same fit by the formula of its model; by the model where it has none.

    A function with derivatives of its author's keeps both, and has its formula beside them.

    Parameters
    ----------
    given
        What is to be fitted, and how.
    curves
        The formula is tried at a few of them, where they start.

    Raises
    ------
    ValueError
        When the engine is "simd" and the model is no formula.

    Warns
    -----
    ModelWarning
        When the engine is "auto" and a plain function is no formula: once a process for each
        reason and place in the function.
    """
    model = given.model
    if given.options.engine == "reference":
        return given
    if model.graph is not None and isinstance(model.func, GraphFunction):
        return given
    called = replace(model, graph=None)  # what was read from a function may be true no more
    values = list(_few(given, curves, given.start))
    raises = any(_raises(model, first) for first in values[:1])
    try:
        return given.by(called.traced(also=values))
    except TraceError as error:
        defect = raises and not isinstance(error.__cause__, RefusalError)
        if not defect or given.options.engine == "simd":
            _refuse(model, error, given.options)
        return given.by(called)


def formula_holds(prepared: Prepared, model: Model, curves: Curves, params: Floats) -> bool:
    """Return whether formula and function agree where a few of the curves ended.

    Parameters
    ----------
    prepared
        What was fitted: a model with its formula, or one without, which agrees with itself.
    model
        As it was given.
    curves
        The curves.
    params
        (n_curves, n_params), where they ended; with NaN where no fit took place.

    Raises
    ------
    ValueError
        When they differ and the engine is "simd".

    Warns
    -----
    ModelWarning
        When they differ and the engine is "auto".
    """
    graph, options = prepared.model.graph, prepared.options
    if graph is None or options.engine == "reference" or isinstance(model.func, GraphFunction):
        return True
    try:
        compare(graph, model.func, model.arguments, list(_few(prepared, curves, params)))
    except TraceError as error:
        _refuse(model, error, options)
        return False
    return True


def _few(prepared: Prepared, curves: Curves, params: Floats) -> Iterator[dict[str, Any]]:
    """Yield the arguments of a few curves by name, at (n_curves or 1, n_params) parameters."""
    model = prepared.model
    names = (*model.constants, *model.params)
    for i in sample_rows(len(curves)) if len(curves) else ():
        points = curves.alone(i)
        numbers = [column[i if len(column) > 1 else 0, 0] for column in prepared.constants]
        numbers += list(params[i if len(params) > 1 else 0])
        if points[0].size and np.isfinite(numbers).all():
            by_name = dict(zip(names, numbers, strict=True))
            yield dict(zip(model.predictors, points, strict=True)) | by_name


def _raises(model: Model, values: dict[str, Any]) -> bool:
    """Return whether the function raises with numbers; then it does so in the fit, and is heard.

    It is called with numbers before it meets a symbol, since there are functions that keep what
    they make of their first x.
    """
    arguments = [np.copy(values[name])[()] for name in model.arguments]
    try:
        with np.errstate(all="ignore"):
            model.func(*arguments)
    except Exception:  # noqa: BLE001 - whatever a user's function raises
        return True
    return False


def _refuse(model: Model, error: TraceError, options: FitOptions) -> None:
    """Say why a model is not fitted by a formula: an error where nothing else will do."""
    reason = f"no formula can be read from model {model.name!r}: {error}"
    if options.engine == "simd":
        raise ValueError(f"engine='simd' fits formulas, and {reason}") from error
    if model.jac is None:
        _tell(
            f"{reason}. So it is fitted by calling it, with differences for derivatives, which is "
            "slower; engine='reference' does so without this warning"
        )


@lru_cache(maxsize=1024)
def _tell(message: str) -> None:
    """Warn, once a process for each message: it names the function and the place in it."""
    warnings.warn(message, ModelWarning, stacklevel=2)
