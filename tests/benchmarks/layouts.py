"""Fits a second from storage to storage on one core, by layout, beside reading and fitting alone.

python -m tests.benchmarks.layouts [--curves N] [--rounds N] [LAYOUT ...]

W1: a decay of 50 float64 points, from given start values. "task" is what a worker does with its
partitions: read, fit, write, commit; "read" brings the same values into memory with pyarrow or zarr
and nothing else, "kernel" is the fit alone (see `compiled`), "write" puts the same rows into a file
with pyarrow and its defaults; they take turns. "slower" is the speed of a task relative to the
slower of read and kernel, as if they went on at once; "sum" relative to read, kernel and write one
after the other, which is all that one core can do. "MB/s" counts the values of y as float64. All is
processor time of one process, the best of several rounds, so that a busy machine slows all alike;
"wall" is the speed of a task by the clock.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.due import due_job
from manyfit.pipeline.packing import packed
from manyfit.pipeline.plan import PARTITION_BYTES
from manyfit.pipeline.reading import batch_rows
from manyfit.pipeline.run import checked_work
from manyfit.pipeline.task import Assignment, run_partition
from manyfit.solver.options import FitOptions
from tests.pipeline.storage import LAYOUTS, write_curves

from .compiled import Case
from .workloads import PEERS

WORKLOAD = "W1"


def seconds(work: Callable[[], object]) -> float:
    """Return the time that this process spends on `work`, all its threads together."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


class Stored:
    """The curves in one layout, and the partitions of a job that fits them."""

    def __init__(self, layout: str, folder: Path, case: Case) -> None:
        load = case.load
        self.path = folder / (f"{layout}.parquet" if layout in {*LAYOUTS[:5]} else f"{layout}.zarr")
        columns = write_curves(layout, self.path, load.predictors[0], case.y)
        self.out = folder / f"{layout} out"
        self.dataset = open_dataset(self.path, columns)
        start = list(load.start)
        self.work = checked_work(self.dataset, case.model, FitOptions(), start, self.out)
        job = due_job(self.work, None, PARTITION_BYTES, lambda: 1)
        self.payload = packed(self.work.task, self.work.model)
        self.given = [
            Assignment(
                partition=partition,
                fingerprint=job.fingerprint(partition),
                files={s.file: self.dataset.files[s.file] for s in partition.slices},
            )
            for partition in job.plan.partitions
        ]
        Path(str(self.work.sink.ledger)).mkdir(parents=True)
        self.fit()
        self.rows = pq.read_table(self.out)

    def fit(self) -> None:
        """Do every partition, as a worker does; none is committed before."""
        for given in self.given:
            self.work.sink.record(given.partition.index).unlink(missing_ok=True)
            run_partition(self.payload, given)

    def write(self) -> None:
        """Write all rows of the result."""
        pq.write_table(self.rows, self.path.with_name("rows.parquet"))

    def read(self) -> None:
        """Bring all values into memory, a few at a time."""
        if self.dataset.layout.grid is None:
            read_rows(self.path, self.work.binding.columns, batch_rows(self.given[0].partition))
        else:
            read_array(self.path)


def read_rows(path: Path, columns: tuple[str, ...], rows: int) -> None:
    """Read columns of a file with pyarrow, so many rows at a time."""
    with pq.ParquetFile(path) as parquet:
        names = [c for c in columns if c in parquet.schema_arrow.names]
        wanted = names if {"y", "y_0"} & set(names) else [*names, "points"]
        for batch in parquet.iter_batches(rows, columns=wanted, use_threads=False):
            assert isinstance(batch, pa.RecordBatch)


def read_array(path: Path) -> None:
    """Read an array with zarr, a chunk or a shard at a time."""
    array: Any = zarr.open_array(path, path="y", mode="r")
    n_rows = (array.shards or array.chunks)[0]
    for first in range(0, array.shape[0], n_rows):
        assert array[first : first + n_rows].size


def main() -> None:
    """Print one line a layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layouts", nargs="*")
    parser.add_argument("--curves", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    case = Case(PEERS[WORKLOAD], options.curves)
    print(f"{options.curves:,} curves; million curves a second, one core")
    print(
        f"{'':8s} {'task':>6s} {'MB/s':>6s} {'read':>6s} {'kernel':>6s} {'write':>6s} "
        f"{'slower':>6s} {'sum':>6s} {'wall':>6s}"
    )
    for layout in options.layouts or LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            measure(layout, Path(folder), case, options.rounds)


def measure(layout: str, folder: Path, case: Case, rounds: int) -> None:
    """Time one layout, and print it."""
    stored, n_curves = Stored(layout, folder, case), len(case.y)
    runs: dict[str, Callable[[], object]] = {
        "task": stored.fit,
        "read": stored.read,
        "kernel": case.run,
        "write": stored.write,
    }
    best, wall = dict.fromkeys(runs, np.inf), np.inf
    for _ in range(rounds):
        for key, work in runs.items():
            begun = time.perf_counter()
            best[key] = min(best[key], seconds(work))
            wall = min(wall, time.perf_counter() - begun) if key == "task" else wall
    speed = {key: n_curves / best[key] for key in runs}
    slower = speed["task"] / min(speed["read"], speed["kernel"])
    one_by_one = speed["task"] * sum(1 / speed[key] for key in ("read", "kernel", "write"))
    print(
        f"{layout:8s} {speed['task'] / 1e6:6.2f} {8e-6 * case.y.shape[1] * speed['task']:6.0f} "
        f"{speed['read'] / 1e6:6.2f} {speed['kernel'] / 1e6:6.2f} {speed['write'] / 1e6:6.2f} "
        f"{slower:6.2f} {one_by_one:6.2f} {n_curves / wall / 1e6:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
