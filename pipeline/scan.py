"""Where curves begin in long rows: one pass over the curve ids alone, when a data set is opened.

A run is a stretch of rows with one id. Rows of one curve must follow each other, so every id must
have one run. A run may go on in the next row group of its file. If the ids of all runs rise, or
all fall, none can come back, and no list of ids has to be kept; otherwise all are compared.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from os import cpu_count
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DatasetError
from .exchange import as_arrow, as_numpy
from .files import File
from .objects.path import ObjectPath
from .parquet import open_parquet
from .selection import Selection
from .where import selected_rows

MARK_ROWS = 1 << 17
"""About how many rows lie between two known beginnings of curves within a row group."""

FETCHES = 8
"""Row groups that are read at a time where they have to be fetched first."""

_BATCH_ROWS = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of one row group.

    Attributes
    ----------
    rows, n_runs
        How many.
    first, last
        The ids of the first and the last run.
    rising, falling
        Whether the ids of the runs are in order.
    marks
        Pairs (row, runs before it) of the first run, the second, and one about every `MARK_ROWS`.
    """

    rows: int
    n_runs: int
    first: Any
    last: Any
    rising: bool
    falling: bool
    marks: tuple[tuple[int, int], ...]


Ids = tuple[pa.Array, npt.NDArray[np.int64]]
"""Ids of rows that are taken, and which rows of their row group these are."""


@dataclass(frozen=True, slots=True)
class Group:
    """A row group to be scanned: its file, its number and first row there, and its rows."""

    file: File
    index: int
    row: int
    rows: int


