"""Every function is right to two units in the last place on every machine, at every width."""

import mpmath
import numpy as np
import pytest

from manyfit.solver.simd import elementary
from manyfit.solver.simd.elementary import ELEMENTARY
from manyfit.solver.simd.machine import Machine, machines
from tests.solver.simd.elementary.kernels import kernel
from tests.solver.simd.elementary.reference import CASES, binades, errors, uniform

FUNCTIONS = {**ELEMENTARY, "exp10": elementary.exp10}
MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)


def test_each_function_has_a_case() -> None:
    elsewhere = {name for name in FUNCTIONS if name.startswith("wofz_")}
    assert set(CASES) == set(FUNCTIONS) - elsewhere - {"mod"}
    assert all(case.bound <= 2.0 for case in CASES.values())


@MACHINES
@pytest.mark.parametrize("name", CASES)
def test_results_are_right_to_the_bound(name: str, machine: Machine) -> None:
    case = CASES[name]
    points = case.points()
    one, two = (
        kernel(FUNCTIONS[name], machine, width, len(points))(*points)
        for width in (machine.register, 2 * machine.register)
    )
    np.testing.assert_array_equal(one.view(np.int64), two.view(np.int64))
    off = errors(name, one)
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    assert off[worst] <= case.bound, [float(column[worst]) for column in points]


@MACHINES
@pytest.mark.parametrize("name", ["gammaln", "digamma", "trigamma"])
def test_reflected_gamma_functions_are_right_beside_one(name: str, machine: Machine) -> None:
    x = np.concatenate([uniform(-3.0, 0.0, 400), uniform(-160.0, 0.0, 200), -binades(-300, -3, 60)])
    x = x[x != np.round(x)]
    found = kernel(FUNCTIONS[name], machine, machine.register)(x)
    with mpmath.workprec(140):
        exact = np.array([float(mpmath.re(CASES[name].exact(mpmath.mpf(float(v))))) for v in x])
    assert np.max(np.abs(found - exact) / (1.0 + np.abs(exact))) <= 1e-15


@MACHINES
def test_sine_and_cosine_at_once_are_right(machine: Machine) -> None:
    found = kernel(elementary.sincos, machine, machine.register, 1, 2)(*CASES["sin"].points())
    for name, values in zip(("sin", "cos"), found, strict=True):
        assert errors(name, values).max() <= 1.5


@MACHINES
@pytest.mark.parametrize("base", [1e-300, 0.5, 0.999, 1.0, 1.0000001, np.e, 3.0, 1e10, 1e300])
def test_powers_of_a_number_are_right(base: float, machine: Machine) -> None:
    reach = 700.0 / max(abs(np.log(base)), 0.1)
    x = np.concatenate([uniform(-reach, reach, 300), binades(-60, 2, 60)])
    found = kernel(lambda lanes, v: elementary.power(lanes, base, v), machine, 16)(x)
    with mpmath.workprec(140):
        exact = [mpmath.power(mpmath.mpf(base), float(v)) for v in x]
        off = [
            abs(a - b) / np.spacing(float(b)) for a, b in zip(map(float, found), exact, strict=True)
        ]
    assert max(off) <= 1.7


@MACHINES
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.5, 1 / 3, -0.5, 2.5, -2.0, 9.0, 13.0, 1e-300])
def test_numbers_as_exponents_give_the_same_as_vectors(exponent: float, machine: Machine) -> None:
    x = np.concatenate(
        [binades(-100, 50, 400), -binades(-100, 50, 40), [0.0, -0.0, np.inf, np.nan]]
    )
    found = kernel(lambda lanes, v: elementary.power(lanes, v, exponent), machine, 16)(x)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        wanted = np.power(x, exponent)
    np.testing.assert_allclose(found, wanted, rtol=4e-16, atol=0.0)


@MACHINES
def test_multiples_in_the_exponent_are_not_rounded(machine: Machine) -> None:
    x = uniform(0.0, 600.0, 500)
    found = kernel(lambda l, v: elementary.exp_of_multiple(l, -0.3, v), machine, 16)(x)  # noqa: E741
    with mpmath.workprec(140):
        exact = [mpmath.exp(mpmath.mpf(-0.3) * float(v)) for v in x]
        off = [
            abs(a - b) / np.spacing(float(b)) for a, b in zip(map(float, found), exact, strict=True)
        ]
    assert max(off) <= 1.6
