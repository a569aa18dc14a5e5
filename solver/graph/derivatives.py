"""Exact derivatives, by one sweep from the root down to the names.

Each node's adjoint is the derivative of the root with respect to it; a node hands its adjoint,
times its own derivative, to its operands. So all derivatives of a function share their factors,
and their number hardly adds to the work.

Branches. Where a branch is not taken its derivative must not count, even when it is infinite or
NaN: 0*inf is NaN, so a zero adjoint does not do. An adjoint is therefore kept by *guard*, the
conditions under which the branch is taken, and only the finished product is chosen:

    d/da where(x > 0, sqrt(a*x), 0) = where(x > 0, 0.5*x/sqrt(a*x), 0)

Two guards that differ in one condition are merged, so that guards do not multiply.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, pi, sqrt
from types import MappingProxyType
from typing import TypeAlias

from .nodes import Node, number, ordered
from .powers import Contribution, cbrt_rule, power_rule, quotient_rule, sqrt_rule
from .simplify import ONE, TRUE, TWO, ZERO, apply, as_real, product

Literal: TypeAlias = tuple[Node, bool]
"""A condition, and whether it holds."""
Guard: TypeAlias = frozenset[Literal]
"""Conditions that must all be as stated."""
Rule: TypeAlias = Callable[[Node, Node], Sequence[Contribution]]
"""From a node and its adjoint, what its operands get."""

ALWAYS: Guard = frozenset()
MOST_GUARDS = 16
"""With more, a node's adjoints are summed at once, as if no branch were singular."""


def derivative(root: Node, name: str) -> Node:
    """Return the derivative of an expression with respect to a name."""
    return derivatives(root, [name])[0]


def derivatives(root: Node, names: Sequence[str]) -> tuple[Node, ...]:
    """Return the derivatives of an expression with respect to each of the names.

    Where the function is not differentiable the result is that of one side, or what NumPy's
    arithmetic gives: 0 for abs and sign at 0, the first operand's for minimum and maximum of
    equals, infinity for sqrt at 0, 0 for hypot at (0, 0) and for x**b by b at x = 0 < b.

    Raises
    ------
    ValueError
        When trigamma is among the functions: its derivative is not.

    Examples
    --------
    >>> from manyfit.solver.graph.parsing import parse
    >>> from manyfit.solver.graph.printing import to_text
    >>> [to_text(d) for d in derivatives(parse("a*exp(-b*x) + c").root, ["a", "b", "c"])]
    ['exp(-b*x)', '-a*exp(-b*x)*x', '1']
    """
    root = as_real(root)
    order = ordered([root])
    needed: set[Node] = set()
    for node in order:
        if node.name in names or any(arg in needed for arg in node.args):
            needed.add(node)
    adjoints = _Adjoints(needed)
    adjoints.add(root, ONE, ALWAYS)
    for node in reversed(order):
        if node in needed and node.args:
            rule = _RULES.get(node.op, _flat)
            for guard, adjoint in adjoints.take(node):
                for operand, term, literal in rule(node, adjoint):
                    adjoints.add(operand, term, guard, literal)
    by_name = {leaf.name: adjoints.total(leaf) for leaf in needed if not leaf.args}
    return tuple(by_name.get(name, ZERO) for name in names)


@dataclass(slots=True)
class _Adjoints:
    """The adjoints found so far, by node and guard."""

    needed: set[Node]
    table: dict[Node, dict[Guard, Node]] = field(default_factory=dict)

    def add(self, node: Node, term: Node, guard: Guard, literal: Literal | None = None) -> None:
        """Add a term to a node's adjoint, under a guard and perhaps one more condition."""
        if node not in self.needed or term == ZERO:
            return
        if literal is not None:
            condition, holds = literal
            if (condition, not holds) in guard:
                return
            guard |= {literal}
        terms = self.table.setdefault(node, {})
        terms[guard] = apply("add", terms[guard], term) if guard in terms else term

    def take(self, node: Node) -> list[tuple[Guard, Node]]:
        """Return the finished adjoints of a node, merged, and forget them."""
        terms = _merged(self.table.pop(node, {}))
        if len(terms) > MOST_GUARDS:
            terms = {ALWAYS: _chosen(terms)}
        return list(terms.items())

    def total(self, leaf: Node) -> Node:
        """Return the finished adjoint of a leaf as one expression."""
        return _chosen(_merged(self.table.get(leaf, {})))


