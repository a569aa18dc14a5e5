"""A bounded window of tasks: never more in flight than the workers need to stay busy."""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import uuid4

from distributed import as_completed
from distributed.client import ClosedClientError

from .cluster import threads_of
from .errors import ClusterError
from .task import Assignment

TASKS_PER_THREAD = 3
"""One that runs, and enough in wait that no thread is idle while the next is sent."""


def run_window(
    client: Any,
    work: Callable[[bytes, Assignment], Any],
    payload: bytes,
    assignments: Iterable[Assignment],
    retries: int,
) -> Iterator[tuple[Assignment, Any]]:
    """Run ``work(payload, assignment)`` on the workers; yield results or exceptions as they come.

    The threads are counted again at every turn, so workers that come late get work. Results are
    released at once; what is in flight when the iteration is left is cancelled.

    Raises
    ------
    ClusterError
        When the scheduler goes away.
    """
    waiting, run = iter(assignments), uuid4().hex[:8]
    flying: dict[str, tuple[Any, Assignment]] = {}
    ended: Any = as_completed(  # type: ignore[no-untyped-call]
        with_results=True, raise_errors=False, loop=client.loop
    )

    def top_up() -> None:
        room = max(0, TASKS_PER_THREAD * threads_of(client) - len(flying))
        for given in islice(waiting, room):
            key = f"manyfit-{run}-{given.partition.index}"
            future = client.submit(work, payload, given, key=key, pure=False, retries=retries)
            flying[key] = future, given
            ended.add(future)

    try:
        top_up()
        while flying:
            future, result = next(ended)
            _, given = flying.pop(future.key)
            outcome = _outcome(future, result)
            future.release()
            top_up()
            yield given, outcome
    except (OSError, CancelledError, ClosedClientError) as error:
        raise ClusterError(
            "the scheduler is gone, and with it all tasks that were not done. What is committed "
            "stays: run the job again to fit the rest"
        ) from error
    finally:
        if client.status == "running":
            client.cancel([future for future, _ in flying.values()])


def _outcome(future: Any, result: Any) -> Any:
    """Return what a task returned, or the exception it ended with.

    Raises
    ------
    CancelledError
        When it did not end at all.
    """
    if isinstance(result, CancelledError):
        raise result
    return result[1] if future.status == "error" else result
