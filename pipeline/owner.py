"""Who holds a lock, and the signs of life that it gives."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import time
from typing import Any

HEARTBEAT_S = 15.0
"""Seconds between two signs of life."""

LEASE_S = 120.0
"""A run on another host that gave no sign of life for so long is dead."""

_LAST_BEAT_S = 10.0
"""How long the end of a run waits for a sign of life that is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A run that holds a lock, or held it when it died.

    Attributes
    ----------
    pid, host
        Its process.
    since
        When it began, in seconds of the epoch.
    seen_s
        Seconds since its last sign of life.
    """

    pid: int
    host: str
    since: float
    seen_s: float

    def alive(self, *, held: bool) -> bool:
        """Whether it lives: on this host if the lock is held, elsewhere if it was seen of late."""
        return held if self.host == socket.gethostname() else held or self.seen_s < LEASE_S

    def __str__(self) -> str:
        """Say who, since when, and for how long."""
        begun = datetime.fromtimestamp(self.since).astimezone()
        hours, minutes = divmod(max(0, round(time() - self.since)) // 60, 60)
        age = f"{hours} h {minutes:02d} min ago" if hours else f"{minutes} min ago"
        return f"process {self.pid} on {self.host}, since {begun:%Y-%m-%d %H:%M:%S}, {age}"


def this_process() -> dict[str, Any]:
    """Return what an `Owner` is made of, of this process."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": round(time(), 3)}


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Call `beat` every `HEARTBEAT_S`, as long as this goes on, also after one that failed."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(HEARTBEAT_S):
            with suppress(OSError):
                beat()

    thread = threading.Thread(target=run, name="manyfit-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_BEAT_S)
