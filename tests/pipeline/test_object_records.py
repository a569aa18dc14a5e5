"""One writer at a time, and the first record of a part stays, where nothing can be renamed."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from manyfit.pipeline import owner as owners
from manyfit.pipeline.errors import SinkLockedError, StoreError
from manyfit.pipeline.ledger import Record
from manyfit.pipeline.lock import lock_owner, locked, unlock
from manyfit.pipeline.objects.lease import Lease
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.sink import Sink
from tests.object_stores import free_port, proxy
from tests.pipeline.buckets import NOWHERE, on_every_store


@on_every_store
def test_a_second_run_is_kept_out(six: Any, client: Any, folder: ObjectPath) -> None:
    sink = Sink(folder / "out")
    message = rf"another run writes to {folder}/out \(process {os.getpid()} on .*manyfit unlock"
    with locked(sink):
        with pytest.raises(SinkLockedError, match=message):
            six(client)
        with pytest.raises(SinkLockedError, match=rf"is alive \(process {os.getpid()} on"):
            unlock(sink)
    assert lock_owner(sink) is None
    assert six(client).fitted == 600
    assert unlock(sink) == f"{folder}/out is not locked"
    with pytest.raises(FileNotFoundError, match="holds no results of manyfit"):
        unlock(Sink(folder / "elsewhere"))


def write_lock(sink: Sink, **changes: Any) -> None:
    """Leave what another run leaves."""
    assert isinstance(sink.ledger, ObjectPath)
    lease = Lease(sink.ledger)
    said = {**json.loads(lease._content()), "since": time.time() - 7200, **changes}
    (sink.ledger / "lock").write_bytes(json.dumps(said).encode())


def test_a_lock_is_believed_as_long_as_its_run_may_live(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink(folder / "out")
    (sink.ledger / "job.json").write_text("{}")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for told in ({"host": "elsewhere"}, {"processes": "pid:[1]", "pid": ended.pid}):
        write_lock(sink, **told)
        with pytest.raises(SinkLockedError, match=r"another run writes.*2 h 00 min ago"):
            locked(sink).__enter__()
        assert ", 2 h 00 min ago" in unlock(sink, force=True)
    write_lock(sink, host="elsewhere")
    time.sleep(2.1)  # the store's clock ticks in seconds
    monkeypatch.setattr("manyfit.pipeline.objects.lease.LEASE_S", 1.0)
    monkeypatch.setattr(owners, "LEASE_S", 1.0)
    with locked(sink):
        assert lock_owner(sink) is not None
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    write_lock(sink, pid=ended.pid)
    with locked(sink):
        pass
    write_lock(sink, pid=ended.pid)
    assert f"is unlocked; it was locked by process {ended.pid} on" in unlock(sink)


def test_a_run_gives_signs_of_life(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "HEARTBEAT_S", 0.05)
    with locked(Sink(folder)):
        for _ in range(200):
            if json.loads((folder / "_manyfit" / "lock").read_bytes())["beats"] > 2:
                break
            time.sleep(0.05)
        else:
            pytest.fail("no sign of life")
    assert not (folder / "_manyfit" / "lock").exists()


def test_output_to_a_store_without_conditions_is_refused_before_work(
    six: Any, s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, drop_headers=("If-None-Match",)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=r"results cannot go to s3://"):
            six(NOWHERE)
        assert list((folder / "out").below()) == []


def record(**changes: Any) -> Record:
    given = {"fingerprint": "f", "index": 0, "curves": 5, "counts": {1: 5}, "n_bytes": 4}
    return Record(**{**given, "part_digest": "d", "seconds": 1.0, **changes})


@on_every_store
def test_the_first_record_of_a_part_stays(folder: ObjectPath) -> None:
    sink = Sink(folder)
    sink.part(0).write_bytes(b"part")
    first, late = record(), record(seconds=9.0)
    assert first.write(sink) == first
    assert late.write(sink) == first
    assert Record.read(sink, 0) == first
    failed = record(error="OSError: late", counts={}, n_bytes=0, part_digest="")
    assert failed.write(sink) == first
    assert Record.read(sink, 0) == first


@on_every_store
def test_a_record_that_will_not_do_is_replaced(folder: ObjectPath) -> None:
    sink = Sink(folder)
    sink.part(0).write_bytes(b"part")
    for other in (record(error="OSError", n_bytes=0), record(fingerprint="g"), record(n_bytes=3)):
        sink.record(0).unlink(missing_ok=True)
        assert other.write(sink) == other
        assert record().write(sink) == record()
        assert Record.read(sink, 0) == record()
    sink.record(0).write_bytes(b'{"torn": ')
    assert record().write(sink) == record()
    assert Record.read(sink, 0) == record()
