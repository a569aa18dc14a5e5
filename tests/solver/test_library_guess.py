"""The library's start guesses: finite for any data, each curve's own, near the right minimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import leastsq

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.library import get_model, polynomial
from manyfit.solver.library.sorted_curves import BLOCK_POINTS, running_total, total
from manyfit.solver.model import Model
from tests.solver.simulated import NONLINEAR, SPECS, Sample, sample


def guess(model: Model, x: Floats, y: Floats, valid: Bools | None = None) -> Floats:
    """Call a model's guess."""
    assert model.guess is not None
    return model.guess(x, y, np.ones(y.shape, np.bool_) if valid is None else valid)


# --- near the right minimum ------------------------------------------------------------------


def is_determined(made: Sample, i: int) -> bool:
    """Whether the data tell every parameter but an offset to a third of its size."""
    jac = jacobian(made, i, made.truth[i]) / made.sigma[i]
    q = np.linalg.qr(jac, mode="r")
    if np.abs(np.diag(q)).min() < 1e-10 * np.abs(np.diag(q)).max():
        return False
    stderr = np.linalg.norm(np.linalg.inv(q), axis=1)
    size = np.abs(made.truth[i])
    if made.model.name in {"gaussian", "lorentzian", "voigt"}:
        size[1] = size[2]
    if made.model.name == "sinusoid":
        size[1] = 2.0
    judged = [k for k, name in enumerate(made.model.params) if name not in {"c", "phi", "lo"}]
    return bool((stderr[judged] < size[judged] / 3.0).all())


def jacobian(made: Sample, i: int, params: Floats) -> Floats:
    """Return the Jacobian of one curve, (n_points, n_params)."""
    assert made.model.jac is not None
    columns = made.model.jac(made.x[i], *params)
    return np.stack([np.broadcast_to(c, made.x[i].shape) for c in columns], axis=1)


def cost_from(made: Sample, i: int, start: Floats) -> float:
    """Return the sum of squares where SciPy's Levenberg-Marquardt ends."""
    with np.errstate(all="ignore"):
        _, _, info, _, _ = leastsq(
            lambda p: made.model.func(made.x[i], *p) - made.y[i],
            start,
            Dfun=lambda p: jacobian(made, i, p),
            full_output=True,
        )
    return float(np.sum(info["fvec"] ** 2))


@pytest.mark.parametrize("spec", NONLINEAR)
@pytest.mark.parametrize("layout", ["even", "uneven"])
@pytest.mark.parametrize("n_points", [15, 60])
def test_fits_from_the_guess_end_where_fits_from_the_truth_end(
    spec: str, layout: str, n_points: int
) -> None:
    made = sample(spec, layout, n_points)
    starts = guess(made.model, made.x, made.y)
    rows = [i for i in range(len(made.y)) if is_determined(made, i)]
    reached = [
        cost_from(made, i, starts[i]) <= cost_from(made, i, made.truth[i]) * (1 + 1e-6)
        for i in rows
    ]
    assert len(rows) > 25
    assert np.mean(reached) >= 0.98


@pytest.mark.parametrize("spec", NONLINEAR)
def test_the_guess_is_close_where_there_is_no_noise(spec: str) -> None:
    made = sample(spec, "even", 200)
    exact = made.model.func(made.x, *(p[:, None] for p in made.truth.T))
    start = guess(made.model, made.x, exact)
    residuals = made.model.func(made.x, *(p[:, None] for p in start.T)) - exact
    left = np.sqrt((residuals**2).mean(axis=1)) / np.ptp(exact, axis=1)
    assert np.median(left) < 0.02
    assert np.mean(left < 0.2) > 0.95


def test_guesses_have_a_canonical_form() -> None:
    wave = sample("sinusoid", "uneven", 60)
    a, w, phi, _ = guess(wave.model, wave.x, wave.y).T
    assert (a >= 0).all()
    assert (w > 0).all()
    assert (np.abs(phi) <= np.pi * (1 + 1e-15)).all()
    growth = sample("logistic", "even", 60)
    _, size, rate, _ = guess(growth.model, growth.x, growth.y).T
    assert (size >= 0).all()
    assert {-1.0, 1.0} == set(np.sign(rate))
    response = sample("dose_response_4pl", "even", 60)
    lo, hi, _, _ = guess(response.model, response.x, response.y).T
    assert (lo <= hi).all()
    two = sample("exponential_decay:2", "even", 60)
    _, fast, _, slow, _ = guess(two.model, two.x, two.y).T
    assert (np.abs(fast) >= np.abs(slow)).all()


