"""The lock of an output directory: who holds it, since when, and how it is broken."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import manyfit
from manyfit.pipeline import owner as owners
from manyfit.pipeline.errors import SinkLockedError
from manyfit.pipeline.lock import lock_owner, locked, unlock
from manyfit.pipeline.sink import Sink

HOLD = """
import sys, time
from pathlib import Path
from manyfit.pipeline.lock import locked
from manyfit.pipeline.sink import Sink
with locked(Sink(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(out: Path) -> subprocess.Popen[str]:
    root = str(Path(str(manyfit.__file__)).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate(timeout=30)


def write_owner(sink: Sink, host: str, seen_s: float) -> None:
    """Leave what a run on another host leaves."""
    path = Path(str(sink)) / "_manyfit" / "owner.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": 7, "host": host, "since": time.time() - 7200}))
    os.utime(path, (time.time() - seen_s,) * 2)


def test_a_run_that_lives_keeps_others_out_and_its_lock(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    process = holder(tmp_path)
    try:
        who = rf"process {process.pid} on {socket.gethostname()}, since 20\d\d-"
        message = rf"another run writes .*\({who}.*manyfit unlock"
        with pytest.raises(SinkLockedError, match=message), locked(sink):
            pass
        with pytest.raises(SinkLockedError, match=rf"is alive \({who}.*--force"):
            unlock(sink)
        assert f"process {process.pid} on" in str(lock_owner(sink))
    finally:
        end(process)


def test_a_run_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    process = holder(tmp_path)
    end(process)
    assert lock_owner(sink) is not None
    with locked(sink):
        pass
    assert lock_owner(sink) is None


def test_the_lock_of_a_dead_run_is_removed_and_its_owner_named(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    process = holder(tmp_path)
    end(process)
    assert rf"is unlocked; it was locked by process {process.pid} on" in unlock(sink)
    assert unlock(sink) == f"{tmp_path} is not locked"


def test_force_breaks_the_lock_of_a_run_that_lives(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    process = holder(tmp_path)
    try:
        assert "is unlocked" in unlock(sink, force=True)
        with locked(sink):
            owner = lock_owner(sink)
            assert owner is not None
            assert owner.pid == os.getpid()
            end(process, signal.SIGINT)  # it ends in order, and leaves what is another's
            assert lock_owner(sink) is not None
    finally:
        process.kill()


def test_another_host_is_believed_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    write_owner(sink, "elsewhere", seen_s=20)
    with pytest.raises(SinkLockedError, match=r"process 7 on elsewhere, since"), locked(sink):
        pass
    with pytest.raises(SinkLockedError, match=r"is alive \(process 7 on elsewhere"):
        unlock(sink)
    write_owner(sink, "elsewhere", seen_s=owners.LEASE_S + 5)
    with locked(sink):
        pass
    write_owner(sink, "elsewhere", seen_s=20)
    told = unlock(sink, force=True)
    assert "was locked by process 7 on elsewhere, since" in told
    assert told.endswith(", 2 h 00 min ago")


def test_a_run_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "HEARTBEAT_S", 0.05)
    sink = Sink(tmp_path)
    with locked(sink):
        path = tmp_path / "_manyfit" / "owner.json"
        os.utime(path, (1, 1))
        for _ in range(200):
            if path.stat().st_mtime > 1:
                break
            time.sleep(0.05)
        owner: Any = lock_owner(sink)
        assert owner.seen_s < 60


def test_there_must_be_results_to_unlock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results of manyfit"):
        unlock(Sink(tmp_path))
