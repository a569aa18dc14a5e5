"""Tied parameters: the fit of the function in which they are replaced by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from manyfit.solver.batch import fit_curves
from manyfit.solver.library import constant, gaussian
from manyfit.solver.model import Model
from tests.solver.two_peaks import X, peaks, two_peaks


def test_a_tie_is_the_fit_of_the_reduced_function() -> None:
    truth, y = peaks(4)
    model = gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant()
    model = model.tied(g2_s="1.2*g1_s", g2_a="g1_a - c/4")
    assert model.params == ("g1_a", "g1_mu", "g1_s", "g2_mu", "c")
    assert model.derived == {"g2_s": "1.2*g1_s", "g2_a": "g1_a - c/4"}

    def reduced(x: Any, a: Any, mu1: Any, s: Any, mu2: Any, c: Any) -> Any:
        return two_peaks(x, a, mu1, s, a - c / 4, mu2, 1.2 * s, c)

    start = truth[:, [0, 1, 2, 4, 6]]
    fit = fit_curves(model, X, y, p0=start, ftol=1e-14, xtol=1e-14)
    for i in range(4):
        params, cov = curve_fit(reduced, X, y[i], p0=start[i], ftol=1e-14, xtol=1e-14)
        np.testing.assert_allclose(fit.params[i], params, rtol=1e-6)
        np.testing.assert_allclose(fit.stderr[i], np.sqrt(np.diag(cov)), rtol=1e-5)
        np.testing.assert_allclose(fit.evaluate()[i], reduced(X, *params), rtol=1e-5)
    np.testing.assert_allclose(fit.derived["g2_s"].values, 1.2 * fit.params[:, 2], rtol=1e-15)
    np.testing.assert_allclose(fit.derived["g2_s"].stderr, 1.2 * fit.stderr[:, 2], rtol=1e-12)


def test_ties_may_follow_from_each_other_and_from_derived_quantities() -> None:
    model = Model.from_expression("a*exp(-b*x) + c + d*x").deriving(rate="1/b")
    tied = model.tied(d="c/2", c="3*a")
    assert tied.params == ("a", "b")
    assert tied.derived == {"rate": "1/b", "d": "3*a/2", "c": "3*a"}
    x, a = 0.7, 1.3
    once_more = tied.tied(b="a*c")
    assert once_more.params == ("a",)
    by_hand = a * np.exp(-3 * a**2 * x) + 3 * a + 3 * a / 2 * x
    assert once_more(x=x, a=a) == pytest.approx(by_hand, rel=1e-14)
    by_rate = model.tied(c="3*rate")
    by_hand = a * np.exp(-0.4 * x) + 3 / 0.4 + x
    assert by_rate(x=x, a=a, b=0.4, d=1.0) == pytest.approx(by_hand, rel=1e-14)


def test_a_tie_may_take_a_constant_of_each_curve() -> None:
    model = Model.from_expression("a*x + b*k", constants=["k"]).tied(b="a*k")
    k = np.array([1.0, 2.0])
    y = 3.0 * X + 3.0 * k[:, None] ** 2
    fit = fit_curves(model, X, y, constants={"k": k})
    np.testing.assert_allclose(fit.params, [[3.0], [3.0]], rtol=1e-9)
    np.testing.assert_allclose(fit.derived["b"].values, 3.0 * k, rtol=1e-9)


def test_a_tie_leaves_the_guess_of_the_others() -> None:
    _, y = peaks(60, noise=0.02)
    model = gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant()
    assert model.guess is not None
    valid = np.ones(y.shape, np.bool_)
    kept = model.tied(g2_s="g1_s", c="0").guess
    assert kept is not None
    assert kept(X[None], y, valid).shape == (60, 5)
    one = gaussian().tied(c="a/2")
    assert one.guess is not None
    assert gaussian().guess is not None
    alone = gaussian().guess(X[None], y, valid)[:, :3]  # type: ignore[misc]
    np.testing.assert_array_equal(one.guess(X[None], y, valid), alone)
