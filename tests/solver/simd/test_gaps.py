"""Curves with values that are not finite: fitted in lanes as they lie, without these points."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.library import get_model
from manyfit.solver.status import Flag, Status

N, P = 83, 37
RNG = np.random.default_rng(20261123)
X = np.linspace(0, 5, P)
MODEL = Model.from_expression("a*exp(-b*x) + c")
A, B, C = RNG.uniform([[1.5], [1.0], [0.3]], [[2.5], [2.0], [0.7]], (3, N))
CLEAN = A[:, None] * np.exp(-B[:, None] * X) + C[:, None] + RNG.normal(0, 0.03, (N, P))
HOLES = RNG.random((N, P)) < np.linspace(0, 0.3, N)[:, None]
Y = np.where(HOLES, np.nan, CLEAN)
SIGMA = RNG.uniform(0.02, 0.05, (N, P))
OWN_X = np.sort(RNG.uniform(0, 5, (N, P)), axis=1)
OWN_Y = A[:, None] * np.exp(-B[:, None] * OWN_X) + C[:, None] + 0.02 * np.sin(9 * OWN_X)
LENGTHS = RNG.integers(20, P + 1, N)
FLAT = np.arange(P) < LENGTHS[:, None]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
WITH_CONSTANT = Model.from_expression("a*exp(-b*x) + c + q*x", constants=["q"])

CASES: Mapping[str, dict[str, Any]] = {
    "shared x": {},
    "x per curve": {"x": OWN_X, "y": np.where(HOLES, np.nan, OWN_Y)},
    "infinite": {"y": np.where(HOLES, -np.inf, CLEAN)},
    "float32": {"y": Y.astype(np.float32)},
    "sigma": {"sigma": SIGMA, "absolute_sigma": True},
    "ragged": {"x": np.tile(X, (N, 1))[FLAT], "y": Y[FLAT], "offsets": OFFSETS},
    "ragged, with sigma": {
        "x": np.tile(X, (N, 1))[FLAT],
        "y": Y[FLAT],
        "sigma": SIGMA[FLAT],
        "offsets": OFFSETS,
    },
    "fixed": {"fixed": {"c": C}},
    "bounds": {"bounds": {"c": (0.5, None)}, "p0": [1.0, 1.0, 0.6]},
    "scales": {"diag": [1.0, 2.0, 1.0]},
    "constants": {"model": WITH_CONSTANT, "y": Y + 0.1 * X, "constants": {"q": 0.1}},
}


def fitted(**changes: Any) -> Any:
    arguments = {"model": MODEL, "x": X, "y": Y, "p0": [1.0, 1.0, 0.0], **changes}
    return fit_curves(**arguments)


@pytest.mark.parametrize("case", CASES)
def test_they_end_where_the_reference_engine_ends(case: str) -> None:
    ours, theirs = (fitted(**CASES[case], engine=e) for e in ("simd", "reference"))
    assert ours.compiled.all()
    assert ours.success.all()
    for name in ("n_points", "dof", "flags", "at_bound", "undetermined"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)
    free = np.isfinite(theirs.stderr)
    apart = np.abs(ours.params - theirs.params)
    assert (apart[free] <= 1e-4 * theirs.stderr[free]).all()
    np.testing.assert_allclose(ours.stderr, theirs.stderr, rtol=1e-5)


def test_points_are_counted_and_the_omission_is_flagged() -> None:
    fit = fitted()
    np.testing.assert_array_equal(fit.n_points, P - HOLES.sum(axis=1))
    np.testing.assert_array_equal(fit.dof, fit.n_points - 3)
    omitted = np.asarray(fit.flags & np.uint8(Flag.POINTS_OMITTED), dtype=np.bool_)
    np.testing.assert_array_equal(omitted, HOLES.any(axis=1))


def test_what_stands_in_a_gap_and_who_stands_beside_it_change_no_bit() -> None:
    whole = fitted()
    rest = np.where(HOLES, np.inf, CLEAN)
    spoilt = rest.copy()
    spoilt[::2] = np.nan  # neighbours of which nothing is left
    order = RNG.permutation(N)
    versions = {
        "infinite": (fitted(y=rest), np.arange(N)),
        "beside lost ones": (fitted(y=spoilt), np.arange(1, N, 2)),
        "in another order": (fitted(y=Y[order]), order),
    }
    for version, (fit, rows) in versions.items():
        own = rows if version == "beside lost ones" else np.arange(N)
        for name in ("params", "cov", "stderr", "status", "nfev", "cost", "n_points", "flags"):
            seen = getattr(fit, name)[own]
            np.testing.assert_array_equal(seen, getattr(whole, name)[rows], err_msg=version)
    for i in (0, 17, N - 1):
        alone = fitted(y=Y[i : i + 1])
        np.testing.assert_array_equal(alone.params[0], whole.params[i])
        np.testing.assert_array_equal(alone.cov[0], whole.cov[i])


def test_curves_of_which_too_little_is_left_have_a_status() -> None:
    y = Y.copy()
    y[5], y[6, 2:], y[7, 3:] = np.nan, np.nan, np.nan
    y[6, :2], y[7, :3] = CLEAN[6, :2], CLEAN[7, :3]
    fit = fitted(y=y)
    assert fit.status[5] == Status.NONFINITE_DATA
    assert fit.status[6] == Status.TOO_FEW_POINTS
    np.testing.assert_array_equal(fit.n_points[5:8], [0, 2, 3])
    assert fit.flags[7] & Flag.NO_DOF
    assert np.isnan(fit.params[5:7]).all()
    assert np.isnan(fit.cov[5:8]).all()
    others = np.delete(np.arange(N), [5, 6, 7])
    np.testing.assert_array_equal(fit.params[others], fitted().params[others])


@pytest.mark.parametrize("policy", ["propagate", "raise"])
def test_other_policies_omit_nothing(policy: str) -> None:
    if policy == "raise":
        with pytest.raises(ValueError, match="not finite"):
            fitted(nan_policy=policy)
        return
    fit = fitted(nan_policy=policy)
    bad = HOLES.any(axis=1)
    np.testing.assert_array_equal(fit.status == Status.NONFINITE_DATA, bad)
    assert fit.success[~bad].all()


@pytest.mark.parametrize("case", ["shared x", "x per curve", "ragged"])
def test_the_model_guesses_from_what_is_left(case: str) -> None:
    model = get_model("exponential_decay")
    arguments = {**CASES[case], "model": model, "p0": None}
    ours, theirs = (fitted(**arguments, engine=e) for e in ("simd", "reference"))
    assert ours.compiled.all()
    assert ours.success.all()
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)
    np.testing.assert_array_equal(ours.n_points, theirs.n_points)
    lost = {**arguments, "y": np.array(arguments.get("y", Y))}
    first = slice(0, 1) if lost["y"].ndim == 2 else slice(0, int(LENGTHS[0]))
    lost["y"][first] = np.nan
    fit = fitted(**lost)
    assert fit.status[0] == Status.NONFINITE_DATA
    np.testing.assert_array_equal(fit.params[1:], ours.params[1:])


@pytest.mark.parametrize(
    ("formula", "x", "truth", "start"),
    [
        ("a*log(x) + b", np.linspace(-1.0, 4.0, 40), [1.5, 0.5], [1.0, 1.0]),
        ("a*exp(b*x)", np.append(np.linspace(0.0, 2.0, 39), 880.0), [1.5, 0.85], [1.0, 0.75]),
    ],
    ids=["no model there", "no model on the way"],
)
def test_the_model_need_not_be_finite_where_there_is_a_gap(
    formula: str, x: Floats, truth: list[float], start: list[float]
) -> None:
    model = Model.from_expression(formula)
    good = (x > 0.05) & (x < 5)
    with np.errstate(all="ignore"):
        y = np.where(good, model.func(x, *truth), np.nan) + RNG.normal(0, 0.01, (9, x.size))
    fit = fit_curves(model, x, y, p0=start)
    rest = fit_curves(model, x[good], y[:, good], p0=start)
    assert fit.compiled.all()
    assert fit.success.all()
    np.testing.assert_array_equal(fit.nfev, rest.nfev)
    np.testing.assert_allclose(fit.params, rest.params, rtol=1e-8)
    np.testing.assert_allclose(fit.cov, rest.cov, rtol=1e-6, atol=1e-14)
