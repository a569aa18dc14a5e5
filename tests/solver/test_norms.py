"""Sums over points: right to rounding, safe at the ends of the range, each row by itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from manyfit.solver.arrays import Floats
from manyfit.solver.norms import dot, enorm

rows = arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(-1e9, 1e9, allow_nan=False, allow_subnormal=False),
)
scales = st.sampled_from([1e-310, 1e-300, 1e-160, 1e-140, 1.0, 1e140, 1e160, 1e290])


def norm_by_hypot(v: Floats) -> float:
    """Return the norm by another way: hypot scales as it goes."""
    return math.hypot(*v.tolist())


@settings(derandomize=True)
@given(rows, scales)
def test_enorm_is_the_norm_at_any_scale(row: Floats, scale: float) -> None:
    v = row * scale
    np.testing.assert_allclose(enorm(v[None])[0], norm_by_hypot(v), rtol=1e-14, atol=5e-324)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.0, 0.0, 0.0], 0.0),
        ([-0.0], 0.0),
        ([3e300, -4e300], 5e300),
        ([3e-300, 4e-300], 5e-300),
        ([1e300, 1e-300, 1.0], 1e300),
        ([1.7e308, 0.0], 1.7e308),
        ([5e-324, 0.0], 5e-324),
        ([3e-320, 4e-320], 5e-320),
        ([1e-140, 1e-140], 1e-140 * math.sqrt(2)),
        ([1e140, 1e140], 1e140 * math.sqrt(2)),
    ],
)
def test_enorm_neither_overflows_nor_underflows(row: list[float], expected: float) -> None:
    np.testing.assert_allclose(enorm(np.array([row])), [expected], rtol=1e-15, atol=0)


def test_enorm_overflows_only_where_the_norm_itself_does() -> None:
    with np.errstate(over="ignore"):
        norms = enorm(np.array([[1.7e308] * 2, [1.2e308] * 2]))
    np.testing.assert_allclose(norms, [np.inf, 1.2e308 * math.sqrt(2)], rtol=1e-15)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1.0, np.nan], np.nan),
        ([1e300, np.nan], np.nan),
        ([1.0, np.inf], np.inf),
        ([-np.inf, 1e300], np.inf),
        ([np.inf, -np.inf], np.inf),
        ([np.inf, np.nan], np.nan),
    ],
)
def test_enorm_is_not_finite_where_the_row_is_not(row: list[float], expected: float) -> None:
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(enorm(np.array([row])), [expected])


def test_enorm_of_rare_rows_leaves_the_others_their_bits() -> None:
    plain = np.random.default_rng(1).normal(size=(5, 23))
    rare = np.array([np.nan, np.inf, 1e300, 1e-300, 0.0])[:, None] * np.ones(23)
    with np.errstate(invalid="ignore"):
        mixed = enorm(np.concatenate([rare, plain]))
    np.testing.assert_array_equal(mixed[5:], enorm(plain))
    np.testing.assert_allclose(mixed[5:], np.linalg.norm(plain, axis=1), rtol=1e-14)


def test_enorm_of_columns_is_that_of_each_column() -> None:
    columns = np.random.default_rng(0).normal(size=(4, 3, 17)) * np.array([[1e-200], [1], [1e200]])
    expected = np.stack([enorm(columns[:, j]) for j in range(3)], axis=1)
    np.testing.assert_array_equal(enorm(columns), expected)


@pytest.mark.parametrize(("n_curves", "n"), [(0, 5), (3, 0), (0, 0)])
def test_empty_sums_are_zero(n_curves: int, n: int) -> None:
    nothing = np.ones((n_curves, n))
    np.testing.assert_array_equal(enorm(nothing), np.zeros(n_curves))
    np.testing.assert_array_equal(dot(nothing, nothing), np.zeros(n_curves))


@pytest.mark.parametrize("n", [1, 2, 7, 64, 1001])
def test_dot_sums_over_the_last_axis(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b, c = rng.normal(size=(4, n)), rng.normal(size=(4, n)), rng.normal(size=(4, 3, n))
    exact = [math.fsum(p * q for p, q in zip(u, v, strict=True)) for u, v in zip(a, b, strict=True)]
    size = np.abs(a * b).sum(axis=1)
    assert np.all(np.abs(dot(a, b) - exact) <= 1e-15 * n * size)
    np.testing.assert_allclose(dot(a, c), np.matmul(c, a[:, :, None])[:, :, 0], atol=1e-13 * n)
    np.testing.assert_allclose(dot(c, c), np.sum(c * c, axis=2), rtol=1e-15 * n)


# einsum works through its operands in buffers of 8192 values: rows longer than that, and batches
# whose rows end anywhere in a buffer, must sum in the same order too.
@pytest.mark.parametrize("n", [1, 5, 16, 50, 8191, 8192, 8193, 9000, 20000])
@pytest.mark.parametrize("k", [None, 1, 3])
def test_dot_of_a_row_has_the_same_bits_in_any_batch(n: int, k: int | None) -> None:
    rng = np.random.default_rng(n)
    a = rng.lognormal(sigma=4, size=(1, n))
    b = rng.normal(size=(1, n) if k is None else (1, k, n))
    n_curves = max(3, min(1000, 200_000 // n))
    many = dot(np.repeat(a, n_curves, axis=0), np.repeat(b, n_curves, axis=0))
    np.testing.assert_array_equal(many, np.broadcast_to(dot(a, b), many.shape))


@pytest.mark.parametrize("n", [7, 50, 9000])
@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_dot_of_a_view_has_the_same_bits_in_any_batch(n: int, offset: int) -> None:
    columns = np.random.default_rng(n).normal(size=(1, 3, n))
    many = np.repeat(columns, 40, axis=0)
    alone = dot(columns[:, 0, offset:], columns[:, 1:, offset:])
    together = dot(many[:, 0, offset:], many[:, 1:, offset:])
    np.testing.assert_array_equal(together, np.broadcast_to(alone, together.shape))
