"""A process that has loaded what workers need, and of which they are forks.

A worker that is spawned loads the same thousand modules as all others: half a second of each one's
processor time, and as much again before its first task. One process, started as early as can be,
loads them once, beside the work of the one that has the run (see `preloaded`); its forks are at
work in some hundredths of a second. It has one thread, so that a fork of it is whole, lives as long
as the process that started it, and so serves the next run, too.

It is that of `multiprocessing`, of which a process has one: whoever else asks for it here gets
forks of the same. Only Linux forks safely what has loaded so much; elsewhere workers are spawned.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What keeps libraries of linear algebra from threads of their own."""

ITS_OWN = ("PYTHONPATH", "PYTHONSAFEPATH", "JE_ARROW_MALLOC_CONF")
"""Variables that are set for this process, and not for its forks."""


def start() -> bool:
    """Start the process if it does not run; return whether workers can be its forks.

    They have its environment, to which variables can be added but none taken away: when one is gone
    since it was started, or it cannot be started, workers have to be spawned.
    """
    if sys.platform != "linux":
        return False
    forkserver.set_forkserver_preload([f"{__package__}.preloaded"])
    try:
        with _environment(), _undisturbed():
            forkserver.ensure_running()
    except OSError:  # no process to be had, or a folder for its socket whose name is too long
        return False
    return _names() <= os.environ.keys()


@cache
def _names() -> frozenset[str]:
    """Return the names in the environment as it was at the start."""
    return frozenset(os.environ)


@contextmanager
def _environment() -> Iterator[None]:
    """Set the environment that the process is started with.

    It looks for modules where this one does, and its forks with it: what it has loaded they take.
    Arrow's jemalloc would have a thread.
    """
    places = dict.fromkeys(str(Path(place).absolute()) for place in sys.path)
    values = os.pathsep.join(places), "1", "background_thread:false"
    set_here = dict(zip(ITS_OWN, values, strict=True))
    set_here |= {name: v for name, v in ONE_THREAD.items() if name not in os.environ}
    before = {name: os.environ.get(name) for name in set_here}
    os.environ.update(set_here)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have Ctrl-C wait, here for a moment, and for what is started until it lets it through."""
    resource_tracker.ensure_running()  # now, since once it is started it lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
