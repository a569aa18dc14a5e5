"""Whole fits within bounds, against SciPy's bounded solvers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.bounds import Box
from manyfit.solver.model import Model
from manyfit.solver.result import BatchFit
from manyfit.solver.status import Flag, Status
from tests.solver.decays import EXACT as DECAY
from tests.solver.decays import decay, decay_jac
from tests.solver.kinds import peak, peak_derivatives

pytestmark = pytest.mark.usefixtures("engine")

INF = np.inf
X = np.linspace(0, 3, 24)

# Linear models -------------------------------------------------------------------------------


def basis(x: Floats) -> list[Floats]:
    """Return the functions that the linear model adds up."""
    return [np.ones_like(x), x, np.cos(3 * x), np.sin(5 * x)]


def linear(x: Floats, a: Any, b: Any, c: Any, d: Any) -> Any:
    return a * np.ones_like(x) + b * x + c * np.cos(3 * x) + d * np.sin(5 * x)


LINEAR = Model.from_function(linear, jac=lambda x, *_: basis(x))
BY_DIFFERENCES = Model.from_function(linear)


@pytest.mark.parametrize("model", [LINEAR, BY_DIFFERENCES], ids=["exact", "differences"])
@pytest.mark.parametrize(
    "bounds",
    [
        (-0.6, 0.7),
        (0.0, INF),
        (-INF, 0.2),
        ([0.0, -0.3, -INF, 0.0], [0.5, INF, 0.1, INF]),
        (2.0, 3.0),
    ],
    ids=["box", "positive", "from-above", "mixed", "corner"],
)
def test_linear_fits_reach_the_minimum_of_bvls(model: Model, bounds: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(5)
    design = np.stack(basis(X), axis=1)
    y = (rng.normal(size=(80, 4)) @ design.T) + 0.3 * rng.normal(size=(80, X.size))
    inside = np.clip(np.full(4, 0.1), *bounds)
    fit = fit_curves(model, X, y, p0=inside, bounds=bounds)
    lower, upper = (np.broadcast_to(b, 4) for b in bounds)
    expected = [lsq_linear(design, one, (lower, upper), method="bvls", tol=1e-14) for one in y]
    np.testing.assert_allclose(fit.cost, [e.cost for e in expected], rtol=1e-8)
    np.testing.assert_allclose(fit.params, [e.x for e in expected], atol=1e-5)
    assert fit.success.all()


def test_the_linear_fits_above_have_every_number_of_active_bounds() -> None:
    rng = np.random.default_rng(5)
    design = np.stack(basis(X), axis=1)
    y = (rng.normal(size=(80, 4)) @ design.T) + 0.3 * rng.normal(size=(80, X.size))
    active = Box(np.full(4, -0.6), np.full(4, 0.7)).on_face(
        fit_curves(LINEAR, X, y, p0=np.zeros(4), bounds=(-0.6, 0.7)).params
    )
    assert set(active.sum(axis=1)) == {0, 1, 2, 3, 4}


# Curved models -------------------------------------------------------------------------------

PEAK = Model.from_function(peak, jac=peak_derivatives)


def noisy(model: Model, truth: list[float], n_curves: int, noise: float) -> Floats:
    """Return curves whose truth varies by 20 %."""
    rng = np.random.default_rng(len(truth))
    params = np.array(truth) * rng.uniform(0.8, 1.2, (n_curves, len(truth)))
    exact = np.asarray(model.func(X, *params.T[:, :, None]))
    return exact + noise * rng.normal(size=exact.shape)


def by_scipy(model: Model, y: Floats, start: Any, bounds: Any) -> Any:
    """Return SciPy's end of one bounded fit."""
    jac = model.jac
    assert jac is not None
    return least_squares(
        lambda p: model.func(X, *p) - y,
        start,
        jac=lambda p: np.stack(jac(X, *p), axis=1),
        bounds=bounds,
        x_scale="jac",
        ftol=3e-16,
        xtol=3e-16,
        gtol=1e-14,
        max_nfev=1000,
    )


CURVED = [
    pytest.param(DECAY, [2, 1.5, 0.5], [1, 1, 1], ([1.8, 1.4, 0.45], [2.2, 1.6, 0.55]), id="decay"),
    pytest.param(DECAY, [2, 1.5, 0.5], [3, 1, 0], ([0, 0, 0], [INF, 1.2, INF]), id="decay-rate"),
    pytest.param(DECAY, [2, 1.5, 0.5], [1, 3, 0], ([0, 2.2, 0], [1.5, 4, 0.1]), id="decay-corner"),
    pytest.param(
        PEAK,
        [4, 1.5, 0.4, 1],
        [3, 1.3, 0.5, 1],
        ([3.8, 1.4, 0.35, 0.9], [5, 1.6, 0.42, INF]),
        id="peak",
    ),
    pytest.param(
        PEAK,
        [4, 1.5, 0.4, 1],
        [3, 1.3, 0.5, 0],
        ([0, 0, 0.45, 0], [3.5, 1.4, 3, 0.8]),
        id="peak-corner",
    ),
]


