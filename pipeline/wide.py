"""Rows with one column a point -> curves."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from .binding import Binding
from .curves import (
    Curves,
    Floats,
    constant_values,
    curve_ids,
    kept_columns,
    numbers,
    one_row,
    per_curve,
    start_values,
)
from .sources import PerPoint, Shared, Source

_ROWS_AT_A_TIME = 256
"""Columns are laid side by side in blocks that stay in the processor's cache."""


def wide_curves(batch: pa.RecordBatch, binding: Binding, first: int) -> Curves:
    """Return the curves of a batch, one a row; `first` is the running number of the first."""
    layout = binding.layout
    shape = (batch.num_rows, len(layout.y))
    x = {name: _arranged(s, batch, shape) for name, s in binding.predictors.items()}
    return Curves(
        ids=curve_ids(batch, binding, first),
        x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
        y=side_by_side(batch, layout.y),
        offsets=None,
        sigma=None if layout.sigma is None else _arranged(layout.sigma, batch, shape),
        p0=start_values(batch, binding),
        constants=constant_values(batch, binding),
        keep=kept_columns(batch, binding),
    )


def side_by_side(batch: pa.RecordBatch, names: Sequence[str]) -> Floats:
    """Return columns as the columns of one array, (n_rows, n_columns)."""
    columns = [numbers(batch.column(name)) for name in names]
    values = np.empty((batch.num_rows, len(names)))
    for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        for j, column in enumerate(columns):
            values[rows, j] = column[rows]
    return values


def _arranged(source: Source, batch: pa.RecordBatch, shape: tuple[int, int]) -> Floats:
    """Return a value a point: (n_points,) if shared, else (n_curves, n_points)."""
    if isinstance(source, PerPoint):
        return side_by_side(batch, source.columns)
    if isinstance(source, Shared):
        return np.array(source.values)
    values = np.asarray(per_curve(batch, source))
    return np.array(np.broadcast_to(values[..., None] if values.ndim else values, shape))
