"""What xarray holds is fitted along named dimensions and comes out as maps, the solver's bits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from tests.pipeline.xarrays.cubes import COLS, FORMULA, ROWS, START, T, same

NAMES = [
    "a",
    "b",
    "c",
    "a_stderr",
    "b_stderr",
    "c_stderr",
    "cov",
    "status",
    "flags",
    "compiled",
    "nfev",
]


def test_every_place_of_the_other_dimensions_is_a_curve(cube: Any, values: Any, model: Any) -> None:
    found = cube.manyfit.fit(model, "time", p0=START)
    same(found, fit_curves(model, T, values, p0=[1.0, 1.0, 1.0]))
    assert list(found) == [*NAMES, "n_points", "cost", "redchi"]
    assert found.a.dims == ("row", "col")
    assert found["cov"].dims == ("row", "col", "cov_row", "cov_column")
    assert set(found.coords) == {"row", "dose", "plate"}
    assert found.row.attrs == {"units": "mm"}
    assert found.attrs["long_name"] == "signal"
    about = json.loads(found.attrs["manyfit"])
    assert about["model"]["params"] == ["a", "b", "c"]
    assert about["input"]["along"] == ["time"]


def test_the_result_is_what_the_maps_of_a_run_are(
    cube: Any, model: Any, xr: Any, client: Any, tmp_path: Path
) -> None:
    dataset = cube.drop_vars(["plate", "delay"]).to_dataset(name="y")
    dataset.to_zarr(tmp_path / "in.zarr", zarr_format=2)
    columns = Columns(axis="time")
    fit_dataset(
        tmp_path / "in.zarr",
        model,
        tmp_path / "out.zarr",
        columns=columns,
        p0=START,
        cluster=client,
    )
    maps = xr.open_zarr(tmp_path / "out.zarr").load()
    found = xr.open_zarr(tmp_path / "in.zarr").y.manyfit.fit(model, "time", p0=START)
    stored, made = (json.loads(result.attrs.pop("manyfit")) for result in (maps, found))
    del found.attrs["long_name"]
    xr.testing.assert_identical(found.compute(), maps)
    assert {**stored, "input": None} == {**made, "input": None}


def test_a_fit_begins_where_another_ended(cube: Any, values: Any, xr: Any) -> None:
    first = cube.manyfit.fit(FORMULA, "time", p0=START)
    found = cube.manyfit.fit(FORMULA, "time", p0=first[["a", "b", "c"]])
    p0 = np.stack([first[name].values.reshape(-1) for name in "abc"], axis=1)
    same(found, fit_curves(Model.from_expression(FORMULA), T, values, p0=p0))
    assert (found.nfev < first.nfev).mean() > 0.9
    lazy = cube.chunk({"time": -1, "col": 8})
    begun = lazy.manyfit.fit(FORMULA, "time", p0=START)[["a", "b", "c"]]
    xr.testing.assert_identical(lazy.manyfit.fit(FORMULA, "time", p0=begun).compute(), found)


def plane(u: Any, v: Any, a: Any, b: Any, c: Any) -> Any:
    return a * u + b * v**2 + c


def test_two_dimensions_are_two_predictors(xr: Any) -> None:
    model = Model.from_function(plane, x=["u", "v"])
    rng = np.random.default_rng(0)
    u, v = np.linspace(-1, 1, 5), np.linspace(0, 3, 4)
    y = rng.normal(size=(7, 4, 5))
    stack = xr.DataArray(y, {"v": v, "u": u, "shot": np.arange(7)}, ("shot", "v", "u"))
    gv, gu = np.meshgrid(v, u, indexing="ij")
    wanted = fit_curves(model, {"u": gu.reshape(-1), "v": gv.reshape(-1)}, y.reshape(7, 20))
    for dim in (("v", "u"), ("u", "v")):
        same(stack.manyfit.fit(model, dim), wanted)
    xr.testing.assert_identical(
        stack.chunk({"shot": 2}).manyfit.fit(model, ["u", "v"]).compute(),
        stack.manyfit.fit(model, ["u", "v"]),
    )
    other = stack.rename(v="height", u="width")
    same(other.manyfit.fit(model, ("width", "height")), wanted)
    same(other.manyfit.fit(model, ("height", "width"), x={"u": "width", "v": "height"}), wanted)
    bare = other.drop_vars(["width", "height"])
    with pytest.raises(DatasetError, match=r"predictor\(s\) u, v.*coordinates for none of these"):
        bare.manyfit.fit(model, ("width", "height"))
    half = stack.drop_vars("v")
    with pytest.raises(DatasetError, match=r"coordinates for u, and u by the name of a predictor"):
        half.manyfit.fit(model, ("v", "u"))


def test_a_single_curve_gives_numbers(cube: Any, values: Any, model: Any) -> None:
    found = cube.isel(row=2, col=3).manyfit.fit(model, "time", p0=START)
    assert found.a.dims == ()
    assert found.row == 1.0
    assert found.a == fit_curves(model, T, values[63:64], p0=[1.0, 1, 1]).params[0, 0]


def test_bad_curves_are_places_with_a_status(cube: Any, values: Any, model: Any) -> None:
    y = values.copy()
    y[5, 3], y[300], y[599, :14] = np.nan, np.nan, np.inf
    spoilt = cube.copy(data=y.reshape(ROWS, COLS, 16).transpose(2, 0, 1))
    for policy in ("omit", "propagate"):
        found = spoilt.manyfit.fit(model, "time", p0=START, nan_policy=policy)
        same(found, fit_curves(model, T, y, p0=[1.0, 1.0, 1.0], nan_policy=policy))
    with pytest.raises(ValueError, match="nan_policy is 'raise'"):
        spoilt.manyfit.fit(model, "time", p0=START, nan_policy="raise")


def test_options_derived_quantities_and_bounds_are_those_of_the_solver(
    cube: Any, values: Any
) -> None:
    model = Model.from_expression(FORMULA).deriving(half="log(2)/b")
    options: dict[str, Any] = {"bounds": {"b": (0.0, 1.4)}, "fixed": {"c": 0.5}, "ftol": 1e-12}
    found = cube.manyfit.fit(model, "time", **options)
    wanted = fit_curves(model, T, values, **options)
    same(found, wanted)
    assert (found.flags & 2).any()
    half = wanted.derived["half"]
    assert np.array_equal(found.half, half.values.reshape(ROWS, COLS))
    assert np.array_equal(found.half_stderr, half.stderr.reshape(ROWS, COLS), equal_nan=True)


def test_large_blocks_are_fitted_piece_by_piece(
    cube: Any, model: Any, xr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    p0 = {**START, "a": cube.max("time")}
    wanted = cube.manyfit.fit(model, "time", sigma=cube**2 + 1, p0=p0)
    monkeypatch.setattr("manyfit.pipeline.xarrays.block.BATCH_BYTES", 7 * 16 * 8)
    xr.testing.assert_identical(cube.manyfit.fit(model, "time", sigma=cube**2 + 1, p0=p0), wanted)
