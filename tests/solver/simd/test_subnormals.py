"""Numbers next to nothing: flushed while a kernel runs, and no worse a fit for that."""

from typing import Any

import numpy as np
import pytest

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.minpack import Rules
from manyfit.solver.simd.engine import Ends, Points, run
from manyfit.solver.simd.machine import Machine, machines
from manyfit.solver.trust_region import Tolerances
from tests.solver.simd.specifying import specified

MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda m: m.name)
RNG = np.random.default_rng(20261129)
X = np.linspace(0, 5, 50)
TRUTH = np.array([2, 1.5, 0.5]) * RNG.uniform(0.8, 1.2, (64, 3))
Y = TRUTH[:, :1] * np.exp(-TRUTH[:, 1:2] * X) + TRUTH[:, 2:] + RNG.normal(0, 0.05, (64, 50))
DECAY = Model.from_expression("a*exp(-b*x) + c", params=["a", "b", "c"])
AT_ONCE = Rules(Tolerances(0.0, 0.0, 1e150, 1))


def cost_of_product(machine: Machine, *, flush: bool) -> float:
    """Return half the square of p * u * v for p = 1, u = 1e-310, v = 1e300, by a kernel."""
    model = Model.from_expression("p*u*v", params=["p"], x=["u", "v"])
    specification = specified(model, machine)
    one = np.ones(1, dtype=np.int64)
    points = Points(
        np.zeros(1), 0 * one, one, (np.array([1e-310]), np.array([1e300])), (True, True)
    )
    ends = Ends.places(1, 1)
    run(specification, points, 0 * one, np.ones((1, 1)), (), AT_ONCE, ends, 0 * one, flush=flush)
    return float(ends.cost[0])


@MACHINES
def test_kernels_flush_subnormal_numbers_where_they_are_told(machine: Machine) -> None:
    if machine.name not in {"avx512", "avx2", "sse2"}:
        pytest.skip("subnormal numbers are not flushed on this processor")
    assert cost_of_product(machine, flush=True) == 0
    assert cost_of_product(machine, flush=False) == pytest.approx(0.5e-20)


@MACHINES
def test_the_caller_keeps_its_subnormal_numbers(machine: Machine) -> None:
    cost_of_product(machine, flush=True)
    assert (np.array([5e-324, 1e-310]) * np.array([1.0, 0.5])).tolist() == [5e-324, 5e-311]


def both(x: Floats, y: Floats, start: Any, model: Model = DECAY) -> tuple[BatchFit, BatchFit]:
    """Return what the compiled engine and the reference engine make of curves."""
    given: dict[str, Any] = {"p0": start, "ftol": 1e-12, "xtol": 1e-12}
    auto = fit_curves(model, x, y, **given)
    return auto, fit_curves(model, x, y, engine="reference", **given)


def agree(auto: BatchFit, reference: BatchFit) -> None:
    """Assert that both succeeded, within 1e-4 standard errors, with standard errors to 1e-4."""
    assert auto.success.all()
    assert reference.success.all()
    off = np.abs(auto.params - reference.params) / reference.stderr
    assert np.nanmax(off) < 1e-4
    np.testing.assert_array_equal(np.isnan(auto.stderr), np.isnan(reference.stderr))
    np.testing.assert_allclose(auto.stderr, reference.stderr, rtol=1e-4)


@pytest.mark.parametrize("power", [-156, -155, -154, -153, -150, -146, -140, 140, 146, 150, 152])
def test_units_in_which_squares_are_next_to_nothing_or_to_infinity(power: int) -> None:
    unit = 10.0**power
    agree(*both(X, Y * unit, [unit, 1, unit]))


@pytest.mark.parametrize("power", [-160, -155, -154, -153, -150, 146, 150, 152, 154])
def test_columns_of_the_jacobian_next_to_nothing_or_to_infinity(power: int) -> None:
    unit = 10.0**power
    agree(*both(X * unit, Y, [1, 1 / unit, 1]))


def test_weights_next_to_nothing() -> None:
    faint = fit_curves(DECAY, X, Y, p0=[1, 1, 1], sigma=np.full_like(Y, 1e155))
    plain = fit_curves(DECAY, X, Y, p0=[1, 1, 1], engine="reference")
    assert faint.success.all()
    np.testing.assert_allclose(faint.params, plain.params, rtol=1e-5)


def test_narrow_peaks_in_wide_windows() -> None:
    peak = Model.from_expression("a*exp(-((x-m)/s)**2/2) + d", params=["a", "m", "s", "d"])
    x = np.arange(200.0)
    a, m, s, d = RNG.uniform(0.8, 1.2, (4, 100, 1)) * np.array([100, 60, 2, 10])[:, None, None]
    y = a * np.exp(-(((x - m) / s) ** 2) / 2) + d + RNG.normal(0, 3, (100, 200))
    start = np.concatenate([0.9 * a, m + 0.5, 1.1 * s, d], axis=1)
    auto, reference = both(x, y, start, peak)
    agree(auto, reference)
    assert auto.compiled.all()


def test_curves_of_zeros_end_at_zero_and_disturb_nobody() -> None:
    zero = np.arange(64) % 2 == 0
    fit = fit_curves(DECAY, X, np.where(zero[:, None], 0.0, Y), p0=[1, 1, 1])
    whole = fit_curves(DECAY, X, Y, p0=[1, 1, 1])
    np.testing.assert_array_equal(fit.params[~zero], whole.params[~zero])
    assert (fit.cost[zero] < 1e-50).all()
    assert np.abs(fit.params[zero][:, [0, 2]]).max() < 1e-25
