"""Radius, damping and the end of a fit, with no fit at all: numbers in, numbers out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit.solver.arrays import Floats
from manyfit.solver.status import Status
from manyfit.solver.trust_region import (
    EPSILON,
    Gain,
    Tolerances,
    accepted,
    by_gradient,
    gain,
    judge,
    next_radius,
    termination,
)

TIGHT = Tolerances(ftol=1e-8, xtol=1e-7, gtol=0.0, maxfev=100)


def array(*values: float) -> Floats:
    """Return an array of floats."""
    return np.array(values, dtype=np.float64)


def step(ratio: float, actred: float = 0.1, slope: float = -0.1, prered: float = 0.1) -> Gain:
    """Return a gain of one curve."""
    return Gain(array(1.0 - actred), array(actred), array(prered), array(slope), array(ratio))


def radius_after(judged: Gain, *, par: float = 1.0) -> tuple[float, float]:
    """Return radius and damping after a step of length 0.5 within a radius of 2."""
    delta, damping = next_radius(
        np,
        judged,
        delta=array(2.0),
        par=array(par),
        pnorm=array(0.5),
    )
    return float(delta[0]), float(damping[0])


def end_of(judged: Gain, tolerances: Tolerances = TIGHT, /, **numbers: float) -> Status:
    """Return how a fit ends after a step; nothing but the numbers given would end it."""
    state = {"delta": 1.0, "xnorm": 1.0, "gnorm": 1.0, "nfev": 1} | numbers
    arrays: dict[str, Any] = {name: array(value) for name, value in state.items()}
    return Status(int(termination(np, judged, tolerances, **arrays)[0]))


def above(value: float) -> float:
    """Return the next number."""
    return float(np.nextafter(value, np.inf))


def below(value: float) -> float:
    """Return the number before."""
    return float(np.nextafter(value, -np.inf))


# The gain ------------------------------------------------------------------------------------


def test_the_gain_of_an_exactly_linear_problem_is_one() -> None:
    # f = J x, undamped: the step predicts what it does.
    judged = gain(np, fnorm=array(5.0), fnorm_new=array(3.0), jp=array(4.0), damping=array(0.0))
    np.testing.assert_allclose(judged.actred, 1 - 0.36)
    np.testing.assert_allclose(judged.ratio, 1.0, rtol=1e-15)


def test_the_predicted_reduction_counts_the_damping_twice_and_the_slope_once() -> None:
    judged = gain(np, fnorm=array(10.0), fnorm_new=array(9.0), jp=array(3.0), damping=array(2.0))
    np.testing.assert_allclose(judged.prered, 0.09 + 2 * 0.04)
    np.testing.assert_allclose(judged.slope, -(0.09 + 0.04))


@settings(derandomize=True)
@given(st.floats(0.1, 10), st.floats(0, 3), st.floats(0.01, 5), st.floats(0, 2 * np.pi))
def test_the_damped_prediction_is_that_of_the_linear_model(
    j: float, par: float, d: float, angle: float
) -> None:
    # One parameter, residuals of norm 1 at an angle to the column.
    f = array(np.cos(angle), np.sin(angle))
    p = -j * f[0] / (j * j + par * d * d)
    after = f + array(j * p, 0)
    judged = gain(
        np,
        fnorm=array(1.0),
        fnorm_new=array(float(np.linalg.norm(after))),
        jp=array(abs(j * p)),
        damping=array(np.sqrt(par) * d * abs(p)),
    )
    # ‖f‖² - ‖f + J p‖² is the predicted reduction, and fᵀ J p the slope.
    np.testing.assert_allclose(judged.prered, 1 - after @ after, atol=1e-14)
    np.testing.assert_allclose(judged.slope, f[0] * j * p, atol=1e-14)


@pytest.mark.parametrize(
    ("fnorm_new", "shrink"),
    [(np.inf, 0.1), (1e308, 0.1), (np.nan, 0.13 / (0.26 + 0.5))],  # NaN: the parabola through -1
)
def test_a_new_cost_that_is_not_finite_is_no_reduction_and_shrinks_as_in_minpack(
    fnorm_new: float, shrink: float
) -> None:
    with np.errstate(all="ignore"):
        judged = gain(
            np,
            fnorm=array(1.0),
            fnorm_new=array(fnorm_new),
            jp=array(0.5),
            damping=array(0.1),
        )
        delta, par = radius_after(judged)
    assert judged.actred[0] == -1
    assert not accepted(judged)[0]
    np.testing.assert_allclose([delta, par], [shrink * 2.0, 1.0 / shrink], rtol=1e-14)


def test_a_tenfold_norm_is_as_bad_as_any() -> None:
    judged = gain(
        np,
        fnorm=array(1.0, 1.0),
        fnorm_new=array(below(10), 10.0),
        jp=array(0.5, 0.5),
        damping=array(0, 0),
    )
    np.testing.assert_allclose(judged.actred, [-99, -1], rtol=1e-12)


def test_a_step_that_promises_nothing_has_no_gain() -> None:
    judged = gain(np, fnorm=array(1.0), fnorm_new=array(0.5), jp=array(0.0), damping=array(0.0))
    assert judged.ratio[0] == 0
    assert not accepted(judged)[0]


def test_a_norm_of_zero_divides_nothing() -> None:
    judged = gain(np, fnorm=array(0.0), fnorm_new=array(0.0), jp=array(0.0), damping=array(0.0))
    assert np.isfinite([judged.actred, judged.prered, judged.slope, judged.ratio]).all()


def test_a_judged_step_has_the_gain_of_its_own_prediction() -> None:
    judged = judge(
        np,
        left=array(0.25, 0.25),
        prered=array(0.5, -0.5),
        slope=array(-0.3, 0.3),
    )
    np.testing.assert_allclose(judged.actred, 0.75)
    np.testing.assert_allclose(judged.ratio, [1.5, 0])
    np.testing.assert_array_equal(judged.slope, [-0.3, 0.3])


@pytest.mark.parametrize(
    ("ratio", "taken"),
    [(1e-4, True), (below(1e-4), False), (0.0, False), (-1.0, False), (1.0, True), (np.nan, False)],
)
def test_a_step_is_taken_from_a_gain_of_one_in_ten_thousand(ratio: float, taken: bool) -> None:
    assert accepted(step(ratio))[0] == taken


# The radius ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.25, 0.0, -3.0])
def test_a_poor_step_that_still_reduces_halves_the_radius(ratio: float) -> None:
    # min(delta, 10 pnorm) = 2
    assert radius_after(step(ratio, actred=0.0)) == (0.5 * 2.0, 1.0 / 0.5)


def test_a_poor_step_shrinks_from_ten_times_its_length_where_that_is_less() -> None:
    delta, _ = next_radius(
        np,
        step(0.1, actred=0.0),
        delta=array(1e6),
        par=array(1.0),
        pnorm=array(0.5),
    )
    np.testing.assert_allclose(delta, 0.5 * 5.0)


@pytest.mark.parametrize(
    ("actred", "shrink"),
    [
        (-0.1, 0.05 / 0.15),  # 0.5 slope / (slope + 0.5 actred) with slope -0.1
        (-0.8, 0.1),  # the parabola's minimum lies exactly at a tenth
        (-0.9, 0.1),  # beyond it, and never less than a tenth
        (-1e-9, 0.5),
    ],
)
def test_a_step_that_makes_things_worse_shrinks_to_the_minimum_of_the_parabola(
    actred: float, shrink: float
) -> None:
    delta, par = radius_after(step(-1.0, actred=actred))
    np.testing.assert_allclose([delta, par], [2 * shrink, 1 / shrink], rtol=1e-8)


@pytest.mark.parametrize("ratio", [above(0.25), 0.5, below(0.75)])
def test_a_fair_damped_step_leaves_radius_and_damping(ratio: float) -> None:
    assert radius_after(step(ratio)) == (2.0, 1.0)


@pytest.mark.parametrize("ratio", [0.75, 1.0, 5.0])
def test_a_good_step_makes_the_radius_twice_its_length(ratio: float) -> None:
    assert radius_after(step(ratio)) == (2 * 0.5, 0.5)


def test_a_fair_undamped_step_also_makes_the_radius_twice_its_length() -> None:
    assert radius_after(step(0.5), par=0.0) == (2 * 0.5, 0.0)


def test_a_flat_parabola_divides_nothing() -> None:
    delta, par = radius_after(step(-1.0, actred=-0.2, slope=0.1))
    assert (delta, par) == (0.2, 10.0)


@settings(derandomize=True)
@given(
    st.floats(-1, 1), st.floats(-10, 10), st.floats(-10, 0), st.floats(1e-6, 1e6), st.floats(0, 1e6)
)
def test_radius_and_damping_stay_positive_and_finite(
    actred: float, ratio: float, slope: float, pnorm: float, par: float
) -> None:
    delta, damping = next_radius(
        np,
        step(ratio, actred=actred, slope=slope),
        delta=array(2.0),
        par=array(par),
        pnorm=array(pnorm),
    )
    assert 0 < delta[0] < np.inf
    assert 0 <= damping[0] <= 10 * par
    if ratio <= 0.25:
        shrunk = delta[0] / min(2.0, 10 * pnorm)
        assert 0.1 * (1 - 1e-12) <= shrunk <= 0.5 * (1 + 1e-12)


# The end -------------------------------------------------------------------------------------


def small(actred: float, prered: float, ratio: float = 1.0) -> Gain:
    """Return the gain of a step near the end."""
    return step(ratio, actred=actred, prered=prered)


def test_a_fit_in_full_swing_goes_on() -> None:
    assert end_of(step(1.0)) == 0


@pytest.mark.parametrize(
    ("judged", "ended"),
    [
        (small(1e-8, 1e-8), True),
        (small(-1e-8, 0.0), True),
        (small(above(1e-8), 1e-8), False),
        (small(-above(1e-8), 1e-8), False),
        (small(1e-8, above(1e-8)), False),
        (small(1e-8, 1e-8, ratio=2.0), True),
        (small(1e-8, 1e-8, ratio=above(2.0)), False),
        (small(np.nan, 1e-9), False),
    ],
)
def test_ftol_bounds_both_reductions_and_believes_no_surprise(judged: Gain, ended: bool) -> None:
    assert end_of(judged) == (Status.CONVERGED_FTOL if ended else 0)


@pytest.mark.parametrize(
    ("delta", "status"),
    [(3e-7, Status.CONVERGED_XTOL), (below(3e-7), Status.CONVERGED_XTOL), (above(3e-7), 0)],
)
def test_xtol_bounds_the_radius_against_the_scaled_parameters(delta: float, status: int) -> None:
    assert end_of(step(1.0), delta=delta, xnorm=3.0) == status


def test_ftol_and_xtol_together_have_their_own_code() -> None:
    assert end_of(small(0, 0), delta=0.0) == Status.CONVERGED_BOTH


@pytest.mark.parametrize(("nfev", "status"), [(99, 0), (100, Status.MAXFEV), (101, Status.MAXFEV)])
def test_maxfev_is_reached_from_below(nfev: int, status: int) -> None:
    assert end_of(step(1.0), nfev=nfev) == status


NONE = Tolerances(ftol=0.0, xtol=0.0, gtol=0.0, maxfev=100)


@pytest.mark.parametrize(
    ("judged", "numbers", "status"),
    [
        (small(EPSILON, EPSILON), {}, Status.FTOL_TOO_SMALL),
        (small(EPSILON, above(EPSILON)), {}, 0),
        (small(above(EPSILON), EPSILON), {}, 0),
        (small(EPSILON, EPSILON, ratio=above(2.0)), {}, 0),
        (step(1.0), {"delta": 4 * EPSILON, "xnorm": 4.0}, Status.XTOL_TOO_SMALL),
        (step(1.0), {"delta": above(4 * EPSILON), "xnorm": 4.0}, 0),
        (step(1.0), {"gnorm": EPSILON}, Status.GTOL_TOO_SMALL),
        (step(1.0), {"gnorm": above(EPSILON)}, 0),
    ],
)
def test_tolerances_below_machine_precision_have_their_own_codes(
    judged: Gain, numbers: dict[str, float], status: int
) -> None:
    assert end_of(judged, NONE, **numbers) == status


def test_zero_tolerances_are_met_by_zero() -> None:
    assert end_of(small(0.0, 0.0), NONE) == Status.CONVERGED_FTOL
    assert end_of(step(1.0), NONE, delta=0.0) == Status.CONVERGED_XTOL


@pytest.mark.parametrize(
    ("judged", "numbers", "status"),
    [
        (small(0, 0), {"nfev": 100}, Status.CONVERGED_FTOL),
        (step(1.0), {"delta": 1e-9, "nfev": 100}, Status.CONVERGED_XTOL),
        (small(0, 0), {"delta": 0, "nfev": 100, "gnorm": 0}, Status.CONVERGED_BOTH),
    ],
)
def test_convergence_goes_before_giving_up(
    judged: Gain, numbers: dict[str, float], status: Status
) -> None:
    assert end_of(judged, **numbers) == status


@pytest.mark.parametrize(
    ("judged", "numbers", "status"),
    [
        (small(EPSILON, EPSILON), {"nfev": 100}, Status.FTOL_TOO_SMALL),
        (small(EPSILON, EPSILON), {"nfev": 100, "delta": EPSILON}, Status.XTOL_TOO_SMALL),
        (
            small(EPSILON, EPSILON),
            {"nfev": 100, "delta": EPSILON, "gnorm": 0.0},
            Status.GTOL_TOO_SMALL,
        ),
        (step(1.0), {"nfev": 100, "gnorm": 0.0}, Status.GTOL_TOO_SMALL),
    ],
)
def test_of_several_ways_to_give_up_the_last_in_minpacks_order_counts(
    judged: Gain, numbers: dict[str, float], status: Status
) -> None:
    assert end_of(judged, NONE, **numbers) == status


@pytest.mark.parametrize(
    ("gnorm", "ended"), [(1e-5, True), (above(1e-5), False), (0.0, True), (np.nan, False)]
)
def test_gtol_bounds_the_cosine(gnorm: float, ended: bool) -> None:
    tolerances = Tolerances(ftol=0, xtol=0, gtol=1e-5, maxfev=1)
    assert by_gradient(array(gnorm), tolerances)[0] == ended


def test_every_curve_of_a_batch_is_judged_by_itself() -> None:
    gains = Gain(
        array(0.9, 1.0), array(0.1, 0.0), array(0.1, 0.0), array(-0.1, -0.1), array(1.0, 0.0)
    )
    info = termination(
        np,
        gains,
        TIGHT,
        delta=array(1.0, 0.0),
        xnorm=array(1.0, 1.0),
        gnorm=array(1.0, 1.0),
        nfev=np.array([1, 1]),
    )
    np.testing.assert_array_equal(info, [0, Status.CONVERGED_BOTH])
