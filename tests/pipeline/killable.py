"""A run in a process of its own, which can be made slow and be killed half way.

python -m tests.pipeline.killable DATA OUT PARTITION_BYTES
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from manyfit import FitOptions, RunSummary, fit_dataset
from manyfit.pipeline.arrays import grid
from manyfit.pipeline.places import Place

ROOT = Path(__file__).parents[2]


def slow_decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    time.sleep(float(os.environ.get("DELAY", "0")))
    return a * np.exp(-b * x) + c


def run(data: Path | str, out: Place | str, partition_bytes: int, **options: Any) -> RunSummary:
    """Fit what can be killed; with the reference engine, which calls the function."""
    return fit_dataset(
        data,
        slow_decay,
        out,
        p0=[1, 1, 1],
        partition_bytes=partition_bytes,
        options=FitOptions(engine="reference"),
        **options,
    )


def start_run(data: Path, out: Place, partition_bytes: int) -> "subprocess.Popen[str]":
    """Start a slow run that prints how many partitions are done."""
    words = [str(data), str(out), str(partition_bytes)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.killable", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DELAY": "0.02"},
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    """Wait until a process prints a line."""
    assert process.stdout is not None
    while (text := process.stdout.readline()).strip() != line:
        assert text, process.stderr and process.stderr.read()


if __name__ == "__main__":
    grid.TILE_CURVES = 1
    run(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        n_workers=2,
        progress=lambda p: print(p.partitions_done, flush=True),
    )
