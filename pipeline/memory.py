"""fit_table: curves in an Arrow table, fitted in this process, as an Arrow table."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import StartValues, bind
from .columns import Columns
from .errors import DatasetError
from .identity import bounds_of, plain
from .layout import Layout, find_layout
from .reading import BATCH_BYTES, MOST_ROWS
from .scan import check_runs
from .schema import describe, describe_model, result_schema
from .table import fit_rows
from .task import as_curves


def fit_table(
    table: pa.Table,
    model: Model | Callable[..., Any],
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    p0: StartValues | None = None,
) -> pa.Table:
    """Fit a model to every curve of an Arrow table, without a cluster.

    Parameters
    ----------
    table
        Curves in any layout that `open_dataset` takes.
    model
        A `Model`, or a NumPy function ``f(x, a, b, ...)``.
    columns, options, p0
        As in `fit_dataset`.

    Returns
    -------
    The result table, one row a curve, in order; bit for bit what `fit_dataset` would write.

    Raises
    ------
    DatasetError
        When the table cannot be read as curves of the model.
    ValueError
        When options or p0 do not suit the model.
    """
    columns, options = columns or Columns(), options or FitOptions()
    if not isinstance(model, Model):
        model = Model.from_function(model)
    layout = find_layout(columns, table.schema)
    if not table.num_rows:
        raise DatasetError(f"the table has no rows; its columns are {table.schema.names}")
    binding = bind(model, options, p0, columns=columns, layout=layout, schema=table.schema)
    if layout.kind == "long":
        check_runs(table.column(layout.curve_id).chunks)
    about = describe(
        plain(describe_model(model, bounds_of(model, options))),
        plain(options),
        {"rows": table.num_rows},
    )
    schema = result_schema(model.params, layout.id_type, about)
    batches = table.select(list(binding.columns)).to_batches(max_chunksize=_rows(table, layout))
    filled = (batch for batch in batches if batch.num_rows)
    rows = [fit_rows(c, model, options, schema) for c in as_curves(filled, binding, 0)]
    return pa.Table.from_batches(rows, schema=schema)


def _rows(table: pa.Table, layout: Layout) -> int:
    """Return how many rows to fit at a time."""
    if layout.kind == "list":
        y = table.column(layout.y[0])
        points = sum(len(chunk.flatten()) for chunk in y.chunks)
    else:
        points = table.num_rows * len(layout.y)
    wanted = BATCH_BYTES * table.num_rows // max(8 * points, 1)
    return int(min(max(wanted, 1), MOST_ROWS))
