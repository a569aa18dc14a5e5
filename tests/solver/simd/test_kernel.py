"""Kernels for every kind of processor that this one can be, and every width."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.minpack import Rules
from manyfit.solver.simd.engine import Covariances, Ends, Points, finish, kernel, run
from manyfit.solver.simd.finish import Finish, Verdict
from manyfit.solver.simd.kernel import HANDED_OVER
from manyfit.solver.simd.machine import Machine, host, machines
from manyfit.solver.simd.specification import Specification
from manyfit.solver.trust_region import Tolerances
from tests.solver.simd.specifying import specified as plainly_specified

RNG = np.random.default_rng(5)
N, X = 61, np.linspace(0, 5, 23)
ROWS = np.arange(N)
TRUTH = np.array([2, 1.5, 0.5]) * RNG.uniform(0.8, 1.2, (N, 3))
Y = TRUTH[:, :1] * np.exp(-TRUTH[:, 1:2] * X) + TRUTH[:, 2:] + RNG.normal(0, 0.05, (N, 23))
DECAY = Model.from_expression("a*exp(-b*x) + c")
WAVE = Model.from_expression("a*sin(b*x + c)")
RULES = Rules(Tolerances(1.49012e-8, 1.49012e-8, 0.0, 400))
MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda m: m.name)


def fitted(model: Model, machine: Machine, registers: int, **changes: Any) -> Ends:
    """Fit the curves with the kernel for a machine."""
    return fitted_by(specified(model, machine, registers, **changes), changes.get("y", Y))[0]


def fitted_by(specification: Specification, y: Any = Y) -> tuple[Ends, Floats]:
    """Fit the curves with a kernel; return also their triangles."""
    points = Points(y.reshape(-1), np.arange(N) * 23, np.full(N, 23), (X,), (True,))
    ends = Ends.places(N, 3)
    normal, _ = run(specification, points, ROWS, np.ones((1, 3)), (), RULES, ends, ROWS)
    return ends, normal


def specified(model: Model, machine: Machine, registers: int, **changes: Any) -> Specification:
    """Return the kernel for a machine, for points that lie evenly."""
    single = (changes.pop("y", Y).dtype == np.float32,)
    given = {"even": (True,), "single": single, "registers": registers} | changes
    return plainly_specified(model, machine, **given)


@MACHINES
@pytest.mark.parametrize("registers", [1, 2, 4])
@pytest.mark.parametrize("model", [DECAY, WAVE], ids=["decay", "wave"])
def test_every_machine_and_width_finds_the_minimum(
    machine: Machine, registers: int, model: Model
) -> None:
    specification = specified(model, machine, registers)
    ends, normal = fitted_by(specification)
    reference = fit_curves(model, X, Y, p0=[1, 1, 1], engine="reference")
    both = reference.success & (ends.status <= 4)
    assert both.mean() > 0.9
    np.testing.assert_allclose(ends.cost[both], reference.cost[both], rtol=1e-9)
    near = np.abs(ends.params - reference.params) <= 1e-4 * reference.stderr
    assert near[both].all()
    assert (np.abs(ends.nfev - reference.nfev) <= 1)[both].mean() > 0.9
    np.testing.assert_allclose(ends.yy, (Y * Y).sum(axis=1))
    dof = np.full(N, 20, dtype=np.int32)
    covariances = Covariances(
        np.empty((N, 3, 3)), np.empty((N, 3)), np.empty(N, dtype=np.int8), dof
    )
    made_for = Finish.of(specification, absolute=False)
    finish(made_for, machine, normal, ends, ROWS, covariances)
    assert (covariances.verdict[both] <= Verdict.DOUBTFUL).all()
    np.testing.assert_allclose(covariances.cov[both], reference.cov[both], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(
        covariances.stderr[both], reference.stderr[both], rtol=1e-4, atol=1e-9
    )


@MACHINES
def test_the_width_changes_no_bit(machine: Machine) -> None:
    narrow, normal = fitted_by(specified(DECAY, machine, 1))
    for registers in (2, 4):
        wide, its_normal = fitted_by(specified(DECAY, machine, registers))
        np.testing.assert_array_equal(its_normal, normal)
        for name in ("params", "cost", "nfev", "njev", "status"):
            np.testing.assert_array_equal(getattr(wide, name), getattr(narrow, name))


@MACHINES
@pytest.mark.parametrize("model", [DECAY, WAVE], ids=["decay", "wave"])
@pytest.mark.parametrize("evenly", [True, False], ids=["evenly", "point by point"])
def test_the_triangle_ends_where_normal_equations_do(
    machine: Machine, model: Model, evenly: bool
) -> None:
    given: dict[str, Any] = {"even": (evenly,)}
    plain, normal = fitted_by(specified(model, machine, 1, **given))
    ends, triangle = fitted_by(specified(model, machine, 1, rotations=True, **given))
    both = (plain.status <= 3) & (ends.status <= 3)
    assert both.mean() > 0.9
    np.testing.assert_allclose(ends.cost[both], plain.cost[both], rtol=1e-12)
    np.testing.assert_allclose(ends.params[both], plain.params[both], rtol=1e-6)
    assert (ends.nfev == plain.nfev)[both].mean() > 0.9
    R, places = np.zeros((N, 3, 3)), np.tril_indices(3)
    R[:, places[1], places[0]] = triangle
    square = (R.transpose(0, 2, 1) @ R)[:, *places]
    np.testing.assert_allclose(square[both], normal[both], rtol=1e-5, atol=1e-6)


@MACHINES
def test_single_precision_data_are_read_as_they_are(machine: Machine) -> None:
    single = Y.astype(np.float32)
    ends = fitted(DECAY, machine, 2, y=single)
    np.testing.assert_array_equal(
        ends.params, fitted(DECAY, machine, 2, y=single.astype(np.float64)).params
    )


@MACHINES
@pytest.mark.parametrize("way", [{}, {"rotations": True}], ids=["normal equations", "triangle"])
def test_values_that_are_not_finite_are_handed_over_and_disturb_nobody(
    machine: Machine, way: dict[str, Any]
) -> None:
    y = Y.copy()
    y[3, 4], y[40, 0], y[60, 22] = np.nan, np.inf, -np.inf
    ends, calm = fitted(DECAY, machine, 1, y=y, **way), fitted(DECAY, machine, 1, **way)
    spoilt = np.isin(np.arange(N), [3, 40, 60])
    np.testing.assert_array_equal(ends.status == HANDED_OVER, spoilt)
    np.testing.assert_array_equal(ends.params[~spoilt], calm.params[~spoilt])


@MACHINES
@pytest.mark.parametrize("registers", [1, 2])
def test_values_that_are_not_finite_are_left_out_where_there_may_be_gaps(
    machine: Machine, registers: int
) -> None:
    y = Y.copy()
    y[3, 4], y[40, 0], y[60, 22], y[7, 1:20:3] = np.nan, np.inf, -np.inf, np.nan
    ends = fitted(DECAY, machine, registers, y=y, gaps=True)
    np.testing.assert_array_equal(ends.n_points, np.isfinite(y).sum(axis=1))
    reference = fit_curves(DECAY, X, y, p0=[1, 1, 1], engine="reference")
    assert (ends.status <= 4).all()
    np.testing.assert_allclose(ends.cost, reference.cost, rtol=1e-9)
    assert (np.abs(ends.params - reference.params) <= 1e-4 * reference.stderr).all()
    calm = fitted(DECAY, machine, registers)
    whole = np.isfinite(y).all(axis=1)
    np.testing.assert_array_equal(ends.params[whole], calm.params[whole])


def test_a_kernel_is_compiled_once_and_known_by_its_formula() -> None:
    one = Model.from_expression("a*exp(-b*x) + c + 0.125*x").graph
    two = Model.from_expression("a*exp(-b*x) + c + 0.125*x").graph
    assert one is not None
    assert two is not None
    common = {"free": ("a", "b", "c"), "shared": (True,), "single": (False,), "weighted": False}
    common["even"] = (True,)
    rest = {"ragged": False, "bounded": False, "scaled": False, "machine": host()}
    first, _ = kernel(Specification(graph=one, **common, **rest))  # type: ignore[arg-type]
    again, compile_s = kernel(Specification(graph=two, **common, **rest))  # type: ignore[arg-type]
    assert again is first
    assert compile_s == 0
    other = {**rest, "ragged": True}
    assert kernel(Specification(graph=two, **common, **other))[0] is not first  # type: ignore[arg-type]


def test_the_interpreter_runs_while_a_kernel_does() -> None:
    assert DECAY.graph is not None
    n, y = 8000 * N, np.tile(Y.reshape(-1), 8000)
    rows = np.arange(n)
    points = Points(y, rows * 23, np.full(n, 23), (X,), (True,))
    specification = Specification(
        graph=DECAY.graph,
        free=DECAY.params,
        shared=(True,),
        even=(True,),
        single=(False,),
        weighted=False,
        ragged=False,
        bounded=False,
        scaled=False,
        machine=host(),
    )
    kernel(specification)
    spent: list[float] = []

    def one_call() -> None:
        began = time.perf_counter()
        run(specification, points, rows, np.ones((1, 3)), (), RULES, Ends.places(n, 3), rows)
        spent.append(time.perf_counter() - began)

    worker = threading.Thread(target=one_call)
    worker.start()
    longest, before = 0.0, time.perf_counter()
    while worker.is_alive():
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    assert longest < 0.5 * spent[0]  # held, it would have been one gap as long as the call
