"""Derived quantities and ties on the way into the result, and back from what it says of itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.results import read_result, result_metadata
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves
from manyfit.solver.library import exponential_decay, gaussian
from manyfit.solver.model import Model

X = np.linspace(0.0, 4.0, 16)
HALF_LIFE = exponential_decay().deriving(half_life="log(2)/b")
TIED = HALF_LIFE.tied(c="a/4")


@pytest.mark.parametrize("model", [HALF_LIFE, TIED], ids=["derived", "tied"])
def test_the_table_has_columns_of_what_is_derived(layouts: Any, values: Any, model: Model) -> None:
    rows = fit_table(layouts.table("list", values[:50]), model)
    n = model.n_params
    fitted = [*model.params, *(f"{name}_stderr" for name in model.params)]
    assert rows.column_names[1 : 1 + 2 * n] == fitted
    names = list(model.derived)
    there = rows.column_names[1 + 2 * n : rows.column_names.index("cov")]
    assert there == [*names, *(f"{name}_stderr" for name in names)]
    fit = fit_curves(model, X, values[:50])
    for name in names:
        np.testing.assert_array_equal(rows[name], fit.derived[name].values)
        np.testing.assert_array_equal(rows[f"{name}_stderr"], fit.derived[name].stderr)


def test_a_result_says_how_its_columns_were_derived(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("long", values[:60])
    summary = fit_dataset(path, TIED, tmp_path / "out", cluster=client)
    assert summary.curves == 60
    rows, said = read_result(tmp_path / "out"), result_metadata(tmp_path / "out")["model"]
    assert said["derived"] == {"half_life": "log(2)/b", "c": "a/4"}
    assert said["params"] == ["a", "b"]
    params = {name: rows[name].to_numpy()[:, None] for name in said["params"]}
    again = Model.from_expression(said["expression"], said["params"])
    best = again(x=X, **params)
    chi2 = np.sum((best - values[:60]) ** 2, axis=1)
    np.testing.assert_allclose(0.5 * chi2, rows["cost"], rtol=1e-9)
    by_hand = {"half_life": np.log(2) / params["b"], "c": params["a"] / 4}
    for name, value in by_hand.items():
        np.testing.assert_allclose(rows[name], value[:, 0], rtol=1e-12)
    np.testing.assert_allclose(
        rows["c_stderr"].to_numpy(), rows["a_stderr"].to_numpy() / 4, rtol=1e-12
    )


def test_maps_have_one_of_each_derived_quantity(values: Any, client: Any, tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "image.zarr", mode="w")
    image = values[:24].reshape(4, 6, 16)
    root.create_array("y", data=image, dimension_names=("row", "col", "x"))
    root.create_array("x", data=X, dimension_names=("x",))
    out = tmp_path / "maps.zarr"
    columns = Columns(axis=["x"])
    fit_dataset(tmp_path / "image.zarr", HALF_LIFE, out, cluster=client, columns=columns)
    maps: Any = zarr.open_group(out, mode="r")
    np.testing.assert_array_equal(maps["half_life"][:], np.log(2) / maps["b"][:])
    found = fit_curves(HALF_LIFE, X, values[:24]).derived["half_life"].stderr
    np.testing.assert_array_equal(maps["half_life_stderr"][:], found.reshape(4, 6))
    assert "delta method" in maps["half_life_stderr"].attrs["description"]


def test_what_is_derived_belongs_to_the_job(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:20])
    fit_dataset(path, HALF_LIFE, tmp_path / "out", cluster=client)
    assert fit_dataset(path, HALF_LIFE, tmp_path / "out", cluster=client).fitted == 0
    other = exponential_decay().deriving(half_life="log(3)/b")
    with pytest.raises(JobMismatchError, match=r"model derived: {'half_life': 'log\(2\)/b'} there"):
        fit_dataset(path, other, tmp_path / "out", cluster=client)
    with pytest.raises(JobMismatchError, match=r"model params: \['a', 'b', 'c'\] there"):
        fit_dataset(path, TIED, tmp_path / "out", cluster=client)


def test_a_composed_model_is_fitted_by_workers_as_it_is_here(
    layouts: Any, client: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    x = np.linspace(0, 4, 16)
    y = 3 * np.exp(-1.5 * x) + 2 * np.exp(-8 * (x - 2.5) ** 2)
    y = y + 0.01 * rng.standard_normal((30, 16))
    model = exponential_decay() + gaussian(prefix="g_").tied(g_s="0.25")
    fit_dataset(layouts.write("list", y), model, tmp_path / "out", cluster=client)
    rows = read_result(tmp_path / "out")
    here = fit_curves(model, x, y)
    for j, name in enumerate(model.params):
        np.testing.assert_array_equal(rows[name], here.params[:, j])
    assert here.success.all()
    np.testing.assert_allclose(here.params[:, model.params.index("g_mu")], 2.5, atol=0.05)


@pytest.mark.parametrize(
    ("name", "twice"), [("status", "status"), ("a_stderr", "a_stderr"), ("cov", "cov")]
)
def test_what_is_derived_may_not_have_the_name_of_a_column(
    layouts: Any, values: Any, name: str, twice: str
) -> None:
    table: pa.Table = layouts.table("list", values[:3])
    message = rf"two columns \['{twice}'\]: rename the parameter, or what is derived \(taken are"
    with pytest.raises(ValueError, match=message):
        fit_table(table, exponential_decay().deriving(**{name: "2*a"}))
