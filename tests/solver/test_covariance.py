"""Covariances against numpy.linalg: full rank, any units, and exactly what is not determined."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.covariance import Covariance, unscaled_covariance
from manyfit.solver.model import Model
from manyfit.solver.status import Flag

pytestmark = pytest.mark.usefixtures("engine")

ROUNDING = 1e-14


def jacobians(n: int, m: int, n_curves: int = 8, seed: int = 0) -> Floats:
    """Return generic Jacobians, (n_curves, n, m)."""
    return np.random.default_rng(seed + 10 * n + m).normal(size=(n_curves, n, m))


def covariance(jac: Floats, rank_tolerance: float = ROUNDING) -> Covariance:
    """Return the covariance of a copy."""
    return unscaled_covariance(jac.copy(), rank_tolerance)


def inverse_gram(jac: Floats) -> Floats:
    """Return (JᵀJ)⁻¹ by numpy.linalg."""
    gram = np.einsum("bim,bjm->bij", jac, jac)
    return np.asarray(np.linalg.inv(gram))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (2, 2), (3, 20), (6, 7), (8, 100)])
def test_covariance_is_the_inverse_of_the_gram_matrix(n: int, m: int) -> None:
    jac = jacobians(n, m)
    found = covariance(jac)
    expected = inverse_gram(jac)
    size = np.abs(expected).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.cov_x / size, expected / size, atol=1e-9)
    assert not found.undetermined.any()


@pytest.mark.parametrize("decades", [12, 100, 150])
def test_units_scale_the_covariance_and_nothing_else(decades: int) -> None:
    jac = jacobians(4, 20)
    scale = np.logspace(-decades, decades, 4)
    found = covariance(jac * scale[:, None])
    plain = covariance(jac)
    back = (found.cov_x * scale[:, None]) * scale
    np.testing.assert_allclose(back, plain.cov_x, rtol=1e-11, atol=1e-14)
    assert not found.undetermined.any()


@settings(derandomize=True, max_examples=50)
@given(st.integers(1, 5), st.integers(0, 1000), st.floats(-6, 0))
def test_covariance_is_symmetric_and_positive(n: int, seed: int, log_angle: float) -> None:
    jac = jacobians(n, n + 3, seed=seed)
    jac[:, -1] = jac[:, 0] + 10**log_angle * jac[:, -1]
    found = covariance(jac).cov_x
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))
    assert np.all(np.diagonal(found, axis1=1, axis2=2) > 0)
    assert np.all(np.linalg.eigvalsh(found)[:, 0] > -1e-12 * np.abs(found).max(axis=(1, 2)))


def combine(kind: str, jac: Floats) -> Floats:
    """Make some of six columns depend on each other."""
    jac = jac.copy()
    match kind:
        case "equal":
            jac[:, 4] = jac[:, 1]
        case "multiple":
            jac[:, 4] = -1e6 * jac[:, 1]
        case "sum":
            jac[:, 5] = jac[:, 0] + 2 * jac[:, 3]
        case "zero":
            jac[:, 2] = 0
        case "two pairs":
            jac[:, 4], jac[:, 5] = jac[:, 1], jac[:, 0]
        case "three equal":
            jac[:, 4] = jac[:, 5] = jac[:, 1]
        case "zero and sum":
            jac[:, 2], jac[:, 5] = 0, jac[:, 0] + 2 * jac[:, 3]
        case "all equal":
            jac[:] = jac[:, :1]
        case "all zero":
            jac[:] = 0
    return jac


DEPENDENT = {
    "equal": {1, 4},
    "multiple": {1, 4},
    "sum": {0, 3, 5},
    "zero": {2},
    "two pairs": {0, 1, 4, 5},
    "three equal": {1, 4, 5},
    "zero and sum": {0, 2, 3, 5},
    "all equal": {0, 1, 2, 3, 4, 5},
    "all zero": {0, 1, 2, 3, 4, 5},
}


@pytest.mark.parametrize(("kind", "touched"), DEPENDENT.items())
@pytest.mark.parametrize("noise", [0.0, 1e-10])
def test_exactly_the_parameters_that_the_null_space_touches_are_undetermined(
    kind: str, touched: set[int], noise: float
) -> None:
    jac = combine(kind, jacobians(6, 20))
    norms = np.linalg.norm(jac, axis=2, keepdims=True)
    jac += noise * norms * jacobians(6, 20, seed=1)
    found = covariance(jac, rank_tolerance=max(ROUNDING, 100 * noise))
    expected = np.isin(np.arange(6), list(touched))
    np.testing.assert_array_equal(found.undetermined, np.tile(expected, (8, 1)))
    lost = expected[:, None] | expected
    np.testing.assert_array_equal(np.isnan(found.cov_x), np.tile(lost, (8, 1, 1)))


@pytest.mark.parametrize(("kind", "touched"), list(DEPENDENT.items())[:-2])
def test_determined_parameters_keep_the_covariance_of_the_pseudo_inverse(
    kind: str, touched: set[int]
) -> None:
    jac = combine(kind, jacobians(6, 20))
    keep = [j for j in range(6) if j not in touched]
    # Estimable functions have the same variance under every generalised inverse.
    gram = np.einsum("bim,bjm->bij", jac, jac)
    scale = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))
    scale = np.where(scale == 0, 1, scale)
    pseudo = np.linalg.pinv(gram / scale[:, :, None] / scale[:, None, :], rcond=1e-10)
    expected = pseudo / scale[:, :, None] / scale[:, None, :]
    found = covariance(jac).cov_x[:, keep][:, :, keep]
    np.testing.assert_allclose(found, expected[:, keep][:, :, keep], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("angle", "undetermined"), [(3e-7, False), (3e-9, True)])
def test_the_rank_tolerance_is_an_angle_whatever_the_units(
    angle: float, undetermined: bool
) -> None:
    jac = np.zeros((1, 2, 3))
    jac[0, 0, 0] = 1e-20
    jac[0, 1] = 1e20, 1e20 * angle, 0
    found = covariance(jac, rank_tolerance=3e-8)
    np.testing.assert_array_equal(found.undetermined, [[undetermined] * 2])


def test_a_column_that_is_not_finite_is_undetermined_and_leaves_the_others() -> None:
    jac = jacobians(3, 10)
    ill = jac.copy()
    ill[:, 1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found = covariance(ill)
    np.testing.assert_array_equal(found.undetermined, np.tile([False, True, False], (8, 1)))
    expected = inverse_gram(jac[:, [0, 2]])
    np.testing.assert_allclose(found.cov_x[:, ::2, ::2], expected, rtol=1e-9)


def test_a_singular_curve_leaves_the_others_their_bits() -> None:
    jac = jacobians(3, 10)
    mixed = jac.copy()
    mixed[3, 2] = mixed[3, 1]
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(covariance(mixed).cov_x[others], covariance(jac).cov_x[others])


# In a fit ------------------------------------------------------------------------------------

X = np.linspace(0, 4, 30)


def decay(x: Floats, a: Any = 40, b: Any = 1, c: Any = 10) -> Any:
    return a * np.exp(-b * x) + c


def decay_jac(x: Floats, a: Any, b: Any, c: Any) -> list[Any]:
    e = np.exp(-b * x)
    return [e, -a * x * e, np.ones_like(c * x)]


EXACT = Model.from_function(decay, jac=decay_jac)
SIGMA = np.linspace(0.5, 1.5, 30)


def noisy(n_curves: int = 6) -> Floats:
    """Return decays with noise of SIGMA."""
    rng = np.random.default_rng(2)
    exact = decay(X, rng.uniform(30, 90, (n_curves, 1)), 1.2, 15.0)
    return np.asarray(exact + SIGMA * rng.normal(size=(n_curves, 30)))


@pytest.mark.parametrize("model", [EXACT, Model.from_function(decay)], ids=["exact", "differences"])
@pytest.mark.parametrize("sigma", [None, SIGMA], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_fit_has_the_covariance_of_its_weighted_jacobian(
    model: Model, sigma: Floats | None, absolute: bool
) -> None:
    y = noisy()
    fit = fit_curves(model, X, y, sigma=sigma, absolute_sigma=absolute)
    weight = 1 / sigma if sigma is not None else np.ones(30)
    for i, (a, b, c) in enumerate(fit.params):
        jac = np.stack(np.broadcast_arrays(*decay_jac(X, a, b, c))) * weight
        chi2 = np.sum((weight * (decay(X, a, b, c) - y[i])) ** 2)
        scale = 1.0 if absolute else chi2 / (30 - 3)
        np.testing.assert_allclose(fit.redchi[i], chi2 / 27, rtol=1e-12)
        np.testing.assert_allclose(fit.cov[i], np.linalg.inv(jac @ jac.T) * scale, rtol=1e-5)
    np.testing.assert_allclose(fit.stderr**2, np.diagonal(fit.cov, axis1=1, axis2=2), rtol=1e-14)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_fit_has_the_covariance_of_scipys_curve_fit(absolute: bool) -> None:
    y = noisy()
    fit = fit_curves(EXACT, X, y, sigma=SIGMA, absolute_sigma=absolute)
    for one, found in zip(y, fit.cov, strict=True):
        _, expected = curve_fit(decay, X, one, [50, 1, 10], SIGMA, absolute, ftol=1e-13, xtol=1e-13)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("exact", [True, False])
def test_parameters_of_size_1e_minus_12_and_1e12_keep_their_covariance(exact: bool) -> None:
    y = noisy()
    # a in units of 1e-12, b in units of 1e12.
    units = np.array([1e-12, 1e12, 1.0])

    def scaled(x: Floats, a: Any, b: Any, c: Any) -> Any:
        return decay(x, a * 1e12, b * 1e-12, c)

    def scaled_jac(x: Floats, a: Any, b: Any, c: Any) -> list[Any]:
        return [j / u for j, u in zip(decay_jac(x, a * 1e12, b * 1e-12, c), units, strict=True)]

    model = Model.from_function(scaled, jac=scaled_jac if exact else None)
    fit = fit_curves(model, X, y, p0=units * [40, 1, 10])
    plain = fit_curves(EXACT if exact else decay, X, y)
    np.testing.assert_allclose(fit.cov / units[:, None] / units, plain.cov, rtol=1e-4)
    np.testing.assert_array_equal(fit.flags, 0)


def redundant(x: Floats, a: Any = 5, b: Any = 8, c: Any = 1, d: Any = 10) -> Any:
    return a * b * np.exp(-c * x) + d


def redundant_jac(x: Floats, a: Any, b: Any, c: Any, d: Any) -> list[Any]:
    e = np.exp(-c * x)
    return [b * e, a * e, -a * b * x * e, np.ones_like(d * x)]


@pytest.mark.parametrize("exact", [True, False])
def test_a_redundant_pair_is_flagged_and_named_and_the_rest_is_right(exact: bool) -> None:
    y = noisy()
    model = Model.from_function(redundant, jac=redundant_jac if exact else None)
    fit = fit_curves(model, X, y, absolute_sigma=True, sigma=SIGMA)
    plain = fit_curves(EXACT, X, y, absolute_sigma=True, sigma=SIGMA)
    assert fit.success.all()
    np.testing.assert_array_equal(fit.flags, Flag.UNDETERMINED)
    np.testing.assert_array_equal(np.isnan(fit.stderr), np.tile([True, True, False, False], (6, 1)))
    np.testing.assert_allclose(fit.cov[:, 2:, 2:], plain.cov[:, 1:, 1:], rtol=1e-4)
    assert all("Not determined by the data: a, b." in message for message in fit.message)


def test_as_many_points_as_parameters_leave_no_scale() -> None:
    y = noisy()[:, [0, 8, 25]]
    fit = fit_curves(EXACT, X[[0, 8, 25]], y)
    assert fit.success.all()
    np.testing.assert_array_equal(fit.dof, 0)
    np.testing.assert_array_equal(fit.flags, Flag.NO_DOF)
    assert np.isnan(fit.redchi).all()
    assert np.isnan(fit.cov).all()
    assert np.isnan(fit.stderr).all()
    assert all("No degree of freedom" in message for message in fit.message)


def test_as_many_points_as_parameters_will_do_for_an_absolute_sigma() -> None:
    some = [0, 8, 25]
    fit = fit_curves(EXACT, X[some], noisy()[:, some], sigma=SIGMA[some], absolute_sigma=True)
    np.testing.assert_array_equal(fit.flags, 0)
    for params, cov in zip(fit.params, fit.cov, strict=True):
        jac = np.stack(np.broadcast_arrays(*decay_jac(X[some], *params))) / SIGMA[some]
        np.testing.assert_allclose(cov, np.linalg.inv(jac @ jac.T), rtol=1e-6)


def test_only_the_undetermined_parameters_are_named_when_there_is_no_scale_either() -> None:
    x = np.array([0.5, 1.0, 2.0, 3.0])
    model = Model.from_function(redundant, jac=redundant_jac)
    fit = fit_curves(model, x, decay(x, 60, 1.2, 15)[None], absolute_sigma=False)
    assert Flag(int(fit.flags[0])) == Flag.UNDETERMINED | Flag.NO_DOF
    assert "Not determined by the data: a, b." in fit.message[0]


def test_a_perfect_fit_has_no_uncertainty() -> None:
    line = Model.from_function(lambda x, a, b: a + b * x, jac=lambda x, *_: [np.ones_like(x), x])
    x = np.arange(8.0)
    fit = fit_curves(line, x, (1 + 2 * x)[None])
    np.testing.assert_allclose(fit.params, [[1, 2]], rtol=1e-15)
    np.testing.assert_allclose(fit.stderr, 0, atol=1e-14)
    assert not np.isnan(fit.cov).any()


def step(x: Floats, height: Any, middle: Any, rate: Any, base: Any) -> Any:
    return base + height / (1 + np.exp(-rate * (x - middle)))


def test_a_step_without_height_does_not_determine_its_place_and_rate() -> None:
    rng = np.random.default_rng(3)
    y = 5 + 0.1 * rng.normal(size=(20, 30))
    fit = fit_curves(step, X, y, p0=[0.5, 2, 3, 5])
    flagged = (fit.flags & Flag.UNDETERMINED) != 0
    assert flagged.mean() > 0.5
    assert np.isnan(fit.stderr[flagged][:, 1:3]).any(axis=1).mean() > 0.9


def test_a_parameter_that_enters_linearly_may_be_zero_within_its_error() -> None:
    rng = np.random.default_rng(4)
    y = decay(X, 50, 1.2, 0.0) + rng.normal(size=(50, 30))
    fit = fit_curves(EXACT, X, y, p0=[50, 1, 0])
    assert (np.abs(fit.params[:, 2]) < fit.stderr[:, 2]).sum() > 20
    np.testing.assert_array_equal(fit.flags, 0)
