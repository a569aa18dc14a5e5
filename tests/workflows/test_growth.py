"""Real growth curves, with one command, against a loop over SciPy's ``leastsq``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.results import read_result
from manyfit.solver.status import Flag

GROWTH = Path(__file__).parents[1] / "data" / "growth"
PARAMS = ("c", "K", "r", "tm")


def fitted(manyfit: Callable[..., Any], out: Path, *options: object) -> pa.Table:
    data = GROWTH / "plates.parquet"
    done = manyfit("fit", data, "--model", "logistic", "--out", out, "--workers", 1, *options)
    assert done.returncode == 0, done.stderr
    return read_result(out)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory, manyfit: Callable[..., Any]) -> pa.Table:
    return fitted(manyfit, tmp_path_factory.mktemp("growth") / "out")


def disagreeing(result: pa.Table, prefix: str) -> dict[str, Any]:
    """Return the curves on which SciPy converged to something else that is not worse."""
    reference = pq.read_table(GROWTH / "reference.parquet")
    assert result["curve_id"].equals(reference["curve_id"])
    ours = np.column_stack([result[name] for name in PARAMS])
    c, K, r, tm = (reference[prefix + name].to_numpy() for name in PARAMS)
    turned = np.sign(r) != np.sign(ours[:, 2])  # c + K/(1 + e) = (c + K) - K/(1 + 1/e)
    theirs = np.where(
        turned[:, None], np.column_stack([c + K, -K, -r, tm]), np.column_stack([c, K, r, tm])
    )
    stderr = np.column_stack([reference[f"{prefix}err_{name}"] for name in PARAMS])
    error = np.abs(ours - theirs)
    agree = np.all((error <= 1e-6 * np.abs(theirs)) | (error <= 1e-3 * stderr), axis=1)
    as_low = 2 * result["cost"].to_numpy() <= reference[f"{prefix}rss"].to_numpy() * (1 + 1e-9)
    ier = reference[f"{prefix}ier"].to_numpy()
    wrong = np.flatnonzero((ier >= 1) & (ier <= 4) & ~(agree | as_low))
    return {result["curve_id"][int(i)].as_py(): (ours[i], theirs[i]) for i in wrong}


def test_every_curve_that_scipy_fits_is_fitted_as_well(plates: pa.Table) -> None:
    assert not disagreeing(plates, "")


def test_tight_tolerances_reach_the_minimum(tmp_path: Path, manyfit: Callable[..., Any]) -> None:
    tight = ("--ftol", 1e-14, "--xtol", 1e-14, "--maxfev", 800)
    assert not disagreeing(fitted(manyfit, tmp_path / "out", *tight), "tight_")


def test_flat_wells_say_what_is_not_determined(plates: pa.Table) -> None:
    curves = pq.read_table(GROWTH / "plates.parquet", columns=["y"])["y"].to_pylist()
    flat = np.array([np.ptp(y) < 0.1 for y in curves])
    assert flat.sum() == 81
    success = (plates["status"].to_numpy() >= 1) & (plates["status"].to_numpy() <= 4)
    loose = (plates["flags"].to_numpy() & Flag.UNDETERMINED) > 0
    stderr = np.column_stack([plates[f"{name}_stderr"] for name in PARAMS])
    assert np.isnan(stderr[loose]).any(axis=1).all()
    told = ~success | loose
    assert told[flat].sum() > 40
    ids = plates["curve_id"].to_numpy()
    assert ids[told & ~flat].tolist() == ["biotek/P24"]  # it falls: no step, K has no end
    small = flat & ~told  # the others drift: a small step, and an error for each parameter
    assert np.isfinite(stderr[small]).all()
    assert (stderr[small] > 0).all()
    assert (np.abs(plates["K"].to_numpy()[small]) < 0.02).all()
