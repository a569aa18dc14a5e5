"""What is wrong is said where the call is made, of arrays that are lazy too."""

from typing import Any

import numpy as np
import pytest

from manyfit.pipeline.errors import DatasetError
from manyfit.solver.model import Model
from tests.pipeline.xarrays.cubes import FORMULA, T


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
    model = Model.from_function(lambda u, v, a, b, c: a * u + b * v**2 + c, x=["u", "v"])
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
