"""Nodes are equal where they say the same, in every process; simplification changes no value."""

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit.solver.graph.evaluate import evaluate
from manyfit.solver.graph.graph import Graph, GraphFunction
from manyfit.solver.graph.nodes import (
    Node,
    depends_on_predictors,
    number,
    ordered,
    pack,
    symbol,
    unpack,
)
from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.simplify import apply, product, rebuilt

X, A, B = symbol("predictor", "x"), symbol("param", "a"), symbol("param", "b")


def chain(length: int) -> Node:
    """Return sin(x + sin(x + ...))."""
    node = X
    for _ in range(length // 2):
        node = apply("sin", apply("add", X, node))
    return node


# Equality -------------------------------------------------------------------------------------


def test_the_same_formula_is_equal_and_one_key() -> None:
    one, other = (apply("exp", apply("multiply", A, X)) for _ in range(2))
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert {one: 1}[other] == 1


def test_sums_and_products_are_equal_in_either_order() -> None:
    assert apply("add", A, B) == apply("add", B, A)
    assert apply("multiply", A, B) == apply("multiply", B, A)
    assert apply("subtract", A, B) != apply("subtract", B, A)
    assert apply("power", A, B) != apply("power", B, A)


def test_nodes_that_differ_in_anything_are_not_equal() -> None:
    nodes = [number(v) for v in (0.0, 1.0, np.inf, np.nan)] + [number(-0.0)]
    nodes += [symbol(kind, "a") for kind in ("param", "predictor", "constant")]
    nodes += [symbol("param", "b"), symbol("param", "add"), apply("add", A, B)]
    assert len(set(nodes)) == len(nodes)
    assert A != "a"


def test_every_nan_is_the_same_number() -> None:
    assert number(float("nan")) == number(-np.nan)


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "from manyfit.solver.graph.parsing import parse;"
        "g = parse('a*exp(-b*x)**1.5 + c/(x + 1)');"
        "print(g.digest, hash(g.root), [hash(d) for d in g.derivatives()])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert parse("a*exp(-b*x)**1.5 + c/(x + 1)").digest in outputs.pop()


def test_a_digest_covers_names_and_their_order() -> None:
    digests = {
        parse("a*x*b").digest,
        parse("a*x*b", params=["b", "a"]).digest,
        parse("a*x*b", constants=["b"]).digest,
        parse("a*x*b", predictors=["x", "b"]).digest,
    }
    assert len(digests) == 4


# Depth and pickles ----------------------------------------------------------------------------


def test_a_chain_of_ten_thousand_nodes_is_no_problem() -> None:
    node = chain(10_000)
    assert len(ordered([node])) == 10_002  # and x, and 2*x at its end
    assert pickle.loads(pickle.dumps(node)) == node
    assert copy.deepcopy(node) is node
    [value] = evaluate([node], {"x": np.array([0.5])})
    expected = 0.5
    for _ in range(5000):
        expected = np.sin(0.5 + expected)
    np.testing.assert_array_equal(value, expected)
    del node  # thousands of nodes that hold each other go at once


def test_the_derivative_of_a_long_chain_is_no_problem_either() -> None:
    node = A
    for _ in range(5000):
        node = apply("sin", apply("add", X, node))
    [slope] = Graph(node, ("a",)).derivatives()
    [value] = evaluate([slope], {"x": 0.3, "a": 0.2})
    assert np.isfinite(value)


def test_pickling_keeps_what_is_shared() -> None:
    node = X
    for _ in range(60):  # 2**60 nodes if they were not shared
        node = apply("sin", apply("multiply", node, apply("add", node, A)))
    data = pickle.dumps(node)
    assert len(data) < 20_000
    again = pickle.loads(data)
    assert again == node
    assert len({id(n) for n in ordered([again])}) == len(ordered([node]))


def test_graphs_and_their_functions_are_pickled() -> None:
    graph = parse("a*exp(-b*x) + c*t", constants=["t"])
    again = pickle.loads(pickle.dumps(graph))
    assert (again, again.digest, again.text) == (graph, graph.digest, graph.text)
    jacobian = pickle.loads(pickle.dumps(graph.jacobian(["a", "b", "c", "x", "t"])))
    assert jacobian == graph.jacobian(["a", "b", "c", "x", "t"])
    assert jacobian(2.0, 0.0, 1.0, 3.0, 5.0) == [1.0, -6.0, 5.0]


def test_several_roots_are_packed_as_one_table() -> None:
    e = apply("exp", X)
    roots = (apply("add", e, A), apply("multiply", e, A), e)
    rows, places = pack(roots)
    assert unpack(rows, places) == roots
    assert len(rows) == 5


# What a node knows ----------------------------------------------------------------------------


def test_what_depends_on_predictors_is_known() -> None:
    graph = parse("exp(-x/(2*s)) + t*s", constants=["t"])
    varying = {n.op for n in ordered([graph.root]) if depends_on_predictors(n)}
    assert varying == {"predictor", "divide", "negative", "exp", "add"}


def test_the_text_of_a_node_for_debuggers_is_short() -> None:
    assert len(repr(chain(1000))) < 40
    assert "param a" in repr(A)
    assert "2.5" in repr(number(2.5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Node("plus", (A, B)), "no operation 'plus'"),
        (lambda: apply("plus", A, B), "no operation 'plus'"),
        (lambda: apply("exp", A, B), "exp takes 1 operands, got 2"),
        (lambda: Node("exp", (apply("less", A, B),)), "operand 0 of exp must be a number"),
        (lambda: Node("where", (A, A, B)), "operand 0 of where must be a truth value"),
        (lambda: symbol("letter", "a"), "kind must be one of"),
        (lambda: symbol("param", "a b"), "'a b' cannot be the name"),
        (lambda: symbol("param", "lambda"), "'lambda' cannot be the name"),
        (lambda: symbol("param", "nan"), "'nan' cannot be the name"),
        (lambda: Graph(A, ("b",)), "'a' stands in the expression as a param"),
        (lambda: Graph(A, ("a", "x")), "declared twice"),
        (lambda: evaluate([A], {"b": 1}), "no value for 'a', only for"),
    ],
)
def test_misuse_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Simplification -------------------------------------------------------------------------------

