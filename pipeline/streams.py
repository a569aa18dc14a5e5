"""Whatever gives an Arrow stream -> batches of rows, of a size that is good to fit.

pyarrow, polars, pandas and duckdb all hand out their tables by one method, ``__arrow_c_stream__``,
batch by batch and mostly without a copy. The batches are as large as their maker likes: a whole
table, or two thousand rows. Here large ones are divided and small ones are put together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from os import PathLike
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DatasetError
from .layout import is_list
from .nested import flat_batch, flat_schema, nested_fields
from .reading import BATCH_BYTES, MOST_ROWS


@runtime_checkable
class ArrowStream(Protocol):
    """What hands out its rows by Arrow's C stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """Return a capsule with an ArrowArrayStream."""


_REMEDIES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda given: isinstance(given, str | PathLike), "fit_dataset fits files"),
    (lambda given: isinstance(given, np.ndarray), "fit_curves fits arrays"),
    (lambda given: isinstance(given, Mapping), "make it a table: pyarrow.table({...})"),
    (lambda given: hasattr(given, "map_partitions"), "fit_dataframe fits dataframes of Dask"),
    (lambda given: hasattr(given, "collect"), "call its collect() first"),
    (lambda _: True, "make it a pyarrow.Table"),
)
"""What to do with that which is no stream, told from what it is."""


def open_stream(table: ArrowStream) -> pa.RecordBatchReader:
    """Return the reader of a table.

    Raises
    ------
    DatasetError
        When it gives no Arrow stream, or one that is no table.
    """
    kind = kind_of(table)
    if not isinstance(table, ArrowStream):
        remedy = next(text for holds, text in _REMEDIES if holds(table))
        raise DatasetError(
            f"got a {kind}, which gives no Arrow stream (__arrow_c_stream__); expected a table of "
            f"pyarrow, polars, pandas or duckdb, or a RecordBatchReader: {remedy}"
        )
    try:
        return pa.RecordBatchReader.from_stream(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DatasetError(
            f"got a {kind}, whose Arrow stream is no table of columns ({error}): give a table, its "
            "columns of one type each"
        ) from error


def kind_of(table: object) -> str:
    """Name the type of a table, such as ``polars.DataFrame``."""
    kind = type(table)
    home = kind.__module__.partition(".")[0]
    return kind.__qualname__ if home == "builtins" else f"{home}.{kind.__qualname__}"


def seen_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns as `seen` gives them."""
    return flat_schema(_plain_schema(schema))


def seen(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield rows as the rest of the pipeline takes them; copied is only what changes.

    Columns of a view type, which few of Arrow's functions take, become plain, and lists of structs
    a list for each of their fields.

    Parameters
    ----------
    batches
        Rows of any table.
    schema
        Their schema.
    """
    plain = _plain_schema(schema)
    nested = nested_fields(plain)
    for batch in batches:
        columns = [
            column if column.type == kind else _without_views(column, kind)
            for column, kind in zip(batch.columns, plain.types, strict=True)
        ]
        yield flat_batch(pa.RecordBatch.from_arrays(columns, schema=plain), nested)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns without view types."""
    fields = [field.with_type(_plain(field.type)) for field in schema]
    return pa.schema(fields, metadata=schema.metadata)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return a type that holds the same values and is no view."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(kind.value_type)
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _plain(kind.value_type), kind.ordered)
    return kind


def _without_views(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column of a view type as one of a plain type."""
    if not pa.types.is_large_list(kind):
        return column.cast(kind)
    # Arrow's own cast gives lists that lack an offset (seen in version 26).
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    null = column.is_null() if column.null_count else None
    return pa.LargeListArray.from_arrays(offsets, pc.list_flatten(column), mask=null)


def sized(batches: Iterable[pa.RecordBatch], y: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of half to one and a half times `BATCH_BYTES` of points.

    Parameters
    ----------
    batches
        Rows; no more than one batch is asked for ahead of what is yielded.
    y
        The columns of the values.
    """
    held: list[pa.RecordBatch] = []
    load = 0.0
    for batch in batches:
        weight = _weight(batch, y)
        rows = -(-batch.num_rows // max(1, ceil(weight)))
        for start in range(0, batch.num_rows, max(1, rows)):
            held.append(batch.slice(start, rows))
            load += weight * held[-1].num_rows / batch.num_rows
            if load >= 0.5:
                yield _joined(held)
                held, load = [], 0.0
    if held:
        yield _joined(held)


def _weight(batch: pa.RecordBatch, y: Sequence[str]) -> float:
    """Return how many batches of the best size the rows would make."""
    rows: int = batch.num_rows
    points = rows * len(y)
    column = batch.column(y[0])
    if is_list(column.type):
        points = pc.sum(pc.list_value_length(column)).as_py() or 0
    return max(8 * points / BATCH_BYTES, rows / MOST_ROWS)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Put batches together, without a copy if there is one."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
