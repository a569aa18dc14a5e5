"""The same curves give the same bits wherever they are held: on storage, in memory, or lazily."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataframes import fit_dataframe
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.results import read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves

X = np.linspace(0.0, 4.0, 16)
START = {"a": 1.0, "b": 1.0, "c": 1.0}
NUMBERS = ("a", "b", "c", "a_stderr", "b_stderr", "c_stderr", "status", "nfev", "cost")


@dataclass(frozen=True)
class Held:
    """Curves, and what is needed to fit them where they are held."""

    y: Any
    folder: Path
    client: Any
    friend: Callable[[str], Any]
    model: Callable[..., Any]

    @property
    def lists(self) -> pa.Table:
        return pa.table({"x": pa.array([X] * len(self.y)), "y": pa.array(list(self.y))})

    @property
    def long(self) -> pa.Table:
        n, m = self.y.shape
        ids = np.repeat(np.arange(n), m)
        return pa.table({"curve_id": ids, "x": np.tile(X, n), "y": self.y.reshape(-1)})

    @property
    def wide(self) -> pa.Table:
        return pa.table({f"y_{j}": self.y[:, j].copy() for j in range(len(X))})

    def from_parquet(self, table: pa.Table, columns: Columns | None = None) -> pa.Table:
        pq.write_table(table, self.folder / "in.parquet", row_group_size=len(table) // 3 + 1)
        return self.from_storage("in.parquet", columns)

    def from_storage(self, name: str, columns: Columns | None = None) -> pa.Table:
        fit_dataset(
            self.folder / name,
            self.model,
            self.folder / "out",
            columns=columns,
            p0=START,
            cluster=self.client,
            partition_bytes=self.y.nbytes // 5,
        )
        return read_result(self.folder / "out")

    def in_memory(self, table: Any, columns: Columns | None = None) -> pa.Table:
        return fit_table(table, self.model, p0=START, columns=columns)

    def of_xarray(self, **chunks: int) -> Any:
        self.friend("manyfit.xarray")
        array = self.friend("xarray").DataArray(self.y, {"t": X}, ("curve", "t"))
        return (array.chunk(chunks) if chunks else array).manyfit.fit(self.model, "t", p0=START)


def lists_of_structs(held: Held) -> pa.Table:
    n, m = held.y.shape
    points = pa.StructArray.from_arrays([np.tile(X, n), held.y.reshape(-1)], ["x", "y"])
    offsets = pa.array(np.arange(n + 1, dtype="i4") * m)
    return held.from_parquet(pa.table({"points": pa.ListArray.from_arrays(offsets, points)}))


def fixed_size_lists(held: Held) -> pa.Table:
    y = pa.FixedSizeListArray.from_arrays(held.y.reshape(-1), len(X))
    return held.from_parquet(pa.table({"y": y}), Columns(x=X))


def zarr_arrays(held: Held) -> pa.Table:
    root = zarr.open_group(held.folder / "in.zarr", mode="w")
    chunks = (len(held.y) // 3 + 1, len(X))
    root.create_array("y", data=held.y, chunks=chunks, dimension_names=("curve", "t"))
    root.create_array("t", data=X, dimension_names=("t",))
    return held.from_storage("in.zarr", Columns(axis="t"))


def a_polars_frame(held: Held) -> pa.Table:
    return held.in_memory(held.friend("polars").from_arrow(held.long))


def a_pandas_frame(held: Held) -> pa.Table:
    held.friend("pandas")
    return held.in_memory(held.wide.to_pandas(), Columns(y="y_*", x=X))


def a_query_of_duckdb(held: Held) -> pa.Table:
    connection = held.friend("duckdb").connect()
    connection.register("points", held.long)
    sql = "select curve_id, list(x order by x) as x, list(y order by x) as y from points"
    return held.in_memory(connection.sql(f"{sql} group by curve_id order by curve_id"))


def a_dask_frame(held: Held) -> pa.Table:
    frame = held.long.to_pandas().set_index("curve_id")
    parts = held.friend("dask.dataframe").from_pandas(frame, npartitions=5)
    fits = fit_dataframe(parts, held.model, p0=START)
    return pa.Table.from_pandas(fits.compute())


WAYS: dict[str, Callable[[Held], Any]] = {
    "Parquet, lists": lambda held: held.from_parquet(held.lists),
    "Parquet, lists of structs": lists_of_structs,
    "Parquet, fixed-size lists": fixed_size_lists,
    "Parquet, long rows": lambda held: held.from_parquet(held.long),
    "Parquet, wide": lambda held: held.from_parquet(held.wide, Columns(y="y_*", x=X)),
    "Zarr": zarr_arrays,
    "pyarrow": lambda held: held.in_memory(held.lists),
    "a stream": lambda held: held.in_memory(held.long.to_reader(777)),
    "polars": a_polars_frame,
    "pandas": a_pandas_frame,
    "duckdb": a_query_of_duckdb,
    "a Dask dataframe": a_dask_frame,
    "xarray": Held.of_xarray,
    "xarray, lazy": lambda held: held.of_xarray(curve=len(held.y) // 4 + 1).compute(),
}


@pytest.mark.parametrize("n_curves", [2_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_curves_give_the_same_bits(
    way: str,
    n_curves: int,
    values_of: Any,
    model: Any,
    client: Any,
    friend: Any,
    tmp_path: Path,
) -> None:
    y = values_of(n_curves)
    y[7, 3] = np.nan
    fit = fit_curves(model, X, y, p0=[1.0, 1.0, 1.0])
    found = WAYS[way](Held(y, tmp_path, client, friend, model))
    wanted = dict(
        zip(NUMBERS, (*fit.params.T, *fit.stderr.T, fit.status, fit.nfev, fit.cost), strict=True)
    )
    for name in NUMBERS:
        assert np.asarray(found[name]).tobytes() == wanted[name].tobytes(), name
