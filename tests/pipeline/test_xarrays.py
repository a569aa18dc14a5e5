"""What xarray holds is fitted along named dimensions, at once or lazily, and comes out as maps."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.pointwise import ModelWarning

ROWS, COLS = 20, 30
T = np.linspace(0.0, 4.0, 16)
START = {"a": 1.0, "b": 1.0, "c": 1.0}
FORMULA = "a*exp(-b*x) + c"
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


@pytest.fixture(scope="module")
def xr(friend: Callable[[str], Any]) -> Any:
    friend("manyfit.xarray")
    return friend("xarray")


@pytest.fixture
def cube(xr: Any, values: Any) -> Any:
    """600 curves as an image, the time first."""
    return xr.DataArray(
        values.reshape(ROWS, COLS, 16).transpose(2, 0, 1),
        {
            "time": ("time", T, {"units": "ms"}),
            "row": ("row", np.arange(ROWS) * 0.5, {"units": "mm"}),
            "dose": (("row", "col"), np.arange(600.0).reshape(ROWS, COLS)),
            "plate": "P1",
            "delay": ("time", T + 1.0),
        },
        ("time", "row", "col"),
        attrs={"long_name": "signal"},
    )


def same(found: Any, fit: Any) -> None:
    """Compare maps with fits of the solver, bit for bit."""
    shape = found.status.shape
    for j, name in enumerate(fit.model.params):
        assert np.array_equal(found[name], fit.params[:, j].reshape(shape), equal_nan=True)
        assert np.array_equal(
            found[f"{name}_stderr"], fit.stderr[:, j].reshape(shape), equal_nan=True
        )
    n = len(fit.model.params)
    assert np.array_equal(found["cov"], fit.cov.reshape(*shape, n, n), equal_nan=True)
    for name in ("status", "flags", "compiled", "nfev", "n_points", "cost", "redchi"):
        wanted = getattr(fit, name)
        assert found[name].dtype == wanted.dtype
        assert np.array_equal(found[name], wanted.reshape(shape), equal_nan=True)


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


@pytest.mark.parametrize("chunks", [{"row": 7, "col": 11}, {"row": 1}, {"row": -1, "col": -1}])
def test_lazy_arrays_give_the_same_bits(chunks: Any, cube: Any, model: Any, xr: Any) -> None:
    sigma = 0.5 + cube.isel(time=0, drop=True) ** 2
    given: dict[str, Any] = {"p0": {**START, "a": cube.max("time")}, "sigma": sigma}
    wanted = cube.manyfit.fit(model, "time", **given)
    lazy = cube.chunk({"time": -1, **chunks}).manyfit.fit(model, "time", **given)
    assert all(variable.chunks for variable in lazy.data_vars.values())
    for scheduler in ("synchronous", "threads"):
        xr.testing.assert_identical(lazy.compute(scheduler=scheduler), wanted)
    given["sigma"] = sigma.chunk({"row": 3})
    xr.testing.assert_identical(cube.manyfit.fit(model, "time", **given).compute(), wanted)


def test_lazy_arrays_are_fitted_by_the_cluster_that_is_there(
    cube: Any, model: Any, xr: Any, client: Any
) -> None:
    wanted = cube.manyfit.fit(model, "time", p0=START)
    lazy = cube.chunk({"time": -1, "row": 6}).manyfit.fit(model, "time", p0=START)
    with client.as_current():
        xr.testing.assert_identical(lazy.compute(), wanted)
    future = client.compute(lazy)
    xr.testing.assert_identical(future.result(), wanted)


def test_nothing_is_fitted_before_it_is_asked_for_and_each_block_once(
    cube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manyfit.pipeline.xarrays import block

    fitted: list[int] = []
    fit_rows = vars(block)["fit_rows"]

    def counted(curves: Any, *more: Any) -> Any:
        fitted.append(len(curves))
        return fit_rows(curves, *more)

    monkeypatch.setattr(block, "fit_rows", counted)
    lazy = cube.chunk({"time": -1, "row": 7, "col": 15}).manyfit.fit(FORMULA, "time")
    assert fitted == []
    lazy.compute(scheduler="synchronous")
    assert sorted(fitted) == [90, 90, 105, 105, 105, 105]


def test_a_formula_reads_nothing_and_a_function_is_tried_on_the_first_curves(
    cube: Any, model: Any
) -> None:
    da: Any = importlib.import_module("dask.array")
    read: list[tuple[int, ...]] = []

    def block(part: Any) -> Any:
        read.append(part.shape)
        return part

    raw = da.from_array(cube.values, chunks=(16, 10, 10))
    lazy = cube.copy(data=raw.map_blocks(block, meta=np.empty((0, 0, 0))))
    lazy.manyfit.fit(FORMULA, "time")
    assert read == []
    lazy.manyfit.fit(model, "time")
    assert read == [(16, 10, 10)] * 3  # one row of 30 curves lies in three of six chunks


def test_results_can_be_stored_as_they_are_computed(cube: Any, xr: Any, tmp_path: Path) -> None:
    lazy = cube.chunk({"time": -1, "row": 10}).manyfit.fit(FORMULA, "time")
    lazy.to_zarr(tmp_path / "out.zarr", zarr_format=2)
    stored = xr.open_zarr(tmp_path / "out.zarr").load()
    xr.testing.assert_identical(stored, cube.manyfit.fit(FORMULA, "time"))


def test_what_belongs_to_curves_is_matched_by_name(cube: Any, values: Any, xr: Any) -> None:
    def shifted(x: Any, x0: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * (x - x0)) + c

    model = Model.from_function(shifted, constants=["x0"])
    rng = np.random.default_rng(3)
    sizes = {"row": ROWS, "col": COLS, "time": 16}

    def drawn(*dims: str) -> Any:
        return xr.DataArray(rng.uniform(0.8, 1.2, [sizes[d] for d in dims]), dims=dims)

    x0, a, b = drawn("col", "row"), drawn("row"), drawn("row", "col")
    for dims in (("row", "time", "col"), ("time",), ("col",), ("time", "row")):
        sigma = drawn(*dims)
        found = cube.manyfit.fit(
            model, "time", sigma=sigma, constants={"x0": x0}, p0={"a": a, "b": b, "c": 1.0}
        )
        like = xr.ones_like(cube).transpose("row", "col", "time")
        one = like.isel(time=0)

        def flat(values: Any, like: Any) -> Any:
            return (values * like).transpose(*like.dims).values.reshape(600, -1)

        wanted = fit_curves(
            model,
            T,
            values,
            sigma=flat(sigma, like),
            p0={"a": flat(a, one)[:, 0], "b": flat(b, one)[:, 0], "c": 1.0},
            constants={"x0": flat(x0, one)[:, 0]},
        )
        same(found, wanted)


def test_bare_arrays_are_matched_by_their_shape(cube: Any, values: Any, model: Any) -> None:
    rng = np.random.default_rng(4)
    a = rng.uniform(0.8, 1.2, (ROWS, COLS))
    p0 = {**START, "a": a}
    for sigma, wanted in (
        (0.5, 0.5),
        (per_point := rng.uniform(0.5, 2, 16), per_point),
        (whole := rng.uniform(0.5, 2, cube.shape), whole.transpose(1, 2, 0).reshape(600, 16)),
    ):
        found = cube.manyfit.fit(model, "time", sigma=sigma, p0=p0)
        solver: dict[str, Any] = {"sigma": wanted, "p0": {**START, "a": a.reshape(-1)}}
        same(found, fit_curves(model, T, values, **solver))
    found = cube.manyfit.fit(model, "time", p0=[1.0, 1.0, 1.0], x=list(T + 1), absolute_sigma=True)
    same(found, fit_curves(model, T + 1, values, p0=[1.0, 1.0, 1.0], absolute_sigma=True))


def test_a_fit_begins_where_another_ended(cube: Any, values: Any, xr: Any) -> None:
    first = cube.manyfit.fit(FORMULA, "time", p0=START)
    found = cube.manyfit.fit(FORMULA, "time", p0=first[["a", "b", "c"]])
    p0 = np.stack([first[name].values.reshape(-1) for name in "abc"], axis=1)
    same(found, fit_curves(Model.from_expression(FORMULA), T, values, p0=p0))
    assert (found.nfev < first.nfev).mean() > 0.9
    lazy = cube.chunk({"time": -1, "col": 8})
    begun = lazy.manyfit.fit(FORMULA, "time", p0=START)[["a", "b", "c"]]
    xr.testing.assert_identical(lazy.manyfit.fit(FORMULA, "time", p0=begun).compute(), found)


def test_an_x_of_each_curve(cube: Any, values: Any, model: Any, xr: Any) -> None:
    start = np.random.default_rng(5).uniform(0, 0.5, ROWS)
    x = cube.time + xr.DataArray(start, {"row": cube.row}, ["row"])
    full = np.repeat(T + start[:, None], COLS, axis=0)
    for given in (x, x.transpose("row", "time"), x.chunk({"row": 4})):
        found = cube.manyfit.fit(model, "time", x=given, p0=START).compute()
        same(found, fit_curves(model, full, values, p0=[1.0, 1.0, 1.0]))


def test_variables_of_a_dataset_are_given_by_name(cube: Any, values: Any, xr: Any) -> None:
    model = Model.from_function(
        lambda x, t0, a, b, c: a * np.exp(-b * (x - t0)) + c, constants=["t0"]
    )
    rng = np.random.default_rng(6)
    sigma, bad = rng.uniform(0.5, 2, (ROWS, 16)), rng.uniform(size=(COLS, 16)) < 0.2
    dataset = xr.Dataset(
        {
            "signal": cube,
            "error": (("row", "time"), sigma),
            "bad": (("col", "time"), bad),
            "start": ("row", a := rng.uniform(0.8, 1.2, ROWS)),
            "t0": ("col", t0 := rng.uniform(0, 1, COLS)),
        },
        attrs={"title": "an experiment"},
    )
    names: dict[str, Any] = {"x": "delay", "sigma": "error", "mask": "bad", "p0": {"a": "start"}}
    found = dataset.manyfit.fit(model, "time", y="signal", **names)
    left = np.where(np.tile(bad, (ROWS, 1)), np.nan, values)
    wanted = fit_curves(
        model,
        T + 1.0,
        left,
        sigma=np.repeat(sigma, COLS, axis=0),
        p0={"a": np.repeat(a, COLS)},
        constants={"t0": np.tile(t0, ROWS)},
    )
    assert wanted.flags.any()
    same(found, wanted)
    assert found.attrs["title"] == "an experiment"
    lazy = dataset.chunk({"row": 6, "col": 7}).manyfit.fit(model, "time", y="signal", **names)
    xr.testing.assert_identical(lazy.compute(), found)


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


@pytest.mark.parametrize(
    ("kind", "step", "seconds", "unit"),
    [
        ("M8[ns]", "ns", np.arange(16) * 90 / 1e9, "seconds since 2024-02-28T12:00"),
        ("M8[s]", "s", np.arange(16) * 90.0, "seconds since 2024-02-28T12:00"),
        ("M8[ns]", "h", np.arange(16) * 90 * 3600.0, "seconds since 2024-02-28T12:00"),
        ("m8[ms]", "s", np.arange(16) * 90.0 + 7, "seconds"),
    ],
)
def test_times_count_in_seconds_from_the_earliest(
    kind: str, step: str, seconds: Any, unit: str, values: Any, xr: Any
) -> None:
    steps = (np.arange(16) * 90).astype(f"m8[{step}]")
    origin = np.timedelta64(7, "s") if kind[0] == "m" else np.datetime64("2024-02-28T12:00")
    time = (origin + steps).astype(kind)
    array = xr.DataArray(values[:9], {"time": time}, ("curve", "time"))
    model = Model.from_expression("a + b*x")
    found = array.manyfit.fit(model, "time")
    same(found, fit_curves(model, seconds, values[:9]))
    assert json.loads(found.attrs["manyfit"])["input"]["units"] == {"x": unit}
    backwards = array.isel(time=slice(None, None, -1)).manyfit.fit(model, "time")
    np.testing.assert_allclose(backwards.b, found.b, rtol=1e-6)
    lazy = array.chunk({"curve": 2}).manyfit.fit(model, "time")
    xr.testing.assert_identical(lazy.compute(), found)


def test_a_time_that_is_missing_is_a_point_that_is(values: Any, xr: Any) -> None:
    time = np.datetime64("2024-01-01", "ns") + np.arange(16).astype("m8[s]").astype("m8[ns]")
    time[3] = np.datetime64("NaT", "ns")
    array = xr.DataArray(values[:5], {"t": ("time", time)}, ("curve", "time"))
    model = Model.from_expression("a + b*x")
    seconds = np.where(np.arange(16) == 3, np.nan, np.arange(16.0))
    same(array.manyfit.fit(model, "time", x="t"), fit_curves(model, seconds, values[:5]))


def test_bad_curves_are_places_with_a_status(cube: Any, values: Any, model: Any) -> None:
    y = values.copy()
    y[5, 3], y[300], y[599, :14] = np.nan, np.nan, np.inf
    spoilt = cube.copy(data=y.reshape(ROWS, COLS, 16).transpose(2, 0, 1))
    for policy in ("omit", "propagate"):
        found = spoilt.manyfit.fit(model, "time", p0=START, nan_policy=policy)
        same(found, fit_curves(model, T, y, p0=[1.0, 1.0, 1.0], nan_policy=policy))
    with pytest.raises(ValueError, match="nan_policy is 'raise'"):
        spoilt.manyfit.fit(model, "time", p0=START, nan_policy="raise")


@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", ">f8", "?"])
def test_numbers_of_any_type_are_read(dtype: str, values: Any, xr: Any) -> None:
    y = np.round(values[:20] * 60).astype(dtype)
    array = xr.DataArray(y, {"time": T}, ("curve", "time"))
    model = Model.from_expression(FORMULA)
    same(array.manyfit.fit(model, "time"), fit_curves(model, T, y.astype("f8")))
    mask = np.arange(16) % 5 == 0
    left = np.where(mask, np.nan, y.astype("f8"))
    same(array.manyfit.fit(model, "time", mask=mask), fit_curves(model, T, left))


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


def test_a_function_that_is_no_formula_is_called_in_every_block(cube: Any, xr: Any) -> None:
    def stepped(x: Any, a: Any, b: Any) -> Any:
        return a * np.interp(x, [0.0, 2.0, 4.0], [1.0, 0.4, 0.2]) + b

    with pytest.warns(ModelWarning, match="no formula can be read from model 'stepped'"):
        wanted = cube.manyfit.fit(stepped, "time")
    lazy = cube.chunk({"time": -1, "row": 9}).manyfit.fit(stepped, "time")
    xr.testing.assert_identical(lazy.compute(), wanted)
    called = cube.chunk({"time": -1, "row": 9}).manyfit.fit(stepped, "time", engine="reference")
    xr.testing.assert_equal(called.compute(), wanted)


def test_what_cannot_travel_is_refused_where_tasks_are_made(cube: Any) -> None:
    import threading

    lock = threading.Lock()

    def locked(x: Any, a: Any) -> Any:
        with lock:
            return a * x

    given: dict[str, Any] = {"engine": "reference"}
    assert (cube.manyfit.fit(locked, "time", **given).status > 0).all()
    with pytest.raises(TypeError, match="model 'locked' cannot be sent to workers"):
        cube.chunk({"row": 5}).manyfit.fit(locked, "time", **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"dim": "tiem"},
            r"dim must name dimensions .* got tiem; there are time 16, row 20",
        ),
        ({"dim": ["time", "time"]}, r"each once, got time, time"),
        ({"dim": []}, r"each once, got none"),
        (
            {"x": "delai"},
            r"x: there is no coordinate or variable 'delai'; there are time",
        ),
        ({"x": {"t": T}}, r"has the predictors \('x',\), but x names \('t',\)"),
        ({"x": ["a"] * 16}, r"x is of type <U1; expected real numbers"),
        (
            {"x": np.arange(15)},
            r"x has the shape \(15,\); expected .* array of \(time\) or",
        ),
        ({"dim": "col"}, r"x: .*there are coordinates for none of these, and none by the name"),
        ({"sigma": np.ones((20, 30))}, r"sigma has the shape \(20, 30\).*an xarray.DataArray"),
        ({"sigma": "plate"}, r"sigma is of type <U2; expected real numbers"),
        ({"mask": "plate"}, r"mask is of type <U2"),
        ({"p0": {"a": np.ones(20)}}, r"p0 of 'a' has the shape \(20,\); .* array of \(row, col\)"),
        ({"p0": {"a": "delay"}}, r"p0 of 'a' has the dimension time; expected only row, col"),
        ({"p0": {"z": "dose"}}, r"p0 names 'z', which is no parameter"),
        ({"p0": {"z": 1.0}}, r"p0 names 'z', which is no parameter"),
        ({"p0": {"a": "plate"}}, r"p0 of 'a' is of type <U2; expected real numbers"),
        ({"p0": [1.0, 2.0]}, r"p0 has shape \(2,\), expected \(3,\)"),
        ({"p0": {"a": 9.0}, "bounds": {"a": (0, 1)}}, r"p0 of 'a' is 9.0, outside its bounds"),
        ({"fixed": {"a": [1.0, 2.0]}}, r"fixed gives several values for \['a'\]"),
        ({"diag": [1.0]}, r"diag must be 3 positive numbers"),
        ({"constants": {"k": 1.0}}, r"has no constant \['k'\]"),
    ],
)
def test_misuse_is_found_before_a_fit(given: Any, message: str, cube: Any) -> None:
    arguments = {"dim": "time", **given}
    for array in (cube, cube.chunk({"row": 3})):
        with pytest.raises(ValueError, match=message):
            array.manyfit.fit(FORMULA, **arguments)


def test_labels_must_agree(cube: Any, xr: Any) -> None:
    sigma = xr.ones_like(cube)
    for other in (sigma.isel(row=slice(1, None)), sigma.isel(row=slice(None, None, -1))):
        with pytest.raises(DatasetError, match=r"sigma is not labelled as y is: .*reindex_like"):
            cube.manyfit.fit(FORMULA, "time", sigma=other)
    again = sigma.isel(row=slice(None, None, -1)).reindex_like(cube)
    same_bits = cube.manyfit.fit(FORMULA, "time", sigma=again)
    xr.testing.assert_identical(same_bits, cube.manyfit.fit(FORMULA, "time", sigma=1.0))
    strange = sigma.isel(col=0).rename(row="shot", time="col")
    with pytest.raises(DatasetError, match="sigma has the dimension shot; expected only"):
        cube.manyfit.fit(FORMULA, "time", sigma=strange)


def test_chunks_that_cut_curves_are_refused(cube: Any) -> None:
    with pytest.raises(
        DatasetError,
        match=r"chunks of y cut curves into pieces \(time: 4 chunks\).*"
        r"\.chunk\(\{'time': -1, 'row': 'auto', 'col': 'auto'\}\)",
    ):
        cube.chunk({"time": 4}).manyfit.fit(FORMULA, "time")
    with pytest.raises(DatasetError, match="chunks of sigma cut curves"):
        cube.manyfit.fit(FORMULA, "time", sigma=cube.chunk({"time": 4}))


def test_arrays_that_hold_no_curves_are_refused(cube: Any) -> None:
    with pytest.raises(DatasetError, match=r"nothing in it: its dimensions are time 16, row 0"):
        cube.isel(row=slice(0)).manyfit.fit(FORMULA, "time")
    with pytest.raises(DatasetError, match=r"y is of type complex128; expected real numbers"):
        (cube * 1j).manyfit.fit(FORMULA, "time")
    with pytest.raises(DatasetError, match=r"y: there is no variable 'signal'; there are .*y"):
        cube.to_dataset(name="y").manyfit.fit(FORMULA, "time", y="signal")
    times = cube.copy(data=np.ones(cube.shape).astype("m8[ns]"))
    with pytest.raises(DatasetError, match="from where to count is not clear"):
        cube.manyfit.fit(FORMULA, "time", x=times)


def test_two_predictors_need_names(cube: Any) -> None:
    model = Model.from_function(plane, x=["u", "v"])
    with pytest.raises(DatasetError, match=r"has 2 predictors: give x as a mapping"):
        cube.manyfit.fit(model, "time", x=T)


def test_a_constant_must_be_there(cube: Any) -> None:
    model = Model.from_function(lambda x, k, a: a * x + k, constants=["k"])
    with pytest.raises(DatasetError, match=r"constant 'k': there is no coordinate or variable 'k'"):
        cube.manyfit.fit(model, "time")


def test_a_parameter_may_not_have_the_name_of_a_coordinate(cube: Any) -> None:
    for name in ("dose", "row", "cov_row"):
        with pytest.raises(DatasetError, match=f"a variable {name!r}, which is the name of a dim"):
            cube.manyfit.fit(f"{name}*x", "time")
    found = cube.manyfit.fit("delay*x", "time")
    assert found.delay.dims == ("row", "col")
