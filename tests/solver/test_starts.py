"""Where fits start: at p0, else at the guess, else at the model's defaults, else at one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.status import Status
from tests.solver.decays import (
    EXACT,
    GUESSING,
    X,
    assert_not_fitted,
    assert_same_bits,
    decay_jac,
    level,
    noisy,
)

pytestmark = pytest.mark.usefixtures("engine")


def recorded_start(model: Model, y: Floats, **options: Any) -> Floats:
    """Return where the engine begins: one evaluation is all it may do."""
    frozen = replace(model, jac=decay_jac)
    fit = fit_curves(frozen, X, y, gtol=2.0, **options)
    assert set(fit.status.tolist()) == {Status.CONVERGED_GTOL}
    return fit.params


EACH = np.arange(8.0) + 1


def test_starts_come_from_p0_else_the_guess_else_the_model_else_one() -> None:
    y = noisy()
    low = y.min(axis=1)
    np.testing.assert_array_equal(recorded_start(EXACT, y), np.ones((8, 3)))
    defaults = replace(EXACT, start={"b": 0.7})
    np.testing.assert_array_equal(recorded_start(defaults, y), np.tile([1, 0.7, 1], (8, 1)))
    guessed = recorded_start(replace(GUESSING, start={"b": 0.7}), y)
    np.testing.assert_array_equal(guessed, np.stack([y.max(axis=1) - low, 0 * low + 2, low], 1))


@pytest.mark.parametrize(
    ("p0", "expected"),
    [
        ([3, 2, 1], np.tile([3, 2, 1], (8, 1))),
        ([[3, 2, 1]], np.tile([3, 2, 1], (8, 1))),
        (np.arange(24).reshape(8, 3) + 1, np.arange(24).reshape(8, 3) + 1),
        ({"a": 3, "b": 2, "c": 1}, np.tile([3, 2, 1], (8, 1))),
        ({"b": EACH, "a": 3, "c": [1]}, np.stack([0 * EACH + 3, EACH, 0 * EACH + 1], axis=1)),
    ],
)
def test_p0_may_be_shared_or_each_curves_own(p0: Any, expected: Floats) -> None:
    np.testing.assert_array_equal(recorded_start(EXACT, noisy(), p0=p0), expected)
    np.testing.assert_array_equal(recorded_start(GUESSING, noisy(), p0=p0), expected)


def test_p0_by_name_leaves_the_rest_to_the_guess() -> None:
    y = noisy()
    start = recorded_start(GUESSING, y, p0={"a": EACH})
    np.testing.assert_array_equal(start[:, 0], EACH)
    np.testing.assert_array_equal(start[:, 1], 2)
    np.testing.assert_array_equal(start[:, 2], y.min(axis=1))


def test_guesses_are_moved_into_the_bounds_but_p0_is_not() -> None:
    y = noisy()
    start = recorded_start(GUESSING, y, bounds={"b": (0, 1.5), "c": (10, 11)})
    np.testing.assert_array_equal(start[:, 1:], np.tile([1.5, 10], (8, 1)))
    plain = recorded_start(EXACT, y, bounds=([0, 2, -9], [0.5, 3, 9]))
    np.testing.assert_array_equal(plain, np.tile([0.5, 2, 1], (8, 1)))
    fit = fit_curves(EXACT, X, y, p0=[1, 1, 1], bounds={"b": (2, 3)})
    for row in range(8):
        assert_not_fitted(fit, row, Status.BAD_START)


def test_a_guess_knows_which_points_count() -> None:
    seen: list[Bools] = []

    def watching(x: Any, y: Floats, valid: Bools) -> Floats:
        seen.append(valid)
        return level(x, y, valid)

    y = noisy()
    y[5, :4] = np.nan
    fit_curves(replace(EXACT, guess=watching), X, y)
    counts = sorted(n for valid in seen for n in valid.sum(axis=1).tolist())
    assert counts == [46] + [50] * 7


def test_a_guess_for_several_predictors_gets_them_all() -> None:
    def surface(u: Any, v: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * u) + c * v

    def guess(x: Any, y: Floats, _: Bools) -> Floats:
        u, v = x
        assert np.broadcast_shapes(u.shape, v.shape, y.shape) == y.shape
        return np.ones((len(y), 3))

    model = Model.from_function(surface, x=("u", "v"), guess=guess)
    x = {"u": X, "v": np.tile(X[::-1], (3, 1))}
    y = surface(X, X[::-1], 1.2, 0.8, 2.0) * np.ones((3, 1))
    np.testing.assert_allclose(fit_curves(model, x, y).params, [[1.2, 0.8, 2.0]] * 3, rtol=1e-6)


@pytest.mark.parametrize("n_points", [16, 17])
def test_a_guess_that_writes_into_the_data_is_refused_or_harmless(n_points: int) -> None:
    def greedy(x: Any, y: Floats, valid: Bools) -> Floats:
        y -= y.min(axis=1, keepdims=True)
        x += 1
        return np.ones((len(y), 3)) * valid.any()

    x, y = X[:n_points].copy(), noisy(n_points=n_points)
    before = y.copy()
    try:
        fit = fit_curves(replace(EXACT, guess=greedy), x, y)
    except ValueError as error:
        assert "read-only" in str(error)  # noqa: PT017 - to give copies would be as good
    else:
        assert_same_bits(fit, fit_curves(EXACT, X[:n_points], before))
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(x, X[:n_points])
