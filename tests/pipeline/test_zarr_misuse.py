"""What is wrong with arrays is said before any work: what was given, expected, and to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from manyfit.pipeline.arrays.dims import Shape, choose_fit, place, shape_of
from manyfit.pipeline.arrays.encoding import Encoding
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions

Y = Shape((4, 6, 10), ("row", "col", "time"))
SQUARE = Shape((10, 10))


def line(x: Any, a: Any, b: Any) -> Any:
    return a + b * x


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """An image of lines, with arrays that go with it and arrays that do not."""
    path = tmp_path / "a group.zarr"
    root = zarr.open_group(path, mode="w")
    arrays: dict[str, tuple[Any, tuple[str, ...]]] = {
        "signal": (np.zeros((4, 6, 10)), ("row", "col", "time")),
        "time": (np.arange(10.0), ("time",)),
        "row": (np.arange(4.0), ("row",)),
        "noise": (np.ones((4, 6, 10)), ("row", "col", "time")),
        "other": (np.ones((3, 6)), ("row", "col")),
        "depth": (np.ones(5), ("depth",)),
        "when": (np.zeros((4, 6), "M8[ns]"), ("row", "col")),
        "wave": (np.zeros((4, 6), "c16"), ("row", "col")),
        "label": (np.full((4, 6), "a", np.dtypes.StringDType()), ("row", "col")),
    }
    for name, (values, dims) in arrays.items():
        root.create_array(name, data=values, dimension_names=dims)
    root.create_array("empty", shape=(0, 10), dtype="f8", dimension_names=("row", "time"))
    root.create_array("scalar", data=np.array(1.0))
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"dimensions \(row 4, col 6, time 10\).* \(x does not say\): name it"),
        ({"x": np.arange(7.0)}, r"x, from x \(7 values\), fits 0 of them"),
        ({"axis": "wavelength"}, r"axis: y has no dimension 'wavelength'; its dim"),
        ({"axis": "3"}, r"no dimension '3'.* \(a position from 0 to 2 does as wel"),
        ({"axis": ["time", 2]}, r"axis names a dimension of y twice: time, 2"),
        ({"y": "sginal"}, r"did you mean 'signal'\? there are depth \(depth 5\), "),
        ({"y": ["a", "b"]}, r"y must name one array of the Zarr group"),
        ({"y": "empty"}, r"'empty' has nothing in it: its dimensions are \(row 0, time 10\)"),
        ({"y": "scalar"}, r"y has no dimension: expected an array of at least one"),
        ({"y": "label", "axis": "col"}, r"y: array 'label' is of type .*string.*list of numbers"),
        ({"axis": "time", "sigma": "depth"}, r"sigma: array 'depth'.* y has no dimension 'depth'"),
        ({"axis": "time", "sigma": "other"}, r"sigma: array 'other'.* 'row' is not of one size"),
        ({"axis": "time", "sigma": "label"}, r"array 'label' is of type string; expected numbers"),
        ({"axis": "time", "sigma": "nois"}, r"sigma: there is no array 'nois'; did"),
        ({"axis": "time", "mask": "nois"}, r"mask: there is no array 'nois'; did you mean"),
        ({"axis": "time", "mask": "depth"}, r"mask: array 'depth': its dimensions are"),
        ({"axis": "time", "curve_id": "wave"}, r"'wave': it is of type complex128; expected"),
        ({"axis": "time", "curve_id": "noise"}, r"'noise'.* expected a plain value"),
        ({"axis": "time", "where": "signal > 1"}, r"where: .* expected a column of plain values"),
        ({"axis": "time", "where": "rwo > 1"}, r"there is no column 'rwo'; did you mean 'row'"),
        ({"axis": "time", "keep": "depth"}, r"keep \(depth\): array 'depth': its dimensions are"),
        ({"axis": "time", "sigma": [1.0, 2.0]}, r"sigma has 2 values, but each curve has 10 p"),
    ],
)
def test_a_group_is_checked_when_it_is_opened(
    columns: dict[str, Any], message: str, group: Path
) -> None:
    given: dict[str, Any] = {"y": "signal", **columns}
    with pytest.raises(DatasetError, match=message):
        open_dataset(group, Columns(**given))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": "when", "axis": "time"}, r"x: array 'when' is of type timestamp\[ns\]"),
        ({"x": "t", "axis": "time"}, r"x: there is no array 't'; there are signal"),
        ({"constants": {"k": 1.0}, "axis": "time"}, r"has no constant \['k'\]"),
        ({"p0": {"a": "noise"}, "axis": "time"}, r"p0 of 'a': array 'noise'.* one number a curve"),
        ({"p0": {"a": "strat"}, "axis": "time"}, r"p0 of 'a': there is no array 'strat'"),
        ({"keep": "noise", "axis": "time"}, r"keep: array 'noise' runs along time.* one value a"),
        ({"keep": "rwo", "axis": "time"}, r"keep: there is no array 'rwo'; did you mean 'row'"),
    ],
)
def test_arrays_are_checked_against_the_model(
    columns: dict[str, Any], message: str, group: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(group, Columns(y="signal", **columns))
    with pytest.raises(ValueError, match=message):
        fit_dataset(dataset, line, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_x_is_found_or_asked_for(group: Path) -> None:
    dataset = open_dataset(group, Columns(y="signal", axis="time"))
    binding = dataset.bind(Model.from_function(line), FitOptions())
    assert str(binding.predictors["x"]) == "10 values, 0 .. 9"  # the coordinate of time
    assert open_dataset(group, Columns(y="signal", x="row")).layout.n_points == 4
    across = open_dataset(group, Columns(y="signal", axis="col"))
    message = r"no array for the predictor\(s\) x of model 'line'.* along col, of 6 points; there"
    with pytest.raises(DatasetError, match=message):
        across.bind(Model.from_function(line), FitOptions())


def test_the_array_with_most_dimensions_is_y(group: Path) -> None:
    with pytest.raises(DatasetError, match=r"y: name the array that holds the curves \(y=...\)"):
        open_dataset(group, Columns(axis="time"))
    zarr.open_group(group, mode="a").__delitem__("noise")
    assert open_dataset(group, Columns(axis="time")).layout.y == ("signal",)


def test_a_coordinate_called_y_or_x_is_not_taken_for_the_values(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "g.zarr", mode="w")
    root.create_array("image", data=np.zeros((5, 4, 3)), dimension_names=("time", "y", "x"))
    for name, size in (("time", 5), ("y", 4), ("x", 3)):
        root.create_array(name, data=np.arange(float(size)), dimension_names=(name,))
    with pytest.raises(DatasetError, match="it is not clear along which a curve runs"):
        open_dataset(tmp_path / "g.zarr")
    dataset = open_dataset(tmp_path / "g.zarr", Columns(axis="time"))
    assert dataset.layout.y == ("image",)
    assert str(dataset.bind(Model.from_function(line), FitOptions()).predictors["x"]) == (
        "5 values, 0 .. 4"
    )


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a group.zarr", "notes.txt"], r"one group at a time, but notes.txt is not Zarr"),
        (["a group.zarr", "b.zarr"], r"one group at a time, but 2 are given: give a group.zarr al"),
        ("torn.zarr", r"torn.zarr cannot be read as Zarr: .*Write it again or leave it out"),
        ("torn array.zarr", r"array 'y' of .*torn array.zarr cannot be opened|cannot be read as a"),
        ("nothing.zarr", r"there are no arrays in .*nothing.zarr"),
    ],
)
def test_stores_are_checked(
    paths: Any, message: str, group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    for name in ("b.zarr", "nothing.zarr", "torn array.zarr"):
        zarr.open_group(tmp_path / name, mode="w")
    (tmp_path / "torn.zarr").mkdir()
    (tmp_path / "torn.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_ty')
    array: Any = zarr.create_array(tmp_path / "torn array.zarr" / "y", data=np.zeros((2, 3)))
    assert array.shape == (2, 3)
    (tmp_path / "torn array.zarr" / "y" / "zarr.json").write_text("{}")
    assert group.exists()
    with pytest.raises(DatasetError, match=message):
        open_dataset(paths)


def test_what_belongs_to_arrays_is_refused_for_rows(layouts: Any, values: Any) -> None:
    path = layouts.write("list", values[:5])
    with pytest.raises(DatasetError, match=r"axis is given \(\('time',\)\), but the data are Parq"):
        open_dataset(path, Columns(axis="time"))
    with pytest.raises(DatasetError, match=r"mask is given \('bad'\), but the data are Parquet"):
        open_dataset(path, Columns(mask="bad"))


def test_what_all_curves_share_must_be_readable(group: Path) -> None:
    chunk = group / "time" / "c" / "0"
    chunk.write_bytes(b"torn")
    dataset = open_dataset(group, Columns(y="signal", axis="time"))
    with pytest.raises(DatasetError, match=r"array 'time' of .* cannot be read at \[all"):
        dataset.bind(Model.from_function(line), FitOptions())


def test_a_wrong_attribute_is_named(tmp_path: Path) -> None:
    attributes: dict[str, Any] = {"scale_factor": "a tenth"}
    zarr.create_array(tmp_path / "y.zarr", data=np.zeros((3, 9), "i2"), attributes=attributes)
    with pytest.raises(DatasetError, match=r"'y.zarr' has the attribute scale_factor = 'a tenth'"):
        open_dataset(tmp_path / "y.zarr", Columns(x=np.arange(9.0)))


def test_dimensions_without_names_are_told_by_their_sizes() -> None:
    y = Shape((4, 6, 10))
    assert place(Shape((10,)), y, (2,)) == (2,)
    assert place(Shape((4, 10)), y, (2,)) == (0, 2)
    assert place(Shape((6,), ("any",)), y, (2,)) == (1,)
    assert "expected dimensions of y" in place(Shape((5,)), y, (2,))
    assert place(Shape((10,)), SQUARE, (1,), "fit") == (1,)
    assert place(Shape((10,)), SQUARE, (1,), "map") == (0,)
    assert "goes with several dimensions of y (10, 10)" in place(Shape((10,)), SQUARE, (1,))


def test_names_that_cannot_tell_dimensions_apart_are_none() -> None:
    assert shape_of((2, 3), ("a", "b")).names == ("a", "b")
    for names in (None, ("a",), ("a", None), ("a", "a"), ("a", "")):
        assert shape_of((2, 3), names).names is None
    assert shape_of((2, 3), None).labels == ("dim_0", "dim_1")


@pytest.mark.parametrize(
    ("y", "shared", "sizes", "expected"),
    [
        (Y, {"x": {2}}, {}, (2,)),
        (Y, {"x": {0}}, {}, (0,)),
        (Y, {}, {"x": 6}, (1,)),
        (SQUARE, {}, {}, (1,)),
        (SQUARE, {"x": {0, 1}}, {}, (1,)),
        (SQUARE, {}, {"x": 10}, (1,)),
        (Shape((7,)), {}, {}, (0,)),
    ],
)
def test_the_fit_axis_is_the_one_shared_with_x_or_the_last(
    y: Shape, shared: dict[str, set[int]], sizes: dict[str, int], expected: tuple[int, ...]
) -> None:
    assert choose_fit(y, (), shared, sizes) == expected


def test_axes_are_named_or_counted() -> None:
    assert choose_fit(Y, ("col", "-1"), {}, {}) == (1, 2)
    assert choose_fit(SQUARE, ("dim_0",), {}, {}) == (0,)


@pytest.mark.parametrize(
    ("dtype", "attributes", "stored", "expected"),
    [
        ("i2", {"_FillValue": -1}, [-1, 2], [np.nan, 2]),
        ("i2", {"missing_value": [7, 8]}, [7, 8, 9], [np.nan, np.nan, 9]),
        ("u1", {"_FillValue": -1}, [255, 2], [255, 2]),  # what the type cannot hold is never stored
        ("i1", {"_Unsigned": "true", "_FillValue": -1}, [-1, -2], [np.nan, 254]),
        ("f4", {"_FillValue": 9.96921e36}, [9.96921e36, 1], [np.nan, 1]),
        ("f8", {"_FillValue": "AAAAAAAA+H8="}, [1, 2], [1, 2]),  # NaN, as xarray writes it
        ("f8", {"_FillValue": "AAAAAAAA8D8="}, [1, 2], [np.nan, 2]),  # 1.0
        ("f8", {"_FillValue": "NaN"}, [1, 2], [1, 2]),
        ("f8", {"_FillValue": "none"}, [1, 2], [1, 2]),
        ("i2", {"scale_factor": 0.5, "add_offset": 1}, [2, 4], [2, 3]),
        ("i2", {"add_offset": [1]}, [2, 4], [3, 5]),
    ],
)
def test_attributes_say_what_stored_numbers_stand_for(
    dtype: str, attributes: dict[str, Any], stored: list[float], expected: list[float]
) -> None:
    encoding = Encoding.of("y", np.dtype(dtype), json.loads(json.dumps(attributes)), 0, 3)
    found = encoding.decode(np.array(stored, dtype))
    assert np.array_equal(found, np.array(expected), equal_nan=True)
