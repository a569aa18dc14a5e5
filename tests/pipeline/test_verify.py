"""Verification reads everything again, and finds whatever is not as it should be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.ledger import Job
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.sink import Sink, file_digest
from manyfit.pipeline.verify import verify_result

START = {"a": 1.0, "b": 1.0, "c": 1.0}


@pytest.fixture
def folder(layouts: Any, values: Any) -> Path:
    for k in range(3):
        layouts.write("list", values[20 * k : 20 * k + 20], name=f"in/{k}.parquet")
        table = layouts.table("list", values[: 20 * k + 20]).slice(20 * k)
        pq.write_table(table, layouts.folder / "in" / f"{k}.parquet")
    path: Path = layouts.folder / "in"
    return path


@pytest.fixture
def result(folder: Path, model: Any, client: Any, tmp_path: Path) -> Path:
    """Three parts of 20 curves."""
    out = tmp_path / "out"
    fit_dataset(folder, model, out, p0=START, cluster=client, partition_bytes=2_600)
    return out


def test_a_sound_result_is_said_to_be_so(result: Path, folder: Path) -> None:
    for found in (verify_result(result), verify_result(str(result), str(folder))):
        assert (found.partitions, found.curves) == (3, 60)
        assert found.n_bytes == sum(p.stat().st_size for p in result.glob("*.parquet"))
        assert (found.missing, found.problems, found.kept) == ((), (), ())
        assert str(found).startswith("60 curves in 3 part(s), 0.0 MB: as the ledger says")


def rewrite(sink: Sink, index: int, table: pa.Table, **record: Any) -> None:
    """Write another part, with a record that goes with its bytes."""
    pq.write_table(table, sink.part(index))
    size = {"n_bytes": sink.part(index).stat().st_size, "part_digest": sink.part_digest(index)}
    value = json.loads(sink.record(index).read_text()) | size | record
    sink.record(index).write_text(json.dumps(value))


def part(sink: Sink, index: int) -> pa.Table:
    return pq.read_table(sink.part(index))


def flip(sink: Sink) -> None:
    content = bytearray(sink.part(1).read_bytes())
    content[len(content) // 3] ^= 1
    sink.part(1).write_bytes(content)


def cut(sink: Sink) -> None:
    sink.part(1).write_bytes(sink.part(1).read_bytes()[:-9])


def lose(sink: Sink) -> None:
    sink.part(1).unlink()


def no_parquet(sink: Sink) -> None:
    sink.part(1).write_text("no Parquet at all")
    size = {"n_bytes": sink.part(1).stat().st_size, "part_digest": file_digest(sink.part(1))}
    value = json.loads(sink.record(1).read_text()) | size
    sink.record(1).write_text(json.dumps(value))


def fewer_rows(sink: Sink) -> None:
    rewrite(sink, 1, part(sink, 1).slice(0, 19))


def other_status(sink: Sink) -> None:
    rewrite(sink, 1, part(sink, 1), counts={"1": 19, "5": 1})


def other_columns(sink: Sink) -> None:
    rewrite(sink, 1, part(sink, 1).drop_columns("nfev"))


def same_curves(sink: Sink) -> None:
    rewrite(sink, 1, part(sink, 0), counts=json.loads(sink.record(0).read_text())["counts"])


def stray_part(sink: Sink) -> None:
    sink.part(7).write_bytes(sink.part(1).read_bytes())


def stray_record(sink: Sink) -> None:
    sink.record(7).write_bytes(sink.record(1).read_bytes())


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip, "part-00001.parquet has not the bytes that were written: remove it and run again"),
        (cut, "part-00001.parquet has not the bytes that were written"),
        (lose, "part-00001.parquet is gone; its record says 20 curves. Run again"),
        (no_parquet, "part-00001.parquet cannot be read"),
        (fewer_rows, "part-00001.parquet has 19 rows, its record says 20 and the plan 20"),
        (other_status, "part-00001.parquet has by status {"),
        (other_columns, "part-00001.parquet has other columns than part-00000.parquet"),
        (same_curves, "curve id 0 comes 2 times, in part-00000.parquet, part-00001.parquet; so do"),
        (stray_part, "part-00007.parquet belongs to no partition"),
        (stray_record, "00007.json in the ledger is the record of no partition"),
    ],
)
def test_what_is_wrong_is_found(
    harm: Callable[[Sink], None], message: str, result: Path, folder: Path
) -> None:
    harm(Sink(result))
    found = verify_result(result)
    assert any(problem.startswith(message) for problem in found.problems), found
    assert "problem(s)" in str(found)
    assert verify_result(result, folder).problems


def test_curves_of_another_input_are_found(result: Path, folder: Path) -> None:
    sink = Sink(result)
    ids = part(sink, 1)["curve_id"].to_pylist()
    ids[3] = 1_000
    rewrite(sink, 1, part(sink, 1).set_column(0, "curve_id", pa.array(ids)))
    assert not verify_result(result).problems
    found = verify_result(result, folder).problems
    assert found == ("part-00001.parquet has curve 1000 in row 3, where the input has 69",)


def test_an_input_that_changed_is_found(
    result: Path, folder: Path, layouts: Any, values: Any
) -> None:
    layouts.write("list", values[70:90], name="in/1.parquet")
    (folder / "2.parquet").unlink()
    layouts.write("list", values[90:95], name="in/9.parquet")
    found = verify_result(result, folder)
    assert [text.split(";")[0] for text in found.problems] == [
        "1.parquet is not what was fitted: it has changed",
        "2.parquet is gone from the input",
    ]
    assert found.missing == ("9.parquet: not fitted yet; run again",)
    assert not verify_result(result).problems


def test_what_is_not_there_yet_is_no_problem(result: Path) -> None:
    sink = Sink(result)
    sink.record(0).unlink()
    sink.record(1).write_text("{")
    job: Any = Job.read(sink)
    name = job.fingerprint(job.plan.partitions[2])
    failed = {"fingerprint": name, "index": 2, "curves": 20, "error": "OSError: off\nmore"}
    sink.record(2).write_text(json.dumps(failed))
    found = verify_result(result)
    assert not found.problems
    assert found.missing == (
        "partition 0: not fitted yet; run again",
        "partition 1: its record cannot be read; run again",
        "partition 2: failed: OSError: off; run again",
    )
    sink.record(2).write_text(json.dumps({"fingerprint": name, "counts": 3}))
    assert "partition 2: its record cannot be read" in str(verify_result(result))
    sink.record(2).write_text(json.dumps({"fingerprint": "other", "counts": {}}))
    assert "partition 2: its rows are others now; run again" in str(verify_result(result))


@pytest.mark.parametrize(
    ("kind", "numbered"),
    [("list", True), ("list", False), ("long", False), ("wide", True), ("wide", False)],
)
def test_every_layout_can_be_recounted(
    kind: str, numbered: bool, layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    table = layouts.table(kind, values[:90])
    table = table.drop_columns("curve_id") if numbered else table
    layouts.folder.mkdir()
    pq.write_table(table, layouts.folder / "in.parquet", row_group_size=133)
    columns, out = layouts.columns(kind), tmp_path / "out"
    settings: dict[str, Any] = {"cluster": client, "partition_bytes": 3_000, "columns": columns}
    fit_dataset(layouts.folder, model, out, p0=START, **settings)
    assert verify_result(out, layouts.folder).problems == ()


def test_an_id_that_the_input_has_twice_is_no_problem_of_the_result(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    table = layouts.table("list", values[:3]).set_column(0, "curve_id", pa.array([5, None, 5]))
    layouts.folder.mkdir()
    pq.write_table(table, layouts.folder / "in.parquet")
    out = tmp_path / "out"
    fit_dataset(layouts.folder, model, out, p0=START, cluster=client, columns=Columns())
    assert "curve id 5 comes 2 times" in verify_result(out).problems[0]
    assert verify_result(out, layouts.folder).problems == ()


def test_what_cannot_be_verified_is_said(result: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results of manyfit"):
        verify_result(tmp_path / "nothing")
    path = Sink(result).job
    for version, age in ((99, "a newer"), (1, "an older"), (None, "an older")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
        message = rf"was written by {age} version of manyfit: its ledger is of version {version}"
        with pytest.raises(JobMismatchError, match=message):
            verify_result(result)
