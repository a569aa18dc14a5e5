"""One writer at a time to a folder of a bucket: an object that whoever comes first puts there.

    s3://bucket/out/_manyfit/lock        who writes; put again at every sign of life

It is put on the condition that there is none, so of two runs one gets it. It stays when its run is
killed; then a later run puts its own in its place, on the condition that nobody was faster. A run
is dead when it gave no sign of life for `LEASE_S` by the clock of the store, or when it was a
process of this host which is no more.
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import StoreError
from ..owner import LEASE_S, Owner, this_process
from .path import ObjectPath, Version

_NEVER: Version = {"e_tag": '"00000000000000000000000000000000"', "version": "1"}
"""A version that no object has."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, whether that run lives, and the version of the object that says so."""

    owner: Owner
    alive: bool
    version: Version


class Lease:
    """The lock of a folder.

    Parameters
    ----------
    folder
        Of the ledger.
    """

    def __init__(self, folder: ObjectPath) -> None:
        self._folder, self._path = folder, folder / "lock"
        self._mine = {**this_process(), "processes": _processes(), "token": uuid4().hex}
        self._beats = 0
        self._version: Version | None = None

    def holder(self) -> Holder | None:
        """Return who holds it, or held it when it died; None if nobody is known."""
        try:
            content, version = self._path.read_version()
            seen_s = self._clock() - self._path.stat().st_mtime
        except FileNotFoundError:  # given back, now or long ago
            return None
        said: dict[str, Any] = json.loads(content)
        owner = Owner(pid=said["pid"], host=said["host"], since=said["since"], seen_s=seen_s)
        here = (owner.host, said["processes"]) == (socket.gethostname(), _processes())
        alive = seen_s < LEASE_S and (not here or _is_process(owner.pid))
        return Holder(owner, alive, version)

    def take(self) -> Holder | None:
        """Take it; return who has it, if that is a run that lives."""
        while self._version is None:
            self._version = self._path.create(self._content())
            if self._version is not None:
                break
            other = self.holder()
            if other is not None and other.alive:
                return other
            if other is not None:
                self._version = self._path.swap(self._content(), other.version)
        return None

    def renew(self) -> None:
        """Give a sign of life, unless the lock was broken.

        A run that was cut off until another took its lock goes on: both write the same bits under
        the same names, and of two records of a part the first stays.
        """
        if self._version is not None:
            self._beats += 1
            put = self._path.swap(self._content(), self._version)
            self._version = put or self._still_ours()

    def release(self) -> None:
        """Give it back, if it is still ours; where that fails, it dies with this process."""
        with suppress(OSError):
            if self._still_ours():
                self._path.unlink()

    def _still_ours(self) -> Version | None:
        """Return the version of the object if it is ours: of a sign of life that seemed to fail."""
        try:
            content, version = self._path.read_version()
        except FileNotFoundError:
            return None
        return version if json.loads(content)["token"] == self._mine["token"] else None

    def _content(self) -> bytes:
        """Return what the object says."""
        return json.dumps({**self._mine, "beats": self._beats}).encode()

    def _clock(self) -> float:
        """Return the time as the store has it: the clocks of hosts may differ."""
        probe = _probe(self._folder)
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime
        finally:
            probe.unlink()


def check_conditions(folder: ObjectPath) -> None:
    """Try whether a store keeps to conditions; if not, two runs could both believe to be alone.

    Raises
    ------
    StoreError
        When it does not.
    """
    probe = _probe(folder)
    try:
        first = probe.create(b"first")
        kept = first is not None and probe.create(b"second") is None
        kept = kept and probe.swap(b"third", _NEVER) is None
        kept = kept and first is not None and probe.swap(b"fourth", first) is not None
    finally:
        probe.unlink()
    if not kept:
        raise StoreError(
            f"results cannot go to {folder.bucket}: the store puts objects whatever the condition "
            "(If-None-Match, If-Match), so nothing keeps two runs, or two workers, from "
            "overwriting each other. Expected S3, Google Cloud Storage, Azure, or a store that "
            "does as they do; write to a local directory and copy it"
        )


def _probe(folder: ObjectPath) -> ObjectPath:
    """Return an object to try something with."""
    return folder / "probes" / uuid4().hex


def _processes() -> str:
    """Return what tells the process numbers of this container from those of another."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # no Linux
        return ""


def _is_process(pid: int) -> bool:
    """Whether there is a process of this number on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
