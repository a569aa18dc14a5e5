"""Columns that are in the names of folders: ``plate=A1/dose=3/part.parquet``.

Each ``name=value`` in the path of a file is a column with that value in every row. A column is of
integers, or numbers, if the values of all files are, and none would be written otherwise (``007``
stays text). A column of that name in the file itself comes first.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from .places import Place

NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for null."""

HiveTypes = Mapping[str, pa.DataType]
HiveValues = tuple[tuple[str, str | None], ...]


def hive_values(path: Place) -> HiveValues:
    """Return the columns that the folders of a file name, with their text; the last of a name."""
    found: dict[str, str | None] = {}
    for folder in path.parent.parts:
        name, equals, text = folder.partition("=")
        if name and equals:
            found[unquote(name)] = None if text == NULL else unquote(text)
    return tuple(found.items())


def hive_types(files: Iterable[HiveValues]) -> dict[str, pa.DataType]:
    """Return the type of each such column."""
    texts: dict[str, set[str]] = {}
    for values in files:
        for name, text in values:
            texts.setdefault(name, set()).update(() if text is None else (text,))
    return {name: _type_of(found) for name, found in texts.items()}


def with_hive(schema: pa.Schema, types: HiveTypes) -> pa.Schema:
    """Return a schema with the columns that folders name."""
    more = [pa.field(name, kind) for name, kind in types.items() if name not in schema.names]
    return pa.schema([*schema, *more], metadata=schema.metadata) if more else schema


def hive_array(values: HiveValues, name: str, types: HiveTypes, rows: int) -> pa.Array:
    """Return the column of one file, of so many rows; null where its folders do not name it."""
    return pa.repeat(pa.scalar(_value(dict(values).get(name), types[name]), types[name]), rows)


def _type_of(texts: set[str]) -> pa.DataType:
    """Return the type that suits all values."""
    if texts and all(map(_is_integer, texts)):
        return pa.int64()
    return pa.float64() if texts and all(map(_is_number, texts)) else pa.string()


def _is_integer(text: str) -> bool:
    """Whether a text is how an integer is written."""
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdecimal() and (digits == "0" or digits[0] != "0")
    return plain and abs(int(text)) < 1 << 63


def _is_number(text: str) -> bool:
    """Whether a text is how a finite number is written."""
    try:
        return math.isfinite(float(text)) and (_is_integer(text) or not text.lstrip("-").isdigit())
    except ValueError:
        return False


def _value(text: str | None, kind: pa.DataType) -> Any:
    """Return the value that a text stands for."""
    if text is None or pa.types.is_string(kind):
        return text
    return int(text) if pa.types.is_integer(kind) else float(text)