def run_starts(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the rows at which a run begins, (n_runs,), the first row among them."""
    if len(ids) == 0:
        return np.empty(0, dtype=np.int64)
    codes = ids.indices if pa.types.is_dictionary(ids.type) else ids
    if pa.types.is_integer(codes.type):
        values = as_numpy(codes)
        changes = values[1:] != values[:-1]
    else:
        changes = as_numpy(pc.not_equal(codes[1:], codes[:-1]))
    starts = np.flatnonzero(np.concatenate([[True], changes]))
    if codes is ids:
        return starts
    keys = plain(ids.take(as_arrow(starts)))  # a dictionary may hold a value twice
    return starts[run_starts(keys)]


def plain(ids: pa.Array) -> pa.Array:
    """Return ids as plain values, dictionaries decoded."""
    return ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids


def scan_groups(groups: Sequence[Group], selection: Selection) -> list[Runs]:
    """Find the runs of every row group, in threads, and check that no id has two of them.

    Parameters
    ----------
    groups
        All row groups, in order.
    selection
        The column of the ids, of the rows that are taken.

    Raises
    ------
    DatasetError
        When an id comes back after other ids, or is null.
    """
    with ThreadPoolExecutor(max_workers=min(len(groups), readers(groups[0].file))) as pool:
        runs = list(pool.map(lambda g: _runs(_read_ids(g, selection), g.rows, _place(g)), groups))
    if not _in_order(groups, runs):
        _check_unique(groups, selection)
    return runs


def checked_runs(batches: Iterable[pa.RecordBatch], curve_id: str) -> Iterator[pa.RecordBatch]:
    """Yield long rows as they come, while no id comes back after other ids, or is null.

    Ids that rise, or fall, from run to run cannot come back. Those in no order are compared with
    each other whenever they are twice as many as the last time, and at the end.

    Parameters
    ----------
    batches
        Rows of a point each.
    curve_id
        The column that names the curves.

    Raises
    ------
    DatasetError
        When an id comes back, or is null.
    """
    coming: list[pa.RecordBatch] = []
    seen: list[tuple[pa.Array, npt.NDArray[np.int64], str]] = []
    rising, falling, n_seen, n_compared = True, True, 0, 0
    for keys, starts in _keys(_numbered(batches, curve_id, coming), _row):
        joined = pa.concat_arrays([*(k[-1:] for k, _, _ in seen[-1:]), keys])
        rising, falling = rising and _all(pc.less, joined), falling and _all(pc.greater, joined)
        if len(keys):
            seen.append((keys, starts, "row"))
            n_seen += len(keys)
        if not (rising or falling) and n_seen >= 2 * n_compared:
            _refuse_repeats(seen)
            n_compared = n_seen
        yield coming.pop()
    if not (rising or falling):
        _refuse_repeats(seen)


def _numbered(
    batches: Iterable[pa.RecordBatch], curve_id: str, coming: list[pa.RecordBatch]
) -> Iterator[Ids]:
    """Yield the ids of rows in memory, and the running numbers of the rows; put down each batch."""
    first = 0
    for batch in batches:
        coming.append(batch)
        yield batch.column(curve_id), np.arange(first, first + batch.num_rows)
        first += batch.num_rows


def _row(row: int) -> str:
    """Name a row in memory."""
    return f"row {row}"


def readers(file: File) -> int:
    """Return how many files like this to read at a time."""
    cores = cpu_count() or 1
    return max(cores, FETCHES) if isinstance(file.place, ObjectPath) else cores


def _place(group: Group) -> Callable[[int], str]:
    """Return how to name a row of a row group."""
    return lambda row: f"{group.file.path}, row {group.row + row}"


def _read_ids(group: Group, selection: Selection) -> Iterator[Ids]:
    """Read the ids of one row group, strings as dictionaries: they compare as integers."""
    with open_parquet(
        group.file.place,
        pre_buffer=False,
        buffer_size=1 << 20,
        read_dictionary=[name for name in selection.columns if name not in selection.hive],
    ) as opened:
        if group.index in selection.groups(opened.parquet, group.file):
            for batch, rows in taken_rows(opened.parquet, group.file, selection, group.index):
                yield batch.column(selection.columns[0]), rows


def taken_rows(
    parquet: Any, file: File, selection: Selection, group: int
) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64]]]:
    """Yield the rows of a row group that are taken, and which of its rows they are, (n_taken,)."""
    first = 0
    for batch in selection.read(parquet, file, _BATCH_ROWS, [group]):
        if selection.where is None:
            rows = np.arange(batch.num_rows)
        else:
            rows = selected_rows(selection.where, batch)
        yield selection.kept(batch), rows + first
        first += batch.num_rows


def _keys(
    batches: Iterable[Ids], place: Callable[[int], str]
) -> Iterator[tuple[pa.Array, npt.NDArray[np.int64]]]:
    """Yield the ids of the runs that begin in each batch, and the rows where they do."""
    last = None
    for ids, rows in batches:
        if ids.null_count:
            null = int(rows[np.argmax(as_numpy(ids.is_null()))])
            raise DatasetError(
                f"curve_id is null at {place(null)}: every row of long data needs the id of its "
                "curve; drop such rows"
            )
        starts = run_starts(ids)
        keys = plain(ids.take(as_arrow(starts)))
        goes_on = int(len(keys) > 0 and keys[0].as_py() == last)
        if len(keys):
            last = keys[-1].as_py()
        yield keys[goes_on:], rows[starts[goes_on:]]


def _runs(batches: Iterable[Ids], rows: int, place: Callable[[int], str]) -> Runs:
    """Describe the runs of one row group."""
    found = [(keys, starts) for keys, starts in _keys(batches, place) if len(keys)]
    starts = np.concatenate([s for _, s in found]) if found else np.empty(0, dtype=np.int64)
    keys = pa.concat_arrays([k for k, _ in found]) if found else pa.array([], pa.int64())
    return Runs(
        rows=rows,
        n_runs=len(starts),
        first=keys[0].as_py() if found else None,
        last=keys[-1].as_py() if found else None,
        rising=_all(pc.less, keys),
        falling=_all(pc.greater, keys),
        marks=_marks(starts, rows),
    )


def _all(relation: Callable[[pa.Array, pa.Array], pa.Array], keys: pa.Array) -> bool:
    """Whether a relation holds between every key and the next."""
    return bool(pc.all(relation(keys[:-1], keys[1:]), min_count=0).as_py())


def _marks(starts: npt.NDArray[np.int64], rows: int) -> tuple[tuple[int, int], ...]:
    """Choose the beginnings that are worth remembering."""
    grid = np.searchsorted(starts, np.arange(MARK_ROWS, rows, MARK_ROWS))
    chosen = sorted({0, 1, *grid.tolist()} & set(range(len(starts))))
    return tuple((int(starts[k]), k) for k in chosen)


def _in_order(groups: Sequence[Group], runs: Sequence[Runs]) -> bool:
    """Whether the ids of the whole data set rise, or fall, from run to run."""
    filled = [(g.file.path, r) for g, r in zip(groups, runs, strict=True) if r.n_runs]
    ends = [(a.last, b.first, file == next_file) for (file, a), (next_file, b) in pairwise(filled)]
    rising = all(a < b or (a == b and same) for a, b, same in ends)
    falling = all(a > b or (a == b and same) for a, b, same in ends)
    return (rising and all(r.rising for r in runs)) or (falling and all(r.falling for r in runs))


def _check_unique(groups: Sequence[Group], selection: Selection) -> None:
    """Compare all ids with each other: for data whose curves follow in no order."""
    found: list[tuple[pa.Array, npt.NDArray[np.int64], str]] = []
    for group in groups:
        goes_on = bool(found) and found[-1][2] == f"{group.file.path}, row"
        last = found[-1][0][-1].as_py() if goes_on else None
        for keys, starts in _keys(_read_ids(group, selection), _place(group)):
            skip = int(goes_on and len(keys) > 0 and keys[0].as_py() == last)
            goes_on = goes_on and len(keys) == 0
            if len(keys) > skip:
                found.append((keys[skip:], starts[skip:] + group.row, f"{group.file.path}, row"))
    _refuse_repeats(found)


def _refuse_repeats(found: Sequence[tuple[pa.Array, npt.NDArray[np.int64], str]]) -> None:
    """Refuse when a run's id is that of an earlier run, and say where both are."""
    keys = pa.chunked_array([k for k, _, _ in found])
    if pc.count_distinct(keys).as_py() == len(keys):
        return
    counts = pc.value_counts(keys)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0]
    where = [
        f"{place} {starts[i]}"
        for k, starts, place in found
        for i in np.flatnonzero(pc.equal(k, twice).to_numpy(zero_copy_only=False))
    ]
    raise DatasetError(
        f"curve id {twice.as_py()!r} comes back after other curves: at {where[0]} and again at "
        f"{where[1]}. The rows of one curve must follow each other, in one file: sort the rows by "
        "the curve id, or give curves of different files different ids"
    )
