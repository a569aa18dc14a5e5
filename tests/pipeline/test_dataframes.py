"""A Dask dataframe is fitted partition by partition, and no curve is cut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataframes import fit_dataframe
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.memory import fit_table
from manyfit.solver.options import FitOptions

START = {"a": 1.0, "b": 1.0, "c": 1.0}
X = np.linspace(0.0, 4.0, 16)


@pytest.fixture(scope="module")
def dd(friend: Callable[[str], Any]) -> Any:
    friend("pandas")
    return friend("dask.dataframe")


@pytest.fixture(scope="module")
def framed(dd: Any) -> Callable[..., Any]:
    """Make a Dask dataframe of a table, its lists of Arrow's types; `index`: this column."""
    import pandas as pd

    def arrow_lists(kind: pa.DataType) -> Any:
        return pd.ArrowDtype(kind) if pa.types.is_nested(kind) else None

    def make(table: pa.Table, npartitions: int = 4, index: str | None = None) -> Any:
        frame = table.to_pandas(types_mapper=arrow_lists)
        return dd.from_pandas(frame.set_index(index) if index else frame, npartitions=npartitions)

    return make


def agree(found: Any, wanted: pa.Table) -> None:
    """Compare results of pandas with a table, bit for bit; the covariance too."""
    assert list(found.columns) == [n for n in wanted.column_names if n in found.columns]
    assert set(wanted.column_names) - set(found.columns) <= {"curve_id"}
    for name in found.columns:
        column = wanted[name].combine_chunks()
        if name == "cov":
            ours = pa.table({"cov": found[name]})["cov"].combine_chunks().flatten()
            assert np.array_equal(ours, column.flatten(), equal_nan=True)
        else:
            ours, theirs = found[name].to_numpy(), column.to_numpy(zero_copy_only=False)
            assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


@pytest.mark.parametrize("kind", ["list", "wide"])
def test_rows_that_are_curves_keep_their_index(
    kind: str, layouts: Any, values: Any, model: Any, framed: Any
) -> None:
    table, columns = layouts.table(kind, values[:200]), layouts.columns(kind)
    wanted = fit_table(table, model, columns=columns, p0=START)
    fits = fit_dataframe(framed(table), model, columns=columns, p0=START)
    found = fits.compute()
    agree(found, wanted)
    assert found["curve_id"].tolist() == [3 * i for i in range(200)]
    assert found.index.tolist() == list(range(200))
    assert found.dtypes.to_dict() == fits.dtypes.to_dict()
    assert fits.divisions == (0, 50, 100, 150, 199)
    by_id = fit_dataframe(framed(table, index="curve_id"), model, columns=columns, p0=START)
    found = by_id.compute()
    agree(found, wanted)
    assert found.index.name == "curve_id"
    assert found.index.tolist() == [3 * i for i in range(200)]


def test_lists_of_structs_sigma_start_values_and_columns_to_keep(
    layouts: Any, values: Any, model: Any, framed: Any
) -> None:
    table = layouts.table("list", values[:60])
    points = [
        [{"x": u, "y": v, "s": 1.0 + j} for j, (u, v) in enumerate(zip(X, y, strict=True))]
        for y in values[:60]
    ]
    rng = np.random.default_rng(2)
    more = {f"p0_{p}": rng.uniform(0.8, 1.2, 60) for p in "abc"}
    plates = pa.array([f"plate {i % 7}" for i in range(60)])
    nested = pa.table({"points": points, "plate": plates, "name": table["curve_id"], **more})
    columns = Columns(sigma="s", curve_id="name", keep=("plate",))
    wanted = fit_table(nested, model, columns=columns)
    found = fit_dataframe(framed(nested), model, columns=columns).compute()
    agree(found, wanted)
    assert found["plate"].tolist() == plates.to_pylist()
    assert found["curve_id"].tolist() == table["curve_id"].to_pylist()


def test_long_rows_are_found_by_their_index(
    layouts: Any, values: Any, model: Any, framed: Any
) -> None:
    table = layouts.table("long", values[:100])
    wanted = fit_table(table, model, p0=START)
    fits = fit_dataframe(framed(table, 7, "curve_id"), model, p0=START)
    assert fits.index.name == "curve_id"
    assert fits.known_divisions
    found = fits.compute()
    agree(found, wanted)
    assert found.index.tolist() == wanted["curve_id"].to_pylist()
    assert fits.loc[30:60].compute().index.tolist() == list(range(30, 61, 3))
    shuffled = table.take(np.random.default_rng(0).permutation(1600))
    found = fit_dataframe(framed(shuffled).set_index("curve_id"), model, p0=START).compute()
    assert found.index.tolist() == wanted["curve_id"].to_pylist()
    np.testing.assert_allclose(found["b"], wanted["b"], rtol=1e-6)  # points in another order


