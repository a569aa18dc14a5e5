"""Arrays that are appended to: what is new is fitted, what was there stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.results import open_sink, read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.verify import verify_result

START = {"a": 1.0, "b": 1.0, "c": 1.0}
NAMES = ["table", "maps.zarr"]

pytestmark = pytest.mark.usefixtures("small_tiles")


class Stack:
    """A group that takes rows of 30 curves, with an array and a coordinate that grow with it."""

    def __init__(self, path: Path, values: Any) -> None:
        self.path, self.values, self.rows = path, values.reshape(20, 30, 16), 0
        root = zarr.open_group(path, mode="w")

        def add(name: str, shape: Any, chunks: Any, *dims: str) -> Any:
            more: dict[str, Any] = {"dimension_names": dims}
            return root.create_array(name, shape=shape, chunks=chunks, dtype="f8", **more)

        self.y = add("y", (0, 30, 16), (5, 10, 16), "row", "col", "time")
        self.light = add("light", (0, 30), (5, 10), "row", "col")
        self.row = add("row", (0,), (5,), "row")
        add("x", (16,), (16,), "time")[:] = np.linspace(0.0, 4.0, 16)

    def append(self, rows: int) -> None:
        first, self.rows = self.rows, self.rows + rows
        self.y.append(self.values[first : self.rows])
        self.light.append(30.0 * np.arange(first, self.rows)[:, None] + np.arange(30.0))
        self.row.append(0.5 * np.arange(first, self.rows))


@pytest.fixture
def stack(values: Any, tmp_path: Path) -> Stack:
    made = Stack(tmp_path / "stack.zarr", values)
    made.append(10)
    return made


def run(stack: Stack, out: Path, model: Any, client: Any, **more: Any) -> Any:
    columns = Columns(axis="time", **{"keep": "light", **more.pop("columns", {})})
    return fit_dataset(
        stack.path, model, out, p0=START, columns=columns, cluster=client, partition_bytes=1, **more
    )


def times(out: Path, indices: range) -> list[int]:
    sink = open_sink(out)
    places = [place for k in indices for place in (sink.part(k), sink.record(k))]
    return [Path(str(place)).stat().st_mtime_ns for place in places]


def bits_of(out: Path, bits: Any) -> Any:
    return bits(read_result(out).sort_by("curve_id").combine_chunks())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_appended_is_fitted_and_nothing_else(
    name: str, stack: Stack, model: Any, client: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / name
    assert run(stack, out, model, client).fitted == 300
    before = times(out, range(6))
    stack.append(10)
    assert verify_result(out, stack.path).problems == ()
    assert len(verify_result(out, stack.path).missing) == 6
    again = run(stack, out, model, client)
    assert (again.partitions, again.skipped, again.fitted) == (12, 6, 300)
    assert times(out, range(6)) == before
    at_once = tmp_path / f"at once {name}"
    run(stack, at_once, model, client)
    assert bits_of(out, bits) == bits_of(at_once, bits)
    assert str(verify_result(out, stack.path)).endswith("as the ledger says")
    assert run(stack, out, model, "tcp://127.0.0.1:9").fitted == 0


def test_maps_and_their_coordinates_grow(
    stack: Stack, model: Any, client: Any, tmp_path: Path
) -> None:
    xr = pytest.importorskip("xarray")
    out = tmp_path / "maps.zarr"
    run(stack, out, model, client)
    stack.append(5)
    run(stack, out, model, client)
    maps = xr.open_zarr(out)
    assert dict(maps.sizes) == {"row": 15, "col": 30, "cov_row": 3, "cov_column": 3}
    assert (maps.status > 0).all()
    assert maps.row.values.tolist() == [0.5 * i for i in range(15)]
    assert np.array_equal(maps.light, np.arange(450.0).reshape(15, 30))
    assert np.isfinite(maps.cov).all()


def test_growth_and_a_condition_go_together(
    stack: Stack, model: Any, client: Any, tmp_path: Path
) -> None:
    out, where = tmp_path / "maps.zarr", {"where": "light < 10 or light >= 590"}
    assert run(stack, out, model, client, columns=where).fitted == 10
    stack.append(10)
    assert run(stack, out, model, client, columns=where).fitted == 10
    status: Any = zarr.open_array(out, path="status", mode="r")
    taken = np.zeros((20, 30), dtype=bool)
    taken[0, :10] = taken[19, 20:] = True
    assert np.array_equal(status[:] == -127, ~taken)
    assert (status[:][taken] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_tile_that_was_not_full_is_fitted_again_if_asked(
    name: str, stack: Stack, model: Any, client: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / name
    alone: dict[str, Any] = {"columns": {"keep": []}}
    stack.append(3)
    assert run(stack, out, model, client, **alone).fitted == 390
    stack.append(4)
    with pytest.raises(JobMismatchError, match=r"gone: y \[row 10:13, col 0:10\].* 'refit'"):
        run(stack, out, model, client, **alone)
    again = run(stack, out, model, client, on_changed="refit", **alone)
    assert (again.skipped, again.fitted) == (6, 210)
    run(stack, tmp_path / f"at once {name}", model, client, **alone)
    assert bits_of(out, bits) == bits_of(tmp_path / f"at once {name}", bits)
    assert verify_result(out, stack.path).problems == ()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("an earlier value", r"Array light is not what was fitted with"),
        ("another dimension", r"was 10, 30, 16 in tiles of 5, 10, and is 10, 40, 16 .* along row"),
        ("shorter", r"The shape of y was 10, 30, 16 .* and is 5, 30, 16 .* along row alone"),
        ("not full", r"Array light .*\(or ended within a tile, and has grown\)\. Choose another"),
        ("other tiles", r"in tiles of 5, 10, and is 15, 30, 16 in tiles of 5, 20: .* must stay"),
    ],
)
def test_what_is_no_growth_is_refused(
    harm: str,
    message: str,
    stack: Stack,
    model: Any,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "maps.zarr"
    if harm == "not full":
        stack.append(3)
    run(stack, out, model, client)
    if harm == "another dimension":
        for array in (stack.y, stack.light):
            array.resize((10, 40, 16)[: array.ndim])
    elif harm == "shorter":
        for array in (stack.y, stack.light, stack.row):
            array.resize((5, 30, 16)[: array.ndim])
    else:
        stack.append(5)
    if harm == "an earlier value":
        stack.light[0, 0] = -1.0
    if harm == "other tiles":
        monkeypatch.setattr(grids, "TILE_CURVES", 100)
    with pytest.raises(JobMismatchError, match=message):
        run(stack, out, model, client)
