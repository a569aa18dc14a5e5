"""A job goes on where it was left, does nothing twice, and does not mix with another."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import JobMismatchError, SinkLockedError
from manyfit.pipeline.lock import locked
from manyfit.pipeline.results import read_result, result_metadata
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.sink import Sink
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from tests.pipeline.killable import run, start_run, wait_for

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NOWHERE = "tcp://127.0.0.1:9"
"""No scheduler is there: a run that needs workers fails."""


@pytest.fixture
def job(layouts: Any, values: Any, model: Any) -> Callable[..., Any]:
    """Return a call that runs one job of six partitions."""
    path = layouts.write("list", values, rows=100)

    def run(out: Path, cluster: Any, **changes: Any) -> Any:
        given: dict[str, Any] = {"p0": START, "partition_bytes": 15_000, "model": model}
        given.update(changes)
        return fit_dataset(path, given.pop("model"), out, cluster=cluster, **given)

    return run


def times(out: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in out.glob("part-*.parquet")}


def test_a_finished_run_does_nothing(job: Any, client: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = job(out, client)
    before, bits = times(out), read_result(out)
    told: list[Any] = []
    again = job(out, NOWHERE, progress=told.append)
    assert (first.partitions, first.skipped, first.fitted) == (6, 0, 600)
    assert (again.partitions, again.skipped, again.fitted) == (6, 6, 0)
    assert again.counts == first.counts
    assert times(out) == before
    assert read_result(out).equals(bits)
    assert [p.curves_done for p in told] == [600]
    assert "600 of 600 curves, 6 of 6 partitions" in str(told[0])
    assert "0 fitted" in str(again)
    assert "6 committed before" in str(again)


def spoil_record(sink: Sink) -> None:
    text = sink.record(2).read_text()
    sink.record(2).write_text(text[: len(text) // 2])


def spoil_record_content(sink: Sink) -> None:
    sink.record(2).write_text('{"job": 1, "counts": [1]}')


def lose_record(sink: Sink) -> None:
    sink.record(2).unlink()


def lose_part(sink: Sink) -> None:
    sink.part(2).unlink()


def tear_part(sink: Sink) -> None:
    sink.part(2).write_bytes(sink.part(2).read_bytes()[:-100])


@pytest.mark.parametrize(
    "harm", [spoil_record, spoil_record_content, lose_record, lose_part, tear_part]
)
def test_only_what_is_missing_is_fitted(
    harm: Callable[[Sink], None], job: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job(out, client)
    before, whole = times(out), read_result(out)
    harm(Sink(out))
    again = job(out, client)
    after = times(out)
    assert (again.skipped, again.fitted) == (5, 100)
    assert {name for name in before if before[name] != after[name]} == {"part-00002.parquet"}
    assert bits(read_result(out)) == bits(whole)


def test_what_is_committed_can_be_read_before_the_end(
    job: Any, client: Any, tmp_path: Path
) -> None:
    job(tmp_path / "out", client)
    Sink(tmp_path / "out").record(0).unlink()
    assert read_result(tmp_path / "out").num_rows == 500


def test_a_job_keeps_its_partitions(job: Any, client: Any, tmp_path: Path) -> None:
    job(tmp_path / "out", client)
    Sink(tmp_path / "out").record(1).unlink()
    again = job(tmp_path / "out", client, partition_bytes=1_000_000)
    assert (again.partitions, again.skipped) == (6, 5)


def test_half_written_files_of_dead_runs_are_removed(job: Any, client: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "_manyfit").mkdir(parents=True)
    left = [out / ".part-00000.parquet.abc.tmp", out / "_manyfit" / ".00000.json.abc.tmp"]
    for path in left:
        path.write_text("half")
    job(out, client)
    assert not any(path.exists() for path in left)
    assert sorted(p.name for p in out.iterdir()) == ["_manyfit", *sorted(times(out))]


def other(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) - c


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": other}, r"model name: 'decay' there, 'other' here; .* - c' here; model func"),
        ({"options": FitOptions(ftol=1e-6)}, r"options ftol: 1.49012e-08 there, 1e-06 here"),
        (
            {"options": FitOptions(bounds={"b": (0, 9)})},
            r"model bounds: .*options bounds: None there",
        ),
        ({"p0": [1, 1, 2]}, r"columns p0: .*Choose another output directory, or remove"),
        ({"columns": Columns(sigma="y")}, r"columns layout: "),
    ],
    ids=["model", "options", "bounds", "p0", "columns"],
)
def test_the_results_of_another_job_are_not_mixed(
    changes: dict[str, Any], message: str, job: Any, client: Any, tmp_path: Path
) -> None:
    job(tmp_path / "out", client)
    with pytest.raises(JobMismatchError, match=message):
        job(tmp_path / "out", client, **changes)


def test_a_model_is_known_by_what_it_does_not_by_where_it_stands(
    job: Any, client: Any, tmp_path: Path
) -> None:
    def made(text: str) -> Any:
        space: dict[str, Any] = {"np": np}
        exec(compile(text, "<console>", "exec"), space)
        return space["decay"]

    code = "def decay(x, a, b, c):\n    return a * np.exp(-b * x) + {} * c"
    job(tmp_path / "out", client, model=made(code.format(1)))
    job(tmp_path / "out", NOWHERE, model=made("\n\n\n" + code.format(1)))
    with pytest.raises(JobMismatchError, match=r"model expression: .* \+ 2\*c' here; model func"):
        job(tmp_path / "out", client, model=made(code.format(2)))


def test_a_model_is_known_by_the_values_it_refers_to(job: Any, client: Any, tmp_path: Path) -> None:
    def scaled(scale: Any) -> Model:
        def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
            return a * np.exp(-b * x) + c * scale[0]

        return Model.from_function(decay)

    job(tmp_path / "out", client, model=scaled(np.array([1.0])))
    assert job(tmp_path / "out", NOWHERE, model=scaled(np.array([1.0]))).skipped == 6
    with pytest.raises(JobMismatchError, match=r"\+ c' there, .* \+ c\*1.5' here; model func"):
        job(tmp_path / "out", client, model=scaled(np.array([1.5])))


def test_a_changed_input_is_another_job(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    layouts.write("list", values[:50], name="in/a.parquet")
    layouts.write("list", values[50:90], name="in/b.parquet")
    folder = layouts.folder / "in"
    fit_dataset(folder, model, out, p0=START, cluster=client)
    os.utime(folder / "a.parquet", (1, 1))
    assert fit_dataset(folder, model, out, p0=START, cluster=NOWHERE).fitted == 0
    layouts.write("list", values[100:150], name="in/a.parquet")
    layouts.write("list", values[150:160], name="in/c.parquet")
    (folder / "b.parquet").unlink()
    with pytest.raises(JobMismatchError) as caught:
        fit_dataset(folder, model, out, p0=START, cluster=client)
    for part in ("1 input file(s) new: c.parquet", "gone: b.parquet", "changed: a.parquet"):
        assert part in str(caught.value)


def test_files_that_are_added_are_fitted_and_the_others_left(
    layouts: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out", layouts.folder / "in"
    layouts.write("list", values[:50], rows=20, name="in/b.parquet")
    settings: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 2_600}
    first = fit_dataset(folder, model, out, **settings)
    before = times(out)
    new = layouts.table("list", values[:90]).slice(50)
    pq.write_table(new.slice(0, 30), folder / "a.parquet")
    pq.write_table(new.slice(30), folder / "c.parquet")
    second = fit_dataset(folder, model, out, **settings)
    assert (first.partitions, first.fitted) == (3, 50)
    assert (second.skipped, second.fitted, second.curves) == (3, 40, 90)
    assert {name: t for name, t in times(out).items() if name in before} == before
    assert read_result(out).column("curve_id").to_pylist() == [3 * i for i in range(90)]
    again = fit_dataset(folder, model, out, **(settings | {"cluster": NOWHERE}))
    assert (again.skipped, again.fitted) == (second.partitions, 0)
    fit_dataset(folder, model, tmp_path / "at once", **settings)
    together = read_result(tmp_path / "at once").sort_by("curve_id")
    assert bits(read_result(out)) == bits(together)


def test_numbered_curves_keep_their_numbers(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out", layouts.folder
    folder.mkdir()
    table = layouts.table("list", values[:30]).drop_columns("curve_id")
    pq.write_table(table.slice(0, 10), folder / "b.parquet")
    fit_dataset(folder, model, out, p0=START, cluster=client)
    pq.write_table(table.slice(10, 10), folder / "c.parquet")
    fit_dataset(folder, model, out, p0=START, cluster=client)
    assert read_result(out).column("curve_id").to_pylist() == list(range(20))
    pq.write_table(table.slice(20), folder / "a.parquet")
    with pytest.raises(JobMismatchError, match=r"the new file a.parquet comes before others"):
        fit_dataset(folder, model, out, p0=START, cluster=client)


def test_without_statistics_the_time_of_a_change_counts(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path, out = layouts.folder / "in.parquet", tmp_path / "out"
    layouts.folder.mkdir()
    pq.write_table(layouts.table("list", values[:9]), path, write_statistics=False)
    fit_dataset(path, model, out, p0=START, cluster=client)
    os.utime(path, (1, 1))
    with pytest.raises(JobMismatchError, match=r"1 input file\(s\) changed: in.parquet"):
        fit_dataset(path, model, out, p0=START, cluster=client)


def test_a_folder_with_other_parquet_files_is_refused(
    job: Any, client: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.parquet").touch()
    with pytest.raises(JobMismatchError, match=r"files of unknown origin \(mine.parquet"):
        job(tmp_path / "out", client)


def test_results_of_another_format_are_refused(job: Any, client: Any, tmp_path: Path) -> None:
    job(tmp_path / "out", client)
    path = Sink(tmp_path / "out").job
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    message = "was written by a newer version of manyfit: its ledger is of version 99, this one"
    with pytest.raises(JobMismatchError, match=message):
        job(tmp_path / "out", client)


def test_there_is_one_writer_at_a_time(job: Any, client: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    message = rf"another run writes to .*out \(process {os.getpid()} on .*\): wait"
    with locked(Sink(out)), pytest.raises(SinkLockedError, match=message):
        job(out, client)
    assert job(out, client).fitted == 600


def test_reading_what_is_not_there_says_so(job: Any, client: Any, tmp_path: Path) -> None:
    for read in (read_result, result_metadata):
        with pytest.raises(FileNotFoundError, match="holds no results"):
            read(tmp_path)
    job(tmp_path / "out", client)
    for record in (tmp_path / "out" / "_manyfit").glob("0*.json"):
        record.unlink()
    with pytest.raises(FileNotFoundError, match=r"no partition of .* is committed yet"):
        read_result(tmp_path / "out")


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=60)[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_goes_on(
    how: signal.Signals,
    layouts: Any,
    values: Any,
    model: Any,
    bits: Any,
    client: Any,
    tmp_path: Path,
) -> None:
    path, out = layouts.write("list", values, rows=100), tmp_path / "out"
    process = start_run(path, out, 15_000)
    wait_for(process, "2")
    children = psutil.Process(process.pid).children(recursive=True)
    if how is signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if how is signal.SIGKILL else -2), errors
    assert all_gone(children)
    left = list(out.rglob(".*.tmp"))
    before = times(out)
    done = list((out / "_manyfit").glob("0*.json"))
    assert 2 <= len(done) < 6
    run(path, out, 15_000, cluster=client)
    after = times(out)
    kept = {f"part-{r.stem}.parquet" for r in done}
    assert {name for name in after if after[name] == before.get(name)} == kept
    assert not any(p.exists() for p in left)
    options = FitOptions(engine="reference")
    fit_dataset(path, model, tmp_path / "undisturbed", p0=START, cluster=client, options=options)
    assert bits(read_result(out)) == bits(read_result(tmp_path / "undisturbed"))
