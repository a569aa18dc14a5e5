"""Start values of joined models: found where an honest guess can be made, each curve's own."""

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.library import (
    constant,
    exponential_decay,
    gaussian,
    linear,
    lorentzian,
    polynomial,
    sinusoid,
)
from manyfit.solver.model import Model
from tests.solver.two_peaks import X, peaks


@pytest.mark.parametrize(
    "background", [constant(), linear(), None], ids=["constant", "linear", "none"]
)
def test_a_sum_of_peaks_finds_its_start_values(background: Model | None) -> None:
    """From SciPy's start, 1, nearly no curve gets to the right minimum; from the guess nearly all.

    Measured: 99.7 % of 1000 curves above a constant, 99.1 % above a line.
    """
    n = 150
    truth, y = peaks(n)
    model = gaussian(prefix="g1_") + gaussian(prefix="g2_")
    if background is not None:
        model = model + background
    if background == linear():
        slope = np.random.default_rng(1).uniform(-0.3, 0.3, n)
        y, truth = y + slope[:, None] * X, np.column_stack([truth, slope])
    best = fit_curves(model, X, y, p0=truth, engine="reference")
    fit = fit_curves(model, X, y, engine="reference", maxfev=200)
    right = fit.success & (fit.cost <= 1.0001 * best.cost)
    assert right.mean() > 0.95
    ones = np.ones(model.n_params)
    plain = fit_curves(model, X, y[:40], p0=ones, engine="reference", maxfev=200)
    assert (plain.cost <= 1.0001 * best.cost[:40]).mean() < 0.2


@pytest.mark.parametrize(
    ("model", "truth"),
    [
        (gaussian(prefix="g_") + exponential_decay(), (3, 6, 0.5, 4, 0.6, 0.2)),
        (exponential_decay() + gaussian(prefix="g_"), (4, 0.6, 3, 6, 0.5, 0.2)),
        (linear() - sinusoid(prefix="s_"), (0.5, 2.0, 3.0, 0.5, 1.0)),
        (lorentzian(prefix="l_") - lorentzian(prefix="m_"), (3, 3, 0.5, 2, 7, 0.7, 1.0)),
        (polynomial(2) + gaussian(prefix="g_"), (0.5, -0.05, 3, 4, 0.5, 1.0)),
    ],
    ids=lambda value: str(getattr(value, "name", "")),
)
def test_terms_of_different_kinds_find_theirs(model: Model, truth: tuple[float, ...]) -> None:
    rng = np.random.default_rng(8)
    params = np.array(truth) * rng.uniform(0.9, 1.1, (40, len(truth)))
    clean = model.func(X, *(params[:, j, None] for j in range(len(truth))))
    y = clean + 0.03 * rng.standard_normal((40, X.size))
    best = fit_curves(model, X, y, p0=params, engine="reference")
    fit = fit_curves(model, X, y, engine="reference")
    assert (fit.success & (fit.cost <= 1.0001 * best.cost)).mean() > 0.97


def test_a_guess_is_each_curves_own_and_passes_over_what_is_not_valid() -> None:
    model = gaussian(prefix="g1_") + gaussian(prefix="g2_") + linear()
    _, y = peaks(60)
    y[7] = 0.0
    y[8] = 1e300
    assert model.guess is not None
    valid = np.ones(y.shape, np.bool_)
    start = model.guess(X[None], y, valid)
    assert start.shape == (60, 8)
    assert np.isfinite(start).all()
    for i in (0, 7, 8, 59):
        alone = model.guess(X[None], y[i : i + 1], valid[:1])
        np.testing.assert_array_equal(alone[0], start[i])
    assert model.guess(X[None], y[:0], valid[:0]).shape == (0, 8)
    gaps, rows = valid.copy(), np.broadcast_to(X, y.shape)
    gaps[:, ::9] = False
    filled = np.where(gaps, y, np.roll(y, -1, axis=1))  # as a slab has it: a neighbour repeated
    there = np.where(gaps, rows, np.roll(rows, -1, axis=1))
    found = model.guess(there, filled, gaps)[9:]
    expected = model.guess(X[gaps[0]][None], y[9:, gaps[0]], valid[9:, gaps[0]])
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        gaussian(prefix="g_") * linear(),
        gaussian() + Model.from_expression("k*x"),
        1 + gaussian(),
        2 / gaussian(),
        gaussian() / 1e-320,
        gaussian() + Model.from_expression("p*t", x="t", guess=lambda *_: np.ones((1, 1))),
        gaussian()
        + Model.from_expression("p*x*k", constants=["k"], guess=lambda *_: np.ones((1, 1))),
    ],
    ids=lambda model: str(model.name),
)
def test_where_there_is_no_honest_guess_there_is_none(model: Model) -> None:
    assert model.guess is None
