"""What a pilot says is what a run takes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

from manyfit.pipeline.cluster import local_cluster, worker_limits
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.due import due_job
from manyfit.pipeline.ledger import Job
from manyfit.pipeline.pilot import Pilot, run_pilot
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.solver.options import FitOptions


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def piloted(path: Path, model: Any, out: Path, columns: Columns, **plan: Any) -> tuple[Job, Pilot]:
    work = checked_work(open_dataset(path, columns), model, FitOptions(), [1.0, 1, 1], out)
    job = due_job(work, None, plan.get("partition_bytes"), lambda: 2)
    return job, run_pilot(work.task, job, job.plan.partitions, work.dataset.files)


@pytest.mark.parametrize("kind", ["list", "long", "wide"])
def test_a_pilot_fits_a_few_curves_of_every_layout(
    kind: str, layouts: Any, values: Any, model: Callable[..., Any], tmp_path: Path
) -> None:
    path = layouts.write(kind, values, rows=1000)
    _, pilot = piloted(path, model, tmp_path / "out", layouts.columns(kind), partition_bytes=9_000)
    assert 60 <= pilot.n_fits <= 600
    assert pilot.fits_per_s > 100
    assert 50e6 < pilot.base_bytes < pilot.peak_bytes < 600e6
    assert pilot.worker_bytes(1) == pilot.peak_bytes
    assert pilot.worker_bytes(3) == 3 * pilot.peak_bytes - 2 * pilot.base_bytes
    assert not (tmp_path / "out").exists()


def test_the_memory_of_workers_is_known(client: Any) -> None:
    limits = worker_limits(client, None)
    assert [threads for _, threads in limits] == [1, 1]
    assert worker_limits(None, 2) == limits  # as those of the cluster of all tests
    many = worker_limits(None, 200)
    assert len(many) == 200
    assert (many[0][0] or 0) * 100 == pytest.approx(limits[0][0], rel=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n_points", [10, 500])
def test_the_projected_peak_is_that_of_a_worker(
    n_points: int, model: Callable[..., Any], tmp_path: Path
) -> None:
    n_curves = 8_000_000 // n_points
    x = np.linspace(0.0, 4.0, n_points)
    y = np.exp(-x) + np.random.default_rng(0).normal(1.0, 0.02, (n_curves, n_points))
    offsets = np.arange(n_curves + 1, dtype=np.int32) * n_points
    lists = pa.ListArray.from_arrays(offsets, pa.array(y.reshape(-1)))
    pq.write_table(pa.table({"y": lists}), tmp_path / "in.parquet", row_group_size=n_curves)
    columns, out = Columns(x=x), tmp_path / "out"
    _, pilot = piloted(tmp_path / "in.parquet", model, out, columns)
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as own:  # type: ignore[no-untyped-call]
        fit_dataset(tmp_path / "in.parquet", model, out, columns=columns, p0=[1, 1, 1], cluster=own)
        peak = max(own.run(peak_bytes).values())
    print(f"{n_points} points: projected {pilot.peak_bytes / 1e6:.0f} MB, seen {peak / 1e6:.0f} MB")
    assert 0.85 < pilot.peak_bytes / peak < 1.5
