"""Chunks -> the points of curves, a row a curve: each chunk of a stretch is decoded once.

The chunks that a stretch of tiles has parts of are read a slab at a time, which is as many of them
as `SLAB_BYTES` hold, along the fit dimensions first. Each slab is laid out with a row a curve, in
its place among the points of each tile:

    chunks of (time 1, row 512, col 512)
    slab (time 30, row 512, col 512)  ->  points[:, 30:60] of 512 * 512 curves

So besides the curves that are taken a slab is held, and what is decoded to make it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from .binding import in_order
from .grid import Grid, Region, grown
from .store import Array, Arrays

Numbers: TypeAlias = npt.NDArray[Any]
Rows: TypeAlias = npt.NDArray[np.int64]

SLAB_BYTES = 32_000_000
"""The most bytes, as stored, that are read before they are laid out, unless a chunk has more."""


def read_points(
    arrays: Arrays, grid: Grid, name: str, tiles: Sequence[int], taken: Sequence[Rows | None]
) -> list[Numbers]:
    """Read the points of curves of some tiles, as they are stored.

    Parameters
    ----------
    arrays, grid
        The group, and how curves lie in it.
    name
        An array that runs along a fit dimension.
    tiles
        Which, of one stretch.
    taken
        The positions in each tile of the curves that are wanted, rising; None: all of them.

    Returns
    -------
    (n_curves, n_points) for each tile; one row if the array has no map dimension.

    Raises
    ------
    OSError
        When chunks cannot be read.
    """
    dims, order = grid.arrays[name].dims, (*grid.map, *grid.fit)
    if not set(dims) & set(grid.map):
        values = in_order(arrays.read(name), dims, grid.fit)
        return [np.broadcast_to(values, grid.fit_shape).reshape(1, -1)] * len(tiles)
    boxes = [grid.within(order, grid.region(tile)) for tile in tiles]
    hull = dict(zip(order, map(_hull, zip(*boxes, strict=True)), strict=True))
    array, n_map = arrays.array(name), len(grid.map)
    slabs = list(_slabs(array, [hull[k] for k in dims], [k in grid.fit for k in dims]))
    if len(boxes) == len(slabs) == 1 and taken[0] is None:
        values = in_order(arrays.read(name, slabs[0]), dims, order)
        found = [np.ascontiguousarray(np.broadcast_to(values, _sides(boxes[0])))]
    else:
        dtype = array.dtype.newbyteorder("=")
        targets = [Target.of(box, rows, n_map) for box, rows in zip(boxes, taken, strict=True)]
        found = [np.empty(target.shape, dtype) for target in targets]
        for slab in slabs:
            values = in_order(arrays.read(name, slab), dims, order)
            there = dict(zip(dims, slab, strict=True))
            for points, target in zip(found, targets, strict=True):
                target.put(points, values, [there.get(k) for k in order])
    return [points.reshape(-1, grid.n_points) for points in found]


@dataclass(frozen=True, slots=True)
class Target:
    """Where the points of a tile lie, and which of them are wanted.

    Attributes
    ----------
    box
        The indices that the tile has of every dimension, map dimensions first.
    rows
        Over the map dimensions: the row of each curve among those that are taken, -1 of others;
        None: all are taken, and lie as the map does.
    shape
        That of the points: rows, or the map dimensions, and the fit dimensions.
    """

    box: Region
    rows: Rows | None
    shape: tuple[int, ...]

    @classmethod
    def of(cls, box: Region, taken: Rows | None, n_map: int) -> Self:
        """Find the rows of curves that are taken; `n_map` is the number of map dimensions."""
        sides = _sides(box)
        if taken is None:
            return cls(box, None, sides)
        rows = np.full(prod(sides[:n_map]), -1)
        rows[taken] = np.arange(len(taken))
        return cls(box, rows.reshape(sides[:n_map]), (len(taken), *sides[n_map:]))

    def put(self, points: Numbers, values: Numbers, slab: Sequence[slice | None]) -> None:
        """Lay out what a slab has of the tile; None: the array does not have this dimension."""
        to, of = list[slice](), list[slice]()
        for mine, theirs in zip(self.box, slab, strict=True):
            have = theirs or mine
            start, stop = max(mine.start, have.start), min(mine.stop, have.stop)
            if start >= stop:
                return
            to.append(slice(start - mine.start, stop - mine.start))
            of.append(slice(start - theirs.start, stop - theirs.start) if theirs else slice(None))
        part = values[tuple(of)]
        if self.rows is None:
            points[tuple(to)] = part
            return
        n_map = self.rows.ndim
        rows = self.rows[tuple(to[:n_map])]
        taken = rows >= 0
        place: tuple[Any, ...] = (rows[taken], *to[n_map:])
        points[place] = np.broadcast_to(part, _sides(to))[taken]


def _slabs(array: Array, region: Sequence[slice], fit: Sequence[bool]) -> Iterator[Region]:
    """Divide a region of an array into boxes of whole chunks, or of whole shards.

    Parameters
    ----------
    array, region
        What is to be read.
    fit
        Of each dimension of the array, whether curves run along it: a slab grows there first.
    """
    sides, itemsize = _sides(region), array.dtype.itemsize
    stored = array.shards or array.chunks
    if itemsize * prod(map(min, stored, sides)) > SLAB_BYTES:
        stored = array.chunks
    most = SLAB_BYTES // (itemsize * prod(map(min, stored, sides)))
    chunks = [range(s.start // c, -(-s.stop // c)) for s, c in zip(region, stored, strict=True)]
    order = sorted(range(len(region)), key=lambda k: fit[k])
    times = grown([1] * len(order), [len(chunks[k]) for k in order], most)
    steps = dict(zip(order, times, strict=True))
    for first in product(*(c[:: steps[k]] for k, c in enumerate(chunks))):
        edges = enumerate(zip(first, stored, region, strict=True))
        yield tuple(
            slice(max(s.start, f * c), min(s.stop, (f + steps[k]) * c)) for k, (f, c, s) in edges
        )


def _hull(slices: Sequence[slice]) -> slice:
    """Return the smallest slice that has all of some."""
    return slice(min(s.start for s in slices), max(s.stop for s in slices))


def _sides(box: Sequence[slice]) -> tuple[int, ...]:
    """Return the shape of a box."""
    return tuple(s.stop - s.start for s in box)
