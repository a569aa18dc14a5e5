"""A worker holds a partition of a column of chunks at a time, whatever that has."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client

from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.options import FitOptions

N_POINTS = 100
PARTITION_BYTES = 64_000_000
HELD_MB = 32 + 32
"""A partition of float32, and a slab while it is read."""
LIMIT_MB = 400
"""What a worker may take besides the arrays, as with any data (see test_memory)."""


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_chunks_that_cut_the_fit_axis_are_joined_in_bounded_memory(
    model: Any, tmp_path: Path
) -> None:
    peaks = {}
    for rows in (600, 1800):  # at least one worker has several partitions, one after the other
        path = tmp_path / f"{rows}.zarr"
        root = zarr.open_group(path, mode="w")
        dims: dict[str, Any] = {"dimension_names": ("time", "row", "col")}
        y = root.create_array(
            "y", shape=(N_POINTS, rows, 400), chunks=(1, rows, 400), dtype="f4", **dims
        )
        noise = np.random.default_rng(0).normal(1.0, 0.1, (rows, 400))
        for k in range(N_POINTS):
            y[k] = noise * (1 + k)
        columns = Columns(x=np.arange(100.0), axis="time")
        dataset = open_dataset(path, columns)
        plan = plan_dataset(dataset, partition_bytes=PARTITION_BYTES)
        assert len(plan.partitions) == rows // 200
        with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            fit_dataset(
                dataset,
                model,
                tmp_path / f"out {rows}.zarr",
                p0=[1.0, 1.0, 1.0],
                options=FitOptions(maxfev=2),
                cluster=client,
                partition_bytes=PARTITION_BYTES,
            )
            peaks[rows] = max(client.run(peak_mb).values())
        print(f"{rows} rows: {peaks[rows]:.0f} MB")
        assert peaks[rows] < HELD_MB + LIMIT_MB
    assert peaks[1800] < 1.25 * peaks[600]
