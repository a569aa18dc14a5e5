"""When a model is fitted by its formula, and what is said of one that has none."""

import functools
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
from scipy.optimize import curve_fit

from manyfit.solver.batch import fit_curves
from manyfit.solver.library.registry import MODELS, get_model
from manyfit.solver.model import Model
from manyfit.solver.pointwise import ModelWarning
from tests.solver.plain_decay import X, by_formula, decay, decay_jac, noisy

Function = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("forget")

# Functions that are no formula ----------------------------------------------------------------


def if_on_data(x: Any, a: Any, b: Any) -> Any:
    if x.max() > 100:
        return a * x
    return a * np.exp(-b * x)


def if_on_a_parameter(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) if b > 0 else a + 0 * x


def spline(x: Any, a: Any, b: Any) -> Any:
    t = np.linspace(0, 4, 50)
    return a * scipy.interpolate.CubicSpline(t, np.exp(-t))(b * x)


def interpolated(x: Any, a: Any, b: Any) -> Any:
    return a * np.interp(x, np.linspace(0, 4, 9), np.exp(-b * np.linspace(0, 4, 9)))


def integral(x: Any, a: Any, b: Any) -> Any:
    lost = [scipy.integrate.quad(lambda s: b * math.exp(-b * s), 0, t)[0] for t in x]
    return a * (1 - np.array(lost))


def integral_of_a_rate(x: Any, a: Any, b: Any) -> Any:
    rate = scipy.integrate.quad(lambda s: b * s, 0, math.sqrt(2))[0]
    return a * np.exp(-rate * x)


def in_place(x: Any, a: Any, b: Any) -> Any:
    y = np.zeros(x.shape)
    y[x <= 1] = a * np.exp(-b * x[x <= 1])
    y[x > 1] = a * np.exp(-b * x[x > 1])
    return y


def masked_write(x: Any, a: Any, b: Any) -> Any:
    y = a * np.exp(-b * x)
    y[x < 0] = 0
    return y


def convolved(x: Any, a: Any, b: Any) -> Any:
    return np.convolve(a * np.exp(-b * x), [0.25, 0.5, 0.25], mode="same")


def running_sum(x: Any, a: Any, b: Any) -> Any:
    return a - b * 0.1 * np.cumsum(np.exp(-b * x))


def cautious(x: Any, a: Any, b: Any) -> Any:
    try:
        return np.array([a * math.exp(-b * t) for t in x])
    except (TypeError, OverflowError):
        return np.full(np.shape(x), np.inf)


def swallowing(x: Any, a: Any, b: Any) -> Any:
    try:
        scale = math.exp(a)
    except Exception:  # noqa: BLE001
        scale = 1.0
    return math.e**-1 * scale * np.exp(-b * x)


def a_point_at_a_time(x: Any, a: Any, b: Any) -> Any:
    y = []
    for t in x:
        y.append(a * np.exp(-b * t))  # noqa: PERF401
    return np.array(y)


@functools.lru_cache
def lifetime(b: Any) -> Any:
    return 1 / b


def with_a_cache(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-x / lifetime(b))


def in_order(x: Any, a: Any, b: Any) -> Any:
    return decay(x, *sorted((a, b), reverse=True))


def normalised(x: Any, a: Any, b: Any) -> Any:
    y = np.exp(-b * np.sort(x))
    return a * y


RNG = np.random.default_rng(0)
MEMO: dict[str, Any] = {}


