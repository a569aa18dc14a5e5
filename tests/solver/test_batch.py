"""fit_curves: one row of results a curve, as SciPy has them, and options that reach the engine."""

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit, leastsq

from manyfit.solver.batch import fit_batch, fit_curves
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from manyfit.solver.status import Status
from tests.solver.decays import EXACT, X, assert_same_bits, decay, decay_jac, noisy

pytestmark = pytest.mark.usefixtures("engine")


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


@pytest.mark.parametrize("engine", ["simd", "reference"])
def test_numbers_of_numpy_are_numbers(engine: Any) -> None:
    y, common = noisy(), {"p0": [2, 1, 1], "engine": engine}
    expected = fit_curves(EXACT, X, y, maxfev=30, ftol=0.25, factor=2.0, **common)
    numbers: dict[str, Any] = {
        "maxfev": np.int64(30),
        "ftol": np.float32(0.25),
        "factor": np.float64(2),
    }
    found = fit_curves(EXACT, X, y, **numbers, **common)
    assert_same_bits(found, expected)
