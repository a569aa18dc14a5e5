"""Curves -> fits -> rows of the result table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ..solver.batch import fit_batch
from ..solver.model import Model
from ..solver.options import FitOptions
from ..solver.rehearsal import rehearsed
from ..solver.result import BatchFit
from ..solver.status import Status
from .curves import Curves
from .exchange import as_arrow, as_numpy

_REHEARSED = 64
"""Curves that a formula is tried on before the run."""


def rehearse(first: Curves, model: Model, options: FitOptions) -> tuple[Model, FitOptions]:
    """Return the model, with its formula, and the options to fit all curves with; see `rehearsed`.

    Parameters
    ----------
    first
        Some of the curves.
    model, options
        As they were given.
    """
    few, edges = slice(_REHEARSED), first.offsets
    return rehearsed(
        model,
        {name: values[few] if values.ndim == 2 else values for name, values in first.x.items()},
        first.y[few] if edges is None else first.y,
        offsets=None if edges is None else edges[: _REHEARSED + 1],
        p0={name: v[few] if np.ndim(v) else v for name, v in first.p0.items()} or None,
        constants={name: v[few] if np.ndim(v) else v for name, v in first.constants.items()},
        options=options,
    )


def fit_rows(
    curves: Curves, model: Model, options: FitOptions, schema: pa.Schema
) -> pa.RecordBatch:
    """Fit a batch of curves and return their rows, as `schema` has them.

    Model and options are what `rehearse` has returned.
    """
    fit = fit_batch(
        model,
        curves.x,
        curves.y,
        offsets=curves.offsets,
        sigma=curves.sigma,
        p0=curves.p0 or None,
        constants=curves.constants,
        options=options,
        settled=True,
    )
    if curves.uneven is not None:
        fit = replace(fit, status=np.where(curves.uneven, Status.IMPROPER_INPUT, fit.status))
    return result_rows(curves.ids, fit, schema, [*curves.index, *curves.keep])


def result_rows(
    ids: pa.Array, fit: BatchFit, schema: pa.Schema, index: Sequence[pa.Array] = ()
) -> pa.RecordBatch:
    """Return fits as rows of the result table.

    Parameters
    ----------
    ids
        (n_curves,) curve ids.
    fit
        The fits of the same curves.
    schema
        As `result_schema` made it for the same model.
    index
        (n_curves,) positions along each map dimension of arrays, and columns that are kept.
    """
    n_curves, n_params = fit.params.shape
    by_param = [np.ascontiguousarray(fit.params[:, j]) for j in range(n_params)]
    errors = [np.ascontiguousarray(fit.stderr[:, j]) for j in range(n_params)]
    derived = fit.derived.values()
    cov = pa.FixedSizeListArray.from_arrays(as_arrow(fit.cov.reshape(-1)), n_params * n_params)
    counts = [
        fit.status.astype(np.int8, copy=False),
        fit.flags.astype(np.uint8, copy=False),
        fit.compiled,
        fit.nfev.astype(np.int32, copy=False),
        fit.n_points.astype(np.int32, copy=False),
    ]
    numbers = [*by_param, *errors, *(d.values for d in derived), *(d.stderr for d in derived)]
    columns = [ids, *index, *map(as_arrow, numbers), cov, *map(as_arrow, counts)]
    columns += [as_arrow(fit.cost), as_arrow(fit.redchi)]
    assert len(ids) == n_curves
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def count_status(rows: pa.Table) -> dict[int, int]:
    """Return how many rows ended with each status."""
    codes, counts = np.unique(as_numpy(rows.column("status")), return_counts=True)
    return {int(c): int(n) for c, n in zip(codes, counts, strict=True)}
