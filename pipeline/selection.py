"""What is read of Parquet files: some columns, of the rows for which a condition holds.

The condition goes down to the reader: row groups whose statistics, or whose folders, say that no
row can be meant are not read at all. Columns that are in the names of folders, or within lists of
structs, come out as if they were columns of the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .files import File
from .hive import hive_array, with_hive
from .nested import flat_batch, nested_fields, stored_paths
from .where import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which columns of which rows.

    Attributes
    ----------
    columns
        Their names, as in the schema of the data set.
    hive
        The columns that are in the names of folders, and their types.
    where
        The condition for a row; None: all.
    """

    columns: tuple[str, ...]
    hive: Mapping[str, pa.DataType] = field(default_factory=dict)
    where: Where | None = None

    def kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that are meant, with the columns that are, of what `read` gives."""
        if self.where is None:
            return batch
        return batch.filter(self.where.expression).select(list(self.columns))

    def read(
        self, parquet: Any, file: File, rows: int, groups: Sequence[int]
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows of some row groups, with the columns and those of the condition.

        Parameters
        ----------
        parquet, file
            The open file, and what is known of it.
        rows
            How many to read at a time.
        groups
            Which row groups.
        """
        schema = parquet.schema_arrow
        wanted = dict.fromkeys([*self.columns, *(self.where.columns if self.where else ())])
        absent = [n for n in wanted if n in self.hive and n not in schema.names]
        nested = nested_fields(schema)
        paths = [parquet.schema.column(j).path for j in range(len(parquet.schema.names))]
        stored = stored_paths([n for n in wanted if n not in absent], nested, paths)
        for batch in parquet.iter_batches(
            rows, row_groups=list(groups), columns=stored, use_threads=False
        ):
            seen = flat_batch(batch, nested)
            for name in absent:
                column = hive_array(file.hive, name, self.hive, batch.num_rows)
                seen = seen.append_column(name, column)
            yield seen

    def groups(self, parquet: Any, file: File) -> frozenset[int]:
        """Return the row groups that may have rows that are meant, by their statistics."""
        everything = frozenset(range(parquet.metadata.num_row_groups))
        if self.where is None:
            return everything
        # Loads pandas, where there is one, for a second.
        import pyarrow.dataset as ds  # noqa: PLC0415

        schema = with_hive(parquet.schema_arrow, self.hive)
        said = _folders(file, self.hive, parquet.schema_arrow)
        with file.place.open("rb") as stream:
            fragment = ds.ParquetFileFormat().make_fragment(
                pa.PythonFile(stream, mode="r"), partition_expression=said
            )
            found = fragment.subset(filter=self.where.expression, schema=schema)
            return frozenset(group.id for group in found.row_groups)


def _folders(file: File, hive: Mapping[str, pa.DataType], schema: pa.Schema) -> Any:
    """Say as a condition what the folders of a file say of all its rows."""
    said = pc.scalar(True)  # noqa: FBT003 - a value
    for name in hive:
        if name not in schema.names:
            value = hive_array(file.hive, name, hive, 1)[0]
            column = pc.field(name)
            said = said & (column == value if value.is_valid else column.is_null())
    return said
