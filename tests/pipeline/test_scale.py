"""A terabyte: 100,000 row groups in 10,000 files are planned, and run, in bounded time and memory.

The files are links to one small file, so footers are read as they would be; what they say of the
size of a curve is all that is missing. Only the work of a task is stubbed out.
"""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

import manyfit
from manyfit.pipeline.window import TASKS_PER_THREAD

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

ROOT = str(Path(str(manyfit.__file__)).parents[1])

PLAN = """
    import json, sys, time
    from pathlib import Path
    from manyfit.pipeline.due import due_job
    from manyfit.pipeline.ledger import Job
    from manyfit.pipeline.dataset import open_dataset
    from manyfit.pipeline.run import checked_work
    from manyfit.solver.library import get_model
    from manyfit.solver.options import FitOptions

    begun = time.perf_counter()
    dataset = open_dataset(sys.argv[1])
    model = get_model("polynomial:1")
    work = checked_work(dataset, model, FitOptions(), None, Path(sys.argv[2]))
    job = due_job(work, None, 480, lambda: 64)
    work.sink.ledger.mkdir(parents=True)
    job.write(work.sink)
    assert Job.read(work.sink) == job
    lines = Path("/proc/self/status").read_text().splitlines()
    print(json.dumps({
        "blocks": len(dataset.blocks), "partitions": len(job.plan.partitions),
        "seconds": time.perf_counter() - begun,
        "peak_bytes": 1024 * next(int(l.split()[1]) for l in lines if l.startswith("VmHWM")),
    }))
"""


RUN = """
    import json, os, sys
    from pathlib import Path
    import dask
    from distributed import Client
    from manyfit.pipeline import execution
    from manyfit.pipeline.run import fit_dataset
    from manyfit.solver.library import get_model

    def nothing(_, given):
        from manyfit.pipeline.ledger import Record
        partition = given.partition
        return Record(
            fingerprint=given.fingerprint, index=partition.index, curves=partition.curves,
            counts={1: partition.curves},
        )

    def resident_mb():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    execution.run_partition = nothing
    tasks, memory = [], []
    # Dask remembers its last thousand messages, each with a task: left so, the client would grow
    # by some megabytes until there are a thousand.
    short_log = dask.config.set({"distributed.admin.low-level-log-length": 10})
    with short_log, Client(scheduler_file=sys.argv[3], set_as_default=False) as client:

        def look(progress):
            if progress.partitions_done % 200 == 0 and progress.partitions_done:
                count = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
                tasks.append(count)
                memory.append(resident_mb())

        summary = fit_dataset(
            sys.argv[1], get_model("polynomial:1"), sys.argv[2], cluster=client,
            partition_bytes=480, progress=look,
        )
    print(json.dumps({
        "partitions": summary.partitions, "fitted": summary.fitted, "tasks": tasks,
        "memory": memory,
    }))
"""


def linked(folder: Path, n_files: int) -> Path:
    """Write a file of ten row groups of 20 curves, under many names."""
    n = 200
    x = [np.arange(3.0)] * n
    one = folder / "one"
    table = pa.table({"curve_id": np.arange(n), "plate": ["A1"] * n, "x": x, "y": x})
    pq.write_table(table, one, row_group_size=20)
    data = folder / "data"
    data.mkdir()
    for k in range(n_files):
        os.link(one, data / f"{k:05d}.parquet")
    return data


def run(script: str, *words: Any) -> Any:
    """Run a script in a process of its own, whose memory has no past; return what it tells."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, words)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_hundred_thousand_row_groups_are_planned(tmp_path: Path) -> None:
    found = run(PLAN, linked(tmp_path, 10_000), tmp_path / "out")
    print(f"100,000 row groups in 10,000 files: {found}")
    assert (found["blocks"], found["partitions"]) == (100_000, 100_000)
    assert found["seconds"] < 30
    assert found["peak_bytes"] < 1_000_000_000


@contextmanager
def cluster_apart(folder: Path) -> Iterator[Path]:
    """Start a scheduler and two workers in processes of their own; give the scheduler's file."""
    file = folder / "scheduler.json"
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    host = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    work = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file)]
    shape = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": folder,
        "env": {**os.environ, "PYTHONPATH": ROOT},
    }
    processes = [subprocess.Popen([*start, *host], **quiet)]
    try:
        for _ in range(600):
            if file.exists():
                break
            time.sleep(0.1)
        processes.append(subprocess.Popen([*work, *shape], **quiet))
        with Client(scheduler_file=str(file), set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)
        yield file
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)


def test_neither_client_nor_scheduler_grows_with_the_partitions(tmp_path: Path) -> None:
    data = linked(tmp_path, 200)
    with cluster_apart(tmp_path) as scheduler:
        found = run(RUN, data, tmp_path / "out", scheduler)
    assert found["partitions"] == 2000
    assert found["fitted"] == 40_000
    tasks, memory = found["tasks"], found["memory"]
    print(f"tasks on the scheduler {tasks}; client, MB {[round(m) for m in memory]}")
    assert len(memory) == 10
    assert max(tasks) <= 2 * TASKS_PER_THREAD
    assert max(memory[2:]) - memory[1] < 5
