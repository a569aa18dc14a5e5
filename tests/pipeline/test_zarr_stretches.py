"""What tiles share is decoded once a partition, and lands where it belongs."""

import tracemalloc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.arrays import points
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import Dataset, open_dataset
from manyfit.pipeline.plan import LEAST_BYTES, PARTITION_BYTES, Plan, plan_dataset
from manyfit.pipeline.task import read_curves
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions


@dataclass(frozen=True)
class Case:
    """How curves are stored, and how small tiles, slabs and partitions are made."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    fit: tuple[int, ...]
    sigma: tuple[int, ...]
    sigma_chunks: tuple[int, ...]
    taken: int
    tile_bytes: int
    slab_bytes: int
    partition_bytes: int


@st.composite
def cases(draw: Any) -> Case:
    """Draw a case; sigma has some dimensions of y, in any order, and chunks of its own."""
    n = draw(st.integers(2, 4))
    side = st.integers(1, 6)
    shape = tuple(draw(side) for _ in range(n))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    times = draw(st.none() | st.tuples(*[st.integers(1, 3)] * n))
    fit = tuple(sorted(draw(st.permutations(range(n)))[: draw(st.integers(1, n))]))
    dims = set(draw(st.permutations(range(n)))[: draw(st.integers(1, n))]) | {fit[0]}
    sigma = tuple(draw(st.permutations(sorted(dims))))
    return Case(
        shape=shape,
        chunks=chunks,
        shards=times and tuple(c * k for c, k in zip(chunks, times, strict=True)),
        fit=fit,
        sigma=sigma,
        sigma_chunks=tuple(draw(st.integers(1, shape[k])) for k in sigma),
        taken=draw(st.integers(1, 4)),
        tile_bytes=draw(st.integers(40, 1000)),
        slab_bytes=draw(st.integers(20, 1000)),
        partition_bytes=draw(st.integers(1, 20_000)),
    )


def written(case: Case, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Write y and sigma, no number of either twice, and by what some are taken; return the two."""
    y = np.arange(np.prod(case.shape), dtype="f4").reshape(case.shape)
    sigma = 0.5 + np.arange(np.prod([case.shape[k] for k in case.sigma]))
    sigma = sigma.reshape([case.shape[k] for k in case.sigma])
    names = [f"d{k}" for k in range(len(case.shape))]
    group = zarr.open_group(path, mode="w")
    group.create_array("y", data=y, chunks=case.chunks, shards=case.shards, dimension_names=names)
    group.create_array(
        "noise",
        data=sigma,
        chunks=case.sigma_chunks,
        dimension_names=[names[k] for k in case.sigma],
    )
    rest = [k for k in range(y.ndim) if k not in case.fit]
    left = np.arange(np.prod([y.shape[k] for k in rest], dtype=int)) % case.taken
    group.create_array(
        "left",
        data=left.reshape([y.shape[k] for k in rest]),
        dimension_names=[names[k] for k in rest],
    )
    return y, sigma


@given(cases())
@settings(max_examples=40)
def test_every_value_lands_in_its_curve(case: Case) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(grids, "TILE_BYTES", case.tile_bytes)
        patch.setattr(grids, "TILE_CURVES", 1)
        patch.setattr(points, "SLAB_BYTES", case.slab_bytes)
        y, sigma = written(case, Path(folder))
        rest = [k for k in range(y.ndim) if k not in case.fit]
        order = (*rest, *case.fit)
        n_points = int(np.prod([y.shape[k] for k in case.fit]))
        sigma = sigma.transpose(np.argsort(case.sigma))
        sigma = np.expand_dims(sigma, [k for k in range(y.ndim) if k not in case.sigma])
        wanted = y.transpose(order).reshape(-1, n_points)
        noise = np.broadcast_to(sigma, y.shape).transpose(order).reshape(-1, n_points)
        columns = Columns(
            axis=[str(k) for k in case.fit],
            sigma="noise",
            x=np.arange(float(n_points)),
            where="left == 0" if rest else None,
        )
        dataset = open_dataset(folder, columns)
        binding = dataset.bind(Model.from_function(line), FitOptions(), [1.0, 1.0])
        plan = plan_dataset(dataset, partition_bytes=case.partition_bytes)
        files, seen = dict(enumerate(dataset.files)), []
        for partition in plan.partitions:
            for curves in read_curves(files, partition, binding, 300):
                rows = curves.ids.to_numpy()
                np.testing.assert_array_equal(curves.y, wanted[rows])
                found = np.broadcast_to(np.asarray(curves.sigma), curves.y.shape)
                np.testing.assert_array_equal(found, noise[rows])
                seen += rows.tolist()
        assert sorted(seen) == list(range(0, len(wanted), case.taken))


