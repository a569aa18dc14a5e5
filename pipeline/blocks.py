"""Blocks: rows of one file at whose edges curves begin, found by as little reading as can be.

a row is a curve    a block is a row group; nothing is read
a row is a point    blocks begin where curves begin: one pass over the ids
with a condition    one pass over its columns; blocks without a row that is taken are left out
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .files import Footer
from .parquet import open_parquet
from .scan import Group, Runs, readers, scan_groups, taken_rows
from .selection import Selection

BLOCK_BYTES = 2_000_000
"""About how many bytes of values, as float64, a block has where a condition is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one file, whole curves; partitions are made of blocks that follow each other.

    Attributes
    ----------
    file
        Position in `Dataset.files`.
    row, rows
        The first row, counted from the beginning of the file, and how many.
    curves
        How many curves.
    n_bytes
        What the values of the points take in memory, as float64.
    head
        Whether a row group begins here: what comes before need not be read to reach it.
    """

    file: int
    row: int
    rows: int
    curves: int
    n_bytes: int
    head: bool


def row_blocks(footers: Sequence[Footer], selection: Selection, n_columns: int) -> Iterator[Block]:
    """Cut row groups in which a row is a curve, with a value in each of some columns, or lists."""
    if selection.where is not None:
        with ThreadPoolExecutor(max_workers=min(len(footers), readers(footers[0].file))) as pool:
            jobs = ((f, footer, selection, n_columns) for f, footer in enumerate(footers))
            for found in pool.map(lambda job: list(_taken_blocks(*job)), jobs):
                yield from found
        return
    for f, footer in enumerate(footers):
        row = 0
        for rows, n_values in footer.groups:
            if rows:
                n_bytes = 8 * n_values * n_columns
                yield Block(file=f, row=row, rows=rows, curves=rows, n_bytes=n_bytes, head=True)
            row += rows


def _taken_blocks(f: int, footer: Footer, selection: Selection, n_columns: int) -> Iterator[Block]:
    """Cut the row groups of one file small, and leave out what has no row that is taken."""
    assert selection.where is not None
    with open_parquet(footer.file.place, pre_buffer=False) as opened:
        parquet, row = opened.parquet, 0
        alive = selection.groups(parquet, footer.file)
        for g, (rows, n_values) in enumerate(footer.groups):
            if g in alive:
                n_bytes = 8 * n_values * n_columns
                edges = _edges(rows, n_bytes)
                taken = [r for _, r in taken_rows(parquet, footer.file, selection, g)]
                counts = np.diff(np.searchsorted(np.concatenate(taken), edges))
                held = [k for k, count in enumerate(counts) if count]
                for k in held:
                    yield Block(
                        file=f,
                        row=row + edges[k],
                        rows=edges[k + 1] - edges[k],
                        curves=int(counts[k]),
                        n_bytes=n_bytes * (edges[k + 1] - edges[k]) // rows,
                        head=k == held[0],
                    )
            row += rows


def _edges(rows: int, n_bytes: int) -> list[int]:
    """Divide a row group into pieces of about `BLOCK_BYTES`."""
    count = min(rows, max(1, n_bytes // BLOCK_BYTES))
    return [rows * k // count for k in range(count + 1)]


def long_blocks(footers: Sequence[Footer], selection: Selection) -> Iterator[Block]:
    """Cut long rows where curves begin, after one pass over the ids: the column of the selection.

    Raises
    ------
    DatasetError
        When the rows of a curve lie apart, or an id is null.
    """
    groups = [group for footer in footers for group in _groups(footer)]
    runs = scan_groups(groups, selection) if groups else []
    at = 0
    for f, footer in enumerate(footers):
        part = slice(at, at + len(footer.groups))
        rows = sum(rows for rows, _ in footer.groups)
        yield from _run_blocks(f, rows, groups[part], runs[part])
        at += len(footer.groups)


def _groups(footer: Footer) -> Iterator[Group]:
    """List the row groups of a file."""
    row = 0
    for g, (rows, _) in enumerate(footer.groups):
        yield Group(footer.file, g, row, rows)
        row += rows


def _run_blocks(
    file: int, rows: int, groups: Sequence[Group], runs: Sequence[Runs]
) -> Iterator[Block]:
    """Cut one file at the marks of its runs, each block ending where the next begins."""
    marks: list[tuple[int, int, bool]] = []
    curves, last = 0, None
    for group, found in zip(groups, runs, strict=True):
        goes_on = int(curves > 0 and found.n_runs > 0 and found.first == last)
        fresh = [(group.row + row, curves + k - goes_on) for row, k in found.marks if k >= goes_on]
        if not goes_on:  # the second run is of use only where the first is not fresh
            fresh = [mark for mark in fresh if mark[1] != curves + 1]
        marks += [(row, before, j == 0) for j, (row, before) in enumerate(fresh)]
        curves += found.n_runs - goes_on
        last = found.last if found.n_runs else last
    marks.append((rows, curves, True))
    for (row, before, head), (next_row, next_before, _) in pairwise(marks):
        yield Block(
            file=file,
            row=row,
            rows=next_row - row,
            curves=next_before - before,
            n_bytes=8 * (next_row - row),
            head=head,
        )
