"""Runs whose input and output are objects: the same results, exactly once, whatever happens."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import zarr
from distributed import Client

import manyfit
from manyfit.pipeline import owner as owners
from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.arrays.store import as_store
from manyfit.pipeline.cluster import connected, local_cluster, threads_of, worker_limits
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import JobMismatchError, SinkLockedError, StoreError
from manyfit.pipeline.ledger import Record
from manyfit.pipeline.lock import lock_owner, locked, unlock
from manyfit.pipeline.objects.lease import Lease
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.places import place_of
from manyfit.pipeline.results import open_sink, read_result
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.pipeline.sink import Sink
from manyfit.pipeline.verify import verify_result
from manyfit.solver.options import FitOptions
from manyfit.workflows.show.report import show_result
from tests.object_stores import free_port, proxy

on_every_store = pytest.mark.parametrize("folder", ["s3", "gs", "az"], indirect=True)

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NOWHERE = "tcp://127.0.0.1:9"
"""No scheduler is there: a run that needs workers fails."""


def upload(folder: Path, to: ObjectPath) -> str:
    """Copy a folder to a bucket, and return its URL."""
    for path in folder.rglob("*"):
        if path.is_file():
            (to / path.relative_to(folder).as_posix()).upload(path)
    return str(to)


@pytest.fixture
def six(layouts: Any, values: Any, model: Any, folder: ObjectPath) -> Callable[..., Any]:
    """Return a call that runs one job of six partitions, from a bucket to a bucket."""
    for k in range(3):
        layouts.write("list", values[200 * k : 200 * k + 200], rows=100, name=f"in/{k}.parquet")
    url = upload(layouts.folder / "in", folder / "in")

    def run(cluster: Any, out: Any = folder / "out", **changes: Any) -> Any:
        given = {"p0": START, "partition_bytes": 15_000, **changes}
        return fit_dataset(url, model, out, cluster=cluster, **given)

    return run


@pytest.mark.parametrize(
    ("kind", "folder"),
    [("list", "s3"), ("long", "s3"), ("wide", "s3"), ("long", "gs"), ("long", "az")],
    indirect=["folder"],
)
def test_a_bucket_gives_the_bits_that_a_disk_gives(
    kind: str, layouts: Any, values: Any, model: Any, bits: Any, client: Any, folder: ObjectPath
) -> None:
    for k, plate in enumerate(("plate=A1", "plate=B 2")):
        part = values[300 * k : 300 * k + 300]
        table = layouts.table(kind, part)
        ids = np.asarray(table["curve_id"]) + 900 * k
        table = table.set_column(0, "curve_id", [ids])
        path = layouts.folder / "in" / plate / "some curves.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table, path, row_group_size=130 if kind != "long" else 1_000)
    columns = layouts.columns(kind)
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 13_000}
    url = upload(layouts.folder / "in", folder / "in")
    for where in (None, "plate == 'B 2' and curve_id < 1500"):
        given["columns"] = Columns(y=columns.y, x=columns.x, where=where, keep=["plate"])
        name = "all" if where is None else "some"
        here = fit_dataset(layouts.folder / "in", model, layouts.folder / f"{name} out", **given)
        there = fit_dataset(url, model, f"{folder}/{name} out", **given)
        assert (there.fitted, there.counts) == (here.fitted, here.counts)
        assert here.fitted == (600 if where is None else 200)
        local = read_result(layouts.folder / f"{name} out")
        assert bits(read_result(f"{folder}/{name} out")) == bits(local)
        found = verify_result(f"{folder}/{name} out", url)
        assert "as the ledger says" in str(found)
        assert not found.missing


@pytest.mark.parametrize("folder", ["s3", "az"], indirect=True)
def test_an_image_in_a_bucket_gives_the_bits_of_one_on_a_disk(
    values: Any,
    model: Any,
    bits: Any,
    client: Any,
    folder: ObjectPath,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grids, "TILE_CURVES", 1)
    root = zarr.open_group(tmp_path / "image.zarr", mode="w")
    names = ("row", "col", "time")
    cube = values.reshape(20, 30, 16)
    root.create_array("y", data=cube, chunks=(10, 10, 16), dimension_names=names)
    root.create_array("x", data=np.linspace(0.0, 4.0, 16), dimension_names=("time",))
    url = upload(tmp_path / "image.zarr", folder / "image")
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 12_800}
    fit_dataset(tmp_path / "image.zarr", model, tmp_path / "out", **given)
    for out in ("table", "maps.zarr"):
        summary = fit_dataset(url, model, f"{folder}/{out}", **given)
        assert (summary.partitions, summary.fitted) == (6, 600)
        found = read_result(f"{folder}/{out}").sort_by("curve_id")
        assert bits(found) == bits(read_result(tmp_path / "out").sort_by("curve_id"))
        assert fit_dataset(url, model, f"{folder}/{out}", **given | {"cluster": NOWHERE}).skipped
    array: Any = zarr.open_array(as_store(folder / "image", read_only=False), path="y", mode="r+")
    array[:10, :10] += 1.0
    with pytest.raises(JobMismatchError, match=r"y \[row 0:10, col 0:10\]"):
        fit_dataset(url, model, f"{folder}/table", **given)
    again = fit_dataset(url, model, f"{folder}/table", on_changed="refit", **given)
    assert (again.skipped, again.fitted) == (5, 100)


@on_every_store
def test_an_array_by_itself_is_read_from_a_bucket(
    values: Any, model: Any, client: Any, folder: ObjectPath
) -> None:
    zarr.create_array(as_store(folder / "group.zarr", read_only=False), name="y", data=values)
    x = Columns(x=np.linspace(0.0, 4.0, 16))
    url = f"{folder}/group.zarr/y"
    summary = fit_dataset(url, model, folder / "out", p0=START, cluster=client, columns=x)
    assert summary.fitted == 600


@on_every_store
def test_input_that_is_added_or_changes_is_noticed(
    six: Any, layouts: Any, values: Any, client: Any, folder: ObjectPath
) -> None:
    assert six(client).fitted == 600
    table = layouts.table("list", np.concatenate([values, values[:50]])).slice(600)
    path = layouts.folder / "new.parquet"
    pq.write_table(table, path)
    (folder / "in" / "3.parquet").upload(path)
    added = six(client)
    assert (added.skipped, added.fitted) == (6, 50)
    layouts.write("list", values[300:500] + 1.0, rows=100, name="other.parquet")
    (folder / "in" / "1.parquet").upload(layouts.folder / "other.parquet")
    with pytest.raises(JobMismatchError, match=r"1 input file\(s\) changed: 1.parquet"):
        six(client)
    (folder / "in" / "2.parquet").unlink()
    with pytest.raises(JobMismatchError, match=r"gone: 2.parquet"):
        six(client)


@on_every_store
@pytest.mark.usefixtures("six")
def test_an_object_that_changes_under_way_is_refused_by_its_tasks(
    layouts: Any, values: Any, model: Any, client: Any, folder: ObjectPath
) -> None:
    dataset = open_dataset(f"{folder}/in")
    layouts.write("list", values[300:500] + 1.0, rows=100, name="other.parquet")
    (folder / "in" / "1.parquet").upload(layouts.folder / "other.parquet")
    summary = fit_dataset(
        dataset, model, folder / "out", p0=START, cluster=client, partition_bytes=15_000
    )
    assert sorted(summary.failed) == [2, 3]
    assert "1.parquet has changed since the data set was opened" in summary.failed[2]


@on_every_store
def test_without_statistics_the_version_of_an_object_counts(
    layouts: Any, values: Any, model: Any, client: Any, folder: ObjectPath
) -> None:
    layouts.folder.mkdir()
    path, there = layouts.folder / "in.parquet", folder / "in" / "in.parquet"
    table = layouts.table("list", values[:9])
    pq.write_table(table, path, write_statistics=False, use_dictionary=False, compression="none")
    there.upload(path)
    fit_dataset(str(there), model, folder / "out", p0=START, cluster=client)
    assert fit_dataset(str(there), model, folder / "out", p0=START, cluster=NOWHERE).skipped == 1
    content = bytearray(path.read_bytes())
    at = content.index(values[3].tobytes())
    content[at : at + 8] = np.float64(9.0).tobytes()
    there.write_bytes(content)
    with pytest.raises(JobMismatchError, match=r"1 input file\(s\) changed: in.parquet"):
        fit_dataset(str(there), model, folder / "out", p0=START, cluster=client)


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


@on_every_store
def test_a_second_run_is_kept_out(six: Any, client: Any, folder: ObjectPath) -> None:
    sink = Sink(folder / "out")
    message = rf"another run writes to {folder}/out \(process {os.getpid()} on .*manyfit unlock"
    with locked(sink):
        with pytest.raises(SinkLockedError, match=message):
            six(client)
        with pytest.raises(SinkLockedError, match=rf"is alive \(process {os.getpid()} on"):
            unlock(sink)
    assert lock_owner(sink) is None
    assert six(client).fitted == 600
    assert unlock(sink) == f"{folder}/out is not locked"
    with pytest.raises(FileNotFoundError, match="holds no results of manyfit"):
        unlock(Sink(folder / "elsewhere"))


def write_lock(sink: Sink, **changes: Any) -> None:
    """Leave what another run leaves."""
    assert isinstance(sink.ledger, ObjectPath)
    lease = Lease(sink.ledger)
    said = {**json.loads(lease._content()), "since": time.time() - 7200, **changes}
    (sink.ledger / "lock").write_bytes(json.dumps(said).encode())


def test_a_lock_is_believed_as_long_as_its_run_may_live(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink(folder / "out")
    (sink.ledger / "job.json").write_text("{}")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for told in ({"host": "elsewhere"}, {"processes": "pid:[1]", "pid": ended.pid}):
        write_lock(sink, **told)
        with pytest.raises(SinkLockedError, match=r"another run writes.*2 h 00 min ago"):
            locked(sink).__enter__()
        assert ", 2 h 00 min ago" in unlock(sink, force=True)
    write_lock(sink, host="elsewhere")
    time.sleep(2.1)  # the store's clock ticks in seconds
    monkeypatch.setattr("manyfit.pipeline.objects.lease.LEASE_S", 1.0)
    monkeypatch.setattr(owners, "LEASE_S", 1.0)
    with locked(sink):
        assert lock_owner(sink) is not None
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    write_lock(sink, pid=ended.pid)
    with locked(sink):
        pass
    write_lock(sink, pid=ended.pid)
    assert f"is unlocked; it was locked by process {ended.pid} on" in unlock(sink)


def test_a_run_gives_signs_of_life(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "HEARTBEAT_S", 0.05)
    with locked(Sink(folder)):
        for _ in range(200):
            if json.loads((folder / "_manyfit" / "lock").read_bytes())["beats"] > 2:
                break
            time.sleep(0.05)
        else:
            pytest.fail("no sign of life")
    assert not (folder / "_manyfit" / "lock").exists()


def test_output_to_a_store_without_conditions_is_refused_before_work(
    six: Any, s3: int, folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with proxy(port, s3, drop_headers=("If-None-Match",)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=r"results cannot go to s3://"):
            six(NOWHERE)
        assert list((folder / "out").below()) == []


def record(**changes: Any) -> Record:
    given = {"fingerprint": "f", "index": 0, "curves": 5, "counts": {1: 5}, "n_bytes": 4}
    return Record(**{**given, "part_digest": "d", "seconds": 1.0, **changes})


@on_every_store
def test_the_first_record_of_a_part_stays(folder: ObjectPath) -> None:
    sink = Sink(folder)
    sink.part(0).write_bytes(b"part")
    first, late = record(), record(seconds=9.0)
    assert first.write(sink) == first
    assert late.write(sink) == first
    assert Record.read(sink, 0) == first
    failed = record(error="OSError: late", counts={}, n_bytes=0, part_digest="")
    assert failed.write(sink) == first
    assert Record.read(sink, 0) == first


@on_every_store
def test_a_record_that_will_not_do_is_replaced(folder: ObjectPath) -> None:
    sink = Sink(folder)
    sink.part(0).write_bytes(b"part")
    for other in (record(error="OSError", n_bytes=0), record(fingerprint="g"), record(n_bytes=3)):
        sink.record(0).unlink(missing_ok=True)
        assert other.write(sink) == other
        assert record().write(sink) == record()
        assert Record.read(sink, 0) == record()
    sink.record(0).write_bytes(b'{"torn": ')
    assert record().write(sink) == record()
    assert Record.read(sink, 0) == record()


SCRIPT = """
    import os, sys, time
    import numpy as np
    from manyfit import FitOptions, fit_dataset

    def slow_decay(x, a, b, c):
        time.sleep(float(os.environ.get("DELAY", 0)))
        return a * np.exp(-b * x) + c

    if __name__ == "__main__":
        summary = fit_dataset(
            sys.argv[1], slow_decay, sys.argv[2], p0=[1, 1, 1], n_workers=2,
            partition_bytes=15_000, progress=lambda p: print(p.partitions_done, flush=True),
            options=FitOptions(engine="reference"),
        )
        print(summary.fitted)
