"""The emitted step against the reference engine's, which is MINPACK's, and linear algebra."""

from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from manyfit.solver.arrays import Floats
from manyfit.solver.bounds import Box as ReferenceBox
from manyfit.solver.bounds import free_step
from manyfit.solver.qr import pivoted_qr
from manyfit.solver.simd.finish import Verdict
from manyfit.solver.simd.lanes import Lanes, Vec
from manyfit.solver.simd.machine import Machine, machines
from manyfit.solver.simd.slots import Vectors
from manyfit.solver.simd.step import (
    SEARCH,
    Box,
    Region,
    Step,
    TrustRegion,
    bounded_step,
    lm_step,
)
from manyfit.solver.simd.triangle import Triangle
from manyfit.solver.simd.triangle_step import TriangleRegion, gradient
from tests.solver.simd.emitting import LANES, emitted
from tests.solver.simd.finishing import finished

EVERY_MACHINE = pytest.mark.parametrize("machine", machines(), ids=lambda m: m.name)
SIZES = pytest.mark.parametrize("n", [1, 3, 5])
BOTH_WAYS = pytest.mark.parametrize("way", ["normal equations", "triangle"])


def problems(n: int, seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return Jacobians, residuals, scales, radii from short to long, and damping to begin with."""
    rng = np.random.default_rng(seed)
    jac = rng.normal(size=(LANES, n, 20)) * 10.0 ** rng.uniform(-2, 2, (LANES, n, 1))
    fun = rng.normal(size=(LANES, 20))
    diag = np.sqrt((jac * jac).sum(axis=2)) * rng.uniform(1, 3, (LANES, n))
    newton = [np.linalg.lstsq(j.T, -f, rcond=None)[0] for j, f in zip(jac, fun, strict=True)]
    length = np.sqrt(((diag * np.stack(newton)) ** 2).sum(axis=1))
    reach = np.where(np.arange(LANES) % 2, 10.0 ** rng.uniform(-3, -0.1, LANES), 2.0)
    return jac, fun, diag, reach * length, rng.uniform(0, 1, LANES)


def columns_of(
    way: str, jac: Floats, fun: Floats, diag: Floats, delta: Floats, par: Floats
) -> list[Floats]:
    """Return what `region` takes: a lower triangle, n numbers, D², radius and damping."""
    n = jac.shape[1]
    if way == "triangle":
        Q, R = np.linalg.qr(jac.transpose(0, 2, 1))
        lower, side = R.transpose(0, 2, 1), (Q.transpose(0, 2, 1) @ fun[:, :, None])[..., 0]
    else:
        lower, side = jac @ jac.transpose(0, 2, 1), (jac @ fun[:, :, None])[..., 0]
    entries = [lower[:, i, j] for i in range(n) for j in range(i + 1)]
    return [*entries, *side.T, *(diag * diag).T, delta, par]


def region(way: str, n: int, lanes: Lanes, given: list[Vec]) -> TrustRegion:
    """Return the problem from its columns."""
    places = [(i, j) for i in range(n) for j in range(i + 1)]
    m = len(places)
    A, g = dict(zip(places, given, strict=False)), given[m : m + n]
    D2, delta, par = given[m + n : m + 2 * n], given[m + 2 * n], given[m + 2 * n + 1]
    if way == "triangle":
        return TriangleRegion(Triangle.of(lanes, n), A, g, gradient(lanes, A, g), D2, delta, par)
    return Region(A, g, D2, delta, par)


def whole_step(lanes: Lanes, problem: TrustRegion) -> Step:
    """Emit the step of every lane, all dampings at once."""
    return lm_step(lanes, problem, Vectors(lanes, SEARCH), lanes.real(1.0) > 0)


def covariances(normal: Floats, held: Any, n: int, machine: Machine) -> tuple[Floats, Any]:
    """Return (JᵀJ)⁻¹ and the verdicts."""
    found = finished(normal, n, machine, held, np.ones(len(normal)))
    variance = np.einsum("kii->ki", found.cov)
    free = np.ones_like(variance, dtype=np.bool_) if held is None else ~held
    np.testing.assert_allclose(found.stderr[free], np.sqrt(variance)[free])
    assert np.isnan(found.stderr[~free]).all()
    large = (variance > 4.0).any(axis=1)
    well = found.verdict < Verdict.ILL_CONDITIONED
    np.testing.assert_array_equal(found.verdict[well] == Verdict.DOUBTFUL, large[well])
    return found.cov, found.verdict


@EVERY_MACHINE
@SIZES
@BOTH_WAYS
def test_the_step_and_its_damping_are_minpacks(way: str, n: int, machine: Machine) -> None:
    jac, fun, diag, delta, par = problems(n, seed=n)

    def body(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        step = whole_step(lanes, region(way, n, lanes, given))
        return [*step.p, step.par, step.length]

    *p, damping, length = emitted(body, machine, columns_of(way, jac, fun, diag, delta, par))
    factors = pivoted_qr(jac.copy(), fun.copy())
    expected = free_step(
        factors.R,
        factors.qtf,
        factors.pivot,
        x=np.zeros((LANES, n)),
        diag=diag,
        delta=delta,
        par=par,
    )
    np.testing.assert_array_equal(expected.par > 0, np.arange(LANES) % 2)
    np.testing.assert_allclose(damping, expected.par, rtol=1e-8)
    np.testing.assert_allclose(np.stack(p, axis=1), expected.p, rtol=1e-7)
    np.testing.assert_allclose(length, np.sqrt(((diag * expected.p) ** 2).sum(axis=1)), rtol=1e-8)
    assert (length <= 1.1 * delta * (1 + 1e-12)).all()


@EVERY_MACHINE
@SIZES
@BOTH_WAYS
def test_a_search_that_leaves_off_goes_on_to_the_same_step(
    way: str, n: int, machine: Machine
) -> None:
    columns = columns_of(way, *problems(n, seed=n))

    def at_once(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        step = whole_step(lanes, region(way, n, lanes, given))
        return [*step.p, step.par, step.length]

    def one_by_one(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        problem, wanted = region(way, n, lanes, given), given[-1] > 0
        memory, found = Vectors(lanes, SEARCH), [lanes.real(0.0)] * (n + 2)
        some_wait = lanes.real(0.0)
        for _ in range(12):
            spared = ir.IntType(64)(LANES)
            step = lm_step(lanes, problem, memory, wanted, spared)
            waits = memory.get("tried") > 0
            through = wanted & ~waits
            new = [*step.p, step.par, step.length]
            found = [lanes.where(through, a, b) for a, b in zip(new, found, strict=True)]
            some_wait = lanes.larger(lanes.to_real(waits), some_wait)
            wanted = waits
        return [*found, some_wait, lanes.to_real(wanted)]

    expected = emitted(at_once, machine, columns)
    asked = np.ones(LANES)
    asked[:3] = 0
    *found, some_wait, left = emitted(one_by_one, machine, [*columns, asked])
    np.testing.assert_array_equal(found, np.stack(expected) * asked)
    np.testing.assert_array_equal(some_wait, (np.arange(LANES) % 2) * asked)
    assert not left.any()


@EVERY_MACHINE
@SIZES
@BOTH_WAYS
def test_the_step_inside_bounds_is_the_reference_engines(
    way: str, n: int, machine: Machine
) -> None:
    jac, fun, diag, delta, par = problems(n, seed=100 + n)
    rng = np.random.default_rng(n)
    size = np.abs(jac @ fun[:, :, None])[..., 0].mean(axis=0) / (jac * jac).sum(axis=2).mean(axis=0)
    lower, upper = -size, size
    x = rng.uniform(-size, size, (LANES, n))
    x[::3] = np.where(rng.random((len(x[::3]), n)) < 0.5, size, x[::3])  # some begin on a face

    def body(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        at, given = given[:n], given[n:]
        box = Box([lanes.real(v) for v in lower], [lanes.real(v) for v in upper])
        problem = region(way, n, lanes, given)
        step, target = bounded_step(lanes, problem, Vectors(lanes, SEARCH), at, box)
        return [*step.p, *target]

    columns = [*x.T, *columns_of(way, jac, fun, diag, delta, par)]
    found = np.stack(emitted(body, machine, columns), axis=1)
    factors = pivoted_qr(jac.copy(), fun.copy())
    gradient = (jac @ fun[:, :, None])[..., 0]
    expected = ReferenceBox(lower, upper).step(
        factors.R,
        factors.qtf,
        factors.pivot,
        x=x,
        diag=diag,
        delta=delta,
        par=par,
        gradient=gradient,
    )
    p, target = found[:, :n], found[:, n:]
    assert ((target >= lower) & (target <= upper)).all()
    full = expected.par == 0  # else both damp within a tenth of the radius, by other brackets
    assert full.any()
    np.testing.assert_allclose(p[full], expected.p[full], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(target[full], expected.x_new[full], rtol=1e-6, atol=1e-12)
    inner = ~full & ((target > lower) & (target < upper)).all(axis=1)
    reach = np.sqrt(((diag * p) ** 2).sum(axis=1)) / delta
    assert (np.abs(reach[inner] - 1) <= 0.1 + 1e-9).all()
    np.testing.assert_allclose(p[inner], expected.p[inner], rtol=0.5)


@EVERY_MACHINE
def test_a_parameter_without_influence_stands_still(machine: Machine) -> None:
    jac, fun, diag, delta, par = problems(3, seed=7)
    jac[:, 1] = 0.0
    jac[8:, 2] = 2.0 * jac[8:, 0]

    def body(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        return whole_step(lanes, region("normal equations", 3, lanes, given)).p

    p = emitted(
        body, machine, columns_of("normal equations", jac, fun, diag, np.full(LANES, 1e9), par)
    )
    expected = [np.linalg.lstsq(j.T, -f, rcond=None)[0] for j, f in zip(jac, fun, strict=True)]
    assert (p[1] == 0).all()
    found = np.einsum("ij,ijk->ik", np.stack(p, axis=1), jac)
    image = np.einsum("ij,ijk->ik", np.stack(expected), jac)
    np.testing.assert_allclose(found, image, rtol=1e-6, atol=1e-9)
    del delta


@EVERY_MACHINE
@SIZES
@pytest.mark.parametrize("count", [1, 7, 40])
def test_covariances_are_the_inverse(n: int, count: int, machine: Machine) -> None:
    rng = np.random.default_rng(n)
    jac = rng.normal(size=(count, n, n + 10)) * 10.0 ** rng.uniform(-3, 3, (count, n, 1))
    square = jac @ jac.transpose(0, 2, 1)
    normal = np.stack([square[:, i, j] for i in range(n) for j in range(i + 1)], axis=1)
    cov_x, verdict = covariances(normal, None, n, machine)
    scale = np.sqrt(np.einsum("kii->ki", square))
    expected = np.linalg.inv(square / scale[:, :, None] / scale[:, None, :])
    np.testing.assert_allclose(
        cov_x * scale[:, :, None] * scale[:, None, :], expected, rtol=1e-9, atol=1e-11
    )
    assert (verdict <= Verdict.DOUBTFUL).all()


def test_held_parameters_have_no_covariance_and_leave_that_of_the_others() -> None:
    rng = np.random.default_rng(3)
    jac = rng.normal(size=(20, 3, 9))
    square = jac @ jac.transpose(0, 2, 1)
    normal = np.stack([square[:, i, j] for i in range(3) for j in range(i + 1)], axis=1)
    held = np.zeros((20, 3), dtype=np.bool_)
    held[:, 1] = True
    cov_x, _ = covariances(normal, held, 3, machines()[0])
    np.testing.assert_array_equal(cov_x[:, 1], 0.0)
    np.testing.assert_array_equal(cov_x[:, :, 1], 0.0)
    expected = np.linalg.inv(square[:, ::2, ::2])
    np.testing.assert_allclose(cov_x[:, ::2, ::2], expected, rtol=1e-10)


def test_equations_are_ill_conditioned_from_a_pivot_of_1e_7_on() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 50))
    sine2 = 1 - (first @ second) ** 2 / (first @ first) / (second @ second)
    pivot = np.array([1e-4, 1.1e-7, 0.9e-7, 1e-12, 0.0])
    nearness = np.sqrt(pivot * (9 * first @ first) / ((second @ second) * sine2))
    normal = []
    for eps in nearness:
        J = np.stack([first, 3.0 * first + eps * second])
        S = J @ J.T
        normal.append([S[0, 0], S[1, 0], S[1, 1]])
    _, verdict = covariances(np.array(normal), None, 2, machines()[0])
    np.testing.assert_array_equal(verdict == Verdict.ILL_CONDITIONED, pivot < 1e-7)


def test_a_sum_of_squares_that_is_not_finite_has_no_covariance_to_speak_of() -> None:
    scale = np.array([1.0, np.inf, np.nan, 1.0])
    found = finished(np.full((4, 1), 2.0), 1, machines()[0], None, scale)
    np.testing.assert_array_equal(found.verdict == Verdict.LOST, [False, True, True, False])
