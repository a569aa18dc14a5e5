"""Maps: the columns of a result as Zarr arrays over the map dimensions of the input.

    out.zarr/a, a_stderr, ...   float64, NaN where there is no fit
    out.zarr/cov                float64, with two dimensions more, in the order of the parameters
    out.zarr/status             int8, `NOT_FITTED` where no partition is committed yet
    out.zarr/curve_id           if the input names its curves
    out.zarr/<array>            arrays that are kept
    out.zarr/<coordinate>       the coordinates of the map dimensions, as in the input

Each tile is one chunk of every map and belongs to one partition, so no two tasks write to one
chunk. A task first takes the status of all its tiles away, then writes the other maps, and the
status last: what has a status is whole. Curves that a condition leaves out have the status
`NOT_SELECTED`, and are no rows of the result.
"""

import json
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import isqrt
from typing import Any

import numpy as np
import pyarrow as pa
import zarr

from ..binding import Binding
from ..exchange import as_numpy
from ..identity import plain
from ..places import Place, each, flush, written_whole
from ..schema import METADATA_KEY, index_name
from ..sink import write_json
from ..table import count_status
from .attributes import (
    COV_DIMS,
    NOT_FITTED,
    NOT_SELECTED,
    group_attributes,
    map_attributes,
)
from .grid import Grid, Region
from .reading import index_of, running_numbers
from .sink import MapSink
from .store import Array, Arrays, as_store

_ENCODING = {"scale_factor", "add_offset", "missing_value", "_FillValue", "_Unsigned"}
_ENCODING |= {"_ARRAY_DIMENSIONS", "coordinates"}
_ID = "curve_id"
_GRID_KEY = b"manyfit.grid"


def check_maps(schema: pa.Schema, binding: Binding, source: str) -> None:
    """Refuse maps that would have the name of a dimension or a coordinate, or lack values.

    Raises
    ------
    ValueError
        When there is one.
    """
    grid, arrays = binding.grid, Arrays(source)
    names = [field.name for field in _fields(schema, binding)]
    taken = {*grid.map_dims, *COV_DIMS, *_coordinates(arrays, binding)} - {_ID}
    for field in binding.keep:
        if field.name in taken:
            raise ValueError(
                f"keep: {field.name!r} is a coordinate, and in the maps already: leave it out"
            )
        if arrays.encoding(field.name).missing and not pa.types.is_floating(field.type):
            raise ValueError(
                f"keep: array {field.name!r} holds {field.type} with values that stand for "
                "missing, for which a map has no place: leave it out, or choose an output "
                "directory that does not end in .zarr to get a table"
            )
    both = [name for name in names if name in taken]
    if both:
        raise ValueError(
            f"the maps would have an array {both[0]!r}, which is the name of a dimension or "
            f"coordinate of the input ({', '.join(sorted(taken))}): rename the parameter, or "
            "choose an output directory that does not end in .zarr to get a table"
        )


def prepare_maps(
    sink: MapSink,
    schema: pa.Schema,
    binding: Binding,
    source: str,
    *,
    empty: Collection[int] = (),
) -> None:
    """Create every map, with nothing in it, or make those there are as long as the input is now.

    Parameters
    ----------
    sink
        Where; its lock is held.
    schema
        Of the rows of the result.
    binding
        How curves lie in the arrays of the input.
    source
        The path of the input, for its coordinates.
    empty
        Tiles without a curve that is selected: no partition has them.
    """
    grid, there = binding.grid, sink.rows.exists()
    if there and read_schema(sink)[1].shape == grid.shape:
        return
    about = json.loads(schema.metadata[METADATA_KEY])
    with warnings.catch_warnings():  # that format 3 has no word on consolidated metadata yet
        warnings.simplefilter("ignore", UserWarning)
        store = as_store(sink.path, read_only=False)
        root = zarr.open_group(store, mode="a", zarr_format=3, attributes=group_attributes(about))
        zarr.open_group(
            store, path=sink.ledger.name, mode="a", zarr_format=3
        )  # what lies beside maps must be one
        arrays = Arrays(source)
        coordinates = _copy_coordinates(root, arrays, binding)
        named = [_ID] if binding.layout.curve_id else []
        kept = {field.name: _kept_attributes(arrays, field.name) for field in binding.keep}
        for field in _fields(schema, binding):
            if there:
                found = _opened(sink.path, field.name)
                found.resize((*grid.map_shape, *found.shape[len(grid.map) :]))
                continue
            attributes = kept.get(field.name) or map_attributes(field.name, about)
            _create(root, field, grid, attributes, [*coordinates, *named])
        zarr.consolidate_metadata(root.store)
    status = _opened(sink.path, "status")
    for tile in empty:
        status[grid.region(tile)] = NOT_SELECTED
    told = {**(schema.metadata or {}), _GRID_KEY: json.dumps(plain(grid)).encode()}
    with written_whole(sink.rows) as temporary:
        temporary.write_bytes(schema.with_metadata(told).serialize().to_pybytes())