@pytest.mark.parametrize(("model", "truth", "start", "bounds"), CURVED)
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_curved_fits_reach_the_minimum_of_scipy(
    model: Model, truth: list[float], start: list[float], bounds: Any, exact: bool
) -> None:
    y = noisy(model, truth, 30, noise=0.05)
    p0 = np.clip(start, *bounds)
    fit = fit_curves(model if exact else replace(model, jac=None), X, y, p0=p0, bounds=bounds)
    assert fit.success.all()
    # SciPy's interior point starts inside and comes close to a face, never onto it.
    lower, upper = (np.array(b, dtype=float) for b in bounds)
    inside = np.clip(p0, lower + 1e-3, upper - 1e-3)
    expected = [by_scipy(model, one, inside, bounds).cost for one in y]
    np.testing.assert_allclose(fit.cost, expected, rtol=1e-8)


def test_the_curved_fits_above_have_none_some_and_all_bounds_active() -> None:
    numbers: set[int] = set()
    for case in CURVED:
        model, truth, start, bounds = case.values
        assert isinstance(model, Model)
        assert isinstance(bounds, tuple)
        y = noisy(model, truth, 30, noise=0.05)  # type: ignore[arg-type]
        fit = fit_curves(model, X, y, p0=np.clip(np.asarray(start), *bounds), bounds=bounds)
        box = Box(*(np.array(b, dtype=float) for b in bounds))
        free = np.array(model.n_params) - box.on_face(fit.params).sum(axis=1)
        numbers |= set(free.tolist())
    assert {0, 1, 2, 3} <= numbers


NARROW = (np.array([0.0, 0.0, 0.45]), np.array([2.0, 1.3, 0.55]))
"""Bounds that most of the fits below end on."""
POSITIVE = (np.zeros(3), np.full(3, 20.0))
"""Bounds that few end on, though the offset, about 0, is no more than its error away."""


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
@pytest.mark.parametrize(
    ("bounds", "offset"), [(NARROW, 0.5), (POSITIVE, 0.01)], ids=["narrow", "positive"]
)
def test_no_call_of_the_model_leaves_the_box(
    exact: bool, bounds: tuple[Floats, Floats], offset: float
) -> None:
    lower, upper = bounds
    seen: list[Floats] = []

    def recorded(x: Floats, a: Any, b: Any, c: Any) -> Any:
        seen.append(np.stack([np.ravel(a), np.ravel(b), np.ravel(c)], axis=1))
        return decay(x, a, b, c)

    model = Model.from_function(recorded, jac=decay_jac if exact else None)
    y = noisy(DECAY, [2, 1.5, offset], 30, noise=0.1)
    start = np.random.default_rng(0).choice([0, 1], (30, 3)) * (upper - lower) + lower
    fit = fit_curves(model, X, y, p0=start, bounds=(lower, upper), engine="reference")
    assert fit.success.all()
    points = np.concatenate(seen)
    assert np.all(points >= lower)
    assert np.all(points <= upper)


def test_no_difference_leaves_a_box_narrower_than_its_step() -> None:
    seen: list[Floats] = []

    def recorded(x: Floats, a: Any, b: Any) -> Any:
        seen.append(np.ravel(b))
        return a * np.exp(-b * x)

    y = 2 * np.exp(-X)[None]
    box = {"b": (1, 1 + 1e-9)}
    fit_curves(recorded, X, y, p0=[1, 1 + 5e-10], bounds=box, engine="reference")
    points = np.concatenate(seen)
    assert points.min() >= 1
    assert points.max() <= 1 + 1e-9


@pytest.mark.parametrize("face", ["lower", "upper"])
def test_a_start_on_the_wrong_face_is_left(face: str) -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 20, noise=0.02)
    lower, upper = np.array([0.1, 0.1, -1.0]), np.array([8.0, 6.0, 3.0])
    start = lower if face == "lower" else upper
    fit = fit_curves(DECAY, X, y, p0=start, bounds=(lower, upper))
    free = fit_curves(DECAY, X, y, p0=[2, 1.5, 0.5])
    np.testing.assert_allclose(fit.params, free.params, rtol=1e-6)
    assert not (fit.flags & Flag.AT_BOUND).any()


