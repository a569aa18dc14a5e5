"""Where results go: a directory, whose files come into being whole or not at all.

    out/part-00000.parquet      one part a partition
    out/_manyfit/job.json       what the job is, and its plan
    out/_manyfit/00000.json     the record of a committed partition
    out/_manyfit/lock           held by the run that writes (see `lock`)

Names that begin with ``_`` or ``.`` are passed over by readers of Parquet data sets. Everything is
written under such a temporary name in the same directory, flushed to the disk, and renamed.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True, slots=True)
class Sink:
    """An output directory."""

    path: Path

    @property
    def ledger(self) -> Path:
        """The folder of the ledger."""
        return self.path / "_manyfit"

    @property
    def job(self) -> Path:
        """What the job is, and its plan."""
        return self.ledger / "job.json"

    def part(self, index: int) -> Path:
        """Where the rows of a partition go."""
        return self.path / f"part-{index:05d}.parquet"

    def part_bytes(self, index: int) -> int:
        """Return the size of what a partition wrote.

        Raises
        ------
        OSError
            When it is not there.
        """
        return self.part(index).stat().st_size

    def part_digest(self, index: int) -> str:
        """Return a hash of what a partition wrote.

        Raises
        ------
        OSError
            When it is not there.
        """
        return file_digest(self.part(index))

    def part_schema(self, index: int) -> pa.Schema:
        """Return the schema of the rows that a partition wrote."""
        return pq.read_schema(self.part(index))

    def part_rows(
        self, index: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that a partition wrote, or some of their columns, group by group."""
        with pq.ParquetFile(self.part(index)) as parquet:
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=columns, use_threads=False)
                yield from table.to_batches()

    def strangers(self) -> list[str]:
        """Return files that are in the way of results: they would be taken for such."""
        return sorted(p.name for p in self.path.glob("*.parquet"))

    def record(self, index: int) -> Path:
        """Where the record of a partition goes."""
        return self.ledger / f"{index:05d}.json"

    def __str__(self) -> str:
        """Write the path."""
        return str(self.path)

    def discard(self, index: int) -> None:
        """Remove the rows of a partition that is no more, and its record."""
        self.part(index).unlink(missing_ok=True)
        self.record(index).unlink(missing_ok=True)

    def clear_temporary(self) -> None:
        """Remove temporary files."""
        for folder in (self.path, self.ledger):
            for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                path.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` at the end, or vanishes on error."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what was written, or None if there is nothing whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def file_digest(path: Path) -> str:
    """Return a hash of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
