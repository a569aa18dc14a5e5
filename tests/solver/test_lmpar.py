"""The Levenberg-Marquardt parameter: the step fits the region and minimises what it should."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from manyfit.solver.arrays import Floats
from manyfit.solver.lmpar import lm_step

N_CURVES = 40


def triangles(n: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Return generic R, Qᵀf and scales of a batch."""
    rng = np.random.default_rng(10 * n + seed)
    jac = rng.normal(size=(N_CURVES, 3 * n, n)) * rng.lognormal(sigma=1, size=(N_CURVES, 1, n))
    R: Floats = np.linalg.qr(jac).R
    return R, rng.normal(size=(N_CURVES, n)), rng.lognormal(size=(N_CURVES, n))


def gauss_newton(R: Floats, qtf: Floats) -> Floats:
    """Return the undamped step."""
    return np.asarray(-np.linalg.solve(R, qtf[:, :, None])[:, :, 0], dtype=np.float64)


def damped(R: Floats, qtf: Floats, diag: Floats, par: float) -> Floats:
    """Return the minimiser of ‖R p + qtf‖² + par ‖D p‖² of one curve, by dense least squares."""
    rows = np.concatenate([R, np.sqrt(par) * np.diag(diag)])
    p, *_ = np.linalg.lstsq(rows, -np.concatenate([qtf, 0 * qtf]))
    return np.asarray(p)


def damped_exactly(R: Floats, qtf: Floats, diag: Floats, par: float) -> list[float]:
    """Return the same minimiser from (RᵀR + par D²) p = -Rᵀ qtf in rational numbers."""
    n = len(qtf)
    rows = [[Fraction(v) for v in row] for row in R.tolist()]
    right = [Fraction(v) for v in qtf.tolist()]
    A = [[sum((row[i] * row[j] for row in rows), Fraction()) for j in range(n)] for i in range(n)]
    b = [
        -sum((row[i] * f for row, f in zip(rows, right, strict=True)), Fraction()) for i in range(n)
    ]
    for i in range(n):
        A[i][i] += Fraction(par) * Fraction(float(diag[i])) ** 2
    for k in range(n):
        for i in range(k + 1, n):
            share = A[i][k] / A[k][k]
            A[i] = [u - share * v for u, v in zip(A[i], A[k], strict=True)]
            b[i] -= share * b[k]
    p = [Fraction()] * n
    for k in range(n - 1, -1, -1):
        p[k] = (b[k] - sum((A[k][j] * p[j] for j in range(k + 1, n)), Fraction())) / A[k][k]
    return [float(v) for v in p]


def lengths(diag: Floats, p: Floats) -> Floats:
    """Return ‖D p‖ of every curve."""
    return np.asarray(np.linalg.norm(diag * p, axis=1))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("slack", [1.0, 1 / 1.099])
