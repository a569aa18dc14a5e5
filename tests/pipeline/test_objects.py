"""Runs whose input and output are objects: the same results, exactly once, whatever happens."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import zarr
from distributed import Client

import manyfit
from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.arrays.store import as_store
from manyfit.pipeline.cluster import local_cluster
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.objects.path import ObjectPath
from manyfit.pipeline.results import open_sink, read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.verify import verify_result
from manyfit.solver.options import FitOptions
from manyfit.workflows.show.report import show_result
from tests.pipeline.buckets import NOWHERE, START, on_every_store, upload


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