def line(x: Any, a: Any, b: Any) -> Any:
    return a + b * x


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is fetched from disk, by key."""
    counts: Counter[str] = Counter()
    get = zarr.storage.LocalStore.get

    async def counted(self: Any, key: str, *args: Any, **more: Any) -> Any:
        counts[key] += 1
        return await get(self, key, *args, **more)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    return counts


def frames(path: Path, *, rows: int, chunk_rows: int = 8, n_points: int = 6) -> Dataset:
    """Return curves along time of which a chunk has one point of 8 * 10, in tiles of 2 * 10."""
    root = zarr.open_group(path, mode="w")
    y = np.arange(n_points * rows * 10.0).reshape(n_points, rows, 10)
    names = ("time", "row", "col")
    root.create_array("y", data=y, chunks=(1, chunk_rows, 10), dimension_names=names)
    root.create_array("bad", data=y < 0, chunks=(2, 4, 5), dimension_names=names)
    return open_dataset(path, Columns(axis="time", mask="bad", x=np.arange(float(n_points))))


def read_all(dataset: Dataset, plan: Plan) -> int:
    binding = dataset.bind(Model.from_function(line), FitOptions(), [1.0, 1.0])
    files = dict(enumerate(dataset.files))
    return sum(len(c) for p in plan.partitions for c in read_curves(files, p, binding))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "TILE_BYTES", 2 * 10 * 6 * 8)
    monkeypatch.setattr(grids, "TILE_CURVES", 1)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(
    ("partition_bytes", "n_partitions", "times"), [(None, 1, 1), (4 * 960, 3, 1), (2 * 960, 6, 2)]
)
@pytest.mark.parametrize("slab_bytes", [1, 5000, 1_000_000])
def test_a_chunk_is_decoded_once_a_partition(
    slab_bytes: int,
    partition_bytes: int | None,
    n_partitions: int,
    times: int,
    fetched: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(points, "SLAB_BYTES", slab_bytes)
    dataset = frames(tmp_path, rows=24)
    assert [block.head for block in dataset.blocks] == [True, False, False, False] * 3
    plan = plan_dataset(dataset, partition_bytes=partition_bytes)
    assert len(plan.partitions) == n_partitions
    fetched.clear()
    assert read_all(dataset, plan) == 240
    counts = [n for key, n in fetched.items() if key.startswith("y/c/")]
    assert counts == [times] * 18


def test_curves_that_are_not_taken_are_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "SLAB_BYTES", 4_000_000)
    root = zarr.open_group(tmp_path, mode="w")
    names = ("time", "curve")
    root.create_array(
        "y", shape=(32, 250_000), chunks=(1, 250_000), dtype="f8", dimension_names=names
    )
    root.create_array("dose", data=np.arange(250_000) % 100, dimension_names=names[1:])
    columns = Columns(axis="time", where="dose == 7", x=np.arange(32.0))
    dataset = open_dataset(tmp_path, columns)
    plan = plan_dataset(dataset)
    assert [len(p.slices) for p in plan.partitions] == [2]
    tracemalloc.start()
    try:
        assert read_all(dataset, plan) == 2500
        assert tracemalloc.get_traced_memory()[1] < 16e6 < 250_000 * 32 * 8
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("small_tiles")
def test_tiles_of_one_column_go_together_where_maps_are_cut_both_ways(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path, mode="w")
    y = np.arange(6 * 4 * 20.0).reshape(6, 4, 20)
    root.create_array("y", data=y, chunks=(1, 4, 10), dimension_names=("time", "row", "col"))
    dataset = open_dataset(tmp_path, Columns(axis="time", x=np.arange(6.0)))
    assert [(b.file, b.head) for b in dataset.blocks] == [
        (0, True),
        (2, False),
        (1, True),
        (3, False),
    ]


def planned(curves: int, n_threads: int, tmp_path: Path) -> list[int]:
    """Return the tiles of each partition; 100 points a curve, of which a chunk has all curves."""
    root = zarr.open_group(tmp_path, mode="w")
    root.create_array(
        "y", shape=(100, curves), chunks=(1, curves), dtype="f8", dimension_names=("time", "curve")
    )
    dataset = open_dataset(tmp_path, Columns(axis="time", x=np.arange(100.0)))
    plan = plan_dataset(dataset, n_threads=n_threads)
    assert plan.n_curves == curves
    return [len(p.slices) for p in plan.partitions]


def test_a_column_is_divided_among_threads_and_no_further(tmp_path: Path) -> None:
    assert planned(200_000, 1, tmp_path) == [5]
    assert planned(200_000, 2, tmp_path) == [2, 3]
    assert planned(200_000, 64, tmp_path) == [1] * 5


def test_a_column_is_not_larger_than_a_partition(tmp_path: Path) -> None:
    assert planned(1_000_000, 1, tmp_path) == [6, 6, 6, 7]
    assert 1_000_000 * 100 * 8 / 4 < PARTITION_BYTES < 1_000_000 * 100 * 8 / 3


def test_a_small_column_is_not_divided(tmp_path: Path) -> None:
    assert planned(LEAST_BYTES // 800, 8, tmp_path) == [1]
