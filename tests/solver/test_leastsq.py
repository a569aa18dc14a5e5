"""leastsq stands in for SciPy's: same call, same returns, and a truer end."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from manyfit.solver.arrays import Floats
from manyfit.solver.leastsq import leastsq
from manyfit.solver.status import Status
from tests.solver.one_decay import START, SUCCESS, Counted, X, Y, decay, decay_jac


def rosenbrock(p: Any) -> Any:
    return np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]])


def assert_same_as_scipy(func: Callable[..., Any], x0: Any, **options: Any) -> None:
    """Compare everything that leastsq returns."""
    ours = leastsq(func, x0, full_output=True, **options)
    theirs = scipy.optimize.leastsq(func, x0, full_output=True, **options)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-8)
    assert ours[4] == theirs[4]
    assert isinstance(ours[4], int)
    if theirs[1] is None:
        assert ours[1] is None
    else:
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)
    assert list(ours[2]) == list(theirs[2])
    for name, value in theirs[2].items():
        assert np.shape(ours[2][name]) == np.shape(value), name
        assert np.asarray(ours[2][name]).dtype == np.asarray(value).dtype, name
        scale = 1e-6 * np.max(np.abs(theirs[2]["fjac"]))
        np.testing.assert_allclose(ours[2][name], value, rtol=1e-6, atol=scale, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"Dfun": decay_jac},
        {"Dfun": lambda p: decay_jac(p).T, "col_deriv": True},
        {"Dfun": decay_jac, "args": (X[::2], Y[::2])},
        {"factor": 0.1},
        {"factor": 1, "Dfun": decay_jac},
        {"diag": [1.0, 10.0, 0.1]},
        {"diag": [1.0, 10.0, 0.1], "Dfun": decay_jac, "factor": 0.5},
        {"epsfcn": 1e-10},
        {"epsfcn": -1.0},
        {"gtol": 1e-3},
        {"ftol": 1e-3},
        {"ftol": 0.0, "xtol": 1e-4, "Dfun": decay_jac},
        {"maxfev": 5, "Dfun": decay_jac},
        {"maxfev": -1},
    ],
    ids=" ".join,  # the names of the options
)
def test_returns_what_scipy_returns(options: dict[str, Any]) -> None:
    assert_same_as_scipy(decay, START, **options)


@pytest.mark.parametrize(
    ("func", "x0"),
    [
        (lambda p: 2 * (p - 3) ** 2 + 1, 0),
        (lambda p: p - np.arange(3.0), 1.0),
        (rosenbrock, [-1.2, 1]),
        (rosenbrock, [[-1.2, 1]]),
        (rosenbrock, np.array([-12, 10])),
        (lambda p: (p**2 - 3.0).astype(np.float32), [1.0, 1.0]),
        (lambda p: p**2 - 3, np.array([1.0, 1.0], dtype=np.float32)),
        (lambda p: [p[0] - 1, p[1] + 2, p[0] * p[1]], (0.5, 0.5)),
    ],
)
def test_takes_starts_and_residuals_of_every_shape(func: Callable[..., Any], x0: Any) -> None:
    ours, theirs = leastsq(func, x0), scipy.optimize.leastsq(func, x0)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    assert ours[0].dtype == np.float64
    assert ours[1] == theirs[1]


def test_an_argument_that_is_no_tuple_is_the_only_one() -> None:
    x, _ = leastsq(lambda p, c: p - c, [1.0], args=3.0)
    assert x == pytest.approx([3.0])


@pytest.mark.parametrize("jac", [None, decay_jac])
def test_nfev_counts_every_call(jac: Any) -> None:
    func, jac = Counted(decay), jac and Counted(jac)
    _, _, infodict, _, _ = leastsq(func, START, Dfun=jac, full_output=True)
    assert infodict["nfev"] == func.calls
    if jac:
        assert infodict["njev"] == jac.calls


def test_fjac_holds_the_factors_of_the_jacobian() -> None:
    x, cov_x, infodict, _, _ = leastsq(
        decay, START, Dfun=decay_jac, full_output=True, ftol=1e-14, xtol=1e-14
    )
    jac = decay_jac(x)[:, infodict["ipvt"]]
    R = np.triu(infodict["fjac"].T[:3])
    np.testing.assert_allclose(R.T @ R, jac.T @ jac, rtol=1e-6)
    np.testing.assert_allclose(cov_x, np.linalg.inv(decay_jac(x).T @ decay_jac(x)), rtol=1e-6)
    np.testing.assert_array_equal(infodict["fvec"], decay(x))


@pytest.mark.parametrize(
    ("func", "jac"),
    [
        (lambda p: p[0] * X - Y, lambda p: np.stack([X, 0 * X], axis=1) + 0 * p),
        (lambda p: (p[0] + p[1]) * X - Y, lambda p: np.stack([X, X], axis=1) + 0 * p),
        (lambda p: (p[0] + 1e9 * p[1]) * X - Y, lambda p: np.stack([X, 1e9 * X], axis=1) + 0 * p),
    ],
    ids=["zero column", "equal columns", "parallel columns"],
)
def test_cov_x_is_none_where_parameters_cannot_be_told_apart(func: Any, jac: Any) -> None:
    _, cov_x, _, _, ier = leastsq(func, [1.0, 1.0], Dfun=jac, full_output=True)
    assert ier in SUCCESS
    assert cov_x is None


def test_cov_x_does_not_mind_units() -> None:
    units = np.array([1e-12, 1.0, 1e12])
    _, plain, _, _, _ = leastsq(decay, START, Dfun=decay_jac, full_output=True)
    _, scaled, _, _, _ = leastsq(
        lambda p: decay(p * units),
        START / units,
        Dfun=lambda p: decay_jac(p * units) * units,
        full_output=True,
    )
    np.testing.assert_allclose(scaled * units * units[:, None], plain, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "ier", "phrase"),
    [
        ({}, 1, r"Both actual and predicted relative reductions .*ftol=1.49012e-08"),
        ({"ftol": 0.0}, 2, r"relative error between two consecutive iterates .*xtol=1.49012e-08"),
        ({"gtol": 1.0}, 4, r"cosine of the angle .*gtol=1"),
        ({"maxfev": 5}, 5, r"Number of calls to function has reached maxfev = 5"),
        ({"xtol": 0.0, "ftol": 0.0}, 7, r"xtol is too small.*xtol=0"),
    ],
)
def test_message_says_how_it_ended(options: dict[str, Any], ier: int, phrase: str) -> None:
    _, _, _, message, found = leastsq(decay, START, full_output=True, **options)
    assert found == ier
    assert re.search(phrase, message)
    if ier in SUCCESS:
        assert leastsq(decay, START, **options)[1] == ier
    else:
        with pytest.warns(RuntimeWarning, match=phrase):
            assert leastsq(decay, START, **options)[1] == ier


def test_atol_is_another_name_of_ftol() -> None:
    by_name = leastsq(decay, START, full_output=True, atol=1e-3)
    assert by_name[2]["nfev"] == leastsq(decay, START, full_output=True, ftol=1e-3)[2]["nfev"]
    assert by_name[2]["nfev"] < leastsq(decay, START, full_output=True)[2]["nfev"]
    with pytest.raises(TypeError, match=r"ftol=0.001 and atol=0.01 are one tolerance"):
        leastsq(decay, START, ftol=1e-3, atol=1e-2)


def test_func_may_write_into_its_argument_and_reuse_its_result() -> None:
    buffer = np.empty_like(X)

    def careless(p: Floats) -> Floats:
        buffer[:] = decay(p)
        p[:] = -99.0
        return buffer

    x, cov_x, infodict, _, ier = leastsq(careless, START, full_output=True)
    expected = leastsq(decay, START, full_output=True)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(cov_x, expected[1])
    np.testing.assert_array_equal(infodict["fvec"], expected[2]["fvec"])
    assert ier == expected[4]


# What is not finite is no success


@pytest.mark.parametrize(
    ("func", "x0", "status"),
    [
        (decay, [np.nan, 1.0, 1.0], Status.BAD_START),
        (decay, [np.inf, 1.0, 1.0], Status.BAD_START),
        (lambda p: decay(p) * np.nan, START, Status.MODEL_NONFINITE),
        (lambda p: np.append(decay(p), np.inf), START, Status.MODEL_NONFINITE),
    ],
)
def test_what_is_not_finite_at_the_start_is_not_fitted(
    func: Any, x0: list[float], status: Status
) -> None:
    x, cov_x, infodict, message, ier = leastsq(func, x0, full_output=True)
    assert ier == status
    assert ier < 0
    assert np.isnan(x).all()
    assert cov_x is None
    assert message == status.message
    assert infodict["fjac"].shape[0] == 3
    with pytest.warns(RuntimeWarning, match="not finite"):
        assert leastsq(func, x0)[1] == status


def test_a_jacobian_that_is_not_finite_is_no_success() -> None:
    def broken(p: Any) -> Floats:
        return decay_jac(p) * (1.0 if p[0] == 1.0 else np.nan)

    x, cov_x, _, _, ier = leastsq(decay, START, Dfun=broken, full_output=True)
    assert ier == Status.JACOBIAN_NONFINITE
    assert cov_x is None
    assert np.isfinite(x).all()
    assert np.sum(decay(x) ** 2) < np.sum(decay(START) ** 2)


def test_steps_to_where_the_model_is_not_finite_are_taken_back() -> None:
    def walled(p: Any) -> Any:
        return np.where(p[0] > 2.5, np.nan, 1.0) * decay(p)

    x, ier = leastsq(walled, [0.1, 5.0, 3.0], Dfun=decay_jac, factor=100)
    assert ier in SUCCESS
    np.testing.assert_allclose(x, leastsq(decay, START)[0], rtol=1e-4)


def test_huge_residuals_do_not_overflow() -> None:
    x, ier = leastsq(lambda p: 1e200 * (p - np.arange(4.0)), [3.0])
    assert ier in SUCCESS
    assert x == pytest.approx([1.5])
