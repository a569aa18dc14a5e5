"""A group of Zarr arrays -> a data set: its tiles are what files are to Parquet.

To all that follows the group looks like a table with a row a curve: arrays that run along a fit
dimension are columns of lists of one size, arrays of the map dimensions alone are columns of
numbers. So the same code binds both to a model, and misuse of both has the same messages.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa

from ..blocks import Block
from ..columns import Columns
from ..dataset import Dataset
from ..errors import DatasetError
from ..files import File, Paths, is_zarr
from ..layout import ARRAYS, find_layout
from ..where import Where, parse_where
from .dims import Prefer, Shape, choose_fit, place
from .grid import Grid, Placed, tile_shape
from .single import taken_curves
from .store import Arrays

_START = "p0_"
_KINDS = "biufMmOTU"
"""Kinds of NumPy types that can be columns: truth values, numbers, times and texts."""


@dataclass(frozen=True, slots=True)
class Group:
    """The arrays of a group that can be read as curves.

    Attributes
    ----------
    placed
        Where they lie in y, by name.
    strange
        Why others do not.
    """

    placed: Mapping[str, Placed]
    strange: Mapping[str, str]


def open_arrays(paths: Paths, columns: Columns) -> Dataset:
    """Open a Zarr group as a data set and check all that can be checked without a model.

    Parameters
    ----------
    paths
        One group, or one array in a group.
    columns
        Which array is what.

    Raises
    ------
    DatasetError
        When an array is missing, has dimensions that do not go with those of y, or is of a type
        that cannot serve; when it is not clear along which dimension curves run.
    """
    path = _one_path(paths)
    arrays = Arrays(path)
    y_name = _y_name(arrays, columns)
    y = arrays.shape(y_name)
    if 0 in y.sizes:
        raise DatasetError(f"y: array {y_name!r} has nothing in it: its dimensions are {y}")
    names = _names(arrays, columns, y_name)
    fit = choose_fit(y, columns.axes, *_x_hints(arrays, columns, names, y))
    group = _group(arrays, columns, names, y_name, y, fit)
    array = arrays.array(y_name)
    grid = Grid(
        dims=y.labels,
        shape=y.sizes,
        fit=fit,
        tile=tile_shape(y.sizes, array.chunks, fit, array.dtype.itemsize, array.shards),
        arrays=group.placed,
        mask=columns.mask,
    )
    _check_named(columns, arrays, group)
    columns = replace(columns, y=y_name, x=_spread(columns.x, grid))
    schema = _schema(arrays, group.placed, grid)
    layout = replace(find_layout(columns, schema), kind="zarr", grid=grid)
    where = parse_where(columns.where, schema) if columns.where else None
    return Dataset(
        files=tuple(_files(arrays, y_name, grid)),
        schema=schema,
        differences={},
        columns=columns,
        layout=layout,
        blocks=tuple(_blocks(arrays, y_name, grid, where)),
        where=where,
    )


def _blocks(arrays: Arrays, y: str, grid: Grid, where: Where | None) -> list[Block]:
    """Return the tiles as blocks, a column of chunks after the other.

    Those without a curve that is taken are left out.

    Raises
    ------
    DatasetError
        When no curve is taken, or an array of the condition cannot be read.
    """
    blocks, chunks = list[Block](), arrays.array(y).chunks
    columns = {k: grid.column(k, chunks) for k in range(grid.n_tiles)}
    last = None
    for k in sorted(columns, key=lambda k: columns[k]):
        try:
            taken = taken_curves(arrays, grid, where, k)
        except OSError as error:
            raise DatasetError(f"where: {error}") from error
        n = grid.curves(k) if taken is None else len(taken)
        if n:
            n_bytes, head = 8 * n * grid.n_points, columns[k] != last
            blocks.append(Block(file=k, row=0, rows=1, curves=n, n_bytes=n_bytes, head=head))
            last = columns[k]
    if not blocks and where is not None:
        raise DatasetError(
            f"no curve of {arrays.path} is taken by where: {where}. Check its values against the "
            f"arrays {', '.join(where.columns)}"
        )
    return blocks


def _one_path(paths: Paths) -> str:
    """Return the path of the group."""
    given = [os.fspath(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if len(given) > 1:
        other = next((p for p in given if not is_zarr(p)), None)
        why = f"{other} is not Zarr" if other else f"{len(given)} are given"
        raise DatasetError(
            f"Zarr is fitted one group at a time, but {why}: give {given[0]} alone, and the others "
            "to runs of their own"
        )
    return given[0]


def _y_name(arrays: Arrays, columns: Columns) -> str:
    """Return the array of the values: the one named, or else the one with most dimensions.

    Arrays that are named for something else are not meant, nor is an array ``y`` that is only the
    coordinate of a dimension of this name.
    """
    if not isinstance(columns.y, str):
        raise DatasetError(f"y must name one array of the Zarr group, got {columns.y}")
    if columns.y != "y":
        if columns.y not in arrays:
            raise DatasetError(f"y: {_no_array(columns.y, arrays)}")
        return columns.y
    if arrays.only:
        return arrays.only
    if "y" in arrays and arrays.shape("y").names != ("y",):
        return "y"
    others = {*_x_names(columns), *_others(columns)}
    ranks = {n: len(arrays.shape(n).sizes) for n in arrays.names if n not in others}
    most = [name for name, rank in ranks.items() if rank == max(ranks.values())]
    if len(most) == 1 and ranks[most[0]] > 1:
        return most[0]
    raise DatasetError(
        f"y: name the array that holds the curves (y=...); there are {_there(arrays)}"
    )


def _no_array(name: str, arrays: Arrays) -> str:
    """Say that there is no array of a name, and which there are."""
    close = get_close_matches(name, arrays.names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"there is no array {name!r}; {hint}there are {_there(arrays)}"


def _there(arrays: Arrays) -> str:
    """List the arrays of a group with their dimensions, not more than fit a message."""
    shown = [f"{name} {arrays.shape(name)}" for name in arrays.names[:20]]
    more = f" and {len(arrays.names) - 20} more" if len(arrays.names) > 20 else ""
    return f"{', '.join(shown) or 'no arrays'}{more} in {arrays.path}"


def _names(arrays: Arrays, columns: Columns, y: str) -> list[str]:
    """Return the arrays of the group, and those that are named, by their path within it."""
    named = [n for n in [*_x_names(columns), *_others(columns)] if n in arrays]
    return list(dict.fromkeys([y, *arrays.names, *named]))


def _x_names(columns: Columns) -> list[str]:
    """Return the arrays that are named for x."""
    given = columns.x.values() if isinstance(columns.x, Mapping) else [columns.x]
    return [x for x in given if isinstance(x, str)]


def _others(columns: Columns) -> list[str]:
    """Return the arrays that are named for anything but x and y."""
    named = [columns.sigma, columns.mask, columns.curve_id]
    named += [*columns.p0.values(), *columns.constants.values(), *columns.keep]
    return [name for name in named if isinstance(name, str)]


def _x_hints(
    arrays: Arrays, columns: Columns, names: Sequence[str], y: Shape
) -> tuple[dict[str, set[int]], dict[str, int]]:
    """Say which dimensions of y the arrays for x have, and how many numbers are given for x.

    An array ``x`` that nobody named is no hint where y has three dimensions or more and it is the
    coordinate of one called x: that will be the width of an image.
    """
    given = columns.x if isinstance(columns.x, Mapping) else {"x": columns.x}
    sizes = {k: len(v) for k, v in given.items() if isinstance(v, tuple)}
    chosen = [n for n in _x_names(columns) if n in names]
    if columns.x is None and "x" in names:
        coordinate = arrays.shape("x").names == ("x",)
        chosen += [] if coordinate and len(y.sizes) > 2 else ["x"]
    return {n: _may_be(arrays.shape(n), y) for n in chosen}, sizes


def _may_be(array: Shape, y: Shape) -> set[int]:
    """Return every dimension of y that an array may have."""
    if array.names is not None and y.names is not None:
        return {y.names.index(n) for n in array.names if n in y.names}
    return {k for k, size in enumerate(y.sizes) if size in array.sizes}


def _group(
    arrays: Arrays,
    columns: Columns,
    names: Sequence[str],
    y_name: str,
    y: Shape,
    fit: Sequence[int],
) -> Group:
    """Find out where every array lies in y."""
    on_curves = {*columns.p0.values(), *columns.constants.values(), columns.curve_id, "curve_id"}
    on_curves |= set(columns.keep)
    on_points = {*_x_names(columns), "x"}
    placed = {y_name: Placed(tuple(range(len(y.sizes))))}
    strange: dict[str, str] = {}
    for name in names:
        if name == y_name:
            continue
        prefer: Prefer = None
        if name in on_points:
            prefer = "fit"
        elif name in on_curves or name.startswith(_START):
            prefer = "map"
        found = place(arrays.shape(name), y, fit, prefer)
        if arrays.array(name).dtype.kind not in _KINDS:
            strange[name] = f"it is of type {arrays.array(name).dtype}; expected numbers"
        elif isinstance(found, str):
            strange[name] = found
        else:
            placed[name] = Placed(found)
    return Group(placed, strange)


def _check_named(columns: Columns, arrays: Arrays, group: Group) -> None:
    """Refuse arrays that were named and do not go with y."""
    sources = {"sigma": columns.sigma, "mask": columns.mask, "curve_id": columns.curve_id}
    sources |= {f"p0 of {p!r}": name for p, name in columns.p0.items()}
    sources |= {f"constant {c!r}": name for c, name in columns.constants.items()}
    sources |= {f"keep ({name})": name for name in columns.keep}
    sources |= {f"x ({name})": name for name in _x_names(columns)}
    for what, name in sources.items():
        if isinstance(name, str) and name in group.strange:
            raise DatasetError(f"{what}: array {name!r}: {group.strange[name]}")
    if columns.mask is not None and columns.mask not in group.placed:
        raise DatasetError(f"mask: {_no_array(columns.mask, arrays)}")


def _spread(x: Any, grid: Grid) -> Any:
    """Return numbers for x, one a point, where they are given one a place of one fit dimension."""
    if not isinstance(x, Mapping) or len(grid.fit) == 1:
        return x
    labels = {grid.dims[k]: j for j, k in enumerate(grid.fit)}
    spread = dict(x)
    for name, values in x.items():
        j = labels.get(name)
        if j is not None and isinstance(values, tuple) and len(values) == grid.fit_shape[j]:
            shape = [-1 if k == j else 1 for k in range(len(grid.fit))]
            points = np.broadcast_to(np.reshape(values, shape), grid.fit_shape)
            spread[name] = tuple(points.reshape(-1).tolist())
    return spread


def _schema(arrays: Arrays, placed: Mapping[str, Placed], grid: Grid) -> pa.Schema:
    """Return the schema of the table that a group looks like."""
    fields = []
    for name, where in placed.items():
        kind = _type(arrays, name)
        runs = set(where.dims) & set(grid.fit)
        fields.append(pa.field(name, pa.list_(kind, grid.n_points) if runs else kind))
    return pa.schema(fields, metadata=ARRAYS)


def _type(arrays: Arrays, name: str) -> pa.DataType:
    """Return the Arrow type of the numbers of an array."""
    if arrays.encoding(name).packed:
        return pa.float64()
    dtype = np.dtype(arrays.array(name).dtype)
    if arrays.encoding(name).unsigned and dtype.kind == "i":
        dtype = np.dtype(f"u{dtype.itemsize}")
    if dtype.kind in "OTU":
        return pa.string()
    try:
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    except pa.ArrowNotImplementedError:  # complex numbers, records
        return pa.binary(max(1, dtype.itemsize))


def _files(arrays: Arrays, y: str, grid: Grid) -> Iterable[File]:
    """Return the tiles of y as the files of a data set."""
    for number, n_bytes in enumerate(arrays.tile_bytes(y, grid)):
        yield File(
            path=arrays.given,
            name=f"{y} [{grid.name(number)}]",
            n_bytes=n_bytes,
            digest=arrays.tile_digest(y, grid, number),
        )
