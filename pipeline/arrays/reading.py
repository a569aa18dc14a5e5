"""Tiles of arrays -> curves, in batches of bounded size.

The points of a stretch of tiles are read at once, chunks that cut the fit dimensions joined; then
its tiles follow each other. Numbers stay of the type they are stored in, unless there is something
to compute or leave out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..binding import Binding
from ..curves import Curves, one_row
from ..exchange import as_arrow
from ..files import File
from ..plan import Partition
from ..reading import BATCH_BYTES
from ..sources import Constant, PerCurve, PerPoint, Shared, Source
from .encoding import without
from .grid import Grid, Region
from .points import Rows, read_points
from .single import column_of, stored_values, taken_curves
from .store import Arrays

Numbers = npt.NDArray[Any]


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
    grid, y = binding.grid, binding.layout.y[0]
    arrays = Arrays(next(iter(files.values())).path)
    rows = max(1, batch_bytes // (8 * grid.n_points))
    numbers = [piece.file for piece in partition.slices]
    for tiles in grid.stretches(numbers, arrays.array(y).chunks):
        for number in tiles:
            if arrays.tile_digest(y, grid, number) != files[number].digest:
                raise OSError(
                    f"{files[number].name} of {files[number].path} has changed since the data set "
                    "was opened: start again"
                )
        yield from _batches(arrays, binding, tiles, rows)


def first_stretch(files: Mapping[int, File], partition: Partition, binding: Binding) -> Partition:
    """Return the part of a partition that is read at once, before its first curves are there."""
    arrays = Arrays(next(iter(files.values())).path)
    chunks = arrays.array(binding.layout.y[0]).chunks
    tiles = next(binding.grid.stretches([s.file for s in partition.slices], chunks))
    return replace(partition, slices=partition.slices[: len(tiles)])


def _batches(arrays: Arrays, binding: Binding, tiles: Sequence[int], rows: int) -> Iterator[Curves]:
    """Yield the curves of a stretch; it is forgotten before the next is read."""
    grid = binding.grid
    names = _along_curves(binding)
    taken = [taken_curves(arrays, grid, binding.where, number) for number in tiles]
    read = [read_points(arrays, grid, name, tiles, taken) for name in names]
    for number, some, *points in zip(tiles, taken, *read, strict=True):
        tile = Tile(arrays, binding, number, some, dict(zip(names, points, strict=True)))
        for start in range(0, len(tile), rows):
            yield tile.curves(slice(start, min(start + rows, len(tile))))


def _along_curves(binding: Binding) -> list[str]:
    """Return the arrays that have a value a point."""
    sources = [*binding.predictors.values(), binding.layout.sigma]
    names = [s.columns[0] for s in sources if isinstance(s, PerPoint)]
    masks = [binding.grid.mask] if binding.grid.mask else []
    return list(dict.fromkeys([*binding.layout.y, *masks, *names]))


class Tile:
    """One tile, read: a row for each curve that is taken.

    Parameters
    ----------
    arrays
        The group.
    binding
        Which arrays feed the model.
    number
        Which tile.
    taken
        The positions of the curves that are taken; None: all are.
    points
        (n_curves, n_points) of each array that has a value a point; one row if all share it.
    """

    def __init__(
        self,
        arrays: Arrays,
        binding: Binding,
        number: int,
        taken: Rows | None,
        points: Mapping[str, Numbers],
    ) -> None:
        grid, layout = binding.grid, binding.layout
        self._arrays, self._binding, self._grid = arrays, binding, grid
        self._region = grid.region(number)
        rows = slice(None) if taken is None else taken
        self._points = points
        self._mask = None if grid.mask is None else points[grid.mask] != 0
        sources = [*binding.predictors.values(), layout.sigma]
        single = [*sources, *binding.constants.values(), *binding.p0.values()]
        names = {s.column for s in single if isinstance(s, PerCurve)}
        self._single = {
            name: stored_values(arrays, grid, name, self._region)[rows] for name in sorted(names)
        }
        kept = [
            column_of(arrays, grid, field.name, self._region, field.type) for field in binding.keep
        ]
        self._ids, *self._keep = (
            column if taken is None else column.take(as_arrow(taken))
            for column in [self._curve_ids(layout.curve_id), *kept]
        )
        self._index = [positions[rows] for positions in index_of(self._region)]

    def __len__(self) -> int:
        """Return the number of curves that are taken."""
        return len(self._ids)

    def curves(self, rows: slice) -> Curves:
        """Return some of the curves; they keep nothing else of the stretch in memory."""
        binding = self._binding
        y = self._some(binding.layout.y[0], rows)
        if self._mask is not None:
            mask = self._mask[rows if len(self._mask) > 1 else slice(None)]
            y = without(y, np.broadcast_to(mask, y.shape))
        x = {name: self._arranged(s, rows, y.shape) for name, s in binding.predictors.items()}
        sigma = binding.layout.sigma
        return Curves(
            ids=self._ids[rows],
            index=tuple(as_arrow(positions[rows]) for positions in self._index),
            x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
            y=y,
            offsets=None,
            sigma=None if sigma is None else self._arranged(sigma, rows, y.shape),
            p0={name: self._value(s, rows) for name, s in binding.p0.items()},
            constants={name: self._value(s, rows) for name, s in binding.constants.items()},
            keep=tuple(column[rows] for column in self._keep),
        )

    def _some(self, name: str, rows: slice) -> Numbers:
        """Return the numbers of some curves, (n_curves, n_points)."""
        return self._decoded(name, self._points[name][rows].copy())

    def _decoded(self, name: str, stored: Numbers) -> Numbers:
        """Return the numbers that stored ones stand for."""
        return self._arrays.encoding(name).decode(stored)

    def _value(self, source: PerCurve | Constant, rows: slice) -> Any:
        """Return a value a curve, or the number that all have."""
        if isinstance(source, Constant):
            return source.value
        values = self._decoded(source.column, self._single[source.column][rows])
        return values.astype(np.float64)

    def _arranged(self, source: Source, rows: slice, shape: tuple[int, ...]) -> Numbers:
        """Return a value a point: (n_points,) if shared, else (n_curves, n_points)."""
        if isinstance(source, PerPoint):
            return self._some(source.columns[0], rows)
        if isinstance(source, Shared):
            return np.array(source.values)
        values = np.asarray(self._value(source, rows))
        return np.array(np.broadcast_to(values[..., None] if values.ndim else values, shape))

    def _curve_ids(self, name: str | None) -> Any:
        """Return the ids: what the array has that names the curves, or their running numbers."""
        if name is None:
            return as_arrow(running_numbers(self._grid, self._region))
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
