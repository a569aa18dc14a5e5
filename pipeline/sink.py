"""Where results go: a directory, or a folder of a bucket; its files are there whole or not at all.

    out/part-00000.parquet      one part a partition
    out/_manyfit/job.json       what the job is, and its plan
    out/_manyfit/00000.json     the record of a committed partition
    out/_manyfit/lock           held by the run that writes (see `lock`)

Names that begin with ``_`` or ``.`` are passed over by readers of Parquet data sets; `places` says
how files come into being.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from google_crc32c import extend

from .objects.path import ObjectPath
from .parquet import open_parquet
from .places import TEMPORARY_SUFFIX, Place, written_whole

_PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Sink:
    """An output directory."""

    path: Place

    @property
    def ledger(self) -> Place:
        """The folder of the ledger."""
        return self.path / "_manyfit"

    @property
    def job(self) -> Place:
        """What the job is, and its plan."""
        return self.ledger / "job.json"

    def part(self, index: int) -> Place:
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
        with open_parquet(self.part(index)) as opened:
            schema: pa.Schema = opened.parquet.schema_arrow
        return schema

    def part_rows(
        self, index: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that a partition wrote, or some of their columns, group by group."""
        with open_parquet(self.part(index)) as opened:
            for group in range(opened.parquet.num_row_groups):
                table = opened.parquet.read_row_group(group, columns=columns, use_threads=False)
                yield from table.to_batches()

    def strangers(self) -> list[str]:
        """Return files that are in the way of results: they would be taken for such."""
        return sorted(p.name for p in self.path.glob("*.parquet"))

    def record(self, index: int) -> Place:
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
        """Remove temporary files; objects are never half written."""
        if isinstance(self.path, ObjectPath):
            return
        for folder in (self.path, self.ledger):
            for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                path.unlink(missing_ok=True)


def write_json(place: Place, value: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all."""
    text = as_json(value)
    if isinstance(place, ObjectPath):
        place.write_text(text)
        return
    with written_whole(place) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(value: Mapping[str, Any]) -> str:
    """Return plain values as the ledger has them: a line each, which is C's work in `json`."""
    lines = (f" {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_json(place: Place) -> dict[str, Any] | None:
    """Return what was written, or None if there is nothing whole.

    Raises
    ------
    OSError
        When it is there, or may be, and cannot be read.
    """
    try:
        value = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def file_digest(place: Place) -> str:
    """Return the CRC-32C of the bytes of a file, 8 hexadecimal digits.

    It is to find what was damaged or cut, in a quarter of the time that SHA-256 takes.
    """
    found = 0
    if isinstance(place, ObjectPath):
        found = place.crc32c()
    else:
        with place.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                found = extend(found, piece)
    return f"{found:08x}"
