"""Curves -> fits -> rows of the result table."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from ..solver.batch import fit_batch
from ..solver.model import Model
from ..solver.options import FitOptions
from ..solver.result import BatchFit
from ..solver.status import Status
from .curves import Curves


def fit_rows(
    curves: Curves, model: Model, options: FitOptions, schema: pa.Schema
) -> pa.RecordBatch:
    """Fit a batch of curves and return their rows, as `schema` has them."""
    fit = fit_batch(
        model,
        curves.x,
        curves.y,
        offsets=curves.offsets,
        sigma=curves.sigma,
        p0=curves.p0 or None,
        constants=curves.constants,
        options=options,
    )
    if curves.uneven is not None:
        fit = replace(fit, status=np.where(curves.uneven, Status.IMPROPER_INPUT, fit.status))
    return result_rows(curves.ids, fit, schema)


def result_rows(ids: pa.Array, fit: BatchFit, schema: pa.Schema) -> pa.RecordBatch:
    """Return fits as rows of the result table.

    Parameters
    ----------
    ids
        (n_curves,) curve ids.
    fit
        The fits of the same curves.
    schema
        As `result_schema` made it for the same model.
    """
    n_curves, n_params = fit.params.shape
    by_param = [np.ascontiguousarray(fit.params[:, j]) for j in range(n_params)]
    errors = [np.ascontiguousarray(fit.stderr[:, j]) for j in range(n_params)]
    cov = pa.FixedSizeListArray.from_arrays(pa.array(fit.cov.reshape(-1)), n_params * n_params)
    counts = [
        fit.status.astype(np.int8, copy=False),
        fit.flags.astype(np.uint8, copy=False),
        fit.nfev.astype(np.int32, copy=False),
        fit.n_points.astype(np.int32, copy=False),
    ]
    columns = [ids, *by_param, *errors, cov, *counts, fit.cost, fit.redchi]
    assert len(ids) == n_curves
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=schema)


def count_status(rows: pa.Table) -> dict[int, int]:
    """Return how many rows ended with each status."""
    codes, counts = np.unique(rows.column("status").to_numpy(), return_counts=True)
    return {int(c): int(n) for c, n in zip(codes, counts, strict=True)}
