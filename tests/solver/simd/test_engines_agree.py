"""The compiled engine against the reference engine: one answer, whatever the data look like."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import gammaln, voigt_profile, wofz

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver.status import Flag, Status

N, RNG = 120, np.random.default_rng(20261122)
X = np.linspace(0, 5, 50)
TRUTH = np.array([2, 1.5, 0.5]) * RNG.uniform(0.8, 1.2, (N, 3))
Y = TRUTH[:, :1] * np.exp(-TRUTH[:, 1:2] * X) + TRUTH[:, 2:] + RNG.normal(0, 0.05, (N, 50))
SIGMA = RNG.uniform(0.02, 0.1, Y.shape)
STRETCH = RNG.uniform(0.9, 1.1, (N, 1))
GAPS = np.where(RNG.random(Y.shape) < 0.02, np.nan, Y)

LENGTHS = RNG.integers(12, 80, N)
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
WHOSE = np.repeat(np.arange(N), LENGTHS)
X_FLAT = RNG.uniform(0, 5, OFFSETS[-1])
Y_FLAT = TRUTH[WHOSE, 0] * np.exp(-TRUTH[WHOSE, 1] * X_FLAT) + TRUTH[WHOSE, 2]
Y_FLAT += RNG.normal(0, 0.05, OFFSETS[-1])
SIGMA_FLAT = RNG.uniform(0.02, 0.1, OFFSETS[-1])

DECAY = Model.from_expression("a*exp(-b*x) + c")
SLOPED = Model.from_expression("a*exp(-b*x) + c + k*x", constants=["k"])

RAGGED: Mapping[str, Any] = {"x": X_FLAT, "y": Y_FLAT, "offsets": OFFSETS}
TIGHT = {"ftol": 1e-13, "xtol": 1e-13}
"""For fits that converge slowly: each engine ends within ftol of the minimum, not at one place."""
CASES: dict[str, dict[str, Any]] = {
    "shared x": {},
    "float32": {"y": Y.astype(np.float32)},
    "integers": {"y": (100 * Y).astype(np.uint16), "p0": [200, 1, 50]},
    "columns": {"y": np.asfortranarray(Y)},
    "x per curve": {"x": X * STRETCH},
    "float32 x per curve": {"x": (X * STRETCH).astype(np.float32), "y": Y.astype(np.float32)},
    "sigma": {"sigma": SIGMA, "absolute_sigma": True},
    "float32 sigma": {"sigma": SIGMA.astype(np.float32)},
    "sigma a curve": {"sigma": SIGMA[:, :1], "absolute_sigma": True},
    "gaps": {"y": GAPS},
    "gaps and sigma": {"y": GAPS, "sigma": SIGMA},
    "gaps in x": {"x": np.where(np.isnan(GAPS), np.inf, X * STRETCH)},
    "ragged": {**RAGGED},
    "ragged with sigma": {**RAGGED, "sigma": SIGMA_FLAT},
    "ragged float32": {
        "x": X_FLAT.astype(np.float32),
        "y": Y_FLAT.astype(np.float32),
        "offsets": OFFSETS,
        "sigma": SIGMA_FLAT.astype(np.float32),
    },
    "p0 a curve": {"p0": TRUTH},
    "fixed": {"fixed": {"b": 1.5}},
    "fixed a curve": {"fixed": {"c": TRUTH[:, 2]}},
    "bounds that do not matter": {"bounds": {"a": (0, None)}},
    "bounds": {"bounds": {"a": (0, 2), "c": (0.5, None)}, "p0": [1, 1, 1], **TIGHT},
    "bounds and fixed": {"bounds": {"a": (0, 2)}, "p0": [1, 1.5, 1], "fixed": ["b"], **TIGHT},
    "bounds, ragged, sigma": {**RAGGED, "sigma": SIGMA_FLAT, "bounds": {"a": (0, 2)}, **TIGHT},
    "scales": {"diag": [1, 2, 3], "factor": 1.0},
    "a small first radius": {"factor": 0.1},
    "gtol": {"gtol": 1e-6, "ftol": 0.0, "xtol": 0.0},
    "constants": {"model": SLOPED, "constants": {"k": RNG.normal(0, 0.1, N)}},
    "one constant": {"model": SLOPED, "constants": {"k": 0.1}},
}
COMMON = {"model": DECAY, "x": X, "y": Y}


def assert_agree(ours: BatchFit, theirs: BatchFit, stopping: float = 1e-6) -> None:
    """Check parameters, costs, covariances, masks and counts of two fits of the same curves."""
    np.testing.assert_array_equal(ours.success, theirs.success)
    np.testing.assert_array_equal(ours.n_points, theirs.n_points)
    np.testing.assert_array_equal(ours.dof, theirs.dof)
    np.testing.assert_array_equal(ours.flags, theirs.flags)
    np.testing.assert_array_equal(ours.at_bound, theirs.at_bound)
    np.testing.assert_array_equal(ours.undetermined, theirs.undetermined)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)
    apart = np.abs(ours.params - theirs.params)
    with np.errstate(invalid="ignore"):
        close = (apart <= 1e-8 * np.abs(theirs.params)) | (apart <= 1e-4 * theirs.stderr)
    assert close.all()
    np.testing.assert_allclose(ours.stderr, theirs.stderr, rtol=stopping)
    scale = np.nan_to_num(theirs.stderr, nan=1.0)
    unit = scale[:, :, None] * scale[:, None, :]
    np.testing.assert_allclose(ours.cov / unit, theirs.cov / unit, rtol=0, atol=stopping)
    steps = np.abs(ours.nfev - theirs.nfev)
    assert (steps <= 2).mean() >= 0.9


@pytest.mark.parametrize("case", CASES)
def test_the_engines_agree(case: str) -> None:
    arguments = {**COMMON, **CASES[case]}
    ours = fit_curves(**arguments, engine="simd")
    theirs = fit_curves(**arguments, engine="reference")
    assert ours.compiled.all()
    assert not theirs.compiled.any()
    assert_agree(ours, theirs)


@pytest.mark.parametrize("case", ["shared x", "ragged", "p0 a curve", "bounds and fixed"])
def test_what_a_call_takes_changes_no_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {**COMMON, **CASES[case]}
    whole = fit_curves(**arguments)
    monkeypatch.setattr("manyfit.solver.compiled._CHUNK", 700)
    parts = fit_curves(**arguments)
    for name in ("params", "cov", "stderr", "status", "flags", "nfev", "njev", "cost", "compiled"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_a_curve_has_the_same_bits_alone_ragged_padded_and_in_any_order() -> None:
    whole = fit_curves(DECAY, X, Y)
    order = RNG.permutation(N)
    shuffled = fit_curves(DECAY, X, Y[order])
    lengths = np.where(np.arange(N) % 3, 50, 31)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.concatenate([row[:n] for row, n in zip(Y, lengths, strict=True)])
    x_flat = np.concatenate([X[:n] for n in lengths])
    ragged = fit_curves(DECAY, x_flat, flat, offsets=offsets)
    weighted = fit_curves(DECAY, X, Y, sigma=1.0)
    for name in ("params", "cov", "stderr", "status", "nfev", "njev", "cost"):
        expected = getattr(whole, name)
        np.testing.assert_array_equal(getattr(shuffled, name), expected[order])
        np.testing.assert_array_equal(getattr(ragged, name)[lengths == 50], expected[lengths == 50])
        np.testing.assert_array_equal(getattr(weighted, name), expected)
        for i in (0, 17, N - 1):
            alone = fit_curves(DECAY, X, Y[i : i + 1])
            np.testing.assert_array_equal(getattr(alone, name)[0], expected[i])


def test_maxfev_ends_every_curve_where_minpack_would() -> None:
    for maxfev in (1, 2, 3, 5):
        ours = fit_curves(DECAY, X, Y, maxfev=maxfev, engine="simd")
        theirs = fit_curves(DECAY, X, Y, maxfev=maxfev, engine="reference")
        np.testing.assert_array_equal(ours.status, theirs.status)
        np.testing.assert_array_equal(ours.nfev, theirs.nfev)
        np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-10)


def test_a_hard_curve_holds_nobody_up_and_keeps_its_own_count() -> None:
    y = Y.copy()
    y[7] = RNG.normal(0, 1, 50)  # no decay at all
    fit = fit_curves(DECAY, X, y)
    calm = fit_curves(DECAY, X, Y)
    others = np.arange(N) != 7
    assert fit.nfev[7] > fit.nfev[others].max()
    np.testing.assert_array_equal(fit.params[others], calm.params[others])


def test_ill_conditioned_curves_are_ended_by_qr_with_the_right_covariance() -> None:
    x = np.linspace(100, 101, 40)
    model = Model.from_expression("p + q*x + r*x*x")
    truth = np.array([3.0, -2.0, 0.5])
    y = truth[0] + truth[1] * x + truth[2] * x * x + RNG.normal(0, 1e-3, (30, 40))
    fit = fit_curves(model, x, y, engine="simd")
    assert fit.success.all()
    assert fit.compiled.all()
    J = np.stack([np.ones(40), x, x * x], axis=1)
    q, upper = np.linalg.qr(J)
    inverse = np.linalg.inv(upper)
    for i in range(30):
        expected = inverse @ (q.T @ y[i])
        r = y[i] - J @ expected
        stderr = np.sqrt(np.diag(inverse @ inverse.T) * (r @ r) / 37)
        np.testing.assert_allclose(fit.params[i], expected, atol=1e-3 * stderr.min())
        np.testing.assert_allclose(fit.stderr[i], stderr, rtol=1e-6)


def test_a_flat_curve_is_undetermined_on_both_engines() -> None:
    y = np.full((4, 50), 3.0)
    for engine in ("simd", "reference"):
        fit = fit_curves(DECAY, X, y, engine=engine)
        assert (fit.flags & Flag.UNDETERMINED).all()
        np.testing.assert_allclose(
            fit.params[:, 2] + fit.params[:, 0] * (fit.params[:, 1] == 0), 3.0
        )


def test_a_model_that_is_not_finite_at_the_start_has_its_code() -> None:
    fit = fit_curves(Model.from_expression("a*log(x - b)"), X + 1, Y, p0={"b": 50.0})
    np.testing.assert_array_equal(fit.status, Status.MODEL_NONFINITE)
    assert np.isnan(fit.params).all()
    assert not fit.compiled.any()


def test_a_model_that_overflows_on_the_way_comes_back() -> None:
    model = Model.from_expression("a*exp(b*x)")
    x = np.linspace(0, 100, 30)
    y = 2 * np.exp(0.05 * x) * (1 + RNG.normal(0, 0.01, (20, 30)))
    fit = fit_curves(model, x, y, p0={"a": 1e-3, "b": 0.2}, factor=0.1, engine="simd")
    theirs = fit_curves(model, x, y, p0={"a": 1e-3, "b": 0.2}, factor=0.1, engine="reference")
    np.testing.assert_array_equal(fit.success, theirs.success)
    np.testing.assert_allclose(fit.params, theirs.params, rtol=1e-6)
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(8.0 * x[-1]))  # the next one meets this at its start
    hot = fit_curves(model, x, y, p0={"a": 1.0, "b": 8.0}, engine="simd")
    np.testing.assert_array_equal(hot.status, Status.MODEL_NONFINITE)


def test_threads_share_a_kernel() -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = Model.from_expression("a*exp(-b*x) + c - 0*b")
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda _: fit_curves(model, X, Y), range(4)))
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.params, fits[0].params)


def test_no_curves_and_empty_curves() -> None:
    assert len(fit_curves(DECAY, X, Y[:0], engine="simd")) == 0
    fit = fit_curves(DECAY, X_FLAT, Y_FLAT, offsets=np.array([0, 0, 2, 50, 50]), engine="simd")
    assert fit.status[[0, 1, 3]].tolist() == [
        Status.NO_DATA,
        Status.TOO_FEW_POINTS,
        Status.NO_DATA,
    ]
    assert fit.status[2] > 0


def lines(x: Any, a: Any, mu: Any, s: Any, g: Any) -> Any:
    z = (x - mu + 1j * g) / (s * np.sqrt(2))
    return a * wofz(z).real / (s * np.sqrt(2 * np.pi))


def profile(x: Any, a: Any, mu: Any, s: Any, g: Any) -> Any:
    return a * voigt_profile(x - mu, s, g)


def counts(x: Any, a: Any, mu: Any, s: Any, g: Any) -> Any:
    """Return the logarithm of a gamma density, stretched."""
    return a + s * np.log(x) - g * x - gammaln(s + 1.0) * mu


def assert_as_called(func: Callable[..., Any], x: Any, truth: Any, **options: Any) -> None:
    """Check that a function's compiled formula ends where calling the function does, and SciPy."""
    truth = np.array(truth) * RNG.uniform(0.9, 1.1, (40, 4))
    y = func(x, *truth.T[:, :, None]) + RNG.normal(0, 0.02, (40, len(x)))
    given: dict[str, Any] = {**options, **TIGHT}
    ours = fit_curves(func, x, y, engine="simd", **given)
    theirs = fit_curves(func, x, y, engine="reference", **given)
    assert ours.compiled.mean() > 0.9
    assert ours.success.all()
    assert theirs.success.all()
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-9)
    free = ours.stderr > 0
    apart = np.abs(ours.params - theirs.params)
    assert (apart[free] <= 1e-3 * theirs.stderr[free]).all()
    if not options.get("fixed"):
        best, cov = curve_fit(func, x, y[17], p0=options["p0"], ftol=1e-13, xtol=1e-13)
        np.testing.assert_allclose(ours.params[17], best, rtol=1e-5)
        np.testing.assert_allclose(ours.stderr[17], np.sqrt(np.diag(cov)), rtol=1e-3)


@pytest.mark.parametrize("func", [lines, profile])
def test_voigt_profiles_as_people_write_them_are_compiled(func: Callable[..., Any]) -> None:
    assert_as_called(func, X, [5.0, 2.4, 0.4, 0.3], p0=[4.0, 2.5, 0.5, 0.2])


def test_gamma_functions_of_parameters_are_compiled() -> None:
    options: Any = {"p0": [1.0, 1.0, 2.0, 1.0], "fixed": {"mu": 1.0}}
    assert_as_called(counts, X[1:], [1.0, 1.0, 3.0, 1.4], **options)
