"""The workers: a cluster of this machine, one that runs already, or one that the caller has."""

import logging
import os
import signal
import sys
import threading
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, TypeAlias

import dask
import distributed.utils
from distributed import Client, LocalCluster, WorkerPlugin
from distributed.comm.core import CommClosedError
from distributed.worker_memory import parse_memory_limit

from . import forkserver
from .errors import ClusterError

Cluster: TypeAlias = Any
"""None, the address of a scheduler, or a `distributed.Client`."""

WAITING_THREADS = 2
"""Threads of a worker process started here whose tasks wait for an object store: while one waits,
the other fits."""

CONNECT_TIMEOUT = "20s"
"""How long to wait for a scheduler to answer."""

_STANDARD_INPUT = "<stdin>"
"""What Python calls the file of a script that came so."""

_GUARD = (
    "In a script put what starts the fit under `if __name__ == '__main__':`, since each worker "
    "process loads the script"
)


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def connected(
    cluster: Cluster, n_workers: int | None, retries: int, threads: int = 1
) -> Iterator[Any]:
    """Give a client of the cluster; close at the end what was opened here.

    Parameters
    ----------
    cluster, n_workers
        As `fit_dataset` takes them.
    retries, threads
        Of the workers that are started here.

    Raises
    ------
    ClusterError
        When the scheduler cannot be reached, or worker processes cannot be started.
    """
    for name in ("tornado.application", "distributed.scheduler"):
        logging.getLogger(name).addFilter(_is_news)  # again and again is once
    if cluster is None:
        with (
            _no_script_but_a_file(),
            local_cluster(n_workers or default_workers(), retries, threads) as local,
            Client(local, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        ):
            client.register_plugin(LeaveToRun())
            yield client
    elif isinstance(cluster, str):
        with _reached(cluster) as client:
            yield client
    else:
        yield cluster


@contextmanager
def _no_script_but_a_file() -> Iterator[None]:
    """Hide the name of a script that came by standard input: workers would try to load it."""
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None) != _STANDARD_INPUT:
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = _STANDARD_INPUT


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what is logged is anything but that a call or a connection was cut short.

    When a run is interrupted, `distributed.utils.sync` cancels a future that it may not have made
    yet; the loop logs the NameError of it. A scheduler that is closed while it listens to a worker
    logs that it listens no more, and a client that it waits no more for what a worker has. Where
    that is what a run fails of, it says so itself.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CancelledError | CommClosedError):
        return False
    if not isinstance(error, NameError):
        return True
    *_, (raised, _) = walk_tb(error.__traceback__)
    return (raised.f_globals, raised.f_code.co_name) != (vars(distributed.utils), "cancel")


def threads_to_come(cluster: Cluster, n_workers: int | None) -> int:
    """Return the threads that a cluster has; of one that is to be started, one a process.

    Raises
    ------
    ClusterError
        When the scheduler cannot be reached.
    """
    if cluster is None:
        return n_workers or default_workers()
    with connected(cluster, n_workers, 0) as client:
        return threads_of(client)


def worker_limits(
    cluster: Cluster, n_workers: int | None, threads: int = 1
) -> list[tuple[int | None, int]]:
    """Return the memory limit of every worker there is or will be, None if none, and its threads.

    Those that will be started here have `threads` each.

    Raises
    ------
    ClusterError
        When the scheduler cannot be reached.
    """
    if cluster is None:
        count = n_workers or default_workers()
        limit = parse_memory_limit("auto", 1, count, logger=logging.getLogger(__name__))
        return [(limit, threads)] * count  # as a `LocalCluster` shares the memory out
    with connected(cluster, n_workers, 0) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        return [(w["memory_limit"] or None, w["nthreads"]) for w in workers]


def threads_of(client: Any) -> int:
    """Return the threads of all workers there are now, at least 1.

    Raises
    ------
    ConnectionError
        When there is no scheduler.
    """
    if client.status != "running":
        raise ConnectionError(f"the client is {client.status}")
    return max(1, int(sum(client.nthreads().values())))


class LeaveToRun(WorkerPlugin):
    """Leave Ctrl-C, and the telling of what failed, to the process that has the run.

    A terminal sends Ctrl-C to all its processes, and Dask logs a traceback for each try of a task
    that raises; the run's summary lists every partition that failed, once, with its reason.
    """

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - what Dask calls it with
        """Set the worker's process up; called in its main thread."""
        logging.getLogger("distributed.worker").addFilter(
            lambda record: not str(record.msg).startswith("Compute Failed")
        )
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def local_cluster(n_workers: int, retries: int = 2, threads: int = 1) -> Any:
    """Start worker processes on this machine, reachable from nowhere else.

    On two cores, 100,000 curves, thousands of fits/s: two processes of one thread 47, of two
    threads 49-57, one process of two threads 35-42, one of one thread 31-36. More threads than
    cores would gain a little and double the memory, unless they wait (`WAITING_THREADS`).

    On Linux they are forks of a process that has loaded all they need (see `forkserver`); what
    takes the place of one that died is spawned, and owes nothing to any other process.

    Parameters
    ----------
    n_workers
        How many.
    retries
        How many workers a partition may kill before it is given up.
    threads
        Of each process.

    Returns
    -------
    A `distributed.LocalCluster`, to be closed by the caller.

    Raises
    ------
    ClusterError
        When they cannot be started.
    """
    one_thread = {
        f"distributed.nanny.pre-spawn-environ.{name}": value
        for name, value in forkserver.ONE_THREAD.items()
    }
    forked = forkserver.start()
    if forked:  # or distributed would load pandas here, to have it loaded there
        distributed.utils._forkserver_preload_set = True  # noqa: SLF001
    settings = {
        "distributed.scheduler.allowed-failures": retries,
        "distributed.worker.multiprocessing-method": "forkserver" if forked else "spawn",
        **one_thread,
    }
    try:
        with dask.config.set(settings):
            return LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=n_workers,
                threads_per_worker=threads,
                processes=True,
                env=dict(os.environ),  # what they are forks of has that of an earlier day
                host="127.0.0.1",
                # No dashboard, but the scheduler listens for HTTP all the same: at any free port,
                # or it would warn that the usual one is taken.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
            )
    except RuntimeError as error:
        raise ClusterError(
            f"{n_workers} worker processes could not be started ({error}). {_GUARD}"
        ) from error


def _reached(address: str) -> Any:
    """Connect to a scheduler that runs already."""
    try:
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no scheduler answers at {address!r} ({error}): check the address and that the "
            "scheduler runs; without an address a cluster is started here"
        ) from error


def refuse_child() -> None:
    """Stop a script that is run again by a worker it has started.

    Raises
    ------
    ClusterError
        When it is so.
    """
    rerun = sys.modules.get("__mp_main__")  # becomes __main__ when it has run to its end
    if rerun is not None and rerun is not sys.modules["__main__"]:
        raise ClusterError(f"a worker process has run the script that starts it. {_GUARD}")
