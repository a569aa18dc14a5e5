"""What goes with curves - x, sigma, masks, start values - in any shape, by name or as an array."""

import json
from typing import Any

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from tests.pipeline.xarrays.cubes import COLS, FORMULA, ROWS, START, T, same


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


@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", ">f8", "?"])
def test_numbers_of_any_type_are_read(dtype: str, values: Any, xr: Any) -> None:
    y = np.round(values[:20] * 60).astype(dtype)
    array = xr.DataArray(y, {"time": T}, ("curve", "time"))
    model = Model.from_expression(FORMULA)
    same(array.manyfit.fit(model, "time"), fit_curves(model, T, y.astype("f8")))
    mask = np.arange(16) % 5 == 0
    left = np.where(mask, np.nan, y.astype("f8"))
    same(array.manyfit.fit(model, "time", mask=mask), fit_curves(model, T, left))
