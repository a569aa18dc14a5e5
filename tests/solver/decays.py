"""Noisy decays, the model of them, and how the results of two batches are compared."""

from dataclasses import replace
from typing import Any

import numpy as np

from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.model import Model
from manyfit.solver.result import BatchFit
from manyfit.solver.status import Status

X = np.linspace(0, 4, 50)


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def decay_jac(x: Any, a: Any, b: Any, c: Any) -> list[Any]:
    e = np.exp(-b * x)
    return [e, -a * x * e, np.ones_like(c * x)]


def level(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess: the range, 2, and the minimum."""
    assert x.shape in {(1, y.shape[1]), y.shape}
    assert valid.shape == y.shape
    low = y.min(axis=1)
    return np.stack([y.max(axis=1) - low, np.full(len(y), 2.0), low], axis=1)


EXACT = Model.from_function(decay, jac=decay_jac)
GUESSING = replace(EXACT, guess=level)


def noisy(n_curves: int = 8, n_points: int = 50, seed: int = 0) -> Floats:
    """Return noisy decays on the first points of X."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform([1, 1, 0.2], [3, 2, 0.8], (n_curves, 3)).T[:, :, None]
    exact = decay(X[:n_points], *truth)
    return np.asarray(exact + 0.05 * rng.normal(size=exact.shape))


RESULTS = ("params", "cov", "stderr", "status", "flags", "nfev", "njev", "cost", "n_points", "dof")


def assert_same_bits(found: BatchFit, expected: BatchFit, rows: Any = slice(None)) -> None:
    """Assert that all results of some curves are those of another batch."""
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(found, name)[rows], getattr(expected, name))


def assert_not_fitted(fit: BatchFit, row: int, status: Status) -> None:
    """Assert that a curve has a code, and NaN for everything a fit would give."""
    assert Status(int(fit.status[row])) == status
    for name in ("params", "cov", "stderr", "cost", "redchi"):
        assert np.isnan(getattr(fit, name)[row]).all(), name
