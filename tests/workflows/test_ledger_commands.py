"""The commands of the ledger: verify, unlock, and what to do about an input that changed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from manyfit.pipeline.lock import lock_owner
from manyfit.pipeline.results import read_result
from manyfit.pipeline.sink import Sink

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Straight lines in two files, with plates."""
    folder = tmp_path / "lines"
    folder.mkdir()
    for k in range(2):
        write(folder / f"{k}.parquet", 30 * k)
    return folder


def write(path: Path, first: int, n: int = 30) -> None:
    x = np.linspace(0.0, 9.0, 10)
    ids = np.arange(first, first + n)
    plates = [f"P{i // 15}" for i in ids]
    rows = [x * (1 + i) + 1 for i in ids]
    table = {"curve_id": ids, "plate": plates, "k": ids % 4, "x": [x] * n, "y": rows}
    pq.write_table(pa.table(table), path)


def test_an_input_that_changed_is_refused_refitted_or_kept(
    tmp_path: Path, manyfit: Command, invoke: Invoke, lines: Path
) -> None:
    out = tmp_path / "out"
    words = ("fit", lines, "-m", "a + b*x", "-o", out, "--workers", 1, "--partition-size", "3kB")
    assert manyfit(*words).returncode == 0
    write(lines / "1.parquet", 100, 20)
    refused = invoke(*words)
    message = "1 input file(s) changed: 1.parquet. Say what to do: on_changed 'refit'"
    assert (refused.exit_code, message in refused.stderr) == (2, True)
    done = manyfit(*words, "--on-changed", "keep")
    assert done.returncode == 0, done.stderr
    assert "kept       results of files as they were before: 1.parquet" in done.stdout
    found = invoke("verify", out, "--data", lines)
    assert (found.exit_code, found.stderr) == (0, "")
    assert "kept       1.parquet: results of the file as it was before" in found.stdout
    done = manyfit(*words, "--on-changed", "refit")
    assert ": 20 fitted in" in done.stdout
    ids = read_result(out)["curve_id"].to_pylist()
    assert sorted(ids) == [*range(30), *range(100, 120)]
    assert invoke("verify", out, "--data", lines).stdout.startswith("50 curves in 2 part(s)")


def test_verify_says_by_its_exit_code_what_it_found(
    tmp_path: Path, manyfit: Command, invoke: Invoke, lines: Path
) -> None:
    out = tmp_path / "out"
    words = ("fit", lines, "-m", "a + b*x", "-o", out, "--workers", 1, "--partition-size", "3kB")
    assert manyfit(*words).returncode == 0
    done = invoke("verify", out)
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
    Sink(out).record(0).unlink()
    done = invoke("verify", out)
    assert done.exit_code == 3
    assert "missing    partition 0: not fitted yet; run again" in done.stdout
    Sink(out).part(1).write_bytes(b"nothing")
    done = invoke("verify", out)
    assert done.exit_code == 5
    assert "part-00001.parquet has not the bytes that were written" in done.stdout
    done = invoke("verify", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "holds no results of manyfit" in done.stderr
    done = invoke("verify", out, "--data", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "there is no file or folder" in done.stderr
    assert manyfit(*words).returncode == 0
    assert invoke("verify", out, "--data", lines).exit_code == 0


def test_rows_and_columns_are_selected(tmp_path: Path, manyfit: Command, lines: Path) -> None:
    out = tmp_path / "out"
    words = ("--where", "plate == 'P1' and k > 1", "--keep", "plate,k", "--workers", 1)
    done = manyfit("fit", lines, "-m", "a + b*x", "-o", out, *words)
    assert done.returncode == 0, done.stderr
    found = read_result(out)
    assert found["curve_id"].to_pylist() == [i for i in range(15, 30) if i % 4 > 1]
    assert set(found["plate"].to_pylist()) == {"P1"}
    assert found["k"].to_pylist() == [i % 4 for i in range(15, 30) if i % 4 > 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "plate = 1"], "where: 'plate = 1' is no condition"),
        (["--where", "plat == 'P1'"], "there is no column 'plat'; did you mean 'plate'?"),
        (["--where", "plate == 'P9'"], "no row of 2 file(s) is taken by where: plate == 'P9'"),
        (["--keep", "plate,wel"], "keep: there is no column 'wel'"),
        (["--on-changed", "forget"], "'forget' is not one of 'refit', 'keep'"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(
    words: list[str], message: str, tmp_path: Path, invoke: Invoke, lines: Path
) -> None:
    done = invoke("fit", lines, "-m", "a + b*x", "-o", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_the_lock_of_a_run_that_was_killed_can_be_removed(
    tmp_path: Path, invoke: Invoke, lines: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "slow.py").write_text(
        "import time\ndef line(x, a, b):\n    time.sleep(0.2)\n    return a + b * x\n"
    )
    words = ["fit", lines, "-m", "slow:line", "-o", out, "--workers", 1, "--engine", "reference"]
    process = subprocess.Popen(
        [sys.executable, "-m", "manyfit.workflows", *map(str, words)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            if lock_owner(Sink(out)):
                break
            time.sleep(0.05)
        done = invoke("unlock", out)
        assert done.exit_code == 4
        assert f"is alive (process {process.pid} on" in done.stderr
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    done = invoke("unlock", out)
    assert done.exit_code == 0
    assert f"is unlocked; it was locked by process {process.pid} on" in done.stdout
    assert invoke("unlock", out).stdout == f"{out} is not locked\n"
    assert invoke("unlock", tmp_path / "nowhere").exit_code == 2
