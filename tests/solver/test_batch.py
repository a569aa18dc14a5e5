"""fit_curves: data in any layout, one row of results a curve, and a status for what is wrong."""

import inspect
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, leastsq

from manyfit.solver import curves as curves_module
from manyfit.solver.arrays import Bools, Floats
from manyfit.solver.batch import fit_batch, fit_curves
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from manyfit.solver.result import BatchFit
from manyfit.solver.status import Flag, Status

pytestmark = pytest.mark.usefixtures("engine")

X = np.linspace(0, 4, 50)


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def decay_jac(x: Any, a: Any, b: Any, c: Any) -> list[Any]:
    e = np.exp(-b * x)
    return [e, -a * x * e, np.ones_like(c * x)]


EXACT = Model.from_function(decay, jac=decay_jac)


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


# What comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
@pytest.mark.parametrize("sigma", [None, 0.05, np.linspace(0.03, 0.1, 50)])
@pytest.mark.parametrize("absolute", [False, True])
def test_every_curve_gets_what_scipys_curve_fit_gives_it(
    model: Any, sigma: Any, absolute: bool
) -> None:
    y = noisy()
    fit = fit_curves(model, X, y, sigma=sigma, absolute_sigma=absolute)
    assert fit.success.all()
    spread = np.full(50, 1.0 if sigma is None else sigma)
    for i, one in enumerate(y):
        params, cov = curve_fit(decay, X, one, sigma=spread, absolute_sigma=absolute)
        stderr = np.sqrt(np.diag(cov))
        np.testing.assert_allclose(fit.params[i], params, atol=1e-4 * stderr.min())
        if not absolute or sigma is not None:
            np.testing.assert_allclose(fit.stderr[i], stderr, rtol=1e-3)
        chi2 = np.sum(((decay(X, *params) - one) / spread) ** 2)
        np.testing.assert_allclose(fit.cost[i], chi2 / 2, rtol=1e-8)
    np.testing.assert_array_equal(fit.n_points, 50)
    np.testing.assert_array_equal(fit.dof, 47)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.1},
        {"diag": [1.0, 5.0, 2.0]},
        {"xtol": 1e-3, "ftol": 0.0},
        {"ftol": 1e-4},
        {"gtol": 1e-3},
        {"maxfev": 4},
    ],
)
def test_the_options_reach_the_engine(options: dict[str, Any]) -> None:
    y = noisy()
    fit = fit_curves(EXACT, X, y, **options)
    for i, one in enumerate(y):
        _, _, info, _, status = leastsq(
            lambda p, one=one: decay(X, *p) - one,
            [1.0, 1, 1],
            Dfun=lambda p: np.stack(np.broadcast_arrays(*decay_jac(X, *p))),
            col_deriv=True,
            full_output=True,
            **options,
        )
        assert (fit.status[i], fit.nfev[i]) == (status, info["nfev"])


def test_the_step_of_differences_reaches_the_engine() -> None:
    y = noisy()
    fit = fit_curves(decay, X, y, epsfcn=1e-6, engine="reference")
    for i, one in enumerate(y):
        params, _ = leastsq(lambda p, one=one: decay(X, *p) - one, [1.0, 1, 1], epsfcn=1e-6)
        np.testing.assert_allclose(fit.params[i], params, rtol=1e-7)


@pytest.mark.parametrize(("exact", "evaluations"), [(True, 100), (False, 200)])
@pytest.mark.parametrize("fixed", [(), ("c",)])
def test_the_limit_of_evaluations_goes_by_the_free_parameters(
    exact: bool, evaluations: int, fixed: tuple[str, ...]
) -> None:
    # The minimum at p = 0 is so flat that each step goes but a tenth of the way.
    flat = Model.from_function(
        lambda x, p, c: p**10 * x + c,
        jac=(lambda x, p, c: [10 * p**9 * x, 1 + 0 * c]) if exact else None,
    )
    fit = fit_curves(
        flat,
        X,
        np.zeros((2, 50)),
        p0=[1e10, 0],
        fixed=fixed,
        ftol=0,
        xtol=0,
        engine="reference",
    )
    n_free = 2 - len(fixed)
    limit = evaluations * (n_free + 1)
    np.testing.assert_array_equal(fit.status, Status.MAXFEV)
    assert np.all(fit.nfev >= limit)
    assert np.all(fit.nfev <= limit + n_free)


