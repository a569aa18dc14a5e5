"""A real image from photon counts in Zarr to maps, with one command, against a loop over SciPy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.results import read_result

FLIM = Path(__file__).parents[1] / "data" / "flim"
PARAMS = ("a", "tau", "c")
MODEL = "a*exp(-x/tau) + c"

Command = Callable[..., Any]
Invoke = Callable[..., Any]


def fitted(manyfit: Command, out: Path, *options: object) -> Path:
    data = FLIM / "hazelnut.zarr"
    done = manyfit("fit", data, "-m", MODEL, "--sigma", "sigma", "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory, manyfit: Command) -> Path:
    return fitted(manyfit, tmp_path_factory.mktemp("hazelnut") / "maps.zarr")


def at_the_minimum(out: Path, prefix: str, rtol: float) -> Any:
    """Say of each curve whether it is at the minimum that SciPy found, or lower.

    An almost empty decay may be fitted exactly, to a sum of squares that is rounding alone.
    """
    reference = pq.read_table(FLIM / "reference.parquet")
    found = read_result(out)
    assert found["curve_id"].equals(reference["curve_id"])
    rss = reference[f"{prefix}rss"].to_numpy()
    converged = np.isin(reference[f"{prefix}ier"].to_numpy(), (1, 2, 3, 4))
    assert converged.sum() > 4000
    return ~converged | (2 * found["cost"].to_numpy() <= rss * (1 + rtol) + 1e-20)


def test_every_curve_is_at_scipys_minimum(maps: Path) -> None:
    assert at_the_minimum(maps, "", 1e-8).all()


def test_tight_tolerances_reach_the_minimum(tmp_path: Path, manyfit: Command) -> None:
    tight = ("--ftol", 1e-14, "--xtol", 1e-14, "--maxfev", 4000)
    out = fitted(manyfit, tmp_path / "maps.zarr", *tight)
    assert at_the_minimum(out, "tight_", 1e-12).all()


def test_parameters_are_scipys_where_the_data_determine_them(maps: Path) -> None:
    reference, found = pq.read_table(FLIM / "reference.parquet"), read_result(maps)
    determined = (found["flags"].to_numpy() == 0) & (reference["rss"].to_numpy() > 1e-20)
    assert determined.sum() > 3000
    for name in PARAMS:
        ours, theirs = found[name].to_numpy(), reference[name].to_numpy()
        stderr = reference[f"err_{name}"].to_numpy()
        near = np.abs(ours - theirs) <= 1e-6 * np.abs(theirs) + 1e-2 * stderr
        assert near[determined].all()


def test_the_lifetimes_are_a_map_of_xarray(maps: Path) -> None:
    xr = pytest.importorskip("xarray")
    tau = xr.open_zarr(maps).tau
    assert tau.sizes == {"dim_0": 4096}
    assert np.array_equal(tau.values, read_result(maps)["tau"], equal_nan=True)
    assert tau.curve_id.values[:3].tolist() == [0, 1, 2]
    assert 0.5 < np.median(tau.values) < 2


def test_a_table_has_the_same_bits(maps: Path, tmp_path: Path, manyfit: Command) -> None:
    table = read_result(fitted(manyfit, tmp_path / "table", "--workers", 1))
    assert table.schema.equals(read_result(maps).schema)
    for name in table.column_names:
        columns = [t[name].combine_chunks() for t in (table, read_result(maps))]
        ours, theirs = (c.flatten() if name == "cov" else c for c in columns)
        ours, theirs = (c.to_numpy(zero_copy_only=False) for c in (ours, theirs))
        assert np.array_equal(ours, theirs, equal_nan=name not in {"curve_id", "compiled"})


def test_the_maps_are_shown_and_verified(maps: Path, invoke: Invoke) -> None:
    shown = invoke("show", maps)
    assert shown.exit_code == 0, shown.stderr
    assert f"4,096 curves fitted with {MODEL}" in shown.stdout
    assert invoke("verify", maps).exit_code == 0
