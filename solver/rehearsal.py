"""Settle what is fitted, on a few curves and before the model is sent to many processes.

What `fit_batch` does for each batch - read the formula, compare it with the function - is done here
once for all: the model that comes out is its formula, carrying a function only with derivatives of
its author's, or has none; and those who fit it have nothing to decide or to warn of.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .arrays import ArrayLike
from .batch import fit_batch
from .curves import as_curves
from .formulas import formula_holds, with_formula
from .model import Model
from .options import FitOptions
from .preparation import Prepared


def rehearsed(
    model: Model,
    x: Any,
    y: ArrayLike,
    *,
    offsets: ArrayLike | None = None,
    p0: Any = None,
    constants: Mapping[str, ArrayLike] | None = None,
    options: FitOptions,
) -> tuple[Model, FitOptions]:
    """Return the model and options to fit all curves with, given the first of them.

    Parameters
    ----------
    model, x, y, offsets, p0, constants, options
        As in `fit_batch`. The curves are fitted by the reference engine, where there is a formula
        to be compared with the function.

    Returns
    -------
    The model with its formula, and the options; or the model as it is, for the reference engine.

    Raises
    ------
    ValueError
        When the engine is "simd" and the model is no formula; else as `fit_batch`.

    Warns
    -----
    ModelWarning
        When the engine is "auto" and a plain function is no formula.
    """
    curves = as_curves(model, x, y, offsets, None)
    given = Prepared.of(model, len(curves), p0, constants, options)
    prepared = with_formula(given, curves)
    called, by_calling = replace(model, graph=None), replace(options, engine="reference")
    if prepared.model.graph is None:
        return called, by_calling
    if prepared.model is not model:
        data: Any = {"offsets": offsets, "p0": p0, "constants": constants}
        fit = fit_batch(prepared.model, x, y, **data, options=by_calling)
        if not formula_holds(prepared, model, curves, fit.params):
            return called, by_calling
    return prepared.model, options
