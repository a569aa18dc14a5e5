"""Infinities, NaN, zeros, subnormal numbers and huge arguments are as in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.simd.elementary import ELEMENTARY, power
from manyfit.solver.simd.machine import Machine, machines
from tests.solver.simd.elementary.kernels import Floats, kernel
from tests.solver.simd.elementary.reference import binades, both

MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)

_SIZES = [0.0, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-300, 2.0**-60, 0.1, 0.5, 0.99999, 1.0]
_SIZES += [1.00001, 1.5, 2.0, 3.0, 7.5, 30.0, 700.0, 745.0, 746.0, 2.0**52 + 0.5, 2.0**53 - 1.0]
_SIZES += [2.0**53 + 2.0, 1e22, 1e155, 1e200, 1e300, 1.7976931348623157e308, np.inf]
VALUES = np.array([*_SIZES, *(-v for v in _SIZES), np.nan])

UNARY = sorted(name for name in ELEMENTARY if OPERATIONS[name].arity == 1)
BINARY = sorted(
    name for name in ELEMENTARY if OPERATIONS[name].arity == 2 and not name.startswith("wofz_")
)


def assert_as_numpy(
    emit: Callable[..., Any], evaluate: Callable[..., Any], machine: Machine, *points: Floats
) -> None:
    found = kernel(emit, machine, machine.register, len(points))(*points)
    with np.errstate(all="ignore"):
        wanted = evaluate(*points)
        near = np.abs(found - wanted) <= 3.0 * np.spacing(np.abs(wanted))
    same = (found == wanted) & (np.signbit(found) == np.signbit(wanted))
    same |= near & (wanted != 0.0) | np.isnan(found) & np.isnan(wanted)
    wrong = np.flatnonzero(~same)
    assert wrong.size == 0, [(*(p[i] for p in points), found[i], wanted[i]) for i in wrong[:10]]


@MACHINES
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_operand(name: str, machine: Machine) -> None:
    evaluate = OPERATIONS[name].evaluate
    assert_as_numpy(ELEMENTARY[name], evaluate, machine, VALUES)


@MACHINES
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_operands(name: str, machine: Machine) -> None:
    x, y = (column.ravel() for column in np.meshgrid(VALUES, VALUES))
    assert_as_numpy(ELEMENTARY[name], OPERATIONS[name].evaluate, machine, x, y)


@MACHINES
@pytest.mark.parametrize("number", [-np.inf, -2.5, -1.0, -0.0, 0.0, 1.0, 3.0, np.inf, np.nan])
def test_powers_of_and_by_a_number(number: float, machine: Machine) -> None:
    def of_number(lanes: Any, x: Any) -> Any:
        return power(lanes, number, x)

    def by_number(lanes: Any, x: Any) -> Any:
        return power(lanes, x, number)

    assert_as_numpy(of_number, lambda x: np.power(number, x), machine, VALUES)
    assert_as_numpy(by_number, lambda x: np.power(x, number), machine, VALUES)


@MACHINES
def test_remainders_are_those_of_numpy_to_the_bit(machine: Machine) -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([both(binades(-1074, 1023, 2000)), np.round(rng.normal(0, 100, 3000)) * 0.1])
    y = np.concatenate([rng.permutation(x[:4000]), np.full(1500, 0.1), rng.normal(0, 1, 1500)])
    found = kernel(ELEMENTARY["mod"], machine, machine.register, 2)(x, y)
    np.testing.assert_array_equal(found.view(np.int64), np.mod(x, y).view(np.int64))
