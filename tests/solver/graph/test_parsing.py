"""Text in, an expression out; whatever is none is refused with its place, and quickly."""

# ruff: noqa: RUF001 - letters that look like others are what some of this is about

import pickle
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit.solver.graph.evaluate import evaluate
from manyfit.solver.graph.graph import Graph
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.scanning import ExpressionError

X = np.array([-1.5, 0.0, 0.5, 2.0])


# What is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "x + 2*x - 3/(x + 5) + -x",
        "2**-x**2 + (-2)**3 - -2**2 + 2**3**0.5",
        "x % 3 + -x % 2",
        "1.5e-3*x + .5*x + 5.*x + 1E3",
        "np.exp(-x)*np.pi + numpy.sin(x)",
        "np.arctan2(x, 2)*np.hypot(x, 1)",
        "np.where(x > 0, x, -x)",
        "np.minimum(x, 1) + np.maximum(x, 0.5)*np.abs(x)",
        "(x > 0)*x + (x <= 0)*2",
        "np.expm1(x) - np.log1p(x**2) + np.log2(x**2 + 1)*np.log10(9)",
        "np.logaddexp(x, 2*x) + np.heaviside(x, 0.5) + np.sinc(x)",
        "np.clip(x, 0, 1) + np.reciprocal(x + 3) + np.deg2rad(x) + np.rad2deg(x)",
        "np.where(np.isnan(x) | ~(x > 0), 1, 2) + np.where(np.isfinite(x) & (x > 0), 1, 2)",
        "  (x\n + 1)\t*2 ",
        "+x",
    ],
)
def test_a_formula_means_what_it_means_in_python(text: str) -> None:
    with np.errstate(all="ignore"):
        source = " ".join(text.replace("numpy", "np").split())
        expected = eval(source, {"np": np}, {"x": X})
    [found] = evaluate([parse(text).root], {"x": X})
    np.testing.assert_allclose(found, expected, rtol=2e-15)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1 if x > 0 else 2", "where(x > 0, 1, 2)"),
        ("1 if x > 0 else 2 if x > -1 else 3", "where(x > 0, 1, where(x > -1, 2, 3))"),
        ("0 < x <= 1", "(0 < x) & (x <= 1)"),
        ("not x > 0 or x < 2 and x != 1", "~(x > 0) | ((x < 2) & (x != 1))"),
        ("ln(a) + asin(a) + atan2(a, b)", "log(a) + arcsin(a) + arctan2(a, b)"),
        ("max(a, b, x) - min(a, b, x)", "maximum(maximum(a, b), x) - minimum(minimum(a, b), x)"),
        ("pow(a, 2)", "a**2"),
        ("math.e*a", "2.718281828459045*a"),
    ],
)
def test_ways_to_say_the_same(text: str, same: str) -> None:
    assert parse(text).root == parse(same).root


# Names ----------------------------------------------------------------------------------------


def test_params_are_the_names_in_order_of_appearance() -> None:
    assert parse("b*exp(-x/tau) + a*b + c").params == ("b", "tau", "a", "c")
    assert parse("u if x > v else w").params == ("u", "v", "w")
    graph = parse("a*x + b*y + t*c", predictors=["x", "y"], constants=["t"])
    assert (graph.params, graph.predictors) == (("a", "b", "c"), ("x", "y"))
    assert graph.constants == ("t",)


def test_params_can_be_given_in_another_order() -> None:
    graph = parse("a*exp(-b*x)", params=["b", "a"])
    assert graph == Graph(graph.root, ("b", "a"))


def test_params_without_influence_are_known() -> None:
    assert parse("a*x + b", params=["a", "b", "c"]).unused == ("c",)
    assert parse("a*x + 0*b + (c - c)").unused == ("b", "c")
    assert parse("a*x").unused == ()


def test_pi_and_e_can_be_declared() -> None:
    graph = parse("e*pi*x", params=["e", "pi"])
    assert graph.params == ("e", "pi")
    assert parse("pi*x*a").params == ("a",)


def test_names_of_functions_can_be_declared() -> None:
    assert parse("exp*exp(x)", params=["exp"]).text == "exp*exp(x)"


