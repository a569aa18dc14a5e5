"""Fixed parameters: held at a value or at the start, as if the model had them built in."""

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from tests.solver.decays import EXACT, GUESSING, X, assert_same_bits, decay, decay_jac, noisy

pytestmark = pytest.mark.usefixtures("engine")


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
