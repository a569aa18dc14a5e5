"""Curves in Zarr arrays give the bits of the solver alone, however the arrays are stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.optimize import leastsq

from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.task import read_curves
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from tests.pipeline.zarr_groups import START, Writer, X, alone, cube, decay, read_and_fit, same

pytestmark = pytest.mark.usefixtures("small_tiles")

STORED: dict[str, Callable[[], dict[str, Any]]] = {
    "whole": lambda: {"chunks": (6, 10, 16)},
    "tiles": lambda: {"chunks": (4, 3, 16)},
    "fit axis cut": lambda: {"chunks": (2, 10, 5)},
    "one point a chunk": lambda: {"chunks": (6, 10, 1)},
    "one curve a chunk": lambda: {"chunks": (1, 1, 16)},
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dims", [True, False])
def test_any_fit_axis_and_any_chunks_give_the_same_bits(
    stored: str, version: int, position: int, dims: bool, tmp_path: Path
) -> None:
    y = cube()
    order = [0, 1]
    order.insert(position, 2)
    names = tuple(("row", "col", "time")[k] for k in order)
    options = STORED[stored]()
    options["chunks"] = tuple(options["chunks"][k] for k in order)
    group = Writer(tmp_path / "a group.zarr", version, dims)
    group.add("y", y.transpose(order), names, **options)
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=START)
    same(found, alone(y, p0=START))
    assert found["ids"] == list(range(60))
    wanted = {"whole": 1, "tiles": 8, "fit axis cut": 3, "one point a chunk": 1}
    assert found["partitions"] == wanted.get(stored, 60)


@pytest.mark.parametrize(("curves", "tile", "tiles"), [(99, (4, 10), 2), (25, (2, 10), 3)])
def test_a_shard_is_read_at_once_if_memory_allows(
    curves: int,
    tile: tuple[int, ...],
    tiles: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grids, "TILE_BYTES", 16 * 8 * curves)
    y = cube()
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(2, 5, 4), shards=(4, 10, 8))
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=START)
    same(found, alone(y, p0=START))
    assert open_dataset(group.path).layout.grid.tile == tile  # type: ignore[union-attr]
    assert found["partitions"] == tiles


def test_a_large_column_of_chunks_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = cube()
    monkeypatch.setattr(grids, "TILE_BYTES", 16 * 8 * 10)
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y.transpose(2, 0, 1), ("time", "row", "col"), chunks=(1, 6, 10))
    group.add("x", X, ("time",))
    assert open_dataset(group.path).layout.grid.tile == (1, 10)  # type: ignore[union-attr]
    same(read_and_fit(group.path, p0=START), alone(y, p0=START))


def test_small_chunks_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "TILE_CURVES", 25)
    group = Writer(tmp_path / "g.zarr")
    group.add("y", cube(), ("row", "col", "time"), chunks=(1, 2, 16))
    group.add("x", X, ("time",))
    dataset = open_dataset(group.path)
    assert dataset.layout.grid is not None
    assert dataset.layout.grid.tile == (2, 10)
    assert [block.curves for block in dataset.blocks] == [20, 20, 20]


def test_a_single_curve_is_a_map_without_dimensions(tmp_path: Path) -> None:
    group = Writer(tmp_path / "g.zarr")
    group.add("y", cube()[0, 0], ("time",))
    group.add("x", X, ("time",))
    dataset = open_dataset(group.path)
    assert dataset.n_curves == 1
    binding = dataset.bind(Model.from_function(decay), FitOptions(), START)
    plan = plan_dataset(dataset)
    (curves,) = read_curves(dict(enumerate(dataset.files)), plan.partitions[0], binding)
    assert curves.y.shape == (1, 16)


def test_an_array_stands_for_its_group(tmp_path: Path) -> None:
    y = cube()
    group = Writer(tmp_path / "g.zarr")
    group.add("run 1/signal", y, ("row", "col", "time"))
    group.add("run 1/time", X, ("time",))
    for path in (group.path / "run 1", group.path / "run 1" / "signal"):
        found = read_and_fit(path, p0=START, axis="time")
        same(found, alone(y, p0=START))


def test_an_array_by_itself_is_enough(tmp_path: Path) -> None:
    y = cube()
    zarr.create_array(tmp_path / "y.zarr", data=y)
    same(read_and_fit(tmp_path / "y.zarr", p0=START, x=X), alone(y, p0=START))


def test_consolidated_metadata_are_as_good(tmp_path: Path) -> None:
    y = cube()
    group = Writer(tmp_path / "g.zarr", 2)
    group.add("y", y, ("row", "col", "time"))
    zarr.consolidate_metadata(group.path)
    group.add("x", X, ("time",))  # since then
    found = read_and_fit(group.path, p0=START, x="x")
    same(found, alone(y, p0=START))


def test_a_url_is_read_as_a_path(tmp_path: Path) -> None:
    y = cube()
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 10, 16))
    group.add("x", X, ("time",))
    same(read_and_fit(f"file://{group.path}", p0=START), alone(y, p0=START))  # type: ignore[arg-type]


def test_bits_agree_with_scipy_on_a_sample(tmp_path: Path) -> None:
    y = cube()
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 10, 16))
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=START)
    for k in range(0, 60, 7):
        curve = y.reshape(-1, 16)[k]
        best, _ = leastsq(lambda p, curve=curve: decay(X, *p) - curve, START)
        np.testing.assert_allclose(found["params"][k], best, rtol=1e-5)
