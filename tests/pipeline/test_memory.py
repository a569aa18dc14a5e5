"""The memory of a worker does not grow with the data."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.options import FitOptions

N_POINTS = 50
LIMIT_MB = 400


def peak_mb() -> float:
    """Return the peak of this process alone: getrusage would count what its parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def write(path: Path, kind: str, n_curves: int) -> None:
    """Write one file with a single row group, the worst case."""
    y = np.random.default_rng(0).normal(1.0, 0.1, n_curves * N_POINTS)
    if kind == "list":
        offsets = np.arange(0, y.size + 1, N_POINTS, dtype=np.int32)
        table = pa.table({"y": pa.ListArray.from_arrays(offsets, pa.array(y))})
    else:
        ids = np.repeat(np.arange(n_curves), N_POINTS)
        table = pa.table({"curve_id": ids, "x": np.tile(np.arange(50.0), n_curves), "y": y})
    pq.write_table(table, path, row_group_size=y.size)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["list", "long"])
def test_memory_is_flat(kind: str, model: Callable[..., Any], tmp_path: Path) -> None:
    peaks: dict[int, float] = {}
    for n_curves in (40_000, 160_000):
        path = tmp_path / f"{n_curves}.parquet"
        write(path, kind, n_curves)
        x: Any = np.arange(50.0) if kind == "list" else "x"
        with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            fit_dataset(
                path,
                model,
                tmp_path / f"out {n_curves}",
                columns=Columns(x=x),
                p0=[1.0, 1.0, 1.0],
                options=FitOptions(maxfev=6),
                partition_bytes=8_000_000,
                cluster=client,
            )
            peaks[n_curves] = max(client.run(peak_mb).values())
    print(f"peak memory of a worker, {kind}: {peaks}")
    few, many = peaks.values()
    assert many < 1.25 * few
    assert many < LIMIT_MB
