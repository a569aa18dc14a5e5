"""Partitions: which rows one task takes. Pure functions of what the footers say.

Blocks that follow each other are packed into a partition until it holds enough work. Row groups
are kept whole, since Parquet must be decoded from the beginning of a row group, unless there are
too few of them to give every thread something to do. So are the tiles of a column of chunks, for
each chunk is decoded once a partition. Such a column is divided among the threads, if there are
more of these than columns, and no further; and if it has more than a partition should, since a
task holds all that it reads of it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, count, groupby, pairwise
from typing import Any, Self, TypeAlias

from .blocks import Block
from .dataset import Dataset

PARTITION_BYTES = 256_000_000
"""The most values, in bytes of float64, that a partition should hold: 640,000 curves of 50 points,
about a second of work at the speed of compiled models, ten at that of others."""

PARTITION_CURVES = 1 << 19
"""The most curves that a partition should hold: a part of the result has some 80 MB."""

LEAST_BYTES = 2_000_000
"""Partitions are not made smaller than this to occupy more threads. (With 5,000 curves of 50 points
a partition, a tenth of a second of work, two workers did 54,000 fits/s; with 1,000, 33,000; with
10,000 to 50,000, 51,000 to 69,000.)"""

PARTITIONS_PER_THREAD = 4
"""Partitions that each thread should have, so that all end at about the same time."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows [start, stop) of one file: the file's position in the data set, counted by file."""

    file: int
    start: int
    stop: int