def _merged(terms: dict[Guard, Node]) -> dict[Guard, Node]:
    """Join the terms of two guards that differ in whether one condition holds."""
    waiting = list(terms)
    while waiting:
        guard = waiting.pop()
        for condition, holds in _in_order(guard) if guard in terms else ():
            rest = guard - {(condition, holds)}
            other = rest | {(condition, not holds)}
            if other not in terms:
                continue
            yes, no = (guard, other) if holds else (other, guard)
            joined = apply("where", condition, terms.pop(yes), terms.pop(no))
            terms[rest] = apply("add", terms[rest], joined) if rest in terms else joined
            waiting.append(rest)
            break
    return terms


def _chosen(terms: Mapping[Guard, Node]) -> Node:
    """Return the sum of the terms, each where its guard holds."""
    total = ZERO
    for guard, term in terms.items():
        condition = TRUE
        for literal, holds in _in_order(guard):
            both = literal if holds else apply("logical_not", literal)
            condition = apply("logical_and", condition, both)
        total = apply("add", total, apply("where", condition, term, ZERO))
    return total


def _in_order(guard: Guard) -> list[Literal]:
    """Return the conditions of a guard in an order that is the same everywhere."""
    return sorted(guard, key=lambda literal: (literal[0].digest, literal[1]))


def _times(factor: Callable[[Node], Node]) -> Rule:
    """Return the rule of a function of one operand from its derivative, f'(node)."""

    def rule(node: Node, adjoint: Node) -> list[Contribution]:
        return [(node.args[0], product(adjoint, factor(node)), None)]

    return rule


def _over(divisor: Callable[[Node], Node], scale: float = 1.0) -> Rule:
    """Return the rule of a function of one operand whose derivative is scale/divisor(node)."""

    def rule(node: Node, adjoint: Node) -> list[Contribution]:
        term = product(number(scale), apply("divide", adjoint, divisor(node)))
        return [(node.args[0], term, None)]

    return rule


def _flat(_node: Node, _adjoint: Node) -> list[Contribution]:
    return []


def _add(node: Node, adjoint: Node) -> list[Contribution]:
    return [(arg, adjoint, None) for arg in node.args]


def _subtract(node: Node, adjoint: Node) -> list[Contribution]:
    a, b = node.args
    return [(a, adjoint, None), (b, apply("negative", adjoint), None)]


def _multiply(node: Node, adjoint: Node) -> list[Contribution]:
    a, b = node.args
    return [(a, product(adjoint, b), None), (b, product(adjoint, a), None)]


def _mod(node: Node, adjoint: Node) -> list[Contribution]:
    a, b = node.args
    turns = apply("floor", apply("divide", a, b))
    return [(a, adjoint, None), (b, apply("negative", product(adjoint, turns)), None)]


def _where(node: Node, adjoint: Node) -> list[Contribution]:
    condition, a, b = node.args
    return [(a, adjoint, (condition, True)), (b, adjoint, (condition, False))]


def _smaller(comparison: str) -> Rule:
    """Return the rule of minimum ("less_equal") or maximum ("greater_equal")."""

    def rule(node: Node, adjoint: Node) -> list[Contribution]:
        a, b = node.args
        first = apply(comparison, a, b)
        return [(a, adjoint, (first, True)), (b, adjoint, (first, False))]

    return rule


def _hypot(node: Node, adjoint: Node) -> list[Contribution]:
    at_zero = apply("equal", node, ZERO)
    return [
        (arg, product(adjoint, apply("where", at_zero, ZERO, apply("divide", arg, node))), None)
        for arg in node.args
    ]


def _arctan2(node: Node, adjoint: Node) -> list[Contribution]:
    y, x = node.args
    share = apply("divide", adjoint, apply("add", apply("square", x), apply("square", y)))
    return [(y, product(share, x), None), (x, apply("negative", product(share, y)), None)]


def _analytic(slope: Callable[[Node], tuple[Node, Node]], *, imaginary: bool) -> Rule:
    """Return the rule of a part of f(x + i*y) from the parts of f' (Cauchy and Riemann)."""

    def rule(node: Node, adjoint: Node) -> list[Contribution]:
        x, y = node.args
        re, im = slope(node)
        by_x, by_y = (im, re) if imaginary else (re, apply("negative", im))
        return [(x, product(adjoint, by_x), None), (y, product(adjoint, by_y), None)]

    return rule


def _wofz_slope(node: Node) -> tuple[Node, Node]:
    """Return the parts of w'."""
    return apply("wofz_slope_real", *node.args), apply("wofz_slope_imag", *node.args)


