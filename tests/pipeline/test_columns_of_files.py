"""Columns that are in lists of structs, or in the names of folders; columns that are carried on."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.nested import flat_schema, nested_fields
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.verify import verify_result
from manyfit.solver.model import Model

START = {"a": 1.0, "b": 1.0, "c": 1.0}
POINT = pa.struct([("x", pa.float64()), ("y", pa.float32()), ("sigma", pa.float64())])


def structs(values: Any, n: int, kind: pa.DataType) -> pa.Table:
    """Return curves as lists of points, with a null curve and a null point."""
    x = np.linspace(0.0, 4.0, 16)
    rows: list[Any] = [
        [
            {"x": u, "y": v, "sigma": 0.02 + 0.01 * j}
            for j, (u, v) in enumerate(zip(x, y, strict=True))
        ]
        for y in values[:n]
    ]
    rows[3][5] = None
    if not pa.types.is_fixed_size_list(kind):
        rows[7] = None
        rows[8] = rows[8][:11]
    return pa.table({"name": [f"c{i}" for i in range(n)], "points": pa.array(rows, kind)})


def flat(table: pa.Table) -> pa.Table:
    """Return the same curves as lists of numbers, by way of Python."""
    rows = table["points"].to_pylist()
    fields = {
        name: [r and [p and p[name] for p in r] for r in rows] for name in ("x", "y", "sigma")
    }
    types = {"x": pa.float64(), "y": pa.float32(), "sigma": pa.float64()}
    lists = {n: pa.array(v, pa.list_(types[n])) for n, v in fields.items()}
    return pa.table({"name": table["name"], **lists})


@pytest.mark.parametrize(
    "kind", [pa.list_(POINT), pa.large_list(POINT), pa.list_(POINT, 16)], ids=str
)
def test_a_list_of_structs_is_a_list_for_each_field(
    kind: pa.DataType, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    table = structs(values, 40, kind)
    columns = Columns(sigma="sigma", curve_id="name")
    wanted = fit_table(flat(table), model, columns=columns, p0=START)
    for source in (table, pa.concat_tables([table.slice(0, 5), table.slice(5)])):
        assert bits(fit_table(source, model, columns=columns, p0=START)) == bits(wanted)
    sliced = fit_table(table.slice(4), model, columns=columns, p0=START)
    assert bits(sliced) == bits(wanted.slice(4))
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=9)
    out = tmp_path / "out"
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 3_000}
    summary = fit_dataset(tmp_path / "in.parquet", model, out, columns=columns, **given)
    assert summary.partitions >= 2
    assert bits(read_result(out)) == bits(wanted)


def test_only_the_fields_that_are_needed_are_read(values: Any, tmp_path: Path) -> None:
    pq.write_table(structs(values, 9, pa.list_(POINT)), tmp_path / "in.parquet")
    dataset = open_dataset(tmp_path)
    with pq.ParquetFile(tmp_path / "in.parquet") as parquet:
        from manyfit.pipeline.selection import Selection

        selection = Selection(columns=("y",))
        (batch,) = selection.read(parquet, dataset.files[0], 100, [0])
    assert batch.schema.names == ["y"]
    assert batch.schema.field("y").type == pa.list_(pa.float32())
    assert dataset.blocks[0].n_bytes < 8 * 9 * 16 + 1


def test_fields_with_a_name_that_is_taken_are_named_with_their_column() -> None:
    one = pa.list_(pa.struct([("x", pa.float64()), ("y", pa.float64())]))
    schema = pa.schema([("x", pa.int64()), ("u", one), ("v", one), ("w", pa.list_(pa.int8()))])
    assert list(nested_fields(schema)) == ["u.x", "u.y", "v.x", "v.y"]
    assert flat_schema(schema).names == ["x", "u.x", "u.y", "v.x", "v.y", "w"]
    table = pa.table({"u": pa.array([[{"x": 1.0, "y": 2.0}]], one), "x": [1]})
    with pytest.raises(DatasetError, match=r"y: there is no column 'z'.* there are u.x, y, x"):
        fit_table(table, lambda x, a: a * x, columns=Columns(y="z"))
    fit = fit_table(table, lambda x, a: a * x, columns=Columns(x="u.x"))
    assert fit["a"].to_pylist() == [2.0]


def hive(folder: Path, layouts: Any, values: Any, kind: str = "list") -> None:
    """Write 60 curves in six files: plate=../dose=../x.parquet."""
    for k in range(6):
        path = folder / f"plate=P{k // 2}" / f"dose={0.5 * k:g}"
        path.mkdir(parents=True)
        table = layouts.table(kind, values[: 10 * k + 10]).slice(
            10 * k * (16 if kind == "long" else 1)
        )
        pq.write_table(table, path / "x.parquet")


@pytest.mark.parametrize("kind", ["list", "long"])
def test_names_of_folders_are_columns(
    kind: str, layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    def dosed(x: Any, dose: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * x) + c * (1 + dose)

    model = Model.from_function(dosed, constants=["dose"])
    folder, out = tmp_path / "in", tmp_path / "out"
    hive(folder, layouts, values, kind)
    columns = Columns(keep=("plate", "dose"), where="plate != 'P1'")
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 3_000}
    summary = fit_dataset(folder, model, out, columns=columns, **given)
    assert summary.curves == 40
    found = read_result(out)
    files = [0, 1, 4, 5]
    assert found["plate"].to_pylist() == np.repeat([f"P{k // 2}" for k in files], 10).tolist()
    assert found["dose"].to_pylist() == np.repeat([0.5 * k for k in files], 10).tolist()
    assert found.schema.names[:3] == ["curve_id", "plate", "dose"]
    rows = np.concatenate([np.arange(10 * k, 10 * k + 10) for k in files])
    table = layouts.table("list", values[:60]).take(rows)
    table = table.append_column("dose", pa.array(np.repeat([0.5 * k for k in files], 10)))
    plain = fit_table(table, model, p0=START)
    assert found["c"].equals(plain["c"])
    assert verify_result(out, folder).problems == ()


def test_folders_that_cannot_be_meant_are_not_opened_again(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    hive(tmp_path, layouts, values)
    dataset = open_dataset(tmp_path, Columns(where="dose >= 1.5 and plate in ['P1']"))
    assert {dataset.files[b.file].name for b in dataset.blocks} == {"plate=P1/dose=1.5/x.parquet"}


@pytest.mark.parametrize("kind", ["list", "long"])
def test_a_curve_can_be_named_by_its_folder(
    kind: str, layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for k in range(25):  # many small files, one curve each: one task
        path = folder / f"well={k:02d}"
        path.mkdir(parents=True)
        step = 16 if kind == "long" else 1
        table = layouts.table(kind, values[:25]).slice(k * step, step).drop_columns("curve_id")
        pq.write_table(table, path / "x.parquet")
    summary = fit_dataset(
        folder, model, out, columns=Columns(curve_id="well"), p0=START, cluster=client
    )
    assert (summary.partitions, summary.curves) == (1, 25)
    found = read_result(out)
    assert found["curve_id"].to_pylist() == [f"{k:02d}" for k in range(25)]
    plain = fit_table(layouts.table("list", values[:25]), model, p0=START)
    assert found["b"].equals(plain["b"])
    assert verify_result(out, folder).problems == ()


def test_rows_of_one_long_curve_lie_in_one_file(layouts: Any, values: Any, tmp_path: Path) -> None:
    path = tmp_path / "well=7"
    path.mkdir()
    table = layouts.table("long", values[:1]).drop_columns("curve_id")
    for name in "ab":
        pq.write_table(table, path / f"{name}.parquet")
    with pytest.raises(DatasetError, match=r"curve id 7 .*a.parquet, row 0 and .*b.parquet, row 0"):
        open_dataset(tmp_path, Columns(curve_id="well"))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("1", "20", "-3", "0"), pa.int64()),
        (("1", "2.5"), pa.float64()),
        (("1e-3", "2"), pa.float64()),
        (("007", "8"), pa.string()),
        (("a%2Fb", "c"), pa.string()),
        (("1", "nan"), pa.string()),
        (("99999999999999999999", "1"), pa.string()),
        (("1", "__HIVE_DEFAULT_PARTITION__"), pa.int64()),
    ],
)
def test_the_type_of_a_folder_is_that_of_all_its_values(
    names: tuple[str, ...], kind: pa.DataType, layouts: Any, values: Any, tmp_path: Path
) -> None:
    for name in names:
        path = tmp_path / f"k={name}"
        path.mkdir()
        pq.write_table(layouts.table("list", values[:2]), path / "x.parquet")
    dataset = open_dataset(tmp_path)
    assert dataset.schema.field("k").type == kind
    model = Model.from_function(lambda x, a: a * x)
    from manyfit.pipeline.reading import read_rows
    from manyfit.solver.options import FitOptions

    opened = open_dataset(tmp_path, Columns(keep=["k"]))
    binding = opened.bind(model, FitOptions())
    files = dict(enumerate(opened.files))
    read = [
        b.column("k").to_pylist()
        for p in plan(opened)
        for b in read_rows(files, p, binding.selection)
    ]
    found = [value for part in read for value in part[::2]]
    texts = [None if n.startswith("__") else n.replace("%2F", "/") for n in sorted(names)]
    assert [None if v is None else str(v) for v in found] == [
        str(t if pa.types.is_string(kind) or t is None else kind.to_pandas_dtype()(t))
        if t is not None
        else None
        for t in texts
    ]


def plan(dataset: Any) -> Any:
    from manyfit.pipeline.plan import plan_dataset

    return plan_dataset(dataset).partitions


def test_a_column_of_the_file_comes_before_its_folder(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    path = tmp_path / "curve_id=4" / "x=1"
    path.mkdir(parents=True)
    pq.write_table(layouts.table("list", values[:2]), path / "x.parquet")
    dataset = open_dataset(tmp_path)
    assert dataset.schema.names == ["curve_id", "x", "y"]
    assert dataset.bind(Model.from_function(lambda x, a: a * x), _options()).hive == {}


def _options() -> Any:
    from manyfit.solver.options import FitOptions

    return FitOptions()


@pytest.mark.parametrize("kind", ["list", "long", "wide"])
def test_columns_are_carried_through(
    kind: str, layouts: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    n = 40
    table = layouts.table(kind, values[:n])
    step = len(table) // n
    plates = pa.array([None if i == 5 else f"P{i // 8}" for i in range(n)])
    tags = pa.array([[i, i + 1] if i % 3 else None for i in range(n)])
    rows = np.repeat(np.arange(n), step)
    table = table.append_column("plate", plates.dictionary_encode().take(pa.array(rows)))
    table = table.append_column("tags", tags.take(pa.array(rows)))
    layouts.folder.mkdir()
    pq.write_table(table, layouts.folder / "in.parquet", row_group_size=50)
    plain = layouts.columns(kind)
    columns = Columns(y=plain.y, x=plain.x, keep=["plate", "tags"])
    out = tmp_path / "out"
    given: dict[str, Any] = {"p0": START, "cluster": client, "partition_bytes": 2_000}
    fit_dataset(layouts.folder, model, out, columns=columns, **given)
    found = read_result(out)
    assert found.schema.names[:4] == ["curve_id", "plate", "tags", "a"]
    assert found.schema.field("plate").type == pa.string()
    assert found["plate"].to_pylist() == plates.to_pylist()
    assert found["tags"].to_pylist() == tags.to_pylist()
    without = fit_table(table, model, columns=plain, p0=START)
    assert bits(found.drop_columns(["plate", "tags"])) == bits(without)
    assert fit_table(table, model, columns=columns, p0=START).schema.equals(found.schema)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("plat", r"keep: there is no column 'plat'; did you mean 'plate'"),
        (["plate", "plate"], r"keep: column 'plate' is named twice"),
        ("curve_id", r"keep: column 'curve_id' is the curve id"),
        ("status", r"keep: the result has columns \['status'\] of its own: rename these"),
        ("a", r"keep: the result has columns \['a'\] of its own"),
    ],
)
def test_what_cannot_be_carried_through_is_said(
    keep: Any, message: str, layouts: Any, values: Any, model: Any
) -> None:
    table = layouts.table("list", values[:3])
    for name in ("plate", "status", "a"):
        table = table.append_column(name, pa.array(["x"] * 3))
    with pytest.raises(ValueError, match=message):
        fit_table(table, model, columns=Columns(keep=keep), p0=START)
