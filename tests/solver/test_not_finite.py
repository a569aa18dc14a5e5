"""Starts and steps to where values are not finite: as in MINPACK, and never a success."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.minpack import solve
from manyfit.solver.state import Solution
from manyfit.solver.status import Status
from tests.solver.kinds import (
    KINDS,
    Curves,
    Kind,
    as_minpack,
    assert_same_bits,
    decay_derivatives,
    rules,
)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_at_the_start_is_not_fitted(bad: float) -> None:
    curves = KINDS["decay"].curves(4)
    curves.y[2, 5] = bad
    found = solve(curves, curves.start, rules())
    assert found.status[2] == Status.MODEL_NONFINITE
    assert (found.nfev[2], found.njev[2]) == (1, 0)
    good = curves.take(np.array([0, 1, 3]))
    assert_same_bits(solve(good, good.start, rules()), [pick(found, [0, 1, 3])])


def pick(found: Solution, rows: list[int]) -> Solution:
    """Return the ends of some curves."""
    return Solution(
        *(getattr(found, n)[rows] for n in ("params", "fnorm", "status", "nfev", "njev"))
    )


def test_a_jacobian_that_is_not_finite_ends_the_fit_where_it_stands() -> None:
    kind = KINDS["decay"]

    def broken(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
        e, da, dc = decay_derivatives(x, a, b, c)
        return e, np.where(b > 1.2, np.nan, da), dc

    curves = replace(kind, derivatives=broken).curves(6)
    curves.start[:] = [[1, 1, 1]] * 3 + [[1, 2, 1]] * 3
    found = solve(curves, curves.start, rules())
    np.testing.assert_array_equal(found.status, Status.JACOBIAN_NONFINITE)
    assert np.isfinite(found.params).all()
    assert np.all(found.params[:, 1] > 1.2)
    np.testing.assert_array_equal(found.params[3:], curves.start[3:])
    np.testing.assert_array_equal(found.njev[3:], 1)


GROWTH = Kind(
    lambda x, a, b: a * np.exp(b * x),
    lambda x, a, b: (np.exp(b * x), a * x * np.exp(b * x)),
    np.linspace(0, 100, 20),
    truth=(1e-3, 0.15),
    start=(0.01, -0.1),
    noise=0.1,
)


def count_lost(curves: Curves) -> tuple[Solution, int]:
    """Solve, and count the trials with residuals that are not finite."""
    lost = 0

    class Watched(Curves):
        def residuals(self, params: Floats) -> Floats:
            nonlocal lost
            fun = super().residuals(params)
            lost += int((~np.isfinite(fun)).any(axis=1).sum())
            return fun

    found = solve(Watched(curves.kind, curves.y, curves.start), curves.start, rules())
    return found, lost


def test_trial_steps_that_overflow_end_as_in_minpack() -> None:
    curves = GROWTH.curves(40)
    found, lost = count_lost(curves)
    assert lost >= 20
    ends = [curves.by_minpack(i) for i in range(40)]
    fnorm = [np.linalg.norm(info["fvec"]) for _, _, info, _, _ in ends]
    nfev = np.array([info["nfev"] for _, _, info, _, _ in ends])
    np.testing.assert_allclose(found.fnorm, fnorm, rtol=1e-9)
    assert np.mean(found.nfev == nfev) >= 0.9


@pytest.mark.parametrize("rate", [5.0, 50.0, 300.0, 700.0, 900.0])
def test_a_start_whose_derivatives_all_but_underflow_ends_as_in_minpack(rate: float) -> None:
    # exp(-700 * 0.7) is 1e-213: the radius is tiny, the damping huge, and the step still right.
    kind = Kind(
        lambda x, a, b: a * np.exp(-b * x),
        lambda x, a, b: (np.exp(-b * x), -a * x * np.exp(-b * x)),
        np.linspace(0.7, 1.5, 12),
        truth=(2, 1.2),
        start=(1, rate),
        noise=0.0,
    )
    curves = kind.curves(1)
    curves.start[:] = 1, rate
    found = solve(curves, curves.start, rules())
    _, _, info, _, status = curves.by_minpack(0, maxfev=600)
    assert (found.status[0], found.nfev[0]) == (status, info["nfev"])
    assert found.fnorm[0] <= np.linalg.norm(info["fvec"]) * (1 + 1e-9)


def test_trial_steps_into_nan_end_as_in_minpack() -> None:
    root = Kind(
        lambda x, a, b: a * np.sqrt(b + x),
        lambda x, a, b: (np.sqrt(b + x), a / 2 / np.sqrt(b + x)),
        np.linspace(0, 3, 20),
        truth=(2, 0.05),
        start=(1.0, 4.0),
        noise=0.02,
    )
    curves = root.curves(40)
    found, lost = count_lost(curves)
    assert lost >= 20
    assert np.mean(as_minpack(curves, found)) >= 0.95


@pytest.mark.parametrize("kind", [*KINDS.values(), GROWTH], ids=[*KINDS.keys(), "growth"])
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
@pytest.mark.parametrize("spread", [1.0, 5.0, 30.0])
def test_no_start_however_wild_gives_a_success_that_is_none(
    kind: Kind, exact: bool, spread: float
) -> None:
    rng = np.random.default_rng(int(spread))
    curves = replace(kind.curves(60), exact=exact)
    start = (
        curves.start
        * rng.choice([-1, 1], curves.start.shape)
        * rng.lognormal(sigma=spread, size=curves.start.shape)
    )
    found = solve(curves, start, rules(maxfev=200))
    codes = {int(s) for s in Status}
    assert set(found.status.tolist()) <= codes - {Status.IMPROPER_INPUT}
    assert np.all(found.nfev <= 200 + len(kind.truth))
    with np.errstate(all="ignore"):
        before = np.linalg.norm(curves.residuals(start), axis=1)
    began = found.status != Status.MODEL_NONFINITE
    assert np.isfinite(found.params).all()
    assert np.isfinite(found.fnorm[began]).all()
    assert np.all(found.fnorm[began] <= before[began] * (1 + 1e-12))
    gave_up = (found.status == Status.MAXFEV) & (found.nfev < 200)
    assert not gave_up.any()
