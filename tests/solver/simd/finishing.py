"""Covariances of given normal equations, by the compiled function."""

from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats
from manyfit.solver.bounds import Box
from manyfit.solver.simd.engine import Covariances, Ends, finish
from manyfit.solver.simd.finish import Finish
from manyfit.solver.simd.machine import Machine


def finished(normal: Floats, n: int, machine: Machine, held: Any, scale: Floats) -> Covariances:
    """Return the covariances of curves whose parameters are 1, or 2 on a bound where `held`.

    `normal` is (n_curves, n(n+1)/2), the lower triangles by rows; `scale` (n_curves,).
    """
    count = len(normal)
    params = np.ones((count, n)) if held is None else np.where(held, 2.0, 1.0)
    counts = np.zeros(count, dtype=np.int32)
    ends = Ends(
        params, 0.5 * scale, np.zeros(count), counts, counts, np.zeros(count, np.int8), counts
    )
    covariances = Covariances(
        np.full((count, n, n), -1.0),
        np.full((count, n), -1.0),
        np.full(count, -1, dtype=np.int8),
        np.ones(count, dtype=np.int32),
    )
    box = None if held is None else Box(np.full(n, -np.inf), np.full(n, 2.0))
    made_for = Finish(n, tuple(range(n)), bounded=box is not None, absolute=False)
    places = np.arange(count)
    finish(made_for, machine, np.ascontiguousarray(normal), ends, places, covariances, box)
    return covariances
