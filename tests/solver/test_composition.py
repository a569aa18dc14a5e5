"""Models joined, renamed and tied: the same fits as of the functions written out by hand."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.tracing import TraceError
from manyfit.solver.library import (
    MODELS,
    constant,
    exponential_decay,
    gaussian,
    get_model,
    linear,
    lorentzian,
    polynomial,
    sinusoid,
)
from manyfit.solver.model import Model
from tests.solver.two_peaks import X, peaks, two_peaks

NO_MODEL: Any = "constant"
NO_TEXT: Any = 2.0


def values_of(model: Model, *params: float, x: Any = X) -> Floats:
    """Evaluate a model of one predictor, for one curve."""
    values = model(**dict(zip(model.params, params, strict=True)), **{model.predictors[0]: x})
    return np.broadcast_to(values, np.shape(x))


# --- joined ----------------------------------------------------------------------------------


def test_two_peaks_above_a_constant_are_fitted_as_scipy_fits_them() -> None:
    model = gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant()
    assert model.name == "gaussian + gaussian + constant"
    assert model.params == ("g1_a", "g1_mu", "g1_s", "g2_a", "g2_mu", "g2_s", "c")
    truth, y = peaks(5)
    fit = fit_curves(model, X, y, p0=truth)
    for i in range(5):
        params, cov = curve_fit(two_peaks, X, y[i], p0=truth[i])
        np.testing.assert_allclose(fit.params[i], params, rtol=1e-6)
        np.testing.assert_allclose(fit.cov[i], cov, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(fit.evaluate(), y, atol=0.3)


@pytest.mark.parametrize(
    ("joined", "by_hand"),
    [
        (lambda f, g: f + g, lambda u, v: u + v),
        (lambda f, g: f - g, lambda u, v: u - v),
        (lambda f, g: f * g, lambda u, v: u * v),
        (lambda f, g: f / g, lambda u, v: u / v),
        (lambda f, g: 2 * f + g / 4.0 - 1, lambda u, v: 2 * u + v / 4.0 - 1),
        (lambda f, g: 1 - f * np.float32(0.5) + g, lambda u, v: 1 - 0.5 * u + v),
        (lambda f, g: (3 / g) * f, lambda u, v: (3 / v) * u),
        (lambda f, g: sum([f, g]), lambda u, v: u + v),
    ],
)
def test_models_and_numbers_are_joined_by_arithmetic(
    joined: Callable[..., Model], by_hand: Callable[..., Any]
) -> None:
    wave = Model.from_expression("a*sin(w*x)")
    decay = Model.from_function(lambda x, b, k=0.5: b * np.exp(-k * x))
    model = joined(wave, decay)
    numbers = {"a": 1.5, "w": 2.0, "b": 0.7, "k": 0.3}
    found = model(x=X, **{p: numbers[p] for p in model.params})
    expected = by_hand(1.5 * np.sin(2.0 * X), 0.7 * np.exp(-0.3 * X))
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in MODELS if n != "polynomial"])
def test_every_model_of_the_library_can_be_a_term(name: str) -> None:
    """The derivatives are compared with those that were written by hand."""
    part = get_model(name, prefix="p_")
    model = part + sinusoid(prefix="s_")
    rng = np.random.default_rng(5)
    numbers = dict(zip(model.params, rng.uniform(0.5, 2.0, model.n_params), strict=True))
    x = np.linspace(0.1, 3.0, 20)
    assert part.jac is not None
    assert model.jac is not None
    ours = dict(zip(model.params, model.jac(x, *numbers.values()), strict=True))
    values = [numbers.get(p, 0.0) for p in part.params]
    for param, by_hand in zip(part.params, part.jac(x, *values), strict=True):
        if param in model.params:
            np.testing.assert_allclose(ours[param], by_hand * np.ones(20), rtol=1e-12, atol=1e-13)
    found = values_of(model, *numbers.values(), x=x)
    wave = numbers["s_a"] * np.sin(numbers["s_w"] * x + numbers["s_phi"]) + numbers["s_c"]
    np.testing.assert_allclose(found, part(x, *values) + wave, rtol=1e-13)


def test_a_sum_has_one_additive_constant_the_last() -> None:
    assert (gaussian() + linear()).params == ("a", "mu", "s", "c", "b")
    joined = gaussian(prefix="g_") - sinusoid()
    assert joined.params == ("g_a", "g_mu", "g_s", "a", "w", "phi", "c")
    assert (constant() + gaussian(prefix="g_")).params == ("g_a", "g_mu", "g_s", "g_c")
    assert (gaussian() * constant(prefix="k_")).params == ("a", "mu", "s", "c", "k_c")
    difference = constant() - gaussian(prefix="g_")
    np.testing.assert_allclose(
        values_of(difference, 2.0, 5.0, 1.0, 0.5), -values_of(gaussian(), 2.0, 5.0, 1.0, 0.5)
    )


def test_data_of_the_same_name_are_shared() -> None:
    first = Model.from_expression("a*t + k", x="t", constants=["k"])
    second = Model.from_expression("b*t*u*k + h", x=("t", "u"), constants=["k", "h"])
    model = first + second
    assert (model.predictors, model.constants, model.params) == (
        ("t", "u"),
        ("k", "h"),
        ("a", "b"),
    )
    t, u = np.arange(1.0, 9.0), np.arange(1.0, 9.0) ** 2
    k, h = np.array([[1.0], [2.0]]), np.array([[0.0], [5.0]])
    y = 2 * t + k + 3 * t * u * k + h
    fit = fit_curves(model, {"t": t, "u": u}, y, constants={"k": k[:, 0], "h": h[:, 0]})
    np.testing.assert_allclose(fit.params, [[2, 3], [2, 3]], rtol=1e-9)


def test_bounds_and_starts_are_joined_and_renamed() -> None:
    decay = Model.from_function(lambda x, a, b=2.0: a * np.exp(-b * x), bounds={"a": (0, 9)})
    model = decay.prefixed("d_") + decay
    assert model.bounds == {"d_a": (0, 9), "a": (0, 9)}
    assert model.start == {"d_b": 2.0, "b": 2.0}


@pytest.mark.parametrize(
    "model",
    [
        gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant(),
        (exponential_decay() - linear(prefix="l_")) / sinusoid(prefix="s_"),
        (2 * gaussian(prefix="p_") + 1).tied(p_mu="p_s/2"),
        (lorentzian(prefix="v_") + polynomial(2)).tied(v_a="c2**2").deriving(q="v_w/c0"),
    ],
    ids=lambda model: str(model.name),
)
def test_what_is_composed_can_be_written_down_read_again_and_sent(model: Model) -> None:
    assert model.graph is not None
    assert model.expression is not None
    again = parse(model.expression, model.params, model.predictors, model.constants)
    assert again == model.graph
    assert pickle.loads(pickle.dumps(model)) == model
    by_text = Model.from_expression(model.expression, model.params)
    params = np.random.default_rng(2).uniform(0.5, 2.0, model.n_params)
    np.testing.assert_array_equal(values_of(by_text, *params), values_of(model, *params))


# --- prefixes --------------------------------------------------------------------------------


def test_a_prefix_renames_parameters_and_nothing_else() -> None:
    model = Model.from_expression("a*exp(-b*exp) + 1e3*x*np.pi", ["a", "b", "exp"])
    model = model.with_bounds(b=(0, 1)).deriving(h="log(2)/b").prefixed("p_")
    assert model.params == ("p_a", "p_b", "p_exp")
    assert model.expression == "p_a*exp(-p_b*p_exp) + 3141.592653589793*x"
    assert (model.bounds, model.derived) == ({"p_b": (0, 1)}, {"p_h": "log(2)/p_b"})
    assert model.graph is not None
    assert model.graph == parse(model.expression, model.params)
    assert gaussian(prefix="g_") == gaussian().prefixed("g_") == get_model("gaussian", prefix="g_")
    assert gaussian().prefixed("") == gaussian()
    assert Model.from_expression("a*x").prefixed("p_").name == "p_a*x"


def test_a_function_that_is_no_formula_takes_a_prefix() -> None:
    def clipped(a: Any, x: Any, b: Any) -> Any:
        return a * np.interp(x, [0, 1, 10], [0, 1, 2]) + b

    model = Model.from_function(clipped, x="x").prefixed("p_")
    assert (model.arguments, model.params) == (("p_a", "x", "p_b"), ("p_a", "p_b"))
    np.testing.assert_array_equal(model(p_a=2.0, x=1.0, p_b=3.0), 5.0)


# --- what cannot be --------------------------------------------------------------------------


def branching(x: Any, q: Any) -> Any:
    return q * x if q > 0 else x


@pytest.mark.parametrize(
    ("compose", "error", "message"),
    [
        (
            lambda: gaussian() + gaussian(),
            ValueError,
            r"'gaussian' and 'gaussian' both have a, mu, s: give .* prefix, as in .*gaussian\(pref",
        ),
        (
            lambda: Model.from_expression("x*t", x="t") + gaussian(),
            ValueError,
            "both have x",
        ),
        (
            lambda: gaussian().deriving(w="2*s") + Model.from_expression("w*x"),
            ValueError,
            "both have w",
        ),
        (
            lambda: gaussian() + Model.from_function(branching),
            TraceError,
            r"test_composition.py:\d+, in branching: .*np.where",
        ),
        (lambda: gaussian() + NO_MODEL, TypeError, "with a model or a number, got str"),
        (
            lambda: exponential_decay() * 0,
            ValueError,
            r"'0', made of model 'exponential_decay', does not depend on a, b, c any more",
        ),
        (
            lambda: gaussian().with_bounds(c=(0, 1)) + constant(prefix="k_"),
            ValueError,
            r"c of 'gaussian' and k_c of 'constant' are additive .* bounds {'c': \(0, 1\)}: bound",
        ),
        (
            lambda: gaussian().deriving(top="a + c") + constant(prefix="k_"),
            ValueError,
            "and top is derived from the one that is left out: derive it from the sum instead",
        ),
        (lambda: gaussian().prefixed("1"), ValueError, "'1a' cannot be the name of a param"),
        (
            lambda: gaussian().tied(q="2*a"),
            ValueError,
            "model 'gaussian' has no parameter q to tie; it has a, mu, s, c",
        ),
        (
            lambda: gaussian().with_bounds(s=(0, 9)).tied(s="a"),
            ValueError,
            r"bounds {'s': \(0, 9\)}, which no expression can promise to keep",
        ),
        (
            lambda: gaussian().tied(s="q + 1"),
            ValueError,
            r"'q' is not among the names declared: a, mu, s, c, x \(column 1\)",
        ),
        (lambda: gaussian().tied(s="a +"), ValueError, r"this is not a formula.*column"),
        (lambda: gaussian().tied(s="s/2"), ValueError, "s = s/2 depends on itself: s -> s"),
        (
            lambda: gaussian().tied(s="mu", mu="c", c="2*s"),
            ValueError,
            "depends on itself: s -> mu -> c -> s",
        ),
        (lambda: gaussian().tied(s="a*x"), ValueError, r"s = a\*x depends on x: it is to be one"),
        (lambda: gaussian().tied(s=NO_TEXT), ValueError, "an expression is a text, got float"),
        (
            lambda: exponential_decay().tied(a="0"),
            ValueError,
            "'c', made of model 'exponential_decay', does not depend on b any more",
        ),
        (
            lambda: constant().tied(c="1"),
            ValueError,
            "model 'constant' would have no parameter left to fit",
        ),
        (
            lambda: Model.from_function(branching).tied(q="1"),
            TraceError,
            "in branching",
        ),
    ],
)
def test_what_cannot_be_composed_says_why(
    compose: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compose()
