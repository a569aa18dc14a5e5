"""BatchFit: sentences, counts, and the model evaluated at what was fitted."""

import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.pointwise import ModelWarning
from manyfit.solver.result import BatchFit
from manyfit.solver.status import Flag, Status

X = np.linspace(0, 3, 17)


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def noisy(n_curves: int = 5, n_points: int = 17) -> Floats:
    """Return noisy decays on the first points of X."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 3, (n_curves, 1)), rng.uniform(1, 2, (n_curves, 1))
    exact = decay(X[:n_points], a, b, 0.5)
    return np.asarray(exact + 0.02 * rng.normal(size=exact.shape))


@pytest.fixture(scope="module")
def fit() -> BatchFit:
    """Return a batch of which one curve is empty and one cannot be fitted."""
    y = noisy()
    y[1] = np.nan
    sigma = np.ones_like(y)
    sigma[3, 2] = 0
    return fit_curves(decay, X, y, sigma=sigma)


def test_length_success_and_counts(fit: BatchFit) -> None:
    assert len(fit) == 5
    np.testing.assert_array_equal(fit.success, [True, False, True, False, True])
    counts = fit.counts()
    assert counts[Status.NONFINITE_DATA] == counts[Status.BAD_SIGMA] == 1
    assert sum(counts.values()) == 5
    assert sum(n for status, n in counts.items() if status.success) == 3


@pytest.mark.parametrize("status", Status)
def test_success_of_a_batch_is_that_of_its_codes(fit: BatchFit, status: Status) -> None:
    ended = replace(fit, status=np.full(5, status, dtype=np.int8))
    np.testing.assert_array_equal(ended.success, status.success)
    assert ended.counts() == {status: 5}
    assert all(message.startswith(status.message) for message in ended.message)


def test_redchi_is_twice_the_cost_a_degree_of_freedom(fit: BatchFit) -> None:
    np.testing.assert_array_equal(np.isnan(fit.redchi), ~fit.success)
    np.testing.assert_allclose(fit.redchi[0], 2 * fit.cost[0] / 14)
    assert np.isnan(replace(fit, dof=np.zeros_like(fit.dof)).redchi).all()


def test_a_message_says_what_qualifies_the_fit(fit: BatchFit) -> None:
    flags = np.array([0, 1, 8, 9, 0], dtype=np.uint8)
    messages = replace(fit, flags=flags).message
    omitted = ["left out" in message for message in messages]
    no_dof = ["No degree of freedom" in message for message in messages]
    assert omitted == [False, True, False, True, False]
    assert no_dof == [False, False, True, True, False]


def test_a_message_names_what_is_held_and_what_is_loose(fit: BatchFit) -> None:
    at_bound, undetermined = fit.at_bound.copy(), fit.undetermined.copy()
    at_bound[0, 1] = undetermined[0, 2] = True
    flags = np.full(5, Flag.AT_BOUND | Flag.UNDETERMINED, dtype=np.uint8)
    named = replace(fit, at_bound=at_bound, undetermined=undetermined, flags=flags)
    message = named.message[0]
    assert "Held at a bound: b." in message
    assert "Not determined by the data: c." in message


# The model at the fitted parameters ----------------------------------------------------------


def assert_evaluates(values: Floats, fit: BatchFit, x: Floats) -> None:
    """Assert that the values are those of each curve's own params, NaN where there are none."""
    own = np.broadcast_to(x, (len(fit), np.shape(x)[-1]))
    expected = [decay(u, *params) for u, params in zip(own, fit.params, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    assert values.dtype == np.float64
    assert np.isnan(values[~fit.success]).all()


def test_the_model_is_evaluated_where_the_data_are(fit: BatchFit) -> None:
    assert_evaluates(fit.evaluate(), fit, X)


@pytest.mark.parametrize(
    "x",
    [
        np.linspace(-1, 5, 8),
        np.linspace(-1, 5, 40).reshape(5, 8),
        np.linspace(-1, 5, 5),
        np.arange(3),
    ],
    ids=["shared", "own", "as-many-as-curves", "integers"],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_the_model_is_evaluated_anywhere(fit: BatchFit, x: Floats, by_name: bool) -> None:
    assert_evaluates(fit.evaluate({"x": x} if by_name else x), fit, x)


def test_the_model_is_evaluated_on_an_x_of_its_own_for_each_curve() -> None:
    x = X + 0.1 * np.arange(5)[:, None]
    fit = fit_curves(decay, x, noisy())
    assert_evaluates(fit.evaluate(), fit, x)


OFFSETS = [0, 17, 17, 30, 45]


def ragged() -> tuple[Floats, Floats]:
    """Return flat x and y for OFFSETS."""
    x = np.concatenate([X, X[:13], X[:15]])
    y = noisy(3)
    return x, np.concatenate([y[0], y[1, :13], y[2, :15]])


def test_ragged_curves_are_evaluated_flat() -> None:
    x, y = ragged()
    fit = fit_curves(decay, x, y, offsets=OFFSETS)
    values = fit.evaluate()
    assert values.shape == y.shape
    for i in (0, 2, 3):
        own = slice(OFFSETS[i], OFFSETS[i + 1])
        np.testing.assert_allclose(values[own], decay(x[own], *fit.params[i]), rtol=1e-13)
    assert_evaluates(fit.evaluate(X), fit, X)


@pytest.mark.parametrize("offsets", [[5, 17, 30], [0, 17, 30], [17, 30, 45]])
def test_offsets_that_leave_values_out_still_find_each_curve(offsets: list[int]) -> None:
    x, y = ragged()
    fit = fit_curves(decay, x, y, offsets=offsets)
    values = fit.evaluate()
    for i, params in enumerate(fit.params):
        own = slice(offsets[i], offsets[i + 1])
        np.testing.assert_allclose(values[own], decay(x[own], *params), rtol=1e-13)


def growth(x: Any, t: Any, a: Any, b: Any) -> Any:
    return a * t * np.exp(b * x)


GROWTH = Model.from_function(growth, constants=["t"])


@pytest.mark.parametrize("t", [2.0, [1.0, 2.0, 3.0]], ids=["one", "each"])
@pytest.mark.parametrize("flat", [False, True])
def test_constants_come_along(t: Any, flat: bool) -> None:
    x = np.linspace(0, 1, 8)
    y = 2 * np.reshape(t, (-1, 1)) * np.exp(0.5 * x) * np.ones((3, 1))
    if flat:
        flat_x, flat_y = np.concatenate([x, x[:7], x]), np.concatenate([y[0], y[1, :7], y[2]])
        fit = fit_curves(GROWTH, flat_x, flat_y, offsets=[0, 8, 15, 23], constants={"t": t})
        np.testing.assert_allclose(fit.evaluate(), flat_y, rtol=1e-7)
    else:
        fit = fit_curves(GROWTH, x, y, constants={"t": t})
        np.testing.assert_allclose(fit.evaluate(), y, rtol=1e-7)
    np.testing.assert_allclose(fit.evaluate(x), y, rtol=1e-7)


def plane(u: Any, v: Any, a: Any, b: Any) -> Any:
    return a * u + b * v


def test_several_predictors_are_given_by_name() -> None:
    u, v = np.arange(6.0), np.arange(12.0).reshape(2, 6) ** 2
    fit = fit_curves(Model.from_function(plane, x=("u", "v")), {"u": u, "v": v}, 2 * u + 3 * v)
    np.testing.assert_allclose(fit.evaluate(), 2 * u + 3 * v, rtol=1e-6)
    elsewhere = fit.evaluate({"v": np.ones(4), "u": np.arange(4)})
    np.testing.assert_allclose(elsewhere, np.tile(2 * np.arange(4) + 3, (2, 1)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"needs x for \('u', 'v'\), got \('u',\)"):
        fit.evaluate({"u": u})
    with pytest.raises(ValueError, match=r"needs x as a mapping with \('u', 'v'\)"):
        fit.evaluate(u)


def test_a_constant_model_is_evaluated_at_every_point() -> None:
    fit = fit_curves(lambda x, a: a, X, noisy())  # noqa: ARG005
    assert fit.evaluate().shape == (5, 17)
    assert fit.evaluate([1, 2]).shape == (5, 2)


def test_a_curve_that_was_not_fitted_has_no_values_even_where_nan_is_lost() -> None:
    def threshold(x: Any, a: Any, b: Any) -> Any:
        return np.where(a > 0, a * x, 0.0) + np.nan_to_num(b)

    y = noisy()
    y[1] = np.nan
    values = fit_curves(threshold, X, y).evaluate()
    np.testing.assert_array_equal(np.isnan(values).all(axis=1), [False, True, False, False, False])


def branch(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) if a < 100 else 0 * x


def centred(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * (x - np.mean(x)))


@pytest.mark.parametrize("func", [branch, centred])
@pytest.mark.parametrize("flat", [False, True])
def test_a_function_that_is_not_pointwise_is_evaluated_curve_by_curve(
    func: Any, flat: bool
) -> None:
    x = X + 0.1 * np.arange(3)[:, None]
    y = noisy(3) - 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        if flat:
            edges = [0, 17, 30, 45]
            some = [slice(17), slice(13), slice(15)]
            flat_x = np.concatenate([u[s] for u, s in zip(x, some, strict=True)])
            flat_y = np.concatenate([v[s] for v, s in zip(y, some, strict=True)])
            fit = fit_curves(func, flat_x, flat_y, offsets=edges)
            values = np.split(fit.evaluate(), edges[1:-1])
            x_own = np.split(flat_x, edges[1:-1])
        else:
            fit = fit_curves(func, x, y)
            values, x_own = list(fit.evaluate()), list(x)
    for found, u, params in zip(values, x_own, fit.params, strict=True):
        np.testing.assert_allclose(found, func(u, *params), rtol=1e-12)


def test_evaluating_leaves_the_data_and_the_params_alone(fit: BatchFit) -> None:
    def greedy(x: Any, a: Any, b: Any, c: Any) -> Any:
        a *= 2
        x += 1
        return decay(x, a, b, c)

    x, params = X.copy(), fit.params.copy()
    with suppress(ValueError):  # to refuse is as good as to give copies
        values = replace(fit, model=Model.from_function(greedy), x=(x,)).evaluate()
        assert_evaluates(values, replace(fit, params=fit.params * [2, 1, 1]), X + 1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(fit.params, params)


def test_a_batch_of_nothing_is_evaluated() -> None:
    fit = fit_curves(decay, X, np.empty((0, 17)))
    assert len(fit) == 0
    assert fit.message == []
    assert fit.counts() == {}
    assert fit.success.shape == fit.redchi.shape == (0,)
    assert fit.evaluate().shape == (0, 17)
    assert fit.evaluate(X[:3]).shape == (0, 3)


def test_x_of_another_number_of_curves_is_refused(fit: BatchFit) -> None:
    with pytest.raises(ValueError, match="x is for 3 curves, but 5 were fitted"):
        fit.evaluate(np.zeros((3, 4)))
