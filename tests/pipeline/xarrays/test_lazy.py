"""Lazy arrays: nothing is read or fitted before it is asked for, and then the same bits."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manyfit.solver.pointwise import ModelWarning
from tests.pipeline.xarrays.cubes import FORMULA, START


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
