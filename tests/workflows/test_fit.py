"""The command as a person runs it: every layout, every exit code, and going on after a stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from filelock import FileLock

from manyfit.pipeline import run
from manyfit.pipeline.errors import ClusterError
from manyfit.pipeline.results import read_result, result_metadata
from manyfit.solver.options import TOLERANCE
from manyfit.workflows.cli import fit
from manyfit.workflows.fit import Request

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]

SLOW = """\
import os, time
def line(x, a, b):
    time.sleep(float(os.environ.get("SLOW_S", 0)))
    return a + b * x
"""

BREAKS = """\
def line(x, a, b):
    if (x > 50).any():
        raise OSError("the detector was off")
    return a + b * x
"""


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Straight lines in two files; in the second x is far away."""
    folder = tmp_path / "lines"
    folder.mkdir()
    for k in range(2):
        x = np.linspace(100.0 * k, 100.0 * k + 9, 10)
        rows = [x * b for b in np.linspace(1, 2, 30)]
        pq.write_table(pa.table({"x": [x] * 30, "y": rows}), folder / f"{k}.parquet")
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "breaks.py").write_text(BREAKS)
    return folder


def test_a_formula_is_fitted_and_its_run_is_known_again(
    tmp_path: Path, manyfit: Command, invoke: Invoke, lines: Path
) -> None:
    out = tmp_path / "out"
    told = []
    for _ in range(2):
        done = manyfit("fit", lines, "-m", "a + b*x", "-o", out, "--workers", 1)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert ": 60 fitted in" in told[0]
    assert ": 0 fitted in" in told[1]
    result = read_result(out)
    np.testing.assert_allclose(result["b"], 2 * list(np.linspace(1, 2, 30)), rtol=1e-9)
    assert "a + b*x" in invoke("show", out).stdout


@pytest.mark.parametrize("layout", ["list", "long", "wide"])
def test_every_layout_gives_the_same_fits(
    tmp_path: Path, manyfit: Command, invoke: Invoke, decays: Path, fits: Path, layout: str
) -> None:
    shape = ("--curves", 300, "--points", 40, "--seed", 7, "--bad-share", 0)
    data, out = tmp_path / "data", tmp_path / "out"
    made = invoke("simulate", "-m", "exponential_decay", "--layout", layout, "--out", data, *shape)
    assert made.exit_code == 0, made.stderr
    words = ["--layout", layout, *(["--x-values", "0:5:40"] if layout == "wide" else [])]
    done = manyfit("fit", data, "-m", "exponential_decay", "-o", out, "--workers", 1, *words)
    assert done.returncode == 0, done.stderr
    ours, theirs = read_result(out), read_result(fits).slice(0, 300)
    whole = pa.compute.is_null(pq.read_table(decays).slice(0, 300)["bad"])
    assert ours.filter(whole).equals(theirs.filter(whole))


def test_a_run_tells_how_it_went_and_what_is_next(
    tmp_path: Path, manyfit: Command, decays: Path
) -> None:
    out = tmp_path / "out"
    first, again = (
        manyfit("fit", decays, "-m", "exponential_decay", "-o", out, "--workers", 1)
        for _ in range(2)
    )
    assert (first.returncode, again.returncode) == (0, 0)
    assert "1,200 curves in 1 partition(s): 1,200 fitted in" in first.stdout
    assert "CONVERGED_FTOL" in first.stdout
    assert f"next       manyfit show {out} --truth {decays}" in first.stdout
    assert "0.0 %  0 of 1,200 curves" in first.stderr
    assert "1 fitted before: 0 fitted in" in again.stdout


def test_a_directory_of_another_job_is_refused(invoke: Invoke, decays: Path, fits: Path) -> None:
    done = invoke("fit", decays, "-m", "gaussian", "-o", fits, "--workers", 1)
    assert done.exit_code == 2
    assert "holds the results of another job" in done.stderr
    assert "'exponential_decay' there, 'gaussian' here" in done.stderr


def test_the_plan_is_printed_and_nothing_is_done(
    tmp_path: Path, invoke: Invoke, decays: Path
) -> None:
    options = ("--workers", 2, "--partition-size", "100kB", "--p0", "a=1,b=1,c=0")
    done = invoke(
        "fit", decays, "-m", "exponential_decay", "-o", tmp_path / "out", "--plan", *options
    )
    assert done.exit_code == 0
    assert "1,200 curves in 2 file(s)" in done.stdout
    assert "model      exponential_decay: a*exp(-b*x) + c; params a, b, c" in done.stdout
    assert "p0 a       1" in done.stdout
    assert "partition(s) of" in done.stdout
    assert not (tmp_path / "out").exists()


