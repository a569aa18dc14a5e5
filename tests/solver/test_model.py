"""Models: one meaning for every name, read from a signature or given."""

import pickle
from typing import Any

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.graph.tracing import TraceError
from manyfit.solver.library import get_model
from manyfit.solver.model import Model


def decay(x: Any, a: Any, b: Any = 0.5, c: Any = 0) -> Any:
    return a * np.exp(-b * x) + c


def test_a_function_gives_name_predictor_params_and_start() -> None:
    model = Model.from_function(decay)
    assert model.name == "decay"
    assert model.predictors == ("x",)
    assert model.params == ("a", "b", "c")
    assert model.n_params == 3
    assert model.constants == ()
    assert model.start == {"b": 0.5, "c": 0.0}
    assert model.jac is None
    assert model.guess is None
    assert model.func is decay


def test_defaults_that_are_no_numbers_are_no_starts() -> None:
    model = Model.from_function(lambda x, a=None, b=True, c=np.float32(2): (x, a, b, c))  # noqa: B008
    assert model.start == {"c": 2.0}


def test_predictors_and_constants_are_named_wherever_they_stand() -> None:
    def dose(p: Any, u: Any, t: Any, q: Any, v: Any) -> Any:
        return 10000 * p + 1000 * u + 100 * t + 10 * q + v

    model = Model.from_function(dose, x=("v", "u"), constants=["t"], name="response")
    assert (model.name, model.predictors, model.constants) == ("response", ("v", "u"), ("t",))
    assert model.params == ("p", "q")
    assert model.arguments == ("p", "u", "t", "q", "v")
    # In the model's own order - predictors, constants, params - and back into the function's.
    assert model.arrange([1, 2], [3], [4, 5]) == [4, 2, 3, 5, 1]


def test_the_predictor_need_not_be_the_first_argument() -> None:
    model = Model.from_function(lambda a, t: a * t, x="t")
    assert (model.predictors, model.params) == (("t",), ("a",))


def test_a_function_of_any_number_of_parameters_needs_their_names() -> None:
    def polynomial(x: Any, *p: Any) -> Any:
        return sum(c * x**k for k, c in enumerate(p))

    model = Model.from_function(polynomial, ["p0", "p1", "p2"])
    assert model.params == ("p0", "p1", "p2")
    assert model(2.0, 1, 10, 100) == 421


def test_a_function_without_any_names_needs_all_of_them() -> None:
    model = Model.from_function(lambda *v: v, ["a", "b"], x=("u", "v"), constants=["k"])
    assert model.arguments == ("u", "v", "k", "a", "b")
    assert model(1, 2, 3, b=5, a=4) == (1, 2, 3, 4, 5)


def test_a_callable_object_is_named_after_its_class() -> None:
    class Line:
        def __call__(self, x: Any, a: Any, b: Any) -> Any:
            return a + b * x

    model = Model.from_function(Line())
    assert (model.name, model.params) == ("Line", ("a", "b"))


def test_a_model_is_called_by_order_or_by_name() -> None:
    model = Model.from_function(lambda a, x, b: 100 * a + 10 * x + b, x="x")
    assert model(1, 2, 3) == model(1, b=3, x=2) == model(b=3, a=1, x=2) == 123


def test_bounds_can_be_added_without_touching_the_model() -> None:
    model = Model.from_function(decay, bounds={"a": (0, 1)})
    bounded = model.with_bounds(b=(0, np.inf), a=(0, 2))
    assert model.bounds == {"a": (0, 1)}
    assert bounded.bounds == {"a": (0, 2), "b": (0, np.inf)}
    assert bounded.params == model.params


def test_arguments_default_to_predictors_constants_params() -> None:
    model = Model(name="m", params=("p", "q"), func=print, predictors=("u", "v"), constants=("t",))
    assert model.arguments == ("u", "v", "t", "p", "q")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"params": ()}, r"model 'm' needs at least one predictor and one parameter"),
        ({"params": ("a",), "predictors": ()}, r"model 'm' needs at least one predictor"),
        ({"params": ("a", "a")}, r"model 'm' uses a name twice: \('x', 'a', 'a'\)"),
        ({"params": ("a", "x")}, r"model 'm' uses a name twice"),
        ({"params": ("a",), "constants": ("a",)}, r"model 'm' uses a name twice"),
        (
            {"params": ("a",), "arguments": ("x", "a", "z")},
            r"model 'm': arguments \('x', 'a', 'z'\) are not its predictors, constants and params",
        ),
        ({"params": ("a", "b"), "arguments": ("x", "a")}, r"model 'm': arguments \('x', 'a'\) are"),
        ({"params": ("a",), "bounds": {"b": (0, 1)}}, r"'m' has no parameter \['b'\]; it has"),
        ({"params": ("a",), "start": {"z": 1}}, r"model 'm' has no parameter \['z'\]"),
    ],
)
def test_names_that_do_not_add_up_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(name="m", func=print, **fields)


