"""Exact derivatives: against differences everywhere, and by hand where there is a singularity."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manyfit.solver.arrays import Floats
from manyfit.solver.graph.derivatives import derivative, derivatives
from manyfit.solver.graph.evaluate import evaluate, lay_out
from manyfit.solver.graph.nodes import Node, number, ordered, symbol
from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.printing import to_text
from manyfit.solver.graph.simplify import ZERO, apply

A, B = symbol("param", "a"), symbol("param", "b")
X = symbol("predictor", "x")

# Sixth-order central differences
WEIGHTS = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}


def differences(root: Node, values: dict[str, Any], name: str, step: float = 1e-3) -> Floats:
    """Return the derivative by central differences of sixth order."""
    total: Any = 0.0
    for k, weight in WEIGHTS.items():
        for sign in (1, -1):
            [value] = evaluate([root], {**values, name: values[name] + sign * k * step})
            total = total + sign * weight * value
    result: Floats = np.asarray(total / step)
    return result


DOMAINS = {
    "sqrt": (0.5, 3),
    "cbrt": (0.5, 3),
    "log": (0.5, 3),
    "log1p": (-0.5, 3),
    "log2": (0.5, 3),
    "log10": (0.5, 3),
    "arcsin": (-0.9, 0.9),
    "arccos": (-0.9, 0.9),
    "arctanh": (-0.9, 0.9),
    "arccosh": (1.2, 4),
    "tan": (-1.2, 1.2),
    "power": (0.3, 2.5),
    "floor": (0.1, 0.9),
    "sign": (0.1, 0.9),
    "mod": (1.05, 1.4),
    "gammaln": (0.5, 3),
    "digamma": (0.5, 3),
}
REAL = [n for n, o in OPERATIONS.items() if o.takes == "real" and not o.logical and n != "trigamma"]


@pytest.mark.parametrize("name", REAL)
def test_every_operation(name: str) -> None:
    low, high = DOMAINS.get(name, (-2.5, 2.5))
    rng = np.random.default_rng(len(name))
    values = {"a": rng.uniform(low, high, 40), "b": rng.uniform(low, high, 40)}
    if name == "mod":
        values["b"] = np.full(40, 0.5)
    names = ["a", "b"][: OPERATIONS[name].arity]
    root = apply(name, *[A, B][: len(names)])
    for by, slope in zip(names, derivatives(root, names), strict=True):
        [found] = evaluate([slope], values)
        expected = differences(root, values, by)
        np.testing.assert_allclose(found + 0 * expected, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-b*x) + c",
        "a*exp(-(x - b)**2/(2*c**2))",
        "a/(1 + ((x - b)/c)**2)",
        "a + (b - a)/(1 + 10**((c - x)*b))",
        "a/(1 + exp(-b*(x - c)))",
        "a/(1 + exp2(b*(x - c))) - b/(exp(x*c) + 1)",
        "a*(x/c)**b/(1 + (x/c)**b)",
        "a*x**b + c",
        "(a*x)**b*(c*x/a)**1.5",
        "sqrt(a*x/b) + cbrt(a*c*x)",
        "a*exp(-(x/b)**c)",
        "a**b**c",
        "a*sin(b*x + c)*exp(-x/a)",
        "erf((x - a)/b) + erfc(c*x) + expit(a*x)",
        "where(x < a, b*x, b*a + c*(x - a))",
        "max(a*x, min(b, c*x)) + abs(x - c)",
        "hypot(a*x, b)*arctan2(c*x, a)",
        "(a + x)**3/(b*x)**-2 + x**-c",
        "mod(a*x, b)",
        "a*voigt_profile(x - b, c, a) + dawsn(b*x)",
        "a*erfcx((b - x)/c) - wofz_imag(a*x, b*c)",
        "a*x - exp(c) - gammaln(a*x + 1) + digamma(b*x)",
    ],
)
def test_formulas_of_practice(text: str) -> None:
    graph = parse(text)
    rng = np.random.default_rng(3)
    values: dict[str, Any] = {"x": rng.uniform(0.3, 3, 50)}
    values |= {name: rng.uniform(0.7, 1.9) for name in graph.params}
    for name, slope in zip(graph.params, graph.derivatives(), strict=True):
        [found] = evaluate([slope], values)
        expected = np.broadcast_to(differences(graph.root, values, name), 50)
        far = np.isfinite(expected)
        if "mod" in text or "where" in text:  # have steps, and differences see them
            far = np.abs(expected) < 30
        assert far.mean() > 0.8
        np.testing.assert_allclose(
            np.broadcast_to(found, 50)[far], expected[far], rtol=1e-6, atol=1e-8
        )


def test_second_derivatives() -> None:
    graph = parse("a*exp(-b*x)*x**b/(1 + exp(a*x))")
    values = {"x": np.linspace(0.5, 2, 9), "a": 0.8, "b": 1.3}
    for first, second in itertools.product("ab", repeat=2):
        slope = derivative(graph.root, first)
        [found] = evaluate([derivative(slope, second)], values)
        np.testing.assert_allclose(found, differences(slope, values, second), rtol=1e-7)
    [ab], [ba] = (
        evaluate([derivative(derivative(graph.root, p), q)], values) for p, q in ("ab", "ba")
    )
    np.testing.assert_allclose(ab, ba, rtol=1e-12)


LEAVES = st.sampled_from([X, A, B, number(2.0), number(0.5), number(3.0), number(-1.0)])


@st.composite
def nodes(draw: Any, depth: int = 4) -> Node:
    """Draw a random composition."""
    if depth == 0:
        return draw(LEAVES)  # type: ignore[no-any-return]
    name = draw(st.sampled_from(["where", *REAL, *["add", "multiply", "divide", "power"] * 4]))
    if name == "where":
        test = apply("less", draw(nodes(depth - 1)), draw(nodes(depth - 1)))
        return apply("where", test, draw(nodes(depth - 1)), draw(nodes(depth - 1)))
    return apply(name, *(draw(nodes(depth - 1)) for _ in range(OPERATIONS[name].arity)))


@settings(max_examples=200, deadline=None)
@given(nodes(), st.integers(0, 10_000), st.sampled_from("ab"))
def test_random_compositions(root: Node, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    values = {n: rng.uniform(0.3, 1.8) for n in ("x", "a", "b")}
    with np.errstate(all="ignore"):
        fine, coarse = (differences(root, values, name, step) for step in (5e-4, 1e-3))
    [value], [found] = evaluate([root], values), evaluate([derivative(root, name)], values)
    scale = max(float(np.abs(value)), float(np.abs(fine)), 1e-6)
    assume(np.isfinite(scale))
    assume(scale < 1e6)
    assume(abs(fine - coarse) < 1e-7 * scale)  # smooth hereabouts
    assume(np.isfinite(found))  # arcsin(u**0) is singular for every u; see the points below
    assert abs(found - fine) < 1e-5 * scale


# Singular points ------------------------------------------------------------------------------


def at(text: str, name: str, **values: float) -> float:
    """Return a derivative at a point."""
    graph = parse(text)
    return float(evaluate([derivative(graph.root, name)], values)[0])


@pytest.mark.parametrize(
    ("text", "name", "values", "expected"),
    [
        ("x**b", "b", {"x": 0, "b": 0.5}, 0),
        ("x**b", "b", {"x": 0, "b": 2}, 0),
        ("a**2", "a", {"a": 0}, 0),
        ("a**3", "a", {"a": 0}, 0),
        ("a**3", "a", {"a": -2}, 12),
        ("a**-2", "a", {"a": -2}, 0.25),
        ("a**1.5", "a", {"a": 0}, 0),
        ("a**0.7", "a", {"a": 0}, np.inf),
        ("a**b", "a", {"a": 0, "b": 2}, 0),
        ("a**b", "a", {"a": 0, "b": 1}, 1),
        ("a**b", "a", {"a": 0, "b": 0}, 0),
        ("a**b", "a", {"a": 0, "b": 0.5}, np.inf),
        ("a**b", "a", {"a": -2, "b": 3}, 12),
        ("10**(a*x)", "a", {"a": 0, "x": 1}, np.log(10)),
        ("(x/k)**h", "k", {"x": 0, "k": 2, "h": 0.5}, 0),
        ("(x/k)**h", "h", {"x": 0, "k": 2, "h": 0.5}, 0),
        ("(x*k)**h", "k", {"x": 0, "k": 2, "h": 0.5}, 0),
        ("(x*k)**h", "k", {"x": 3, "k": 0, "h": 1}, 3),
        ("(k/x)**h", "k", {"x": 2, "k": 0, "h": 2}, 0),
        ("a*(x/k)**h/(1 + (x/k)**h)", "k", {"x": 0, "k": 2, "h": 0.5, "a": 3}, 0),
        ("a*exp(-(x/t)**b)", "t", {"x": 0, "t": 2, "b": 0.5, "a": 3}, 0),
        ("a*exp(-(x/t)**b)", "b", {"x": 0, "t": 2, "b": 0.5, "a": 3}, 0),
        ("sqrt(a*x)", "a", {"a": 2, "x": 0}, 0),
        ("sqrt(a)", "a", {"a": 0}, np.inf),
        ("cbrt(a*x)", "a", {"a": 2, "x": 0}, 0),
        ("cbrt(a)", "a", {"a": 0}, np.inf),
        ("abs(a)", "a", {"a": 0}, 0),
        ("sign(a)", "a", {"a": 0}, 0),
        ("hypot(a, b)", "a", {"a": 0, "b": 0}, 0),
        ("max(a, b)", "a", {"a": 1, "b": 1}, 1),
        ("max(a, b)", "b", {"a": 1, "b": 1}, 0),
        ("min(a, b)", "a", {"a": 1, "b": 1}, 1),
        ("clip(a*x, 0, 1)", "a", {"a": 0.5, "x": 1}, 1),
        ("clip(a*x, 0, 1)", "a", {"a": 5, "x": 1}, 0),
        ("sinc(a*x)", "a", {"a": 1, "x": 0}, 0),
        ("a/(1 + exp(-b*x))", "b", {"a": 2, "b": -1, "x": 1e3}, 0),
        ("a/(1 + exp(-b*x))", "b", {"a": 2, "b": 1, "x": 1e3}, 0),
        ("a/(1 + 10**((c - x)*h))", "h", {"a": 2, "c": 500, "x": 0, "h": 1}, 0),
        ("a*exp(-(x/s)**2)", "s", {"a": 2, "s": 1e-3, "x": 50}, 0),
        ("floor(a*x)", "a", {"a": 2.5, "x": 1}, 0),
        # the branch not taken
        ("where(x > 0, sqrt(a*x), b)", "a", {"a": 2, "x": -1, "b": 1}, 0),
        ("where(x > 0, log(a*x), a)", "a", {"a": 2, "x": 0}, 1),
        ("where(x > 0, sqrt(a - a), a)", "a", {"a": 2, "x": 0}, 1),
        ("where(x < 30, exp(a*x), x)", "a", {"a": 2, "x": 1e4}, 0),
        ("where(x > 0, a/x, 0)*b", "a", {"a": 2, "x": 0, "b": 3}, 0),
        ("exp(where(x > 0, log(a*x), a))", "a", {"a": 0, "x": 0}, 1),
        ("sqrt(where(x > 0, a/x, a))", "a", {"a": 4, "x": 0}, 0.25),
        ("exp(min(a*x, 700))", "a", {"a": 1e6, "x": 1}, 0),
        ("where(x > 0, where(x > 1, a/(x - 1), 2*a), a/x)", "a", {"a": 1, "x": 1}, 2),
        ("where(a > 0, sqrt(a), 0) + where(a > 0, 0, a)", "a", {"a": 0}, 1),
    ],
)
def test_at_singular_points(
    text: str, name: str, values: dict[str, float], expected: float
) -> None:
    assert at(text, name, **values) == pytest.approx(expected, rel=1e-12, abs=1e-300)


# Form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c", ["1"]),
        ("a*x + b", ["x", "1"]),
        ("a*exp(-b*x)", ["exp(-b*x)", "-a*exp(-b*x)*x"]),
        ("x**3*a**4", ["4*(x**3*a**3)"]),
        ("sign(a) + floor(b)", ["0", "0"]),
        ("where(x > 0, a, b)", ["where(x > 0, 1, 0)", "where(x > 0, 0, 1)"]),
        ("where(x > 0, a, a**2)", ["where(x > 0, 1, 2*a)"]),
        ("a > b", ["0", "0"]),
        ("2**(a*x)", ["0.6931471805599453*(2**(a*x)*x)"]),
    ],
)
def test_derivatives_are_simplified(text: str, expected: list[str]) -> None:
    assert [to_text(d) for d in parse(text).derivatives()] == expected


def test_a_voigt_profile_without_a_gaussian_has_the_derivatives_of_a_lorentzian() -> None:
    values = {"x": np.linspace(-3.0, 3.0, 50), "a": 0.7}
    voigt = parse("voigt_profile(x, b, a)", params=["a", "b"]).root
    lorentzian = parse("a/(pi*(x**2 + a**2))", params=["a"]).root
    [found, by_sigma] = evaluate(derivatives(voigt, ["a", "b"]), values | {"b": 0.0})
    [expected] = evaluate([derivative(lorentzian, "a")], values)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(by_sigma, 0.0)


def test_slopes_far_from_the_centre_keep_their_digits() -> None:
    """w is i/(sqrt(pi)*z) there, and what -2*z*w + 2*i/sqrt(pi) leaves is all rounding."""
    x, y = 3e9, 2e9
    slopes = derivatives(apply("wofz_real", A, B), ["a", "b"])
    [by_x, by_y] = evaluate(slopes, {"a": x, "b": y})
    expected = -1j / (np.sqrt(np.pi) * complex(x, y) ** 2)
    np.testing.assert_allclose([by_x, by_y], [expected.real, -expected.imag], rtol=1e-14)


def test_what_has_no_derivative_here_is_refused() -> None:
    with pytest.raises(ValueError, match=r"derivative of trigamma.*polygamma\(1, x\)"):
        derivative(apply("trigamma", A), "a")


def test_a_name_that_is_not_there_has_no_influence() -> None:
    assert derivative(parse("a*x").root, "b") == ZERO
    assert derivative(ZERO, "b") == ZERO


def test_integer_powers_need_no_logarithm() -> None:
    operations = {n.op for d in parse("(a + x)**5*b**-3").derivatives() for n in ordered([d])}
    assert "log" not in operations


def test_derivatives_share_their_work() -> None:
    graph = parse("a*exp(-(x - mu)**2/(2*s**2)) + c")
    alone = len(lay_out((graph.root,)).steps)
    together = len(lay_out((graph.root, *graph.derivatives())).steps)
    assert together <= alone + 10


def test_branches_do_not_multiply() -> None:
    node = A
    for i in range(60):  # 2**60 paths
        far = apply("greater", X, float(i))
        node = apply("where", far, apply("sin", node), apply("multiply", node, B))
    slope = derivative(node, "a")
    assert len(ordered([slope])) < 2000
    values = {"x": np.linspace(0, 70, 11), "a": 0.7, "b": 0.9}
    [found] = evaluate([slope], values)
    np.testing.assert_allclose(found, differences(node, values, "a"), rtol=1e-8)


def test_very_many_branches_are_summed() -> None:
    node: Node = ZERO
    for i in range(40):
        inside = apply("less", apply("abs", apply("subtract", X, float(i))), 0.5)
        node = apply("add", node, apply("where", inside, apply("multiply", B, float(i)), ZERO))
    node = apply("add", node, B)
    slope = derivative(node, "b")
    [found] = evaluate([slope], {"x": np.arange(40.0), "b": 2.0})
    np.testing.assert_allclose(found, np.arange(40) + 1)
