"""One writer at a time: a lock with an owner, a sign of life, and a way to break it.

    out/_manyfit/lock          held by the run that writes; goes with its process, however it ends
    out/_manyfit/owner.json    who that is; touched again and again as long as it lives

On one host the kernel knows whether the holder lives. Another host may not see the lock, as on a
network file system, so a run there counts as alive for as long as it gives signs of life. In an
object store there is no kernel to ask: see `objects.lease`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from filelock import FileLock, Timeout

from .errors import SinkLockedError
from .objects.lease import Lease, check_conditions
from .objects.path import ObjectPath
from .owner import Owner, beating, this_process
from .sink import Sink, read_json, write_json


def lock_owner(sink: Sink) -> Owner | None:
    """Return who holds the lock, or held it and died; None if nobody is known."""
    folder = sink.ledger
    if isinstance(folder, ObjectPath):
        holder = Lease(folder).holder()
        return holder.owner if holder else None
    path = folder / "owner.json"
    value = read_json(path)
    try:
        seen_s = _clock(folder) - path.stat().st_mtime
        return Owner(seen_s=seen_s, **(value or {}))
    except (OSError, TypeError):
        return None


@contextmanager
def locked(sink: Sink) -> Iterator[None]:
    """Keep other runs out, and clear away what dead runs left half written.

    Raises
    ------
    SinkLockedError
        When another run holds the lock.
    StoreError
        When an object store does not keep to conditions.
    """
    folder = sink.ledger
    if isinstance(folder, ObjectPath):
        with _leased(sink, folder):
            yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise _taken(sink, lock_owner(sink)) from error
    try:
        owner = lock_owner(sink)
        if owner is not None and owner.alive(held=False):
            raise _taken(sink, owner)
        sink.clear_temporary()
        with _signs_of_life(folder / "owner.json"):
            yield
    finally:
        lock.release()


@contextmanager
def _leased(sink: Sink, folder: ObjectPath) -> Iterator[None]:
    """Keep other runs out of a folder of a bucket."""
    check_conditions(folder)
    lease = Lease(folder)
    other = lease.take()
    if other is not None:
        raise _taken(sink, other.owner)
    try:
        with beating(lease.renew):
            yield
    finally:
        lease.release()


def unlock(sink: Sink, *, force: bool = False) -> str:
    """Remove the lock of a run that is dead, and say whose it was.

    Parameters
    ----------
    sink
        The output directory.
    force
        Also that of a run that lives. What it still writes is written beside the next run: both
        write the same bits under the same names, but neither knows what the other has done.

    Raises
    ------
    FileNotFoundError
        When the directory holds no results.
    SinkLockedError
        When the run lives, without `force`.
    """
    if not sink.ledger.is_dir():
        raise FileNotFoundError(f"{sink} holds no results of manyfit: there is no {sink.ledger}")
    owner, held = lock_owner(sink), _is_held(sink)
    if owner is None and not held:
        return f"{sink} is not locked"
    alive = owner.alive(held=held) if owner is not None else held
    if alive and not force:
        raise SinkLockedError(
            f"the run that writes to {sink} is alive ({owner or 'owner unknown'}): wait until it "
            "has ended or end it, then run again; --force breaks its lock all the same"
        )
    for name in ("lock", "owner.json"):
        (sink.ledger / name).unlink(missing_ok=True)
    return f"{sink} is unlocked; it was locked by {owner or 'a run that is not known'}"


def _is_held(sink: Sink) -> bool:
    """Whether a process holds the lock, as far as this host can see."""
    folder = sink.ledger
    if isinstance(folder, ObjectPath):
        holder = Lease(folder).holder()
        return holder is not None and holder.alive
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _taken(sink: Sink, owner: Owner | None) -> SinkLockedError:
    """Say who writes, and what to do."""
    return SinkLockedError(
        f"another run writes to {sink} ({owner or 'owner unknown'}): wait until it has ended, or "
        f"choose another output directory; if it is dead, `manyfit unlock {sink}`"
    )


def _clock(folder: Path) -> float:
    """Return the time as the file system has it: the clocks of hosts may differ."""
    probe = folder / f".clock-{os.getpid()}.tmp"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # may be read only
        return time()
    finally:
        with suppress(OSError):
            probe.unlink()


@contextmanager
def _signs_of_life(path: Path) -> Iterator[None]:
    """Say who writes, for as long as it goes on."""
    mine = this_process()
    write_json(path, mine)
    try:
        with beating(lambda: os.utime(path)):
            yield
    finally:
        if read_json(path) == mine:  # else the lock was broken, and this is another's
            path.unlink(missing_ok=True)
