"""Peak memory of workers under a limit: as the data set grows past it, and in every layout.

python -m tests.benchmarks.memory [--limit 500MB] [--curves N ...] [--layouts [LAYOUT ...]]

Each data set is simulated (list columns, 50 points), fitted by two workers that Dask kills at 95 %
of the limit, and the highest resident size that each worker ever had is read from the kernel. Then
400,000 curves in every layout (see `tests.pipeline.storage`): the peak that `manyfit plan`
projects, and that of the workers.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from dask.utils import format_bytes, parse_bytes
from distributed import Client, LocalCluster

from manyfit import fit_dataset
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.due import due_job
from manyfit.pipeline.pilot import run_pilot
from manyfit.pipeline.run import checked_work
from manyfit.solver.library import get_model
from manyfit.solver.options import FitOptions
from manyfit.workflows.simulate.command import run_simulate
from tests.pipeline.storage import LAYOUTS, TABLES, write_curves

from .workloads import PEERS, Workload


def peak_bytes() -> int:
    """Return the highest resident size of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Print one line a data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", default="500MB")
    parser.add_argument("--curves", type=int, nargs="+", default=[250_000, 1_000_000, 4_000_000])
    parser.add_argument("--layouts", nargs="*", default=LAYOUTS)
    options = parser.parse_args()
    limit = parse_bytes(options.limit)
    print(f"limit a worker {format_bytes(limit)}")
    for n_curves in options.curves:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), n_curves, limit)
    load = PEERS["W1"]
    y = load.curves(400_000) if options.layouts else np.empty(0)
    for layout in options.layouts:
        for out in ["out"] if layout in TABLES else ["out", "out.zarr"]:
            with tempfile.TemporaryDirectory() as folder:
                weigh(layout, Path(folder) / out, load, y, limit)


@contextmanager
def workers(limit: int) -> Iterator[Any]:
    """Give a client of two workers that are killed at 95 % of the limit."""
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2,
            threads_per_worker=1,
            memory_limit=limit,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def weigh(layout: str, out: Path, load: Workload, y: Any, limit: int) -> None:
    """Write curves in a layout, project the peak, fit, and print both."""
    data = out.with_name(f"in.{'parquet' if layout in TABLES else 'zarr'}")
    dataset = open_dataset(data, write_curves(layout, data, load.predictors[0], y))
    work = checked_work(dataset, load.func, FitOptions(), list(load.start), out)
    job = due_job(work, None, None, lambda: 2)
    pilot = run_pilot(work.task, job, job.plan.partitions, dataset.files)
    with workers(limit) as client:
        fit_dataset(dataset, load.func, out, p0=list(load.start), cluster=client)
        peak = max(client.run(peak_bytes).values())
    print(
        f"{layout:>8} -> {out.name:8}: projected {format_bytes(pilot.peak_bytes)}, seen "
        f"{format_bytes(peak)}, {peak / pilot.peak_bytes:.2f}",
        flush=True,
    )


def measure(folder: Path, n_curves: int, limit: int) -> None:
    """Simulate, fit, and print the peaks."""
    data = folder / "data"
    run_simulate(
        spec="exponential_decay",
        out=data,
        n_curves=n_curves,
        n_points=50,
        n_files=4,
        noise=0.05,
        spread=0.2,
        seed=0,
        truth=(),
        x_range=None,
        noise_kind="constant",
        layout="list",
        bad_share=0.0,
        with_sigma=False,
        no_x=False,
        row_group=None,
        overwrite=False,
    )
    size = sum(path.stat().st_size for path in data.glob("*.parquet"))
    with workers(limit) as client:
        model = get_model("exponential_decay")
        summary = fit_dataset(
            data, model, folder / "out", cluster=client, partition_bytes=16_000_000
        )
        peaks = sorted(client.run(peak_bytes).values())
    print(
        f"{n_curves:>9,} curves {format_bytes(size):>11} in {summary.partitions:>4} partitions: "
        f"peak a worker {', '.join(format_bytes(p) for p in peaks)}; "
        f"{summary.converged:,} converged, {summary.fits_per_s:,.0f} fits/s"
    )


if __name__ == "__main__":
    main()
