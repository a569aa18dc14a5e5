"""The compiled guess of a sum: NumPy's, and each curve its own whatever lies around it."""

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.library import gaussian
from manyfit.solver.library.composed import composed
from manyfit.solver.simd.machine import Machine, machines
from manyfit.solver.status import Status
from tests.solver.simd.guessing_points import compiled, ragged
from tests.solver.simulated_sums import SUMS, sample_sum

SOME = ["two peaks on a line", "two exponentials", "step and peak", "wave on a line"]


def close(one: Floats, other: Floats) -> Bools:
    """Return which curves have equal start values but for rounding."""
    return np.asarray(np.isclose(one, other, rtol=1e-8, atol=1e-10).all(axis=1))


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("layout", ["even", "uneven"])
def test_it_is_numpys_guess(name: str, layout: str) -> None:
    made = sample_sum(name, layout)
    x = made.x[0] if layout == "even" else made.x
    numpys = made.model.guess(np.atleast_2d(x), made.y, np.ones(made.y.shape, np.bool_))  # type: ignore[misc]
    assert close(compiled(made.model.guess, x, made.y), numpys).mean() >= 0.98


@pytest.mark.parametrize("name", SOME)
def test_points_that_are_left_out_change_nothing(name: str) -> None:
    made = sample_sum(name, "uneven", n_curves=40)
    valid = np.random.default_rng(5).random(made.y.shape) < np.linspace(0.4, 1, 40)[:, None]
    valid[:, 7] = True
    ours = ragged(made.model.guess, made.x, made.y, valid)
    numpys = made.model.guess(made.x, made.y, valid)  # type: ignore[misc]
    assert close(ours, numpys).mean() >= 0.95
    for i in (0, 1, 13, 39):
        alone = compiled(made.model.guess, made.x[i : i + 1, valid[i]], made.y[i : i + 1, valid[i]])
        np.testing.assert_array_equal(alone[0], ours[i])


@pytest.mark.parametrize("name", SOME)
def test_a_guess_has_the_same_bits_in_any_batch(name: str) -> None:
    rng = np.random.default_rng(11)
    x = np.sort(rng.uniform(0.1, 9.0, 30))
    y = np.cumsum(rng.normal(size=(53, 30)), axis=1)
    model = composed(SUMS[name][0])
    together = compiled(model.guess, x, y)
    assert np.isfinite(together).all()
    own = np.ascontiguousarray(np.broadcast_to(x, y.shape))
    np.testing.assert_array_equal(compiled(model.guess, own, y), together)
    for rows in ([3], [52, 0], [50, 7, 7, 1], np.arange(52, -1, -1)):
        np.testing.assert_array_equal(compiled(model.guess, x, y, rows), together[rows])
    mixed = np.ones(y.shape, np.bool_)
    mixed[26:, 20:] = False
    np.testing.assert_array_equal(ragged(model.guess, x, y, mixed)[:26], together[:26])


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: str(machine.name))
def test_it_is_the_same_on_every_machine(machine: Machine) -> None:
    made = sample_sum("two peaks on a line", "even", n_curves=25)
    ours = compiled(made.model.guess, made.x[0], made.y, machine=machine)
    assert close(ours, compiled(made.model.guess, made.x[0], made.y)).mean() >= 0.95


def test_a_curve_that_is_not_finite_gets_no_guess() -> None:
    made = sample_sum("two peaks on a line", "even", n_curves=12)
    whole = compiled(made.model.guess, made.x[0], made.y)
    y = made.y.copy()
    y[4, 7] = np.nan
    start = compiled(made.model.guess, made.x[0], y)
    assert np.isnan(start[4]).all()
    others = np.arange(12) != 4
    np.testing.assert_array_equal(start[others], whole[others])


@pytest.mark.parametrize("n_points", [1, 2, 3])
@pytest.mark.parametrize("size", [1.0, 1e-300, 1e308, 5e-324])
def test_few_points_and_extreme_sizes_give_finite_guesses(n_points: int, size: float) -> None:
    y = np.array([[1.0, -1.7, 0.3], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])[:, :n_points] * size
    x = np.array([1.0, 1.2, 1.7])[:n_points]
    for name in SOME:
        for places in (x, x * size):
            assert np.isfinite(compiled(composed(SUMS[name][0]).guess, places, y)).all()


@pytest.mark.parametrize(
    "model",
    [
        2 * gaussian(),
        gaussian(prefix="g_") - gaussian(prefix="h_") / 3,
        (gaussian(prefix="g_") + gaussian(prefix="h_")).tied(h_s="g_s"),
        gaussian().tied(c="0"),
    ],
    ids=lambda model: str(model.name),
)
def test_both_engines_start_from_it(model: Model) -> None:
    made = sample_sum("two peaks", "even", n_curves=30)
    x = np.ascontiguousarray(made.x[0])
    at_once = [fit_curves(model, x, made.y, gtol=1e150, engine=e) for e in ("simd", "reference")]
    for fit in at_once:
        assert (fit.status == Status.CONVERGED_GTOL).all()
    np.testing.assert_array_equal(at_once[0].params, compiled(model.guess, x, made.y))
    assert close(at_once[0].params, at_once[1].params).mean() >= 0.96


def test_a_sum_with_a_guess_of_the_users_starts_from_numpys() -> None:
    line = Model.from_expression("k*x", guess=lambda _x, y, _valid: np.full((len(y), 1), 0.25))
    model = gaussian(prefix="g_") + line
    made = sample_sum("two peaks", "even", n_curves=10)
    fit = fit_curves(model, made.x[0], made.y, gtol=1e150, engine="simd")
    numpys = model.guess(made.x[:1], made.y, np.ones(made.y.shape, np.bool_))  # type: ignore[misc]
    np.testing.assert_array_equal(fit.params, numpys)