def test_a_gauss_newton_step_that_fits_is_taken_undamped(n: int, slack: float) -> None:
    R, qtf, diag = triangles(n)
    newton = gauss_newton(R, qtf)
    p, par = lm_step(R, qtf, diag, slack * lengths(diag, newton), np.full(N_CURVES, 3.0))
    np.testing.assert_allclose(p, newton, rtol=1e-9)
    np.testing.assert_array_equal(par, 0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_gauss_newton_step_a_little_longer_than_the_slack_is_damped(n: int) -> None:
    R, qtf, diag = triangles(n)
    _, par = lm_step(R, qtf, diag, lengths(diag, gauss_newton(R, qtf)) / 1.101, np.zeros(N_CURVES))
    assert np.all(par > 0)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("first", [0.0, 1e-9, 1.0, 1e9])
def test_a_damped_step_has_the_length_of_the_radius(n: int, share: float, first: float) -> None:
    R, qtf, diag = triangles(n)
    delta = share * lengths(diag, gauss_newton(R, qtf))
    p, par = lm_step(R, qtf, diag, delta, np.full(N_CURVES, first))
    assert np.all(np.abs(lengths(diag, p) / delta - 1) <= 0.1 + 1e-9)
    for i in range(N_CURVES):
        np.testing.assert_allclose(p[i], damped(R[i], qtf[i], diag[i], par[i]), rtol=1e-6)


@pytest.mark.parametrize("share", [0.7, 0.05])
def test_the_damping_is_that_of_a_dense_search(share: float) -> None:
    R, qtf, diag = triangles(3)
    delta = share * lengths(diag, gauss_newton(R, qtf))
    _, par = lm_step(R, qtf, diag, delta, np.zeros(N_CURVES))
    for i in range(N_CURVES):

        def excess(log_par: float, i: int = i) -> float:
            p = damped(R[i], qtf[i], diag[i], 10**log_par)
            return float(np.log(np.linalg.norm(diag[i] * p) / delta[i]))

        longest, shortest = (
            10 ** brentq(lambda t, end=end: excess(t) - np.log(end), -15, 15) for end in (1.1, 0.9)
        )
        assert longest * (1 - 1e-9) <= par[i] <= shortest * (1 + 1e-9)


@pytest.mark.parametrize("delta", [1e-2, 1e-8, 1e-16, 1e-40, 1e-200])
def test_a_step_is_right_in_every_component_however_small_the_radius(delta: float) -> None:
    R, qtf, diag = triangles(3)
    radius = np.full(N_CURVES, delta)
    with np.errstate(all="ignore"):
        p, par = lm_step(R, qtf, diag, radius, np.zeros(N_CURVES))
    assert np.all(np.abs(lengths(diag / delta, p) - 1) <= 0.1 + 1e-9)
    for i in range(N_CURVES):
        expected = damped_exactly(R[i], qtf[i], diag[i], par[i])
        np.testing.assert_allclose(p[i], expected, rtol=1e-9)


def deficient(n: int, rank: int) -> tuple[Floats, Floats, Floats]:
    """Return R whose diagonal is exactly zero from `rank` on, as pivoted QR leaves it."""
    R, qtf, diag = triangles(n)
    R[:, rank:] = 0
    return R, qtf, diag


@pytest.mark.parametrize(("n", "rank"), [(1, 0), (3, 2), (3, 1), (5, 3)])
def test_without_full_rank_the_undamped_step_leaves_the_trailing_unknowns(
    n: int, rank: int
) -> None:
    R, qtf, diag = deficient(n, rank)
    p, par = lm_step(R, qtf, diag, np.full(N_CURVES, 1e6), np.ones(N_CURVES))
    leading = gauss_newton(R[:, :rank, :rank], qtf[:, :rank])
    np.testing.assert_allclose(p[:, :rank], leading, rtol=1e-9)
    np.testing.assert_array_equal(p[:, rank:], 0)
    np.testing.assert_array_equal(par, 0)


@pytest.mark.parametrize(("n", "rank"), [(2, 1), (3, 2), (3, 1), (5, 3)])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_without_full_rank_the_damped_step_fits_and_is_optimal(
    n: int, rank: int, share: float
) -> None:
    R, qtf, diag = deficient(n, rank)
    # The shortest of all undamped steps bounds what any damping can reach.
    shortest = np.array(
        [np.linalg.norm(damped(R[i], qtf[i], diag[i], 1e-18) * diag[i]) for i in range(N_CURVES)]
    )
    delta = share * shortest
    p, par = lm_step(R, qtf, diag, delta, np.zeros(N_CURVES))
    assert np.all(np.abs(lengths(diag, p) / delta - 1) <= 0.1 + 1e-9)
    for i in range(N_CURVES):
        np.testing.assert_allclose(p[i], damped(R[i], qtf[i], diag[i], par[i]), rtol=1e-6)


def test_a_radius_between_the_shortest_and_the_basic_step_ends_inside() -> None:
    # J = [1 1; 0 0]: the basic step (-1, 0) has length 1, the shortest, (-1/2, -1/2), has 0.71.
    R = np.array([[[1.0, 1.0], [0.0, 0.0]]])
    p, par = lm_step(R, np.array([[1.0, 0.3]]), np.ones((1, 2)), np.array([0.85]), np.zeros(1))
    assert np.linalg.norm(p) <= 1.1 * 0.85
    assert 0 < par[0] < 1e-2
    np.testing.assert_allclose(R[0] @ p[0], [-1.0, 0.0], atol=1e-2)


def test_without_a_gradient_there_is_no_step() -> None:
    R, _, diag = triangles(3)
    p, par = lm_step(R, np.zeros((N_CURVES, 3)), diag, np.full(N_CURVES, 1e-3), np.ones(N_CURVES))
    np.testing.assert_array_equal(p, 0)
    np.testing.assert_array_equal(par, 0)


@pytest.mark.parametrize("tiny", [1e-150, 1e-300])
def test_a_column_that_all_but_underflows_leaves_the_step_finite(tiny: float) -> None:
    R = np.array([[[2.0, 0.0], [0.0, tiny]]])
    diag = np.array([[2.0, tiny]])
    with np.errstate(all="ignore"):
        p, par = lm_step(R, np.array([[1.0, 1.0]]), diag, np.array([0.1]), np.zeros(1))
    assert np.abs(lengths(diag, p) / 0.1 - 1) <= 0.1 + 1e-9
    # In units of the columns the problem is p0 + 1, p1 + 1 with equal scales.
    np.testing.assert_allclose(diag * p, -1 / (1 + np.repeat(par, 2)[None]), rtol=1e-12)


def test_each_curve_gets_the_step_it_gets_alone() -> None:
    R, qtf, diag = triangles(4)
    delta = lengths(diag, gauss_newton(R, qtf)) * np.logspace(1, -5, N_CURVES)
    par = np.linspace(0, 2, N_CURVES)
    p, damping = lm_step(R, qtf, diag, delta, par)
    for i in range(N_CURVES):
        one = slice(i, i + 1)
        p_alone, par_alone = lm_step(R[one], qtf[one], diag[one], delta[one], par[one])
        np.testing.assert_array_equal(p_alone[0], p[i])
        np.testing.assert_array_equal(par_alone[0], damping[i])


@settings(derandomize=True, max_examples=60)
@given(st.integers(1, 6), st.integers(0, 10_000), st.floats(-8, 3))
def test_scaling_the_residuals_scales_the_step(n: int, seed: int, exponent: float) -> None:
    R, qtf, diag = triangles(n, seed)
    delta = 0.1 * lengths(diag, gauss_newton(R, qtf))
    scale = 2.0 ** round(3 * exponent)  # exact in binary
    p, par = lm_step(R, qtf, diag, delta, np.zeros(N_CURVES))
    p_scaled, par_scaled = lm_step(R, scale * qtf, diag, scale * delta, np.zeros(N_CURVES))
    np.testing.assert_array_equal(p_scaled, scale * p)
    np.testing.assert_array_equal(par_scaled, par)
