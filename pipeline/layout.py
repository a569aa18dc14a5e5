"""How curves lie in rows: a list a row, a point a row, or a column a point.

The Arrow schema decides, from the columns that the user named:

    list    y is a list column                            a row is a curve
    long    y is a number, and there is a curve id        a row is a point
    wide    y is several columns of numbers               a row is a curve

Zarr arrays are a fourth kind: they are given a schema as if a row were a curve (`arrays.dataset`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from .arrays.grid import Grid
from .columns import Columns, Points
from .errors import DatasetError
from .sources import Constant, PerCurve, PerPoint, Shared, Source

Kind: TypeAlias = Literal["list", "long", "wide", "zarr"]

ARRAYS = {b"manyfit.what": b"array"}
"""Metadata of a schema whose columns stand for arrays, so that messages say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where curves, their names and their weights are in the rows of one schema.

    Attributes
    ----------
    kind
        "list", "long", "wide" or "zarr".
    y
        The columns of the values; one, unless `kind` is "wide".
    curve_id
        The column that names the curves; None: they are numbered.
    id_type
        Its type in the result.
    n_points
        Points a curve where the schema says so: a fixed-size list, or wide.
    sigma
        Where sigma comes from; None: not given.
    grid
        How the curves lie in arrays, if `kind` is "zarr".
    """

    kind: Kind
    y: tuple[str, ...]
    curve_id: str | None
    id_type: Any
    n_points: int | None
    sigma: Source | None = None
    grid: Grid | None = None

    @property
    def numbered(self) -> bool:
        """Whether curves have no names but numbers that shift with the files before them."""
        return self.curve_id is None and self.grid is None

    def __str__(self) -> str:
        """Describe the layout on one line."""
        how = {"list": "a list a row", "long": "a point a row", "wide": "a column a point"}
        named = f"named by {self.curve_id}" if self.curve_id else "numbered"
        sigma = f", sigma: {self.sigma}" if self.sigma else ""
        place = self.grid or f"({how[self.kind]})"
        return f"{self.kind} {place}, y: {PerPoint(self.y)}{sigma}, curves {named}"


def find_layout(columns: Columns, schema: pa.Schema) -> Layout:
    """Infer the layout from the schema and the columns that were named.

    Raises
    ------
    DatasetError
        When a column is missing or of a type that cannot serve.
    """
    y = _y_columns(columns.y, schema)
    id_column = _id_column(columns.curve_id, schema)
    kind, n_points = _kind(columns.y, y, id_column, schema)
    id_type = _id_type(id_column, kind, schema)
    bare = Layout(kind=kind, y=y, curve_id=id_column, id_type=id_type, n_points=n_points)
    if columns.sigma is None:
        return bare
    return replace(bare, sigma=find_source(columns.sigma, "sigma", bare, schema))


def find_source(given: Points | Any, what: str, layout: Layout, schema: pa.Schema) -> Source:
    """Say where an input that is given for points or curves comes from.

    Raises
    ------
    DatasetError
        When a column is missing or of the wrong type, or sizes do not agree.
    """
    if isinstance(given, float | int):
        return Constant(float(given))
    if isinstance(given, tuple) and not isinstance(given[0], str):
        return _shared(tuple(float(v) for v in given), what, layout)
    names = [given] if isinstance(given, str) else [str(name) for name in given]
    found = tuple(name for text in names for name in matching(text, schema, what))
    if layout.kind == "wide" and (len(found) > 1 or is_glob(names[0], schema)):
        return _wide_points(found, what, layout, schema)
    if len(found) > 1:
        raise DatasetError(
            f"{what} names {len(found)} columns ({found[0]!r} ...), but curves are in layout "
            f"{layout.kind}: give one column"
        )
    return _one_column(found[0], what, layout, schema)


def column_type(name: str, schema: pa.Schema, what: str) -> pa.DataType:
    """Return the type of a column, or say which columns there are.

    Raises
    ------
    DatasetError
        When there is no such column.
    """
    index = schema.get_field_index(name)
    if index >= 0:
        return schema.field(index).type
    if schema.names.count(name) > 1:
        raise DatasetError(f"{what}: there are several columns {name!r}; give each its own name")
    close = get_close_matches(name, schema.names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise DatasetError(f"{what}: there is no {noun(schema)} {name!r}; {hint}{_there(schema)}")


def matching(text: str, schema: pa.Schema, what: str) -> tuple[str, ...]:
    """Return the columns that a name or a glob stands for, in natural order.

    Raises
    ------
    DatasetError
        When there is none.
    """
    if not is_glob(text, schema):
        column_type(text, schema, what)
        return (text,)
    found = sorted((n for n in schema.names if fnmatchcase(n, text)), key=natural_key)
    if not found:
        raise DatasetError(f"{what}: no column matches {text!r}; {_there(schema)}")
    return tuple(found)


def is_glob(text: str, schema: pa.Schema) -> bool:
    """Tell a pattern from a name; a column that has the very name is meant itself."""
    return any(c in text for c in "*?[") and text not in schema.names


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort ``y_2`` before ``y_10``: digits compare as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts if p]


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers that a fit can take."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds a list of something a row."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def noun(schema: pa.Schema) -> str:
    """Return what the columns of a schema are to the user: columns, or arrays."""
    return "array" if (schema.metadata or {}).items() >= ARRAYS.items() else "column"


def _there(schema: pa.Schema) -> str:
    """List the columns there are, not more than fit a message."""
    names = schema.names
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"there are {', '.join(names[:20])}{more}"


def _y_columns(given: str | Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns of the values, each once."""
    names = [given] if isinstance(given, str) else given
    found = tuple(name for text in names for name in matching(text, schema, "y"))
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise DatasetError(f"y names the column {twice!r} twice: each point has its own column")
    return found


