"""The compiled guess: NumPy's formulas, each curve its own to the bit, whatever lies around it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.library import get_model
from manyfit.solver.library.recipe import Recipe
from manyfit.solver.simd.engine import Points
from manyfit.solver.simd.machine import Machine, host, machines
from manyfit.solver.simd.starting import guesses
from manyfit.solver.status import Status
from tests.solver.simd.guessing_points import compiled, points_of, ragged
from tests.solver.simulated import NONLINEAR, SPECS, sample

MADE = [*NONLINEAR, "polynomial:0", "polynomial:4"]

ALIKE = {"sinusoid": 0.9, "power_law": 0.95}
"""Shares of curves with equal guesses where not all are: the rest have another candidate polished.

NumPy's periodogram is approximate, so another peak may be the third highest; and where y is nearly
constant, exponents from two regressions are as good as each other but for rounding.
"""


def recipe(spec: str) -> Recipe:
    """Return how a model of the library guesses."""
    guess = get_model(spec).guess
    assert isinstance(guess, Recipe)
    return guess


def apart(spec: str, x: Floats, y: Floats, one: Floats, other: Floats) -> Floats:
    """Return by how much two guesses differ, over the range of y."""
    func = get_model(spec).func
    values = [np.broadcast_to(func(x, *(p[:, None] for p in g.T)), y.shape) for g in (one, other)]
    difference: Floats = np.abs(values[0] - values[1]).max(axis=1) / np.ptp(y, axis=1)
    return difference


# --- the same as NumPy's -----------------------------------------------------------------------


@pytest.mark.parametrize("spec", NONLINEAR)
@pytest.mark.parametrize("layout", ["even", "uneven"])
def test_it_is_numpys_guess(spec: str, layout: str) -> None:
    made = sample(spec, layout, 40)
    x = made.x[0] if layout == "even" else made.x
    ours = compiled(recipe(spec), x, made.y)
    numpys = recipe(spec)(np.atleast_2d(x), made.y, np.ones(made.y.shape, np.bool_))
    difference = apart(spec, made.x, made.y, ours, numpys)
    assert np.mean(difference < 1e-9) >= ALIKE.get(spec, 1.0)


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: str(machine.name))
@pytest.mark.parametrize("spec", ["exponential_decay", "sinusoid", "gaussian", "polynomial:3"])
def test_it_is_the_same_on_every_machine(spec: str, machine: Machine) -> None:
    made = sample(spec if spec in NONLINEAR else "power_law", "even", 25)
    ours = compiled(recipe(spec), made.x[0], made.y, machine=machine)
    assert apart(spec, made.x, made.y, ours, compiled(recipe(spec), made.x[0], made.y)).max() < 1e-9


@pytest.mark.parametrize("spec", MADE)
def test_points_that_are_left_out_change_nothing(spec: str) -> None:
    made = sample(spec if spec in NONLINEAR else "power_law", "uneven", 40, n_curves=40)
    valid = np.random.default_rng(5).random(made.y.shape) < np.linspace(0.3, 1, 40)[:, None]
    valid[:, 7] = True
    ours = ragged(recipe(spec), made.x, made.y, valid)
    numpys = recipe(spec)(made.x, made.y, valid)
    difference = apart(spec, made.x, made.y, ours, numpys)
    assert np.mean(difference < 1e-9) >= ALIKE.get(spec, 1.0)
    for i, ok in enumerate(valid):
        alone = compiled(recipe(spec), made.x[i : i + 1, ok], made.y[i : i + 1, ok])
        np.testing.assert_array_equal(alone[0], ours[i])


@pytest.mark.parametrize("spec", MADE)
@pytest.mark.parametrize("layout", ["shared", "own", "shared, out of order", "own, out of order"])
def test_gaps_are_left_out(spec: str, layout: str) -> None:
    made = sample(spec if spec in NONLINEAR else "power_law", "uneven", 40, n_curves=37)
    rng = np.random.default_rng(6)
    x = made.x[0] if "shared" in layout else made.x
    y = made.y.astype(np.float32).astype(float)
    if "order" in layout:
        order = rng.permutation(40)
        x, y = x[..., order], y[:, order]
    gaps = rng.random(y.shape) < np.linspace(0, 0.7, 37)[:, None]
    gaps[20, 1:], gaps[21], gaps[22, :], gaps[23, :-1] = True, False, True, True
    y = np.where(gaps, rng.choice([np.nan, np.inf, -np.inf], y.shape), y)
    own = np.broadcast_to(x, y.shape)
    every = np.arange(37)
    for values in (y, y.astype(np.float32)):
        found = guesses(recipe(spec), points_of(x, values), every, host(), gaps=True)
        for i, (curve, some) in enumerate(zip(values, ~gaps, strict=True)):
            if some.any():
                left = points_of(own[i : i + 1, some], curve[None, some])
                alone = guesses(recipe(spec), left, np.array([0]), host())
                np.testing.assert_array_equal(found[i], alone[0])
        assert np.isnan(found[22]).all()
        for rows in ([22], [22, 5], [36, 22, 0, 3, 3], every[::-1]):
            part = guesses(recipe(spec), points_of(x, values), np.array(rows), host(), gaps=True)
            np.testing.assert_array_equal(part, found[rows])


@pytest.mark.parametrize("shared", [True, False])
def test_gaps_of_curves_too_long_to_compile_are_left_out(shared: bool) -> None:
    made = sample("exponential_decay", "even", 30, n_curves=5)
    few = replace(recipe("exponential_decay"), most_points=20)
    y = made.y.copy()
    y[0, ::2], y[1, 4], y[2] = np.nan, np.inf, -np.inf
    x = made.x[0] if shared else made.x
    found = guesses(few, points_of(x, y), np.array([4, 2, 1, 0]), host(), gaps=True)
    assert np.isnan(found[1]).all()
    for place, row in ((0, 4), (2, 1), (3, 0)):
        some = np.isfinite(y[row])
        numpys = few(
            made.x[row : row + 1, some], y[row : row + 1, some], np.ones((1, some.sum()), np.bool_)
        )
        np.testing.assert_allclose(found[place], numpys[0], rtol=1e-9)


# --- each curve's own --------------------------------------------------------------------------


@pytest.mark.parametrize("spec", MADE)
def test_a_guess_has_the_same_bits_in_any_batch(spec: str) -> None:
    rng = np.random.default_rng(11)
    x = np.sort(rng.uniform(0.1, 9.0, 30))
    y = np.cumsum(rng.normal(size=(101, 30)), axis=1)
    together = compiled(recipe(spec), x, y)
    assert np.isfinite(together).all()
    own = np.ascontiguousarray(np.broadcast_to(x, y.shape))
    np.testing.assert_array_equal(compiled(recipe(spec), own, y), together)
    np.testing.assert_array_equal(compiled(recipe(spec), own, y.astype(np.float32).astype(float)),
                                  compiled(recipe(spec), own, y.astype(np.float32)))  # fmt: skip
    for rows in ([3], [100, 0], [50, 7, 7, 1], np.arange(100, -1, -1)):
        np.testing.assert_array_equal(compiled(recipe(spec), x, y, rows), together[rows])
    everything = np.ones(y.shape, np.bool_)
    mixed = everything.copy()
    mixed[50:, 20:] = False
    np.testing.assert_array_equal(ragged(recipe(spec), x, y, everything), together)
    np.testing.assert_array_equal(ragged(recipe(spec), x, y, mixed)[:50], together[:50])
    np.testing.assert_array_equal(ragged(recipe(spec), x, y, mixed, [60, 3])[1], together[3])


@pytest.mark.parametrize("spec", MADE)
def test_the_order_of_the_points_changes_nothing(spec: str) -> None:
    rng = np.random.default_rng(12)
    x = rng.permutation(np.linspace(0.1, 4.0, 30))
    y = rng.normal(size=(20, 30)) + x
    order = np.argsort(x)
    in_order = compiled(recipe(spec), x[order], y[:, order])
    np.testing.assert_array_equal(compiled(recipe(spec), x, y), in_order)
    some = np.tile(x, (20, 1))
    some[::3], mixed = x[order], y.copy()
    mixed[::3] = y[::3, order]
    np.testing.assert_array_equal(compiled(recipe(spec), some, mixed), in_order)
    valid = np.ones(y.shape, np.bool_)
    np.testing.assert_array_equal(ragged(recipe(spec), some, mixed, valid), in_order)


# --- any data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("x", [np.zeros(6), np.arange(6.0), np.arange(6.0)[::-1]])
def test_a_constant_is_guessed_as_one(spec: str, x: Floats) -> None:
    y = np.full((2, 6), [[7.0], [-7.0]])
    start = compiled(recipe(spec), x, y)
    assert np.isfinite(start).all()
    if spec != "power_law":
        values = get_model(spec).func(x, *(p[:, None] for p in start.T))
        np.testing.assert_allclose(np.broadcast_to(values, y.shape), y, rtol=1e-12)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("n_points", [1, 2, 3])
@pytest.mark.parametrize("size", [1.0, 1e-300, 1e308, 5e-324])
def test_few_points_and_extreme_sizes_give_finite_guesses(
    spec: str, n_points: int, size: float
) -> None:
    y = np.array([[1.0, -1.7, 0.3], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])[:, :n_points] * size
    x = np.array([1.0, 1.2, 1.7])[:n_points]
    for places in (x, x * size, np.array([-1.7, 0.2, 1.7])[:n_points] * size):
        assert np.isfinite(compiled(recipe(spec), places, y)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_curve_that_is_not_finite_gets_no_guess(bad: float) -> None:
    made = sample("exponential_decay", "even", 20, n_curves=12)
    whole = compiled(recipe("exponential_decay"), made.x[0], made.y)
    y = made.y.copy()
    y[4, 7] = bad
    start = compiled(recipe("exponential_decay"), made.x[0], y)
    assert np.isnan(start[4]).all()
    others = np.arange(12) != 4
    np.testing.assert_array_equal(start[others], whole[others])


def test_no_curves_are_no_trouble() -> None:
    assert compiled(recipe("gaussian"), np.arange(5.0), np.ones((0, 5))).shape == (0, 4)
    assert compiled(recipe("gaussian"), np.arange(5.0), np.ones((2, 5)), []).shape == (0, 4)


def test_a_long_curve_is_numpys() -> None:
    rng = np.random.default_rng(2)
    long, short = rng.normal(size=1100), rng.normal(size=40)
    length = np.array([40, 1100, 40])
    x = np.concatenate([np.arange(float(n)) for n in length])
    points = Points(np.concatenate([short, long, short]), np.cumsum(length) - length, length,
                    (x,), (False,))  # fmt: skip
    start = guesses(recipe("sinusoid"), points, np.arange(3), host())
    ours = compiled(recipe("sinusoid"), np.arange(40.0), short[None])
    numpys = recipe("sinusoid")(np.arange(1100.0)[None], long[None], np.ones((1, 1100), np.bool_))
    np.testing.assert_array_equal(start, [ours[0], numpys[0], ours[0]])
    points.y[100] = np.nan
    assert np.isnan(guesses(recipe("sinusoid"), points, np.array([1]), host())).all()


# --- in a fit ----------------------------------------------------------------------------------


def starts(model: Model, x: Any, y: Floats, **options: Any) -> Floats:
    """Return where fits start: by such a tolerance they have converged there."""
    fit = fit_curves(model, x, y, gtol=1e150, engine="simd", **options)
    assert (fit.status == Status.CONVERGED_GTOL).all()
    return fit.params


@pytest.mark.parametrize("spec", ["exponential_decay", "gaussian", "sinusoid"])
def test_fits_start_from_it(spec: str) -> None:
    made = sample(spec, "uneven", 30, n_curves=20)
    expected = compiled(recipe(spec), made.x, made.y)
    np.testing.assert_array_equal(starts(made.model, made.x, made.y), expected)
    y = made.y.copy()
    y[::2, 3] = np.nan
    y[1::4, 25:] = np.inf
    np.testing.assert_array_equal(
        starts(made.model, made.x, y), ragged(recipe(spec), made.x, made.y, np.isfinite(y))
    )


def test_it_is_moved_into_the_bounds_and_leaves_p0_alone() -> None:
    made = sample("exponential_decay", "even", 30, n_curves=20)
    free = compiled(recipe("exponential_decay"), made.x[0], made.y)
    start = starts(made.model, made.x[0], made.y, p0={"c": 3.0}, bounds={"b": (0.0, 4.0)})
    np.testing.assert_array_equal(start[:, 0], free[:, 0])
    np.testing.assert_array_equal(start[:, 1], np.clip(free[:, 1], 0.0, 4.0))
    np.testing.assert_array_equal(start[:, 2], 3.0)


def test_a_guess_of_the_users_is_called_with_arrays() -> None:
    seen = []

    def guess(x: Floats, y: Floats, valid: Bools) -> Floats:
        seen.append((x.shape, y.shape, valid.shape))
        return np.column_stack([y[:, 0], np.full(len(y), 1.5), y[:, -1]])

    model = Model.from_expression("a*exp(-b*x) + c", guess=guess)
    made = sample("exponential_decay", "even", 30, n_curves=20)
    start = starts(model, made.x[0], made.y)
    np.testing.assert_array_equal(start[:, 0], made.y[:, 0])
    assert seen == [((1, 30), (20, 30), (20, 30))]
