"""A bad curve is a row with a code; the curves beside it do not notice, to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.options import FitOptions
from manyfit.solver.status import Flag, Status

START = [1.0, 1.0, 1.0]
X = np.linspace(0.0, 4.0, 16).tolist()
N = 40


def lists(y: Any, x: Any = None, sigma: Any = None, **columns: Any) -> pa.Table:
    kind = pa.list_(pa.float64())
    made = {"y": pa.array(y, kind), "x": pa.array(x or [X] * len(y), kind)}
    if sigma is not None:
        made["sigma"] = pa.array(sigma, kind)
    return pa.table({"curve_id": list(range(len(y))), **made, **columns})


BAD: dict[str, tuple[Any, Status, int]] = {
    "null": (None, Status.NO_DATA, 0),
    "empty": ([], Status.NO_DATA, 0),
    "all NaN": ([np.nan] * 16, Status.NONFINITE_DATA, 0),
    "all null": ([None] * 16, Status.NONFINITE_DATA, 0),
    "two points left": ([1.0, 0.5, *[np.nan] * 14], Status.TOO_FEW_POINTS, 2),
}


def spoiled(values: Any, place: int, y: Any) -> list[Any]:
    made: list[Any] = values[:N].tolist()
    made[place] = y
    return made


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", [0, 17, N - 1])
def test_a_curve_without_data_has_a_row(
    name: str, place: int, values: Any, model: Any, bits: Any
) -> None:
    y, status, n_points = BAD[name]
    good = fit_table(lists(values[:N].tolist()), model, p0=START)
    found = fit_table(lists(spoiled(values, place, y)), model, p0=START)
    row = found.slice(place, 1).to_pylist()[0]
    assert (row["curve_id"], row["status"], row["n_points"]) == (place, status, n_points)
    numbers = [row[c] for c in ("a", "b", "c", "a_stderr", "cost", "redchi")] + row["cov"]
    assert np.isnan(numbers).all()
    others = pa.array([i != place for i in range(N)])
    assert bits(found.filter(others)) == bits(good.filter(others))


@pytest.mark.parametrize("y", [np.nan, np.inf, None])
def test_points_that_are_not_finite_are_left_out_and_flagged(
    y: Any, values: Any, model: Any, bits: Any
) -> None:
    good = fit_table(lists(values[:N].tolist()), model, p0=START)
    made = values[:N].tolist()
    made[5][3] = y
    found = fit_table(lists(made), model, p0=START)
    row = found.slice(5, 1).to_pylist()[0]
    assert row["status"] in (1, 2, 3)
    assert row["flags"] == Flag.POINTS_OMITTED
    assert row["n_points"] == 15
    shorter = values[:N].tolist()
    del shorter[5][3]
    x = [list(X) for _ in range(N)]
    del x[5][3]
    alone = fit_table(lists(shorter[5:6], x[5:6]), model, p0=START).to_pylist()[0]
    assert row["a"] == pytest.approx(alone["a"], rel=1e-9)
    others = pa.array([i != 5 for i in range(N)])
    assert bits(found.filter(others)) == bits(good.filter(others))


def test_lists_of_different_lengths_in_one_curve_are_improper_input(
    values: Any, model: Any
) -> None:
    y = values[:N].tolist()
    x: list[Any] = [list(X) for _ in range(N)]
    x[3], x[4], y[5] = X[:-1], None, y[5][:-2]
    found = fit_table(lists(y, x), model, p0=START).to_pylist()
    assert [found[i]["status"] for i in (3, 4, 5)] == [Status.IMPROPER_INPUT] * 3
    assert all(np.isnan(found[i]["a"]) for i in (3, 4, 5))
    shared = fit_table(lists(y), model, columns=Columns(x=X), p0=START).to_pylist()
    assert shared[5]["status"] == Status.IMPROPER_INPUT
    good = fit_table(lists(values[:N].tolist()), model, p0=START).to_pylist()
    for i in set(range(N)) - {3, 4, 5}:
        assert found[i]["a"] == shared[i]["a"] == good[i]["a"]


def test_curves_of_different_lengths_each_get_their_own_fit(
    values: Any, model: Any, bits: Any
) -> None:
    y = [row[: 6 + i % 11].tolist() for i, row in enumerate(values[:N])]
    x = [X[: len(row)] for row in y]
    found = fit_table(lists(y, x), model, p0=START)
    assert found["n_points"].to_pylist() == [len(row) for row in y]
    for i in range(0, N, 7):
        alone = fit_table(lists(y[i : i + 1], x[i : i + 1]), model, p0=START)
        names = [n for n in found.column_names if n != "curve_id"]
        assert bits(found.slice(i, 1).select(names)) == bits(alone.select(names))


def test_sigma_that_is_not_positive_is_a_status(values: Any, model: Any) -> None:
    sigma = np.full((N, 16), 0.5)
    sigma[2, 3], sigma[7] = 0.0, -1.0
    found = fit_table(
        lists(values[:N].tolist(), sigma=list(sigma)),
        model,
        columns=Columns(sigma="sigma"),
        p0=START,
    )
    status = found["status"].to_pylist()
    assert [i for i in range(N) if status[i] == Status.BAD_SIGMA] == [2, 7]


def test_start_values_that_are_null_or_out_of_bounds_are_a_status(values: Any, model: Any) -> None:
    start = {f"p0_{p}": pa.array([1.0] * N) for p in "abc"}
    start["p0_a"] = pa.array([None, 50.0, *[1.0] * (N - 2)])
    found = fit_table(
        lists(values[:N].tolist(), **start), model, options=FitOptions(bounds={"a": (0, 10)})
    )
    assert found["status"].to_pylist()[:2] == [Status.BAD_START] * 2
    assert pc.all(pc.greater(found["status"][2:], 0)).as_py()


def test_a_constant_curve_is_fitted_or_says_why_not(model: Any) -> None:
    found = fit_table(lists([[2.5] * 16] * 3), model, p0=START).to_pylist()
    assert found[0]["status"] != 0
    assert found[0]["a"] == found[2]["a"] or np.isnan(found[0]["a"])


def test_nan_policy_propagate_is_a_status(values: Any, model: Any) -> None:
    y = values[:N].tolist()
    y[1][1] = np.nan
    found = fit_table(lists(y), model, p0=START, options=FitOptions(nan_policy="propagate"))
    assert found["status"].to_pylist()[1] == Status.NONFINITE_DATA


@pytest.mark.parametrize("kind", ["list", "long", "wide"])
def test_nothing_is_dropped_on_the_way(
    kind: str, layouts: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    y = values[:200].copy()
    rng = np.random.default_rng(5)
    y[rng.random(y.shape) < 0.02] = np.nan
    y[rng.random(200) < 0.05] = np.inf
    path = layouts.write(kind, y, rows=333)
    columns = layouts.columns(kind)
    summary = fit_dataset(
        path,
        model,
        tmp_path / kind,
        columns=columns,
        p0=START,
        cluster=client,
        partition_bytes=2000,
    )
    found = read_result(tmp_path / kind)
    assert found["curve_id"].to_pylist() == [3 * i for i in range(200)]
    assert sum(summary.counts.values()) == summary.curves == 200
    assert bits(found) == bits(fit_table(layouts.table("list", y), model, p0=START))


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float64(), 16)], ids=str)
def test_null_curves_survive_the_file(
    kind: Any, values: Any, model: Any, bits: Any, client: Any, tmp_path: Path
) -> None:
    y = values[:30].tolist()
    y[0] = y[11] = y[29] = None
    table = pa.table({"y": pa.array(y, kind)})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=10)
    columns = Columns(x=X)
    args: dict[str, Any] = {"columns": columns, "p0": START}
    fit_dataset(tmp_path / "in.parquet", model, tmp_path / "out", cluster=client, **args)
    found = read_result(tmp_path / "out")
    assert np.flatnonzero(np.array(found["status"]) == Status.NO_DATA).tolist() == [0, 11, 29]
    for piece in (table, table.slice(5)):
        in_memory = fit_table(piece, model, **args)
        names = [n for n in found.column_names if n != "curve_id"]
        rest = found.slice(30 - len(piece))
        assert bits(in_memory.select(names)) == bits(rest.select(names))


def test_only_ids_and_kept_columns_may_be_null_and_are_kept_so(
    values: Any, model: Any, tmp_path: Path, client: Any
) -> None:
    y = values[:6].tolist()
    y[2] = None
    ids, plates = (
        pa.array(["a", None, "c", "d", "e", "f"]),
        pa.array([None, "p", "p", "q", "q", "q"]),
    )
    table = lists(y).set_column(0, "curve_id", ids).append_column("plate", plates)
    pq.write_table(table, tmp_path / "in.parquet")
    columns, out = Columns(keep=["plate"]), tmp_path / "out"
    fit_dataset(tmp_path / "in.parquet", model, out, columns=columns, p0=START, cluster=client)
    (part,) = out.glob("*.parquet")
    written = pq.read_table(part)
    assert [f.name for f in written.schema if f.nullable] == ["curve_id", "plate"]
    assert written["curve_id"].to_pylist() == ids.to_pylist()
    assert written["plate"].to_pylist() == plates.to_pylist()
    assert all(column.null_count == 0 for column in written.columns[2:])
    assert written["status"].to_pylist()[2] == Status.NO_DATA
