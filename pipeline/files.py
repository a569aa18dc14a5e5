"""Parquet files and what their footers say."""

import hashlib
import os
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DatasetError

SUFFIXES = (".parquet", ".pq", ".parq")
Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One Parquet file, as it was when the data set was opened.

    Attributes
    ----------
    path
        Absolute.
    name
        Relative to the folder that all files of the data set share.
    n_bytes
        Size on disk.
    digest
        A hash of the footer. The footer has sizes, and bounds of the values, of every column of
        every row group, so it tells one file from another without reading them; where it has no
        such statistics, the time of the last change is hashed as well.
    """

    path: str
    name: str
    n_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Footer:
    """A file with its schema and metadata: what opening reads, and planning forgets."""

    file: File
    schema: pa.Schema
    metadata: Any


def find_files(paths: Paths) -> list[Path]:
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


def read_footers(paths: Sequence[Path]) -> list[Footer]:
    """Open every file, in threads, and return what the footers say.

    Raises
    ------
    DatasetError
        When a file cannot be read as Parquet; it is named.
    """
    root = os.path.commonpath([p.parent for p in paths])
    with ThreadPoolExecutor(max_workers=min(16, len(paths))) as pool:
        return list(pool.map(lambda path: _read_footer(path, root), paths))


def _expand(text: str) -> list[Path]:
    """Return the files of one path, folder or glob."""
    path = Path(text).absolute()
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


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file in a folder is meant as data."""
    hidden = _is_hidden(path.relative_to(folder).parts)
    return path.suffix in SUFFIXES and not hidden and path.is_file()


def _is_hidden(parts: Iterable[str]) -> bool:
    """Whether a part of a path says that it is no data."""
    return any(part.startswith(("_", ".")) for part in parts)


def _read_footer(path: Path, root: str) -> Footer:
    """Open one file."""
    try:
        with pq.ParquetFile(path) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
        n_bytes, digest = footer_digest(path, metadata)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path} cannot be read as Parquet: {error}. Write the file again or leave it out"
        ) from error
    name = os.path.relpath(path, root)
    return Footer(File(path=str(path), name=name, n_bytes=n_bytes, digest=digest), schema, metadata)


def footer_digest(path: str | Path, metadata: Any) -> tuple[int, str]:
    """Return the size of a file, and the hash that tells it from others (see `File`)."""
    with Path(path).open("rb") as stream:
        n_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(n_bytes - 8)
        length = struct.unpack("<I", stream.read(4))[0]
        stream.seek(n_bytes - 8 - length)
        content = stream.read(length)
        changed_ns = os.fstat(stream.fileno()).st_mtime_ns
    if not _has_statistics(metadata):
        content += str(changed_ns).encode()
    return n_bytes, hashlib.sha256(content).hexdigest()[:16]


def _has_statistics(metadata: Any) -> bool:
    """Whether the footer bounds the values of every column of the first row group."""
    if not metadata.num_row_groups:
        return True
    group = metadata.row_group(0)
    return all(group.column(j).is_stats_set for j in range(group.num_columns))