def test_every_option_of_fit_batch_is_a_parameter_of_fit_curves() -> None:
    parameters = inspect.signature(fit_curves).parameters
    defaults = FitOptions()
    for option in fields(FitOptions):
        default = parameters[option.name].default
        assert default == getattr(defaults, option.name) or (default, option.name) == ((), "fixed")


def test_fit_batch_is_fit_curves_with_the_options_as_one_value() -> None:
    y = noisy()
    options: dict[str, Any] = {
        "bounds": {"b": (0, 1.3)},
        "fixed": {"c": 0.4},
        "ftol": 1e-5,
        "maxfev": 30,
    }
    expected = fit_curves(EXACT, X, y, sigma=0.1, p0=[2, 1, 1], **options)
    found = fit_batch(EXACT, X, y, sigma=0.1, p0=[2, 1, 1], options=FitOptions(**options))
    assert_same_bits(found, expected)
    assert_same_bits(fit_batch(EXACT, X, y), fit_curves(EXACT, X, y))


# Layouts -------------------------------------------------------------------------------------

Y = noisy()
OFFSETS = np.arange(0, 401, 50)


@pytest.mark.parametrize(
    ("x", "y", "offsets"),
    [
        (np.tile(X, (8, 1)), Y, None),
        (np.tile(X, 8), Y.ravel(), OFFSETS),
        (X, Y.ravel(), OFFSETS),
        (np.tile(X, 9), np.append(Y, np.ones(50)), OFFSETS),
        (np.tile(X, 9), np.append(np.ones(50), Y), OFFSETS + 50),
        (X, np.asfortranarray(Y), None),
        (np.repeat(X, 3)[::3], np.repeat(Y, 2, axis=0)[::2], None),
        (X.tolist(), Y.tolist(), None),
        ({"x": X}, Y, None),
    ],
    ids=["own", "flat", "flat-shared", "tail", "head", "fortran", "strided", "lists", "mapping"],
)
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_every_layout_gives_the_same_bits(model: Any, x: Any, y: Any, offsets: Any) -> None:
    assert_same_bits(fit_curves(model, x, y, offsets=offsets), fit_curves(model, X, Y))


def test_slabs_of_any_size_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    y = noisy()
    y[2, 3] = np.nan
    expected = fit_curves(EXACT, X, y, sigma=0.1)
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", 120)
    assert_same_bits(fit_curves(EXACT, X, y, sigma=0.1), expected)


def test_curves_of_different_lengths_are_fitted_as_they_would_be_alone() -> None:
    lengths = [50, 3, 17, 0, 16, 50, 33]
    y = [row[:n] for row, n in zip(Y, lengths, strict=False)]
    offsets = np.cumsum([0, *lengths])
    fit = fit_curves(
        EXACT, np.concatenate([X[:n] for n in lengths]), np.concatenate(y), offsets=offsets
    )
    assert_not_fitted(fit, 3, Status.NO_DATA)
    np.testing.assert_array_equal(fit.n_points, lengths)
    for i in (0, 1, 2, 4, 5, 6):
        alone = fit_curves(EXACT, X[: lengths[i]], y[i][None])
        assert_same_bits(fit, alone, rows=slice(i, i + 1))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int16])
def test_other_numbers_are_fitted_as_doubles(dtype: type) -> None:
    y: Any = (100 * noisy()).astype(dtype)
    x: Any = (10 * X).astype(dtype)
    start = [100, 0.1, 10]
    expected = fit_curves(EXACT, x.astype(float), y.astype(float), p0=start)
    assert_same_bits(fit_curves(EXACT, x, y, p0=start), expected)
    assert expected.success.all()


def read_only(*values: Floats) -> list[Floats]:
    """Return copies that cannot be written."""
    copies = [value.copy() for value in values]
    for copy in copies:
        copy.flags.writeable = False
    return copies


