"""A few rounds of the fault campaign: killed or starved anywhere, a run ends with the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import manyfit

ROOT = Path(str(manyfit.__file__)).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs, or limits the size of files")
@pytest.mark.parametrize("where", [[], ["--s3", "--curves", "3000"]], ids=["disk", "store"])
def test_a_run_that_suffers_ends_with_the_same_bits(where: list[str]) -> None:
    words = ["--rounds", "3", "--seed", "5", *where]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.faults", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rounds: every curve once, same bits" in done.stdout