def test_letters_beyond_ascii_must_be_declared() -> None:
    graph = parse("σ*x + 1", params=["σ"])
    assert graph.text == "σ*x + 1"
    with pytest.raises(ExpressionError, match="letters beyond a-z"):
        parse("\N{CYRILLIC SMALL LETTER A}*x")
    with pytest.raises(ExpressionError, match=r"'b' is not among .* \(column 5\)"):
        parse("σ + b", params=["σ"])


# What is refused ------------------------------------------------------------------------------

REFUSED = {
    "a^x": ("'.' is no power here: use [*][*]", 2),
    "a*[x, 1]": ("no lists or subscripts", 3),
    "x[0]": ("no lists or subscripts", 2),
    "{x}": ("no braces", 1),
    "a*'x'": ("quotes", 3),
    'a*"x"': ("quotes", 3),
    "lambda x: x": ("'lambda' is a word of Python", 1),
    "x := 2": ("no ':'", 3),
    "y = a*x": ("one '=' too many", 3),
    "exp(x=2)": ("one '=' too many", 6),
    "a;b": ("only one formula", 2),
    "a@x": ("no matrix products", 2),
    "!x": ("use 'not'", 1),
    "a # comment": ("no comments", 3),
    "a//x": ("use floor", 2),
    "a $ x": ("'[$]' has no place", 3),
    "a\\x": ("has no place", 2),
    "a\0x": ("U[+]0000 has no place", 2),
    "a + \u200bx": ("U[+]200B has no place", 5),
    "a + ²": ("'²' has letters that no name can have", 5),
    "2x": ("'2x': a number and what follows it need an operator", 2),
    "1_000*x": ("need an operator", 2),
    "0x10": ("need an operator", 2),
    "3j*x": ("need an operator", 2),
    "1e999*x": ("beyond the largest double", 1),
    "1" * 400: ("beyond the largest double", 1),
    "None": ("'None' is a word", 1),
    "True*x": ("'True' is a word", 1),
    "[x for x in y]": ("no lists", 1),
    "(x for x in y)": ("'for' is a word", 4),
    "await x": ("'await' is a word", 1),
    "f(x)": ("no function 'f'; did you forget a", 1),
    "a*sinn(x)": ("no function 'sinn'; did you mean 'sin'", 3),
    "np.foo(x)": ("no function 'foo'", 1),
    "os.system(x)": ("only a function can be called", 1),
    "np.linalg.norm(x)": ("only a function can be called", 1),
    "a(x + 1)": ("no function 'a'; did you forget a", 1),
    "(a + b)(x)": ("only a function can be called", 1),
    "x.real": ("no attributes", 1),
    "a*x.__class__": ("no attributes", 3),
    "np.random": ("no attributes", 1),
    "exp(x, 2)": ("exp takes 1 operands, got 2", 1),
    "exp()": ("exp takes 1 operands, got 0", 1),
    "max(x)": ("max takes at least 2 operands, got 1", 1),
    "max(*x)": ("max takes at least", 1),
    "max(a, *x)": ("operands by place only", 1),
    "exp*x": ("'exp' is a function or module", 1),
    "np*x": ("'np' is a function or module", 1),
    "e**x": ("'e' could be a parameter or 2.718", 1),
    "a, x": ("cannot contain this .Tuple.", 1),
    "()": ("cannot contain this .Tuple.", 1),
    "...": ("cannot contain this .Constant.", 1),
    "a is x": ("'is' is a word", 3),
    "a in x": ("'in' is a word", 3),
    "a and x": ("join comparisons", 1),
    "not a": ("join comparisons", 1),
    "a & x": ("join comparisons", 1),
    "x > 1 & x < 2": ("join comparisons", 5),
    "~x": ("join comparisons", 1),
    "a << x": ("no bits", 3),
    "a x": ("not a formula", 3),
    "a +": ("not a formula", 4),
    "": ("not a formula", 1),
    "   ": ("not a formula", 4),
    "(a": ("not a formula: '[(]' was never closed", 1),
    "a)": ("not a formula: unmatched '[)]'", 2),
    "a) + (b": ("not a formula: unmatched", 2),
    "x if a > 0": ("not a formula: expected 'else'", 1),
    "a ** * x": ("not a formula", 6),
    "a*1.2.3": ("not a formula|need an operator", 6),
    "007*x": ("not a formula", 1),
    "(" * 200 + "x" + ")" * 200: ("more than 90 brackets", 91),
    "exp(" * 200 + "x" + ")" * 200: ("more than 90 brackets", 364),
    "-" * 19_000 + "x": ("too deeply nested", 1),
    "x" + "**x" * 6000: ("too deeply nested", 1),
    "+".join(["x"] * 9000): ("too deeply nested, or a sum of too many terms", 1),
    "+".join(["x"] * 2001): ("too deeply nested, or a sum of too many terms", 1),
    "not " * 4000 + "x": ("too deeply nested", 1),
    "x" * 20_001: ("20001 characters, more than 20000", 1),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20].encode("ascii", "replace"))