def _id_column(given: str | None, schema: pa.Schema) -> str | None:
    """Return the column that names the curves, if any."""
    if given is not None:
        column_type(given, schema, "curve_id")
        return given
    return "curve_id" if "curve_id" in schema.names else None


def _kind(
    given: str | Sequence[str], y: tuple[str, ...], curve_id: str | None, schema: pa.Schema
) -> tuple[Kind, int | None]:
    """Decide the layout, and the points a curve where the schema fixes them."""
    types = [column_type(name, schema, "y") for name in y]
    if len(y) == 1 and is_list(types[0]):
        _check_list(types[0], y[0], "y", schema)
        fixed = pa.types.is_fixed_size_list(types[0])
        return "list", int(types[0].list_size) if fixed else None
    for name, kind in zip(y, types, strict=True):
        if not is_number(kind):
            raise DatasetError(
                f"y: {noun(schema)} {name!r} is of type {kind}; expected numbers, or one list of "
                "numbers"
            )
    if not isinstance(given, str) or is_glob(given, schema):
        return "wide", len(y)
    if curve_id is None:
        raise DatasetError(
            f"y: column {y[0]!r} holds one number a row ({types[0]}) and nothing says to which "
            "curve it belongs: name the column of the curve id (curve_id=...), or all columns of "
            f"a curve (y='{y[0]}*'); {_there(schema)}"
        )
    return "long", None


def _id_type(name: str | None, kind: Kind, schema: pa.Schema) -> pa.DataType:
    """Return the type of the curve id in the result; dictionaries give way to their values."""
    if name is None:
        return pa.int64()
    found = column_type(name, schema, "curve_id")
    if pa.types.is_dictionary(found):
        found = found.value_type
    text = pa.types.is_string(found) or pa.types.is_large_string(found)
    if kind == "long" and not (pa.types.is_integer(found) or text):
        raise DatasetError(
            f"curve_id: column {name!r} is of type {found}; for long rows expected integers or "
            "strings: cast the column"
        )
    if pa.types.is_nested(found):
        raise DatasetError(
            f"curve_id: {noun(schema)} {name!r} is of type {found}; expected a plain value"
        )
    return found


def _check_list(kind: pa.DataType, name: str, what: str, schema: pa.Schema) -> None:
    """Refuse lists of anything but numbers."""
    if not is_number(kind.value_type):
        raise DatasetError(
            f"{what}: {noun(schema)} {name!r} is of type {kind}; expected a list of numbers: cast "
            "it"
        )


def _shared(values: tuple[float, ...], what: str, layout: Layout) -> Shared:
    """Check values that all curves share against the points of a curve."""
    if layout.kind == "long":
        raise DatasetError(
            f"{what} is given as {len(values)} numbers, but the data are long rows, one a point: "
            f"name the column that holds {what} of each row"
        )
    if layout.n_points not in {None, len(values)}:
        raise DatasetError(
            f"{what} has {len(values)} values, but each curve has {layout.n_points} points "
            f"(y: {PerPoint(layout.y)}): give one value a point"
        )
    return Shared(values)


def _wide_points(found: tuple[str, ...], what: str, layout: Layout, schema: pa.Schema) -> PerPoint:
    """Check columns that go with the columns of y one to one."""
    if len(found) != len(layout.y):
        raise DatasetError(
            f"{what} has {len(found)} columns ({PerPoint(found)}), but y has {len(layout.y)} "
            f"({PerPoint(layout.y)}): expected as many"
        )
    for name in found:
        _check_number(name, what, schema)
    return PerPoint(found)


def _one_column(name: str, what: str, layout: Layout, schema: pa.Schema) -> Source:
    """Say whether one column has a value a point or a value a curve, and check its type."""
    kind = column_type(name, schema, what)
    if layout.kind not in {"list", "zarr"} or not is_list(kind):
        _check_number(name, what, schema)
        return PerPoint((name,)) if layout.kind == "long" else PerCurve(name)
    _check_list(kind, name, what, schema)
    if pa.types.is_fixed_size_list(kind) and layout.n_points not in {None, kind.list_size}:
        raise DatasetError(
            f"{what}: column {name!r} has {kind.list_size} values a curve, but y has "
            f"{layout.n_points}: expected as many"
        )
    return PerPoint((name,))


def _check_number(name: str, what: str, schema: pa.Schema) -> None:
    """Refuse a column that is not of numbers."""
    kind = column_type(name, schema, what)
    if not is_number(kind):
        raise DatasetError(
            f"{what}: {noun(schema)} {name!r} is of type {kind}; expected numbers: cast it"
        )
