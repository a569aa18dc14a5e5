"""Forward differences: MINPACK's steps, inside the box, and where the model is finite."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import leastsq

from manyfit.solver.arrays import Floats
from manyfit.solver.bounds import Box
from manyfit.solver.differences import difference_steps, forward_differences
from manyfit.solver.qr import pivoted_qr

EPS = float(np.finfo(np.float64).eps)
ROOT = EPS**0.5
X = np.linspace(0.1, 3, 15)
PARAMS = np.array([[2.0, 1.5], [-3.0, 0.2], [1e-8, -0.5], [1e6, 0.7]])


def residuals(params: Floats) -> Floats:
    """Return a exp(-b x), (n_curves, n_points)."""
    a, b = params.T[:, :, None]
    return np.asarray(a * np.exp(-b * X))


def exact(params: Floats) -> Floats:
    """Return the derivatives of `residuals`, (n_curves, n_params, n_points)."""
    a, b = params.T[:, :, None]
    e = np.exp(-b * X)
    return np.stack([e, -a * X * e], axis=1)


def test_derivatives_are_right_to_the_root_of_epsilon() -> None:
    jac = forward_differences(residuals, PARAMS, residuals(PARAMS))
    size = np.abs(exact(PARAMS)).max(axis=2, keepdims=True)
    assert jac.shape == (4, 2, 15)
    np.testing.assert_allclose(jac / size, exact(PARAMS) / size, atol=1e-6)


@pytest.mark.parametrize("epsfcn", [None, 0.0, 1e-20, 1e-10, 1e-4])
def test_steps_are_minpacks(epsfcn: float | None) -> None:
    params = np.array([[2.0, -3.0, 0.0, 1e-300]])
    relative = max(epsfcn or 0, EPS) ** 0.5
    np.testing.assert_allclose(
        difference_steps(params, epsfcn, None), relative * np.array([[2, 3, 1, 1e-300]]), rtol=1e-15
    )


@pytest.mark.parametrize("epsfcn", [None, 1e-6])
@pytest.mark.parametrize("params", [*PARAMS, np.array([0.0, 1.0])])
def test_the_jacobian_has_the_factors_of_minpacks(params: Floats, epsfcn: float | None) -> None:
    # With gtol beyond any cosine lmdif returns the factors of its first Jacobian.
    _, _, info, _, _ = leastsq(
        lambda p: residuals(p[None])[0], params, gtol=2, epsfcn=epsfcn, full_output=True
    )
    jac = forward_differences(residuals, params[None], residuals(params[None]), epsfcn=epsfcn)
    factors = pivoted_qr(jac, residuals(params[None]))
    np.testing.assert_array_equal(factors.pivot[0], info["ipvt"] - info["ipvt"].min())
    expected = np.triu(info["fjac"].T[:2])
    np.testing.assert_allclose(factors.R[0], expected, rtol=1e-9, atol=1e-9 * abs(expected[0, 0]))


def test_one_call_a_parameter() -> None:
    calls: list[Floats] = []

    def counted(params: Floats) -> Floats:
        calls.append(params.copy())
        return residuals(params)

    before = PARAMS.copy()
    forward_differences(counted, PARAMS, residuals(PARAMS))
    assert len(calls) == 2
    np.testing.assert_array_equal(calls[0][:, 1], PARAMS[:, 1])
    np.testing.assert_array_equal(calls[1][:, 0], PARAMS[:, 0])
    np.testing.assert_array_equal(PARAMS, before)


def test_steps_out_of_the_box_are_taken_backwards() -> None:
    box = Box(np.array([0.0, -1.0]), np.array([2.0, 0.0]))
    params = np.array([[2.0, -1.0], [0.0, 0.0], [2.0 - 1e-9, -0.5], [1.0, -0.5]])
    steps = difference_steps(params, None, box)
    backwards = [[True, False], [False, True], [True, False], [False, False]]
    np.testing.assert_array_equal(steps < 0, backwards)
    assert box.contains(params + steps).all()


@settings(derandomize=True)
@given(
    st.floats(-10, 10),
    st.floats(1e-12, 1),
    st.floats(0, 1),
    st.sampled_from([None, 1e-12, 1e-4]),
)
def test_no_step_leaves_the_box(
    lower: float, width: float, share: float, epsfcn: float | None
) -> None:
    upper = lower + width
    box = Box(np.array([lower]), np.array([upper]))
    params = np.array([[min(upper, max(lower, lower + share * width))]])
    steps = difference_steps(params, epsfcn, box)
    assert steps[0, 0] != 0
    assert lower <= params[0, 0] + steps[0, 0] <= upper


def test_differences_from_a_face_are_as_right_as_others() -> None:
    box = Box(np.full(2, -np.inf), PARAMS.max(axis=0))
    jac = forward_differences(residuals, PARAMS, residuals(PARAMS), box=box)
    size = np.abs(exact(PARAMS)).max(axis=2, keepdims=True)
    np.testing.assert_allclose(jac / size, exact(PARAMS) / size, atol=1e-6)


def with_edge(params: Floats) -> Floats:
    """Return residuals that are not finite where a > 2."""
    return np.where(params[:, :1] > 2, np.nan, residuals(params))


def test_a_step_to_where_nothing_is_finite_is_taken_backwards() -> None:
    jac = forward_differences(with_edge, PARAMS[:1], with_edge(PARAMS[:1]))
    np.testing.assert_allclose(jac, exact(PARAMS[:1]), atol=1e-6)


def test_a_curve_that_steps_backwards_leaves_the_others_their_bits() -> None:
    together = forward_differences(with_edge, PARAMS[:3], with_edge(PARAMS[:3]))
    others = forward_differences(with_edge, PARAMS[1:3], with_edge(PARAMS[1:3]))
    np.testing.assert_array_equal(together[1:], others)


def test_a_curve_that_steps_backwards_drives_none_out_of_the_box() -> None:
    box = Box(np.array([0.0, 0.0]), np.array([5.0, 5.0]))
    params = np.array([[2.0, 1.0], [0.0, 0.0]])
    seen: list[Floats] = []

    def recorded(at: Floats) -> Floats:
        seen.append(at.copy())
        return with_edge(at)

    forward_differences(recorded, params, with_edge(params), box=box)
    assert all(box.contains(at).all() for at in seen)


def test_a_jacobian_that_is_finite_nowhere_says_so() -> None:
    def spike(params: Floats) -> Floats:
        at_start: Any = params[:, :1] == 2.0
        return np.where(at_start, residuals(params), np.nan)

    jac = forward_differences(spike, PARAMS[:1], spike(PARAMS[:1]))
    assert np.isnan(jac[0, 0]).all()
    np.testing.assert_allclose(jac[0, 1], exact(PARAMS[:1])[0, 1], atol=1e-6)
