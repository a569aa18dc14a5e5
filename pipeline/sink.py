"""Where results go: a directory, whose files come into being whole or not at all.

    out/part-00000.parquet      one part a partition
    out/_manyfit/job.json       what the job is, and its plan
    out/_manyfit/00000.json     the record of a committed partition
    out/_manyfit/lock           held by the run that writes

Names that begin with ``_`` or ``.`` are passed over by readers of Parquet data sets. Everything is
written under such a temporary name in the same directory, flushed to the disk, and renamed.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from .errors import SinkLockedError

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

    def record(self, index: int) -> Path:
        """Where the record of a partition goes."""
        return self.ledger / f"{index:05d}.json"

    def __str__(self) -> str:
        """Write the path."""
        return str(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out, and clear away what dead runs left half written.

        The lock goes with the process, however it ends.

        Raises
        ------
        SinkLockedError
            When another run holds the lock.
        """
        self.ledger.mkdir(parents=True, exist_ok=True)
        lock, owner = FileLock(self.ledger / "lock"), self.ledger / "owner.json"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise SinkLockedError(
                f"another run writes to {self.path} ({_owner(owner)}): wait until it has ended, or "
                "choose another output directory"
            ) from error
        try:
            self.clear_temporary()
            write_json(owner, {"pid": os.getpid(), "host": socket.gethostname()})
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

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
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
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


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _owner(path: Path) -> str:
    """Say who holds the lock, as far as is known."""
    owner = read_json(path)
    return f"process {owner.get('pid')} on {owner.get('host')}" if owner else "owner unknown"
