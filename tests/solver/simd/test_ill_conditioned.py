"""Curves whose normal equations lose too much: ended by QR in lanes, as MINPACK and SciPy do.

Two exponentials seen over half a lifetime, with little noise: (JᵀJ)'s smallest relative pivot is
below 1e-7 for every curve.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.status import Flag, Status

N, RNG = 70, np.random.default_rng(20261123)
X = np.linspace(0.0, 0.5, 60)
_RATE = RNG.uniform(0.8, 1.2, N)
TRUTH = np.stack(
    [
        RNG.uniform(1, 2, N),
        _RATE,
        RNG.uniform(1, 2, N),
        _RATE * RNG.uniform(2, 3, N),
        RNG.uniform(0.4, 0.6, N),
    ],
    axis=1,
)
START = TRUTH * [1.02, 1.01, 0.98, 0.99, 1.0]
TWO_DECAYS = Model.from_expression("a*exp(-b*x) + c*exp(-d*x) + k")
TIGHT = {"ftol": 1e-13, "xtol": 1e-13}
COMMON: Mapping[str, Any] = {"model": TWO_DECAYS, "x": X, "p0": START, **TIGHT}


def curves(x: Floats) -> Floats:
    """Return the curves with noise, at x shared or a row a curve."""
    a, b, c, d, k = TRUTH.T[:, :, None]
    y = a * np.exp(-b * x) + c * np.exp(-d * x) + k
    return np.asarray(y + np.random.default_rng(1).normal(0, 1e-6, y.shape))


Y = curves(X)
SIGMA = RNG.uniform(0.5, 2.0, Y.shape) * 1e-6
OWN_X = X * RNG.uniform(0.9, 1.1, (N, 1))
LENGTHS = RNG.integers(45, 61, N)
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
X_FLAT = np.concatenate([X[:n] for n in LENGTHS])
Y_FLAT = np.concatenate([row[:n] for row, n in zip(Y, LENGTHS, strict=True)])
WITH_CONSTANT = Model.from_expression("a*exp(-b*x) + c*exp(-d*x) + k + q*x", constants=["q"])
GAPS = np.where(RNG.random(Y.shape) < 0.02, np.nan, Y)

CASES: dict[str, dict[str, Any]] = {
    "shared x": {},
    "uneven x": {"x": X**1.01, "y": curves(X**1.01)},
    "x per curve": {"x": OWN_X, "y": curves(OWN_X)},
    "sigma": {"sigma": SIGMA, "absolute_sigma": True},
    "gaps": {"y": GAPS},
    "gaps and sigma": {"y": GAPS, "sigma": SIGMA},
    "ragged": {"x": X_FLAT, "y": Y_FLAT, "offsets": OFFSETS},
    "bounds that do not matter": {"bounds": {"a": (0, None)}},
    "bounds": {"bounds": {"k": (0.55, None)}, "p0": np.maximum(START, [0, 0, 0, 0, 0.55])},
    "scales": {"diag": [1, 2, 1, 2, 1], "factor": 1.0},
    "a small first radius": {"factor": 1e-3},
    "constants": {"model": WITH_CONSTANT, "y": Y + 0.3 * X, "constants": {"q": 0.3}},
}


def jacobian(x: Floats, params: Floats) -> Floats:
    """Return the Jacobian of one curve, (n_points, 5)."""
    columns = TWO_DECAYS.jac(x, *params)  # type: ignore[misc]
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def least_pivot(fit: BatchFit, x: Floats) -> Floats:
    """Return the smallest relative pivot of JᵀJ, (n_curves,), without ever making JᵀJ."""
    R = np.linalg.qr(np.stack([jacobian(x, params) for params in fit.params])).R
    share = np.einsum("kii->ki", R) / np.linalg.norm(R, axis=1)
    return np.asarray((share * share).min(axis=1))


@pytest.mark.parametrize("case", CASES)
def test_they_are_fitted_in_lanes_as_the_reference_engine_does(case: str) -> None:
    arguments = {"y": Y, **COMMON, **CASES[case]}
    ours = fit_curves(**arguments, engine="simd")
    theirs = fit_curves(**arguments, engine="reference")
    assert ours.compiled.all()
    for name in ("success", "n_points", "dof", "flags", "at_bound", "undetermined"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.success.all()
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-6)
    apart = np.abs(ours.params - theirs.params)
    free = ~theirs.at_bound
    assert (apart[free] <= 1e-4 * theirs.stderr[free]).all()
    np.testing.assert_allclose(ours.stderr, theirs.stderr, rtol=1e-5)
    scale = np.nan_to_num(theirs.stderr, nan=1.0)
    unit = scale[:, :, None] * scale[:, None, :]
    np.testing.assert_allclose(ours.cov / unit, theirs.cov / unit, rtol=0, atol=1e-5)


def test_they_end_where_scipy_does_at_its_own_tolerances() -> None:
    fit = fit_curves(TWO_DECAYS, X, Y, p0=START)
    assert (least_pivot(fit, X) < 1e-7).all()
    assert fit.compiled.all()
    assert fit.success.all()
    for i in range(N):

        def residuals(p: Floats, y: Floats = Y[i]) -> Floats:
            return np.asarray(TWO_DECAYS.func(X, *p) - y)

        best, cov_x, info, _, _ = scipy.optimize.leastsq(
            residuals, START[i], Dfun=lambda p: jacobian(X, p), full_output=True
        )
        rss = info["fvec"] @ info["fvec"]
        assert 2 * fit.cost[i] <= rss * (1 + 1e-6)
        stderr = np.sqrt(np.diag(cov_x) * rss / (60 - 5))
        assert (np.abs(fit.params[i] - best) <= 1e-2 * stderr).all()
        np.testing.assert_allclose(fit.stderr[i], stderr, rtol=1e-3)


def test_such_a_curve_has_the_same_bits_alone_ragged_weighted_and_in_any_order() -> None:
    easy = np.exp(-X) + RNG.normal(0, 0.05, (40, X.size))
    y, p0 = np.concatenate([Y, easy]), np.concatenate([START, np.tile(START[0], (40, 1))])
    order = RNG.permutation(len(y))
    mixed = fit_curves(TWO_DECAYS, X, y[order], p0=p0[order])
    whole = fit_curves(TWO_DECAYS, X, Y, p0=START)
    weighted = fit_curves(TWO_DECAYS, X, Y, p0=START, sigma=1.0)
    lengths = np.where(np.arange(N) % 3, 60, 45)
    flat = np.concatenate([row[:n] for row, n in zip(Y, lengths, strict=True)])
    x_flat = np.concatenate([X[:n] for n in lengths])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ragged = fit_curves(TWO_DECAYS, x_flat, flat, p0=START, offsets=offsets)
    back = np.argsort(order)[:N]
    for name in ("params", "cov", "stderr", "status", "nfev", "njev", "cost", "compiled"):
        expected = getattr(whole, name)
        np.testing.assert_array_equal(getattr(mixed, name)[back], expected)
        np.testing.assert_array_equal(getattr(weighted, name), expected)
        np.testing.assert_array_equal(getattr(ragged, name)[lengths == 60], expected[lengths == 60])
        for i in (0, 23, N - 1):
            alone = fit_curves(TWO_DECAYS, X, Y[i : i + 1], p0=START[i])
            np.testing.assert_array_equal(getattr(alone, name)[0], expected[i])


@pytest.mark.parametrize("maxfev", [1, 2, 400])
def test_bounds_that_hold_some_curves_change_no_bit_of_others(maxfev: int) -> None:
    """Also in the middle of the way, where steps are large and show every bit."""
    rules: dict[str, Any] = {"bounds": {"k": (0.5, None)}, "maxfev": maxfev}
    start = np.maximum(START * [1.2, 1.1, 0.9, 0.9, 1.0], [0, 0, 0, 0, 0.5])
    whole = fit_curves(TWO_DECAYS, X, Y, p0=start, engine="simd", **rules)
    assert whole.compiled.all()
    held = whole.at_bound[:, 4]
    assert 10 < held.sum() < N - 10
    for i in (*np.flatnonzero(held)[:4], *np.flatnonzero(~held)[:8]):
        alone = fit_curves(TWO_DECAYS, X, Y[i : i + 1], p0=start[i], engine="simd", **rules)
        for name in ("params", "cov", "status", "nfev", "cost"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(whole, name)[i])


def test_evaluations_before_and_after_are_counted() -> None:
    fit = fit_curves(TWO_DECAYS, X, Y, p0=START, maxfev=2, engine="simd")
    np.testing.assert_array_equal(fit.status, Status.MAXFEV)
    np.testing.assert_array_equal(fit.nfev, 4)  # each kernel has a budget of its own
    np.testing.assert_array_equal(fit.njev, 2)
    assert fit.compiled.all()


def test_what_the_data_cannot_tell_apart_has_its_covariance_from_the_reference_engine() -> None:
    model = Model.from_expression("(a + b)*exp(-c*x) + k")
    x = np.linspace(0, 5, 40)
    y = 3.0 * np.exp(-1.2 * x) + 0.5 + RNG.normal(0, 0.01, (9, 40))
    y[4, 7] = np.nan
    fit = fit_curves(model, x, y, p0=[1.0, 1.0, 1.0, 0.0])
    assert fit.compiled.all()
    assert fit.success.all()
    theirs = fit_curves(model, x, y, p0=[1.0, 1.0, 1.0, 0.0], engine="reference")
    np.testing.assert_array_equal(np.isnan(fit.cov), np.isnan(theirs.cov))
    np.testing.assert_allclose(fit.cov, theirs.cov, rtol=1e-4)
    expected = np.full(9, Flag.UNDETERMINED)
    expected[4] |= Flag.POINTS_OMITTED
    np.testing.assert_array_equal(fit.flags, expected)
    np.testing.assert_array_equal(np.isnan(fit.stderr), np.tile([True, True, False, False], (9, 1)))
    together = Model.from_expression("a*exp(-c*x) + k")
    other = fit_curves(together, x, y, p0=[2.0, 1.0, 0.0])
    np.testing.assert_allclose(fit.cost, other.cost, rtol=1e-6)
    dof = np.sqrt(other.dof / fit.dof)[:, None]
    np.testing.assert_allclose(fit.stderr[:, 2:], dof * other.stderr[:, 1:], rtol=1e-3)


def test_curves_that_the_data_leave_open_hold_nobody_up() -> None:
    """Peaks between the points, from starts far off: the reference engine took some to maxfev."""
    x = np.arange(64.0)
    m = RNG.uniform(25, 38, (200, 1))
    y = 100 * np.exp(-(((x - m) / 0.3) ** 2) / 2) + 10 + RNG.normal(0, 3, (200, 64))
    peak = Model.from_expression("a*exp(-((x-m)/s)**2/2) + d", params=["a", "m", "s", "d"])
    fit = fit_curves(peak, x, y, p0=[80, 32, 0.27, 8])
    assert fit.compiled.all()
    assert (fit.flags & Flag.UNDETERMINED != 0).sum() > 50
    few = fit_curves(peak, x, y[:40], p0=[80, 32, 0.27, 8], engine="reference")
    same = np.isclose(few.cost, fit.cost[:40], rtol=1e-6)
    assert same.mean() > 0.8  # from such starts rounding decides where some are led
    np.testing.assert_array_equal(few.flags[same], fit.flags[:40][same])


def test_well_conditioned_curves_beside_them_do_not_see_the_second_kernel() -> None:
    """Who sees it is evaluated once more than by the reference engine, where it goes on."""
    x = np.concatenate([np.tile(X, (N, 1)), np.tile(20 * X, (N, 1))])
    y, p0 = np.concatenate([Y, curves(20 * X)]), np.concatenate([START, START])
    fit = fit_curves(TWO_DECAYS, x, y, p0=p0)
    theirs = fit_curves(TWO_DECAYS, x, y, p0=p0, engine="reference")
    assert fit.compiled.all()
    ill = least_pivot(fit, X)[:N] < 1e-7
    assert ill.all()
    easy = slice(N, None)
    assert (least_pivot(fit, 20 * X)[easy] > 1e-7).all()
    np.testing.assert_array_equal(fit.nfev[easy], theirs.nfev[easy])
    assert (fit.nfev[:N] > theirs.nfev[:N]).mean() > 0.9


def test_columns_whose_squares_vanish_are_left_to_the_reference_engine() -> None:
    model = Model.from_expression("a*exp(-b*x) + c + 1e-160*d*x")
    x = np.linspace(0, 5, 40)
    y = 3.0 * np.exp(-1.2 * x) + 0.5 + 0.2 * x + RNG.normal(0, 0.01, (9, 40))
    start: dict[str, Any] = {"p0": [2.0, 1.0, 0.0, 1e158]}
    fit = fit_curves(model, x, y, **start)
    theirs = fit_curves(model, x, y, **start, engine="reference")
    assert not fit.compiled.any()
    np.testing.assert_array_equal(fit.success, theirs.success)
    np.testing.assert_allclose(fit.cost, theirs.cost, rtol=1e-9)
    np.testing.assert_allclose(fit.params, theirs.params, rtol=1e-5)
