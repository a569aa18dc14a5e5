"""Curves in Zarr arrays give the bits of the solver alone, however the arrays are stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from manyfit.pipeline.arrays import grid as grids
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.task import read_curves
from manyfit.solver.batch import fit_batch
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions

Floats = npt.NDArray[np.float64]
X = np.linspace(0.0, 4.0, 16)
START = [1.0, 1.0, 1.0]
ROWS, COLS = 6, 10


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tiles as small as chunks, so that a few curves make several."""
    monkeypatch.setattr(grids, "TILE_CURVES", 1)


def cube(seed: int = 0) -> Floats:
    """Return noisy decays, (6, 10, 16)."""
    rng = np.random.default_rng(seed)
    a, b, c = (1 + 0.3 * rng.uniform(-1, 1, (3, ROWS, COLS, 1))) * np.reshape(
        [2.0, 1.5, 0.5], (3, 1, 1, 1)
    )
    noisy: Floats = decay(X, a, b, c) + rng.normal(0, 0.02, (ROWS, COLS, 16))
    return noisy


@dataclass
class Writer:
    """A group to which arrays are written, of either format."""

    path: Path
    version: Any = 3
    dims: bool = True
    groups: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, values: Any, dims: tuple[str, ...] = (), **options: Any) -> Any:
        root = zarr.open_group(self.path, mode="a", zarr_format=self.version)
        values = np.asarray(values)
        attributes = dict(options.pop("attributes", {}))
        if self.dims and dims:
            if self.version == 2:
                attributes["_ARRAY_DIMENSIONS"] = list(dims)
            else:
                options["dimension_names"] = dims
        array = root.create_array(
            name, shape=values.shape, dtype=values.dtype, attributes=attributes, **options
        )
        array[...] = values
        return array


def read_and_fit(path: Path, model: Any = decay, p0: Any = None, **columns: Any) -> dict[str, Any]:
    """Fit all curves as tasks would, and return them in the order of the map."""
    model = model if isinstance(model, Model) else Model.from_function(model)
    dataset = open_dataset(path, Columns(**columns))
    binding = dataset.bind(model, FitOptions(), p0)
    plan = plan_dataset(dataset, partition_bytes=1)
    assert sum(p.curves for p in plan.partitions) == dataset.n_curves
    files = dict(enumerate(dataset.files))
    fits = []
    for partition in plan.partitions:
        for curves in read_curves(files, partition, binding, 3000):
            fit = fit_batch(
                model,
                curves.x,
                curves.y,
                sigma=curves.sigma,
                p0=curves.p0 or None,
                constants=curves.constants,
            )
            place = np.ravel_multi_index(
                [i.to_numpy() for i in curves.index], binding.grid.map_shape
            )
            fits.append((place, curves.ids.to_pylist(), fit, curves.y.dtype))
    order = np.argsort(np.concatenate([place for place, *_ in fits]))
    ids = [i for _, some, *_ in fits for i in some]
    return {
        "params": np.concatenate([fit.params for _, _, fit, _ in fits])[order],
        "cost": np.concatenate([fit.cost for _, _, fit, _ in fits])[order],
        "status": np.concatenate([fit.status for _, _, fit, _ in fits])[order],
        "flags": np.concatenate([fit.flags for _, _, fit, _ in fits])[order],
        "ids": [ids[k] for k in order],
        "dtypes": {dtype for *_, dtype in fits},
        "partitions": len(plan.partitions),
    }


def alone(y: Any, x: Any = X, model: Any = decay, p0: Any = None, **more: Any) -> Any:
    """Return the fits of the solver alone; y has the points last."""
    n = x[next(iter(x))].shape[-1] if isinstance(x, dict) else x.shape[-1]
    more = {k: np.reshape(v, (-1, n)) if k == "sigma" else v for k, v in more.items()}
    model = model if isinstance(model, Model) else Model.from_function(model)
    return fit_batch(model, x, np.reshape(y, (-1, n)), p0=p0, **more)


def same(found: dict[str, Any], wanted: Any) -> None:
    assert np.array_equal(found["params"], wanted.params, equal_nan=True)
    assert np.array_equal(found["cost"], wanted.cost, equal_nan=True)
    assert found["status"].tolist() == wanted.status.tolist()
    assert found["flags"].tolist() == wanted.flags.tolist()


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
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_zarr(path, encoding=encoding, zarr_format=zarr_format)
        values = xr.open_zarr(path).y.values.astype("f8")
    found = read_and_fit(path, p0=START)
    wanted = alone(values, p0=START)
    np.testing.assert_allclose(found["params"], wanted.params, rtol=1e-4)
    assert found["flags"].tolist() == wanted.flags.tolist()


@pytest.mark.parametrize(
    "dims", [("row", "col", "time"), ("time",), ("row", "col"), ("col", "time")]
)
def test_a_mask_leaves_points_out(dims: tuple[str, ...], tmp_path: Path) -> None:
    y = cube()
    sizes = {"row": 6, "col": 10, "time": 16}
    mask = np.random.default_rng(1).uniform(size=[sizes[d] for d in dims]) < 0.2
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 4, 16))
    group.add("x", X, ("time",))
    group.add("bad", mask, dims)
    shape = [sizes[d] if d in dims else 1 for d in ("row", "col", "time")]
    left = np.where(np.broadcast_to(mask.reshape(shape), y.shape), np.nan, y)
    same(read_and_fit(group.path, p0=START, mask="bad"), alone(left, p0=START))


