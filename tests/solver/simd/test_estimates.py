"""Quotients and roots from estimates, against numbers of more digits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit import Model
from manyfit.solver.arrays import Floats
from manyfit.solver.minpack import Rules
from manyfit.solver.simd.engine import Ends, Points, run
from manyfit.solver.simd.estimates import EstimatingLanes, fast_lanes, inverse
from manyfit.solver.simd.kernel import kernel_text
from manyfit.solver.simd.lanes import Lanes, Vec
from manyfit.solver.simd.machine import Machine, machines
from manyfit.solver.simd.specification import Specification
from manyfit.solver.trust_region import Tolerances
from tests.solver.simd.emitting import LANES, emitted
from tests.solver.simd.specifying import specified

RNG = np.random.default_rng(20261129)
COLUMNS = 64
ANYWHERE = np.ldexp(
    RNG.uniform(1, 2, (COLUMNS, LANES)), RNG.integers(-1000, 1000, (COLUMNS, LANES))
)
DOSES = np.array([5, 100, -6.5, 1.2])


def estimating() -> Machine:
    """Return this machine as one that takes long over a division."""
    machine = machines()[0]
    if machine.name != "avx512":
        pytest.skip("estimates are instructions of AVX-512, which this processor has not")
    return replace(machine, slow_division=True)


def values(body: Callable[..., Vec], *operands: Floats) -> Floats:
    """Return a function of (COLUMNS, LANES) operands, or fewer columns, as it is emitted."""
    n = len(operands[0])

    def emit(lanes: Lanes, columns: list[Vec]) -> list[Vec]:
        fast = fast_lanes(lanes.builder, lanes.width, lanes.machine)
        columns = [Vec(fast, column.ir) for column in columns]
        return [body(fast, *columns[k::n]) for k in range(n)]

    return np.array(emitted(emit, estimating(), [c for given in operands for c in given]))


def units_off(found: Floats, exact: Any) -> float:
    """Return the largest distance in units in the last place; `exact` has more digits."""
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float64)))))


def test_inverses_are_right_to_a_unit_in_the_last_place() -> None:
    b = ANYWHERE * RNG.choice([-1.0, 1.0], ANYWHERE.shape)
    found = values(inverse, b)
    assert units_off(found, 1 / b.astype(np.longdouble)) <= 0.7


def test_inverses_of_anything_are_those_of_a_division() -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.0, 5e-324, -5e-324, 1e-310, 2e-308]
    special += [2.0**-1022, 2.0**-1023, 2.0**1023, 1.7976931348623157e308]
    b = np.resize(special, (1, LANES))
    with np.errstate(all="ignore"):
        expected = 1 / b
    found = values(inverse, b)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    np.testing.assert_allclose(found, expected, rtol=3e-16, atol=5e-324)


def test_no_division_is_left() -> None:
    assert "fdiv" in kernel_text(dose_response(replace(estimating(), slow_division=False)))
    assert "fdiv" not in kernel_text(dose_response(estimating()))


def test_quotients_and_roots_are_right_to_two_units_in_the_last_place() -> None:
    a = RNG.normal(size=ANYWHERE.shape)
    quotient = values(lambda _, u, v: u / v, a, ANYWHERE)
    assert units_off(quotient, a.astype(np.longdouble) / ANYWHERE) <= 2
    root = values(lambda lanes, u: lanes.sqrt(u), ANYWHERE)
    assert units_off(root, np.sqrt(ANYWHERE.astype(np.longdouble))) <= 2


def test_roots_of_zero_and_infinity_are_these() -> None:
    a = np.resize([0.0, np.inf, np.nan, 4.0, 5e-324, 1e-310, 1e308], (1, LANES))
    np.testing.assert_allclose(values(lambda lanes, u: lanes.sqrt(u), a), np.sqrt(a), rtol=5e-16)


def test_other_processors_divide() -> None:
    for machine in machines():

        def emit(lanes: Lanes, columns: list[Vec], machine: Machine = machine) -> list[Vec]:
            fast = fast_lanes(lanes.builder, lanes.width, replace(machine, slow_division=False))
            assert not isinstance(fast, EstimatingLanes)
            b = Vec(fast, columns[0].ir)
            return [inverse(fast, b), 1.0 / b, fast.sqrt(b)]

        b = ANYWHERE[0]
        found = emitted(emit, replace(machine, slow_division=False), [b])
        np.testing.assert_array_equal(found, [1 / b, 1 / b, np.sqrt(b)])


def test_fits_are_the_same_with_estimates_and_with_divisions() -> None:
    x = np.linspace(-9, -4.5, 10)
    lo, hi, le, h = RNG.uniform(0.8, 1.2, (4, 200, 1)) * DOSES[:, None, None]
    y = lo + (hi - lo) / (1 + 10 ** ((le - x) * h)) + RNG.normal(0, 2, (200, 10))
    divided, estimated = (
        ends_of(replace(estimating(), slow_division=slow), x, y) for slow in (False, True)
    )
    np.testing.assert_array_equal(divided.status, estimated.status)
    np.testing.assert_allclose(estimated.cost, divided.cost, rtol=1e-9)
    np.testing.assert_allclose(estimated.params, divided.params, rtol=1e-5, atol=1e-3)
    assert (estimated.params != divided.params).any()


def dose_response(machine: Machine) -> Specification:
    """Return the kernel that fits dose-response curves on a machine."""
    model = Model.from_expression("lo+(hi-lo)/(1+10**((le-x)*h))", params=["lo", "hi", "le", "h"])
    return specified(model, machine)


def ends_of(machine: Machine, x: Floats, y: Floats) -> Ends:
    """Fit dose-response curves on a machine."""
    n, width = y.shape
    points = Points(y.reshape(-1), np.arange(n) * width, np.full(n, width), (x,), (True,))
    ends, rules = Ends.places(n, 4), Rules(Tolerances(1.49012e-8, 1.49012e-8, 0.0, 2000))
    start = np.array([[0.0, 80.0, -7.0, 1.0]])
    run(dose_response(machine), points, np.arange(n), start, (), rules, ends, np.arange(n))
    return ends
