"""Files of curves: Parquet files and what their footers say, and what is Zarr."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from .errors import DatasetError
from .hive import HiveTypes, HiveValues, hive_values, with_hive
from .nested import flat_schema, nested_fields
from .objects.listing import find_objects, folder_of
from .objects.path import ObjectPath, ObjectStat
from .objects.stores import is_object_url
from .parquet import open_parquet
from .places import REQUESTS, Place, place_of

SUFFIXES = (".parquet", ".pq", ".parq")
ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray")
Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One Parquet file, as it was when the data set was opened.

    Attributes
    ----------
    path
        Absolute; or a URL.
    name
        Relative to the folder that all files of the data set share.
    n_bytes
        Size on disk, or of the object.
    digest
        A hash of the footer. The footer has sizes, and bounds of the values, of every column of
        every row group, so it tells one file from another without reading them; where it has no
        such statistics, the time of the last change is hashed as well; of an object, its version.
    hive
        The columns that its folders name, as text.
    version
        Of an object, as its store tells it from what takes its place.
    """

    path: str
    name: str
    n_bytes: int
    digest: str
    hive: HiveValues = ()
    version: str = ""

    @property
    def place(self) -> Place:
        """Where it lies; an object is that of the version which was seen."""
        place = place_of(self.path)
        if isinstance(place, ObjectPath):
            return replace(place, listed=ObjectStat(self.n_bytes, 0.0, self.version))
        return place


@dataclass(frozen=True, slots=True)
class Footer:
    """A file, and what planning needs of its footer: ten thousand of them fit in memory.

    Attributes
    ----------
    file, schema
        The file, and its columns as they are seen (see `nested` and `hive`).
    groups
        Of each row group its rows, and how many values the column of y has there.
    """

    file: File
    schema: pa.Schema
    groups: tuple[tuple[int, int], ...]


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a Zarr group or array, of either format."""
    text = os.fspath(path)
    if "://" in text and not text.startswith("file://"):
        suffix = posixpath.splitext(text)[1]
        if ".zarr" in text or not is_object_url(text) or has_magic(text) or suffix in SUFFIXES:
            return ".zarr" in text
    place = place_of(text)
    return any((place / name).is_file() for name in ZARR_METADATA)


def find_files(paths: Paths) -> list[Place]:
    """Return the Parquet files that paths, folders and globs stand for, sorted within each.

    Names that begin with ``_`` or ``.`` are passed over, in folders also files that do not end in
    .parquet, .pq or .parq. A name that exists is meant itself, whatever signs it contains.

    Raises
    ------
    DatasetError
        When nothing is found, or a file is named twice.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise DatasetError("no path was given: name Parquet files, folders or globs")
    found = [file for path in given for file in _expand(os.fspath(path))]
    twice = [str(path) for path, count in Counter(found).items() if count > 1]
    if twice:
        raise DatasetError(f"the file {twice[0]} is named twice: name each file once")
    return found


def root_of(paths: Paths) -> str:
    """Return the folder that names of files are relative to: it stays as files come and go.

    Raises
    ------
    DatasetError
        When there is none, since they lie on a disk and in a bucket, or in several buckets.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    bases = [_base(os.fspath(path)) for path in given]
    buckets = {base.bucket if isinstance(base, ObjectPath) else "this disk" for base in bases}
    if len(buckets) > 1:
        raise DatasetError(
            f"the input lies in several places ({', '.join(sorted(buckets))}): name files of one"
        )
    keys = [base.key if isinstance(base, ObjectPath) else str(base) for base in bases]
    root = os.path.commonpath(keys)
    return root if buckets == {"this disk"} else str(ObjectPath(buckets.pop(), root))


def read_footers(
    paths: Sequence[Place], root: str, hive: HiveTypes, y: str | None = None
) -> list[Footer]:
    """Open every file, in threads, and return what the footers say.

    Parameters
    ----------
    paths, root
        The files, and the folder that their names are relative to.
    hive
        The columns that folders name.
    y
        The column whose values are counted.

    Raises
    ------
    DatasetError
        When a file cannot be read as Parquet; it is named.
    """
    most = REQUESTS if isinstance(paths[0], ObjectPath) else 16
    with ThreadPoolExecutor(max_workers=min(most, len(paths))) as pool:
        footers = list(pool.map(lambda path: _read_footer(path, root, hive, y), paths))
    first = footers[0].schema  # one for all that are alike
    return [replace(f, schema=first) if f.schema.equals(first) else f for f in footers]


def _expand(text: str) -> Sequence[Place]:
    """Return the files of one path, folder or glob."""
    path = place_of(text)
    if isinstance(path, ObjectPath):
        return find_objects(path, SUFFIXES)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if _is_data(p, path))
        if not found:
            there = sorted(p.name for p in path.iterdir())[:5]
            raise DatasetError(
                f"the folder {text!r} has no Parquet file ({', '.join(SUFFIXES)}); it has "
                f"{there or 'nothing at all'}"
            )
        return found
    if path.exists():
        return [path]
    if not has_magic(text):
        raise DatasetError(f"there is no file or folder {text!r} (looked in {Path.cwd()})")
    matched = sorted(Path(p).absolute() for p in glob(text, recursive=True))  # noqa: PTH207 - may be absolute
    found = [p for p in matched if p.is_file() and not _is_hidden([p.name])]
    if not found:
        raise DatasetError(f"no file matches {text!r} (looked in {Path.cwd()})")
    return found


def _base(text: str) -> Place:
    """Return the folder that a path, folder or glob starts from."""
    path = place_of(text)
    if isinstance(path, ObjectPath):
        return path.parent if path.is_file() else folder_of(path)
    if path.exists() or not has_magic(text):
        return path if path.is_dir() else path.parent
    return next(folder for folder in path.parents if not has_magic(str(folder)))


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder is meant as data."""
    hidden = _is_hidden(path.relative_to(folder).parts)
    return path.suffix in SUFFIXES and not hidden and path.is_file()


def _is_hidden(parts: Iterable[str]) -> bool:
    """Whether a part of a path says that it is no data."""
    return any(part.startswith(("_", ".")) for part in parts)


def _read_footer(path: Place, root: str, hive: HiveTypes, y: str | None) -> Footer:
    """Open one file."""
    try:
        with open_parquet(path) as opened:
            metadata, schema = opened.parquet.metadata, opened.parquet.schema_arrow
            n_bytes, digest = opened.identity()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path} cannot be read as Parquet: {error}. Write the file again or leave it out"
        ) from error
    file = File(
        path=str(path),
        name=os.path.relpath(str(path), root),
        n_bytes=n_bytes,
        digest=digest,
        hive=hive_values(path),
        version=opened.version,
    )
    leaf = _leaf(y, schema, metadata) if y else None
    groups = tuple(_group_size(metadata.row_group(g), leaf) for g in range(metadata.num_row_groups))
    return Footer(file, with_hive(flat_schema(schema), hive), groups)


def _leaf(name: str, schema: pa.Schema, metadata: Any) -> int | None:
    """Return the position of a column's values among the leaves of the Parquet schema."""
    nested = nested_fields(schema).get(name)
    for j in range(metadata.num_columns):
        path = metadata.schema.column(j).path
        if nested.is_stored_at(path) if nested else path == name or path.startswith(f"{name}."):
            return j
    return None


def _group_size(group: Any, leaf: int | None) -> tuple[int, int]:
    """Return the rows of a row group, and the values of one of its columns."""
    return group.num_rows, group.column(leaf).num_values if leaf is not None else group.num_rows
