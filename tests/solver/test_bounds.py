"""The step within a box: inside it, on its faces exactly, and downhill or refused."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.bounds import Box, Step, free_step
from manyfit.solver.qr import pivoted_qr
from manyfit.solver.trust_region import accepted, judge

INF = np.inf


def problem(n: int, m: int = 12, n_curves: int = 20, seed: int = 0) -> tuple[Floats, Floats]:
    """Return Jacobians (n_curves, n, m) and residuals (n_curves, m)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_curves, n, m)), rng.normal(size=(n_curves, m))


def take_step(
    box: Box | None, jac: Floats, fun: Floats, x: Floats, delta: float | Floats = 1e9
) -> Step:
    """Factor and step, with unit scales."""
    factors = pivoted_qr(jac.copy(), fun)
    n_curves = len(jac)
    state = {
        "x": x,
        "diag": np.ones_like(x),
        "delta": np.broadcast_to(delta, n_curves),
        "par": np.zeros(n_curves),
    }
    if box is None:
        return free_step(factors.R, factors.qtf, factors.pivot, **state)
    gradient = np.einsum("bnm,bm->bn", jac, fun)
    return box.step(factors.R, factors.qtf, factors.pivot, gradient=gradient, **state)


def assert_promises(step: Step, jac: Floats, fun: Floats) -> None:
    """Assert that the step reports ‖J p‖ and fᵀ J p of its own p."""
    image = np.einsum("bnm,bn->bm", jac, step.p)
    np.testing.assert_allclose(step.jp, np.linalg.norm(image, axis=1), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(step.descent, (fun * image).sum(axis=1), rtol=1e-10, atol=1e-12)


def test_a_free_step_is_the_least_squares_step_in_the_order_of_the_parameters() -> None:
    jac, fun = problem(4)
    x = np.full((20, 4), 0.3)
    step = take_step(None, jac, fun, x)
    for i in range(20):
        expected, *_ = np.linalg.lstsq(jac[i].T, -fun[i])
        np.testing.assert_allclose(step.p[i], expected, rtol=1e-9)
    np.testing.assert_array_equal(step.x_new, x + step.p)
    assert_promises(step, jac, fun)


@pytest.mark.parametrize("delta", [1e9, 0.05])
def test_far_from_the_faces_a_box_step_is_the_free_step(delta: float) -> None:
    jac, fun = problem(4)
    x = np.zeros((20, 4))
    wide = Box(np.full(4, -100.0), np.full(4, 100.0))
    boxed, free = take_step(wide, jac, fun, x, delta), take_step(None, jac, fun, x, delta)
    np.testing.assert_allclose(boxed.x_new, free.x_new, rtol=1e-9)
    np.testing.assert_allclose(boxed.par, free.par, rtol=1e-6)
    assert_promises(boxed, jac, fun)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("width", [1e-9, 0.02, 0.2])
@pytest.mark.parametrize("delta", [1e9, 0.1])
def test_a_box_step_ends_inside_and_stops_on_the_face_exactly(
    n: int, width: float, delta: float
) -> None:
    jac, fun = problem(n, seed=n)
    box = Box(np.full(n, -width), np.full(n, 0.7 * width))
    x = np.random.default_rng(1).uniform(-width, 0.7 * width, (20, n))
    step = take_step(box, jac, fun, x, delta)
    assert box.contains(step.x_new).all()
    assert box.on_face(step.x_new).any()
    np.testing.assert_allclose(step.p, step.x_new - x, rtol=1e-9, atol=1e-16)
    assert_promises(step, jac, fun)


@pytest.mark.parametrize("n", [2, 5])
def test_parameters_that_do_not_stop_minimise_beside_those_that_do(n: int) -> None:
    jac, fun = problem(n, seed=n)
    box = Box(np.full(n, -0.05), np.full(n, 0.05))
    step = take_step(box, jac, fun, np.zeros((20, n)))
    stopped = box.on_face(step.x_new)
    assert 0 < stopped.sum() < stopped.size
    after = fun + np.einsum("bnm,bn->bm", jac, step.p)
    slope = np.einsum("bnm,bm->bn", jac, after)
    np.testing.assert_allclose(slope[~stopped], 0, atol=1e-12)


def test_a_parameter_on_its_face_is_held_only_against_the_descent() -> None:
    box = Box(np.array([0.0, -INF]), np.array([1.0, 2.0]))
    x = np.array([[0.0, 2.0], [0.0, 2.0], [1.0, 0.0], [1.0, 2.0], [0.5, 1.0]])
    gradient = np.array([[1.0, -1.0], [-1.0, 1.0], [-1.0, 1.0], [1.0, 0.0], [1.0, -1.0]])
    expected = [[True, True], [False, False], [True, False], [False, True], [False, False]]
    np.testing.assert_array_equal(box.held(x, gradient), expected)


def test_a_held_parameter_does_not_move() -> None:
    jac, fun = problem(3)
    gradient = np.einsum("bnm,bm->bn", jac, fun)
    box = Box(np.zeros(3), np.full(3, 50.0))
    step = take_step(box, jac, fun, np.zeros((20, 3)))
    outwards = gradient >= 0
    assert 0 < outwards.sum() < outwards.size
    np.testing.assert_array_equal(step.x_new[outwards], 0)
    np.testing.assert_array_equal(step.p[outwards], 0)


def test_all_parameters_held_is_a_step_of_nothing() -> None:
    jac, fun = problem(2)
    gradient = np.einsum("bnm,bm->bn", jac, fun)
    jac *= np.sign(gradient)[:, :, None]
    step = take_step(Box(np.zeros(2), np.ones(2)), jac, fun, np.zeros((20, 2)))
    for zero in (step.p, step.x_new, step.jp, step.descent):
        np.testing.assert_array_equal(zero, 0)


def test_a_point_on_a_face_is_contained() -> None:
    box = Box(np.array([0.0, -INF]), np.array([1.0, INF]))
    x = np.array([[0.0, 5.0], [1.0, -1e300], [-1e-300, 0.0], [1.0 + 3e-16, 0.0], [np.nan, 0.0]])
    np.testing.assert_array_equal(box.contains(x), [True, True, False, False, False])
    on_face: Bools = box.on_face(x)
    np.testing.assert_array_equal(on_face[:2], [[True, False], [True, False]])


@settings(derandomize=True, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 10_000), st.floats(1e-12, 10), st.floats(1e-9, 1e3))
@example(5, 1, 0.25, 1.0)  # where one of the twenty leads uphill at first
def test_no_box_step_ends_outside_and_what_leads_uphill_is_refused(
    n: int, seed: int, width: float, delta: float
) -> None:
    jac, fun = problem(n, seed=seed)
    rng = np.random.default_rng(seed)
    lower = np.where(rng.random(n) < 0.3, -INF, -width * rng.random(n))
    upper = np.where(rng.random(n) < 0.3, INF, width * rng.random(n))
    box = Box(lower, upper)
    x = np.clip(width * rng.normal(size=(20, n)), lower, upper)  # many on a face
    for radius in delta * 0.1 ** np.arange(6.0):
        step = take_step(box, jac, fun, x, radius)
        assert box.contains(step.x_new).all()
        prered = -(2 * step.descent + step.jp**2)
        # Stopped parameters may leave the others too little of the radius to make up for it.
        uphill = prered < -1e-12
        judged = judge(np, left=np.full(20, 0.5), prered=prered, slope=step.descent)
        assert not accepted(judged)[uphill].any()
        if not uphill.any():
            break
    assert not uphill.any()
