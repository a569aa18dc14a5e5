"""The triangle that takes up rows against LAPACK's QR, and its step where columns nearly agree."""

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.bounds import free_step
from manyfit.solver.qr import pivoted_qr
from manyfit.solver.simd.lanes import INT64, Lanes, Vec
from manyfit.solver.simd.machine import Machine, machines
from manyfit.solver.simd.slots import Vectors
from manyfit.solver.simd.step import SEARCH, lm_step
from manyfit.solver.simd.triangle import ROWS, Triangle
from manyfit.solver.simd.triangle_step import TriangleRegion, gradient, image, squares
from tests.solver.simd.emitting import LANES, emitted

EVERY_MACHINE = pytest.mark.parametrize("machine", machines(), ids=lambda m: m.name)
EPSILON = np.finfo(np.float64).eps


def absorbed(rows: Floats, machine: Machine) -> tuple[Floats, Floats]:
    """Take up rows, (LANES, n_rows, n + 1), by blocks; return R (LANES, n, n) and its last column.

    Where there are fewer rows than a block has, the others are zero.
    """
    n_rows, n = rows.shape[1], rows.shape[2] - 1

    def body(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        triangle = Triangle.of(lanes, n)
        triangle.clear()
        for first in range(0, n_rows, ROWS):
            triangle.clear_block()
            for row in range(first, min(n_rows, first + ROWS)):
                for column in range(n + 1):
                    value = given[row * (n + 1) + column]
                    triangle.put_row(INT64(row - first), column, value)
            triangle.absorb()
        R, q = triangle.get()
        return [*R.values(), *q]

    columns = list(rows.reshape(LANES, -1).T)
    found = np.stack(emitted(body, machine, columns), axis=1)
    R, places = np.zeros((LANES, n, n)), np.tril_indices(n)
    R[:, places[1], places[0]] = found[:, : len(places[0])]
    return R, found[:, len(places[0]) :]


@EVERY_MACHINE
@pytest.mark.parametrize(("n", "n_rows"), [(1, 1), (1, 30), (3, 8), (4, 11), (9, 9), (9, 40)])
def test_the_triangle_is_lapacks(n: int, n_rows: int, machine: Machine) -> None:
    rng = np.random.default_rng(100 * n + n_rows)
    rows = rng.normal(size=(LANES, n_rows, n + 1)) * 10.0 ** rng.uniform(-6, 6, (LANES, 1, n + 1))
    R, q = absorbed(rows, machine)
    for k in range(LANES):
        Q, expected = np.linalg.qr(rows[k, :, :n])
        turned = np.sign(np.diag(R[k])) * np.sign(np.diag(expected))
        size = np.linalg.norm(rows[k], axis=0)
        assert (np.abs(R[k] - turned[:, None] * expected) <= 1e-13 * size[:n]).all()
        assert (np.abs(q[k] - turned * (Q.T @ rows[k, :, n])) <= 1e-12 * size[n]).all()


@EVERY_MACHINE
def test_rows_of_zeros_change_no_bit_wherever_they_stand_at_the_end(machine: Machine) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(LANES, 11, 5))
    rows[:, :, 2] = 0.0  # a column without weight has a diagonal of zero
    R, q = absorbed(rows, machine)
    padded = np.concatenate([rows, np.zeros((LANES, 25, 5))], axis=1)
    longer, rest = absorbed(padded, machine)
    np.testing.assert_array_equal(longer, R)
    np.testing.assert_array_equal(rest, q)
    np.testing.assert_array_equal(R[:, 2], 0.0)
    np.testing.assert_array_equal(q[:, 2], 0.0)


@EVERY_MACHINE
def test_small_rows_before_large_ones_are_kept(machine: Machine) -> None:
    """Rows of a damped step may be 1e12 times those of the Jacobian; what these say must stay."""
    rng = np.random.default_rng(3)
    small = rng.normal(size=(LANES, ROWS, 4))
    large = np.zeros((LANES, 3, 4))
    large[:, [0, 1, 2], [0, 1, 2]] = 1e12 * rng.uniform(1, 2, (LANES, 3))
    R, q = absorbed(np.concatenate([small, large], axis=1), machine)
    for k in range(LANES):
        square = small[k, :, :3].T @ small[k, :, :3] + np.diag(np.diag(large[k]) ** 2)
        expected = np.linalg.solve(square, small[k, :, :3].T @ small[k, :, 3])
        np.testing.assert_allclose(np.linalg.solve(R[k], q[k]), expected, rtol=1e-9)