def test_the_cluster_that_is_there_fits_them(
    layouts: Any, values: Any, model: Any, framed: Any, client: Any
) -> None:
    table = layouts.table("list", values[:100])
    fits = fit_dataframe(framed(table), model, p0=START)
    agree(client.compute(fits).result(), fit_table(table, model, p0=START))


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_parquet_goes_in_and_out_by_dask(
    layouts: Any, values: Any, model: Any, dd: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:100], rows=30)
    frame = dd.read_parquet(path, dtype_backend="pyarrow")
    fit_dataframe(frame, model, p0=START).to_parquet(tmp_path / "out")
    stored = dd.read_parquet(tmp_path / "out", dtype_backend="pyarrow").compute()
    wanted = fit_table(layouts.table("list", values[:100]), model, p0=START)
    assert np.array_equal(stored["a"].to_numpy(), wanted["a"])
    assert pa.array(stored["cov"]).type.list_size == 9


def test_partitions_without_rows_and_null_curves(
    layouts: Any, values: Any, model: Any, framed: Any
) -> None:
    table = layouts.table("list", values[:40])
    y = [None if 20 <= i < 30 else row for i, row in enumerate(table["y"].to_pylist())]
    table = table.set_column(2, "y", pa.array(y, pa.list_(pa.float64())))
    frame = framed(table)
    some = frame[(frame.curve_id >= 30) & (frame.curve_id < 105)]
    found = fit_dataframe(some, model, p0=START).compute()
    agree(found, fit_table(table, model, p0=START).slice(10, 25))
    assert (found["status"] == -1).sum() == 10


def test_nothing_is_fitted_before_it_is_asked_for(
    layouts: Any, values: Any, model: Any, framed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manyfit.pipeline import dataframes

    fitted: list[int] = []
    fit_rows = vars(dataframes)["fit_rows"]

    def counted(curves: Any, *more: Any) -> Any:
        fitted.append(len(curves))
        return fit_rows(curves, *more)

    monkeypatch.setattr(dataframes, "fit_rows", counted)
    fits = fit_dataframe(framed(layouts.table("list", values[:100])), model, p0=START)
    assert fitted == []
    fits.compute(scheduler="synchronous")
    assert fitted == [25, 25, 25, 25]


def test_long_rows_that_may_be_cut_are_refused(
    layouts: Any, values: Any, model: Any, framed: Any
) -> None:
    table = layouts.table("long", values[:40])
    with pytest.raises(DatasetError, match=r"\(its index is None\).*set_index\('curve_id'\)"):
        fit_dataframe(framed(table), model)
    frame = framed(table, index="curve_id").clear_divisions()
    with pytest.raises(DatasetError, match=r"\(its divisions are not known\)"):
        fit_dataframe(frame, model)


def test_a_curve_in_two_partitions_is_refused_by_its_task(
    layouts: Any, values: Any, model: Any, dd: Any
) -> None:
    frame = layouts.table("long", values[:40]).to_pandas().set_index("curve_id")
    parts = [frame.iloc[:325], frame.iloc[325:]]  # five rows of curve 60 in the first
    cut = dd.from_map(lambda k: parts[k], [0, 1], meta=frame.iloc[:0], divisions=(0, 60, 117))
    fits = fit_dataframe(cut, model)
    with pytest.raises(DatasetError, match="rows of curve 60 lie in two partitions"):
        fits.compute(scheduler="synchronous")


def test_rows_of_a_curve_that_lie_apart_are_refused(
    layouts: Any, values: Any, model: Any, dd: Any
) -> None:
    frame = layouts.table("long", values[:40]).to_pandas().set_index("curve_id")
    mixed = frame.iloc[np.r_[0:8, 16:32, 8:16, 32:640]]
    apart = dd.from_map(lambda _: mixed, [0], meta=frame.iloc[:0], divisions=(0, 117))
    with pytest.raises(DatasetError, match="curve id 0 comes back after other curves"):
        fit_dataframe(apart, model).compute(scheduler="synchronous")


def test_misuse_is_found_before_a_task(
    layouts: Any, values: Any, model: Any, framed: Any, dd: Any
) -> None:
    import pandas as pd

    table = layouts.table("list", values[:40])
    frame = framed(table)
    with pytest.raises(DatasetError, match=r"got a pandas.DataFrame; expected a dask.*fit_table"):
        fit_dataframe(table.to_pandas(), model)
    with pytest.raises(DatasetError, match=r"select its rows first, frame\[frame.dose > 3\]"):
        fit_dataframe(frame, model, columns=Columns(where="curve_id > 3"))
    with pytest.raises(DatasetError, match="the dataframe has no rows; its columns are"):
        fit_dataframe(frame[frame.curve_id < 0], model)
    with pytest.raises(DatasetError, match="y: there is no column 'z'"):
        fit_dataframe(frame, model, columns=Columns(y="z"))
    with pytest.raises(ValueError, match="p0 names 'z', which is no parameter"):
        fit_dataframe(frame, model, p0={"z": 1.0})
    with pytest.raises(ValueError, match="outside its bounds"):
        fit_dataframe(frame, model, p0=START, options=FitOptions(bounds={"a": (2, 3)}))
    as_text = dd.from_pandas(pd.DataFrame({"y": list(values[:9])}), npartitions=2)
    with pytest.raises(DatasetError, match=r"y: column 'y' holds text .*dtype_backend='pyarrow'"):
        fit_dataframe(as_text, model, columns=Columns(x=X))
