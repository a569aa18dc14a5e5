"""Rows of curves that are not fitted: NaN, whatever was in the memory of the result before."""

from typing import Any

import numpy as np
import pytest

from manyfit import BatchFit, Model, Status, fit_curves

MODEL = Model.from_expression("a*exp(-b*x) + c")
N, X = 24, np.linspace(0, 5, 20)
RNG = np.random.default_rng(3)
Y = np.exp(-X) * RNG.uniform(1, 2, (N, 1)) + 0.5 + RNG.normal(0, 0.02, (N, 20))
BAD = np.arange(N) % 3 == 1


def spoilt_memory() -> None:
    """Leave blocks of the sizes of a result behind, full of a number that looks like one."""
    for shape in ((N,), (N, 3), (N, 3, 3)):
        kept = [np.full(shape, 0.625) for _ in range(8)]
        del kept


def assert_only_the_others_are_fitted(fit: BatchFit, status: Status) -> None:
    np.testing.assert_array_equal(fit.status[BAD], status)
    assert fit.success[~BAD].all()
    for name in ("params", "cov", "stderr", "cost"):
        numbers = getattr(fit, name)
        assert np.isnan(numbers[BAD]).all(), name
        assert np.isfinite(numbers[~BAD]).all(), name
        assert not (numbers[~BAD] == 0.625).any(), name


@pytest.mark.parametrize("engine", ["simd", "reference"])
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"y": np.where(BAD[:, None], np.nan, Y)}, Status.NONFINITE_DATA),
        ({"y": np.where(BAD[:, None] & (X > 0.3), np.nan, Y)}, Status.TOO_FEW_POINTS),
        ({"sigma": np.where(BAD[:, None], 0.0, 1.0) * np.ones_like(Y)}, Status.BAD_SIGMA),
        ({"p0": np.where(BAD[:, None], np.nan, np.ones((N, 3)))}, Status.BAD_START),
        ({"x": np.where(BAD[:, None], np.nan, X)}, Status.NONFINITE_DATA),
    ],
    ids=["no data", "few points", "sigma", "start", "no x"],
)
def test_a_curve_that_is_not_fitted_is_nan(
    changes: dict[str, Any], status: Status, engine: Any
) -> None:
    spoilt_memory()
    arguments = {"x": X, "y": Y, "p0": [1.0, 1.0, 0.0], **changes}
    assert_only_the_others_are_fitted(fit_curves(MODEL, **arguments, engine=engine), status)


@pytest.mark.parametrize("engine", ["simd", "reference"])
def test_a_curve_without_points_is_nan(engine: Any) -> None:
    spoilt_memory()
    lengths = np.where(BAD, 0, 20)
    flat = np.concatenate([row[:n] for row, n in zip(Y, lengths, strict=True)])
    x = np.concatenate([X[:n] for n in lengths])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    fit = fit_curves(MODEL, x, flat, offsets=offsets, p0=[1.0, 1.0, 0.0], engine=engine)
    assert_only_the_others_are_fitted(fit, Status.NO_DATA)


@pytest.mark.parametrize("engine", ["simd", "reference"])
def test_parameters_that_are_held_have_zeros_and_no_error(engine: Any) -> None:
    spoilt_memory()
    fit = fit_curves(MODEL, X, Y, p0=[1.0, 1.0, 0.5], fixed=["c"], engine=engine)
    assert fit.success.all()
    np.testing.assert_array_equal(fit.params[:, 2], 0.5)
    np.testing.assert_array_equal(fit.cov[:, 2], 0.0)
    np.testing.assert_array_equal(fit.cov[:, :, 2], 0.0)
    assert np.isnan(fit.stderr[:, 2]).all()
    assert (fit.stderr[:, :2] > 0).all()
