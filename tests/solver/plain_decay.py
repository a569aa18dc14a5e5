"""A decay as a plain function, curves of it, and whether a fit went by its formula."""

from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats
from manyfit.solver.graph.graph import GraphFunction
from manyfit.solver.result import BatchFit

X = np.linspace(0.1, 3, 24)


def noisy(n_curves: int = 3) -> Floats:
    """Return decays."""
    rng = np.random.default_rng(7)
    exact = rng.uniform(1.5, 2.5, (n_curves, 1)) * np.exp(-1.2 * X)
    return exact + 0.02 * rng.normal(size=exact.shape)


def decay(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x)


def decay_jac(x: Any, a: Any, b: Any) -> list[Any]:
    return [np.exp(-b * x), -a * x * np.exp(-b * x)]


def by_formula(fit: BatchFit) -> bool:
    """Return whether a fit was done by a formula that was read from a plain function."""
    return fit.model.graph is not None and isinstance(fit.model.func, GraphFunction)