@pytest.mark.parametrize("n_points", [16, 17])
def test_inputs_need_not_be_writable_and_are_not_written(n_points: int) -> None:
    y = noisy(n_points=n_points)
    sigma, start = np.full_like(y, 0.1), np.full((8, 3), 1.2)
    expected = fit_curves(EXACT, X[:n_points], y, sigma=sigma, p0=start)
    frozen = read_only(X[:n_points], y, sigma, start)
    found = fit_curves(EXACT, frozen[0], frozen[1], sigma=frozen[2], p0=frozen[3])
    assert_same_bits(found, expected)
    np.testing.assert_array_equal(start, 1.2)


@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
@pytest.mark.parametrize("x", [X, np.empty((0, 50))], ids=["shared", "own"])
def test_no_curves_are_no_fits(model: Any, x: Floats) -> None:
    start = np.ones((0, 3))
    fit = fit_curves(model, x, np.empty((0, 50)), sigma=1.0, p0=start, bounds=(0, 9))
    assert len(fit) == 0
    assert fit.params.shape == (0, 3)
    assert fit.cov.shape == (0, 3, 3)


def test_no_curves_have_no_constants_either() -> None:
    model = Model.from_function(lambda x, t, a: a * t * x, constants=["t"])
    fit = fit_curves(model, X, np.empty((0, 50)), constants={"t": np.empty(0)})
    assert len(fit) == 0


@pytest.mark.parametrize("exact", [True, False])
def test_one_point_determines_one_parameter(exact: bool) -> None:
    model = Model.from_function(
        lambda x, a: a * x, jac=(lambda x, a: [x + 0 * a]) if exact else None
    )
    fit = fit_curves(model, [2.0], [[6.0], [8.0]], sigma=0.5, absolute_sigma=True)
    np.testing.assert_allclose(fit.params, [[3], [4]], rtol=1e-7)
    np.testing.assert_allclose(fit.stderr, 0.25, rtol=1e-6)


def surface(u: Any, v: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * u) + c * v


def test_several_predictors_and_a_constant_a_curve() -> None:
    def model(t: Any, u: Any, a: Any, v: Any, b: Any, c: Any) -> Any:
        return t * surface(u, v, a, b, c)

    u, v, t = X, np.tile(X[::-1], (8, 1)) + np.arange(8)[:, None], np.linspace(1, 2, 8)
    truth = np.random.default_rng(0).uniform(1, 2, (8, 3))
    y = t[:, None] * surface(u, v, *truth.T[:, :, None])
    made = Model.from_function(model, x=("u", "v"), constants=["t"])
    fit = fit_curves(made, {"v": v, "u": u}, y, constants={"t": t})
    np.testing.assert_allclose(fit.params, truth, rtol=1e-6)


# Start values --------------------------------------------------------------------------------


def recorded_start(model: Model, y: Floats, **options: Any) -> Floats:
    """Return where the engine begins: one evaluation is all it may do."""
    frozen = replace(model, jac=decay_jac)
    fit = fit_curves(frozen, X, y, gtol=2.0, **options)
    assert set(fit.status.tolist()) == {Status.CONVERGED_GTOL}
    return fit.params


