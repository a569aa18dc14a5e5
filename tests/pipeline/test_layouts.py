"""The same curves give the same bits, however they lie and however they are divided."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.results import read_result, result_metadata
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves

KINDS = ("list", "long", "wide")
START = {"a": 1.0, "b": 1.0, "c": 1.0}


@pytest.fixture(scope="session")
def expected(values: Any, model: Any) -> pa.Table:
    """Return the fits of the solver alone, all curves at once."""
    x = np.linspace(0.0, 4.0, 16)
    fit = fit_curves(model, x, values, p0=[1.0, 1.0, 1.0])
    columns = {name: fit.params[:, j] for j, name in enumerate("abc")}
    columns |= {f"{name}_stderr": fit.stderr[:, j] for j, name in enumerate("abc")}
    return pa.table(columns | {"status": fit.status, "nfev": fit.nfev, "cost": fit.cost})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partition_bytes", [None, 9_000, 40_000])
def test_a_dataset_gives_what_the_solver_gives(
    kind: str,
    partition_bytes: int | None,
    layouts: Any,
    values: Any,
    bits: Any,
    model: Any,
    expected: pa.Table,
    client: Any,
    tmp_path: Path,
) -> None:
    path = layouts.write(kind, values, rows=1111 if kind == "long" else 170)
    summary = fit_dataset(
        path,
        model,
        tmp_path / "out",
        columns=layouts.columns(kind),
        p0=START,
        cluster=client,
        partition_bytes=partition_bytes,
    )
    found = read_result(tmp_path / "out")
    assert found.column("curve_id").to_pylist() == [3 * i for i in range(len(values))]
    assert bits(found.select(expected.column_names)) == bits(expected)
    assert summary.curves == summary.fitted == len(values)
    assert summary.converged == len(values)
    assert not summary.failed
    assert partition_bytes is None or summary.partitions > 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_in_memory_gives_what_the_dataset_gives(
    kind: str, layouts: Any, values: Any, bits: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write(kind, values)
    columns = layouts.columns(kind)
    fit_dataset(path, model, tmp_path / "out", columns=columns, p0=START, cluster=client)
    table = fit_table(layouts.table(kind, values), model, columns=columns, p0=START)
    assert bits(table) == bits(read_result(tmp_path / "out"))


def test_any_chunks_of_a_table_give_the_same(
    layouts: Any, values: Any, bits: Any, model: Any
) -> None:
    table = layouts.table("long", values[:50])
    pieces = [table.slice(0, 7), table.slice(7, 0), table.slice(7, 500), table.slice(507)]
    whole = fit_table(table, model, p0=START)
    assert bits(fit_table(pa.concat_tables(pieces), model, p0=START)) == bits(whole)


def test_one_worker_or_two_give_the_same(
    layouts: Any, values: Any, bits: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values, rows=100)
    fit_dataset(path, model, tmp_path / "two", p0=START, cluster=client)
    fit_dataset(path, model, tmp_path / "one", p0=START, n_workers=1, partition_bytes=50_000)
    assert bits(read_result(tmp_path / "one")) == bits(read_result(tmp_path / "two"))


@pytest.mark.parametrize(
    "type_of",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float64(), 16),
        pa.list_(pa.float32()),
        pa.list_(pa.int64()),
        pa.list_(pa.int16(), 16),
    ],
    ids=str,
)
def test_every_type_of_list_is_read_as_its_numbers(
    type_of: Any, values: Any, model: Any, tmp_path: Path
) -> None:
    y = np.round(values[:40] * 1000)
    table = pa.table({"y": pa.array(y.tolist(), pa.list_(pa.float64())).cast(type_of)})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=7)
    x = np.linspace(0.0, 4.0, 16)
    columns = Columns(x=x)
    plain = fit_curves(model, x, y, p0=[1000, 1, 1])
    for source in (table, table.slice(3)):
        found = fit_table(source, model, columns=columns, p0=[1000, 1, 1])
        skipped = len(table) - len(source)
        assert np.array_equal(found["a"].to_numpy(), plain.params[skipped:, 0])
    read = pq.read_table(tmp_path / "in.parquet")
    assert fit_table(read, model, columns=columns, p0=[1000, 1, 1])["b"].to_numpy().tolist() == (
        plain.params[:, 1].tolist()
    )


def test_x_of_each_curve_and_x_shared_give_the_same_bits(
    layouts: Any, values: Any, bits: Any, model: Any
) -> None:
    table = layouts.table("list", values)
    shared = fit_table(table, model, columns=Columns(x=np.linspace(0.0, 4.0, 16)), p0=START)
    one_apart = table.column("x").to_pylist()
    one_apart[-1] = [v + 1e-9 for v in one_apart[-1]]
    apart = table.set_column(1, "x", pa.array(one_apart))
    last = len(values) - 1
    assert bits(fit_table(table, model, p0=START)) == bits(shared)
    assert bits(fit_table(apart, model, p0=START).slice(0, last)) == bits(shared.slice(0, last))


def test_several_files_are_one_dataset_in_the_order_of_their_names(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    table = layouts.table("list", values)
    folder = tmp_path / "a path with a space"
    (folder / "deep").mkdir(parents=True)
    for k, name in enumerate(["a.parquet", "b.parquet", "deep/c.pq"]):
        pq.write_table(table.slice(200 * k, 200), folder / name)
    (folder / "_note.parquet").write_text("passed over")
    for paths in (folder, str(folder / "**" / "*.p*")):
        out = tmp_path / f"out {paths == folder}"
        summary = fit_dataset(paths, model, out, p0=START, cluster=client, partition_bytes=30_000)
        assert summary.curves == 600
        found = read_result(out)
        assert found.column("curve_id").to_pylist() == [3 * i for i in range(600)]
    assert ds.dataset(out).to_table().num_rows == 600


def test_small_files_share_a_partition(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    for k in range(30):
        layouts.write("wide", values[20 * k : 20 * k + 20], name=f"many/{k:02d}.parquet")
    columns = Columns(y="y_*", x=np.linspace(0.0, 4.0, 16), curve_id=None)
    summary = fit_dataset(
        layouts.folder / "many", model, tmp_path / "out", columns=columns, p0=START, cluster=client
    )
    assert summary.partitions == 1
    assert summary.curves == 600


def test_curves_without_an_id_are_numbered_through_all_files(
    layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    for k in range(3):
        table = layouts.table("list", values[50 * k : 50 * k + 50]).drop_columns("curve_id")
        layouts.folder.mkdir(exist_ok=True)
        pq.write_table(table, layouts.folder / f"{k}.parquet", row_group_size=20)
    out = tmp_path / "out"
    fit_dataset(layouts.folder, model, out, p0=START, cluster=client, partition_bytes=4_000)
    assert read_result(out).column("curve_id").to_pylist() == list(range(150))


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(np.repeat(np.arange(30, dtype=np.uint16), 16)),
        pa.array(np.repeat([f"curve {i}" for i in range(30)], 16)),
        pa.array(np.repeat([f"curve {i}" for i in range(30)], 16)).dictionary_encode(),
        pa.array(np.repeat(np.arange(30)[::-1], 16)),
    ],
    ids=["uint16", "strings", "dictionary", "falling"],
)
def test_ids_of_long_rows_keep_their_type(
    ids: Any, layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    table = layouts.table("long", values[:30]).set_column(0, "curve_id", ids)
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=50)
    out = tmp_path / "out"
    fit_dataset(
        tmp_path / "in.parquet", model, out, p0=START, cluster=client, partition_bytes=1_000
    )
    found = read_result(out)
    kind = ids.type.value_type if pa.types.is_dictionary(ids.type) else ids.type
    assert found.schema.field("curve_id").type == kind
    assert found.column("curve_id").to_pylist() == ids.to_pylist()[::16]
    wanted = fit_curves(model, np.linspace(0.0, 4.0, 16), values[:30], p0=[1.0, 1.0, 1.0])
    assert np.array_equal(found["b"].to_numpy(), wanted.params[:, 1])


def test_sigma_start_values_and_constants_come_from_columns(
    layouts: Any, values: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    def shifted(x: Any, x0: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * (x - x0)) + c

    from manyfit.solver.model import Model

    model = Model.from_function(shifted, constants=["x0"])
    n, x = 60, np.linspace(0.0, 4.0, 16)
    rng = np.random.default_rng(3)
    y, sigma = values[:n], rng.uniform(0.5, 2, (n, 16))
    per_curve = {name: rng.uniform(0.8, 1.2, n) for name in ("p0_a", "p0_b", "p0_c", "x0")}
    p0 = np.stack([per_curve[f"p0_{p}"] for p in "abc"], axis=1)
    fit = fit_curves(model, x, y, sigma=sigma, p0=p0, constants={"x0": per_curve["x0"]})
    made = {
        "list": layouts.table("list", y).append_column("s", pa.array(list(sigma))),
        "long": layouts.table("long", y).append_column("s", pa.array(sigma.reshape(-1))),
        "wide": layouts.table("wide", y),
    }
    for j in range(16):
        made["wide"] = made["wide"].append_column(f"s_{j}", pa.array(sigma[:, j]))
    named = {k: {"sigma": "s"} for k in ("list", "long")} | {
        "wide": {"sigma": "s_*", "y": "y_*", "x": x}
    }
    for kind, table in made.items():
        repeat = 16 if kind == "long" else 1
        for name, column in per_curve.items():
            table = table.append_column(name, pa.array(np.repeat(column, repeat)))  # noqa: PLW2901
        found = fit_table(table, model, columns=Columns(**named[kind]))
        for j, name in enumerate("abc"):
            assert np.array_equal(found[name].to_numpy(), fit.params[:, j]), kind
        path = tmp_path / f"{kind}.parquet"
        pq.write_table(table, path, row_group_size=100)
        out = tmp_path / f"out {kind}"
        fit_dataset(path, model, out, columns=Columns(**named[kind]), cluster=client)
        assert bits(read_result(out)) == bits(found)


def test_two_predictors_of_an_image_are_given_as_values(client: Any, tmp_path: Path) -> None:
    def plane(u: Any, v: Any, a: Any, b: Any, c: Any) -> Any:
        return a * u + b * v + c

    from manyfit.solver.model import Model

    model = Model.from_function(plane, x=["u", "v"])
    v, u = (grid.reshape(-1).astype(float) for grid in np.mgrid[:4, :5])
    truth = np.random.default_rng(0).normal(size=(30, 3))
    y = truth @ np.stack([u, v, np.ones_like(u)])
    table = pa.table({"y": list(y)})
    pq.write_table(table, tmp_path / "in.parquet")
    columns = Columns(x={"u": u, "v": v})
    fit_dataset(tmp_path / "in.parquet", model, tmp_path / "out", columns=columns, cluster=client)
    found = read_result(tmp_path / "out")
    for j, name in enumerate("abc"):
        np.testing.assert_allclose(found[name].to_numpy(), truth[:, j], atol=1e-7)


def test_a_scalar_column_can_be_a_predictor_of_the_whole_curve(layouts: Any, values: Any) -> None:
    def scaled(x: Any, t: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * x / t) + c

    from manyfit.solver.model import Model

    model = Model.from_function(scaled, x=["x", "t"])
    t = np.random.default_rng(1).uniform(0.5, 2, 20)
    x = np.linspace(0.0, 4.0, 16)
    fit = fit_curves(
        model, {"x": x, "t": np.repeat(t[:, None], 16, axis=1)}, values[:20], p0=[1.0, 1.0, 1.0]
    )
    for kind in KINDS:
        table = layouts.table(kind, values[:20])
        repeat = 16 if kind == "long" else 1
        table = table.append_column("t", pa.array(np.repeat(t, repeat)))
        given = {"x": x if kind == "wide" else "x", "t": "t"}
        columns = Columns(y="y_*" if kind == "wide" else "y", x=given)
        found = fit_table(table, model, columns=columns, p0=START)
        assert np.array_equal(found["b"].to_numpy(), fit.params[:, 1]), kind


def test_the_schema_tells_how_to_read_the_result(
    layouts: Any, values: Any, model: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:5])
    fit_dataset(path, model, tmp_path / "out", p0=START, cluster=client)
    schema = read_result(tmp_path / "out").schema
    assert schema.names == [
        *["curve_id", "a", "b", "c", "a_stderr", "b_stderr", "c_stderr", "cov"],
        *["status", "flags", "compiled", "nfev", "n_points", "cost", "redchi"],
    ]
    assert schema.field("cov").type == pa.list_(pa.float64(), 9)
    assert [str(schema.field(n).type) for n in ("status", "flags", "nfev", "n_points")] == [
        *["int8", "uint8", "int32", "int32"]
    ]
    about = result_metadata(tmp_path / "out")
    assert about["model"]["params"] == ["a", "b", "c"]
    assert about["options"]["ftol"] == 1.49012e-8
    assert about["status"]["-1"]["name"] == "NO_DATA"
    assert about["flags"]["1"] == "POINTS_OMITTED"
    assert about["input"]["files"] == 1
    assert "numpy" in about["versions"]
