"""What a partition takes is told from a few of its curves."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.curves import Curves
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.due import due_job
from manyfit.pipeline.run import checked_work
from manyfit.pipeline.table import fit_rows
from manyfit.pipeline.task import Assignment, Task, read_curves
from manyfit.pipeline.timing import FEWEST, time_partition
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions


def planned(
    path: Path,
    out: Path,
    model: Any,
    partition_bytes: int | None = None,
    engine: Any = "auto",
    **columns: Any,
) -> tuple[Task, list[Assignment]]:
    dataset, options = open_dataset(path, Columns(**columns)), FitOptions(engine=engine)
    work = checked_work(dataset, model, options, [1.0, 1, 1], out)
    job = due_job(work, None, partition_bytes, lambda: 1)
    given = [
        Assignment(partition=p, fingerprint="", files=dict(enumerate(work.dataset.files)))
        for p in job.plan.partitions
    ]
    return work.task, given


def ragged_table(y: Any) -> pa.Table:
    """Return curves of 4 to 16 points, with sigma, start values and a column to keep."""
    lengths = np.arange(len(y)) % 13 + 4
    lists = [row[:n] for row, n in zip(y, lengths, strict=True)]
    x = [np.linspace(0.0, 4.0, 16)[:n] for n in lengths]
    sigma = [np.linspace(1.0, 2.0, n) for n in lengths]
    starts = {f"p0_{name}": np.linspace(0.9, 1.1, len(y)) for name in "abc"}
    return pa.table({"y": lists, "x": x, "s": sigma, "plate": np.arange(len(y)) // 7, **starts})


def batches_of(kind: str, layouts: Any, y: Any, folder: Path) -> tuple[Task, Curves]:
    """Return a task and its first batch."""
    model = Model.from_expression("a*exp(-b*x) + c", params=list("abc"))
    more: dict[str, Any] = {}
    if kind == "ragged":
        path = folder / "ragged.parquet"
        pq.write_table(ragged_table(y), path)
        more = {"sigma": "s", "keep": ["plate"]}
    elif kind == "zarr":
        path = folder / "in.zarr"
        root = zarr.open_group(path, mode="w")
        root.create_array("y", data=y.reshape(20, -1, 16), dimension_names=("row", "col", "t"))
        more = {"x": "t", "axis": "t"}
        root.create_array("t", data=np.linspace(0.0, 4.0, 16), dimension_names=("t",))
    else:
        path = layouts.write(kind, y)
        more = {"y": "y_*", "x": np.linspace(0.0, 4.0, 16)} if kind == "wide" else {}
    task, given = planned(path, folder / "out", model, **more)
    return task, next(iter(read_curves(given[0].files, given[0].partition, task.binding)))


@pytest.mark.parametrize("kind", ["list", "long", "wide", "ragged", "zarr"])
def test_the_first_curves_give_the_first_rows(
    kind: str, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    task, curves = batches_of(kind, layouts, values, tmp_path)
    whole = fit_rows(curves, task.model, task.options, task.schema)
    assert whole.num_rows > 100
    for count in (1, 17, whole.num_rows, whole.num_rows + 5):
        some = fit_rows(curves.first(count), task.model, task.options, task.schema)
        wanted = pa.Table.from_batches([whole.slice(0, count)])
        assert bits(pa.Table.from_batches([some])) == bits(wanted)


def test_curves_that_cannot_be_fitted_stay_so_among_the_first(tmp_path: Path) -> None:
    lists = [[1.0, 2.0, 3.0], [1.0, 2.0], [4.0, 2.0, 1.0]]
    x = [[0.0, 1.0, 2.0]] * 3
    pq.write_table(pa.table({"y": lists, "x": x}), tmp_path / "in.parquet")
    model = Model.from_expression("a + b*x + c*x**2", params=list("abc"))
    task, given = planned(tmp_path / "in.parquet", tmp_path / "out", model)
    curves = next(iter(read_curves(given[0].files, given[0].partition, task.binding)))
    uneven = curves.first(2).uneven
    assert uneven is not None
    assert uneven.tolist() == [False, True]


@pytest.mark.parametrize("slow", ["calls", "curves"])
def test_a_slow_model_is_known_by_a_few_curves(
    slow: str, layouts: Any, values: Any, tmp_path: Path
) -> None:
    def asleep(x: Any, a: Any, b: Any, c: Any) -> Any:
        sleep(0.001 if slow == "calls" else 0.0002 * np.size(a))
        return np.interp(x, [0.0, 4.0], [1.0, 0.0]) * a + b * x**2 + c

    path = layouts.write("list", values)
    task, given = planned(path, tmp_path / "out", asleep, engine="reference")
    curves = next(iter(read_curves(given[0].files, given[0].partition, task.binding)))
    begun = perf_counter()
    fit_rows(curves, task.model, task.options, task.schema)
    taken = perf_counter() - begun
    found = time_partition(task, given[0])
    assert found.fit_s == pytest.approx(taken, rel=0.5)
    # On a busy machine the second size may take less than twice as long as the first.
    few = {4 * FEWEST, 16 * FEWEST}
    assert found.n_fits in ({600} if slow == "calls" else few)
    assert found.seconds == found.read_s + found.fit_s + found.write_s
    assert found.fits_per_s == 600 / found.seconds


def test_reading_is_that_of_all_batches(
    layouts: Any, values_of: Callable[..., Any], model: Callable[..., Any], tmp_path: Path
) -> None:
    path = layouts.write("list", values_of(300_000), rows=100_000)
    task, given = planned(path, tmp_path / "out", model, partition_bytes=1 << 30)
    ratios = []
    for _ in range(5):
        begun = perf_counter()
        n_batches = sum(1 for _ in read_curves(given[0].files, given[0].partition, task.binding))
        taken = perf_counter() - begun
        ratios.append(time_partition(task, given[0]).read_s / taken)
    assert n_batches > 4
    assert 0.5 < np.median(ratios) < 2.0
