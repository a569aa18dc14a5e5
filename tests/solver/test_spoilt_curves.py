"""What is wrong with a curve is a code in its row, and nothing to the other curves."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.result import BatchFit
from manyfit.solver.status import Status
from tests.solver.decays import (
    EXACT,
    RESULTS,
    X,
    assert_not_fitted,
    assert_same_bits,
    decay,
    noisy,
)

pytestmark = pytest.mark.usefixtures("engine")

Y = noisy()

SPOILT = {
    "nan": ("y", np.s_[3], np.nan, Status.NONFINITE_DATA),
    "inf": ("y", np.s_[3], -np.inf, Status.NONFINITE_DATA),
    "too few": ("y", np.s_[3, 2:], np.nan, Status.TOO_FEW_POINTS),
    "sigma zero": ("sigma", np.s_[3, 5], 0.0, Status.BAD_SIGMA),
    "sigma negative": ("sigma", np.s_[3, 0], -1e-300, Status.BAD_SIGMA),
    "sigma nan": ("sigma", np.s_[3], np.nan, Status.NONFINITE_DATA),
    "p0 nan": ("p0", np.s_[3, 1], np.nan, Status.BAD_START),
    "p0 inf": ("p0", np.s_[3, 0], np.inf, Status.BAD_START),
    "p0 outside": ("p0", np.s_[3, 1], 77.0, Status.BAD_START),
    "model overflows": ("p0", np.s_[3, 1], -1e4, Status.MODEL_NONFINITE),
}


@pytest.mark.parametrize(("what", "where", "value", "status"), SPOILT.values(), ids=SPOILT.keys())
@pytest.mark.parametrize("n_points", [16, 17], ids=["whole", "padded"])
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_a_spoilt_curve_has_its_code_and_the_others_their_bits(
    what: str, where: Any, value: float, status: Status, n_points: int, model: Any
) -> None:
    y = noisy(n_points=n_points)
    data: dict[str, Any] = {"y": y, "sigma": np.full_like(y, 0.1), "p0": np.full((8, 3), 1.1)}

    def fitted() -> BatchFit:
        bounds = {"b": (-1e5, 50)}
        return fit_curves(model, X[:n_points], **data, bounds=bounds, absolute_sigma=True)

    good = fitted()
    data[what][where] = value
    fit = fitted()
    assert_not_fitted(fit, 3, status)
    others = [0, 1, 2, 4, 5, 6, 7]
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(fit, name)[others], getattr(good, name)[others])
    assert good.success.all()


@pytest.mark.parametrize("offsets", [[0, 0, 50], [0, 50, 50]])
def test_a_curve_without_points_has_no_data(offsets: list[int]) -> None:
    fit = fit_curves(EXACT, X, Y[0], offsets=offsets)
    empty = int(np.flatnonzero(np.diff(offsets) == 0)[0])
    assert_not_fitted(fit, empty, Status.NO_DATA)
    assert fit.n_points[empty] == 0
    assert_same_bits(fit, fit_curves(EXACT, X, Y[:1]), rows=slice(1 - empty, 2 - empty))


def test_curves_of_no_points_at_all_have_no_data() -> None:
    fit = fit_curves(EXACT, np.empty(0), np.empty((3, 0)))
    for row in range(3):
        assert_not_fitted(fit, row, Status.NO_DATA)


@pytest.mark.parametrize("n_points", [1, 2, 3, 4])
def test_a_curve_needs_as_many_points_as_free_parameters(n_points: int) -> None:
    x, y = X[:n_points] * 5, noisy(n_points=n_points)
    fit = fit_curves(EXACT, x, y)
    enough = n_points >= 3
    np.testing.assert_array_equal(fit.status == Status.TOO_FEW_POINTS, not enough)
    fixed = fit_curves(EXACT, x, y, fixed={"c": 0.5})
    np.testing.assert_array_equal(fixed.status == Status.TOO_FEW_POINTS, n_points < 2)
    np.testing.assert_array_equal(fixed.n_points, n_points)


def test_a_curve_cut_short_keeps_its_last_iterate() -> None:
    fit = fit_curves(EXACT, X, Y, maxfev=3)
    np.testing.assert_array_equal(fit.status, Status.MAXFEV)
    assert np.isfinite(fit.params).all()
    assert (fit.params != 1).any()
    cost = 0.5 * np.sum((decay(X, *fit.params.T[:, :, None]) - Y) ** 2, axis=1)
    np.testing.assert_allclose(fit.cost, cost, rtol=1e-12)


def test_a_jacobian_that_is_not_finite_keeps_the_start() -> None:
    def spike(x: Any, a: Any) -> Any:
        return np.where(a == 1.5, a * x, np.nan)

    y = 2 * X[None]
    fit = fit_curves(spike, X, y, p0=[1.5], engine="reference")
    assert fit.status[0] == Status.JACOBIAN_NONFINITE
    assert fit.params[0, 0] == 1.5
    assert np.isnan(fit.stderr).all()
    np.testing.assert_allclose(fit.cost, 0.5 * np.sum((0.5 * X) ** 2))


def test_a_constant_curve_is_fitted_and_its_rate_is_not_determined() -> None:
    y = np.array([[3.0] * 50, [0.0] * 50])
    fit = fit_curves(EXACT, X, y)
    assert fit.success.all()
    np.testing.assert_allclose(fit.evaluate(), y, atol=1e-6)
    known = fit.stderr[:, 1] < 0.5 * np.abs(fit.params[:, 1])
    assert not known.any()


def test_a_derivative_with_a_removable_nan_does_not_spoil_a_fit() -> None:
    power = Model.from_function(
        lambda x, a, b: a * x**b, jac=lambda x, a, b: [x**b, a * x**b * np.log(x)]
    )
    y = 2 * X**1.5 + 0.1 * np.random.default_rng(0).normal(size=(4, 50))
    fit = fit_curves(power, X, y)
    expected = [curve_fit(power.func, X, one)[0] for one in y]
    assert fit.success.all()
    np.testing.assert_allclose(fit.params, expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-140, 1e-100, 1e100, 1e140])
def test_data_of_any_size_are_fitted(scale: float) -> None:
    fit = fit_curves(EXACT, X, scale * Y, p0=[scale, 1, scale])
    plain = fit_curves(EXACT, X, Y, p0=[1, 1, 1])
    units = np.array([scale, 1, scale])
    np.testing.assert_allclose(fit.params / units, plain.params, rtol=1e-7)
    np.testing.assert_allclose(fit.stderr / units, plain.stderr, rtol=1e-5)


def test_no_success_has_a_cost_that_is_not_finite() -> None:
    fit = fit_curves(EXACT, X, 1e200 * Y, p0=[1e200, 1, 1e200])
    assert np.isfinite(fit.cost[fit.success]).all()
    assert not np.isfinite(fit.params[~fit.success]).any()


# Any data at all -----------------------------------------------------------------------------

ANY = st.sampled_from([0.0, 1.0, -1.0, 3.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 1e20])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 9), st.booleans())
def test_no_values_raise_and_none_reach_another_curve(
    data: st.DataObject, n_points: int, exact: bool
) -> None:
    def draw() -> Floats:
        return np.array(data.draw(st.lists(ANY, min_size=n_points, max_size=n_points)))

    model = EXACT if exact else decay
    x, y, sigma = (
        np.stack([draw(), good]) for good in (X[:n_points], Y[0, :n_points], 1 + X[:n_points])
    )
    start = np.array([[data.draw(ANY) for _ in range(3)], [1, 1, 1]])
    fit = fit_curves(model, x, y, sigma=sigma, p0=start, maxfev=25)
    alone = fit_curves(model, x[1:], y[1:], sigma=sigma[1:], p0=start[1:], maxfev=25)
    assert_same_bits(fit, alone, rows=slice(1, 2))
    status = Status(int(fit.status[0]))
    fitted = status > 0 or status == Status.JACOBIAN_NONFINITE
    assert np.isfinite(fit.params[0]).all() == fitted
    assert np.isnan(fit.params[0]).all() == (not fitted)
    if status.success:
        assert np.isfinite(fit.cost[0])
        assert not (fit.stderr[0] < 0).any()
    elif not fitted:
        assert np.isnan(fit.cost[0])
