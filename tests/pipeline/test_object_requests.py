"""What runs ask of a store: no more than they need, and much of it at a time."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from distributed import Client

from manyfit.pipeline.arrays.store import as_store
from manyfit.pipeline.cluster import connected, threads_of, worker_limits
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.places import place_of
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.pipeline.sink import Sink
from manyfit.pipeline.verify import verify_result
from manyfit.solver.options import FitOptions
from tests.object_stores import free_port, proxy
from tests.pipeline.buckets import START, upload


def test_planning_asks_for_many_footers_at_a_time(
    layouts: Any, values: Any, s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layouts.write("list", values[:50], rows=10)
    for k in range(100):
        (folder / "in" / f"{k:03d}.parquet").upload(path)
    port = free_port()
    with proxy(port, s3, share=1.0, harms=("slow",)) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        begun = time.monotonic()
        dataset = open_dataset(f"{folder}/in")
        took_s = time.monotonic() - begun
    assert dataset.n_curves == 5_000
    assert between.seen["GET"] <= 100 + 5
    assert between.seen["HEAD"] <= 5
    assert between.at_once > 15
    assert took_s < 0.3 * 0.5 * between.seen["slow"]  # each takes half a second


def test_chunks_are_listed_and_not_looked_at_one_by_one(
    values: Any, s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = zarr.open_group(as_store(folder / "image", read_only=False), mode="w")
    y: Any = root.create_array("y", shape=(600, 16), chunks=(10, 16), dtype="f8")
    y[:300] = values[:300]  # the others have no object
    port = free_port()
    with proxy(port, s3) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        dataset = open_dataset(f"{folder}/image")
    assert dataset.n_curves == 600
    assert sum(between.seen.values()) < 25


def test_of_an_object_only_what_is_needed_is_read(
    layouts: Any,
    values: Any,
    model: Any,
    s3: int,
    folder: ObjectPath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = layouts.table("list", values)
    ballast = np.random.default_rng(0).bytes(600 * 10_000)
    lines = [ballast[10_000 * k : 10_000 * k + 10_000] for k in range(600)]
    path = layouts.folder / "in.parquet"
    path.parent.mkdir()
    pq.write_table(table.append_column("image", [lines]), path, row_group_size=100)
    there = folder / "in.parquet"
    there.upload(path)
    dataset = open_dataset(str(there), Columns(where="curve_id < 300"))
    port = free_port()
    with proxy(port, s3) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with Client(processes=False, n_workers=1, dashboard_address=None) as threads:  # type: ignore[no-untyped-call]
            assert (
                fit_dataset(dataset, model, folder / "out", p0=START, cluster=threads).fitted == 100
            )
    assert path.stat().st_size > 6_000_000
    assert between.bytes_read < 1_000_000


def test_a_part_is_not_fetched_to_be_recorded(
    layouts: Any, values: Any, model: Any, troubled: Any, folder: ObjectPath
) -> None:
    path = layouts.write("list", values)
    between = troubled(share=0.0)
    with Client(processes=False, n_workers=1, dashboard_address=None) as threads:  # type: ignore[no-untyped-call]
        fit_dataset(path, model, folder / "out", p0=START, cluster=threads)
    assert between.bytes_read < Sink(folder / "out").part_bytes(0)
    assert not verify_result(folder / "out", path).problems


def test_where_tasks_wait_for_a_store_a_worker_has_two(
    layouts: Any, values: Any, model: Any, bits: Any, folder: ObjectPath, tmp_path: Path
) -> None:
    path = layouts.write("list", values, rows=100, name="in/a.parquet")
    url = upload(layouts.folder / "in", folder / "in")

    def threads(data: Any, out: Any) -> int:
        return checked_work(open_dataset(data), model, FitOptions(), START, place_of(out)).threads

    assert threads(path, tmp_path / "out") == 1
    assert threads(url, tmp_path / "out") == threads(path, folder / "out") == 2
    with connected(None, 1, 0, threads=2) as client:
        assert list(client.nthreads().values()) == [2]
        assert threads_of(client) == 2
    assert [n for _, n in worker_limits(None, 3, threads=2)] == [2, 2, 2]
    given: dict[str, Any] = {"p0": START, "n_workers": 1, "partition_bytes": 15_000}
    assert fit_dataset(url, model, folder / "out", **given).fitted == 600
    fit_dataset(path, model, tmp_path / "out", **given)
    assert bits(read_result(folder / "out")) == bits(read_result(tmp_path / "out"))
