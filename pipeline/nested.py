"""Lists of structs, ``list<struct<x, y, sigma>>``, seen as a list column for each of their fields.

A field is known by its own name, or as ``column.field`` where another column or field has that
name. Only the fields that are asked for are read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .exchange import as_arrow, as_numpy


@dataclass(frozen=True, slots=True)
class Nested:
    """A field of a column of lists of structs."""

    column: str
    field: str

    def is_stored_at(self, path: str) -> bool:
        """Whether values at a path of the Parquet schema are those of this field."""
        return path.startswith(f"{self.column}.") and path.endswith(f".{self.field}")


def nested_fields(schema: pa.Schema) -> dict[str, Nested]:
    """Return the fields of all lists of structs by the names under which they are seen."""
    found = [
        Nested(column.name, column.type.value_type.field(j).name)
        for column in schema
        if _is_nested(column.type)
        for j in range(column.type.value_type.num_fields)
    ]
    times = Counter([*schema.names, *(nested.field for nested in found)])
    return {n.field if times[n.field] == 1 else f"{n.column}.{n.field}": n for n in found}


def flat_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns as they are seen: lists of structs give way to a list for each field."""
    names = {nested: name for name, nested in nested_fields(schema).items()}
    if not names:
        return schema
    return pa.schema(list(_flat_fields(schema, names)), metadata=schema.metadata)


def flat_batch(batch: pa.RecordBatch, names: Mapping[str, Nested]) -> pa.RecordBatch:
    """Return a batch with its lists of structs taken apart; `names` as of the whole schema."""
    if not any(_is_nested(kind) for kind in batch.schema.types):
        return batch
    seen = {nested: name for name, nested in names.items()}
    columns: dict[str, pa.Array] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _is_nested(field.type):
            columns |= {
                seen[Nested(field.name, part)]: array for part, array in _taken_apart(column)
            }
        else:
            columns[field.name] = column
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def stored_paths(names: Sequence[str], nested: Mapping[str, Nested], paths: Sequence[str]) -> Any:
    """Return what to ask a Parquet reader for, to see some columns."""
    wanted: list[str] = []
    for name in names:
        if name in nested:
            wanted += [path for path in paths if nested[name].is_stored_at(path)]
        else:
            wanted.append(name)
    return wanted


def _is_nested(kind: pa.DataType) -> bool:
    """Whether a column of this type holds a list of structs a row."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in lists) and bool(pa.types.is_struct(kind.value_type))


def _list_of(kind: pa.DataType, value: pa.DataType) -> pa.DataType:
    """Return the type of lists of the same kind of other values."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(value, kind.list_size)
    return pa.large_list(value) if pa.types.is_large_list(kind) else pa.list_(value)


def _flat_fields(schema: pa.Schema, names: Mapping[Nested, str]) -> Iterator[pa.Field]:
    """Yield the columns as they are seen."""
    for column in schema:
        if not _is_nested(column.type):
            yield column
            continue
        struct = column.type.value_type
        for part in (struct.field(j) for j in range(struct.num_fields)):
            name = names[Nested(column.name, part.name)]
            yield pa.field(name, _list_of(column.type, part.type))


def _taken_apart(lists: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield a list array for each field; a null struct is null in each of them."""
    kind = lists.type
    null = lists.is_null() if lists.null_count else None
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        values = lists.values[lists.offset * size : (lists.offset + len(lists)) * size]
        for j, part in enumerate(values.flatten()):
            made = pa.FixedSizeListArray.from_arrays(part, size, mask=null)
            yield kind.value_type.field(j).name, made
        return
    make = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    offsets = as_numpy(lists.offsets)
    values = lists.values[offsets[0] : offsets[-1]]
    begins = as_arrow(offsets - offsets[0])  # a copy: a mask and a slice do not go together
    for j, part in enumerate(values.flatten()):
        yield kind.value_type.field(j).name, make.from_arrays(begins, part, mask=null)