Pack: TypeAlias = tuple[tuple[Slice, ...], int, int]
"""Rows that go together, with their curves and bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The work of one task.

    Attributes
    ----------
    index
        Position in the plan, and number of the part in the output.
    slices
        The rows, whole curves, in order.
    first_curve, curves
        The running number of the first curve in the data set, and how many there are.
    n_bytes
        What the values take in memory, as float64.
    """

    index: int
    slices: tuple[Slice, ...]
    first_curve: int
    curves: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All partitions of a data set, in the order of its curves, and how these lie in the rows.

    Attributes
    ----------
    partitions
        By rising index.
    layout
        How curves lie in the rows, for people.
    retired
        Indices that have no partition any more: what they had is fitted elsewhere, or gone.
    """

    partitions: tuple[Partition, ...]
    layout: str
    retired: tuple[int, ...] = ()

    @property
    def n_curves(self) -> int:
        """Curves in all partitions."""
        return sum(p.curves for p in self.partitions)

    @property
    def n_bytes(self) -> int:
        """What all values take in memory, as float64."""
        return sum(p.n_bytes for p in self.partitions)

    def __str__(self) -> str:
        """Say how many partitions there are, and how large."""
        curves = [p.curves for p in self.partitions]
        return (
            f"{len(curves):,} partition(s) of {min(curves):,} .. {max(curves):,} curves, "
            f"{self.n_curves:,} curves and {self.n_bytes / 1e6:,.1f} MB of float64 in all\n"
            f"layout     {self.layout}"
        )

    @property
    def files(self) -> frozenset[int]:
        """Positions of the files that have rows in the plan."""
        return frozenset(s.file for p in self.partitions for s in p.slices)

    def with_slices(self, change: Callable[[Slice], Slice]) -> Self:
        """Return the same partitions with other slices."""
        partitions = (replace(p, slices=tuple(map(change, p.slices))) for p in self.partitions)
        return replace(self, partitions=tuple(partitions))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values, small enough for a ledger of many partitions."""
        rows: dict[int, list[Any]] = {index: [] for index in self.retired}
        for p in self.partitions:
            rows[p.index] = [[[s.file, s.start, s.stop] for s in p.slices], p.curves, p.n_bytes]
        return {"layout": self.layout, "partitions": [row for _, row in sorted(rows.items())]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the plan that `to_json` wrote."""
        rows = dict(enumerate(value["partitions"]))
        packs = {
            k: (tuple(Slice(*s) for s in row[0]), row[1], row[2]) for k, row in rows.items() if row
        }
        retired = tuple(k for k, row in rows.items() if not row)
        return cls(partitions=tuple(_number(packs)), layout=value["layout"], retired=retired)


def plan_dataset(
    dataset: Dataset,
    *,
    n_threads: int = 1,
    partition_bytes: int | None = None,
    after: Plan | None = None,
    again: Collection[int] = (),
) -> Plan:
    """Divide the curves of a data set into partitions.

    Parameters
    ----------
    dataset
        What is to be fitted.
    n_threads
        Threads of the cluster; each should get several partitions, if there are curves enough.
    partition_bytes
        Values a partition, in bytes of float64; None: at most `PARTITION_BYTES` and
        `PARTITION_CURVES`, less to give every thread something to do.
    after
        A plan whose partitions stay as they are; those of files that are not in it take the place
        of those that are retired, and follow.
    again
        Positions of files that are in `after` in part: what is not is planned.

    Raises
    ------
    ValueError
        When partition_bytes or n_threads is not positive.
    """
    if n_threads < 1 or (partition_bytes is not None and partition_bytes < 1):
        raise ValueError(
            f"n_threads and partition_bytes must be >= 1, got {n_threads} and {partition_bytes}"
        )
    plan = after or Plan(partitions=(), layout=str(dataset.layout))
    blocks = list(_open_blocks(dataset.blocks, plan, frozenset(again)))
    limit, whole = _limits(blocks, n_threads, partition_bytes, dataset)
    pieces = (piece for unit in _units(blocks) for piece in _split(unit, whole))
    packs = {p.index: (p.slices, p.curves, p.n_bytes) for p in plan.partitions}
    free = chain(plan.retired, count(len(packs) + len(plan.retired)))
    packs.update(zip(free, map(_join, _pack(pieces, limit)), strict=False))
    return Plan(
        partitions=tuple(_number(packs)),
        layout=str(dataset.layout),
        retired=tuple(k for k in plan.retired if k not in packs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may go together."""

    curves: int
    n_bytes: int

    def holds(self, curves: int, n_bytes: int) -> bool:
        """Whether so much may go together."""
        return curves <= self.curves and n_bytes <= self.n_bytes


def _limits(
    blocks: Sequence[Block], n_threads: int, partition_bytes: int | None, dataset: Dataset
) -> tuple[Limit, Limit]:
    """Return how much a partition may have, and how much of what is better not divided.

    Parameters
    ----------
    blocks
        What is to be planned.
    n_threads, partition_bytes, dataset
        As for `plan_dataset`. Each piece of a row group of an object costs fetching all of it, and
        each piece of a column of chunks decoding it again; of the latter a task holds all it has.
    """
    n_curves, n_bytes = sum(b.curves for b in blocks), sum(b.n_bytes for b in blocks)
    if partition_bytes is not None:
        given = Limit(curves=max(1, n_curves), n_bytes=partition_bytes)
        return given, given
    least = max(n_bytes // (n_threads * PARTITIONS_PER_THREAD), LEAST_BYTES)
    limit = Limit(curves=PARTITION_CURVES, n_bytes=min(least, PARTITION_BYTES))
    held = dataset.layout.grid is not None
    most = max(n_bytes // n_threads, LEAST_BYTES) if held or dataset.remote else least
    most = min(most, PARTITION_BYTES) if held else most
    return limit, Limit(curves=max(1, n_curves), n_bytes=most)


def _units(blocks: Iterable[Block]) -> Iterator[tuple[Block, ...]]:
    """Group the blocks by row group."""
    numbered = zip(accumulate(block.head for block in blocks), blocks, strict=True)
    for _, unit in groupby(numbered, key=lambda pair: pair[0]):
        yield tuple(block for _, block in unit)


def _split(unit: Sequence[Block], limit: Limit) -> Iterator[tuple[Block, ...]]:
    """Divide a row group that is over the limit into pieces of nearly one size."""
    curves, n_bytes = sum(b.curves for b in unit), sum(b.n_bytes for b in unit)
    count = min(curves, max(-(-curves // limit.curves), -(-n_bytes // limit.n_bytes)))
    if count == 1:
        yield tuple(unit)
        return
    rows_are_curves = len(unit) == 1 and unit[0].rows == curves
    blocks = list(_cut(unit[0], count)) if rows_are_curves else unit
    ends = accumulate(block.curves for block in blocks)
    numbered = ((-(-end * count // curves), block) for end, block in zip(ends, blocks, strict=True))
    for _, piece in groupby(numbered, key=lambda pair: pair[0]):
        yield tuple(block for _, block in piece)


def _cut(block: Block, count: int) -> Iterator[Block]:
    """Cut a block in which a row is a curve."""
    edges = [block.rows * k // count for k in range(count + 1)]
    for start, stop in pairwise(edges):
        yield _rows_of(block, block.row + start, block.row + stop)


def _pack(pieces: Iterable[tuple[Block, ...]], limit: Limit) -> Iterator[list[Block]]:
    """Put pieces together for as long as the limit holds; each pack has at least one."""
    pack: list[Block] = []
    curves = n_bytes = 0
    for piece in pieces:
        more, more_bytes = sum(b.curves for b in piece), sum(b.n_bytes for b in piece)
        if pack and not limit.holds(curves + more, n_bytes + more_bytes):
            yield pack
            pack, curves, n_bytes = [], 0, 0
        pack.extend(piece)
        curves, n_bytes = curves + more, n_bytes + more_bytes
    if pack:
        yield pack


def _join(blocks: Sequence[Block]) -> Pack:
    """Return the rows of some blocks, with their curves and bytes."""
    slices: list[Slice] = []
    for block in blocks:
        last = slices[-1] if slices else None
        if last and (last.file, last.stop) == (block.file, block.row):
            slices[-1] = replace(last, stop=block.row + block.rows)
        else:
            slices.append(Slice(block.file, block.row, block.row + block.rows))
    return tuple(slices), sum(b.curves for b in blocks), sum(b.n_bytes for b in blocks)


def _number(packs: Mapping[int, Pack]) -> Iterator[Partition]:
    """Give partitions their indices, and their curves running numbers in that order."""
    first = 0
    for index, (slices, curves, n_bytes) in sorted(packs.items()):
        yield Partition(
            index=index, slices=slices, first_curve=first, curves=curves, n_bytes=n_bytes
        )
        first += curves


def _open_blocks(blocks: Iterable[Block], plan: Plan, again: Collection[int]) -> Iterator[Block]:
    """Yield the rows that no partition has, of files that are not in the plan or only in part."""
    files, taken = plan.files, dict[int, list[Slice]]()
    for piece in (s for p in plan.partitions for s in p.slices if s.file in again):
        taken.setdefault(piece.file, []).append(piece)
    for block in blocks:
        if block.file not in files:
            yield block
        elif block.file in again:
            yield from _without(block, sorted(taken[block.file], key=lambda s: s.start))


def _without(block: Block, taken: Sequence[Slice]) -> Iterator[Block]:
    """Yield what is left of a block; one whose rows are not curves is taken whole or not at all."""
    if block.rows != block.curves:
        if not any(s.start <= block.row < s.stop for s in taken):
            yield block
        return
    row, stop = block.row, block.row + block.rows
    for piece in taken:
        if piece.start >= stop:
            break
        if row < piece.start:
            yield _rows_of(block, row, piece.start)
        row = max(row, piece.stop)
    if row < stop:
        yield _rows_of(block, row, stop)


def _rows_of(block: Block, start: int, stop: int) -> Block:
    """Return some rows of a block in which a row is a curve."""
    return replace(
        block,
        row=start,
        rows=stop - start,
        curves=stop - start,
        n_bytes=block.n_bytes * (stop - start) // block.rows,
        head=start == block.row and block.head,
    )
