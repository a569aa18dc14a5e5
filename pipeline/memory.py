"""fit_table: curves of an Arrow table or stream, fitted in this process, as an Arrow table."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import Binding, StartValues, bind
from .columns import Columns
from .curves import Curves
from .errors import DatasetError
from .identity import bounds_of, plain
from .layout import find_layout
from .scan import checked_runs
from .schema import describe, describe_model, result_schema
from .streams import ArrowStream, kind_of, open_stream, seen, seen_schema, sized
from .table import fit_rows, rehearse
from .task import as_curves
from .where import parse_where


def fit_table(
    table: ArrowStream,
    model: Model | Callable[..., Any],
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    p0: StartValues | None = None,
) -> pa.Table:
    """Fit a model to every curve of a table in memory or of a stream, without a cluster.

    Rows are taken, fitted and forgotten batch by batch: of a stream that is larger than memory,
    one batch and the result are held. A stream is read once, so long rows of a curve that lie apart
    are found when they come.

    Parameters
    ----------
    table
        Curves in any layout that `open_dataset` takes, from whatever has ``__arrow_c_stream__``:
        tables of pyarrow, polars and pandas, relations of duckdb, a ``pyarrow.RecordBatchReader``.
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
        When the table gives no Arrow stream, or cannot be read as curves of the model.
    ValueError
        When options or p0 do not suit the model.
    """
    columns, options = columns or Columns(), options or FitOptions()
    if not isinstance(model, Model):
        model = Model.from_function(model)
    reader = open_stream(table)
    schema = seen_schema(reader.schema)
    layout = find_layout(columns, schema)
    where = parse_where(columns.where, schema) if columns.where else None
    binding = bind(model, options, p0, columns=columns, layout=layout, schema=schema, where=where)
    curves = _curves(reader, binding)
    first = next(curves, None)
    if first is None:
        raise DatasetError(
            f"no row of the table is taken by where: {where}. Check its values, and that the table "
            "has rows"
            if where
            else f"the table has no rows; its columns are {schema.names}"
        )
    model, fitting = rehearse(first, model, options)
    about = describe(
        plain(describe_model(model, bounds_of(model, options))),
        plain(options),
        {"table": kind_of(table)},
    )
    result = result_schema(
        model.params, layout.id_type, about, derived=tuple(model.derived), keep=binding.keep
    )
    rows = [fit_rows(c, model, fitting, result) for c in chain([first], curves)]
    return pa.Table.from_batches(rows, schema=result)


def _curves(reader: pa.RecordBatchReader, binding: Binding) -> Iterator[Curves]:
    """Yield the curves of a stream, the rows of those before them forgotten."""
    layout = binding.layout
    batches = sized(_selected(reader, binding), layout.y)
    if layout.kind == "long":
        batches = checked_runs(batches, str(layout.curve_id))
    return map(_on_its_own, as_curves(batches, binding, 0))


def _on_its_own(curves: Curves) -> Curves:
    """Copy what goes into the result: a column of a stream keeps its whole batch in memory."""
    rows = pa.array(np.arange(len(curves)))
    return replace(curves, ids=curves.ids.take(rows), keep=tuple(c.take(rows) for c in curves.keep))


def _selected(reader: pa.RecordBatchReader, binding: Binding) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are taken, with the columns that are read."""
    selection = binding.selection
    for batch in seen(reader, reader.schema):
        kept = selection.kept(batch)
        if kept.num_rows:
            yield kept.select(list(selection.columns))