def write_maps(
    sink: MapSink,
    index: int,
    tiles: Sequence[int],
    batches: Iterable[pa.RecordBatch],
    binding: Binding,
    n_curves: int,
) -> dict[int, int]:
    """Write the rows of a partition into its regions, and its receipt.

    Parameters
    ----------
    sink, index
        Where, and which partition.
    tiles
        Its tiles, in order.
    batches
        Rows, tile after tile.
    binding
        How curves lie in the arrays of the input.
    n_curves
        How many rows there are.

    Returns
    -------
    How many rows have which status.

    Raises
    ------
    RuntimeError
        When there are not so many rows, or not of these tiles.
    """
    grid = binding.grid
    for tile in tiles:
        (sink.path / "status" / _chunk(grid, tile)).unlink(missing_ok=True)
    counts: Counter[int] = Counter()
    written: list[str] = []
    ends: list[tuple[int, Any, pa.Table]] = []
    for tile, rows in zip(tiles, _by_tile(batches, tiles, grid), strict=True):
        counts.update(count_status(rows))
        place = _places(rows, grid, tile)
        others = [field for field in _fields(rows.schema, binding) if field.name != "status"]
        written += _write_tile(sink, grid, tile, place, rows.select([f.name for f in others]))
        ends.append((tile, place, rows.select(["status"])))
    if counts.total() != n_curves:
        raise RuntimeError(
            f"the tiles of partition {index} have {counts.total()} curves, but {n_curves} were "
            "planned: the input has changed since the data set was opened"
        )
    for tile, place, rows in ends:
        written += _write_tile(sink, grid, tile, place, rows)
    for key in written:
        flush(sink.path / key)
    sizes = each(sink.path, lambda key: (sink.path / key).stat().st_size, written)
    chunks = dict(zip(written, sizes, strict=True))
    write_json(sink.part(index), {"tiles": list(tiles), "chunks": chunks})
    return dict(counts)


