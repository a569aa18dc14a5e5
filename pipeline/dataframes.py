"""fit_dataframe: curves of a Dask dataframe, fitted where its partitions are.

A partition is fitted by itself, so no curve may lie in two of them. Where a row is a curve none
does. Long rows are taken only if the curve id is the index and the divisions are known: then Dask
vouches for it, and each task looks whether its last curve is one that begins the next partition.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..solver.model import Model
from ..solver.options import FitOptions
from .binding import Binding, StartValues, bind
from .columns import Columns
from .errors import DatasetError
from .identity import bounds_of, plain
from .layout import Layout, column_type, find_layout
from .nested import nested_fields
from .packing import packed, unpacked
from .scan import checked_runs
from .schema import describe, describe_model, result_schema
from .streams import kind_of, seen, seen_schema, sized
from .table import fit_rows, rehearse
from .task import as_curves

_TRIED_ROWS = 1 << 10
"""Rows that are looked at before tasks are made: for the types of columns, and for the model."""

_ID = "curve_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFit:
    """What all partitions of a dataframe have in common; with one, the work of a task.

    Attributes
    ----------
    binding, model, options
        Which columns feed the model, and how it is fitted.
    rows
        The schema of what is read, as `seen` gives it.
    schema
        Of the result, its curve id first.
    index
        The name of the index.
    divisions
        Where partitions of long rows begin, and the end of the last.
    """

    binding: Binding
    model: Model
    options: FitOptions
    rows: pa.Schema
    schema: pa.Schema
    index: str | None
    divisions: tuple[Any, ...] = ()

    def fit(self, partition: Any) -> Any:
        """Fit the curves of a partition, a pandas dataframe; see `fit_dataframe`.

        Raises
        ------
        DatasetError
            When a curve goes on in another partition, or its rows lie apart.
        """
        table = _as_rows(partition, self.index).select(self.rows.names).cast(self.rows)
        batches = sized(table.to_batches(), self.binding.layout.y)
        if self.divisions:
            self._check_whole(partition.index)
            batches = checked_runs(batches, str(self.index))
        fits = [
            fit_rows(curves, self.model, self.options, self.schema)
            for curves in as_curves(batches, self.binding, 0)
        ]
        found = self.frame_of(pa.Table.from_batches(fits, schema=self.schema))
        return found if self.divisions else found.set_axis(partition.index)

    def frame_of(self, table: pa.Table) -> Any:
        """Return results as pandas has them: the covariance as lists of Arrow, no objects."""
        import pandas as pd  # noqa: PLC0415 - is optional, and takes its time

        found = table.to_pandas(
            types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_nested(kind) else None
        )
        if self.divisions:
            return found.set_index(_ID).rename_axis(self.index)
        named = self.binding.layout.curve_id not in {None, self.index}
        return found if named else found.drop(columns=_ID)

    def _check_whole(self, ids: Any) -> None:
        """Refuse when the last curve is one with which another partition begins."""
        if len(ids) and ids[-1] != ids[0] and ids[-1] in self.divisions[1:-1]:
            raise DatasetError(
                f"the rows of curve {ids[-1]} lie in two partitions of the dataframe: make it "
                f"whole with frame.reset_index().set_index({self.index!r})"
            )


def fit_dataframe(
    frame: Any,
    model: Model | Callable[..., Any],
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    p0: StartValues | None = None,
) -> Any:
    """Fit a model to every curve of a Dask dataframe; the result is a Dask dataframe.

    The first rows are read at once: they tell the types of the columns, and the model is tried on
    them. The fits are done by the scheduler when the result is computed or written, each partition
    by itself.

    Parameters
    ----------
    frame
        A ``dask.dataframe.DataFrame``: a list column a curve, one column a point, or long rows. Of
        long rows the index must be the curve id, with known divisions. Lists must be of Arrow's
        types, such as ``dask.dataframe.read_parquet(..., dtype_backend="pyarrow")`` gives: plain
        ones Dask turns into text.
    model
        A `Model`, or a NumPy function ``f(x, a, b, ...)``.
    columns, options, p0
        As in `fit_table`; an index with a name is a column. Rows are taken by the dataframe's own
        means, not by `where`.

    Returns
    -------
    A dataframe with the columns of the result table and the index of the input; of long rows, the
    curve id. Curves without an id are not numbered: the index tells them apart.

    Raises
    ------
    DatasetError
        When this is no Dask dataframe, has no rows, cannot be read as curves of the model, or cuts
        curves.
    ValueError
        When options or p0 do not suit the model.
    """
    if not hasattr(frame, "map_partitions"):
        raise DatasetError(
            f"got a {kind_of(frame)}; expected a dask.dataframe.DataFrame: fit_table fits tables "
            "in memory"
        )
    columns, options = columns or Columns(), options or FitOptions()
    if columns.where:
        raise DatasetError(
            f"where is given ({columns.where!r}), but the data are a dataframe: select its rows "
            "first, frame[frame.dose > 3]"
        )
    if not isinstance(model, Model):
        model = Model.from_function(model)
    index = frame.index.name
    first = _as_rows(_first_rows(frame), index)
    _check_lists(columns, first.schema)
    layout = find_layout(columns, first.schema)
    if layout.kind == "long":
        _check_divisions(frame, layout)
    binding = bind(model, options, p0, columns=columns, layout=layout, schema=first.schema)
    rows = first.select(list(binding.columns))
    settled, fitting = rehearse(next(as_curves(rows.to_batches(), binding, 0)), model, options)
    about = describe(
        plain(describe_model(settled, bounds_of(model, options))),
        plain(options),
        {"table": kind_of(frame)},
    )
    work = PartitionFit(
        binding=binding,
        model=settled,
        options=fitting,
        rows=rows.schema.remove_metadata(),
        schema=result_schema(
            model.params,
            layout.id_type,
            about,
            derived=tuple(model.derived),
            keep=binding.keep,
        ),
        index=index,
        divisions=tuple(frame.divisions) if layout.kind == "long" else (),
    )
    nested = nested_fields(pa.Schema.from_pandas(frame._meta))  # noqa: SLF001
    stored = [nested[n].column if n in nested else n for n in binding.columns if n != index]
    read = frame[list(dict.fromkeys(stored))]
    meta = work.frame_of(work.schema.empty_table())
    if not work.divisions:
        meta = meta.set_axis(frame._meta.index)  # noqa: SLF001 - as Dask's own guide does
    return read.map_partitions(_fit_packed, packed(work, settled), meta=meta)


def _as_rows(partition: Any, index: str | None) -> pa.Table:
    """Return a pandas dataframe as `seen` gives it, an index with a name among the columns."""
    table = pa.Table.from_pandas(partition, preserve_index=index is not None)
    return pa.Table.from_batches(seen(table.to_batches(), table.schema), seen_schema(table.schema))


def _first_rows(frame: Any) -> Any:
    """Return the first rows there are."""
    for part in frame.partitions:
        rows = part.map_partitions(lambda rows: rows.head(_TRIED_ROWS), meta=frame._meta).compute()  # noqa: SLF001
        if len(rows):
            return rows
    raise DatasetError(f"the dataframe has no rows; its columns are {list(frame.columns)}")


def _check_lists(columns: Columns, schema: pa.Schema) -> None:
    """Refuse lists that have become text."""
    if not isinstance(columns.y, str) or columns.y not in schema.names:
        return
    kind = column_type(columns.y, schema, "y")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        raise DatasetError(
            f"y: column {columns.y!r} holds text ({kind}); expected lists of numbers. Dask turns "
            "lists of Python or NumPy into text: read them with dtype_backend='pyarrow', or give "
            "them a pandas.ArrowDtype"
        )


def _check_divisions(frame: Any, layout: Layout) -> None:
    """Refuse long rows whose curves may be cut by the borders of partitions."""
    if layout.curve_id == frame.index.name and frame.known_divisions:
        return
    why = (
        "its divisions are not known"
        if layout.curve_id == frame.index.name
        else f"its index is {frame.index.name!r}"
    )
    raise DatasetError(
        f"the dataframe has a point a row, and the borders of its partitions may cut curves "
        f"({why}): make the curve id its index, frame.set_index({layout.curve_id!r})"
    )


def _fit_packed(partition: Any, payload: bytes) -> Any:
    """Fit a partition, of work that was pickled by `packed`; what Dask calls."""
    work: PartitionFit = unpacked(payload)
    return work.fit(partition)
