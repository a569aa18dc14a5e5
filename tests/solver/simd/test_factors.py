"""Products taken apart are the same products, and what does not vary stands by itself."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.graph.evaluate import evaluate
from manyfit.solver.graph.nodes import number
from manyfit.solver.graph.parsing import parse
from manyfit.solver.simd.factors import Factoring, Factors
from manyfit.solver.simd.sums import Sums

FORMULAS = [
    "a*exp(-b*x) + c",
    "a*exp(-((x - b)/c)**2/2)",
    "a*exp(-((x - b)**2 + (x - c)**2)/(2*a**2))",
    "a + (b - a)/(1 + 10**((c - x)*a))",
    "a*x**-3*b/c",
    "-(a*x)*(-b*x)/(-c)",
    "(a*x + a*x**2)*b",
    "where(x > 1, a*b*x, 0.0)/c",
    "3*x*(a/7)",
    "a*sin(b*x + c)*x/x",
    "(x/a)**2*a",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_the_factors_of_a_formula_and_its_derivatives_multiply_to_it(text: str) -> None:
    graph = parse(text, None, ("x",), ())
    rng = np.random.default_rng(1)
    values: dict[str, Any] = {"x": rng.uniform(0.5, 2.0, 50)}
    values |= {name: np.float64(rng.uniform(0.5, 2.0)) for name in graph.params}
    factoring = Factoring()
    for node in (graph.root, *graph.derivatives()):
        factors = factoring.of(node)
        expected, found = evaluate([node, factors.node()], values)
        np.testing.assert_allclose(np.broadcast_to(found, 50), np.broadcast_to(expected, 50))
        assert all(f.varies for f, _ in factors.core.powers)
        assert not any(f.varies for f, _ in factors.steady.powers)
        recomposed = factors.steady * factors.core
        assert recomposed == factors


def test_a_division_by_a_parameter_leaves_the_points() -> None:
    graph = parse("a*exp(-((x - m)/s)**2/2)", None, ("x",), ())
    sums = Sums.of(graph, graph.params)
    cores = {f.core for f in sums.factors}
    e, t = sums.factors[0].core, sums.factors[1].core
    assert cores == {e, t, sums.factors[2].core}
    assert t.degree == 2  # e * (x - m): no division, nothing squared twice
    assert sums.factors[2].core * e == t * t  # summed once, not twice
    assert len(sums.pairs) == 5


def test_a_constant_term_costs_a_count() -> None:
    sums = Sums.of(parse("a*x + c", None, ("x",), ()), ("a", "c"))
    assert Factors() in sums.cores


def test_a_long_sum_is_not_regrouped() -> None:
    graph = parse("(x - 1e9) - m", None, ("x",), ())
    factors = Factoring().of(graph.root)
    values = {"x": np.array([1e9 + 1.0]), "m": np.float64(0.25)}
    assert evaluate([factors.node()], values)[0][0] == 0.75


def test_zero_and_immoderate_numbers_are_left_alone() -> None:
    for value in (0.0, np.inf, 1e300):
        assert Factoring().of(number(value)).number == 1.0


def test_a_deep_product_is_taken_apart_without_recursion() -> None:
    node = parse("x*a", None, ("x",), ()).root
    from manyfit.solver.graph.nodes import Node

    for _ in range(5000):
        node = Node("multiply", (node, number(1.0001)))
    assert Factoring().of(node).number == pytest.approx(1.0001**5000)