SIMPLER = {
    "x + 0": "x",
    "0 + x": "x",
    "x - 0": "x",
    "0 - x": "-x",
    "x*1": "x",
    "x/1": "x",
    "x*0": "0",
    "0*exp(x)": "0",
    "0*log(x)": "0*log(x)",
    "0*(1/x)": "0*(1/x)",
    "--x": "x",
    "-(-x*a)": "x*a",
    "x + -a": "x - a",
    "-x + a": "a - x",
    "x - -a": "x + a",
    "-(x - a)": "a - x",
    "x - x": "0",
    "x + x": "2*x",
    "log(x) - log(x)": "log(x) - log(x)",
    "x/x": "x/x",
    "x*x": "x**2",
    "x*x*x": "x**3",
    "x**2*x**3": "x**5",
    "(x**2)**3": "x**6",
    "x**-2*x": "x**-2*x",
    "x**1": "x",
    "x**0": "1",
    "x**0.5": "sqrt(x)",
    "x**-1": "1/x",
    "1**x": "1",
    "(-x)**2": "x**2",
    "(-x)**3": "-x**3",
    "(-x)**b": "(-x)**b",
    "2*3*x": "6*x",
    "2*x*3": "6*x",
    "-2*x": "-2*x",
    "x*-2 + a": "a - x*2",
    "x/-2": "-x/2",
    "a - b*-x": "a + b*x",
    "(-a)*(-b)": "a*b",
    "sqrt(4) + x": "2 + x",
    "9**9**9*x": "9**387420489*x",
    "1/0*x": "1/0*x",
    "log(-1)*x": "log(-1)*x",
    "abs(-x)": "abs(x)",
    "abs(abs(x))": "abs(x)",
    "cos(-x)": "cos(x)",
    "min(x, x)": "x",
    "where(x > 0, a, a)": "a",
    "where(not x > 0, a, b)": "where(x > 0, b, a)",
    "where(x > 0, where(x > 0, a, b), 2)": "where(x > 0, a, 2)",
    "where(x > 0, 2, where(x > 0, a, b))": "where(x > 0, 2, b)",
    "where(1 < 2, a, b)": "a",
    "where(1 > 2 or x > 0, a, b)": "where(x > 0, a, b)",
    "where(1 < 2 and x > 0, a, b)": "where(x > 0, a, b)",
    "where(1 > 2 and x > 0, a, b)": "b",
    "where(x > 0 and x > 0, a, b)": "where(x > 0, a, b)",
    "where(not not x > 0, a, b)": "where(x > 0, a, b)",
    "where(not x == 0, a, b)": "where(x != 0, a, b)",
    "where(not 1 > 2, a, b)": "a",
    "where(x, a, b)": "where(x != 0, a, b)",
    "a*(x > 0)": "a*where(x > 0, 1, 0)",
    "x == x": "where(x == x, 1, 0)",
    "1e308*10*x": "1e+308*10*x",
}


