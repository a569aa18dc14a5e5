"""Functions that are not pointwise: found out, called curve by curve, and fitted all the same.

All by the reference engine, which calls functions as they are; `test_formulas` has the others.
"""

import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from manyfit.solver import batch
from manyfit.solver.arrays import Floats
from manyfit.solver.model import Model
from manyfit.solver.pointwise import ModelWarning, sample_rows, serves_batches
from manyfit.solver.residuals import CurveProblem

Function = Callable[..., Any]
fit_curves = partial(batch.fit_curves, engine="reference")


def curves(n_points: int = 17, n_curves: int = 6) -> tuple[Floats, Floats]:
    """Return an x for each curve, and noisy decays."""
    rng = np.random.default_rng(n_points)
    x = np.linspace(0, 3, n_points) + 0.3 * rng.random((n_curves, 1))
    exact = rng.uniform(1, 3, (n_curves, 1)) * np.exp(-1.2 * x)
    return x, exact + 0.02 * rng.normal(size=x.shape)


def decay(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x)


def branch(x: Any, a: Any, b: Any) -> Any:
    if a > 100:
        return 0 * x
    return a * np.exp(-b * x)


def total(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + 0.01 * np.sum(x)


def from_the_first_point(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * (x - x[0]))


def centred(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * (x - x.mean()))


def normalised(x: Any, a: Any, b: Any) -> Any:
    shape = np.exp(-b * x)
    return a * shape / shape.max()


def interpolated(x: Any, a: Any, b: Any) -> Any:
    grid = np.linspace(0, 4, 9)
    return np.interp(x, grid, a * np.exp(-b * grid))


def running(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + 1e-3 * np.cumsum(x)


def plain_python(x: Any, a: Any, b: Any) -> Any:
    return np.array([a * math.exp(-b * t) for t in x])


def a_list(x: Any, a: Any, b: Any) -> Any:
    return [a * math.exp(-b * t) for t in x]


NOT_POINTWISE = [
    branch,
    total,
    from_the_first_point,
    centred,
    normalised,
    interpolated,
    running,
    plain_python,
    a_list,
]
WARNING = "is called curve by curve, which is slow"


@pytest.mark.parametrize("func", NOT_POINTWISE)
@pytest.mark.parametrize("n_points", [16, 17], ids=["whole", "padded"])
def test_a_function_that_is_not_pointwise_is_fitted_curve_by_curve(
    func: Function, n_points: int
) -> None:
    x, y = curves(n_points)
    with pytest.warns(ModelWarning, match=WARNING):
        fit = fit_curves(func, x, y)
    expected = [curve_fit(func, u, v)[0] for u, v in zip(x, y, strict=True)]
    np.testing.assert_allclose(fit.params, expected, rtol=1e-5)
    assert fit.success.all()


@pytest.mark.parametrize("func", NOT_POINTWISE)
def test_curve_by_curve_a_function_sees_only_the_points_that_count(func: Function) -> None:
    x, y = curves()
    y[:, [0, 5]] = np.nan
    with pytest.warns(ModelWarning, match=WARNING):
        fit = fit_curves(func, x, y, sigma=0.1)
    keep = np.isfinite(y[0])
    expected = [curve_fit(func, u[keep], v[keep])[0] for u, v in zip(x, y, strict=True)]
    np.testing.assert_allclose(fit.params, expected, rtol=1e-5)


@pytest.mark.parametrize("func", NOT_POINTWISE)
def test_a_batch_of_one_is_no_exception(func: Function) -> None:
    x, y = curves()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)  # for one curve some of them are pointwise
        fit = fit_curves(func, x[:1], y[:1])
    np.testing.assert_allclose(fit.params[0], curve_fit(func, x[0], y[0])[0], rtol=1e-5)


def test_the_warning_names_the_model_the_reason_and_the_way_out() -> None:
    x, y = curves()
    with pytest.warns(ModelWarning, match=r"'branch'.*it fails for arrays.*ValueError.*np\.where"):
        fit_curves(branch, x, y)
    with pytest.warns(ModelWarning, match=r"'total'.*other values than for one curve.*no sums"):
        fit_curves(total, x, y)


def test_a_pointwise_function_is_called_for_all_curves_at_once() -> None:
    shapes = []

    def recorded(x: Any, a: Any, b: Any) -> Any:
        shapes.append(np.shape(a))
        return decay(x, a, b)

    x, y = curves(n_curves=6)
    fit_curves(recorded, x, y)
    alone = [s for s in shapes if s == ()]
    assert len(alone) == 8  # four curves before the fit, four after
    assert (6, 1) in shapes


def test_a_function_that_branches_only_where_the_fit_ends_is_found_out_there() -> None:
    def treacherous(x: Any, a: Any, b: Any) -> Any:
        # For one curve the same as decay; for arrays it looks at the neighbours, but not yet at
        # the start, where all rates are 3.
        return a * np.exp(-np.mean(b) * x) if np.mean(b) < 2 else decay(x, a, b)

    x, y = curves()
    with pytest.warns(ModelWarning, match="other values than for one curve"):
        fit = fit_curves(treacherous, x, y, p0=[1, 3])
    expected = fit_curves(decay, x, y, p0=[1, 3])
    np.testing.assert_allclose(fit.params, expected.params, rtol=1e-6)


def test_derivatives_that_are_not_pointwise_are_found_out_too() -> None:
    def jac(x: Any, a: Any, b: Any) -> list[Any]:
        if a > 100:
            return [0 * x, 0 * x]
        return [np.exp(-b * x), -a * x * np.exp(-b * x)]

    x, y = curves()
    with pytest.warns(ModelWarning, match="it fails for arrays"):
        fit = fit_curves(Model.from_function(decay, jac=jac), x, y)
    np.testing.assert_allclose(fit.params, fit_curves(decay, x, y).params, rtol=1e-5)
    np.testing.assert_array_equal(fit.njev < fit.nfev, True)  # noqa: FBT003


def test_a_constant_is_pointwise() -> None:
    y = np.array([[1.0, 2.0, 3.0], [4.0, 4.0, 7.0]])
    fit = fit_curves(lambda x, a: a, np.arange(3), y)  # noqa: ARG005
    np.testing.assert_allclose(fit.params, [[2], [5]], rtol=1e-7)


def test_values_that_are_finite_nowhere_are_the_same() -> None:
    x, y = curves()
    with np.errstate(invalid="ignore"):
        fit = fit_curves(lambda x, a, b: a * np.sqrt(b - x), x, y, p0=[1, 10])
    assert fit.success.any()


# Functions that write ------------------------------------------------------------------------


def shift_in_place(x: Any, a: Any, b: Any) -> Any:
    x -= 0.1
    return a * np.exp(-b * x)


def double_in_place(x: Any, a: Any, b: Any) -> Any:
    a *= 2
    b *= 0.5
    return a * np.exp(-b * x)


def without_writing(func: Function) -> Function:
    """Return a function that does the same to copies."""
    return lambda x, a, b: func(x.copy(), np.array(a), np.array(b))


@pytest.mark.parametrize("func", [shift_in_place, double_in_place])
@pytest.mark.parametrize("n_points", [16, 17], ids=["whole", "padded"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_a_function_that_writes_into_its_arguments_is_refused_or_right(
    func: Function, n_points: int, shared: bool
) -> None:
    x, y = curves(n_points)
    x = x[0] if shared else x
    start = np.full((6, 2), 1.3)
    before = [v.copy() for v in (x, y, start)]
    with warnings.catch_warnings(), suppress(ValueError):
        warnings.simplefilter("ignore", ModelWarning)
        fit = fit_curves(func, x, y, p0=start)
        expected = fit_curves(without_writing(func), x, y, p0=start)
        np.testing.assert_allclose(fit.params, expected.params, rtol=1e-6)
    for now, then in zip((x, y, start), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_constants_cannot_be_written_over() -> None:
    def greedy(x: Any, t: Any, a: Any) -> Any:
        t += 1
        return a * t * x

    model = Model.from_function(greedy, constants=["t"])
    x, t = np.arange(1, 9.0), np.array([1.0, 2.0, 3.0])
    y = 2 * (t[:, None] + 1) * x
    with warnings.catch_warnings(), suppress(ValueError):
        warnings.simplefilter("ignore", ModelWarning)
        fit = fit_curves(model, x, y, constants={"t": t})
        np.testing.assert_allclose(fit.params, 2, rtol=1e-6)
    np.testing.assert_array_equal(t, [1, 2, 3])


# Functions that raise ------------------------------------------------------------------------


def test_what_a_function_raises_for_one_curve_is_raised() -> None:
    def broken(x: Any, a: Any, b: Any) -> Any:
        raise ZeroDivisionError(f"no such {a + b:g} at {len(x)} points")

    x, y = curves()
    with pytest.raises(ZeroDivisionError, match="no such 2 at 17 points"):
        fit_curves(broken, x, y)


def test_what_a_function_raises_in_the_middle_of_a_fit_is_raised() -> None:
    def limited(x: Any, a: Any, b: Any) -> Any:
        if np.any(np.asarray(b) > 1.1):
            raise OverflowError("rate beyond 1.1")
        return decay(x, a, b)

    x, y = curves()
    with pytest.raises(OverflowError, match=r"rate beyond 1\.1"):
        fit_curves(limited, x, y)


def test_values_that_fit_no_curve_are_an_error() -> None:
    x, y = curves()
    with pytest.raises(ValueError, match="broadcast"):
        fit_curves(lambda x, a, b: a * np.ones(5) + b, x, y)  # noqa: ARG005


# The comparison ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_curves", "rows"),
    [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (1000, [0, 333, 666, 999])],
)
def test_the_first_the_last_and_some_between_are_compared(n_curves: int, rows: list[int]) -> None:
    assert sample_rows(n_curves).tolist() == rows


def problem(func: Function, **changes: Any) -> CurveProblem:
    """Return three curves."""
    x, y = curves(n_curves=3)
    return CurveProblem(
        model=Model.from_function(func),
        predictors=(x,),
        constants=(),
        y=y,
        weight=None,
        valid=None,
        template=np.ones((3, 2)),
        free=np.arange(2),
        **changes,
    )


def test_a_pointwise_function_serves_batches() -> None:
    assert serves_batches(problem(decay), np.ones((3, 2)))


def test_a_difference_of_rounding_is_none() -> None:
    def rounded(x: Any, a: Any, b: Any) -> Any:
        return decay(x, a, b) * (1 + 1e-12 * np.ndim(a))

    def different(x: Any, a: Any, b: Any) -> Any:
        return decay(x, a, b) * (1 + 1e-7 * np.ndim(a))

    assert serves_batches(problem(rounded), np.ones((3, 2)))
    with pytest.warns(ModelWarning, match="other values"):
        assert not serves_batches(problem(different), np.ones((3, 2)))


def test_a_nan_for_arrays_only_is_a_difference() -> None:
    def lost(x: Any, a: Any, b: Any) -> Any:
        return decay(x, a, b) if np.ndim(a) == 0 else np.full(x.shape, np.nan)

    with pytest.warns(ModelWarning, match="other values"):
        assert not serves_batches(problem(lost), np.ones((3, 2)))


def test_a_problem_that_is_done_curve_by_curve_is_not_compared_again() -> None:
    assert not serves_batches(problem(branch, alone=True), np.ones((3, 2)))
