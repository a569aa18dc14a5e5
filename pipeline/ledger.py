"""What has been committed: the job, and a record for each partition.

A partition is committed when its record is there, carries the partition's fingerprint, and the
part it describes has the size it had. The record is written after the part. So wherever a run is
killed, what is left is either committed or is fitted again, and the next run finds out by looking.

The fingerprint is of the rows of the partition and of how they are fitted, not of the whole job:
files that are added make partitions of their own and leave the others as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from .errors import JobMismatchError
from .files import File
from .identity import differences, digest
from .plan import Partition, Plan, Slice
from .schema import FORMAT_VERSION
from .sink import Sink, read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a partition that has been tried.

    Attributes
    ----------
    fingerprint
        Of the partition, as `fingerprint` makes it.
    index, curves
        Which partition, and how many curves it has.
    counts
        Curves by status code.
    seconds
        How long the task took.
    n_bytes
        Size of the part; 0 if there is none.
    error
        Why the partition failed; None: it is committed.
    """

    fingerprint: str
    index: int
    curves: int
    counts: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    n_bytes: int = 0
    error: str | None = None

    @classmethod
    def read(cls, sink: Sink, index: int) -> Self | None:
        """Return the record of a partition that is done, or None: its part must be there whole."""
        value = read_json(sink.record(index))
        try:
            counts = {int(code): int(n) for code, n in (value or {})["counts"].items()}
            record = cls(**{**(value or {}), "counts": counts})
            whole = sink.part(index).stat().st_size == record.n_bytes
        except (OSError, TypeError, ValueError, KeyError, AttributeError):
            return None
        return record if whole and record.error is None else None

    def write(self, sink: Sink) -> None:
        """Commit: from now on the partition counts as done, or as failed."""
        write_json(sink.record(self.index), asdict(self))


def settings_digest(description: Mapping[str, Any]) -> str:
    """Return a hash of all that decides the results but the input."""
    chosen = {section: value for section, value in description.items() if section != "input"}
    return digest([FORMAT_VERSION, chosen])


def fingerprint(settings: str, files: Sequence[File], partition: Partition) -> str:
    """Return a hash of the rows of a partition and of how they are fitted."""
    rows = [
        [files[s.file].name, files[s.file].n_bytes, files[s.file].digest, s.start, s.stop]
        for s in partition.slices
    ]
    return digest([settings, rows, partition.first_curve])


def write_job(sink: Sink, description: Mapping[str, Any], plan: Plan) -> None:
    """Write down what the job is, and its plan."""
    write_json(sink.job, {"format": FORMAT_VERSION, **description, "plan": plan.to_json()})


def recorded_plan(sink: Sink, description: Mapping[str, Any]) -> Plan | None:
    """Return the plan of the job in the output directory, or None if there is no job yet.

    Files may have been added since; then the plan is that of the others.

    Raises
    ------
    JobMismatchError
        When the directory holds the results of another job, or files of unknown origin.
    """
    found = read_json(sink.job)
    if found is None:
        _check_empty(sink)
        return None
    if found.get("format") != FORMAT_VERSION:
        raise JobMismatchError(
            f"{sink} was written in format {found.get('format')!r}, this version writes "
            f"{FORMAT_VERSION}: choose another output directory"
        )
    here = dict(description["input"])
    grown = {**description, "input": {n: v for n, v in here.items() if n in found["input"]}}
    if differences(found, grown):
        raise JobMismatchError(
            f"{sink} holds the results of another job. Different: "
            f"{'; '.join(differences(found, description))}. Choose another output directory, or "
            "remove this one to fit all curves again"
        )
    return _with_files(Plan.from_json(found["plan"]), list(found["input"]), list(here))


def committed(sink: Sink, plan: Plan, fingerprints: Mapping[int, str]) -> dict[int, Record]:
    """Return the records of the partitions that are done."""
    records = (Record.read(sink, partition.index) for partition in plan.partitions)
    return {r.index: r for r in records if r and r.fingerprint == fingerprints[r.index]}


def missing(plan: Plan, done: Mapping[int, Record]) -> Sequence[Partition]:
    """Return the partitions that are still to be done, in order."""
    return [partition for partition in plan.partitions if partition.index not in done]


def _with_files(plan: Plan, there: Sequence[str], here: Sequence[str]) -> Plan:
    """Return a plan whose slices count files as they are counted now."""
    place = {name: k for k, name in enumerate(here)}

    def moved(piece: Slice) -> Slice:
        return Slice(place[there[piece.file]], piece.start, piece.stop)

    return plan.with_slices(moved)


def _check_empty(sink: Sink) -> None:
    """Refuse a directory with parts that no job explains."""
    strangers = sorted(p.name for p in sink.path.glob("*.parquet"))
    if strangers:
        raise JobMismatchError(
            f"{sink} has Parquet files of unknown origin ({', '.join(strangers[:3])} ...): choose "
            "an empty output directory"
        )
