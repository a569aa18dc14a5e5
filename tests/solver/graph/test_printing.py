"""What is printed reads back to the same expression, with no parentheses that are not needed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manyfit.solver.graph.nodes import Node, number, ordered, symbol
from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.printing import number_text, to_text
from manyfit.solver.graph.simplify import apply

NAMES = [symbol("predictor", "x"), symbol("param", "a"), symbol("param", "b")]


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-b*x) + c",
        "a*exp(-(x - mu)**2/(2*s**2)) + c",
        "lo + (hi - lo)/(1 + 10**((le - x)*h))",
        "a - (b - c) - x",
        "a - (b + c)",
        "a/(b*c)/x",
        "a*(b*c)",
        "-a**2",
        "(-a)**b",
        "a**-b",
        "a**b**c",
        "(a**b)**c",
        "-(a + b)",
        "-a*b/c",
        "2**(-a*b)",
        "mod(a, b)*c",
        "-mod(a, b)",
        "where(x < a and b <= x or not x < c, a, b)",
        "where((x < a or x > b) and x != c, a, b)",
        "where(not (x < a and x > b), a, b)".replace("not (x < a and x > b), a, b", "x < a, a, b"),
        "arctan2(a, x)*hypot(b, x - 1)",
        "1e-07*a + 1e+20*b + 0.1*x",
        "a*inf",
        "-3 - x",
        "a*where(x > 0, 1, 0)",
    ],
)
def test_a_formula_is_printed_as_it_would_be_written(text: str) -> None:
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((a))*((x))", "a*x"),
        ("(a*b)*c + (x)", "a*b*c + x"),
        ("a % x", "mod(a, x)"),
        ("a if x > 0 else b", "where(x > 0, a, b)"),
        ("0 < x < a", "where(0 < x and x < a, 1, 0)"),
        ("np.sqrt(a)*numpy.pi + math.exp(x)", "sqrt(a)*3.141592653589793 + exp(x)"),
        ("1.50*x", "1.5*x"),
        ("where(not (x < a and x > b), 1, 2)", "where(x < a and x > b, 2, 1)"),
        ("(x > a) & (x < b) | ~(x >= 1)", "where(x > a and x < b or not x >= 1, 1, 0)"),
    ],
)
def test_other_ways_of_writing_are_printed_one_way(text: str, printed: str) -> None:
    assert parse(text).text == printed
    assert parse(printed).root == parse(text).root


@given(st.floats(allow_nan=True))
def test_numbers_come_back_exactly(value: float) -> None:
    text = number_text(value)
    again = parse(text, params=[], predictors=[]).root
    assert again == number(value)


@pytest.mark.parametrize("value", [1e15, 1e22, 123456789012345678.0, 5e-324, 1.7e308, -0.0, 1 / 3])
def test_awkward_numbers_come_back_exactly(value: float) -> None:
    assert float(number_text(value)) == value
    assert np.signbit(float(number_text(value))) == np.signbit(value)


LEAVES = st.sampled_from([*NAMES, *(number(v) for v in (0, 1, 2, 3, 0.5, -1, -2.5, 1e-9, 1e22))])
REAL = [name for name, o in OPERATIONS.items() if o.takes == "real" and not o.logical]
COMPARING = [name for name, o in OPERATIONS.items() if o.takes == "real" and o.logical]
JOINING = [name for name, o in OPERATIONS.items() if o.takes == "logical"]
ARITHMETIC = ["add", "subtract", "multiply", "divide", "power", "negative", "square"]


@st.composite
def conditions(draw: Any, depth: int) -> Node:
    """Draw a truth value."""
    if depth <= 1 or draw(st.booleans()):
        name = draw(st.sampled_from(COMPARING))
        return apply(name, *(draw(nodes(depth - 1)) for _ in "ab"))
    name = draw(st.sampled_from(JOINING))
    return apply(name, *(draw(conditions(depth - 1)) for _ in range(OPERATIONS[name].arity)))


@st.composite
def nodes(draw: Any, depth: int = 5) -> Node:
    """Draw an expression."""
    if depth <= 0:
        return draw(LEAVES)  # type: ignore[no-any-return]
    name = draw(st.sampled_from(["leaf", "where", *REAL, *ARITHMETIC * 4]))
    if name == "leaf":
        return draw(LEAVES)  # type: ignore[no-any-return]
    if name == "where":
        return apply(name, draw(conditions(depth - 1)), *(draw(nodes(depth - 1)) for _ in "ab"))
    return apply(name, *(draw(nodes(depth - 1)) for _ in range(OPERATIONS[name].arity)))


@settings(max_examples=400, deadline=None)
@given(nodes())
def test_what_is_printed_reads_back_to_the_same_expression(node: Node) -> None:
    again = parse(to_text(node)).root
    assert again == node
    assert to_text(again) == to_text(node)


@settings(max_examples=100, deadline=None)
@given(nodes(depth=4))
def test_derivatives_read_back_too(node: Node) -> None:
    from manyfit.solver.graph.derivatives import derivative

    assume(all(part.op != "trigamma" for part in ordered([node])))
    slope = derivative(node, "a")
    text = to_text(slope)
    if len(text) < 5000:
        assert parse(text).root == slope


def test_an_expression_too_long_to_print_is_refused() -> None:
    node = NAMES[0]
    for _ in range(60):
        node = apply("sin", apply("multiply", node, apply("add", node, NAMES[1])))
    with pytest.raises(ValueError, match="longer than 1000000 characters"):
        to_text(node)


def test_a_long_chain_is_printed() -> None:
    node = NAMES[0]
    for i in range(10_000):
        node = apply("add", node, apply("multiply", NAMES[1], float(i + 2)))
    assert to_text(node).startswith("x + a*2 + a*3 + ")
    for _ in range(10_000):
        node = apply("sin", node)
    assert to_text(node).startswith("sin(sin(sin(")
