"""Maps: the columns of a result as Zarr arrays over the map dimensions of the input.

    out.zarr/a, a_stderr, ...   float64, NaN where there is no fit
    out.zarr/cov                float64, with two dimensions more, in the order of the parameters
    out.zarr/status             int8, `NOT_FITTED` where no partition is committed yet
    out.zarr/curve_id           if the input names its curves
    out.zarr/<coordinate>       the coordinates of the map dimensions, as in the input

Each tile is one chunk of every map and belongs to one partition, so no two tasks write to one
chunk. A task first takes the status of all its tiles away, then writes the other maps, and the
status last: what has a status is whole.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import zarr

from ...solver.status import Flag, Status
from ..binding import Binding
from ..identity import plain
from ..places import Place, each, flush, written_whole
from ..schema import METADATA_KEY, RESULT_COLUMNS, index_name
from ..sink import write_json
from ..table import count_status
from .grid import Grid, Region
from .reading import index_of, running_numbers
from .sink import MapSink
from .store import Array, Arrays, as_store

NOT_FITTED = -128
"""Status where no partition is committed yet."""

_COV_DIMS = ("cov_row", "cov_column")
_ID = "curve_id"
_GRID_KEY = b"manyfit.grid"


def check_maps(schema: pa.Schema, binding: Binding, source: str) -> None:
    """Refuse maps of which one would have the name of a dimension or a coordinate.

    Raises
    ------
    ValueError
        When there is one.
    """
    grid = binding.grid
    names = [field.name for field in _fields(schema, binding)]
    taken = {*grid.map_dims, *_COV_DIMS, *_coordinates(Arrays(source), binding)} - {_ID}
    both = [name for name in names if name in taken]
    if both:
        raise ValueError(
            f"the maps would have an array {both[0]!r}, which is the name of a dimension or "
            f"coordinate of the input ({', '.join(sorted(taken))}): rename the parameter, or "
            "choose an output directory that does not end in .zarr to get a table"
        )


def prepare_maps(sink: MapSink, schema: pa.Schema, binding: Binding, source: str) -> None:
    """Create every map, with nothing in it, unless that was done before.

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
    """
    if sink.rows.exists():
        return
    grid = binding.grid
    about = json.loads(schema.metadata[METADATA_KEY])
    with warnings.catch_warnings():  # that format 3 has no word on consolidated metadata yet
        warnings.simplefilter("ignore", UserWarning)
        store = as_store(sink.path, read_only=False)
        root = zarr.open_group(store, mode="a", zarr_format=3, attributes={"manyfit": about})
        zarr.open_group(
            store, path=sink.ledger.name, mode="a", zarr_format=3
        )  # what lies beside maps must be one
        coordinates = _copy_coordinates(root, Arrays(source), binding)
        named = [_ID] if binding.layout.curve_id else []
        for field in _fields(schema, binding):
            _create(root, field, grid, about, [*coordinates, *named])
        zarr.consolidate_metadata(root.store)
    told = {**(schema.metadata or {}), _GRID_KEY: json.dumps(plain(grid)).encode()}
    with written_whole(sink.rows) as temporary:
        temporary.write_bytes(schema.with_metadata(told).serialize().to_pybytes())


def write_maps(
    sink: MapSink,
    index: int,
    tiles: Sequence[int],
    batches: Iterable[pa.RecordBatch],
    binding: Binding,
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

    Returns
    -------
    How many rows have which status.

    Raises
    ------
    RuntimeError
        When there are not as many rows as curves.
    """
    grid = binding.grid
    for tile in tiles:
        (sink.path / "status" / _chunk(grid, tile)).unlink(missing_ok=True)
    counts: Counter[int] = Counter()
    written: list[str] = []
    ends: list[tuple[int, pa.Table]] = []
    for tile, rows in zip(tiles, _by_tile(batches, tiles, grid), strict=True):
        counts.update(count_status(rows))
        others = [field for field in _fields(rows.schema, binding) if field.name != "status"]
        written += _write_tile(sink, grid, tile, rows.select([f.name for f in others]))
        ends.append((tile, rows.select(["status"])))
    for tile, rows in ends:
        written += _write_tile(sink, grid, tile, rows)
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
    root: zarr.Group, field: pa.Field, grid: Grid, about: Mapping[str, Any], coordinates: list[str]
) -> None:
    """Create one map."""
    side = len(about["model"]["params"])
    square = (side, side) if pa.types.is_fixed_size_list(field.type) else ()
    attributes = _attributes(field.name, about)
    if square:
        attributes["params"] = about["model"]["params"]
    if coordinates and field.name != _ID:
        attributes["coordinates"] = " ".join(coordinates)
    root.create_array(
        field.name,
        shape=(*grid.map_shape, *square),
        chunks=(*grid.tile, *square),
        dtype=_dtype(field),
        fill_value=_fill(field),
        dimension_names=(*grid.map_dims, *(_COV_DIMS if square else ())),
        attributes=attributes,
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


def _attributes(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a map says of itself, codes as the CF conventions want them."""
    model = about["model"]
    names = model["params"], tuple(model.get("derived", ()))
    described = {n: c.description for c in RESULT_COLUMNS for n in c.named(*names)}
    attributes: dict[str, Any] = {"description": described.get(name, "")}
    if name == "status":
        attributes["flag_values"] = [NOT_FITTED, *(int(s) for s in Status)]
        attributes["flag_meanings"] = " ".join(["NOT_FITTED", *(s.name for s in Status)])
    if name == "flags":
        attributes["flag_masks"] = [int(f) for f in Flag]
        attributes["flag_meanings"] = " ".join(str(f.name) for f in Flag)
    return attributes


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
    """Put batches together, tile by tile."""
    rows = iter(batches)
    for tile in tiles:
        held: list[pa.RecordBatch] = []
        while (lacking := grid.curves(tile) - sum(b.num_rows for b in held)) > 0:
            batch = next(rows, None)
            if batch is None:
                raise RuntimeError(
                    f"tile {grid.name(tile)} lacks {lacking} of its {grid.curves(tile)} curves: "
                    "the input has changed since the data set was opened"
                )
            held.append(batch)
        yield pa.Table.from_batches(held)


def _write_tile(sink: MapSink, grid: Grid, tile: int, rows: pa.Table) -> list[str]:
    """Write columns of one tile to their maps, and return the keys of the chunks."""
    region = grid.region(tile)
    sizes = tuple(s.stop - s.start for s in region)

    def write(field: pa.Field) -> str:
        array = _opened(sink.path, field.name)
        values = _values(rows.column(field.name).combine_chunks())
        array[region] = values.reshape((*sizes, *array.shape[len(sizes) :]))
        square = ("0", "0") if pa.types.is_fixed_size_list(field.type) else ()
        return "/".join([field.name, _chunk(grid, tile), *square])

    return list(each(sink.path, write, rows.schema))


def _values(column: pa.Array) -> Any:
    """Return a column as NumPy has it."""
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.dtypes.StringDType())
    return column.to_numpy(zero_copy_only=False)


def _read_tile(sink: MapSink, grid: Grid, tile: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of one tile."""
    region = grid.region(tile)
    said = {index_name(d): v for d, v in zip(grid.map_dims, index_of(region), strict=True)}
    columns = []
    for field in schema:
        if field.name in said:
            columns.append(pa.array(said[field.name]))
        elif field.name == _ID and not (sink.path / _ID / "zarr.json").exists():
            columns.append(pa.array(running_numbers(grid, region)))
        else:
            columns.append(_column(_opened(sink.path, field.name)[region], field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


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
