"""Arrays that go with the curves: masks, sigma, start values, constants, names, and x."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manyfit.solver.model import Model
from tests.pipeline.zarr_groups import START, Writer, X, alone, cube, read_and_fit, same

pytestmark = pytest.mark.usefixtures("small_tiles")


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
