"""A group of Zarr arrays on storage: what is there, and what tells that it has changed.

Files are reached through zarr's own stores alone, so what `zarr.open` takes can be read; only the
stamps of a local disk and of an object store come from these directly, which costs next to nothing.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore

from ..errors import DatasetError
from ..objects.path import ObjectPath
from ..places import Place, is_place, place_of
from .dims import Shape, shape_of
from .encoding import V2_DIMENSIONS, Encoding
from .grid import TILE_BYTES, Grid, Region

Array: TypeAlias = "zarr.Array[Any]"
Stamp: TypeAlias = tuple[int, str]
"""Size of an object of a store, and what tells it from others: the time of its last change, or a
hash of its content where a store does not tell times."""

_NOTHING: Stamp = (0, "")


class Arrays:
    """The arrays of one group, opened to be read.

    Parameters
    ----------
    path
        Of a group; or of an array, whose group is then meant.

    Raises
    ------
    DatasetError
        When it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.given = str(place_of(path)) if is_place(path) else path
        self.path, self.only = _located(self.given)
        self._root = as_store(self.path)
        self._opened: dict[str, Array] = {}
        self._stamps: dict[str, Stamp] = {}
        self._told: dict[str, str] = {}

    @cached_property
    def names(self) -> list[str]:
        """Names of the arrays that the group has itself, sorted."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # files beside the arrays
                return sorted(zarr.open_group(self._root, mode="r").array_keys())
        except Exception as error:
            if self.only:  # an array by itself
                return [self.only]
            raise DatasetError(f"{self.path} cannot be read as a Zarr group: {error}") from error

    def __contains__(self, name: object) -> bool:
        """Whether there is an array of this name, or path within the group."""
        try:
            return bool(self.array(str(name)))
        except (FileNotFoundError, ValueError):
            return False

    def array(self, name: str) -> Array:
        """Return an array by its name, or its path within the group.

        Raises
        ------
        FileNotFoundError
            When there is none.
        DatasetError
            When its metadata cannot be read.
        """
        if name not in self._opened:
            try:
                self._opened[name] = zarr.open_array(self._root, path=name, mode="r")
            except FileNotFoundError:
                raise
            except Exception as error:
                raise DatasetError(
                    f"array {name!r} of {self.path} cannot be opened: {error}"
                ) from error
        return self._opened[name]

    def shape(self, name: str) -> Shape:
        """Return sizes and names of the dimensions of an array."""
        array = self.array(name)
        attributes: dict[str, Any] = dict(array.attrs)
        names = getattr(array.metadata, "dimension_names", None) or attributes.get(V2_DIMENSIONS)
        return shape_of(array.shape, names)

    def encoding(self, name: str) -> Encoding:
        """Return how what an array holds is to be read."""
        array = self.array(name)
        meta = array.metadata
        attributes = dict(array.attrs)
        return Encoding.of(name, array.dtype, attributes, meta.fill_value, meta.zarr_format)

    def read(self, name: str, region: Region | None = None) -> Any:
        """Return what is stored in a region of an array; all of it by default.

        Raises
        ------
        OSError
            When it cannot be read.
        """
        array = self.array(name)
        chunk_bytes = array.dtype.itemsize * int(np.prod(array.chunks))
        at_once = max(1, min(10, TILE_BYTES // max(1, chunk_bytes)))
        try:
            with zarr.config.set({"async.concurrency": at_once}):
                return np.asarray(array[... if region is None else region])
        except Exception as error:
            place = ", ".join(f"{s.start}:{s.stop}" for s in region or ()) or "all"
            raise OSError(
                f"array {name!r} of {self.path} cannot be read at [{place}]: "
                f"{type(error).__name__}: {error}"
            ) from error

    def numbers(self, name: str, region: Region | None = None) -> Any:
        """Return the numbers in a region of an array.

        Raises
        ------
        OSError
            When it cannot be read.
        """
        return self.encoding(name).decode(self.read(name, region))

    def metadata_digest(self, name: str) -> str:
        """Return a hash of what the metadata of an array say, but for its shape."""
        if name not in self._told:
            told = {k: v for k, v in self.array(name).metadata.to_dict().items() if k != "shape"}
            text = json.dumps(told, default=str, sort_keys=True)
            self._told[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._told[name]

    def digest(self, name: str, region: Region | None = None) -> str:
        """Return a hash that tells an array, or a part of it, from itself when it was changed."""
        part = region or tuple(slice(0, n) for n in self.array(name).shape)
        stamps = [self._stamp(key) for key in self._keys(name, part)]
        return _hash([self.metadata_digest(name), [[s.start, s.stop] for s in part], *stamps])

    def tile_digest(self, name: str, grid: Grid, number: int) -> str:
        """Return such a hash of the chunks that a tile is made of."""
        region = grid.within(range(len(grid.shape)), grid.region(number))
        stamps = [self._stamp(key) for key in self._keys(name, region)]
        return _hash([self.metadata_digest(name), grid.name(number), *stamps])

    def tile_bytes(self, name: str, grid: Grid) -> Iterator[int]:
        """Yield the stored size of every tile; chunks that several tiles share count once."""
        self._list(name)
        seen: set[str] = set()
        for number in range(grid.n_tiles):
            region = grid.within(range(len(grid.shape)), grid.region(number))
            fresh = [key for key in self._keys(name, region) if key not in seen]
            seen.update(fresh)
            yield sum(self._stamp(key)[0] for key in fresh)

    def _keys(self, name: str, region: Sequence[slice]) -> Iterator[str]:
        """Yield the keys of the stored objects, chunks or shards, that have parts of a region."""
        array = self.array(name)
        stored = array.shards or array.chunks
        ranges = (range(s.start // c, -(-s.stop // c)) for s, c in zip(region, stored, strict=True))
        for place in product(*ranges):
            yield f"{array.path}/{array.metadata.encode_chunk_key(place)}".lstrip("/")

    def _list(self, name: str) -> None:
        """Look at all objects of an array at once, where each look is a round trip."""
        folder = place_of(self.path) if is_place(self.path) else None
        if not isinstance(folder, ObjectPath):
            return
        array = self.array(name)
        whole = tuple(slice(0, n) for n in array.shape)
        self._stamps |= dict.fromkeys(self._keys(name, whole), _NOTHING)
        for found in (folder / array.path).below():
            assert found.listed is not None
            key = found.key.removeprefix(folder.key).lstrip("/")
            self._stamps[key] = found.listed.st_size, found.listed.e_tag

    def _stamp(self, key: str) -> Stamp:
        """Return the stamp of one object, each looked at once."""
        if key not in self._stamps:
            self._stamps[key] = self._look(key)
        return self._stamps[key]

    def _look(self, key: str) -> Stamp:
        """Look at one object of the store."""
        store = next(iter(self._opened.values())).store
        if isinstance(store, LocalStore):
            try:
                found = os.stat(store.root / key)  # noqa: PTH116 - a third of the time
            except FileNotFoundError:
                return _NOTHING
            return found.st_size, str(found.st_mtime_ns)
        if isinstance(self._root, ObjectStore):
            try:
                seen = (place_of(self.path) / key).stat()
            except FileNotFoundError:
                return _NOTHING
            return seen.st_size, seen.e_tag  # type: ignore[union-attr]
        content = sync(store.get(key, default_buffer_prototype()))
        if content is None:
            return _NOTHING
        held = content.to_bytes()
        return len(held), hashlib.sha256(held).hexdigest()[:16]


def as_store(path: str | Place, *, read_only: bool = True) -> Any:
    """Return what zarr takes for a place; a URL that only zarr may know is left to it."""
    if isinstance(path, str) and not is_place(path):
        return path
    place = place_of(path)
    return place.zarr(read_only=read_only) if isinstance(place, ObjectPath) else str(place)


def _located(path: str) -> tuple[str, str | None]:
    """Return the path of a group, and the name of the array if it was one that was given."""
    where = path.rstrip("/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            node = zarr.open(as_store(where), mode="r")
    except Exception as error:
        raise DatasetError(
            f"{path} cannot be read as Zarr: {type(error).__name__}: {error}. Write it again or "
            "leave it out"
        ) from error
    if not isinstance(node, zarr.Array):
        return where, None
    folder, _, name = where.rpartition("/")
    return folder, name


def _hash(values: Iterable[Any]) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(repr(list(values)).encode()).hexdigest()[:16]