@EVERY_MACHINE
def test_what_is_read_off_the_triangle_is_the_jacobians(machine: Machine) -> None:
    rng = np.random.default_rng(4)
    jac, fun, p = rng.normal(size=(LANES, 9, 4)), rng.normal(size=(LANES, 9)), rng.normal(size=4)
    Q, R = np.linalg.qr(jac)
    q = (Q.transpose(0, 2, 1) @ fun[:, :, None])[..., 0]

    def body(lanes: Lanes, given: list[Vec]) -> list[Vec]:
        places = [(j, i) for j in range(4) for i in range(j + 1)]
        R, q = dict(zip(places, given, strict=False)), given[10:]
        square, slope = image(lanes, R, q, [lanes.real(value) for value in p])
        return [*gradient(lanes, R, q), *squares(lanes, R, 4), square, slope]

    found = emitted(body, machine, [*(R[:, i, j] for j in range(4) for i in range(j + 1)), *q.T])
    along = jac @ p
    expected = [*np.einsum("kij,ki->jk", jac, fun), *(jac * jac).sum(axis=1).T]
    expected += [(along * along).sum(axis=1), (along * fun).sum(axis=1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@EVERY_MACHINE
@pytest.mark.parametrize("apart", [1e-5, 1e-8, 1e-10])
def test_the_step_is_minpacks_where_columns_nearly_agree(apart: float, machine: Machine) -> None:
    """Normal equations see nothing of what is 1e-8 apart: its square is rounding."""
    rng = np.random.default_rng(5)
    jac = rng.normal(size=(LANES, 4, 30))
    jac[:, 2] = 0.5 * jac[:, 0] - 2.0 * jac[:, 1] + apart * rng.normal(size=(LANES, 30))
    fun = rng.normal(size=(LANES, 30))
    diag = np.linalg.norm(jac, axis=2)
    factors = pivoted_qr(jac.copy(), fun.copy())
    given = {"x": np.zeros((LANES, 4)), "diag": diag, "par": np.zeros(LANES)}
    pivots = (factors.R, factors.qtf, factors.pivot)
    longest = free_step(*pivots, delta=np.full(LANES, 1e300), **given)
    length = np.linalg.norm(diag * longest.p, axis=1)
    delta = length * np.where(np.arange(LANES) % 2, 10.0 ** rng.uniform(-9, -0.2, LANES), 2.0)
    expected = free_step(*pivots, delta=delta, **given)

    def body(lanes: Lanes, columns: list[Vec]) -> list[Vec]:
        places = [(j, i) for j in range(4) for i in range(j + 1)]
        R, q = dict(zip(places, columns, strict=False)), columns[10:14]
        problem = TriangleRegion(
            Triangle.of(lanes, 4),
            R,
            q,
            gradient(lanes, R, q),
            columns[14:18],
            columns[18],
            lanes.real(0.0),
        )
        step = lm_step(lanes, problem, Vectors(lanes, SEARCH), lanes.real(1.0) > 0)
        return [*step.p, step.par, step.length]

    Q, R = np.linalg.qr(jac.transpose(0, 2, 1))
    q = (Q.transpose(0, 2, 1) @ fun[:, :, None])[..., 0]
    lower = [R[:, i, j] for j in range(4) for i in range(j + 1)]
    *p, par, reach = emitted(body, machine, [*lower, *q.T, *(diag * diag).T, delta])
    np.testing.assert_array_equal(expected.par > 0, np.arange(LANES) % 2)
    loss = 100 * EPSILON * np.linalg.cond(jac / diag[:, :, None])
    assert (np.abs(par - expected.par) <= np.maximum(1e-8, 10 * loss) * expected.par).all()
    step = np.stack(p, axis=1)
    error = np.linalg.norm(diag * (step - expected.p), axis=1)
    assert (error <= np.maximum(1e-9, loss) * np.linalg.norm(diag * expected.p, axis=1)).all()
    np.testing.assert_allclose(reach, np.linalg.norm(diag * step, axis=1), rtol=1e-9)
