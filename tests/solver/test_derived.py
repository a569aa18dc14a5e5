"""Derived quantities: values and standard errors by hand, by another parametrisation, by chance."""

import pickle
from math import log, sqrt
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.derived import Derived, propagated
from manyfit.solver.graph.parsing import parse
from manyfit.solver.model import Model
from manyfit.solver.status import Flag, Status

X = np.linspace(0.0, 5.0, 40)
DECAY = Model.from_expression("a*exp(-b*x) + c", name="decay")


def decays(n: int, noise: float = 0.05, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    params = np.array([2.0, 1.2, 0.5]) * rng.uniform(0.8, 1.2, (n, 3))
    clean = DECAY.func(X, *(params[:, j, None] for j in range(3)))
    return np.asarray(clean + noise * rng.standard_normal((n, X.size)))


def same(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol)


def test_the_delta_method_by_hand() -> None:
    """Of log(2)/b by one derivative; of a/c and a*b by the textbook's rules for correlated ones."""
    model = DECAY.deriving(half_life="log(2)/b", ratio="a/c", area="a/b", twice="2*half_life")
    fit = fit_curves(model, X, decays(20))
    (a, b, c), cov = fit.params.T, fit.cov
    assert list(fit.derived) == ["half_life", "ratio", "area", "twice"]
    same(fit.derived["half_life"].values, log(2) / b)
    same(fit.derived["half_life"].stderr, log(2) / b**2 * fit.stderr[:, 1])
    same(fit.derived["twice"].stderr, 2 * fit.derived["half_life"].stderr)
    for name, p, q, (i, j) in (("ratio", a, c, (0, 2)), ("area", a, b, (0, 1))):
        share = cov[:, i, i] / p**2 + cov[:, j, j] / q**2 - 2 * cov[:, i, j] / (p * q)
        same(fit.derived[name].values, p / q)
        same(fit.derived[name].stderr, np.abs(p / q) * np.sqrt(share), rtol=1e-9)


def test_a_fit_of_the_quantity_itself_has_the_same_error() -> None:
    """At the same minimum both parametrisations have the same tangent, hence the same variance."""
    y = decays(20)
    derived = fit_curves(DECAY.deriving(h="log(2)/b"), X, y, ftol=1e-14, xtol=1e-14).derived["h"]
    itself = Model.from_expression("a*exp(-log(2)/h*x) + c", ["a", "h", "c"])
    fit = fit_curves(itself, X, y, ftol=1e-14, xtol=1e-14)
    same(derived.values, fit.params[:, 1], rtol=1e-6)
    same(derived.stderr, fit.stderr[:, 1], rtol=1e-5)


def test_the_errors_cover_the_truth_as_often_as_they_should() -> None:
    """68.3 % of 2000 curves within one standard error, give or take three of its own, 1 %."""
    rng = np.random.default_rng(11)
    y = 2.0 * np.exp(-1.2 * X) + 0.5 + 0.02 * rng.standard_normal((2000, X.size))
    model = DECAY.deriving(half_life="log(2)/b", at_2="a*exp(-2*b) + c")
    fit = fit_curves(model, X, y, sigma=0.02, absolute_sigma=True)
    truth = {"half_life": log(2) / 1.2, "at_2": 2.0 * np.exp(-2.4) + 0.5}
    for name, value in truth.items():
        z = (fit.derived[name].values - value) / fit.derived[name].stderr
        assert abs(np.mean(np.abs(z) < 1.0) - 0.6827) < 0.032
        assert abs(np.std(z) - 1.0) < 0.05


def test_what_is_held_contributes_nothing_and_what_is_all_held_has_no_error() -> None:
    y = decays(3)
    model = DECAY.deriving(ratio="a/c", rate="1/c", both="a*b")
    free = fit_curves(model, X, y)
    fit = fit_curves(model, X, y, fixed={"c": 0.5})
    same(fit.derived["ratio"].stderr, fit.stderr[:, 0] / 0.5)
    same(fit.derived["rate"].values, 2.0)
    assert np.isnan(fit.derived["rate"].stderr).all()
    bounded = fit_curves(model, X, y, bounds={"a": (None, 1.0)})
    assert (bounded.flags & Flag.AT_BOUND).all()
    same(bounded.derived["both"].stderr, bounded.stderr[:, 1] * bounded.params[:, 0])
    assert np.isfinite(free.derived["rate"].stderr).all()


def test_what_the_data_do_not_determine_has_a_value_and_no_error() -> None:
    model = Model.from_expression("a*x + (b + c)").deriving(slope="2*a", sum="b + c", b2="b**2")
    rng = np.random.default_rng(2)
    fit = fit_curves(model, X, 3 * X + 1 + 0.1 * rng.standard_normal((4, X.size)))
    assert (fit.flags & Flag.UNDETERMINED).all()
    same(fit.derived["slope"].stderr, 2 * fit.stderr[:, 0])
    for name in ("sum", "b2"):
        assert np.isfinite(fit.derived[name].values).all()
        assert np.isnan(fit.derived[name].stderr).all()


def test_what_was_not_fitted_has_no_value_whatever_the_expression_is_of() -> None:
    y = decays(3)
    y[1] = np.nan
    model = DECAY.deriving(sign="1 if a > 0 else 0", one="b**0 + k", k="3.0")
    fit = fit_curves(model, X, y)
    assert fit.status[1] == Status.NONFINITE_DATA
    for name, value in (("sign", 1.0), ("one", 4.0), ("k", 3.0)):
        np.testing.assert_array_equal(fit.derived[name].values, [value, np.nan, value])
        assert np.isnan(fit.derived[name].stderr).all()


def test_constants_of_the_curves_may_be_in_it() -> None:
    model = Model.from_expression("a*exp(-x/(k*t))", constants=["k"]).deriving(tau="k*t")
    k = np.array([0.5, 2.0])
    y = 2.0 * np.exp(-X / (k[:, None] * 0.8)) + 0.01 * np.cos(9 * X)
    fit = fit_curves(model, X, y, constants={"k": k})
    same(fit.derived["tau"].values, k * fit.params[:, 1])
    same(fit.derived["tau"].stderr, k * fit.stderr[:, 1])
    number = fit_curves(model, X, y[:1], constants={"k": 0.5})
    np.testing.assert_array_equal(number.derived["tau"].values, fit.derived["tau"].values[:1])


def test_a_curve_alone_has_the_same_bits_as_in_a_batch() -> None:
    model = DECAY.deriving(h="log(2)/b", p="a**b*exp(c)", s="sin(a)*tanh(b)")
    y = decays(33)
    batch = fit_curves(model, X, y).derived
    for i in (0, 13, 32):
        alone = fit_curves(model, X, y[i : i + 1]).derived
        for name, found in batch.items():
            assert alone[name].values.tobytes() == found.values[i : i + 1].tobytes()
            assert alone[name].stderr.tobytes() == found.stderr[i : i + 1].tobytes()


def test_a_variance_that_is_rounding_is_not_taken_for_one() -> None:
    """The difference of two that are one: of exact zero only rounding is left, of either sign."""
    cov = np.array([[[0.1, 0.1], [0.1, 0.1 * (1 + 2e-16)]], [[0.1, 0.1], [0.1, 0.3]]])
    params, stderr = np.ones((2, 2)), np.full((2, 2), sqrt(0.1))
    found = propagated(parse("p - q", predictors=()), params, cov, stderr, ())
    np.testing.assert_allclose(found.stderr, [np.nan, sqrt(0.2)])


def test_an_infinite_value_is_told_and_has_no_error() -> None:
    found = propagated(
        parse("1/p", predictors=()), np.array([[0.0]]), np.ones((1, 1, 1)), np.ones((1, 1)), ()
    )
    assert np.isinf(found.values).all()
    assert np.isnan(found.stderr).all()


def test_a_model_keeps_what_is_derived_as_it_was_written_and_on_every_road() -> None:
    model = DECAY.deriving(h=" log(2)/b ").deriving(h2="2*h")
    assert model.derived == {"h": "log(2)/b", "h2": "2*(0.6931471805599453/b)"}
    assert pickle.loads(pickle.dumps(model)) == model
    function = Model.from_function(lambda x, a, b: a * np.exp(-b * x)).deriving(h="log(2)/b")
    assert function.traced().derived == function.derived == {"h": "log(2)/b"}
    y = decays(4)
    rates = [fit_curves(function, X, y, engine=e).derived["h"] for e in ("auto", "reference")]
    same(rates[0].values, rates[1].values, rtol=1e-6)
    assert isinstance(rates[0], Derived)


@pytest.mark.parametrize(
    ("quantities", "message"),
    [
        ({"a": "2*b"}, "model 'decay' has a already: what is derived needs a name of its own"),
        ({"x": "2*b"}, "has x already"),
        ({"h": "log(2)/q"}, r"'q' is not among the names declared: a, b, c, h, x \(column 8\)"),
        ({"h": "a*x"}, r"h = a\*x depends on x: it is to be one number a curve"),
        ({"h": "2*g", "g": "h"}, r"h = 2\*g depends on itself: h -> g -> h"),
        ({"h": "b b"}, r"this is not a formula"),
        ({"h": ""}, "this is not a formula"),
        ({"h i": "b"}, "'h i' cannot be the name of a param: use letters, digits and _"),
        ({"h": 1.0}, "an expression is a text, got float"),
    ],
)
def test_what_cannot_be_derived_says_why(quantities: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DECAY.deriving(**quantities)


@pytest.mark.parametrize(
    ("derived", "message"),
    [
        ({"a": "b"}, "model 'm' uses a name twice: a"),
        ({"q": "2*b"}, r"'b' is not among the names declared: a, x"),
        ({"q": "a*x"}, r"q = a\*x depends on x"),
        ({"1q": "a"}, "'1q' cannot be the name"),
    ],
)
def test_a_model_is_not_made_with_what_cannot_be_derived(
    derived: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Model(name="m", params=("a",), func=print, derived=derived)
