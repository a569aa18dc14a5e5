"""Tiles of arrays -> curves, in batches of bounded size.

A tile is read at once, chunks that cut the fit dimensions joined, and laid out with a row a curve.
Its numbers stay of the type they are stored in, unless there is something to compute or leave out.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..binding import Binding
from ..curves import Curves, one_row
from ..files import File
from ..plan import Partition
from ..reading import BATCH_BYTES
from ..sources import Constant, PerCurve, PerPoint, Shared, Source
from .binding import in_order
from .encoding import without
from .grid import Grid, Region
from .single import column_of, stored_values, taken_curves
from .store import Arrays

Numbers = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]


def read_tiles(
    files: Mapping[int, File],
    partition: Partition,
    binding: Binding,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[Curves]:
    """Read the curves of a partition, batch by batch, tile after tile; `files` by their position.

    Raises
    ------
    OSError
        When chunks are not what they were when the data set was opened, or cannot be read.
    """
    grid = binding.grid
    arrays = Arrays(next(iter(files.values())).path)
    rows = max(1, batch_bytes // (8 * grid.n_points))
    for piece in partition.slices:
        file, number = files[piece.file], piece.file
        if arrays.tile_digest(binding.layout.y[0], grid, number) != file.digest:
            raise OSError(
                f"{file.name} of {file.path} has changed since the data set was opened: start again"
            )
        yield from _batches(Tile(arrays, binding, grid, number), rows)


def _batches(tile: "Tile", rows: int) -> Iterator[Curves]:
    """Yield the curves of a tile; it is forgotten before the next is read."""
    for start in range(0, len(tile), rows):
        yield tile.curves(slice(start, min(start + rows, len(tile))))


class Tile:
    """One tile, read: a row a curve.

    Parameters
    ----------
    arrays
        The group.
    binding, grid
        Which arrays feed the model, and how they lie.
    number
        Which tile.
    """

    def __init__(self, arrays: Arrays, binding: Binding, grid: Grid, number: int) -> None:
        self._arrays, self._binding, self._grid = arrays, binding, grid
        self._region = grid.region(number)
        layout = binding.layout
        self._y = self._points(layout.y[0])
        self._mask = None if grid.mask is None else self._points(grid.mask) != 0
        sources = [*binding.predictors.values(), layout.sigma]
        names = {s.columns[0] for s in sources if isinstance(s, PerPoint)}
        self._held = {name: self._points(name) for name in sorted(names)}
        single = [*sources, *binding.constants.values(), *binding.p0.values()]
        names = {s.column for s in single if isinstance(s, PerCurve)}
        self._single = {
            name: stored_values(arrays, grid, name, self._region) for name in sorted(names)
        }
        self._ids = self._curve_ids(layout.curve_id)
        self._keep = [
            column_of(arrays, grid, field.name, self._region, field.type) for field in binding.keep
        ]
        self._index = index_of(self._region)
        taken = taken_curves(arrays, grid, binding.where, number)
        self._taken = np.arange(len(self._y)) if taken is None else taken

    def __len__(self) -> int:
        """Return the number of curves that are taken."""
        return len(self._taken)

    def curves(self, some: slice) -> Curves:
        """Return some of the curves that are taken."""
        binding, rows = self._binding, self._taken[some]
        chosen = pa.array(rows)
        y = self._decoded(binding.layout.y[0], self._y[rows])  # a copy: no hold on the whole tile
        if self._mask is not None:
            y = without(y, np.broadcast_to(self._mask[_of(self._mask, rows)], y.shape))
        x = {name: self._arranged(s, rows, y.shape) for name, s in binding.predictors.items()}
        sigma = binding.layout.sigma
        return Curves(
            ids=self._ids.take(chosen),
            index=tuple(pa.array(positions[rows]) for positions in self._index),
            x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
            y=y,
            offsets=None,
            sigma=None if sigma is None else self._arranged(sigma, rows, y.shape),
            p0={name: self._value(s, rows) for name, s in binding.p0.items()},
            constants={name: self._value(s, rows) for name, s in binding.constants.items()},
            keep=tuple(column.take(chosen) for column in self._keep),
        )

    def _points(self, name: str) -> Numbers:
        """Read an array, (n_curves, n_points) as stored; one row if it has no map dimension."""
        grid = self._grid
        dims = grid.arrays[name].dims
        order = (*grid.map, *grid.fit)
        stored = self._arrays.read(name, grid.within(dims, self._region))
        laid = in_order(stored, dims, order)
        sizes = [s.stop - s.start for s in self._region] if set(dims) & set(grid.map) else []
        shape = (*(sizes or [1] * len(grid.map)), *grid.fit_shape)
        return np.ascontiguousarray(np.broadcast_to(laid, shape)).reshape(-1, grid.n_points)

    def _decoded(self, name: str, stored: Numbers) -> Numbers:
        """Return the numbers that stored ones stand for."""
        return self._arrays.encoding(name).decode(stored)

    def _value(self, source: PerCurve | Constant, rows: Rows) -> Any:
        """Return a value a curve, or the number that all have."""
        if isinstance(source, Constant):
            return source.value
        values = self._decoded(source.column, self._single[source.column][rows])
        return values.astype(np.float64)

    def _arranged(self, source: Source, rows: Rows, shape: tuple[int, ...]) -> Numbers:
        """Return a value a point: (n_points,) if shared, else (n_curves, n_points)."""
        if isinstance(source, PerPoint):
            name = source.columns[0]
            return self._decoded(name, self._held[name][rows])
        if isinstance(source, Shared):
            return np.array(source.values)
        values = np.asarray(self._value(source, rows))
        return np.array(np.broadcast_to(values[..., None] if values.ndim else values, shape))

    def _curve_ids(self, name: str | None) -> Any:
        """Return the ids: what the array has that names the curves, or their running numbers."""
        if name is None:
            return pa.array(running_numbers(self._grid, self._region))
        kind = self._binding.layout.id_type
        return column_of(self._arrays, self._grid, name, self._region, kind)


def index_of(region: Region) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the positions along each map dimension of the curves in a region, (n_curves,) each."""
    ranges = [np.arange(s.start, s.stop, dtype=np.int64) for s in region]
    return tuple(g.reshape(-1) for g in np.meshgrid(*ranges, indexing="ij"))


def running_numbers(grid: Grid, region: Region) -> npt.NDArray[np.int64]:
    """Return the running numbers of the curves in a region, the last dimension running fastest."""
    numbers = np.zeros(prod(s.stop - s.start for s in region), dtype=np.int64)
    for positions, size in zip(index_of(region), grid.map_shape, strict=True):
        numbers = numbers * size + positions
    return numbers


def _of(mask: Numbers, rows: Rows) -> Any:
    """Return the rows of a mask; all if it is one row for all curves."""
    return rows if len(mask) > 1 else slice(None)