def test_options_reach_the_fit(tmp_path: Path, manyfit: Command, lines: Path) -> None:
    out = tmp_path / "out"
    options = ["--fixed", "a=1", "--bounds", "b=0:1.5", "--sigma", "2", "--absolute-sigma"]
    done = manyfit(
        "fit", lines, "-m", "slow:line", "-o", out, "-q", "--workers", 1, *options, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    result = read_result(out)
    assert set(result["a"].to_pylist()) == {1.0}
    assert max(result["b"].to_pylist()) <= 1.5
    stderr = 2 / np.sqrt(np.sum(np.linspace(0, 9, 10) ** 2))
    np.testing.assert_allclose(result["b_stderr"][0].as_py(), stderr, rtol=1e-6)


def test_partitions_that_fail_are_listed_with_exit_code_3(
    tmp_path: Path, manyfit: Command, invoke: Invoke, lines: Path
) -> None:
    command = ("fit", lines, "-m", "breaks:line", "-o", tmp_path / "out", "--workers", 1)
    size = ("--partition-size", "4kB", "--retries", 0)
    done = manyfit(*command, *size, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "partition 1 failed: OSError: the detector was off" in done.stdout
    assert "TASK_LOST" in done.stdout
    assert "run the same command again: only that is done" in done.stdout
    shown = invoke("show", tmp_path / "out")
    assert shown.exit_code == 0
    assert "30 of 60 curves are not here: partitions that failed" in shown.stdout
    assert "OSError: the detector was off" in shown.stdout


def test_an_output_in_use_is_exit_code_4(tmp_path: Path, manyfit: Command, decays: Path) -> None:
    lock = tmp_path / "out" / "_manyfit" / "lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        done = manyfit("fit", decays, "-m", "exponential_decay", "-o", tmp_path / "out")
    assert done.returncode == 4
    assert "another run writes to" in done.stderr


def test_a_lost_cluster_is_exit_code_4(
    tmp_path: Path, invoke: Invoke, decays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise ClusterError("the scheduler is gone")

    monkeypatch.setattr(run, "connected", lost)
    done = invoke("fit", decays, "-m", "exponential_decay", "-o", tmp_path / "out", "-q")
    assert (done.exit_code, done.stderr) == (4, "manyfit: the scheduler is gone\n")


def test_a_model_that_cannot_travel_is_misuse(
    tmp_path: Path, invoke: Invoke, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked.py").write_text(
        "import threading\n"
        "LOCK = threading.Lock()\n"
        "def line(x, a, b):\n"
        "    with LOCK:\n"
        "        return a + b * x\n"
    )
    words = ["fit", lines, "-m", "locked:line", "-o", tmp_path / "out", "-q"]
    done = invoke(*words, "--engine", "reference")
    assert done.exit_code == 2
    assert "TypeError: model 'line' cannot be sent to workers" in done.stderr
    assert "Traceback" not in done.output


def test_a_function_that_is_no_formula_is_fitted_with_a_warning_of_one_line(
    tmp_path: Path, manyfit: Command, lines: Path
) -> None:
    (tmp_path / "odd.py").write_text(
        "import numpy as np\n"
        "def line(x, a, b):\n"
        "    return np.array([a + b * t for t in x])\n"
        "def straight(x, a, b):\n"
        "    return a + b * x\n"
    )
    words = ["fit", lines, "--workers", 1, "-m"]
    done = manyfit(*words, "odd:line", "-o", tmp_path / "odd", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [text for text in done.stderr.splitlines() if "no formula can be read" in text]
    assert len(told) == 1
    assert told[0].startswith("manyfit: warning: no formula can be read from model 'line': odd.py")
    done = manyfit(*words, "odd:straight", "-o", tmp_path / "straight", cwd=tmp_path)
    assert "warning" not in done.stderr
    assert result_metadata(tmp_path / "straight")["model"]["expression"] == "a + b*x"
    done = manyfit(*words, "odd:line", "-o", tmp_path / "no", "--engine", "simd", cwd=tmp_path)
    assert done.returncode == 2
    assert "manyfit: engine='simd' fits formulas, and no formula can be read" in done.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, manyfit: Command, lines: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    words = ["fit", lines, "-m", "slow:line", "-o", out, "--workers", 1, "--partition-size", "1kB"]
    words += ["--engine", "reference"]  # calls the function, which takes its time
    process = subprocess.Popen(
        [sys.executable, "-m", "manyfit.workflows", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "SLOW_S": "0.05"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(out.glob("part-*"))) >= 2, process)
        os.killpg(process.pid, number)  # as a terminal does: the workers are told, too
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    done = len(list((out / "_manyfit").glob("0*.json")))
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    assert stderr.endswith("; run again to go on\n")
    again = manyfit(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{done} fitted before" in again.stdout
    assert read_result(out).num_rows == 60


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until something has happened in a run."""
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise TimeoutError


def test_defaults_of_the_command_are_those_of_the_request() -> None:
    given = fit.make_context("fit", ["data", "-m", "gaussian", "-o", "out"]).params
    chosen = {name: value for name, value in given.items() if name not in {"plan", "quiet"}}
    assert Request(**chosen) == Request(data=("data",), model="gaussian", out="out")
    assert chosen["ftol"] == chosen["xtol"] == TOLERANCE