def test_the_lowest_of_equivalent_frequencies_is_guessed() -> None:
    """Ten distinct x, each measured five times: the Nyquist frequency is that of ten points."""
    x = np.repeat(np.arange(10.0), 5)[None]
    w = np.linspace(0.4, 3.0, 40)[:, None]
    start = guess(get_model("sinusoid"), x, np.sin(w * x + 0.3))
    np.testing.assert_allclose(start[:, 1], w[:, 0], rtol=0.03)


@pytest.mark.parametrize("degree", [0, 1, 3, 9])
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_a_polynomial_is_guessed_by_least_squares(degree: int, shift: float) -> None:
    rng = np.random.default_rng(degree)
    x = rng.uniform(-1, 1, (5, 40)) + shift
    y = rng.normal(size=(5, 40))
    valid = rng.random((5, 40)) < 0.8
    start = guess(polynomial(degree), x, y, valid)
    values = polynomial(degree).func(x, *(c[:, None] for c in start.T))
    for i, ok in enumerate(valid):
        expected = np.polynomial.Polynomial.fit(x[i, ok], y[i, ok], degree)
        # Powers of x cancel where x is far from 0: that is the basis, not the guess.
        size = sum(abs(c) * (1.0 + shift) ** k for k, c in enumerate(start[i]))
        np.testing.assert_allclose(values[i, ok], expected(x[i, ok]), atol=1e-13 * size)


def test_a_polynomial_through_too_few_points_goes_through_them() -> None:
    x, y = np.array([[2.0, 3.0, 3.0, 5.0]]), np.array([[1.0, -2.0, -2.0, 4.0]])
    start = guess(polynomial(6), x, y)
    np.testing.assert_allclose(polynomial(6).func(x, *start.T), y, atol=1e-9)


# --- finite for any data ---------------------------------------------------------------------

numbers = st.one_of(
    st.floats(-100, 100, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, -1.0, 1e-300, -1e200, 1e308, -1.7e308, 5e-324]),
)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Floats, Floats, Bools]:
    """Draw x, y, valid of a few short curves, invalid points repeating a valid one."""
    n_curves, n_points = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    y = draw(arrays(np.float64, (n_curves, n_points), elements=numbers))
    x = draw(arrays(np.float64, (draw(st.sampled_from([1, n_curves])), n_points), elements=numbers))
    valid = draw(arrays(np.bool_, (n_curves, n_points)))
    valid[:, draw(st.integers(0, n_points - 1))] = True
    source = np.where(valid, np.arange(n_points), valid.argmax(axis=1)[:, None])
    y = np.take_along_axis(y, source, axis=1)
    if not valid.all():
        x = np.take_along_axis(np.broadcast_to(x, y.shape), source, axis=1)
    return x, y, valid


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_a_guess_is_finite_and_the_curves_own(
    spec: str, batch: tuple[Floats, Floats, Bools]
) -> None:
    model = get_model(spec)
    x, y, valid = batch
    together = guess(model, x, y, valid)
    assert together.shape == (len(y), model.n_params)
    assert np.isfinite(together).all()
    for i, ok in enumerate(valid):
        own = x[0 if len(x) == 1 else i]
        alone = guess(model, own[None, ok], y[i : i + 1, ok])
        np.testing.assert_array_equal(alone[0], together[i])


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("x", [np.zeros(6), np.arange(6.0), np.arange(6.0)[::-1]])
def test_a_constant_is_guessed_as_one(spec: str, x: Floats) -> None:
    model = get_model(spec)
    y = np.full((2, 6), [[7.0], [-7.0]])
    start = guess(model, x[None], y)
    assert np.isfinite(start).all()
    if spec != "power_law":
        values = np.broadcast_to(model.func(x, *(p[:, None] for p in start.T)), y.shape)
        np.testing.assert_allclose(values, y, rtol=1e-12)


