"""Pivoted QR against LAPACK, MINPACK and the definition of the factors."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import leastsq

from manyfit.solver.arrays import Floats
from manyfit.solver.qr import (
    PivotedQR,
    leading_rank,
    multiply_upper,
    multiply_upper_transposed,
    pivoted_qr,
    solve_upper,
    solve_upper_transposed,
    triangularise,
)

SHAPES = [(1, 1), (1, 7), (2, 2), (3, 3), (3, 10), (4, 5), (5, 50), (9, 9), (10, 200)]


def generic(n: int, m: int, n_curves: int = 6) -> tuple[Floats, Floats]:
    """Return Jacobians (n_curves, n, m), column by row, and residuals (n_curves, m)."""
    rng = np.random.default_rng(100 * n + m)
    return rng.normal(size=(n_curves, n, m)), rng.normal(size=(n_curves, m))


def dependent(n: int, m: int) -> tuple[Floats, Floats]:
    """Return generic problems whose last column is the sum of the first two."""
    jac, fun = generic(n, m)
    jac[:, -1] = jac[:, 0] + jac[:, 1]
    return jac, fun


def graded(n: int, m: int) -> tuple[Floats, Floats]:
    """Return generic problems with columns between 1e-150 and 1e150."""
    jac, fun = generic(n, m)
    return jac * np.logspace(-150, 150, n)[:, None], fun


def with_zero_column(n: int, m: int) -> tuple[Floats, Floats]:
    """Return generic problems whose second column is zero."""
    jac, fun = generic(n, m)
    jac[:, 1] = 0
    return jac, fun


def all_zero(n: int, m: int) -> tuple[Floats, Floats]:
    """Return problems with no Jacobian at all."""
    jac, fun = generic(n, m)
    return np.zeros_like(jac), fun


def nearly_dependent(n: int, m: int) -> tuple[Floats, Floats]:
    """Return problems whose columns differ by parts in 1e9: down-dated norms cancel."""
    jac, fun = generic(n, m)
    return jac[:, :1] + 1e-9 * jac, fun


KINDS = [dependent, graded, with_zero_column, all_zero, nearly_dependent]
PROBLEMS = [pytest.param(*generic(n, m), id=f"generic-{n}x{m}") for n, m in SHAPES] + [
    pytest.param(*make(n, m), id=f"{make.__name__}-{n}x{m}")
    for make in KINDS
    for n, m in [(3, 3), (4, 30)]
]
every_problem = pytest.mark.parametrize(("jac", "fun"), PROBLEMS)


def factor(jac: Floats, fun: Floats) -> PivotedQR:
    """Factor copies."""
    return pivoted_qr(jac.copy(), fun)


def permuted(jac: Floats, factors: PivotedQR) -> Floats:
    """Return J P, column by row."""
    return np.take_along_axis(jac, factors.pivot[:, :, None], axis=1)


def unit(columns: Floats) -> tuple[Floats, Floats]:
    """Return columns of unit length, and the lengths; a zero column stays zero."""
    largest = np.abs(columns).max(axis=2)
    largest = np.where(largest == 0, 1.0, largest)
    norms = largest * np.sqrt(np.square(columns / largest[:, :, None]).sum(axis=2))
    norms = np.where(norms == 0, 1.0, norms)
    return columns / norms[:, :, None], norms


def assert_same_gram(columns: Floats, R: Floats) -> None:
    """Assert RᵀR = AᵀA, each column measured in its own length."""
    scaled, norms = unit(columns)
    scaled_R = R / norms[:, None, :]
    expected = np.einsum("bim,bjm->bij", scaled, scaled)
    found = np.einsum("bki,bkj->bij", scaled_R, scaled_R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-14 * columns.shape[2] ** 0.5)


@every_problem
def test_factors_have_the_gram_matrix_of_the_permuted_jacobian(jac: Floats, fun: Floats) -> None:
    factors = factor(jac, fun)
    assert_same_gram(permuted(jac, factors), factors.R)
    np.testing.assert_array_equal(factors.R, np.triu(factors.R))


@every_problem
def test_diagonal_descends_in_magnitude(jac: Floats, fun: Floats) -> None:
    diagonal = np.abs(np.diagonal(factor(jac, fun).R, axis1=1, axis2=2))
    assert np.all(diagonal[:, 1:] <= diagonal[:, :-1] * (1 + 1e-12))


@every_problem
def test_pivot_is_a_permutation_that_begins_with_the_longest_column(
    jac: Floats, fun: Floats
) -> None:
    factors = factor(jac, fun)
    n = jac.shape[1]
    np.testing.assert_array_equal(np.sort(factors.pivot, axis=1), np.tile(np.arange(n), (6, 1)))
    np.testing.assert_array_equal(factors.pivot[:, 0], factors.norms.argmax(axis=1))


@every_problem
def test_norms_are_those_of_the_columns_in_the_order_of_the_parameters(
    jac: Floats, fun: Floats
) -> None:
    norms = [[scipy.linalg.norm(column) for column in one] for one in jac]
    np.testing.assert_allclose(factor(jac, fun).norms, norms, rtol=1e-14)


@every_problem
def test_rotated_residuals_are_those_of_the_same_q(jac: Floats, fun: Floats) -> None:
    factors = factor(jac, fun)
    columns, norms = unit(permuted(jac, factors))
    expected = np.einsum("bim,bm->bi", columns, fun)
    found = np.einsum("bki,bk->bi", factors.R / norms[:, None, :], factors.qtf)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_head_and_rest_of_the_rotated_residuals_make_up_their_norm(n: int, m: int) -> None:
    jac, fun = generic(n, m)
    head = np.square(factor(jac, fun).qtf).sum(axis=1)
    for i in range(len(jac)):
        p, *_ = np.linalg.lstsq(jac[i].T, fun[i])
        rest = np.sum((jac[i].T @ p - fun[i]) ** 2)
        np.testing.assert_allclose(head[i] + rest, fun[i] @ fun[i], rtol=1e-13)


@pytest.mark.parametrize("make", [generic, graded])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_back_substitution_solves_the_least_squares_problem(make: object, n: int, m: int) -> None:
    assert callable(make)
    jac, fun = make(n, m)
    factors = factor(jac, fun)
    p = np.empty((len(jac), n))
    np.put_along_axis(p, factors.pivot, solve_upper(factors.R, factors.qtf), axis=1)
    columns, norms = unit(jac)
    for i in range(len(jac)):
        expected, *_ = np.linalg.lstsq(columns[i].T, fun[i])
        np.testing.assert_allclose(p[i] * norms[i], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_pivots_and_triangle_are_those_of_lapack(n: int, m: int) -> None:
    jac, fun = generic(n, m)
    factors = factor(jac, fun)
    for i in range(len(jac)):
        R, pivot = scipy.linalg.qr(jac[i].T, mode="r", pivoting=True)
        np.testing.assert_array_equal(factors.pivot[i], pivot)
        np.testing.assert_allclose(np.abs(factors.R[i]), np.abs(R[:n]), atol=1e-13)


@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_packed_form_is_minpacks(n: int, m: int) -> None:
    jac, fun = generic(n, m, n_curves=1)
    # With gtol beyond any cosine MINPACK returns before the lower triangle is its work space.
    _, _, info, _, status = leastsq(
        lambda _: fun[0], np.ones(n), Dfun=lambda _: jac[0].T, gtol=2, full_output=True
    )
    assert status == 4
    factors = factor(jac, fun)
    np.testing.assert_array_equal(factors.pivot[0], info["ipvt"] - info["ipvt"].min())
    np.testing.assert_allclose(factors.packed[0], info["fjac"], atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_form_holds_the_reflections_below_the_diagonal(shape: tuple[int, int]) -> None:
    n, m = shape
    jac, fun = generic(*shape)
    factors = factor(jac, fun)
    for packed, R, A, f, qtf in zip(
        factors.packed, factors.R, permuted(jac, factors), fun, factors.qtf, strict=True
    ):
        Q = np.eye(m)
        for k in range(n):
            v = np.zeros(m)
            v[k + 1 :] = packed[k, k + 1 :]
            # A reflection's first component is not kept, but (v_k - 1)² + Σ v_i² = 1.
            v[k] = 1 + np.sqrt(max(0.0, 1 - float(v @ v)))
            Q = Q @ (np.eye(m) - np.outer(v, v) / v[k])
        np.testing.assert_allclose(Q[:, :n] @ R, A.T, atol=1e-7)
        np.testing.assert_allclose((Q.T @ f)[:n], qtf, atol=1e-7)
        np.testing.assert_array_equal(np.triu(packed[:, :n].T), R)


@pytest.mark.parametrize("shape", [(3, 3), (4, 30)])
def test_dependent_columns_show_at_the_end_of_the_diagonal(shape: tuple[int, int]) -> None:
    diagonal = np.abs(np.diagonal(factor(*dependent(*shape)).R, axis1=1, axis2=2))
    assert np.all(diagonal[:, -1] <= 1e-14 * diagonal[:, 0])
    assert np.all(diagonal[:, -2] >= 1e-3 * diagonal[:, 0])


@pytest.mark.parametrize("shape", [(3, 3), (4, 30)])
def test_a_zero_column_is_last_and_exactly_zero(shape: tuple[int, int]) -> None:
    factors = factor(*with_zero_column(*shape))
    n = shape[0]
    np.testing.assert_array_equal(factors.pivot[:, -1], np.ones(6))
    np.testing.assert_array_equal(leading_rank(factors.R), np.full(6, n - 1))


def test_zero_jacobians_have_rank_zero_and_leave_the_residuals_alone() -> None:
    jac, fun = all_zero(3, 8)
    factors = factor(jac, fun)
    np.testing.assert_array_equal(leading_rank(factors.R), np.zeros(6))
    np.testing.assert_array_equal(factors.qtf, fun[:, :3])


def test_residuals_are_not_overwritten() -> None:
    jac, fun = generic(3, 10)
    before = fun.copy()
    factor(jac, fun)
    np.testing.assert_array_equal(fun, before)


def test_a_curve_with_nan_does_not_touch_its_neighbours() -> None:
    jac, fun = generic(3, 10)
    ill = jac.copy()
    ill[2, 1, 4] = np.nan
    with np.errstate(invalid="ignore"):
        found = factor(ill, fun)
    expected, others = factor(jac, fun), [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(found.packed[others], expected.packed[others])
    np.testing.assert_array_equal(found.qtf[others], expected.qtf[others])
    assert np.isnan(found.R[2]).any()


@settings(derandomize=True, max_examples=60)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(5, 9)),
        elements=st.integers(-3, 3).map(float),
    )
)
def test_factors_of_any_small_matrix_are_factors(jac: Floats) -> None:
    fun = np.ones((len(jac), jac.shape[2]))
    factors = factor(jac, fun)
    assert_same_gram(permuted(jac, factors), factors.R)
    diagonal = np.abs(np.diagonal(factors.R, axis1=1, axis2=2))
    rank = (diagonal > 1e-12 * np.maximum(diagonal[:, :1], 1)).sum(axis=1)
    np.testing.assert_array_equal(rank, [np.linalg.matrix_rank(one) for one in jac])


def test_triangularise_keeps_the_order_of_the_columns() -> None:
    columns, rhs = generic(4, 9)
    rotated = rhs.copy()
    R = triangularise(columns.copy(), rotated)
    assert_same_gram(columns, R)
    np.testing.assert_array_equal(R, np.triu(R))
    np.testing.assert_allclose(
        np.einsum("bki,bk->bi", R, rotated[:, :4]),
        np.einsum("bim,bm->bi", columns, rhs),
        atol=1e-13,
    )


def triangles(n: int, n_curves: int = 5) -> tuple[Floats, Floats]:
    """Return well-conditioned upper triangles and right-hand sides."""
    rng = np.random.default_rng(n)
    R = np.triu(rng.normal(size=(n_curves, n, n)), 1)
    R[:, np.arange(n), np.arange(n)] = rng.uniform(1, 3, (n_curves, n))
    return R, rng.normal(size=(n_curves, n))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_triangular_solves_and_products_are_those_of_numpy(n: int) -> None:
    R, b = triangles(n)
    Rt, column = R.transpose(0, 2, 1), b[:, :, None]
    np.testing.assert_allclose(solve_upper(R, b), np.linalg.solve(R, column)[..., 0], atol=1e-13)
    np.testing.assert_allclose(
        solve_upper_transposed(R, b), np.linalg.solve(Rt, column)[..., 0], atol=1e-13
    )
    np.testing.assert_allclose(multiply_upper(R, b), (R @ column)[..., 0], atol=1e-14)
    np.testing.assert_allclose(multiply_upper_transposed(R, b), (Rt @ column)[..., 0], atol=1e-14)


@pytest.mark.parametrize("zero", [0, 2, 4])
def test_back_substitution_sets_the_unknowns_from_the_first_zero_on_to_zero(zero: int) -> None:
    R, b = triangles(5)
    R[1:, zero, zero] = 0
    np.testing.assert_array_equal(leading_rank(R), [5, zero, zero, zero, zero])
    x = solve_upper(R, b)
    np.testing.assert_allclose(x[0], np.linalg.solve(R[0], b[0]), atol=1e-13)
    for i in range(1, 5):
        expected = np.linalg.solve(R[i, :zero, :zero], b[i, :zero])
        np.testing.assert_allclose(x[i, :zero], expected, atol=1e-13)
        np.testing.assert_array_equal(x[i, zero:], np.zeros(5 - zero))
