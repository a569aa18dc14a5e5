"""Residuals and Jacobians of a batch of one model, as the engine asks for them."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.bounds import Box
from manyfit.solver.model import Model
from manyfit.solver.residuals import CurveProblem, as_rows

X = np.linspace(0.1, 3, 11)
PARAMS = np.array([[2.0, 1.5, 0.5], [3.0, 0.5, -1.0], [-1.0, 0.2, 4.0]])
Y = np.random.default_rng(0).normal(size=(3, 11))


def decay(x: Floats, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def decay_jac(x: Floats, a: Any, b: Any, c: Any) -> list[Any]:
    del c
    e = np.exp(-b * x)
    return [e, -a * x * e, 1.0]


EXACT = Model.from_function(decay, jac=decay_jac)
DIFFERENCES = Model.from_function(decay)


def problem(model: Model = EXACT, **changes: Any) -> CurveProblem:
    """Return the problem of three curves with a shared x."""
    plain = CurveProblem(
        model=model,
        predictors=(X[None],),
        constants=(),
        y=Y,
        weight=None,
        valid=None,
        template=PARAMS.copy(),
        free=np.arange(3),
    )
    return replace(plain, **changes)


def expected_values(params: Floats = PARAMS, x: Floats = X) -> Floats:
    """Return the model's values curve by curve."""
    return np.stack([decay(x, *p) for p in params])


def expected_jacobian(params: Floats = PARAMS) -> Floats:
    """Return the derivatives curve by curve, (n_curves, n_params, n_points)."""
    return np.stack([np.stack(np.broadcast_arrays(*decay_jac(X, *p), X)[:-1]) for p in params])


WEIGHT = np.linspace(0, 2, 33).reshape(3, 11)


def some_valid() -> Bools:
    """Return which points count: not the last three of the second curve."""
    valid = np.ones((3, 11), dtype=np.bool_)
    valid[1, 8:] = False
    return valid


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_residuals_are_the_weighted_differences(alone: bool, weight: Floats | None) -> None:
    fun = problem(alone=alone, weight=weight).residuals(PARAMS)
    expected = (expected_values() - Y) * (1 if weight is None else weight)
    np.testing.assert_allclose(fun, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(
    ("model", "cost", "atol"), [(EXACT, 0, 1e-14), (DIFFERENCES, 3, 1e-6)], ids=["exact", "diff"]
)
def test_jacobians_are_the_weighted_derivatives_at_their_cost(
    model: Model, cost: int, atol: float, weight: Floats | None, alone: bool
) -> None:
    own = problem(model, alone=alone, weight=weight)
    jac, paid = own.jacobian(PARAMS, own.residuals(PARAMS))
    expected = expected_jacobian() * (1 if weight is None else weight[:, None])
    np.testing.assert_allclose(jac, expected, atol=atol)
    assert paid == cost
    assert jac.flags.c_contiguous
    assert jac.flags.writeable


@pytest.mark.parametrize("alone", [False, True])
def test_fixed_parameters_come_from_the_template(alone: bool) -> None:
    own = problem(free=np.array([2, 0]), alone=alone)
    params = PARAMS[:, [2, 0]] + 1
    complete = PARAMS + np.array([1, 0, 1])
    np.testing.assert_array_equal(own.complete(params), complete)
    np.testing.assert_allclose(own.values(params), expected_values(complete), rtol=1e-14)
    jac, _ = own.jacobian(params, own.residuals(params))
    np.testing.assert_allclose(jac, expected_jacobian(complete)[:, [2, 0]], rtol=1e-14)
    np.testing.assert_array_equal(own.template, PARAMS)


def test_constants_and_several_predictors_reach_the_function_by_name() -> None:
    def model(b: Any, u: Any, t: Any, v: Any, a: Any) -> Any:
        return 1000 * b + 100 * u + 10 * t + v + 0.1 * a

    own = CurveProblem(
        model=Model.from_function(model, x=("u", "v"), constants=("t",)),
        predictors=(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])),
        constants=(np.array([[7.0], [8.0]]),),
        y=np.zeros((2, 2)),
        weight=None,
        valid=None,
        template=np.zeros((2, 2)),
        free=np.arange(2),
    )
    params = np.array([[1.0, 0.0], [2.0, 5.0]])
    expected = [[1173.0, 1274.0], [2185.5, 2286.5]]
    np.testing.assert_allclose(own.values(params), expected)
    np.testing.assert_allclose(replace(own, alone=True).values(params), expected)


