"""What has been committed: the job, and a record for each partition.

A partition is committed when its record is there, carries the partition's fingerprint, and the
part it describes has the size it had. The record is written after the part. So wherever a run is
killed, what is left is either committed or is fitted again, and the next run finds out by looking.

The fingerprint is of the rows of the partition and of how they are fitted, not of the whole job:
files that are added make partitions of their own and leave the others as they are.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

from .arrays.growth import without_growth
from .errors import JobMismatchError
from .identity import digest
from .objects.path import ObjectPath
from .places import each
from .plan import Partition, Plan
from .schema import FORMAT_VERSION
from .sink import Sink, as_json, read_json, write_json

LEDGER_VERSION = 3
"""Of the files of the ledger. 2: records carry a digest of their part, plans retired partitions. 3:
the digest is a CRC-32C, columns of parts are not nullable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a partition that has been tried.

    Attributes
    ----------
    fingerprint
        Of the partition, as `Job.fingerprint` makes it.
    index, curves
        Which partition, and how many curves it has.
    counts
        Curves by status code.
    seconds
        How long the task took.
    n_bytes, part_digest
        Size of the part, and the digest of its bytes; 0 and "" if there is none.
    error
        Why the partition failed; None: it is committed.
    """

    fingerprint: str
    index: int
    curves: int
    counts: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    n_bytes: int = 0
    part_digest: str = ""
    error: str | None = None

    @classmethod
    def read(cls, sink: Sink, index: int) -> Self | None:
        """Return the record of a partition that is done, or None: its part must be there whole."""
        record = cls._of(read_json(sink.record(index)))
        if record is None or record.error is not None:
            return None
        try:
            return record if sink.part_bytes(index) == record.n_bytes else None
        except OSError:
            return None

    @classmethod
    def _of(cls, value: Mapping[str, Any] | None) -> Self | None:
        """Return the record that a file of the ledger is, or None if it is none."""
        try:
            counts = {int(code): int(n) for code, n in (value or {})["counts"].items()}
            return cls(**{**(value or {}), "counts": counts})
        except (TypeError, ValueError, KeyError, AttributeError):
            return None

    def write(self, sink: Sink) -> Self:
        """Commit: from now on the partition counts as done, or as failed.

        Returns
        -------
        The record that is there now: in a store that of another worker, if it has committed the
        same part before.
        """
        place = sink.record(self.index)
        if isinstance(place, ObjectPath):
            return self._put(place)
        write_json(place, asdict(self))
        return self

    def _put(self, place: ObjectPath) -> Self:
        """Put the record if there is none, or in place of the one that was seen and will not do."""
        content = as_json(asdict(self)).encode()
        while place.create(content) is None:
            try:
                held, version = place.read_version()
            except FileNotFoundError:
                continue
            there = self._of(_as_object(held))
            if there is not None and self._yields_to(there):
                return there
            if place.swap(content, version) is not None:
                break
        return self

    def _yields_to(self, there: Self) -> bool:
        """Whether a record that is there is as good: of the same part, or of no failure."""
        if there.error is not None or there.fingerprint != self.fingerprint:
            return False
        same = (there.n_bytes, there.part_digest) == (self.n_bytes, self.part_digest)
        return same or self.error is not None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What an output directory is the result of.

    Attributes
    ----------
    description
        All that decides the results, by section (see `describe_job`). Its section "input" has the
        files as they were when their rows were planned, in the order in which slices count them.
    plan
        The partitions.
    kept
        Files that are not any more what they were, and whose results are to stay: what they are
        now, None if they are gone.
    """

    description: Mapping[str, Any]
    plan: Plan
    kept: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, sink: Sink) -> Self | None:
        """Return the job of an output directory, or None if it has none.

        Raises
        ------
        JobMismatchError
            When the ledger is of another version.
        """
        found = read_json(sink.job)
        if found is None:
            return None
        _check_version(found.pop("format", None), sink)
        plan, kept = Plan.from_json(found.pop("plan")), found.pop("kept", {})
        return cls(description=found, plan=plan, kept=kept)

    def write(self, sink: Sink) -> None:
        """Write down what the job is, and its plan."""
        kept = {"kept": dict(self.kept)} if self.kept else {}
        plan = self.plan.to_json()
        write_json(sink.job, {"format": LEDGER_VERSION, **self.description, **kept, "plan": plan})

    @property
    def input(self) -> Mapping[str, Any]:
        """Size and digest of every file, by name, as they were planned."""
        files: Mapping[str, Any] = self.description["input"]
        return files

    @property
    def numbered(self) -> bool:
        """Whether curves have no names but running numbers that shift; those of arrays do not."""
        layout = self.description["columns"]["layout"]
        return layout["curve_id"] is None and layout.get("grid") is None

    @cached_property
    def settings(self) -> str:
        """A hash of all that decides the results but the input."""
        chosen = {name: v for name, v in self.description.items() if name != "input"}
        return digest([FORMAT_VERSION, chosen | {"columns": without_growth(chosen["columns"])}])

    @cached_property
    def _files(self) -> list[list[Any]]:
        """Name, size and digest of every file."""
        return [[name, *identity] for name, identity in self.input.items()]

    def fingerprint(self, partition: Partition) -> str:
        """Return a hash of the rows of a partition and of how they are fitted."""
        rows = [[*self._files[s.file], s.start, s.stop] for s in partition.slices]
        return digest([self.settings, rows, partition.first_curve if self.numbered else None])

    def record(self, sink: Sink, partition: Partition) -> Record | None:
        """Return the record of a partition if it is committed."""
        record = Record.read(sink, partition.index)
        return record if record and record.fingerprint == self.fingerprint(partition) else None

    def committed(self, sink: Sink) -> Iterator[Record]:
        """Yield the records of all partitions that are committed, in order."""
        records = each(sink.path, lambda p: self.record(sink, p), self.plan.partitions)
        yield from (record for record in records if record is not None)


def _as_object(content: bytes) -> Any:
    """Return what bytes are as JSON, or None."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _check_version(found: Any, sink: Sink) -> None:
    """Refuse a ledger that this version does not understand."""
    if found == LEDGER_VERSION:
        return
    if isinstance(found, int) and found > LEDGER_VERSION:
        age, way_out = "a newer", "use that version of manyfit"
    else:
        age, way_out = "an older", "remove it to fit all curves again"
    raise JobMismatchError(
        f"{sink} was written by {age} version of manyfit: its ledger is of version {found!r}, this "
        f"one reads {LEDGER_VERSION}. Choose another output directory, or {way_out}"
    )