def jittered(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + 1e-12 * RNG.normal()


def first_come(x: Any, a: Any, b: Any) -> Any:
    if "grid" not in MEMO:
        MEMO["grid"] = np.exp(-x)
    return a * MEMO["grid"] ** b


@np.vectorize
def pointwise_if(x: Any, a: Any, b: Any) -> Any:
    if x > 100:
        return 0.0
    return a * np.exp(-b * x)


AWKWARD: dict[Function, tuple[str, str]] = {
    if_on_data: (r"in if_on_data: `if x.max\(\) > 100:`", "function of one point"),
    if_on_a_parameter: ("if b > 0 else", r"Use np.where\(condition, a, b\) for if"),
    spline: (r"CubicSpline\(t, np.exp\(-t\)\)\(b \* x\)`", "scipy.interpolate computes with num"),
    interpolated: (r"`return a \* np.interp\(x", "ndarray of 9 values.*Give data as a predictor"),
    integral: ("scipy.integrate.quad", "NumPy functions of the whole x in place of a loop"),
    integral_of_a_rate: ("`rate = scipy.integrate.quad", "Write a closed form with NumPy's"),
    in_place: (r"`y = np.zeros\(x.shape\)`", "Use np.zeros_like"),
    masked_write: (r"`y\[x < 0\] = 0`", r"np.where\(condition, a, b\) in place of y\[mask\] = a"),
    convolved: ("`return np.convolve", "np.convolve: a model is a function of one point"),
    running_sum: ("np.cumsum", "np.cumsum: a model is a function of one point"),
    cautious: ("math.exp.* for t in x", "in place of a loop over its points"),
    swallowing: (r"`scale = math.exp\(a\)`", "np.exp for math.exp"),
    a_point_at_a_time: ("`for t in x:`", "in place of a loop over its points"),
    with_a_cache: (r"`return a \* np.exp\(-x / lifetime\(b\)\)`", "Leave out lru_cache"),
    in_order: (r"sorted\(\(a, b\)", "np.minimum and np.maximum for min and max"),
    normalised: (r"np.sort\(x\)", "np.sort: a model is a function of one point"),
    jittered: ("in jittered", "random numbers or state outside the function"),
    first_come: ("in first_come|MEMO", "ndarray of 24 values that are no argument"),
    pointwise_if: ("in pointwise_if: `if x > 100:`", r"Use np.where\(condition, a, b\) for if"),
}


def model_of(func: Function) -> Model:
    """Return the model of a function, also of one whose arguments have no names."""
    named = not isinstance(func, np.vectorize)
    return Model.from_function(func) if named else Model.from_function(func, ["a", "b"], x="x")


@pytest.mark.parametrize("func", AWKWARD)
def test_what_is_no_formula_says_why_once_and_is_fitted_as_scipy_fits_it(func: Function) -> None:
    MEMO.clear()
    model, y = model_of(func), noisy()
    with pytest.warns(ModelWarning) as caught:
        fits = [fit_curves(model, X, y, p0=[1.5, 1]) for _ in range(2)]
    [told] = [str(w.message) for w in caught if "no formula can be read" in str(w.message)]
    place, remedy = AWKWARD[func]
    assert re.search(f"from model '{model.name}': test_formulas.py:.*{place}.*{remedy}", told)
    assert told.endswith("engine='reference' does so without this warning")
    expected = [curve_fit(func, X, one, p0=[1.5, 1])[0] for one in y]
    for fit in fits:
        assert fit.model.graph is None
        np.testing.assert_allclose(fit.params, expected, rtol=1e-5)
    with pytest.raises(ValueError, match=rf"engine='simd' fits formulas, and no .*{remedy}"):
        fit_curves(model, X, y, p0=[1.5, 1], engine="simd")


def test_complex_values_are_refused() -> None:
    def wave(x: Any, a: Any, b: Any) -> Any:
        return a * np.exp(1j * b * x)

    with (
        pytest.warns(ModelWarning, match="exp of complex numbers"),
        pytest.raises(ValueError, match="a model must return real numbers, got dtype complex"),
    ):
        fit_curves(wave, X, noisy())


def test_a_function_that_raises_is_heard_without_advice(recwarn: pytest.WarningsRecorder) -> None:
    def misspelt(x: Any, a: Any, b: Any) -> Any:
        return a * np.exp(-b * x) + ofset  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="ofset"):
        fit_curves(misspelt, X, noisy())
    assert not recwarn.list
    with pytest.raises(ValueError, match=r"engine='simd' fits formulas, and .* NameError: name"):
        fit_curves(misspelt, X, noisy(), engine="simd")


def test_predictors_in_a_tuple_are_named_or_refused() -> None:
    def plane(X: Any, a: Any, b: Any, c: Any) -> Any:
        x, y = X
        return a * x + b * y + c

    u, v = np.random.default_rng(1).uniform(0, 1, (2, 30))
    z = plane((u, v), 2, -1, 0.5) + 0.01 * np.sin(9 * u)
    named = Model.from_function(lambda x, y, a, b, c: plane((x, y), a, b, c), x=("x", "y"))
    fit = fit_curves(named, {"x": u, "y": v}, z[None])
    assert fit.model.expression == "a*x + b*y + c"
    np.testing.assert_allclose(fit.params[0], curve_fit(plane, (u, v), z)[0], rtol=1e-6)
    with (
        pytest.warns(ModelWarning, match=r"`x, y = X`: .* f\(x, y, a, b\) with x=\('x', 'y'\)"),
        pytest.raises(ValueError, match="unpack"),
    ):
        fit_curves(plane, u, z[None])


