"""fit_table: curves in an Arrow table, fitted in this process, as an Arrow table."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import StartValues, bind
from .columns import Columns
from .errors import DatasetError
from .identity import bounds_of, plain
from .layout import Layout, find_layout
from .nested import flat_batch, flat_schema, nested_fields
from .reading import BATCH_BYTES, MOST_ROWS
from .scan import check_runs
from .schema import describe, describe_model, result_schema
from .table import fit_rows, rehearse
from .task import as_curves
from .where import parse_where


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
    table = _seen(table)
    layout = find_layout(columns, table.schema)
    if not table.num_rows:
        raise DatasetError(f"the table has no rows; its columns are {table.schema.names}")
    where = parse_where(columns.where, table.schema) if columns.where else None
    if where is not None and not (table := table.filter(where.expression)).num_rows:
        raise DatasetError(f"no row of the table is taken by where: {where}. Check its values")
    binding = bind(
        model, options, p0, columns=columns, layout=layout, schema=table.schema, where=where
    )
    if layout.kind == "long":
        check_runs(table.column(layout.curve_id).chunks)
    batches = table.select(list(binding.columns)).to_batches(max_chunksize=_rows(table, layout))
    curves = as_curves((batch for batch in batches if batch.num_rows), binding, 0)
    first = next(curves)
    model, fitting = rehearse(first, model, options)
    about = describe(
        plain(describe_model(model, bounds_of(model, options))),
        plain(options),
        {"rows": table.num_rows},
    )
    schema = result_schema(
        model.params, layout.id_type, about, derived=tuple(model.derived), keep=binding.keep
    )
    rows = [fit_rows(c, model, fitting, schema) for c in chain([first], curves)]
    return pa.Table.from_batches(rows, schema=schema)


def _seen(table: pa.Table) -> pa.Table:
    """Return a table with its lists of structs taken apart."""
    nested = nested_fields(table.schema)
    if not nested:
        return table
    batches = [flat_batch(batch, nested) for batch in table.to_batches()]
    return pa.Table.from_batches(batches, schema=flat_schema(table.schema))


def _rows(table: pa.Table, layout: Layout) -> int:
    """Return how many rows to fit at a time."""
    if layout.kind == "list":
        y = table.column(layout.y[0])
        points = sum(len(chunk.flatten()) for chunk in y.chunks)
    else:
        points = table.num_rows * len(layout.y)
    wanted = BATCH_BYTES * table.num_rows // max(8 * points, 1)
    return int(min(max(wanted, 1), MOST_ROWS))
