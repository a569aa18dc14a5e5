"""A lane's result depends on its own operands alone, to the bit, whatever stands beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.simd import elementary
from manyfit.solver.simd.elementary import ELEMENTARY
from manyfit.solver.simd.machine import Machine, machines
from tests.solver.simd.elementary.kernels import Floats, kernel
from tests.solver.simd.elementary.reference import binades, both

MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **ELEMENTARY,
    "exp10": elementary.exp10,
    "sine of both": lambda lanes, x: elementary.sincos(lanes, x)[0],
    "cosine of both": lambda lanes, x: elementary.sincos(lanes, x)[1],
}


def operands() -> tuple[Floats, Floats]:
    """Return ordinary numbers, and those that take the rare branches, side by side."""
    rng = np.random.default_rng(8)
    ordinary = rng.uniform(-3.0, 3.0, 100)
    extreme = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e22, -1e300, 1e6, 0.5]
    x = np.concatenate([ordinary, extreme, both(binades(-300, 300, 20)), rng.uniform(0, 1, 105)])
    return rng.permutation(x), rng.permutation(x)


@MACHINES
@pytest.mark.parametrize("name", FUNCTIONS)
def test_neighbours_change_no_bit(name: str, machine: Machine) -> None:
    arity = OPERATIONS[name].arity if name in OPERATIONS else 1
    columns = operands()[:arity]
    width = 2 * machine.register
    run = kernel(FUNCTIONS[name], machine, width, arity)
    together = run(*columns).view(np.int64)
    order = np.random.default_rng(3).permutation(columns[0].size)
    np.testing.assert_array_equal(run(*(c[order] for c in columns)).view(np.int64), together[order])
    alone = [run(*(np.full(width, c[i]) for c in columns)) for i in range(0, len(together), 7)]
    for values, wanted in zip(alone, together[::7], strict=True):
        assert set(values.view(np.int64)) == {wanted}