@pytest.mark.parametrize("text", SIMPLER)
def test_simplification(text: str) -> None:
    assert parse(text, params=None).text == SIMPLER[text]


def test_derivatives_collect_numbers_in_front() -> None:
    a, b = apply("multiply", 2.0, A), apply("negative", apply("multiply", X, 3.0))
    assert product(a, b) == apply("negative", apply("multiply", 6.0, apply("multiply", A, X)))
    huge = apply("multiply", 1e300, A)
    assert product(huge, huge) == apply("multiply", huge, huge)


def test_names_can_be_replaced() -> None:
    root = parse("a*exp(-b*x) + a").root
    new = rebuilt(root, {A: number(0.0), B: symbol("param", "rate")})
    assert new == number(0.0)
    new = rebuilt(root, {B: symbol("param", "rate")})
    assert new == parse("a*exp(-rate*x) + a").root


LEAVES = st.sampled_from([X, A, B, *(number(v) for v in (0, 1, 2, 3, 0.5, -1, -2, 10))])
PLAIN = [name for name, o in OPERATIONS.items() if o.takes == "real" and not o.logical]
COMPARISONS = ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"]


@st.composite
def trees(draw: Any, depth: int = 4) -> Any:
    """Draw (operation, operands) without any simplification."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(LEAVES)
    if draw(st.integers(0, 5)) == 0:
        condition = (draw(st.sampled_from(COMPARISONS)), *(draw(trees(depth - 2)) for _ in "ab"))
        return ("where", condition, draw(trees(depth - 1)), draw(trees(depth - 1)))
    name = draw(st.sampled_from([*PLAIN, "add", "subtract", "multiply", "divide", "power"]))
    return (name, *(draw(trees(max(depth - 1, 0))) for _ in range(OPERATIONS[name].arity)))


def simplified(tree: Any) -> Node:
    """Return the node of a tree."""
    if isinstance(tree, Node):
        return tree
    return apply(tree[0], *(simplified(t) for t in tree[1:]))


def value_and_error(tree: Any, values: dict[str, float]) -> tuple[Any, Any]:
    """Return the plain value of a tree, and a bound of how rounding may change it."""
    if isinstance(tree, Node):
        value = np.float64(tree.value if tree.op == "number" else values[tree.name])
        return value, 0.0
    op = OPERATIONS[tree[0]]
    parts = [value_and_error(t, values) for t in tree[1:]]
    value = op.evaluate(*(p[0] for p in parts))
    if op.logical or tree[0] in {"floor", "mod", "sign"}:
        return value, 0.0 if all(p[1] == 0 for p in parts) else np.inf
    error = 4e-16 * np.abs(value)
    for i, (part, uncertainty) in enumerate(parts):
        if uncertainty:
            for sign in (-1, 1):
                moved = [p[0] for p in parts]
                moved[i] = part + sign * 4 * uncertainty
                error = error + np.abs(op.evaluate(*moved) - value)
    return value, error


@settings(max_examples=300, deadline=None)
@given(trees(), st.lists(st.sampled_from([-3.0, -0.7, 0.0, 0.4, 1.0, 2.5]), min_size=3, max_size=3))
def test_simplification_changes_no_value_beyond_rounding(tree: Any, at: list[float]) -> None:
    values = dict(zip("xab", at, strict=True))
    with np.errstate(all="ignore"):
        expected, error = value_and_error(tree, values)
    [found] = evaluate([simplified(tree)], values)
    if np.isfinite(expected) and np.isfinite(error) and abs(expected) < 1e280:
        assert abs(found - expected) <= 10 * error + 1e-300


@settings(max_examples=300, deadline=None)
@given(trees())
def test_what_is_simplified_is_in_normal_form(tree: Any) -> None:
    for node in ordered([simplified(tree)]):
        if node.args:
            assert apply(node.op, *node.args) == node


def test_a_function_takes_as_many_values_as_names() -> None:
    function = GraphFunction((A,), ("a",), single=True)
    assert function(2.0) == 2.0
    with pytest.raises(ValueError, match="zip"):
        function(1.0, 2.0)
