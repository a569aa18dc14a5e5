"""Regressions from sums, and theta beside its linear parameters: against NumPy's least squares."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.library.by_numpy import ArrayCurves
from manyfit.solver.library.frames import scaled_frame, unit_frame
from manyfit.solver.library.passes import Point, Value
from manyfit.solver.library.projection import Projection
from manyfit.solver.library.regression import moments
from manyfit.solver.library.sorted_curves import SortedCurves

N_POINTS, N_CURVES = 30, 4


def curves(*, constant: bool = True) -> ArrayCurves:
    """Return curves of noise on a growth."""
    rng = np.random.default_rng(8)
    x = np.sort(rng.uniform(0.0, 3.0, (N_POINTS, N_CURVES)), axis=0)
    y = 2.0 + np.exp(0.6 * x) + rng.normal(0, 0.2, x.shape)
    block = SortedCurves(x, y, None, np.full(1, float(N_POINTS)))
    return ArrayCurves.of(block, unit_frame if constant else scaled_frame)


def columns(p: Point) -> list[Value]:
    return [p.x, p.x * p.x, p.x * p.x * p.x]


def lstsq(made: ArrayCurves, i: int, *, constant: bool, n: int = 3) -> tuple[Floats, float]:
    """Return NumPy's coefficients, and what they leave."""
    x, y = made.points.x[:, i], made.points.y[:, i]
    table = np.stack([x, x**2, x**3][:n] + [np.ones_like(x)] * constant, axis=1)
    solution, *_ = np.linalg.lstsq(table, y)
    return np.asarray(solution, dtype=np.float64), float(np.sum((table @ solution - y) ** 2))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_regression_on_some_columns_is_least_squares(n: int, *, constant: bool) -> None:
    made = curves(constant=constant)
    found = moments(made, columns, constant=constant).regression(n)
    for i in range(N_CURVES):
        expected, left = lstsq(made, i, constant=constant, n=n)
        ours = [a[i] for a in found.a] + ([found.c[i]] if constant else [])
        np.testing.assert_allclose(ours, expected, rtol=1e-9)
        y = made.points.y[:, i]
        whole = np.sum((y - y.mean() * constant) ** 2)
        assert whole - found.gain[i] == pytest.approx(left, rel=1e-9)


def test_a_column_that_depends_on_others_has_coefficient_zero() -> None:
    made = curves()
    with np.errstate(divide="ignore"):
        whole = moments(made, lambda p: [p.x, 3.0 * p.x, p.x * p.x, 0.0 * p.x]).regression()
    plain = moments(made, lambda p: [p.x, p.x * p.x]).regression()
    assert (whole.a[1] == 0.0).all()
    assert (whole.a[3] == 0.0).all()
    np.testing.assert_allclose([whole.a[0], whole.a[2]], plain.a, rtol=1e-12)


@pytest.mark.parametrize("constant", [True, False])
def test_columns_can_be_joined_after_they_were_summed(*, constant: bool) -> None:
    made = curves(constant=constant)
    weights = [np.array([2.0, -1.0, 0.5, 3.0]), np.ones(N_CURVES)]
    joined = moments(made, columns, constant=constant).with_last(weights).regression()

    def by_hand(p: Point) -> list[Value]:
        return [p.x, weights[0] * (p.x * p.x) + weights[1] * (p.x * p.x * p.x)]

    expected = moments(made, by_hand, constant=constant).regression()
    np.testing.assert_allclose(joined.a, expected.a, rtol=1e-9)
    np.testing.assert_allclose(joined.gain, expected.gain, rtol=1e-9)


def growth(xp: Any, p: Point, b: Value) -> tuple[list[Value], list[Value]]:
    g = xp.exp(b * p.x)
    return [g], [p.x * g]


def test_a_polished_theta_explains_more() -> None:
    made, model = curves(), Projection(growth, (0,))
    b = np.full(N_CURVES, 1.0)
    before, after = model.trial(made, [b]), model.polished(made, [b], [np.full(N_CURVES, 0.5)])
    assert (after.gain >= before.gain).all()
    assert (np.abs(after.theta[0] - b) <= 0.5).all()
    assert (after.theta[0] != b).any()


def test_a_step_that_makes_it_worse_is_not_taken() -> None:
    made, model = curves(), Projection(growth, (0,))
    b = np.full(N_CURVES, 1.0)
    for _ in range(60):
        b = model.polished(made, [b], [np.full(N_CURVES, 0.5)]).theta[0]
    stays = model.polished(made, [b], [np.full(N_CURVES, 0.5)])
    assert (stays.gain >= model.trial(made, [b]).gain).all()
    np.testing.assert_allclose(stays.theta[0], b, rtol=1e-6)


def test_a_trial_that_is_not_finite_loses() -> None:
    made, model = curves(), Projection(growth, (0,))
    with np.errstate(all="ignore"):
        good, bad = (model.trial(made, [np.full(N_CURVES, b)]) for b in (1.0, 1e6))
        assert np.isnan(bad.gain).all()
        for one, other in ((good, bad), (bad, good)):
            np.testing.assert_array_equal(one.or_better(made.xp, other).theta[0], 1.0)
