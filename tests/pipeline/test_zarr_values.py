"""What the numbers in Zarr arrays mean: types, scales, and what stands for a missing value."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.zarr_groups import START, Writer, X, alone, cube, read_and_fit, same

pytestmark = pytest.mark.usefixtures("small_tiles")


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f4", ">f8"])
def test_numbers_are_passed_on_as_they_are_stored(dtype: str, tmp_path: Path) -> None:
    y = np.round(cube() * 50).astype(dtype)
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 10, 16))
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=[50.0, 1.0, 1.0])
    same(found, alone(y, p0=[50.0, 1.0, 1.0]))
    assert found["dtypes"] == {y.dtype.newbyteorder("=")}


@pytest.mark.parametrize("version", [2, 3])
def test_scale_offset_and_missing_values_are_those_of_cf(version: int, tmp_path: Path) -> None:
    y = cube()
    stored = np.round((y - 1) / 0.001).astype("i2")
    stored[1, 2, 3] = stored[0, 0, :15] = -999
    stored[2, 2, 2] = -32768
    marks = {"_FillValue": -999, "missing_value": [-32768]}
    attributes = {"scale_factor": 0.001, "add_offset": 1.0, **marks}
    group = Writer(tmp_path / "g.zarr", version)
    group.add("y", stored, ("row", "col", "time"), chunks=(3, 10, 16), attributes=attributes)
    group.add("x", X, ("time",))
    values = stored * 0.001 + 1.0
    values[(stored == -999) | (stored == -32768)] = np.nan
    wanted = alone(values, p0=START)
    same(read_and_fit(group.path, p0=START), wanted)
    assert np.count_nonzero(wanted.flags & 1) == 3


def test_zarrs_fill_value_is_content(tmp_path: Path) -> None:
    y = np.round(cube() * 100).astype("u2")
    y[4:] = 0
    group = Writer(tmp_path / "g.zarr")
    array = group.add("y", y, ("row", "col", "time"), chunks=(2, 10, 16), fill_value=0)
    group.add("x", X, ("time",))
    assert array.nchunks_initialized == 2  # nothing is stored of the rest
    found = read_and_fit(group.path, p0=[100.0, 1.0, 1.0])
    same(found, alone(y, p0=[100.0, 1.0, 1.0]))
    assert not found["flags"][:40].any()


def test_missing_chunks_of_floats_are_missing_points(tmp_path: Path) -> None:
    y = cube()
    y[2:4, :, 8:] = y[4:] = np.nan
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(2, 10, 8), fill_value=np.nan)
    group.add("x", X, ("time",))
    assert not (group.path / "y" / "c" / "1" / "0" / "1").exists()
    found = read_and_fit(group.path, p0=START)
    same(found, alone(y, p0=START))
    assert set(found["status"][40:].tolist()) == {-2}


@pytest.mark.parametrize("fill_value", [0, -5])
def test_what_xarray_writes_to_format_2_is_read_as_xarray_means_it(
    fill_value: int, tmp_path: Path
) -> None:
    y = np.round(cube() * 100).astype("i2")
    y[0, 0, 5] = fill_value
    group = Writer(tmp_path / "g.zarr", 2)
    group.add("y", y, ("row", "col", "time"), fill_value=fill_value)
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=[100.0, 1.0, 1.0])
    assert found["flags"][0] == (0 if fill_value == 0 else 1)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_dataset_of_xarray_is_read(zarr_format: int, tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    y = cube().astype("f4")
    y[1, 1, 1] = np.nan
    dims = ("row", "col", "time")
    dataset = xr.Dataset({"y": (dims, y), "x": ("time", X)}, {"row": np.arange(6) * 2.0})
    encoding = {"y": {"dtype": "i2", "scale_factor": 1e-3, "_FillValue": -1}}
    path = tmp_path / "g.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_zarr(path, encoding=encoding, zarr_format=zarr_format)
        values = xr.open_zarr(path).y.values.astype("f8")
    found = read_and_fit(path, p0=START)
    wanted = alone(values, p0=START)
    np.testing.assert_allclose(found["params"], wanted.params, rtol=1e-4)
    assert found["flags"].tolist() == wanted.flags.tolist()
