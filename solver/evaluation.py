"""The model at given parameters, curve by curve, by the same road as the fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Floats, Ints
from .curves import Curves, Slab, as_curves
from .model import Model
from .pointwise import serves_batches
from .residuals import CurveProblem


def evaluate(
    model: Model,
    params: Floats,
    predictors: Sequence[Any],
    constants: Sequence[Any],
    offsets: npt.NDArray[np.int64] | None,
) -> Floats:
    """Return the values of a model for many curves.

    Parameters
    ----------
    model
        The model.
    params
        (n_curves, n_params); curves with NaN get NaN.
    predictors
        In the order of the model: (n_points,) or (n_curves, n_points), or flat with offsets.
    constants
        In the order of the model: a number or (n_curves,).
    offsets
        As in `manyfit.fit_curves`.

    Returns
    -------
    (n_curves, n_points), or flat with offsets; NaN where x is not finite.
    """
    n_curves = len(params)
    shapes = [np.shape(p) for p in predictors]
    shape = max(shapes, key=len)
    if offsets is None and len(shape) == 1:
        shape = (n_curves, *shape)
    x = dict(zip(model.predictors, predictors, strict=True))
    curves = as_curves(model, x, np.broadcast_to(0.0, shape), offsets, None)
    if len(curves) != n_curves:
        raise ValueError(f"x is for {len(curves)} curves, but {n_curves} were fitted")
    values = np.full(curves.y.size, np.nan)
    columns = [
        np.broadcast_to(np.asarray(c, np.float64).reshape(-1, 1), (n_curves, 1)) for c in constants
    ]
    fitted = np.asarray(np.isfinite(params).all(axis=1))
    for slab in curves.slabs():
        part = slab.take(np.flatnonzero(fitted[slab.rows]))
        if len(part.rows):
            _fill(values, part, curves, model, params, columns)
    return values.reshape(shape)


def _fill(
    values: Floats,
    slab: Slab,
    curves: Curves,
    model: Model,
    params: Floats,
    constants: Sequence[Floats],
) -> None:
    """Write the values of a slab into the flat `values`."""
    at = params[slab.rows]
    problem = CurveProblem(
        model=model,
        predictors=slab.predictors,
        constants=tuple(c[slab.rows] for c in constants),
        y=slab.y,
        weight=None,
        valid=None if slab.valid.all() else slab.valid,
        template=at,
        free=np.arange(model.n_params),
    )
    with np.errstate(all="ignore"):
        alone = not serves_batches(problem, at)
        found = replace(problem, alone=alone).values(at)
    places: Ints = curves.start[slab.rows, None] + np.arange(slab.y.shape[1])
    values[places[slab.valid]] = found[slab.valid]