def test_what_is_no_formula_is_refused_with_its_place(text: str) -> None:
    reason, column = REFUSED[text]
    start = time.perf_counter()
    with pytest.raises(ExpressionError, match=reason) as caught:
        parse(text)
    assert time.perf_counter() - start < 1
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": ["a"]}, "'b' is not among the names declared: a, x"),
        ({"params": ["a", "b", "b"]}, "'b' is declared as param and as param"),
        ({"params": ["a", "b", "x"]}, "'x' is declared as param and as predictor"),
        ({"constants": ["x"]}, "'x' is declared as predictor and as constant"),
        ({"params": "ab"}, "params must be a list of names"),
        ({"predictors": "x"}, "predictors must be a list of names"),
        ({"predictors": ["x y"]}, "'x y' cannot be the name of a predictor"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse("a*x + b", **options)


def test_the_error_shows_the_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("a*exp(-b*x) + c^2")
    assert str(caught.value) == (
        "'^' is no power here: use ** (column 16)\n    a*exp(-b*x) + c^2\n                   ^"
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.column, again.reason) == (
        str(caught.value),
        16,
        "'^' is no power here: use **",
    )


def test_the_error_shows_a_part_of_a_long_text() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("x + " * 300 + "a^x + " + "x + " * 300 + "x")
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 70
    assert shown[caret.index("^")] == "^"


def test_only_text_is_read() -> None:
    with pytest.raises(ExpressionError, match="an expression is a text, got int"):
        parse(3)  # type: ignore[arg-type]


def test_a_huge_power_takes_no_time() -> None:
    start = time.perf_counter()
    graph = parse("9**9**9**9*x + 10**10**10 - (10**300)**(10**300)*x")
    assert time.perf_counter() - start < 0.2
    [value] = evaluate([graph.root], {"x": 1.0})
    assert not np.isfinite(value)


def test_long_sums_and_chains_of_conditions_are_read_quickly() -> None:
    start = time.perf_counter()
    assert parse(" + ".join(f"a*x**{n}" for n in range(1000))).params == ("a",)
    assert parse("1 if x > a else " * 500 + "2").params == ("a",)
    assert time.perf_counter() - start < 2


# Fuzzing --------------------------------------------------------------------------------------

VALID = [
    "a*exp(-b*x) + c",
    "lo + (hi - lo)/(1 + 10**((le - x)*h))",
    "where(0 < x and not x >= t, a*x, b) if x != 1 else max(a, 2.5e-3, x)",
    "np.sqrt(a*x) - -b**2 % 3",
]
PIECES = [*"abx0123456789.()+-*/%<>=!&|~^,[]{}:;'\"\\ \n\t#@$_eEjnπσ²\0", "**", "np.", "exp("]
PIECES += [" if ", " else ", " and ", " not ", "lambda ", "1e5", "__class__", "\ud800", "where("]


def read_or_refuse(text: str) -> None:
    """Parse; nothing but success or our own error may happen, at once."""
    start = time.perf_counter()
    graph = None
    with suppress(ExpressionError):
        graph = parse(text)
    if graph is not None:
        assert parse(graph.text, graph.params, graph.predictors) == graph
    assert time.perf_counter() - start < 1


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_random_text(text: str) -> None:
    read_or_refuse(text)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 3), st.sampled_from(PIECES)), max_size=4),
)
def test_formulas_with_mistakes(text: str, changes: list[tuple[int, int, str]]) -> None:
    for place, length, piece in changes:
        text = text[:place] + piece + text[place + length :]
    read_or_refuse(text)