@pytest.mark.parametrize(
    ("func", "options", "message"),
    [
        (lambda *p: p, {"params": ["a"]}, r"has no named first argument: give x='name'"),
        (lambda: 1, {}, r"<lambda> has no named first argument"),
        (lambda x, *p: (x, p), {}, r"<lambda> takes \*args: give the params by name"),
        (decay, {"x": "t"}, r"decay has no argument \['t'\]; its arguments are \('x', 'a'"),
        (decay, {"params": ["a", "d"]}, r"decay has no argument \['d'\]"),
        (decay, {"constants": ["k"]}, r"decay has no argument \['k'\]"),
        (decay, {"params": ["a", "b"]}, r"model 'decay': arguments .* are not its predictors"),
        (decay, {"bounds": {"k": (0, 1)}}, r"model 'decay' has no parameter \['k'\]"),
        (lambda x: x, {}, r"needs at least one predictor and one parameter"),
        (dict, {}, r"the signature of dict cannot be read .*: wrap it in a function"),
    ],
)
def test_functions_that_cannot_be_read_are_refused(
    func: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Model.from_function(func, **options)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1.0,), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"z": 2})]
)
def test_a_call_with_missing_or_unknown_arguments_is_refused(
    args: tuple[float, ...], kwargs: dict[str, float]
) -> None:
    with pytest.raises(TypeError, match=r"model 'decay' takes \('x', 'a', 'b', 'c'\), got"):
        Model.from_function(decay)(*args, **kwargs)


def test_a_formula_is_a_model_with_exact_derivatives() -> None:
    model = Model.from_expression("a*exp(-b*x) + c", bounds={"b": (0, 9)})
    assert (model.name, model.params, model.bounds["b"]) == (
        "a*exp(-b*x) + c",
        ("a", "b", "c"),
        (0, 9),
    )
    assert Model.from_expression(str(model.expression)) == Model.from_expression(model.name)
    x = np.linspace(0, 5, 30)
    rng = np.random.default_rng(4)
    y = rng.uniform(1, 3, (20, 1)) * np.exp(-1.5 * x) + 0.5 + rng.normal(0, 0.02, (20, 30))
    ours = fit_curves(model, x, y, p0=[1, 1, 1])
    library = fit_curves(get_model("exponential_decay"), x, y, p0=[1, 1, 1])
    np.testing.assert_allclose(ours.params, library.params, rtol=1e-9)
    np.testing.assert_allclose(ours.cov, library.cov, rtol=1e-7)
    np.testing.assert_array_equal(ours.njev, library.njev)


def test_a_formula_has_predictors_and_constants_by_name() -> None:
    model = Model.from_expression("a*u + b*v**2 + k", x=("u", "v"), constants=["k"], name="plane")
    assert (model.name, model.predictors, model.constants) == ("plane", ("u", "v"), ("k",))
    u, v = np.arange(6.0), np.arange(6.0) ** 2
    y = 2 * u + 3 * v**2 + np.array([[1.0], [2.0]])
    fit = fit_curves(model, {"u": u, "v": v}, y, constants={"k": [1.0, 2.0]})
    np.testing.assert_allclose(fit.params, [[2, 3], [2, 3]], rtol=1e-9)


def test_a_formula_travels() -> None:
    model = pickle.loads(pickle.dumps(Model.from_expression("a*tanh(b*x)")))
    assert model == Model.from_expression("a*tanh(b*x)")
    assert model(1.0, 2.0, 0.0) == 0


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a*t", {}, "does not depend on x: if the predictor has"),
        ("a*x", {"params": ["a", "b"]}, "does not depend on b: leave such params out"),
        ("a*x +", {}, r"\(column"),
    ],
)
def test_formulas_that_are_no_model_are_refused(
    text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Model.from_expression(text, **options)


def test_a_function_can_be_given_exact_derivatives() -> None:
    plain = Model.from_function(decay, bounds={"b": (0, 9)})
    traced = plain.traced()
    assert traced.expression == "a*exp(-b*x) + c"
    assert (traced.start, traced.bounds) == (plain.start, plain.bounds)
    assert traced.graph is not None
    assert traced.func == traced.graph.function()
    assert traced.traced() is traced
    x = np.linspace(0, 5, 30)
    y = np.array([[2.0], [3.0]]) * np.exp(-1.5 * x) + 0.5 + 0.01 * np.cos(7 * x)
    by_hand = get_model("exponential_decay")
    assert by_hand.jac is not None
    fit, expected = (fit_curves(m, x, y, p0=[1, 1, 1]) for m in (traced, by_hand))
    np.testing.assert_allclose(fit.params, expected.params, rtol=1e-9)
    np.testing.assert_array_equal(fit.nfev, expected.nfev)


def test_a_function_that_is_no_formula_says_where_and_what_to_do() -> None:
    def step(x: Any, a: Any) -> Any:
        return a * x if a > 0 else x

    with pytest.raises(TraceError, match=r"test_model.py:\d+, in step: .*np.where"):
        Model.from_function(step).traced()
