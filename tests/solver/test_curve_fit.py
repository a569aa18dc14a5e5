"""curve_fit stands in for SciPy's: same call, same returns, same failures."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from manyfit.solver.arrays import Floats
from manyfit.solver.bounds import Box
from manyfit.solver.curve_fit import OptimizeWarning, curve_fit
from manyfit.solver.schemes import central_differences, complex_steps

X = np.linspace(0, 5, 20)
Y = 2 * np.exp(-1.5 * X) + 0.5 + 0.02 * np.cos(37 * X)
SIGMA = 0.02 + 0.01 * X
CORRELATED = np.outer(SIGMA, SIGMA) * np.exp(-np.abs(X[:, None] - X) / 0.3)
P0 = [1.0, 1.0, 1.0]
METHODS = ["lm", "trf", "dogbox"]


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def decay_jac(x: Any, a: Any, b: Any, c: Any) -> Floats:
    del c
    e = np.exp(-b * x)
    return np.stack([e, -a * x * e, np.ones_like(x)], axis=1)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("sigma", [None, 0.3, SIGMA, SIGMA.tolist(), CORRELATED], ids=np.shape)
@pytest.mark.parametrize("jac", [None, decay_jac])
@pytest.mark.parametrize("method", METHODS)
def test_returns_what_scipy_returns(method: str, jac: Any, sigma: Any, absolute: bool) -> None:
    options: dict[str, Any] = {
        "p0": P0,
        "sigma": sigma,
        "absolute_sigma": absolute,
        "method": method,
        "jac": jac,
    }
    tight: dict[str, Any] = {} if method == "lm" else {"ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}
    popt, pcov = curve_fit(decay, X, Y, **options, **tight)
    if np.ndim(sigma) == 0 and sigma is not None:  # SciPy fails here when there is a jac
        options["sigma"] = np.full(20, sigma)
    expected, expected_cov = scipy.optimize.curve_fit(decay, X, Y, **options, **tight)
    np.testing.assert_allclose(popt, expected, rtol=1e-6)
    np.testing.assert_allclose(pcov, expected_cov, rtol=2e-5)


def test_full_output_of_lm_is_that_of_leastsq() -> None:
    ours = curve_fit(decay, X, Y, P0, full_output=True, jac=decay_jac)
    theirs = scipy.optimize.curve_fit(decay, X, Y, P0, full_output=True, jac=decay_jac)
    assert ours[4] == theirs[4]
    assert list(ours[2]) == list(theirs[2])
    assert ours[2]["nfev"] == theirs[2]["nfev"]
    np.testing.assert_allclose(ours[2]["fvec"], theirs[2]["fvec"], rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_full_output_has_counts_residuals_and_a_code(method: str) -> None:
    popt, _, infodict, message, ier = curve_fit(
        decay, X, Y, P0, sigma=SIGMA, method=method, full_output=True
    )
    assert infodict["nfev"] > 1
    np.testing.assert_allclose(infodict["fvec"], (decay(X, *popt) - Y) / SIGMA)
    assert ier in {1, 2, 3, 4}
    assert "ftol" in message


def test_the_start_is_one_for_each_named_argument() -> None:
    by_default = curve_fit(decay, X, Y, full_output=True)
    by_hand = curve_fit(decay, X, Y, P0, full_output=True)
    np.testing.assert_array_equal(by_default[0], by_hand[0])
    np.testing.assert_allclose(curve_fit(partial(decay, c=0.5), X, Y)[0], [2, 1.5], rtol=0.02)


@pytest.mark.parametrize(
    ("bounds", "start"),
    [
        (([0, 0, 0], [4, 6, 2]), [2, 3, 1]),
        (([0, 0, 0.1], np.inf), [1, 1, 1.1]),
        ((-np.inf, [4, 3, 2]), [3, 2, 1]),
    ],
)
def test_the_start_lies_inside_the_bounds(bounds: Any, start: list[float]) -> None:
    seen: list[Any] = []

    def watched(x: Any, a: Any, b: Any, c: Any) -> Any:
        seen.append([a, b, c])
        return decay(x, a, b, c)

    curve_fit(watched, X, Y, bounds=bounds)
    np.testing.assert_allclose(seen[0], start)


@pytest.mark.parametrize("method", [None, "trf", "dogbox"])
@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", decay_jac])
def test_bounded_minimum_is_that_of_scipy(method: str | None, jac: Any) -> None:
    bounds = ([0, 0, 0], [1.8, 3, 3])
    popt, pcov = curve_fit(decay, X, Y, bounds=bounds, method=method, jac=jac, xtol=1e-10)
    expected, expected_cov = scipy.optimize.curve_fit(
        decay, X, Y, bounds=bounds, method="dogbox", jac=decay_jac, ftol=1e-12
    )
    np.testing.assert_allclose(popt, expected, rtol=1e-5)
    np.testing.assert_allclose(pcov, expected_cov, rtol=1e-4)
    assert popt[0] == 1.8


def test_bounds_may_be_an_object_with_lb_and_ub() -> None:
    bounds = scipy.optimize.Bounds(0, [1.8, 3, 3])
    assert curve_fit(decay, X, Y, bounds=bounds)[0][0] == pytest.approx(1.8)


def test_several_predictors_and_what_is_no_array_reach_the_model() -> None:
    def plane(x: Any, a: Any, b: Any) -> Any:
        assert x.shape == (2, 20)
        return a * x[0] + b * x[1]

    def by_name(x: Any, a: Any, b: Any) -> Any:
        return a * x["time"] + b * x["place"]

    y = 2 * X + 3 * X**2
    np.testing.assert_allclose(curve_fit(plane, [X, X**2], y)[0], [2, 3])
    np.testing.assert_allclose(curve_fit(by_name, {"time": X, "place": X**2}, y)[0], [2, 3])


def test_a_covariance_matrix_that_is_diagonal_is_the_same_as_standard_deviations() -> None:
    popt, pcov = curve_fit(decay, X, Y, sigma=SIGMA, absolute_sigma=True)
    popt2, pcov2 = curve_fit(decay, X, Y, sigma=np.diag(SIGMA**2), absolute_sigma=True)
    np.testing.assert_allclose(popt2, popt, rtol=1e-10)
    np.testing.assert_allclose(pcov2, pcov, rtol=1e-7)


def test_a_point_with_infinite_sigma_does_not_count() -> None:
    sigma, y = SIGMA.copy(), Y.copy()
    sigma[3], y[3] = np.inf, 1e6
    keep = np.arange(20) != 3
    popt, pcov = curve_fit(decay, X, y, sigma=sigma, absolute_sigma=True)
    expected, expected_cov = curve_fit(
        decay, X[keep], Y[keep], sigma=SIGMA[keep], absolute_sigma=True
    )
    np.testing.assert_allclose(popt, expected, rtol=1e-7)
    np.testing.assert_allclose(pcov, expected_cov, rtol=1e-6)


# Options of trf and dogbox


def test_max_nfev_and_maxfev_end_the_fit() -> None:
    with pytest.raises(RuntimeError, match=r"Optimal parameters not found: Number of calls"):
        curve_fit(decay, X, Y, maxfev=5)
    few: list[dict[str, Any]] = [{"max_nfev": 2}, {"maxfev": 2}]
    enough: list[dict[str, Any]] = [{"max_nfev": 50}, {"maxfev": 50}, {"max_nfev": None}]
    for options in few:
        with pytest.raises(RuntimeError, match=r"Optimal parameters not found: Number of calls"):
            curve_fit(decay, X, Y, method="trf", **options)
    for options in enough:
        assert curve_fit(decay, X, Y, method="trf", **options)[0].shape == (3,)


def test_tolerances_may_be_none_scales_and_steps_given() -> None:
    expected = curve_fit(decay, X, Y)[0]
    for options in (
        {"gtol": None, "ftol": None, "xtol": 1e-6},
        {"x_scale": "jac"},
        {"x_scale": 1.0},
        {"x_scale": [2.0, 1.0, 0.5]},
        {"diff_step": 1e-6},
    ):
        found = curve_fit(decay, X, Y, method="trf", **options)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("jac", [None, "3-point"])
def test_diff_step_is_the_relative_step(jac: str | None) -> None:
    seen: set[float] = set()

    def watched(x: Any, a: Any) -> Any:
        seen.add(float(a))
        return a * x

    curve_fit(watched, X, 3 * X, p0=[2.0], method="trf", jac=jac, diff_step=0.25)
    assert 2.5 in seen
    assert (1.5 in seen) == (jac == "3-point")


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_option_is_an_error(method: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'foo'"):
        curve_fit(decay, X, Y, method=method, foo=1)


# Derivatives


def test_schemes_are_as_exact_as_they_promise() -> None:
    params = np.array([2.0, 1.5, 0.5])

    def fun(p: Any) -> Any:
        return decay(X, *p) - Y

    exact = decay_jac(X, *params)
    np.testing.assert_allclose(complex_steps(fun, params), exact, rtol=1e-14, atol=1e-15)
    central = central_differences(fun, params, fun(params), None)
    np.testing.assert_allclose(central, exact, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "box",
    [
        Box(np.array([2.0, 1.5, 0.5]), np.full(3, 9.0)),
        Box(np.full(3, -9.0), np.array([2.0, 1.5, 0.5])),
        Box(np.array([2.0, 1.5, 0.5]), np.array([2.0, 1.5, 0.5]) + 1e-6),
    ],
    ids=["lower", "upper", "narrow"],
)
def test_central_differences_stay_inside_the_bounds(box: Box) -> None:
    params = np.array([2.0, 1.5, 0.5])

    def fun(p: Any) -> Any:
        assert np.all(p >= box.lower)
        assert np.all(p <= box.upper)
        return decay(X, *p) - Y

    found = central_differences(fun, params, fun(params), box)
    np.testing.assert_allclose(found, decay_jac(X, *params), rtol=1e-6, atol=1e-8)


# What is not a number


def test_points_with_nan_are_refused_or_left_out() -> None:
    x, y, sigma = X.copy(), Y.copy(), SIGMA.copy()
    x[2], y[7] = np.nan, np.nan
    keep = np.isfinite(x) & np.isfinite(y)
    for check in (None, True):
        with pytest.raises(ValueError, match=r"ydata: array must not contain infs or NaNs"):
            curve_fit(decay, x, y, check_finite=check)
    with pytest.raises(ValueError, match=r"xdata: array must not contain infs or NaNs"):
        curve_fit(decay, x, Y)
    with pytest.raises(ValueError, match=r"The input contains nan values"):
        curve_fit(decay, x, y, nan_policy="raise")
    for weights, kept in (
        (None, None),
        (0.5, 0.5),
        (sigma, sigma[keep]),
        (CORRELATED, CORRELATED[np.ix_(keep, keep)]),
    ):
        popt, pcov = curve_fit(decay, x, y, sigma=weights, nan_policy="omit")
        expected, expected_cov = curve_fit(decay, x[keep], y[keep], sigma=kept)
        np.testing.assert_array_equal(popt, expected)
        np.testing.assert_array_equal(pcov, expected_cov)


def test_omitting_needs_to_know_which_points() -> None:
    y = np.where(X > 4, np.nan, Y)
    with pytest.raises(ValueError, match=r"nan_policy='omit' needs xdata as an array"):
        curve_fit(lambda x, a: a * x["t"], {"t": X}, y, nan_policy="omit")


@pytest.mark.parametrize(
    ("policy", "phrase"),
    [
        ("propagate", r"`nan_policy='propagate'` is not supported"),
        ("drop", r"nan_policy must be one of \{None, 'raise', 'omit'\}, got 'drop'"),
    ],
)
def test_a_nan_policy_that_cannot_be_is_an_error(policy: str, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        curve_fit(decay, X, Y, nan_policy=policy)


def test_a_model_that_is_not_finite_is_no_success() -> None:
    def broken(x: Any, a: Any) -> Any:
        return a * x * np.nan

    with pytest.raises(
        RuntimeError, match=r"not found: The model, or its sum of squares, is not finite"
    ):
        curve_fit(broken, X, Y)
    with pytest.raises(ValueError, match=r"Residuals are not finite in the initial point"):
        curve_fit(broken, X, Y, method="trf")
    with pytest.raises(
        RuntimeError, match=r"not found: The model, or its sum of squares, is not finite"
    ):
        curve_fit(decay, X, np.where(X > 4, np.nan, Y), check_finite=False)


# Covariances that cannot be estimated


def test_an_undetermined_parameter_gives_infinite_covariance_and_a_warning() -> None:
    with pytest.warns(OptimizeWarning, match=r"Covariance of the parameters could not be"):
        _, pcov = curve_fit(lambda x, a, b: a * x + 0 * b, X, Y)
    assert np.isposinf(pcov).all()
    assert pcov.shape == (2, 2)


def test_as_many_points_as_parameters_leave_no_scale_for_the_covariance() -> None:
    with pytest.warns(OptimizeWarning, match=r"Covariance of the parameters could not be"):
        _, pcov = curve_fit(lambda x, a, b: a * x + b, X[:2], Y[:2])
    assert np.isposinf(pcov).all()
    _, pcov = curve_fit(lambda x, a, b: a * x + b, X[:2], Y[:2], sigma=1.0, absolute_sigma=True)
    assert np.isfinite(pcov).all()


def test_trf_and_dogbox_use_the_pseudo_inverse() -> None:
    _, pcov = curve_fit(lambda x, a, b: a * x + 0 * b, X, Y, method="trf")
    expected = scipy.optimize.curve_fit(lambda x, a, b: a * x + 0 * b, X, Y, method="trf")[1]
    np.testing.assert_allclose(pcov, expected, rtol=1e-6, atol=1e-20)


def test_a_jacobian_that_is_not_finite_at_the_end_gives_no_covariance() -> None:
    calls = 0

    def jac(x: Floats, a: float, b: float, c: float) -> Floats:
        nonlocal calls
        calls += 1
        return decay_jac(x, a, b, c) * (np.nan if calls == last else 1.0)

    last = 1 + curve_fit(decay, X, Y, jac=decay_jac, full_output=True)[2]["njev"]
    with pytest.warns(OptimizeWarning, match=r"Covariance of the parameters could not be"):
        _, pcov = curve_fit(decay, X, Y, jac=jac, method="trf")
    assert calls == last
    assert np.isposinf(pcov).all()


# Misuse


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"bounds": ([0, 0, 0], 3), "method": "lm"}, r"Method 'lm' only works for unconstrained"),
        ({"method": "newton"}, r"method must be one of .*, got 'newton'"),
        ({"jac": "3-point"}, r"jac must be None, a callable, or .* got '3-point' for method 'lm'"),
        ({"jac": "4-point", "method": "trf"}, r"one of .*; got '4-point' for method 'trf'"),
        ({"sigma": np.ones(7)}, r"`sigma` has incorrect shape: \(7,\); it must be a scalar"),
        ({"sigma": np.zeros(20)}, r"`sigma` must be > 0 at every point"),
        ({"sigma": -1.0}, r"`sigma` must be > 0 at every point"),
        ({"sigma": np.where(X > 4, np.nan, 1.0)}, r"`sigma` must be > 0 at every point"),
        ({"sigma": -np.eye(20)}, r"`sigma` must be positive definite"),
        ({"bounds": (3, 1)}, r"Each lower bound must be strictly less"),
        ({"bounds": (0, 1, 2)}, r"bounds must be .lower, upper."),
        ({"bounds": (2, 3), "p0": P0}, r"Initial guess is outside of provided bounds"),
        ({"args": (1,)}, r"'args' is not a supported keyword argument"),
    ],
)
def test_what_cannot_be_is_an_error(options: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        curve_fit(decay, X, Y, **options)


@pytest.mark.parametrize("f", [lambda x: x, lambda x, *p: x * p[0], max])
def test_parameters_that_cannot_be_counted_need_a_start(f: Any) -> None:
    with pytest.raises(ValueError, match=r"Unable to determine number of fit parameters. Give p0"):
        curve_fit(f, X, Y)


def test_no_data_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"`ydata` must not be empty"):
        curve_fit(decay, [], [])


@pytest.mark.parametrize("method", METHODS)
def test_fewer_points_than_parameters_are_an_error(method: str) -> None:
    with pytest.raises(TypeError, match=r"The number of func parameters=3 must not exceed .*=2"):
        curve_fit(decay, X[:2], Y[:2], method=method)


def test_a_wrong_shape_of_the_jacobian_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"Shape should be \(20, 3\) but it is \(3, 3\)"):
        curve_fit(decay, X, Y, jac=lambda x, a, b, c: np.ones((3, 3)) * (x[0] + a + b + c))