def test_constants_of_curves_and_predictors_by_name() -> None:
    def two_pools(u: Any, fast: Any, slow: Any, v: Any, dose: Any) -> Any:
        return dose * (np.exp(-fast * u) + v * np.exp(-slow * u))

    model = Model.from_function(two_pools, x=("u", "v"), constants=["dose"])
    v, dose = 0.5 + np.cos(X) ** 2, np.array([1.0, 3.0])
    y = two_pools(X, 2.0, 0.3, v, dose[:, None])
    fit = fit_curves(model, {"u": X, "v": v}, y, constants={"dose": dose}, p0=[1.5, 0.2])
    assert by_formula(fit)
    np.testing.assert_allclose(fit.params, [[2, 0.3]] * 2, rtol=1e-6)


# Formulas and what they stand for -------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODELS, "exponential_decay:2"])
def test_a_model_of_the_library_keeps_its_derivatives_beside_its_formula(name: str) -> None:
    model = get_model(f"{name}:3" if name == "polynomial" else name)
    params = 0.5 + 0.5 * np.arange(1, model.n_params + 1)
    y = model(X, *params)[None]
    fit = fit_curves(model, X, y)
    assert fit.model.graph is not None
    assert (fit.model.func, fit.model.jac) == (model.func, model.jac)
    assert fit.model.expression == (model.expression or fit.model.graph.text)
    assert model.jac is not None
    found = fit.model.graph.jacobian(model.arguments)(X, *params)
    for one, exact in zip(found, model.jac(X, *params), strict=True):
        np.testing.assert_allclose(np.broadcast_to(one, X.shape), exact + 0 * X, rtol=1e-10)
    np.testing.assert_allclose(fit.model.graph.function(model.arguments)(X, *params), y[0])


def test_a_plain_function_gets_exact_derivatives_on_any_engine() -> None:
    fit = fit_curves(decay, X, noisy())
    exact = fit_curves(Model.from_function(decay, jac=decay_jac), X, noisy())
    np.testing.assert_array_equal(fit.nfev, exact.nfev)
    np.testing.assert_allclose(fit.cov, exact.cov, rtol=1e-9)
    plain = fit_curves(decay, X, noisy(), engine="reference")
    assert np.all(plain.nfev > fit.nfev)
    assert (plain.model.graph, plain.model.func) == (None, decay)
    slow = fit_curves(decay, X, noisy(), maxfev=0, ftol=0, xtol=0)
    assert np.all(slow.nfev <= 100 * 3)


def test_derivatives_of_the_author_need_no_formula_unless_it_is_asked_for() -> None:
    model = Model.from_function(if_on_a_parameter, jac=decay_jac)
    fit = fit_curves(model, X, noisy(1))
    assert fit.model.graph is None
    np.testing.assert_allclose(fit.params, fit_curves(decay, X, noisy(1)).params, rtol=1e-6)
    with pytest.raises(ValueError, match="engine='simd' fits formulas, and no formula can be read"):
        fit_curves(model, X, noisy(1), engine="simd")


def test_a_model_with_a_formula_travels_without_its_function() -> None:
    offset = 0.25
    traced = Model.from_function(lambda x, a, b: a * np.exp(-b * x) + offset).traced()
    there = pickle.loads(pickle.dumps(traced))
    assert there == traced
    assert there.graph == traced.graph
    np.testing.assert_array_equal(
        fit_curves(there, X, noisy()).params, fit_curves(traced, X, noisy()).params
    )
    assert pickle.loads(pickle.dumps(Model.from_expression("a*x"))).graph.text == "a*x"


def test_a_graph_of_other_names_is_refused() -> None:
    traced = Model.from_function(decay).traced()
    with pytest.raises(ValueError, match=r"'decay': its graph is of \('x', 'a', 'b'\), not of its"):
        replace(traced, params=("a", "c"), arguments=("x", "a", "c"))


def test_a_formula_too_long_to_print_is_one_all_the_same() -> None:
    def folded(x: Any, a: Any, b: Any) -> Any:
        y = a * np.exp(-b * x)
        for _ in range(30):
            y = np.sqrt(y * y + y * (y - y * 0.5))
        return y

    model = Model.from_function(folded).traced()
    assert model.graph is not None
    assert model.expression is None
