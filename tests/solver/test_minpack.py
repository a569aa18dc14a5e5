"""The engine against MINPACK itself: the same ends by the same number of evaluations."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.minpack import solve, solve_alone
from manyfit.solver.status import Status
from tests.solver.kinds import KINDS, Kind, as_minpack, assert_same_bits, rules

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "factor 1": {"factor": 1.0},
    "factor 0.1": {"factor": 0.1},
    "coarse gtol": {"gtol": 1e-3},
    "coarse xtol": {"xtol": 1e-3, "ftol": 0.0},
    "coarse ftol": {"ftol": 1e-3, "xtol": 0.0},
    "all coarse": {"ftol": 1e-2, "xtol": 1e-2, "gtol": 1e-2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_fits_end_as_in_minpack(options: dict[str, Any]) -> None:
    same = []
    for kind in KINDS.values():
        curves = kind.curves(40)
        same += as_minpack(curves, solve(curves, curves.start, rules(**options)), **options)
    assert np.mean(same) >= 0.99  # the rest took another path by a rounding


def test_fits_by_differences_end_as_in_minpack() -> None:
    same = []
    for kind in KINDS.values():
        curves = replace(kind.curves(40), exact=False)
        same += as_minpack(curves, solve(curves, curves.start, rules()), rtol=1e-6)
    assert np.mean(same) >= 0.95


def test_fits_with_given_scales_end_as_in_minpack() -> None:
    same = []
    for kind in KINDS.values():
        curves = kind.curves(40)
        diag = np.linspace(1, 10, len(kind.truth))
        same += as_minpack(curves, solve(curves, curves.start, rules(diag=diag)), diag=diag)
    assert np.mean(same) >= 0.99


@pytest.mark.parametrize("maxfev", [1, 2, 5, 9])
def test_fits_that_are_cut_short_stand_where_minpack_stands(maxfev: int) -> None:
    for kind in KINDS.values():
        curves = kind.curves(10)
        found = solve(curves, curves.start, rules(maxfev=maxfev))
        for i in range(10):
            x, _, info, _, status = curves.by_minpack(i, maxfev=maxfev)
            assert (status, info["nfev"]) == (found.status[i], found.nfev[i])
            np.testing.assert_allclose(found.params[i], x, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_without_tolerances_fits_end_where_machine_precision_does(kind: Kind) -> None:
    curves = kind.curves(30)
    found = solve(curves, curves.start, rules(ftol=0.0, xtol=0.0))
    ends = [curves.by_minpack(i, ftol=0, xtol=0, maxfev=600) for i in range(30)]
    np.testing.assert_allclose(
        found.fnorm, [np.linalg.norm(end[2]["fvec"]) for end in ends], rtol=1e-9
    )
    too_small = {Status.FTOL_TOO_SMALL, Status.XTOL_TOO_SMALL, Status.GTOL_TOO_SMALL}
    assert set(found.status.tolist()) <= too_small | {Status.MAXFEV}
    assert {end[4] for end in ends} <= too_small | {Status.MAXFEV}


SQUARE = replace(KINDS["decay"], x=np.array([0.1, 1.0, 3.0]), noise=0.0)
ONE = Kind(
    lambda x, b: np.exp(-b * x),
    lambda x, b: [-x * np.exp(-b * x)],
    np.arange(5.0),
    (0.7,),
    (2,),
    0.01,
)


@pytest.mark.parametrize("kind", [SQUARE, ONE], ids=["as-many-points", "one-parameter"])
def test_the_smallest_problems_end_as_in_minpack(kind: Kind) -> None:
    curves = kind.curves(30)
    assert np.mean(as_minpack(curves, solve(curves, curves.start, rules()))) >= 0.9


def test_the_residuals_end_where_the_params_are() -> None:
    curves = KINDS["wave"].curves(20)
    found = solve(curves, curves.start, rules())
    norms = np.linalg.norm(curves.residuals(found.params), axis=1)
    np.testing.assert_allclose(found.fnorm, norms, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_perfect_start_is_a_success(kind: Kind) -> None:
    curves = replace(kind, noise=0.0).curves(5)
    rng = np.random.default_rng(0)
    truth = np.array(kind.truth) * rng.uniform(0.8, 1.2, (5, len(kind.truth)))
    found = solve(curves, truth, rules())
    np.testing.assert_array_equal(found.fnorm, 0)
    np.testing.assert_array_equal(found.status, Status.CONVERGED_GTOL)
    np.testing.assert_array_equal(found.params, truth)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_curves_without_noise_are_fitted_to_rounding(kind: Kind) -> None:
    curves = replace(kind, noise=0.0).curves(20)
    found = solve(curves, curves.start, rules())
    fitted = found.fnorm <= 1e-6 * np.linalg.norm(curves.y, axis=1)
    assert fitted.mean() >= 0.8
    assert set(found.status[fitted].tolist()) <= {1, 2, 3, 4}


# One curve -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_curve_alone_ends_as_in_a_batch_and_keeps_minpacks_factors(kind: Kind) -> None:
    curves = kind.curves(6)
    for i in range(6):
        one = curves.take(np.array([i]))
        found, last = solve_alone(one, one.start, rules())
        assert_same_bits(found, [solve(one, one.start, rules())])
        np.testing.assert_array_equal(last.fun, one.residuals(found.params))
        info = curves.by_minpack(i)[2]
        scale = np.abs(info["fjac"]).max(axis=1, keepdims=True)
        np.testing.assert_array_equal(last.pivot[0], info["ipvt"] - info["ipvt"].min())
        triangle = np.triu(last.packed[0].T[: len(kind.truth)]).T
        expected = np.triu(info["fjac"].T[: len(kind.truth)]).T
        np.testing.assert_allclose(triangle / scale, expected / scale, atol=1e-6)
        np.testing.assert_allclose(last.qtf[0], info["qtf"], atol=1e-6 * found.fnorm[0])
