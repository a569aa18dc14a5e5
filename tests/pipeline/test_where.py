"""Which rows are taken: the condition, and what goes down to the reader."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyfit.pipeline import scan
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError, JobMismatchError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.selection import Selection
from manyfit.pipeline.verify import verify_result
from manyfit.pipeline.where import parse_where, selected_rows

START = {"a": 1.0, "b": 1.0, "c": 1.0}
ROWS = pa.record_batch(
    {
        "plate": pa.array(["A1", "A1", "B2", None, "it's", "A1"]),
        "kind": pa.array(["u", "v", "u", "v", None, "u"]).dictionary_encode(),
        "dose": pa.array([1.0, 3.5, None, 4.0, 5.0, float("nan")]),
        "n": pa.array([1, 2, 3, 4, 5, None], pa.int32()),
        "good": pa.array([True, False, None, True, True, False]),
        "day": pa.array(np.arange("2026-01-01", "2026-01-07", dtype="datetime64[D]")),
        "well id": pa.array(range(6)),
        "y": pa.array([[1.0]] * 6),
    }
)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("plate == 'A1'", [0, 1, 5]),
        ("plate == 'A1' and dose > 3", [1]),
        ("plate != 'A1'", [2, 4]),
        ('plate == "it\'s"', [4]),
        ("plate in ['A1', 'B2']", [0, 1, 2, 5]),
        ("plate not in ('A1',)", [2, 4]),
        ("not plate in ['A1']", [2, 4]),
        ("plate is None", [3]),
        ("dose is not None and plate is not None", [0, 1, 4, 5]),
        ("kind == 'u'", [0, 2, 5]),
        ("kind in ['v']", [1, 3]),
        ("1 < n <= 3", [1, 2]),
        ("n < 2 or n >= 5", [0, 4]),
        ("not (n < 2 or n >= 5)", [1, 2, 3]),
        ("n == dose", [0, 3, 4]),
        ("n > -1.5", [0, 1, 2, 3, 4]),
        ("3 == n", [2]),
        ("good", [0, 3, 4]),
        ("not good", [1, 5]),
        ("good == False", [1, 5]),
        ("day >= '2026-01-05'", [4, 5]),
        ("day in ['2026-01-02']", [1]),
        ("col('well id') > 3", [4, 5]),
    ],
)
def test_conditions_mean_what_they_say(text: str, taken: list[int]) -> None:
    where = parse_where(text, ROWS.schema)
    assert selected_rows(where, ROWS).tolist() == taken
    selection = Selection(columns=("n",), where=where)
    assert selection.kept(ROWS).equals(ROWS.select(["n"]).take(pa.array(taken)))
    assert parse_where(f"  ({where}) ", ROWS.schema) == where


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"where: '' is no condition: .*write one such as \"plate == 'A1' and dose > 3\""),
        ("plate = 'A1'", r"is no condition: .*invalid syntax"),
        ("plate", r"^where: plate: is of type string; compare it with something$"),
        ("3", r"where: 3: is no condition: expected comparisons"),
        ("1 < 2", r"compares two values and no column"),
        (
            "plat == 'A1'",
            r"there is no column 'plat'; did you mean 'plate'\? there are plate, kind",
        ),
        ("col('w') == 1", r"there is no column 'w'"),
        ("y == 1", r"where: y: is of type list<.*expected a column of plain values"),
        ("plate > 3", r"compares what cannot be compared: .*\(plate is string\)"),
        ("n in ['a']", r"compares what cannot be compared: .*\(n is int32\)"),
        ("n in []", r"expected at least one value in the list"),
        ("n in dose", r"expected == != < <= > >=, in \[...\] or is None"),
        ("n is 3", r"expected == != < <= > >=, in"),
        ("day > 'yesterday'", r"where: 'yesterday': is no date32.* \(in: day > 'yesterday'\)"),
        ("n + 1 > 3", r"where: n \+ 1: expected the name of a column"),
        ("n in [dose]", r"where: dose: expected a number or a text in quotes"),
        ("n == None", r"where: None: expected the name of a column"),
        ("plate == b'A1'", r"expected the name of a column"),
        ("__import__('os').system('true') == 0", r"expected the name of a column"),
        ("().__class__ == 1", r"there is no column"),
        ("(lambda: 1)()", r"expected the name of a column"),
        ("[n for n in 'ab'] == 1", r"expected the name of a column"),
        ("good if n > 1 else good", r"is no condition: expected comparisons"),
        ("not " * 30_000 + "good", r"has more than 20,000 characters"),
        ("not " * 4_000 + "good", r"is too deeply nested"),
        ("(" * 4_000 + "good", r"is no condition|is too deeply nested"),
        ("n == \0", r"is no condition"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_where(text, ROWS.schema)


@given(st.text(max_size=30))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    with suppress(DatasetError):
        parse_where(text, ROWS.schema)


def with_plates(table: pa.Table, n_curves: int) -> pa.Table:
    """Name the plate of each curve, in the order of the curves, and a number of its own."""
    step = len(table) // n_curves
    plates = [f"P{i // 50}" for i in range(n_curves)]
    table = table.append_column("plate", pa.array(np.repeat(plates, step)))
    return table.append_column("k", pa.array(np.repeat(np.arange(n_curves) % 7, step)))


@pytest.mark.parametrize("kind", ["list", "long", "wide"])
@pytest.mark.parametrize("partition_bytes", [None, 3_000])
def test_the_curves_that_are_taken_have_the_same_bits(
    kind: str,
    partition_bytes: int | None,
    layouts: Any,
    values: Any,
    model: Any,
    bits: Any,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "_BATCH_ROWS", 64)
    table = with_plates(layouts.table(kind, values[:200]), 200)
    layouts.folder.mkdir()
    pq.write_table(table.slice(0, 900), layouts.folder / "a.parquet", row_group_size=111)
    if len(table) > 900:
        cut = 900 // 16 * 16  # a curve lies in one file
        pq.write_table(table.slice(0, cut), layouts.folder / "a.parquet", row_group_size=111)
        pq.write_table(table.slice(cut), layouts.folder / "b.parquet", row_group_size=111)
    condition = "plate in ['P1', 'P3'] and k != 2"
    columns = layouts.columns(kind)
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": partition_bytes}
    fit_dataset(layouts.folder, model, tmp_path / "all", columns=columns, **given)
    taken = Columns(**{**_fields(columns), "where": condition})
    out = tmp_path / "out"
    summary = fit_dataset(layouts.folder, model, out, columns=taken, **given)
    wanted = [i for i in range(200) if i // 50 in (1, 3) and i % 7 != 2]
    assert summary.curves == summary.fitted == len(wanted)
    everything = read_result(tmp_path / "all")
    assert bits(read_result(out)) == bits(everything.take(wanted))
    assert verify_result(out, layouts.folder).problems == ()
    assert bits(fit_table(table, model, columns=taken, p0=START)) == bits(read_result(out))
    if partition_bytes:
        assert summary.partitions >= 2


def _fields(columns: Columns) -> dict[str, Any]:
    return {"y": columns.y, "x": columns.x}


def test_points_of_long_rows_can_be_taken(
    layouts: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("long", values[:40], rows=50)
    columns = Columns(where="x < 2.5")
    out = tmp_path / "out"
    fit_dataset(path, model, out, columns=columns, p0=START, cluster=client, partition_bytes=900)
    table = layouts.table("long", values[:40])
    table = table.filter(pa.compute.less(table["x"], 2.5))
    assert bits(read_result(out)) == bits(fit_table(table, model, p0=START))


def test_row_groups_without_a_row_that_is_taken_are_not_read(
    layouts: Any, values: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.folder.mkdir()
    table = with_plates(layouts.table("list", values[:200]), 200)
    path = layouts.folder / "in.parquet"
    pq.write_table(table, path, row_group_size=25)
    read: list[int] = []
    plain_read = Selection.read

    def noted(self: Selection, parquet: Any, file: Any, rows: int, groups: Any) -> Any:
        read.extend(groups)
        return plain_read(self, parquet, file, rows, groups)

    monkeypatch.setattr(Selection, "read", noted)
    dataset = open_dataset(path, Columns(where="plate == 'P2'"))
    assert read == [4, 5]
    assert [(b.row, b.rows, b.curves) for b in dataset.blocks] == [(100, 25, 25), (125, 25, 25)]
    (partition,) = plan_dataset(dataset).partitions
    assert [(s.start, s.stop) for s in partition.slices] == [(100, 150)]


def test_a_row_group_that_is_taken_in_part_is_divided(tmp_path: Path) -> None:
    n = 4000
    table = pa.table({"y": pa.array([np.zeros(300)] * n), "k": np.arange(n)})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=n)
    dataset = open_dataset(tmp_path, Columns(where="k >= 1000 and k < 2500"))
    assert dataset.n_curves == 1500
    plan = plan_dataset(dataset, partition_bytes=2_000_000)
    assert len(plan.partitions) >= 2
    assert sum(p.curves for p in plan.partitions) == 1500
    rows = [(s.start, s.stop) for p in plan.partitions for s in p.slices]
    assert rows[0][0] <= 1000
    assert rows[-1][1] >= 2500


def test_a_condition_is_part_of_what_a_job_is(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    layouts.folder.mkdir()
    table = with_plates(layouts.table("list", values[:100]), 100)
    pq.write_table(table, layouts.folder / "in.parquet")
    given: dict[str, Any] = {"p0": START, "cluster": client}
    out = tmp_path / "out"
    fit_dataset(layouts.folder, model, out, columns=Columns(where="plate == 'P1'"), **given)
    again = Columns(where=' (plate=="P1")')
    assert fit_dataset(layouts.folder, model, out, columns=again, **given).skipped == 1
    with pytest.raises(JobMismatchError, match=r"Different: columns where: .*P1.* there, .*P0"):
        fit_dataset(layouts.folder, model, out, columns=Columns(where="plate == 'P0'"), **given)
    with pytest.raises(JobMismatchError, match=r"Different: columns where: .* there, None here"):
        fit_dataset(layouts.folder, model, out, **given)


def test_a_condition_that_takes_nothing_is_said_at_once(
    layouts: Any, values: Any, model: Any
) -> None:
    path = layouts.write("list", values[:9])
    columns = Columns(where="curve_id < 0")
    with pytest.raises(
        DatasetError, match=r"no row of 1 file\(s\) is taken by where: curve_id < 0"
    ):
        open_dataset(path, columns)
    with pytest.raises(DatasetError, match=r"no row of the table is taken by where: curve_id < 0"):
        fit_table(layouts.table("list", values[:9]), model, columns=columns)


def test_files_must_agree_on_the_columns_of_a_condition(layouts: Any, values: Any) -> None:
    layouts.folder.mkdir()
    table = layouts.table("list", values[:9])
    for name, column in (("a", pa.array(range(9))), ("b", pa.array(["1"] * 9))):
        pq.write_table(table.append_column("k", column), layouts.folder / f"{name}.parquet")
    with pytest.raises(DatasetError, match=r"column 'k' is int64 in a.parquet and string in b"):
        open_dataset(layouts.folder, Columns(where="k > 3"))


def test_numbered_curves_are_numbered_among_those_taken(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    layouts.folder.mkdir()
    table = with_plates(layouts.table("list", values[:200]), 200).drop_columns("curve_id")
    pq.write_table(table, layouts.folder / "in.parquet", row_group_size=60)
    out = tmp_path / "out"
    columns = Columns(where="k == 3", keep=("plate",))
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 5_000}
    fit_dataset(layouts.folder, model, out, columns=columns, **given)
    found = read_result(out)
    assert found["curve_id"].to_pylist() == list(range(29))
    assert found["plate"].to_pylist() == [f"P{i // 50}" for i in range(3, 200, 7)]
