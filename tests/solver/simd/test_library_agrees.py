"""Every model of the library on both engines: one answer wherever the data have one."""

from typing import Any

import numpy as np
import pytest

from manyfit import fit_curves
from manyfit.solver.status import Flag
from tests.solver.simulated import NONLINEAR, Sample, sample

TIGHT: dict[str, Any] = {"ftol": 1e-13, "xtol": 1e-13, "maxfev": 250}
"""More evaluations than any fit that is compared needs: the slowest took 166."""


def arguments(drawn: Sample, layout: str) -> dict[str, Any]:
    """Return the curves as a layout or an option has them; p0 is the truth."""
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {"x": drawn.x, "y": drawn.y, "p0": drawn.truth}
    if layout == "sigma":
        sigma = drawn.sigma[:, None] * rng.uniform(0.5, 2, drawn.y.shape)
        given |= {"sigma": sigma, "absolute_sigma": True}
    elif layout == "ragged":
        lengths = rng.integers(30, 61, len(drawn.y))
        given["x"] = np.concatenate([x[:n] for x, n in zip(drawn.x, lengths, strict=True)])
        given["y"] = np.concatenate([y[:n] for y, n in zip(drawn.y, lengths, strict=True)])
        given["offsets"] = np.concatenate([[0], np.cumsum(lengths)])
    elif layout == "bounds":
        highest = float(np.median(drawn.truth[:, -1]))
        given["bounds"] = {drawn.model.params[-1]: (None, highest)}
        given["p0"] = np.array(drawn.truth)
        given["p0"][:, -1] = np.minimum(drawn.truth[:, -1], highest)
    elif layout == "gaps":
        given["y"] = np.where(rng.random(drawn.y.shape) < 0.03, np.nan, drawn.y)
    return given


@pytest.mark.parametrize("layout", ["plain", "sigma", "ragged", "bounds", "gaps"])
@pytest.mark.parametrize("spec", NONLINEAR)
def test_both_engines_have_one_answer(spec: str, layout: str) -> None:
    drawn = sample(spec, "uneven", 60, 100)
    given = arguments(drawn, layout)
    ours = fit_curves(drawn.model, **given, engine="simd", **TIGHT)
    theirs = fit_curves(drawn.model, **given, engine="reference", **TIGHT)
    assert ours.compiled.mean() > 0.7
    loose = ((ours.flags | theirs.flags) & Flag.UNDETERMINED) > 0
    assert np.count_nonzero((ours.success != theirs.success) & ~loose) <= 1
    sure = ours.success & theirs.success & ~loose
    assert sure.mean() > 0.4
    apart = np.abs(ours.params - theirs.params)[sure]
    with np.errstate(invalid="ignore"):
        close = (apart <= 1e-8 * np.abs(theirs.params[sure])) | (
            apart <= 1e-4 * theirs.stderr[sure]
        )
    assert close.all()
    np.testing.assert_allclose(ours.cost[sure], theirs.cost[sure], rtol=1e-10)
