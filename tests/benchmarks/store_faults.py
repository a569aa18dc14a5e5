"""The harms that `faults --s3` does to runs whose input and output are in an object store.

    main, worker, all    kill -9, as on a disk
    shaky                a fifth of all requests gets 500, 503, half a second of delay, or a
                         connection that breaks before or after the store has done what it was asked
    away                 the store answers nothing but 503 for some seconds
    shaky main           kill -9 of the process that has the run, while requests come to harm

The store is moto, a process of its own; requests pass a proxy.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from manyfit.pipeline.objects.path import ObjectPath
from tests.benchmarks.faults import Round, kill_all, kill_main, kill_worker
from tests.object_stores import BUCKET, HARMS, Proxy, environment, free_port, moto_server, proxy

SHARE = 0.2


@dataclass(slots=True)
class StoreRound(Round):
    """A run from a bucket to a bucket, and the proxy between."""

    between: Proxy | None = None

    def trouble(self, share: float, *harms: str) -> None:
        """Let a share of the requests come to harm from now on."""
        assert self.between is not None
        self.between.harms, self.between.share = harms or HARMS, share


@contextmanager
def store_of(
    data: Path,
) -> Iterator[Callable[[Path, str, random.Random], AbstractContextManager[StoreRound]]]:
    """Run a store that has the data; give what opens a round in it."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch, moto_server(port):
        for name, value in environment(port).items():
            patch.setenv(name, value)
        there = ObjectPath.of(f"s3://{BUCKET}/data")
        for path in data.glob("*.parquet"):
            (there / path.name).upload(path)

        @contextmanager
        def opened(_folder: Path, name: str, dice: random.Random) -> Iterator[StoreRound]:
            own, seed = free_port(), dice.randrange(1 << 30)
            with proxy(own, port, seed=seed) as between:
                out = ObjectPath.of(f"s3://{BUCKET}/{name}")
                where = environment(own)
                yield StoreRound(there, out, dice, environ=where, look_s=0.1, between=between)

        yield opened


def shake(run: StoreRound) -> None:
    """Do harm to requests from the beginning to the end of a run."""
    run.trouble(SHARE)
    run.end(run.start())
    run.trouble(0.0)


def shake_and_kill(run: StoreRound) -> None:
    """Do harm to requests, and kill the process that has the run."""
    run.trouble(SHARE)
    kill_main(run)
    run.trouble(0.0)


def go_away(run: StoreRound) -> None:
    """Answer nothing for some seconds."""
    process = run.start()
    run.wait_for_parts(process)
    run.trouble(1.0, "503")
    time.sleep(run.dice.uniform(1.0, 8.0))
    run.trouble(0.0)
    run.end(process)


FAULTS: dict[str, Callable[[StoreRound], None]] = {
    "main": kill_main,
    "worker": kill_worker,
    "shaky": shake,
    "all": kill_all,
    "away": go_away,
    "shaky main": shake_and_kill,
}