@pytest.mark.parametrize("spec", SPECS)
def test_no_curves_and_no_points_are_no_trouble(spec: str) -> None:
    model = get_model(spec)
    assert guess(model, np.zeros((1, 5)), np.zeros((0, 5))).shape == (0, model.n_params)
    assert np.isfinite(guess(model, np.zeros((1, 0)), np.zeros((3, 0)))).all()
    nothing_valid = guess(model, np.zeros((1, 4)), np.full((2, 4), np.nan), np.zeros((2, 4), bool))
    assert np.isfinite(nothing_valid).all()


# --- each curve's own ------------------------------------------------------------------------


def test_totals_have_the_same_bits_for_one_curve_or_many() -> None:
    rng = np.random.default_rng(3)
    for n_points in (1, 2, 7, 8, 9, 129, 1000):
        values = rng.normal(size=(n_points, 90)) * 10.0 ** rng.integers(-8, 8, (n_points, 90))
        sums, partial_sums = total(values), running_total(values)
        np.testing.assert_array_equal(partial_sums[-1], sums)
        for n_curves in (1, 2, 3, 8, 63, 64):
            few = values[:, :n_curves].copy()
            np.testing.assert_array_equal(total(few), sums[:n_curves])
            np.testing.assert_array_equal(running_total(few), partial_sums[:, :n_curves])


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("layout", ["shared", "uneven"])
def test_a_guess_has_the_same_bits_in_any_batch(spec: str, layout: str) -> None:
    rng = np.random.default_rng(11)
    n_points = 40
    n_curves = 2 * BLOCK_POINTS // n_points + 3
    x = np.sort(rng.uniform(0.1, 9.0, (1 if layout == "shared" else n_curves, n_points)), axis=1)
    y = np.cumsum(rng.normal(size=(n_curves, n_points)), axis=1)
    model = get_model(spec)
    together = guess(model, x, y)
    for rows in ([0], [1, n_curves - 1], [n_curves // 2, 5, 17], list(range(n_curves - 9))):
        some = guess(model, x if len(x) == 1 else x[rows], y[rows])
        np.testing.assert_array_equal(some, together[rows])
    a_few = np.arange(0, n_curves, 97)
    every_own = guess(model, np.broadcast_to(x, y.shape)[a_few], y[a_few])
    np.testing.assert_array_equal(every_own, together[a_few])


@pytest.mark.parametrize("spec", SPECS)
def test_invalid_points_and_the_order_of_points_change_nothing(spec: str) -> None:
    rng = np.random.default_rng(12)
    n_curves, n_points = 12, 30
    x = rng.uniform(0.1, 9.0, (n_curves, n_points))
    y = rng.normal(size=(n_curves, n_points)) + x
    model = get_model(spec)
    valid = rng.random(y.shape) < 0.7
    source = np.where(valid, np.arange(n_points), valid.argmax(axis=1)[:, None])
    x, y = (np.take_along_axis(a, source, axis=1) for a in (x, y))
    masked = guess(model, x, y, valid)
    shuffle = rng.permutation(n_points)
    shuffled = guess(model, x[:, shuffle], y[:, shuffle], valid[:, shuffle])
    np.testing.assert_array_equal(shuffled, masked)
    for i, ok in enumerate(valid):
        np.testing.assert_array_equal(
            guess(model, x[i : i + 1, ok], y[i : i + 1, ok])[0], masked[i]
        )


@pytest.mark.parametrize("spec", NONLINEAR)
def test_other_units_of_x_and_y_scale_the_guess(spec: str) -> None:
    """Powers of two, so that nothing is rounded."""
    made = sample(spec, "even", 60, n_curves=40)
    start = guess(made.model, made.x, made.y)
    scaled = guess(made.model, made.x * 4.0, made.y * 1024.0)
    values, scaled_values = (
        made.model.func(x, *(p[:, None] for p in params.T))
        for x, params in ((made.x, start), (made.x * 4.0, scaled))
    )
    np.testing.assert_allclose(scaled_values, 1024.0 * values, rtol=1e-9)