def level(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess: the range, 2, and the minimum."""
    assert x.shape in {(1, y.shape[1]), y.shape}
    assert valid.shape == y.shape
    low = y.min(axis=1)
    return np.stack([y.max(axis=1) - low, np.full(len(y), 2.0), low], axis=1)


GUESSING = replace(EXACT, guess=level)
EACH = np.arange(8.0) + 1


def test_starts_come_from_p0_else_the_guess_else_the_model_else_one() -> None:
    y = noisy()
    low = y.min(axis=1)
    np.testing.assert_array_equal(recorded_start(EXACT, y), np.ones((8, 3)))
    defaults = replace(EXACT, start={"b": 0.7})
    np.testing.assert_array_equal(recorded_start(defaults, y), np.tile([1, 0.7, 1], (8, 1)))
    guessed = recorded_start(replace(GUESSING, start={"b": 0.7}), y)
    np.testing.assert_array_equal(guessed, np.stack([y.max(axis=1) - low, 0 * low + 2, low], 1))


@pytest.mark.parametrize(
    ("p0", "expected"),
    [
        ([3, 2, 1], np.tile([3, 2, 1], (8, 1))),
        ([[3, 2, 1]], np.tile([3, 2, 1], (8, 1))),
        (np.arange(24).reshape(8, 3) + 1, np.arange(24).reshape(8, 3) + 1),
        ({"a": 3, "b": 2, "c": 1}, np.tile([3, 2, 1], (8, 1))),
        ({"b": EACH, "a": 3, "c": [1]}, np.stack([0 * EACH + 3, EACH, 0 * EACH + 1], axis=1)),
    ],
)
def test_p0_may_be_shared_or_each_curves_own(p0: Any, expected: Floats) -> None:
    np.testing.assert_array_equal(recorded_start(EXACT, noisy(), p0=p0), expected)
    np.testing.assert_array_equal(recorded_start(GUESSING, noisy(), p0=p0), expected)


def test_p0_by_name_leaves_the_rest_to_the_guess() -> None:
    y = noisy()
    start = recorded_start(GUESSING, y, p0={"a": EACH})
    np.testing.assert_array_equal(start[:, 0], EACH)
    np.testing.assert_array_equal(start[:, 1], 2)
    np.testing.assert_array_equal(start[:, 2], y.min(axis=1))


def test_guesses_are_moved_into_the_bounds_but_p0_is_not() -> None:
    y = noisy()
    start = recorded_start(GUESSING, y, bounds={"b": (0, 1.5), "c": (10, 11)})
    np.testing.assert_array_equal(start[:, 1:], np.tile([1.5, 10], (8, 1)))
    plain = recorded_start(EXACT, y, bounds=([0, 2, -9], [0.5, 3, 9]))
    np.testing.assert_array_equal(plain, np.tile([0.5, 2, 1], (8, 1)))
    fit = fit_curves(EXACT, X, y, p0=[1, 1, 1], bounds={"b": (2, 3)})
    for row in range(8):
        assert_not_fitted(fit, row, Status.BAD_START)


def test_a_guess_knows_which_points_count() -> None:
    seen: list[Bools] = []

    def watching(x: Any, y: Floats, valid: Bools) -> Floats:
        seen.append(valid)
        return level(x, y, valid)

    y = noisy()
    y[5, :4] = np.nan
    fit_curves(replace(EXACT, guess=watching), X, y)
    counts = sorted(n for valid in seen for n in valid.sum(axis=1).tolist())
    assert counts == [46] + [50] * 7


def test_a_guess_for_several_predictors_gets_them_all() -> None:
    def guess(x: Any, y: Floats, _: Bools) -> Floats:
        u, v = x
        assert np.broadcast_shapes(u.shape, v.shape, y.shape) == y.shape
        return np.ones((len(y), 3))

    model = Model.from_function(surface, x=("u", "v"), guess=guess)
    x = {"u": X, "v": np.tile(X[::-1], (3, 1))}
    y = surface(X, X[::-1], 1.2, 0.8, 2.0) * np.ones((3, 1))
    np.testing.assert_allclose(fit_curves(model, x, y).params, [[1.2, 0.8, 2.0]] * 3, rtol=1e-6)


@pytest.mark.parametrize("n_points", [16, 17])
def test_a_guess_that_writes_into_the_data_is_refused_or_harmless(n_points: int) -> None:
    def greedy(x: Any, y: Floats, valid: Bools) -> Floats:
        y -= y.min(axis=1, keepdims=True)
        x += 1
        return np.ones((len(y), 3)) * valid.any()

    x, y = X[:n_points].copy(), noisy(n_points=n_points)
    before = y.copy()
    try:
        fit = fit_curves(replace(EXACT, guess=greedy), x, y)
    except ValueError as error:
        assert "read-only" in str(error)  # noqa: PT017 - to give copies would be as good
    else:
        assert_same_bits(fit, fit_curves(EXACT, X[:n_points], before))
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(x, X[:n_points])


# Fixed parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_a_fixed_parameter_is_as_if_the_model_had_it_built_in(exact: bool) -> None:
    y = noisy()
    reduced = Model.from_function(
        lambda x, a, c: decay(x, a, 1.4, c),
        jac=(lambda x, a, c: decay_jac(x, a, 1.4, c)[::2]) if exact else None,
    )
    fit = fit_curves(EXACT if exact else decay, X, y, fixed={"b": 1.4}, sigma=0.05)
    expected = fit_curves(reduced, X, y, sigma=0.05)
    np.testing.assert_array_equal(fit.params[:, 1], 1.4)
    np.testing.assert_array_equal(fit.dof, 48)
    np.testing.assert_allclose(fit.params[:, ::2], expected.params, rtol=1e-9)
    np.testing.assert_allclose(fit.cov[:, ::2, ::2], expected.cov, rtol=1e-6)
    for name in ("status", "nfev", "njev", "dof", "flags"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(expected, name))
    np.testing.assert_array_equal(fit.cov[:, 1], 0)
    np.testing.assert_array_equal(fit.cov[:, :, 1], 0)
    assert np.isnan(fit.stderr[:, 1]).all()


def test_a_fixed_value_may_be_each_curves_own() -> None:
    y, rates = noisy(), np.linspace(0.5, 2, 8)
    fit = fit_curves(EXACT, X, y, fixed={"b": rates})
    np.testing.assert_array_equal(fit.params[:, 1], rates)
    for i, rate in enumerate(rates):
        alone = fit_curves(EXACT, X, y[i : i + 1], fixed={"b": rate})
        assert_same_bits(fit, alone, rows=slice(i, i + 1))


def test_fixed_without_a_value_is_held_at_the_start() -> None:
    y = noisy()
    low = y.min(axis=1)
    by_p0 = fit_curves(EXACT, X, y, p0=[1, 1.7, 0], fixed=["b"])
    np.testing.assert_array_equal(by_p0.params[:, 1], 1.7)
    by_guess = fit_curves(GUESSING, X, y, fixed=["c"])
    np.testing.assert_array_equal(by_guess.params[:, 2], low)
    by_default = fit_curves(EXACT, X, y, fixed=["c"])
    np.testing.assert_array_equal(by_default.params[:, 2], 1)


def test_a_fixed_value_goes_before_p0_and_need_not_lie_within_bounds() -> None:
    fit = fit_curves(
        EXACT, X, noisy(), p0=[1, 1, 1], fixed={"c": -0.5}, bounds=([0, 0, 0], [9, 9, 9])
    )
    np.testing.assert_array_equal(fit.params[:, 2], -0.5)
    assert fit.success.all()


def test_scales_are_given_for_all_parameters_fixed_or_not() -> None:
    y = noisy()
    reduced = Model.from_function(lambda x, a, c: decay(x, a, 1.4, c))
    fit = fit_curves(decay, X, y, fixed={"b": 1.4}, diag=[1.0, 100.0, 5.0], factor=0.1)
    expected = fit_curves(reduced, X, y, diag=[1.0, 5.0], factor=0.1)
    np.testing.assert_array_equal(fit.nfev, expected.nfev)
    np.testing.assert_allclose(fit.params[:, ::2], expected.params, rtol=1e-9)


# A code for what is wrong --------------------------------------------------------------------


SPOILT = {
    "nan": ("y", np.s_[3], np.nan, Status.NONFINITE_DATA),
    "inf": ("y", np.s_[3], -np.inf, Status.NONFINITE_DATA),
    "too few": ("y", np.s_[3, 2:], np.nan, Status.TOO_FEW_POINTS),
    "sigma zero": ("sigma", np.s_[3, 5], 0.0, Status.BAD_SIGMA),
    "sigma negative": ("sigma", np.s_[3, 0], -1e-300, Status.BAD_SIGMA),
    "sigma nan": ("sigma", np.s_[3], np.nan, Status.NONFINITE_DATA),
    "p0 nan": ("p0", np.s_[3, 1], np.nan, Status.BAD_START),
    "p0 inf": ("p0", np.s_[3, 0], np.inf, Status.BAD_START),
    "p0 outside": ("p0", np.s_[3, 1], 77.0, Status.BAD_START),
    "model overflows": ("p0", np.s_[3, 1], -1e4, Status.MODEL_NONFINITE),
}


@pytest.mark.parametrize(("what", "where", "value", "status"), SPOILT.values(), ids=SPOILT.keys())
@pytest.mark.parametrize("n_points", [16, 17], ids=["whole", "padded"])
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_a_spoilt_curve_has_its_code_and_the_others_their_bits(
    what: str, where: Any, value: float, status: Status, n_points: int, model: Any
) -> None:
    y = noisy(n_points=n_points)
    data: dict[str, Any] = {"y": y, "sigma": np.full_like(y, 0.1), "p0": np.full((8, 3), 1.1)}

    def fitted() -> BatchFit:
        bounds = {"b": (-1e5, 50)}
        return fit_curves(model, X[:n_points], **data, bounds=bounds, absolute_sigma=True)

    good = fitted()
    data[what][where] = value
    fit = fitted()
    assert_not_fitted(fit, 3, status)
    others = [0, 1, 2, 4, 5, 6, 7]
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(fit, name)[others], getattr(good, name)[others])
    assert good.success.all()


@pytest.mark.parametrize("offsets", [[0, 0, 50], [0, 50, 50]])
def test_a_curve_without_points_has_no_data(offsets: list[int]) -> None:
    fit = fit_curves(EXACT, X, Y[0], offsets=offsets)
    empty = int(np.flatnonzero(np.diff(offsets) == 0)[0])
    assert_not_fitted(fit, empty, Status.NO_DATA)
    assert fit.n_points[empty] == 0
    assert_same_bits(fit, fit_curves(EXACT, X, Y[:1]), rows=slice(1 - empty, 2 - empty))


def test_curves_of_no_points_at_all_have_no_data() -> None:
    fit = fit_curves(EXACT, np.empty(0), np.empty((3, 0)))
    for row in range(3):
        assert_not_fitted(fit, row, Status.NO_DATA)


@pytest.mark.parametrize("n_points", [1, 2, 3, 4])
def test_a_curve_needs_as_many_points_as_free_parameters(n_points: int) -> None:
    x, y = X[:n_points] * 5, noisy(n_points=n_points)
    fit = fit_curves(EXACT, x, y)
    enough = n_points >= 3
    np.testing.assert_array_equal(fit.status == Status.TOO_FEW_POINTS, not enough)
    fixed = fit_curves(EXACT, x, y, fixed={"c": 0.5})
    np.testing.assert_array_equal(fixed.status == Status.TOO_FEW_POINTS, n_points < 2)
    np.testing.assert_array_equal(fixed.n_points, n_points)


def test_a_curve_cut_short_keeps_its_last_iterate() -> None:
    fit = fit_curves(EXACT, X, Y, maxfev=3)
    np.testing.assert_array_equal(fit.status, Status.MAXFEV)
    assert np.isfinite(fit.params).all()
    assert (fit.params != 1).any()
    cost = 0.5 * np.sum((decay(X, *fit.params.T[:, :, None]) - Y) ** 2, axis=1)
    np.testing.assert_allclose(fit.cost, cost, rtol=1e-12)


def test_a_jacobian_that_is_not_finite_keeps_the_start() -> None:
    def spike(x: Any, a: Any) -> Any:
        return np.where(a == 1.5, a * x, np.nan)

    y = 2 * X[None]
    fit = fit_curves(spike, X, y, p0=[1.5], engine="reference")
    assert fit.status[0] == Status.JACOBIAN_NONFINITE
    assert fit.params[0, 0] == 1.5
    assert np.isnan(fit.stderr).all()
    np.testing.assert_allclose(fit.cost, 0.5 * np.sum((0.5 * X) ** 2))


def test_a_constant_curve_is_fitted_and_its_rate_is_not_determined() -> None:
    y = np.array([[3.0] * 50, [0.0] * 50])
    fit = fit_curves(EXACT, X, y)
    assert fit.success.all()
    np.testing.assert_allclose(fit.evaluate(), y, atol=1e-6)
    known = fit.stderr[:, 1] < 0.5 * np.abs(fit.params[:, 1])
    assert not known.any()


def test_a_derivative_with_a_removable_nan_does_not_spoil_a_fit() -> None:
    power = Model.from_function(
        lambda x, a, b: a * x**b, jac=lambda x, a, b: [x**b, a * x**b * np.log(x)]
    )
    y = 2 * X**1.5 + 0.1 * np.random.default_rng(0).normal(size=(4, 50))
    fit = fit_curves(power, X, y)
    expected = [curve_fit(power.func, X, one)[0] for one in y]
    assert fit.success.all()
    np.testing.assert_allclose(fit.params, expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-140, 1e-100, 1e100, 1e140])
def test_data_of_any_size_are_fitted(scale: float) -> None:
    fit = fit_curves(EXACT, X, scale * Y, p0=[scale, 1, scale])
    plain = fit_curves(EXACT, X, Y, p0=[1, 1, 1])
    units = np.array([scale, 1, scale])
    np.testing.assert_allclose(fit.params / units, plain.params, rtol=1e-7)
    np.testing.assert_allclose(fit.stderr / units, plain.stderr, rtol=1e-5)


def test_no_success_has_a_cost_that_is_not_finite() -> None:
    fit = fit_curves(EXACT, X, 1e200 * Y, p0=[1e200, 1, 1e200])
    assert np.isfinite(fit.cost[fit.success]).all()
    assert not np.isfinite(fit.params[~fit.success]).any()


# Points that are left out --------------------------------------------------------------------


@pytest.mark.parametrize("where", ["x", "y", "sigma", "masked y", "masked x"])
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_omitted_points_are_as_if_they_had_never_been(where: str, model: Any) -> None:
    x, y, sigma = np.tile(X, (8, 1)), noisy(), np.tile(np.linspace(0.05, 0.1, 50), (8, 1))
    bad = np.random.default_rng(1).random((8, 50)) < 0.2
    bad[5] = False
    data: dict[str, Any] = {"x": x.copy(), "y": y.copy(), "sigma": sigma.copy()}
    name = where.rsplit(maxsplit=1)[-1]
    if where.startswith("masked"):
        data[name] = np.ma.masked_array(data[name], mask=bad)
    else:
        data[name][bad] = np.resize([np.nan, np.inf, -np.inf], bad.sum())
    fit = fit_curves(model, data["x"], data["y"], sigma=data["sigma"])
    np.testing.assert_array_equal(fit.n_points, 50 - bad.sum(axis=1))
    np.testing.assert_array_equal(fit.flags == Flag.POINTS_OMITTED, bad.any(axis=1))
    for i in range(8):
        keep = ~bad[i]
        without = fit_curves(model, x[i, keep], y[i : i + 1, keep], sigma=sigma[i, keep])
        np.testing.assert_allclose(fit.cost[i], without.cost[0], rtol=1e-10)
        np.testing.assert_allclose(fit.params[i], without.params[0], rtol=1e-7)
        np.testing.assert_allclose(fit.cov[i], without.cov[0], rtol=1e-5)
        assert (fit.status[i], fit.nfev[i], fit.dof[i]) == (
            without.status[0],
            without.nfev[0],
            without.dof[0],
        )


def test_propagate_gives_curves_with_such_points_a_code() -> None:
    y = noisy()
    y[3, 7] = np.nan
    good = fit_curves(EXACT, X, noisy())
    fit = fit_curves(EXACT, X, y, nan_policy="propagate")
    assert_not_fitted(fit, 3, Status.NONFINITE_DATA)
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_array_equal(fit.params[others], good.params[others])


@pytest.mark.parametrize("where", ["x", "y", "sigma"])
def test_raise_raises_and_names_the_curve(where: str) -> None:
    data = {"x": np.tile(X, (8, 1)), "y": noisy(), "sigma": np.full((8, 50), 0.1)}
    data[where][3, 7] = np.nan
    with pytest.raises(ValueError, match=r"curve 3 has values that are not finite.*nan_policy"):
        fit_curves(EXACT, data["x"], data["y"], sigma=data["sigma"], nan_policy="raise")


@pytest.mark.parametrize("policy", ["omit", "raise", "propagate"])
def test_finite_data_are_the_same_under_every_policy(policy: Any) -> None:
    assert_same_bits(fit_curves(EXACT, X, Y, nan_policy=policy), fit_curves(EXACT, X, Y))


# Any data at all -----------------------------------------------------------------------------

ANY = st.sampled_from([0.0, 1.0, -1.0, 3.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 1e20])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 9), st.booleans())
def test_no_values_raise_and_none_reach_another_curve(
    data: st.DataObject, n_points: int, exact: bool
) -> None:
    def draw() -> Floats:
        return np.array(data.draw(st.lists(ANY, min_size=n_points, max_size=n_points)))

    model = EXACT if exact else decay
    x, y, sigma = (
        np.stack([draw(), good]) for good in (X[:n_points], Y[0, :n_points], 1 + X[:n_points])
    )
    start = np.array([[data.draw(ANY) for _ in range(3)], [1, 1, 1]])
    fit = fit_curves(model, x, y, sigma=sigma, p0=start, maxfev=25)
    alone = fit_curves(model, x[1:], y[1:], sigma=sigma[1:], p0=start[1:], maxfev=25)
    assert_same_bits(fit, alone, rows=slice(1, 2))
    status = Status(int(fit.status[0]))
    fitted = status > 0 or status == Status.JACOBIAN_NONFINITE
    assert np.isfinite(fit.params[0]).all() == fitted
    assert np.isnan(fit.params[0]).all() == (not fitted)
    if status.success:
        assert np.isfinite(fit.cost[0])
        assert not (fit.stderr[0] < 0).any()
    elif not fitted:
        assert np.isnan(fit.cost[0])


# Misuse --------------------------------------------------------------------------------------

CONSTANT = Model.from_function(lambda x, t, a: a * t * x, constants=["t"], name="scaled")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            EXACT,
            {"p0": [1, 1]},
            r"p0 must be \(3,\) or \(8, 3\).*\('a', 'b', 'c'\); got shape \(2,",
        ),
        (EXACT, {"p0": np.ones((3, 8))}, r"p0 must be \(3,\) or \(8, 3\).*got shape \(3, 8\)"),
        (EXACT, {"p0": 1.0}, r"p0 must be \(3,\) or \(8, 3\).*got shape \(\)"),
        (
            EXACT,
            {"p0": {"d": 1}},
            r"p0 names \['d'\], which are no parameters of \('a', 'b', 'c'\)",
        ),
        (EXACT, {"p0": {"a": [1, 2]}}, r"p0\['a'\] must be a number or \(8,\), got shape \(2,\)"),
        (
            EXACT,
            {"fixed": {"a": [1, 2]}},
            r"p0\['a'\] must be a number or \(8,\), got shape \(2,\)",
        ),
        (EXACT, {"fixed": ["a", "b", "c"]}, r"all parameters .* are fixed: nothing is left to fit"),
        (EXACT, {"fixed": ["z"]}, r"fixed names 'z', which is no parameter"),
        (EXACT, {"bounds": {"z": (0, 1)}}, r"bounds names 'z', which is no parameter"),
        (EXACT, {"bounds": (1, 0)}, r"each lower bound must be below its upper bound"),
        (EXACT, {"diag": [1, 1]}, r"diag must be 3 positive numbers"),
        (EXACT, {"ftol": -1}, r"ftol must be finite and >= 0"),
        (EXACT, {"sigma": np.ones(7)}, r"sigma must be a number, or have a shape that broadcasts"),
        (EXACT, {"offsets": [0, 5]}, r"with offsets y must be flat"),
        (EXACT, {"constants": {"t": 1}}, r"needs the constants \(\), got \('t',\)"),
        (CONSTANT, {}, r"model 'scaled' needs the constants \('t',\), got \(\)"),
        (CONSTANT, {"constants": {"u": 1}}, r"needs the constants \('t',\), got \('u',\)"),
        (CONSTANT, {"constants": {"t": [1, 2]}}, r"constants\['t'\] must be a number or \(8,\)"),
        (lambda *p: p, {}, r"has no named first argument"),
    ],
)
def test_misuse_fails_at_once(model: Any, options: dict[str, Any], message: str) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the model was called")

    if isinstance(model, Model):
        model = replace(model, func=never, jac=None)
    with pytest.raises(ValueError, match=message):
        fit_curves(model, X, Y, **options)


def test_y_that_is_one_curve_is_told_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"for one curve give y\[None\]"):
        fit_curves(EXACT, X, Y[0])
