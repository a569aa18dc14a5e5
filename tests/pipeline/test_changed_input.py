"""An input that is not what it was: refused, fitted again, or kept as it is, as one says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.sink import Sink
from manyfit.pipeline.verify import verify_result

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NOWHERE = "tcp://127.0.0.1:9"
"""No scheduler is there: a run that needs workers fails."""

Run = Callable[..., Any]


@pytest.fixture
def folder(layouts: Any, values: Any) -> Path:
    """Three files of 50, 40 and 30 curves; a partition holds 20."""
    edges = {"a": (0, 50), "b": (50, 90), "c": (90, 120)}
    table = layouts.table("list", values[:120])
    path: Path = layouts.folder / "in"
    path.mkdir(parents=True)
    for name, (start, stop) in edges.items():
        piece = table.slice(start, stop - start)
        pq.write_table(piece, path / f"{name}.parquet", row_group_size=20)
    return path


@pytest.fixture
def run(folder: Path, model: Any, client: Any) -> Run:
    """Return a call that fits the folder."""

    def fit(out: Path, **changes: Any) -> Any:
        given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 2_600}
        return fit_dataset(folder, model, out, **(given | changes))

    return fit


def times(out: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in out.glob("part-*.parquet")}


def replace_file(folder: Path, name: str, layouts: Any, values: Any, ids: range) -> None:
    """Write other curves under the ids of these."""
    table = layouts.table("list", values[200 : 200 + len(ids)])
    table = table.set_column(0, "curve_id", pa.array([3 * i for i in ids]))
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=20)


def ids_of(out: Path) -> list[int]:
    return [i // 3 for i in read_result(out).column("curve_id").to_pylist()]


def test_a_change_is_refused_and_the_ways_out_are_said(
    folder: Path, run: Run, layouts: Any, values: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    replace_file(folder, "b", layouts, values, range(50, 90))
    (folder / "c.parquet").unlink()
    with pytest.raises(
        JobMismatchError,
        match=r"1 input file\(s\) gone: c.parquet; 1 input file\(s\) changed: b.parquet. Say what "
        r"to do: on_changed 'refit' fits changed files again .* 'keep' leaves their results",
    ):
        run(out, cluster=NOWHERE)
    with pytest.raises(ValueError, match=r"on_changed must be one of \('refit', 'keep'\).*'yes'"):
        run(out, on_changed="yes")


def test_refit_fits_what_changed_and_drops_what_is_gone(
    folder: Path, run: Run, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(out)
    before = times(out)
    replace_file(folder, "b", layouts, values, range(50, 90))
    (folder / "c.parquet").unlink()
    again = run(out, on_changed="refit")
    assert (first.partitions, first.fitted) == (7, 120)
    assert (again.skipped, again.fitted, again.curves) == (3, 40, 90)
    assert sorted(ids_of(out)) == list(range(90))
    run(tmp_path / "fresh")
    fresh = read_result(tmp_path / "fresh").sort_by("curve_id")
    assert bits(read_result(out).sort_by("curve_id")) == bits(fresh)
    untouched = {f"part-0000{k}.parquet" for k in range(3)}
    assert {n for n, t in times(out).items() if before.get(n) == t} == untouched
    assert set(times(out)) == {f"part-0000{k}.parquet" for k in range(5)}
    assert run(out, cluster=NOWHERE).fitted == 0
    found = verify_result(out, folder)
    assert (found.problems, found.missing) == ((), ())


def test_refit_replaces_the_very_part_of_a_file_that_keeps_its_rows(
    folder: Path, run: Run, layouts: Any, values: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    order, before = ids_of(out), times(out)
    replace_file(folder, "b", layouts, values, range(50, 90))
    assert run(out, on_changed="refit").fitted == 40
    changed = {name for name, t in times(out).items() if before[name] != t}
    assert changed == {"part-00003.parquet", "part-00004.parquet"}
    assert ids_of(out) == order


def test_small_files_that_share_a_part_are_taken_apart(
    folder: Path, run: Run, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(out, partition_bytes=1_000_000).partitions == 1
    replace_file(folder, "b", layouts, values, range(50, 57))
    again = run(out, on_changed="refit", partition_bytes=1_000_000)
    assert (again.partitions, again.fitted, again.curves) == (1, 87, 87)
    assert list(times(out)) == ["part-00000.parquet"]
    (folder / "a.parquet").unlink()
    (folder / "c.parquet").unlink()
    again = run(out, on_changed="refit")
    assert ids_of(out) == list(range(50, 57))
    run(tmp_path / "fresh")
    assert bits(read_result(out)) == bits(read_result(tmp_path / "fresh"))


def test_rows_that_remain_of_a_partition_keep_their_results(
    folder: Path, run: Run, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out, partition_bytes=4_000)  # 31 curves: parts go over the edges of files
    whole = read_result(out)
    (folder / "b.parquet").unlink()
    run(out, on_changed="refit", partition_bytes=4_000)
    kept = [i for i in range(120) if not 50 <= i < 90]
    assert sorted(ids_of(out)) == kept
    there = whole.filter(pa.array([i // 3 in set(kept) for i in whole["curve_id"].to_pylist()]))
    assert bits(read_result(out).sort_by("curve_id")) == bits(there.sort_by("curve_id"))


def test_a_refit_that_is_killed_goes_on(
    folder: Path, run: Run, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    replace_file(folder, "b", layouts, values, range(50, 95))
    (folder / "c.parquet").unlink()

    def stop(progress: Any) -> None:
        if progress.partitions_done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, on_changed="refit", progress=stop)
    half = ids_of(out)  # what is there is there once, and nothing of what is gone
    assert len(half) == len(set(half)) <= 95  # partitions under way may all have ended
    assert max(half) < 95
    run(out)  # the change is in the ledger: no need to say it again
    run(tmp_path / "fresh")
    fresh = read_result(tmp_path / "fresh").sort_by("curve_id")
    assert bits(read_result(out).sort_by("curve_id")) == bits(fresh)
    assert verify_result(out, folder).problems == ()


def test_keep_leaves_results_and_the_ledger_says_so(
    folder: Path, run: Run, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    whole, before = read_result(out), times(out)
    original = (folder / "b.parquet").read_bytes()
    replace_file(folder, "b", layouts, values, range(50, 99))  # more rows than there were
    (folder / "c.parquet").unlink()
    kept = run(out, cluster=NOWHERE, on_changed="keep")
    assert (kept.fitted, kept.curves, kept.kept) == (0, 120, ("b.parquet", "c.parquet"))
    assert "results of files as they were before: b.parquet, c.parquet" in str(kept)
    assert json.loads(Sink(out).job.read_text())["kept"]["c.parquet"] is None
    assert times(out) == before
    assert run(out, cluster=NOWHERE).kept == ("b.parquet", "c.parquet")  # known from now on
    assert verify_result(out, folder).kept == ("b.parquet", "c.parquet")
    table = layouts.table("list", values[:130]).slice(120)
    pq.write_table(table, folder / "d.parquet")
    assert run(out).fitted == 10  # a new file is fitted all the same
    assert bits(read_result(out).slice(0, 120)) == bits(whole)
    replace_file(folder, "b", layouts, values, range(50, 60))
    with pytest.raises(JobMismatchError, match=r"1 input file\(s\) changed: b.parquet"):
        run(out)
    (folder / "b.parquet").write_bytes(original)
    assert run(out, cluster=NOWHERE).kept == ("c.parquet",)  # it is what it was
    again = run(out, on_changed="refit")
    assert (again.kept, again.curves) == ((), 100)
    assert sorted(ids_of(out)) == [*range(90), *range(120, 130)]


def test_what_is_not_fitted_cannot_be_kept(
    folder: Path, run: Run, layouts: Any, values: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(out)
    Sink(out).record(4).unlink()
    replace_file(folder, "b", layouts, values, range(50, 90))
    with pytest.raises(
        JobMismatchError, match=r"results of b.parquet in .* cannot be kept: partition 4 was not"
    ):
        run(out, on_changed="keep")
    run(out, on_changed="refit")
    assert sorted(ids_of(out)) == list(range(120))


def test_numbers_of_curves_stay_those_of_the_input(
    folder: Path, run: Run, layouts: Any, values: Any, bits: Any, tmp_path: Path
) -> None:
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns("curve_id"), path, row_group_size=20)
    out = tmp_path / "out"
    run(out)
    other = layouts.table("list", values[200:240]).drop_columns("curve_id")
    pq.write_table(other, folder / "b.parquet", row_group_size=20)
    assert run(out, on_changed="refit").fitted == 40  # as many rows: the others are not touched
    pq.write_table(other.slice(0, 33), folder / "b.parquet", row_group_size=20)
    assert run(out, on_changed="refit").curves == 113
    run(tmp_path / "fresh")
    assert bits(read_result(out)) == bits(read_result(tmp_path / "fresh"))
    assert read_result(out).column("curve_id").to_pylist() == list(range(113))
    assert verify_result(out, folder).problems == ()


@pytest.mark.parametrize("kind", ["long", "list"])
def test_a_file_is_taken_back_whatever_its_layout(
    kind: str, layouts: Any, values: Any, model: Any, client: Any, bits: Any, tmp_path: Path
) -> None:
    table = layouts.table(kind, values[:100])
    step = 16 if kind == "long" else 1
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(2):
        piece = table.slice(50 * k * step, 50 * step)
        pq.write_table(piece, folder / f"{k}.parquet", row_group_size=13 * step + 5)
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 4_500}
    out = tmp_path / "out"
    fit_dataset(folder, model, out, **given)
    pq.write_table(table.slice(50 * step, 20 * step), folder / "1.parquet")
    again = fit_dataset(folder, model, out, on_changed="refit", **given)
    assert again.fitted < 50
    fit_dataset(folder, model, tmp_path / "fresh", **given)
    fresh = read_result(tmp_path / "fresh").sort_by("curve_id")
    assert bits(read_result(out).sort_by("curve_id")) == bits(fresh)
    assert verify_result(out, folder).problems == ()


def test_names_of_files_do_not_depend_on_which_there_are(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    table = layouts.table("list", values[:30])
    folder, out = tmp_path / "in", tmp_path / "out"
    for k, name in enumerate(("plate=A", "plate=B")):
        (folder / name).mkdir(parents=True)
        pq.write_table(table.slice(10 * k, 10), folder / name / "x.parquet")
        fit_dataset(folder, model, out, p0=START, cluster=client, columns=Columns())
    assert ids_of(out) == list(range(20))