def test_some_of_the_curves_are_the_same_curves() -> None:
    own = problem(
        predictors=(X + np.arange(3)[:, None],),
        weight=WEIGHT,
        valid=some_valid(),
        free=np.array([0, 2]),
        box=Box(np.full(2, -9.0), np.full(2, 9.0)),
    )
    params = PARAMS[:, [0, 2]]
    rows = np.array([2, 0])
    part = own.take(rows)
    np.testing.assert_array_equal(part.residuals(params[rows]), own.residuals(params)[rows])
    whole, _ = own.jacobian(params, own.residuals(params))
    some, _ = part.jacobian(params[rows], part.residuals(params[rows]))
    np.testing.assert_array_equal(some, whole[rows])
    assert part.valid is not None
    np.testing.assert_array_equal(part.valid, some_valid()[rows])


def test_alone_a_function_sees_plain_numbers_and_the_points_that_count() -> None:
    seen: list[tuple[Any, ...]] = []

    def recorded(x: Any, a: Any, b: Any, c: Any) -> Any:
        seen.append((x, a, b, c))
        return decay(x, a, b, c)

    own = problem(Model.from_function(recorded), alone=True, valid=some_valid())
    own.values(PARAMS)
    assert [x.shape for x, *_ in seen] == [(11,), (8,), (11,)]
    assert all(type(p) is float for _, *params in seen for p in params)


def test_alone_the_points_that_do_not_count_are_zero() -> None:
    own = problem(alone=True, valid=some_valid(), weight=some_valid().astype(float))
    fun = own.residuals(PARAMS)
    np.testing.assert_array_equal(fun[1, 8:], 0)
    np.testing.assert_allclose(fun[1, :8], (expected_values() - Y)[1, :8], rtol=1e-14)


@pytest.mark.parametrize(
    "returned",
    [
        lambda values: values.tolist(),
        tuple,
        lambda values: values.astype(np.float32),
        np.ma.masked_invalid,
    ],
    ids=["list", "tuple", "float32", "masked"],
)
def test_alone_a_function_may_return_anything_that_makes_an_array(returned: Any) -> None:
    model = Model.from_function(lambda x, a, b, c: returned(decay(x, a, b, c)))
    values = problem(model, alone=True).values(PARAMS)
    np.testing.assert_allclose(values, expected_values(), rtol=1e-6)


@pytest.mark.parametrize("alone", [False, True])
def test_derivatives_may_come_as_one_array(alone: bool) -> None:
    def stacked(x: Any, a: Any, b: Any, c: Any) -> Any:
        e = np.exp(-b * x)
        return np.stack(np.broadcast_arrays(e, -a * x * e, np.ones_like(c * x)))

    own = problem(Model.from_function(decay, jac=stacked), alone=alone)
    jac, _ = own.jacobian(PARAMS, own.residuals(PARAMS))
    np.testing.assert_allclose(jac, expected_jacobian(), rtol=1e-14)


@pytest.mark.parametrize("alone", [False, True])
def test_a_function_may_return_a_constant(alone: bool) -> None:
    model = Model.from_function(lambda x, a: a, jac=lambda x, a: [1.0])  # noqa: ARG005
    own = problem(model, alone=alone, template=PARAMS[:, :1], free=np.arange(1))
    np.testing.assert_array_equal(own.values(PARAMS[:, :1]), np.repeat(PARAMS[:, :1], 11, axis=1))
    jac, _ = own.jacobian(PARAMS[:, :1], own.residuals(PARAMS[:, :1]))
    np.testing.assert_array_equal(jac, np.ones((3, 1, 11)))


