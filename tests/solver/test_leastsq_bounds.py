"""leastsq within bounds: the minimum of SciPy's bounded solver, and no call outside."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize

from manyfit.solver.arrays import Floats
from manyfit.solver.leastsq import leastsq
from tests.solver.one_decay import START, SUCCESS, decay, decay_jac


@pytest.mark.parametrize("jac", [None, decay_jac], ids=["differences", "exact"])
@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ([0, 0, 0], [1.8, 9, 9]),
        ([0, 1.7, 0], [9, 9, 9]),
        ([0, 0, 0.55], [1.9, 9, 9]),
        ([-np.inf, -np.inf, 0.6], [1.5, 1.2, np.inf]),
        ([0.9, 0.9, 0.9], [1.1, 1.1, 1.1]),
        (0, 9),
        (-np.inf, 1.4),
    ],
    ids=str,
)
def test_bounded_minimum_is_that_of_least_squares(lower: Any, upper: Any, jac: Any) -> None:
    bounds = (lower, upper)
    start = np.clip(START, lower, upper)
    x, ier = leastsq(decay, start, Dfun=jac, bounds=bounds, ftol=1e-12)
    theirs = scipy.optimize.least_squares(
        decay, start, jac=decay_jac, bounds=bounds, method="dogbox", ftol=1e-14, gtol=1e-14
    )
    assert ier in SUCCESS
    assert np.all(x >= lower)
    assert np.all(x <= upper)
    np.testing.assert_allclose(x, theirs.x, rtol=2e-5)
    assert np.sum(decay(x) ** 2) <= 2 * theirs.cost * (1 + 1e-8)


def test_func_is_never_called_outside_the_bounds() -> None:
    lower, upper = np.array([0.0, 1.7, 0.55]), np.array([1.8, 9.0, 9.0])

    def guarded(p: Floats) -> Any:
        assert np.all(p >= lower)
        assert np.all(p <= upper)
        return decay(p)

    x, ier = leastsq(guarded, [1.8, 1.7, 0.55], bounds=(lower, upper))
    assert ier in SUCCESS
    assert x[:2].tolist() == [1.8, 1.7]


def test_bounds_that_bound_nothing_change_nothing() -> None:
    plain = leastsq(decay, START)[0]
    np.testing.assert_array_equal(leastsq(decay, START, bounds=(-np.inf, np.inf))[0], plain)
    np.testing.assert_allclose(leastsq(decay, START, bounds=(-1e9, 1e9))[0], plain, rtol=1e-6)


def test_bounds_may_be_an_object_with_lb_and_ub() -> None:
    bounds = scipy.optimize.Bounds([0, 0, 0], [1.8, 9, 9])
    assert leastsq(decay, START, bounds=bounds)[0][0] == pytest.approx(1.8)


@pytest.mark.parametrize(
    ("bounds", "phrase"),
    [
        ((0, 1, 2), "bounds must be .lower, upper., scalars or 3 values each"),
        (([0, 0], 9), "bounds must be .lower, upper., scalars or 3 values each"),
        (("a", "b"), "bounds must be .lower, upper."),
        ((1, 1), "Each lower bound must be strictly less than each upper bound"),
        ((np.nan, 9), "Each lower bound must be strictly less than each upper bound"),
        ((2, 9), "Initial guess is outside of provided bounds"),
    ],
)
def test_bounds_that_cannot_be_are_an_error(bounds: Any, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        leastsq(decay, START, bounds=bounds)
