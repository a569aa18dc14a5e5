"""What a pilot says is what a run takes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from manyfit.pipeline.cluster import local_cluster, worker_limits
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.due import due_job
from manyfit.pipeline.ledger import Job
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.pilot import Pilot, run_pilot
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.solver.options import FitOptions
from tests.pipeline.storage import LAYOUTS, TABLES, write_curves


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def stored(layout: str, folder: Path, n_curves: int, n_points: int) -> tuple[Path, Columns]:
    x = np.linspace(0.0, 4.0, n_points)
    noise = np.random.default_rng(0).normal(0, 0.02, (n_curves, n_points))
    path = folder / f"in.{'parquet' if layout in TABLES else 'zarr'}"
    return path, write_curves(layout, path, x, 2 * np.exp(-1.5 * x) + 0.5 + noise)


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
    assert len(pilot.timings) == 4
    assert 8 * 4 <= pilot.n_fits <= 600
    slowest, fastest = pilot.spread
    assert 100 < slowest < pilot.fits_per_s < fastest
    assert min(pilot.shares.values()) > 0
    assert sum(pilot.shares.values()) == pytest.approx(1.0)
    assert 0.2 < pilot.ready_s < 60
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
@pytest.mark.parametrize(
    ("layout", "out", "engine"),
    [
        ("list", "out", "auto"),
        ("list", "out", "reference"),
        ("long", "out", "auto"),
        ("chunks", "out.zarr", "auto"),
        ("cut", "out", "auto"),
    ],
)
def test_the_expected_time_is_that_of_the_run(
    layout: str, out: str, engine: Any, model: Callable[..., Any], tmp_path: Path
) -> None:
    n_curves = 40_000 if engine == "reference" else 300_000
    data, columns = stored(layout, tmp_path, n_curves, 50)
    given: dict[str, Any] = {"options": FitOptions(engine=engine), "p0": [1, 1, 1]}
    expected, taken = [], []
    with local_cluster(1) as cluster, Client(cluster, set_as_default=False) as own:  # type: ignore[no-untyped-call]
        first = tmp_path / "first" / out  # in which the worker compiles
        fit_dataset(data, model, first, columns=columns, cluster=own, **given)
        for k in range(3):
            path = tmp_path / str(k) / out
            work = checked_work(
                open_dataset(data, columns), model, given["options"], [1.0, 1, 1], path
            )
            job = due_job(work, None, None, lambda: 1)
            pilot = run_pilot(work.task, job, job.plan.partitions, work.dataset.files)
            fit_dataset(work.dataset, model, path, cluster=own, **given)
            expected.append(n_curves / pilot.fits_per_s)
            taken.append(sum(record.seconds for record in job.committed(work.sink)))
    ratio = min(expected) / min(taken)  # what else the machine does only ever adds
    print(f"{layout} -> {out}, {engine}: expected / taken {ratio:.2f}")
    assert 0.5 < ratio < 2.0


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers as they are elsewhere: forks have a part of their memory in common."""
    monkeypatch.setattr("manyfit.pipeline.forkserver.start", lambda: False)


@pytest.mark.slow
@pytest.mark.usefixtures("spawned")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("layout", "out", "n_points"),
    [
        *((layout, "out", 50) for layout in LAYOUTS),
        *((layout, "out.zarr", 50) for layout in ("chunks", "shards", "cut")),
        ("list", "out", 10),
        ("list", "out", 500),
    ],
)
def test_the_projected_peak_is_that_of_a_worker(
    layout: str, out: str, n_points: int, model: Callable[..., Any], tmp_path: Path
) -> None:
    data, columns = stored(layout, tmp_path, min(200_000, 8_000_000 // n_points), n_points)
    job, pilot = piloted(data, model, tmp_path / out, columns)
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as own:  # type: ignore[no-untyped-call]
        fit_dataset(data, model, tmp_path / out, columns=columns, p0=[1, 1, 1], cluster=own)
        peak = max(own.run(peak_bytes).values())
    share = peak / pilot.peak_bytes
    print(
        f"{layout} -> {out}, {n_points} points, {len(job.plan.partitions)} partitions: projected "
        f"{pilot.peak_bytes / 1e6:.0f} MB, seen {peak / 1e6:.0f} MB, {share:.2f}"
    )
    assert 0.6 < share < 1.2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_projected_peak_is_that_of_a_worker_with_two_tasks_from_store_to_store(
    model: Callable[..., Any], tmp_path: Path, folder: ObjectPath
) -> None:
    data, columns = stored("list", tmp_path, 800_000, 50)
    (folder / "in.parquet").upload(data)
    url = str(folder / "in.parquet")
    work = checked_work(
        open_dataset(url, columns), model, FitOptions(), [1.0, 1, 1], folder / "out"
    )
    job = due_job(work, None, None, lambda: 1)
    pilot = run_pilot(work.task, job, job.plan.partitions, work.dataset.files)
    with (
        local_cluster(1, threads=work.threads) as cluster,
        Client(cluster, set_as_default=False) as own,  # type: ignore[no-untyped-call]
    ):
        fit_dataset(url, model, folder / "out", columns=columns, p0=[1, 1, 1], cluster=own)
        peak = max(own.run(peak_bytes).values())
    share = peak / pilot.worker_bytes(work.threads)
    print(f"{pilot.worker_bytes(work.threads) / 1e6:.0f} MB, seen {peak / 1e6:.0f} MB, {share:.2f}")
    assert 0.3 < share < 1.2  # code that is loaded and compiled once counts twice