def test_a_function_that_returns_its_own_buffer_is_not_changed() -> None:
    buffer = np.empty((3, 11))

    def thrifty(x: Any, a: Any, b: Any, c: Any) -> Any:
        buffer[:] = decay(x, a, b, c)
        return buffer

    own = problem(Model.from_function(thrifty), weight=WEIGHT)
    first = own.residuals(PARAMS)
    expected = first.copy()
    own.residuals(PARAMS + 1)
    np.testing.assert_array_equal(first, expected)


def test_a_function_that_writes_into_its_parameters_cannot_change_them() -> None:
    def greedy(x: Any, a: Any, b: Any, c: Any) -> Any:
        a *= 2
        return decay(x, a, b, c)

    params = PARAMS.copy()
    with suppress(ValueError):  # to refuse is as good as to give a copy
        expected = expected_values(PARAMS * [2, 1, 1])
        values = problem(Model.from_function(greedy)).values(params)
        np.testing.assert_allclose(values, expected, rtol=1e-14)
    np.testing.assert_array_equal(params, PARAMS)


@pytest.mark.parametrize("alone", [False, True])
def test_derivatives_with_a_removable_nan_are_taken_by_differences(alone: bool) -> None:
    x = np.linspace(0, 2, 11)  # d(a x**b)/db = a x**b log x is 0 * -inf at x = 0
    model = Model.from_function(
        lambda x, a, b: a * x**b, jac=lambda x, a, b: [x**b, a * x**b * np.log(x)]
    )
    own = problem(
        model,
        predictors=(x[None],),
        template=PARAMS[:2, :2],
        free=np.arange(2),
        y=Y[:2],
        alone=alone,
    )
    params = PARAMS[:2, :2]
    with np.errstate(all="ignore"):
        jac, cost = own.jacobian(params, own.residuals(params))
    log = np.log(np.where(x > 0, x, 1))
    expected = [[x**b, a * x**b * log] for a, b in params]
    np.testing.assert_allclose(jac, expected, atol=1e-6)
    assert cost == 0


def test_a_curve_with_a_lost_derivative_leaves_the_others_exact() -> None:
    def broken(x: Floats, a: Any, b: Any, c: Any) -> list[Any]:
        e, da, dc = decay_jac(x, a, b, c)
        return [np.where(a > 2.5, np.inf, e), da, dc]

    own = problem(Model.from_function(decay, jac=broken))
    jac, _ = own.jacobian(PARAMS, own.residuals(PARAMS))
    np.testing.assert_allclose(jac, expected_jacobian(), atol=1e-6)
    good, _ = problem().jacobian(PARAMS, own.residuals(PARAMS))
    np.testing.assert_array_equal(jac[[0, 2]], good[[0, 2]])


def test_differences_of_bounded_parameters_stay_inside() -> None:
    box = Box(np.full(3, -np.inf), PARAMS.max(axis=0))
    seen: list[Floats] = []

    def recorded(x: Any, a: Any, b: Any, c: Any) -> Any:
        seen.append(np.concatenate([a, b, c], axis=1))
        return decay(x, a, b, c)

    own = problem(Model.from_function(recorded), box=box)
    own.jacobian(PARAMS, own.residuals(PARAMS))
    assert len(seen) == 4
    assert all(box.contains(params).all() for params in seen)


@pytest.mark.parametrize("values", [3, 3.0, [1, 2], np.float32(3), np.ones((2, 1), dtype=int)])
def test_values_become_rows_of_double(values: Any) -> None:
    rows = as_rows(values, (2, 2))
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, np.broadcast_to(values, (2, 2)))


def test_values_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"broadcast"):
        as_rows(np.ones(3), (2, 2))


@pytest.mark.parametrize("alone", [False, True])
def test_complex_values_are_refused(alone: bool) -> None:
    model = Model.from_function(lambda x, a, b, c: decay(x, a, b, c) + 1j)
    with pytest.raises((TypeError, ValueError), match=r"real|complex"):
        problem(model, alone=alone).values(PARAMS)
