"""Whether results are what the ledger says they are: everything is read and counted again."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .files import Paths
from .ledger import Job, Record
from .places import AnyPlace
from .plan import Partition
from .recount import Input, open_input
from .results import open_job, open_sink
from .sink import Sink, read_json

_NOT_YET = "not fitted yet; run again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found.

    Attributes
    ----------
    partitions, curves, n_bytes
        What is committed and was read: parts, their rows, their size.
    missing
        What is not there, and why: partitions that failed or were not fitted yet, new files.
    problems
        What is not as it should be, one sentence each.
    kept
        Input files that changed or are gone, and whose results are those of what they were.
    """

    partitions: int
    curves: int
    n_bytes: int
    missing: tuple[str, ...]
    problems: tuple[str, ...]
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Tell it in a few lines."""
        how = f"{len(self.problems)} problem(s)" if self.problems else "as the ledger says"
        size = f"{self.n_bytes / 1e6:,.1f} MB"
        lines = [f"{self.curves:,} curves in {self.partitions:,} part(s), {size}: {how}"]
        lines += [f"  {problem}" for problem in self.problems]
        lines += [f"missing    {what}" for what in self.missing]
        lines += [f"kept       {name}: results of the file as it was before" for name in self.kept]
        return "\n".join(lines)


def verify_result(path: AnyPlace, data: Paths | None = None) -> Verification:
    """Read every part of a result and count everything again.

    Every partition of the ledger has a part with the bytes, the rows and the counts by status of
    its record; there is no part that no partition explains; no curve comes twice.

    Parameters
    ----------
    path
        An output directory of `fit_dataset`, or its URL. The ids of its curves are held in memory
        if they follow in no order.
    data
        The input, as it was given to `fit_dataset`: its files are what was planned, and the parts
        have its curves, one by one and in order.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    JobMismatchError
        When the ledger is of another version.
    DatasetError
        When the input cannot be read.
    """
    sink = open_sink(path)
    job = open_job(sink)
    given = open_input(job, data) if data is not None else None
    missing: list[str] = []
    problems: list[str] = list(given.problems) if given else []
    whole: list[Record] = []
    for partition in job.plan.partitions:
        record = _tried(sink, job, partition)
        if isinstance(record, str):
            missing.append(f"partition {partition.index}: {record}")
            continue
        found = list(_part_problems(sink, partition, record, given))
        problems += found
        whole += [] if found else [record]
    done = [record.index for record in whole]
    problems += [*_strays(sink, job), *_schema_problems(sink, done)]
    if given is None or problems:  # else they are the ids of the input
        problems += _twice(sink, done)
    missing += [f"{name}: {_NOT_YET}" for name in (given.new if given else ())]
    return Verification(
        partitions=len(whole),
        curves=sum(record.curves for record in whole),
        n_bytes=sum(record.n_bytes for record in whole),
        missing=tuple(missing),
        problems=tuple(problems),
        kept=tuple(job.kept),
    )


def _tried(sink: Sink, job: Job, partition: Partition) -> Record | str:
    """Return what the ledger has of a partition, or why it has nothing."""
    value = read_json(sink.record(partition.index))
    if value is None:
        there = sink.record(partition.index).exists()
        return "its record cannot be read; run again" if there else _NOT_YET
    if value.get("error"):
        return f"failed: {str(value['error']).splitlines()[0]}; run again"
    if value.get("fingerprint") != job.fingerprint(partition):
        return "its rows are others now; run again"
    try:
        return Record(**{**value, "counts": {int(k): n for k, n in value["counts"].items()}})
    except (TypeError, ValueError, KeyError, AttributeError):
        return "its record cannot be read; run again"


def _part_problems(
    sink: Sink, partition: Partition, record: Record, given: Input | None
) -> Iterator[str]:
    """Compare one part with its record; stop where what follows would say the same again."""
    index, name = partition.index, sink.part(partition.index).name
    if not sink.part(index).exists():
        yield f"{name} is gone; its record says {record.curves:,} curves. Run again"
        return
    try:
        if (sink.part_bytes(index), sink.part_digest(index)) != (
            record.n_bytes,
            record.part_digest,
        ):
            yield f"{name} has not the bytes that were written: remove it and run again"
            return
        counts = _counts(sink, index)
    except (OSError, pa.ArrowException) as error:
        yield f"{name} cannot be read: {error}; remove it and run again"
        return
    if not counts.total() == record.curves == partition.curves:
        yield (
            f"{name} has {counts.total():,} rows, its record says {record.curves:,} and the plan "
            f"{partition.curves:,}"
        )
    elif counts != record.counts:
        yield f"{name} has by status {dict(counts)} rows, its record says {dict(record.counts)}"
    elif given is not None and (problem := given.id_problem(sink, partition)):
        yield problem


def _counts(sink: Sink, index: int) -> Counter[int]:
    """Count the rows of a part by status."""
    counts: Counter[int] = Counter()
    for batch in sink.part_rows(index, ["status"]):
        found = pc.value_counts(batch.column(0)).to_pylist()
        counts.update({int(pair["values"]): int(pair["counts"]) for pair in found})
    return counts


def _strays(sink: Sink, job: Job) -> Iterator[str]:
    """Find files that no partition explains."""
    indices = [partition.index for partition in job.plan.partitions]
    parts = {sink.part(index).name for index in indices}
    for name in sink.strangers():
        if name not in parts and not name.startswith((".", "_")):
            yield f"{name} belongs to no partition, but readers take it for results: move it away"
    records = {sink.record(index).name for index in indices}
    for name in sorted(path.name for path in sink.ledger.glob("[0-9]*.json")):
        if name not in records:
            yield f"{name} in the ledger is the record of no partition"


def _schema_problems(sink: Sink, indices: Sequence[int]) -> Iterator[str]:
    """Find parts whose columns are not those of the first."""
    first: Mapping[int, pa.Schema] = {i: sink.part_schema(i) for i in indices[:1]}
    for index in indices[1:]:
        if not sink.part_schema(index).equals(first[indices[0]]):
            name, other = sink.part(index).name, sink.part(indices[0]).name
            yield f"{name} has other columns than {other}: {sink.part_schema(index).names}"


def _twice(sink: Sink, indices: Sequence[int]) -> Iterator[str]:
    """Find a curve id that comes twice; ids that rise, or fall, throughout cannot."""
    rising = falling = True
    last = None
    for ids in _ids(sink, indices):
        joined = ids if last is None else pa.concat_arrays([last, ids])
        rising = rising and _all(pc.less(joined[:-1], joined[1:]))
        falling = falling and _all(pc.greater(joined[:-1], joined[1:]))
        last = joined[-1:]
    if rising or falling:
        return
    counts = pc.value_counts(pa.chunked_array(list(_ids(sink, indices))))
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        name = twice.field("values")[0]
        where = [
            sink.part(i).name
            for i in indices
            if any(pc.any(pc.equal(ids, name)).as_py() for ids in _ids(sink, [i]))
        ]
        more = f"; so do {len(twice) - 1:,} more" if len(twice) > 1 else ""
        times = twice.field("counts")[0].as_py()
        yield f"curve id {name.as_py()!r} comes {times} times, in {', '.join(where)}{more}"


def _ids(sink: Sink, indices: Sequence[int]) -> Iterator[pa.Array]:
    """Yield the ids of the curves that have one, batch by batch."""
    for index in indices:
        for batch in sink.part_rows(index, ["curve_id"]):
            yield batch.column(0).drop_null()


def _all(flags: pa.Array) -> bool:
    """Whether all are true."""
    return bool(pc.all(flags, min_count=0).as_py())