"""


def start(script: Path, url: str, out: str, delay: str = "0") -> "subprocess.Popen[str]":
    script.write_text(textwrap.dedent(SCRIPT))
    root = str(Path(str(manyfit.__file__)).parents[1])
    return subprocess.Popen(
        [sys.executable, str(script), url, out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root, "DELAY": delay},
        start_new_session=True,
    )


def test_a_run_that_is_killed_goes_on(
    six: Any, client: Any, bits: Any, folder: ObjectPath, tmp_path: Path
) -> None:
    url, out = f"{folder}/in", f"{folder}/killed"
    process = start(tmp_path / "script.py", url, out, "0.02")
    assert process.stdout is not None
    while process.stdout.readline().strip() != "2":
        assert process.poll() is None, process.communicate()
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    assert not psutil.wait_procs(children, timeout=60)[1]
    sink = open_sink(out)
    done = [k for k in range(6) if sink.record(k).exists()]
    assert 2 <= len(done) < 6
    assert f"{100 * len(done)} curves fitted" in show_result(out)
    again = start(tmp_path / "script.py", url, out)
    told, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert told.split()[-1] == str(600 - 100 * len(done))
    six(client, options=FitOptions(engine="reference"))
    assert bits(read_result(out)) == bits(read_result(folder / "out"))


@pytest.fixture
def troubled(s3: int) -> Iterator[Callable[..., Any]]:
    """Return a call that puts a troublesome proxy before the store, for new workers too."""
    with pytest.MonkeyPatch.context() as patch:
        opened = []

        def trouble(**settings: Any) -> Any:
            port = free_port()
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            opened.append(proxy(port, s3, **settings))
            return opened[-1].__enter__()

        yield trouble
        for between in opened:
            between.__exit__(None, None, None)


@pytest.mark.parametrize("seed", range(3))
def test_trouble_on_the_way_changes_nothing(
    seed: int, six: Any, client: Any, bits: Any, troubled: Any, folder: ObjectPath
) -> None:
    six(client, out=folder / "undisturbed")
    between = troubled(seed=seed, share=0.3)
    with local_cluster(2) as cluster, Client(cluster, set_as_default=False) as own:  # type: ignore[no-untyped-call]
        for _ in range(4):
            summary = six(own)
            if not summary.failed:
                break
    assert not summary.failed
    assert sum(between.seen[harm] for harm in ("500", "503", "reset", "lost")) > 5
    assert bits(read_result(folder / "out")) == bits(read_result(folder / "undisturbed"))
    found = verify_result(folder / "out", f"{folder}/in")
    assert (found.problems, found.missing, found.curves) == ((), (), 600)
