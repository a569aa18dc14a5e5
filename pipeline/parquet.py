"""Parquet files where they lie: opened, and told from others without being read."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from .objects.file import ObjectFile
from .places import Place

Identity: TypeAlias = tuple[int, str]
"""The size of a file, and a hash of its footer (see `File.digest`)."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A Parquet file that is open.

    Attributes
    ----------
    parquet
        The `pyarrow.parquet.ParquetFile`.
    identity
        Works out what tells it from other files.
    version
        Of an object, by which its store tells it from what takes its place; "" on a disk.
    """

    parquet: Any
    identity: Callable[[], Identity]
    version: str = ""


@contextmanager
def open_parquet(place: Place, **reading: Any) -> Iterator[OpenFile]:
    """Open a Parquet file or object.

    Parameters
    ----------
    place
        Where it lies.
    reading
        How a file on a disk is read, as `pyarrow.parquet.ParquetFile` takes it. Of an object the
        columns of a row group are fetched together, before they are decoded: a request for each
        page would take a round trip each.

    Raises
    ------
    OSError
        When it cannot be read.
    pyarrow.ArrowException
        When it is no Parquet.
    """
    if isinstance(place, Path):
        with pq.ParquetFile(place, **reading) as parquet:
            yield OpenFile(parquet, partial(_identity_of_file, place, parquet.metadata))
        return
    fetched = {**reading, "pre_buffer": True, "buffer_size": 0}
    with (
        place.open() as stream,
        pq.ParquetFile(pa.PythonFile(stream, mode="r"), **fetched) as parquet,
    ):
        identity = partial(_identity, stream, parquet.metadata, stream.e_tag)
        yield OpenFile(parquet, identity, stream.e_tag)


def _identity_of_file(path: Path, metadata: Any) -> Identity:
    """Work out the identity of a file on a disk."""
    with path.open("rb") as stream:
        return _identity(stream, metadata, str(os.fstat(stream.fileno()).st_mtime_ns))


def _identity(stream: BinaryIO | ObjectFile, metadata: Any, changed: str) -> Identity:
    """Hash the footer, and what tells of a change where the footer does not."""
    n_bytes = stream.seek(0, os.SEEK_END)
    stream.seek(n_bytes - 8)
    length = struct.unpack("<I", stream.read(4))[0]
    stream.seek(n_bytes - 8 - length)
    content = stream.read(length)
    if not _has_statistics(metadata):
        content += changed.encode()
    return n_bytes, hashlib.sha256(content).hexdigest()[:16]


def _has_statistics(metadata: Any) -> bool:
    """Whether the footer bounds the values of every column of the first row group."""
    if not metadata.num_row_groups:
        return True
    group = metadata.row_group(0)
    return all(group.column(j).is_stats_set for j in range(group.num_columns))