@pytest.mark.parametrize(
    "dims", [("row", "col", "time"), ("time", "col", "row"), ("time",), ("col", "row"), ("row",)]
)
def test_sigma_has_any_of_the_dimensions(dims: tuple[str, ...], tmp_path: Path) -> None:
    y = cube()
    sizes = {"row": 6, "col": 10, "time": 16}
    sigma = np.random.default_rng(1).uniform(0.5, 2, [sizes[d] for d in dims]).astype("f4")
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 4, 16))
    group.add("x", X, ("time",))
    group.add("noise", sigma, dims)
    order = [d for d in ("row", "col", "time") if d in dims]
    laid = sigma.transpose([dims.index(d) for d in order])
    laid = laid.reshape([sizes[d] if d in dims else 1 for d in ("row", "col", "time")])
    wanted = alone(y, p0=START, sigma=np.broadcast_to(laid, y.shape))
    same(read_and_fit(group.path, p0=START, sigma="noise"), wanted)


def test_start_values_constants_ids_and_x_come_from_arrays(tmp_path: Path) -> None:
    def shifted(x: Any, t: Any, x0: Any, k: Any, a: Any, b: Any, c: Any) -> Any:
        return k * a * np.exp(-b * (x - x0) * t) + c

    rng = np.random.default_rng(2)
    model = Model.from_function(shifted, x=["x", "t"], constants=["x0", "k"])
    y = cube()
    x = X + rng.uniform(0, 0.1, (6, 1, 1)) + np.zeros((1, 10, 1))
    t, x0, starts = (rng.uniform(0.8, 1.2, s) for s in [(6, 10), (10,), (3, 6, 10)])
    group = Writer(tmp_path / "g.zarr")
    group.add("signal", y, ("row", "col", "time"), chunks=(2, 10, 16))
    group.add("deep/x", x[:, 0], ("row", "time"))
    group.add("t", t, ("row", "col"))
    group.add("x0", x0, ("col",))
    for name, start in zip("abc", starts, strict=True):
        group.add(f"p0_{name}", start, ("row", "col"))
    group.add(
        "well",
        np.array([f"w{i}" for i in range(60)], dtype=np.dtypes.StringDType()).reshape(6, 10),
        ("row", "col"),
    )
    found = read_and_fit(
        group.path,
        model,
        y="signal",
        x={"x": "deep/x", "t": "t"},
        constants={"k": 1.5},
        axis="time",
        curve_id="well",
    )
    wanted = alone(
        y,
        {"x": x.reshape(60, 16), "t": np.repeat(t.reshape(-1, 1), 16, axis=1)},
        model,
        starts.reshape(3, -1).T,
        constants={"x0": np.tile(x0, 6), "k": 1.5},
    )
    same(found, wanted)
    assert found["ids"] == [f"w{i}" for i in range(60)]


@pytest.mark.parametrize("x", ["arrays", "axes", "numbers"])
def test_two_fit_axes_for_a_model_of_two_predictors(x: str, tmp_path: Path) -> None:
    def spot(u: Any, v: Any, a: Any, u0: Any, v0: Any, s: Any) -> Any:
        return a * np.exp(-((u - u0) ** 2 + (v - v0) ** 2) / (2 * s * s))

    model = Model.from_function(spot, x=["u", "v"])
    rng = np.random.default_rng(3)
    u, v = np.arange(7.0), np.linspace(0, 8, 9)
    uu, vv = (g.reshape(-1) for g in np.meshgrid(u, v, indexing="ij"))
    truth = np.array([10.0, 3.0, 4.0, 1.5]) * rng.uniform(0.9, 1.1, (5, 4, 4))
    y = spot(uu, vv, *np.moveaxis(truth, 2, 0)[..., None]).reshape(5, 4, 7, 9)
    y += rng.normal(0, 0.1, y.shape)
    group = Writer(tmp_path / "g.zarr")
    names = ("u", "frame", "v", "site") if x != "axes" else ("height", "frame", "width", "site")
    group.add("y", y.transpose(2, 0, 3, 1), names, chunks=(4, 2, 9, 4))
    more: dict[str, Any] = {"axis": (names[0], names[2])}
    if x == "numbers":
        more["x"] = {"u": u, "v": v}
    else:
        group.add(names[0], u, names[:1])
        group.add(names[2], v, names[2:3])
    p0 = [10.0, 3.0, 4.0, 1.5]
    found = read_and_fit(group.path, model, p0=p0, **more)
    same(found, alone(y, {"u": uu, "v": vv}, model, p0))
    np.testing.assert_allclose(found["params"], truth.reshape(-1, 4), rtol=0.2)


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
    from scipy.optimize import leastsq

    y = cube()
    group = Writer(tmp_path / "g.zarr")
    group.add("y", y, ("row", "col", "time"), chunks=(3, 10, 16))
    group.add("x", X, ("time",))
    found = read_and_fit(group.path, p0=START)
    for k in range(0, 60, 7):
        curve = y.reshape(-1, 16)[k]
        best, _ = leastsq(lambda p, curve=curve: decay(X, *p) - curve, START)
        np.testing.assert_allclose(found["params"][k], best, rtol=1e-5)
