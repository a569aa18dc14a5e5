"""`manyfit plan`: what would be done, what it takes, and a refusal if that is too much."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from manyfit.pipeline.errors import ClusterError
from manyfit.pipeline.ledger import Job
from manyfit.pipeline.pilot import Pilot, run_pilot
from manyfit.pipeline.plan import Partition, Slice
from manyfit.pipeline.sink import Sink
from manyfit.pipeline.timing import Timing
from manyfit.workflows.plan import memory_line, time_lines

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]

TIMINGS = (
    Timing(curves=2048, n_fits=256, read_s=0.5, fit_s=1.0, write_s=0.5),
    Timing(curves=1024, n_fits=256, read_s=0.5, fit_s=1.0, write_s=0.5),
)
PILOT = Pilot(timings=TIMINGS, ready_s=1.5, base_bytes=100_000_000, peak_bytes=150_000_000)
PARTITION = Partition(index=0, slices=(Slice(0, 0, 9),), first_curve=0, curves=9_216, n_bytes=9)


def test_a_plan_says_what_is_done_and_what_it_takes(
    tmp_path: Path, manyfit: Command, decays: Path
) -> None:
    words = (decays, "-m", "exponential_decay", "-o", tmp_path / "out", "--workers", 1)
    size = ("--partition-size", "100kB")
    done = manyfit("plan", *words, *size)
    assert done.returncode == 0, done.stderr
    assert re.search(r"plan +4 partition\(s\) of \d+ .. \d+ curves, 1,200 curves and", done.stdout)
    assert re.search(r"memory +\d+ MB a worker at its peak, of [\d,]+ MB", done.stdout)
    assert re.search(r"time +about .*, of which \d+ s are for starting and compiling", done.stdout)
    assert re.search(r"speed +[\d,]+ fits/s .* seen on [\d,]+ curves, 1 at work", done.stdout)
    assert not (tmp_path / "out").exists()
    assert (
        manyfit("fit", *words, *size, "--plan").stdout.splitlines()[:6]
        == (done.stdout.splitlines()[:6])
    )
    assert manyfit("fit", *words, *size, "-q").returncode == 0
    Sink(tmp_path / "out").record(2).unlink()
    begun = manyfit("plan", *words).stdout
    assert "done       3 partition(s); " in begun
    assert " curves are left" in begun
    assert manyfit("fit", *words, "-q").returncode == 0
    ended = manyfit("plan", *words).stdout
    assert "done       4 partition(s); 0 curves are left" in ended
    assert "memory" not in ended


def test_too_little_memory_is_exit_code_2(tmp_path: Path, manyfit: Command, decays: Path) -> None:
    words = (decays, "-m", "exponential_decay", "-o", tmp_path / "out", "--workers", 5000)
    done = manyfit("plan", *words)
    assert done.returncode == 2
    assert re.search(r"a worker would need \d+ MB of memory .* start fewer workers", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_job_that_cannot_be_run_is_exit_code_2(
    tmp_path: Path, invoke: Invoke, decays: Path, fits: Path
) -> None:
    done = invoke("plan", decays, "-m", "gaussian", "-o", fits)
    assert done.exit_code == 2
    assert "holds the results of another job" in done.stderr
    done = invoke("plan", decays, "-m", "a*x + b/0*zz(x)", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "there is no function 'zz'" in done.stderr


def test_a_scheduler_that_is_not_there_is_exit_code_4(
    tmp_path: Path, invoke: Invoke, decays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manyfit.pipeline.cluster.CONNECT_TIMEOUT", "1s")
    words = (decays, "-m", "exponential_decay", "-o", tmp_path / "out")
    done = invoke("plan", *words, "--scheduler", "tcp://127.0.0.1:9")
    assert done.exit_code == 4
    assert "no scheduler answers" in done.stderr


def test_the_worker_with_least_room_counts() -> None:
    text = memory_line(PILOT, [(None, 1), (900_000_000, 2), (260_000_000, 3)])
    assert text == "memory     250 MB a worker at its peak, of 260 MB that it may have"
    assert memory_line(PILOT, [(None, 2)]) == (
        "memory     200 MB a worker at its peak, without a limit"
    )
    with pytest.raises(ValueError, match=r"need 250 MB .* have 249 MB: start fewer.*--partition-s"):
        memory_line(PILOT, [(900_000_000, 1), (249_000_000, 3)])


def test_time_is_that_of_the_threads_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manyfit.workflows.plan.default_workers", lambda: 2)
    left = [PARTITION] * 10
    limits = [(None, 1)] * 8
    here = time_lines(PILOT, limits, left, local=True).splitlines()
    assert here[0] == (
        "time       about 1 min 06 s (51 s .. 1 min 36 s), of which 6 s are for starting and "
        "compiling"
    )
    assert here[1] == (
        "speed      768 fits/s a thread (512 .. 1,024 in 2 place(s)): reading 25 %, fitting 50 %, "
        "writing 25 %; seen on 512 curves, 2 at work"
    )
    there = time_lines(PILOT, limits, left, local=False)
    assert "about 16 s (13 s .. 24 s), of which 2 s" in there
    assert "8 at work" in there
    assert "about 14 s (10 s .. 20 s)" in time_lines(PILOT, limits, left[:1], local=False)


def test_threads_that_wait_for_a_store_take_a_core_while_they_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("manyfit.workflows.plan.default_workers", lambda: 2)
    left = [PARTITION] * 10  # half of a thread's time is fitting: two cores for four threads
    assert "4 at work" in time_lines(PILOT, [(None, 2)] * 3, left, local=True)
    assert "2 at work" in time_lines(PILOT, [(None, 2)], left, local=True)


class Falls:
    """What ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return exec, ("import sys; sys.exit('out of paper')",)


def test_a_pilot_that_dies_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Named:
        model = None

    def packed(*_: Any) -> bytes:
        import pickle

        return pickle.dumps(Falls())

    monkeypatch.setattr("manyfit.pipeline.pilot.packed", packed)
    task: Any = Named()
    about = {"input": {"a": [1, "b"]}, "columns": {"layout": {"curve_id": None}}}
    job = Job(description=about, plan=None)  # type: ignore[arg-type]
    files: Any = [None]
    with pytest.raises(ClusterError, match=r"pilot ended with exit code 1 .*: out of paper. A w"):
        run_pilot(task, job, [PARTITION], files)
