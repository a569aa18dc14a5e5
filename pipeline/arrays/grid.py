"""Tiles: how the curves of an n-dimensional array are divided. Pure.

Every dimension of y is either a fit dimension, along which a curve runs, or a map dimension: each
index of the map dimensions is one curve. A tile is a box of the map dimensions with all of the fit
dimensions. Tiles are what a partition is made of, and each is one chunk of every map.

A tile is whole chunks, or a whole shard: so many that a task and a chunk of a map are worth their
while. Where chunks that cut the fit dimensions have to be joined, or are very large, a tile is a
part of that column of chunks. Tiles of one column that a partition has are a stretch, and are read
at once, so that each chunk is decoded once a partition (see `points`); how many go together, and so
what memory that takes, is for the plan to choose.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any, Self

TILE_CURVES = 1 << 11
"""Curves that a tile should have, if chunks are smaller than that."""

MOST_CURVES = 1 << 17
"""The most curves of a tile: their results are held until the tile is written."""

TILE_BYTES = 32_000_000
"""The most bytes of y, as stored, that a tile has, unless one curve has more."""

Region = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an array lies in y: the dimension of y that each of its dimensions is.

    Attributes
    ----------
    dims
        Positions of dimensions of y, in the order of the array.
    stamp
        A hash of what is stored, for arrays that feed a model; y is known by its tiles.
    """

    dims: tuple[int, ...]
    stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How curves lie in arrays.

    Attributes
    ----------
    dims, shape
        Names and sizes of the dimensions of y.
    fit
        Positions of those along which a curve runs, rising.
    tile
        Shape of a tile, over the map dimensions.
    arrays
        Arrays that go with y, by name.
    mask
        The array that is not zero where a point does not count; None: there is none.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    fit: tuple[int, ...]
    tile: tuple[int, ...]
    arrays: Mapping[str, Placed]
    mask: str | None = None

    @property
    def map(self) -> tuple[int, ...]:
        """Positions of the map dimensions."""
        return tuple(k for k in range(len(self.shape)) if k not in self.fit)

    @property
    def map_dims(self) -> tuple[str, ...]:
        """Names of the map dimensions."""
        return tuple(self.dims[k] for k in self.map)

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Sizes of the map dimensions."""
        return tuple(self.shape[k] for k in self.map)

    @property
    def fit_shape(self) -> tuple[int, ...]:
        """Sizes of the fit dimensions."""
        return tuple(self.shape[k] for k in self.fit)

    @property
    def n_points(self) -> int:
        """Points of a curve."""
        return prod(self.fit_shape)

    @property
    def tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each map dimension."""
        return tuple(-(-n // t) for n, t in zip(self.map_shape, self.tile, strict=True))

    @property
    def n_tiles(self) -> int:
        """How many tiles there are."""
        return prod(self.tiles)

    def place(self, number: int) -> tuple[int, ...]:
        """Return where a tile stands among the tiles; the last dimension runs fastest."""
        place = []
        for count in reversed(self.tiles):
            number, k = divmod(number, count)
            place.append(k)
        return tuple(reversed(place))

    def region(self, number: int) -> Region:
        """Return the indices of the map dimensions that a tile has."""
        sizes = zip(self.place(number), self.tile, self.map_shape, strict=True)
        return tuple(slice(k * t, min((k + 1) * t, n)) for k, t, n in sizes)

    def curves(self, number: int) -> int:
        """Return how many curves a tile has."""
        return prod(s.stop - s.start for s in self.region(number))

    def column(self, number: int, chunks: Sequence[int]) -> tuple[int, ...]:
        """Return which column of chunks a tile begins in; `chunks` is their shape, as of y."""
        pairs = zip(self.map, self.region(number), strict=True)
        return tuple(s.start // chunks[k] for k, s in pairs)

    def stretches(self, tiles: Iterable[int], chunks: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield tiles that follow each other and begin in one column of chunks, in order."""
        for _, some in groupby(tiles, key=lambda tile: self.column(tile, chunks)):
            yield tuple(some)

    def name(self, number: int) -> str:
        """Name a tile by its indices."""
        pairs = zip(self.map_dims, self.region(number), strict=True)
        return ", ".join(f"{dim} {s.start}:{s.stop}" for dim, s in pairs) or "all"

    def within(self, dims: Sequence[int], region: Region) -> Region:
        """Return the part of an array with some dimensions of y that goes with a map region."""
        found = dict(zip(self.map, region, strict=True))
        return tuple(found.get(k, slice(0, self.shape[k])) for k in dims)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return a grid from plain values, as JSON has them."""
        arrays = {n: Placed(tuple(p["dims"]), p["stamp"]) for n, p in value["arrays"].items()}
        tuples = {name: tuple(value[name]) for name in ("dims", "shape", "fit", "tile")}
        return cls(**tuples, arrays=arrays, mask=value["mask"])

    def __str__(self) -> str:
        """Write the dimensions, and along which of them curves run."""
        sizes = ", ".join(f"{d} {n}" for d, n in zip(self.dims, self.shape, strict=True))
        along = ", ".join(self.dims[k] for k in self.fit)
        tile = " x ".join(map(str, self.tile)) or "1"
        mask = f", mask: {self.mask}" if self.mask else ""
        return f"({sizes}), a curve along {along}{mask}, tiles of {tile} curves"


def tile_shape(
    shape: Sequence[int],
    chunks: Sequence[int],
    fit: Sequence[int],
    itemsize: int,
    shards: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Choose the shape of tiles, over the map dimensions.

    Parameters
    ----------
    shape, chunks
        Of y; the chunks are those that can be read by themselves.
    fit
        Positions of the fit dimensions.
    itemsize
        Bytes of a stored number.
    shards
        Of y, if its chunks lie in shards: a tile grows to a whole one where it may.
    """
    others = [k for k in range(len(shape)) if k not in fit]
    sizes = [max(1, shape[k]) for k in others]
    tile = [min(chunks[k], n) for k, n in zip(others, sizes, strict=True)]
    curve_bytes = max(1, itemsize * prod(shape[k] for k in fit))
    most = max(1, min(MOST_CURVES, TILE_BYTES // curve_bytes))
    for j in range(len(tile)):  # divide the slowest dimension first: what is left lies together
        if prod(tile) > most:
            tile[j] = _part(tile[j], -(-prod(tile) // most))
    if shards is not None:
        whole = [min(shards[k], n) for k, n in zip(others, sizes, strict=True)]
        tile = grown(tile, whole, most)
    return tuple(grown(tile, sizes, min(TILE_CURVES, most)))


def grown(sides: Sequence[int], sizes: Sequence[int], most: int) -> list[int]:
    """Multiply the sides of a box, up to some sizes and so large a product, the last side first."""
    found = list(sides)
    for j in reversed(range(len(found))):
        times = min(most // prod(found), -(-sizes[j] // found[j]))
        if times > 1:
            found[j] = min(found[j] * times, sizes[j])
    return found


def _part(size: int, count: int) -> int:
    """Divide a size into at least `count` parts, equal ones if that takes few more."""
    if count >= size:
        return 1
    even = (size // k for k in range(count, min(2 * count, size) + 1) if size % k == 0)
    return next(even, size // count)
