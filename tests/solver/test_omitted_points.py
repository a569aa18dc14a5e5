"""Points that are not finite or masked are left out, give a code, or raise, as nan_policy says."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.status import Flag, Status
from tests.solver.decays import EXACT, X, assert_not_fitted, assert_same_bits, decay, noisy

pytestmark = pytest.mark.usefixtures("engine")

Y = noisy()


@pytest.mark.parametrize("where", ["x", "y", "sigma", "masked y", "masked x"])
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_omitted_points_are_as_if_they_had_never_been(where: str, model: Any) -> None:
    x, y, sigma = np.tile(X, (8, 1)), noisy(), np.tile(np.linspace(0.05, 0.1, 50), (8, 1))
    bad = np.random.default_rng(1).random((8, 50)) < 0.2
    bad[5] = False
    data: dict[str, Any] = {"x": x.copy(), "y": y.copy(), "sigma": sigma.copy()}
    name = where.rsplit(maxsplit=1)[-1]
    if where.startswith("masked"):
        data[name] = np.ma.masked_array(data[name], mask=bad)
    else:
        data[name][bad] = np.resize([np.nan, np.inf, -np.inf], bad.sum())
    fit = fit_curves(model, data["x"], data["y"], sigma=data["sigma"])
    np.testing.assert_array_equal(fit.n_points, 50 - bad.sum(axis=1))
    np.testing.assert_array_equal(fit.flags == Flag.POINTS_OMITTED, bad.any(axis=1))
    for i in range(8):
        keep = ~bad[i]
        without = fit_curves(model, x[i, keep], y[i : i + 1, keep], sigma=sigma[i, keep])
        np.testing.assert_allclose(fit.cost[i], without.cost[0], rtol=1e-10)
        np.testing.assert_allclose(fit.params[i], without.params[0], rtol=1e-7)
        np.testing.assert_allclose(fit.cov[i], without.cov[0], rtol=1e-5)
        assert (fit.status[i], fit.nfev[i], fit.dof[i]) == (
            without.status[0],
            without.nfev[0],
            without.dof[0],
        )


def test_propagate_gives_curves_with_such_points_a_code() -> None:
    y = noisy()
    y[3, 7] = np.nan
    good = fit_curves(EXACT, X, noisy())
    fit = fit_curves(EXACT, X, y, nan_policy="propagate")
    assert_not_fitted(fit, 3, Status.NONFINITE_DATA)
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(fit.params[others], good.params[others])


@pytest.mark.parametrize("where", ["x", "y", "sigma"])
def test_raise_raises_and_names_the_curve(where: str) -> None:
    data = {"x": np.tile(X, (8, 1)), "y": noisy(), "sigma": np.full((8, 50), 0.1)}
    data[where][3, 7] = np.nan
    with pytest.raises(ValueError, match=r"curve 3 has values that are not finite.*nan_policy"):
        fit_curves(EXACT, data["x"], data["y"], sigma=data["sigma"], nan_policy="raise")


@pytest.mark.parametrize("policy", ["omit", "raise", "propagate"])
def test_finite_data_are_the_same_under_every_policy(policy: Any) -> None:
    assert_same_bits(fit_curves(EXACT, X, Y, nan_policy=policy), fit_curves(EXACT, X, Y))
