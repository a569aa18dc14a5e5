"""Rows of a partition as record batches: bounded memory, needed columns only, no threads.

A batch is bounded by `BATCH_BYTES`, not by the row group: `pre_buffer=False` with a small
`buffer_size` decodes page by page. (Read with the defaults, a row group of 400,000 curves took
166 MB where this takes 2, and longer.)
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .files import File, footer_digest
from .plan import Partition
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
        with _open(file) as parquet:
            alive = selection.groups(parquet, file)
            for groups, first in _stretches(parquet.metadata, piece.start, piece.stop, alive):
                batches = selection.read(parquet, file, size, groups)
                for batch in _within(batches, piece.start - first, piece.stop - first):
                    if (kept := selection.kept(batch)).num_rows:
                        yield kept


@contextmanager
def _open(file: File) -> Iterator[Any]:
    """Open a file that must be as it was."""
    with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=_COLUMN_BUFFER_BYTES) as parquet:
        if footer_digest(file.path, parquet.metadata) != (file.n_bytes, file.digest):
            raise OSError(f"{file.path} has changed since the data set was opened: start again")
        yield parquet


def _stretches(
    metadata: Any, start: int, stop: int, alive: Container[int]
) -> Iterator[tuple[list[int], int]]:
    """Yield row groups that follow each other and have rows of [start, stop), with their first."""
    groups, row, first = list[int](), 0, 0
    for g in range(metadata.num_row_groups):
        end = row + metadata.row_group(g).num_rows
        if row < stop and end > start and g in alive:
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