@pytest.mark.parametrize("distance", [0.0, 1e-300, 1e-12, 1e-6])
def test_a_parameter_close_to_its_bound_does_not_stop_the_others(distance: float) -> None:
    # The best c is negative: it must end on its face, with a and b at their best beside it.
    y = noisy(DECAY, [2, 1.5, -0.3], 20, noise=0.02)
    fit = fit_curves(DECAY, X, y, p0=[1, 1, distance], bounds={"c": (0, INF)})
    fixed = fit_curves(DECAY, X, y, p0=[1, 1, 0], fixed={"c": 0.0})
    assert fit.success.all()
    np.testing.assert_array_equal(fit.params[:, 2], 0)
    np.testing.assert_allclose(fit.params, fixed.params, rtol=1e-6)
    np.testing.assert_allclose(fit.cost, fixed.cost, rtol=1e-9)


def test_bounds_that_nothing_touches_change_nothing() -> None:
    y = noisy(PEAK, [4, 1.5, 0.4, 1], 20, noise=0.05)
    start = [3, 1.4, 0.5, 0.8]
    free = fit_curves(PEAK, X, y, p0=start)
    boxed = fit_curves(PEAK, X, y, p0=start, bounds=(-1e3, 1e3))
    np.testing.assert_allclose(boxed.params, free.params, rtol=1e-7)
    np.testing.assert_allclose(boxed.cov, free.cov, rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(boxed.flags, 0)


def test_infinite_bounds_are_no_bounds() -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 5, noise=0.05)
    free = fit_curves(DECAY, X, y)
    boxed = fit_curves(DECAY, X, y, bounds=(-INF, INF))
    np.testing.assert_array_equal(boxed.params, free.params)


# What a bounded fit says of its parameters ---------------------------------------------------


@pytest.fixture(scope="module")
def held() -> BatchFit:
    """Return fits whose rate is held at its upper bound."""
    y = noisy(DECAY, [2, 1.5, 0.5], 10, noise=0.05)
    return fit_curves(
        DECAY, X, y, p0=[1, 0.5, 0], bounds={"b": (0, 0.9)}, sigma=0.05, absolute_sigma=True
    )


def test_a_held_parameter_has_no_stderr_and_zero_covariance(held: BatchFit) -> None:
    np.testing.assert_array_equal(held.params[:, 1], 0.9)
    assert np.isnan(held.stderr[:, 1]).all()
    np.testing.assert_array_equal(held.cov[:, 1, :], 0)
    np.testing.assert_array_equal(held.cov[:, :, 1], 0)


def test_a_held_parameter_is_flagged_and_named(held: BatchFit) -> None:
    np.testing.assert_array_equal(held.flags, Flag.AT_BOUND)
    assert all("Held at a bound: b." in message for message in held.message)


def test_the_others_have_the_covariance_of_a_fit_with_it_fixed(held: BatchFit) -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 10, noise=0.05)
    fixed = fit_curves(DECAY, X, y, p0=[1, 1, 0], fixed={"b": 0.9}, sigma=0.05, absolute_sigma=True)
    np.testing.assert_allclose(held.cov, fixed.cov, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(held.stderr[:, [0, 2]], fixed.stderr[:, [0, 2]], rtol=1e-6)


def test_a_fixed_parameter_is_not_named_as_held() -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 3, noise=0.05)
    fit = fit_curves(DECAY, X, y, fixed={"c": 0.5}, bounds={"b": (0, 0.9)}, p0=[1, 0.5, 0])
    assert all("Held at a bound: b." in message for message in fit.message)


def test_all_parameters_held_is_a_success() -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 5, noise=0.05)
    bounds = ([5, 0.1, 2], [6, 0.2, 3])
    fit = fit_curves(DECAY, X, y, p0=[5, 0.2, 2], bounds=bounds)
    np.testing.assert_array_equal(fit.params, np.tile([5, 0.2, 2], (5, 1)))
    np.testing.assert_array_equal(fit.status, Status.CONVERGED_GTOL)
    np.testing.assert_array_equal(fit.cov, 0)
    assert np.isnan(fit.stderr).all()


def test_bounds_hold_with_sigma_padding_and_omitted_points() -> None:
    y = noisy(DECAY, [2, 1.5, 0.5], 10, noise=0.05)[:, :19]
    y[:, 7] = np.nan
    sigma = np.linspace(0.5, 2, 19)
    bounds = ([0, 0, 0], [INF, 1.2, INF])
    fit = fit_curves(DECAY, X[:19], y, p0=[3, 1, 0], bounds=bounds, sigma=sigma)
    keep = np.arange(19) != 7
    for one, cost in zip(y, fit.cost, strict=True):
        expected = least_squares(
            lambda p, one=one: ((decay(X[:19], *p) - one) / sigma)[keep],
            [3, 1, 0.1],
            bounds=bounds,
            x_scale="jac",
            ftol=3e-16,
            xtol=3e-16,
            gtol=1e-14,
        )
        np.testing.assert_allclose(cost, expected.cost, rtol=1e-7)
