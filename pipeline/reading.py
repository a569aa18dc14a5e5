"""Rows of a partition as record batches: bounded memory, needed columns only, no threads.

A batch is bounded by `BATCH_BYTES`, not by the row group: `pre_buffer=False` with a small
`buffer_size` decodes page by page. (Read with the defaults, a row group of 400,000 curves took
166 MB where this takes 2, and longer.) Of an object the needed columns of one row group are fetched
at once, and held until its batches are done.
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from .files import File
from .objects.path import ObjectPath
from .parquet import open_parquet
from .plan import Partition, Slice
from .selection import Selection

BATCH_BYTES = 8_000_000
"""About how many bytes of values, as float64, are read, fitted and written at a time."""

MOST_ROWS = 1 << 19

_COLUMN_BUFFER_BYTES = 1 << 16


def batch_rows(partition: Partition) -> int:
    """Return how many rows to read at a time."""
    rows = sum(s.stop - s.start for s in partition.slices)
    wanted = BATCH_BYTES * rows // max(partition.n_bytes, 1)
    return int(min(max(wanted, 1), MOST_ROWS))


def read_rows(
    files: Mapping[int, File], partition: Partition, selection: Selection
) -> Iterator[pa.RecordBatch]:
    """Read what is selected of the rows of a partition, batch by batch; `files` by position.

    Raises
    ------
    OSError
        When a file is not what it was when the data set was opened.
    """
    size = batch_rows(partition)
    for piece in partition.slices:
        file = files[piece.file]
        apart = isinstance(file.place, ObjectPath)
        with _open(file) as parquet:
            alive = selection.groups(parquet, file)
            for groups, first in _stretches(parquet.metadata, piece, alive, apart=apart):
                batches = selection.read(parquet, file, size, groups)
                for batch in _within(batches, piece.start - first, piece.stop - first):
                    if (kept := selection.kept(batch)).num_rows:
                        yield kept


@contextmanager
def _open(file: File) -> Iterator[Any]:
    """Open a file that must be as it was."""
    with open_parquet(file.place, pre_buffer=False, buffer_size=_COLUMN_BUFFER_BYTES) as opened:
        if opened.identity() != (file.n_bytes, file.digest):
            raise OSError(f"{file.path} has changed since the data set was opened: start again")
        yield opened.parquet


def _stretches(
    metadata: Any, piece: Slice, alive: Container[int], *, apart: bool
) -> Iterator[tuple[list[int], int]]:
    """Yield row groups that follow each other and have rows of a slice, with their first row.

    Parameters
    ----------
    metadata, piece
        Of the file, and which of its rows.
    alive
        Row groups that may have rows which are meant.
    apart
        Whether each row group comes alone.
    """
    groups, row, first = list[int](), 0, 0
    for g in range(metadata.num_row_groups):
        end = row + metadata.row_group(g).num_rows
        if row < piece.stop and end > piece.start and g in alive:
            if groups and apart:
                yield groups, first
                groups = []
            first = first if groups else row
            groups.append(g)
        elif groups:
            yield groups, first
            groups = []
        row = end
    if groups:
        yield groups, first


def _within(batches: Any, start: int, stop: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows [start, stop) of what the batches have together, without copying."""
    row = 0
    for batch in batches:
        first, last = max(start - row, 0), min(stop - row, batch.num_rows)
        if first < last:
            yield batch.slice(first, last - first)
        row += batch.num_rows
        if row >= stop:
            return