def _wofz_bend(node: Node) -> tuple[Node, Node]:
    """Return the parts of w'' = -2*(w + z*w')."""
    (x, y), (re, im) = node.args, _wofz_slope(node)
    of_re = apply("subtract", apply("multiply", x, re), apply("multiply", y, im))
    of_im = apply("add", apply("multiply", x, im), apply("multiply", y, re))
    sum_re = apply("add", apply("wofz_real", x, y), of_re)
    sum_im = apply("add", apply("wofz_imag", x, y), of_im)
    return apply("multiply", -2.0, sum_re), apply("multiply", -2.0, sum_im)


def _no_rule(node: Node, _adjoint: Node) -> list[Contribution]:
    raise ValueError(
        f"the derivative of {node.op} is no formula here. Write the model as a Python function, "
        "which is fitted by calling it: scipy.special.polygamma(1, x) for trigamma(x)"
    )


def _one_plus_square(u: Node) -> Node:
    return apply("add", ONE, apply("square", u))


def _one_minus_square(u: Node) -> Node:
    return apply("multiply", apply("subtract", ONE, u), apply("add", ONE, u))


def _square_minus_one(u: Node) -> Node:
    return apply("multiply", apply("subtract", u, ONE), apply("add", u, ONE))


def _bell(node: Node) -> Node:
    """Return 2/sqrt(pi)*exp(-u**2), the derivative of erf."""
    bell = apply("exp", apply("negative", apply("square", node.args[0])))
    return apply("multiply", 2.0 / sqrt(pi), bell)


def _of(name: str) -> Callable[[Node], Node]:
    """Return the function of the same operand by another name."""
    return lambda node: apply(name, node.args[0])


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "add": _add,
        "subtract": _subtract,
        "multiply": _multiply,
        "divide": quotient_rule,
        "mod": _mod,
        "power": power_rule,
        "where": _where,
        "minimum": _smaller("less_equal"),
        "maximum": _smaller("greater_equal"),
        "hypot": _hypot,
        "arctan2": _arctan2,
        "sqrt": sqrt_rule,
        "cbrt": cbrt_rule,
        "negative": _times(lambda _: number(-1.0)),
        "square": _times(lambda f: apply("multiply", TWO, f.args[0])),
        "abs": _times(_of("sign")),
        "exp": _times(lambda f: f),
        "expm1": _times(_of("exp")),
        "exp2": _times(lambda f: apply("multiply", log(2.0), f)),
        "log": _over(lambda f: f.args[0]),
        "log1p": _over(lambda f: apply("add", ONE, f.args[0])),
        "log2": _over(lambda f: f.args[0], 1.0 / log(2.0)),
        "log10": _over(lambda f: f.args[0], 1.0 / log(10.0)),
        "sin": _times(_of("cos")),
        "cos": _times(lambda f: apply("negative", _of("sin")(f))),
        "tan": _times(_one_plus_square),
        "arcsin": _over(lambda f: apply("sqrt", _one_minus_square(f.args[0]))),
        "arccos": _over(lambda f: apply("sqrt", _one_minus_square(f.args[0])), -1.0),
        "arctan": _over(lambda f: _one_plus_square(f.args[0])),
        "sinh": _times(_of("cosh")),
        "cosh": _times(_of("sinh")),
        "tanh": _times(lambda f: apply("subtract", ONE, apply("square", f))),
        "arcsinh": _over(lambda f: apply("sqrt", _one_plus_square(f.args[0]))),
        "arccosh": _over(lambda f: apply("sqrt", _square_minus_one(f.args[0]))),
        "arctanh": _over(lambda f: _one_minus_square(f.args[0])),
        "erf": _times(_bell),
        "erfc": _times(lambda f: apply("negative", _bell(f))),
        "expit": _times(lambda f: apply("multiply", f, apply("subtract", ONE, f))),
        "wofz_real": _analytic(_wofz_slope, imaginary=False),
        "wofz_imag": _analytic(_wofz_slope, imaginary=True),
        "wofz_slope_real": _analytic(_wofz_bend, imaginary=False),
        "wofz_slope_imag": _analytic(_wofz_bend, imaginary=True),
        "gammaln": _times(_of("digamma")),
        "digamma": _times(_of("trigamma")),
        "trigamma": _no_rule,
    }
)
"""The others - sign, floor, comparisons - are flat wherever they have a derivative."""
