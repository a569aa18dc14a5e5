"""A run in a process of its own, which can be made slow and be killed half way."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import manyfit
from manyfit.pipeline.places import Place

SCRIPT = """
    import os, sys, time
    import numpy as np
    from manyfit.pipeline.arrays import grid
    from manyfit import FitOptions, fit_dataset

    grid.TILE_CURVES = 1

    def slow_decay(x, a, b, c):
        time.sleep(float(os.environ.get("DELAY", 0)))
        return a * np.exp(-b * x) + c

    if __name__ == "__main__":
        fit_dataset(
            sys.argv[1], slow_decay, sys.argv[2], p0=[1, 1, 1], n_workers=2,
            partition_bytes=int(sys.argv[3]),
            progress=lambda p: print(p.partitions_done, flush=True),
            options=FitOptions(engine="reference"),  # calls the function, which takes its time
        )
"""


def start_run(
    folder: Path, data: Path, out: Place, partition_bytes: int, delay: str = "0"
) -> "subprocess.Popen[str]":
    """Start a run that prints how many partitions are done, with a script in a folder."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    root = str(Path(str(manyfit.__file__)).parents[1])
    return subprocess.Popen(
        [sys.executable, str(script), str(data), str(out), str(partition_bytes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root, "DELAY": delay},
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    """Wait until a process prints a line."""
    assert process.stdout is not None
    while (text := process.stdout.readline()).strip() != line:
        assert text, process.stderr and process.stderr.read()