def read_maps(
    sink: MapSink, tiles: Sequence[int], names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some tiles, as they were before they became maps.

    Parameters
    ----------
    sink
        Where.
    tiles
        Which, of partitions that are committed.
    names
        The columns wanted; default: all.
    """
    schema, grid = read_schema(sink)
    wanted = pa.schema([schema.field(n) for n in names], schema.metadata) if names else schema
    for tile in tiles:
        yield _read_tile(sink, grid, tile, wanted)


def read_schema(sink: MapSink) -> tuple[pa.Schema, Grid]:
    """Return the schema of the rows that the maps stand for, and how these lie."""
    schema = pa.ipc.read_schema(pa.py_buffer(sink.rows.read_bytes()))
    about = dict(schema.metadata)
    grid = Grid.from_json(json.loads(about.pop(_GRID_KEY)))
    return schema.with_metadata(about), grid


def _fields(schema: pa.Schema, binding: Binding) -> list[pa.Field]:
    """Return the columns that become maps: all but what the place in a map says itself."""
    grid = binding.grid
    said = {index_name(dim) for dim in grid.map_dims}
    if binding.layout.curve_id is None:
        said.add(_ID)
    return [field for field in schema if field.name not in said]


def _create(
    root: zarr.Group,
    field: pa.Field,
    grid: Grid,
    attributes: Mapping[str, Any],
    coordinates: Sequence[str],
) -> None:
    """Create one map."""
    side = isqrt(field.type.list_size) if pa.types.is_fixed_size_list(field.type) else 0
    square = (side, side) if side else ()
    shown = {"coordinates": " ".join(coordinates)} if coordinates and field.name != _ID else {}
    root.create_array(
        field.name,
        shape=(*grid.map_shape, *square),
        chunks=(*grid.tile, *square),
        dtype=_dtype(field),
        fill_value=_fill(field),
        dimension_names=(*grid.map_dims, *(COV_DIMS if square else ())),
        attributes={**attributes, **shown},
        overwrite=True,
    )


def _dtype(field: pa.Field) -> Any:
    """Return the NumPy type of a map."""
    kind = field.type.value_type if pa.types.is_fixed_size_list(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.dtypes.StringDType()
    return np.dtype(kind.to_pandas_dtype())


def _fill(field: pa.Field) -> Any:
    """Return what a map holds where nothing is committed."""
    if field.name == "status":
        return NOT_FITTED
    dtype = _dtype(field)
    if isinstance(dtype, np.dtypes.StringDType):
        return ""
    return np.nan if dtype.kind == "f" else dtype.type(0)


def _kept_attributes(arrays: Arrays, name: str) -> dict[str, Any]:
    """Return what an array that is kept says of itself, but not how its numbers were stored."""
    attributes = dict(arrays.array(name).attrs)
    return {key: value for key, value in attributes.items() if key not in _ENCODING} or {
        "description": f"{name} of the input"
    }


def _coordinates(arrays: Arrays, binding: Binding) -> dict[str, tuple[int, ...]]:
    """Return the arrays that are coordinates of map dimensions alone, and their dimensions of y."""
    grid = binding.grid
    y = binding.layout.y[0]
    listed = str(arrays.array(y).attrs.get("coordinates", "")).split()
    found = {}
    for name in dict.fromkeys([*grid.map_dims, *listed]):
        if name in {binding.layout.curve_id, _ID} or name not in arrays:
            continue
        names = arrays.shape(name).names or (name,)
        dims = tuple(grid.dims.index(n) for n in names if n in grid.map_dims)
        sizes = tuple(grid.shape[k] for k in dims)
        if len(dims) == len(names) and sizes == arrays.shape(name).sizes:
            found[name] = dims
    return found


def _copy_coordinates(root: zarr.Group, arrays: Arrays, binding: Binding) -> list[str]:
    """Copy the coordinates, tile by tile as they are stored; return those that are no dimension."""
    grid = binding.grid
    found = _coordinates(arrays, binding)
    for name, dims in found.items():
        source = arrays.array(name)
        attributes = {k: v for k, v in source.attrs.items() if k != "_ARRAY_DIMENSIONS"}
        text = source.dtype.kind in "OTU"
        chunks = tuple(max(1, grid.tile[grid.map.index(k)]) for k in dims)
        copy = root.create_array(
            name,
            shape=source.shape,
            chunks=chunks,
            dtype=np.dtypes.StringDType() if text else source.dtype,
            fill_value="" if text else source.fill_value,
            dimension_names=tuple(grid.dims[k] for k in dims),
            attributes=attributes,
            overwrite=True,
        )
        for region in _regions(grid, dims):
            values = arrays.read(name, region)
            copy[region] = values.astype(np.dtypes.StringDType()) if text else values
    return [name for name in found if name not in grid.map_dims]


def _regions(grid: Grid, dims: tuple[int, ...]) -> Iterator[Region]:
    """Yield the parts that tiles have of an array with some of the map dimensions, each once."""
    tiles = (grid.within(dims, grid.region(number)) for number in range(grid.n_tiles))
    yield from {tuple((s.start, s.stop) for s in region): region for region in tiles}.values()


def _by_tile(
    batches: Iterable[pa.RecordBatch], tiles: Sequence[int], grid: Grid
) -> Iterator[pa.Table]:
    """Put batches together, tile by tile; each batch is of one."""
    found = groupby(batches, key=lambda batch: _tile_of(batch, grid))
    for tile in tiles:
        there, rows = next(found, (None, iter(())))
        if there != tile:
            raise RuntimeError(
                f"tile {grid.name(tile)} has no curves: the input has changed since the data set "
                "was opened"
            )
        yield pa.Table.from_batches(list(rows))


def _tile_of(batch: pa.RecordBatch, grid: Grid) -> int:
    """Return the tile that the first curve of a batch is in."""
    number = 0
    for dim, side, count in zip(grid.map_dims, grid.tile, grid.tiles, strict=True):
        number = number * count + batch.column(index_name(dim))[0].as_py() // side
    return number


def _places(rows: pa.Table, grid: Grid, tile: int) -> Any:
    """Return where the curves are among all of a tile, (n_rows,); a slice if they are all."""
    place: Any = 0
    for dim, s in zip(grid.map_dims, grid.region(tile), strict=True):
        place = place * (s.stop - s.start) + as_numpy(rows.column(index_name(dim))) - s.start
    return slice(None) if rows.num_rows == grid.curves(tile) else place


def _write_tile(sink: MapSink, grid: Grid, tile: int, place: Any, rows: pa.Table) -> list[str]:
    """Write columns of one tile to their maps, and return the keys of the chunks."""
    region = grid.region(tile)
    sizes = tuple(s.stop - s.start for s in region)

    def write(field: pa.Field) -> str:
        array = _opened(sink.path, field.name)
        values = _values(rows.column(field.name).combine_chunks())
        square = array.shape[len(sizes) :]
        left_out = NOT_SELECTED if field.name == "status" else _fill(field)
        whole = np.full((grid.curves(tile), *square), left_out, dtype=values.dtype)
        whole[place] = values.reshape((-1, *square))
        array[region] = whole.reshape((*sizes, *square))
        return "/".join([field.name, _chunk(grid, tile), *("0" for _ in square)])

    return list(each(sink.path, write, rows.schema))


def _values(column: pa.Array) -> Any:
    """Return a column as NumPy has it."""
    if pa.types.is_fixed_size_list(column.type):
        return as_numpy(column.flatten())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.dtypes.StringDType())
    return as_numpy(column)


def _read_tile(sink: MapSink, grid: Grid, tile: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of one tile: the curves that were selected."""
    region = grid.region(tile)
    selected = np.asarray(_opened(sink.path, "status")[region]).reshape(-1) != NOT_SELECTED
    said = {index_name(d): v for d, v in zip(grid.map_dims, index_of(region), strict=True)}
    columns = []
    for field in schema:
        if field.name in said:
            columns.append(pa.array(said[field.name]))
        elif field.name == _ID and not (sink.path / _ID / "zarr.json").exists():
            columns.append(pa.array(running_numbers(grid, region)))
        else:
            columns.append(_column(_opened(sink.path, field.name)[region], field.type))
    rows = pa.RecordBatch.from_arrays(columns, schema=schema)
    return rows if selected.all() else rows.filter(pa.array(selected))


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """Return the region of a map as a column."""
    flat = np.asarray(values).reshape(-1)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), kind.list_size)
    if isinstance(flat.dtype, np.dtypes.StringDType) or flat.dtype.kind == "O":
        return pa.array([str(v) for v in flat], kind)
    return pa.array(flat, kind)


def _opened(place: Place, name: str) -> Array:
    """Open a map; chunks that hold nothing but the fill value are to be written, too."""
    array = zarr.open_array(as_store(place, read_only=False), path=name, mode="r+")
    return array.with_config({"write_empty_chunks": True})


def _chunk(grid: Grid, tile: int) -> str:
    """Return the key of the chunk that a tile is, within an array."""
    return "/".join(["c", *map(str, grid.place(tile))])
