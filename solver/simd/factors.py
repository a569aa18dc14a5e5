"""Products taken apart: a number, times powers of nodes that are no products.

    node = number * Π factor ** exponent

So what does not depend on the point can be gathered and taken out of the loop over the points, a
division by it becomes a product with one reciprocal, and what two expressions share is seen. Only
products are regrouped, which costs a rounding or two; sums are left as they were written, since
(t - t0) - m is not t - (t0 + m) when t is large.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from ..graph.nodes import Node, number
from ..graph.operations import factors_of_power

ONE = number(1.0)
_MODERATE = 2.0**300
"""Numbers are gathered while they stay within this and its inverse."""

Powers = tuple[tuple[Node, int], ...]


@dataclass(frozen=True)
class Factors:
    """A product.

    Attributes
    ----------
    number
        Its numeric factor.
    powers
        Its other factors with their exponents, none of them 0, in an order that the factors alone
        decide; equal products compare equal.
    """

    number: float = 1.0
    powers: Powers = field(default=())

    @classmethod
    def of(cls, value: float, powers: Mapping[Node, int]) -> Self:
        """Return the product of a number and powers."""
        kept = [(node, exponent) for node, exponent in powers.items() if exponent]
        return cls(value, tuple(sorted(kept, key=lambda pair: pair[0].digest)))

    @cached_property
    def exponents(self) -> dict[Node, int]:
        """The exponent of each factor."""
        return dict(self.powers)

    @property
    def degree(self) -> int:
        """The number of factors, counted as often as they stand there."""
        return sum(abs(exponent) for _, exponent in self.powers)

    @cached_property
    def steady(self) -> "Factors":
        """The part that is the same at all points, with the number."""
        return Factors(self.number, tuple(p for p in self.powers if not p[0].varies))

    @cached_property
    def core(self) -> "Factors":
        """The part that changes from point to point."""
        return Factors(1.0, tuple(p for p in self.powers if p[0].varies))

    def __mul__(self, other: "Factors") -> "Factors":
        powers = dict(self.powers)
        for node, exponent in other.powers:
            powers[node] = powers.get(node, 0) + exponent
        return Factors.of(self.number * other.number, powers)

    def __pow__(self, n: int) -> "Factors":
        return Factors(self.number**n, tuple((node, e * n) for node, e in self.powers))

    def node(self) -> Node:
        """Return the product as an expression."""
        above = _chain((n, e) for n, e in self.powers if e > 0)
        below = _chain((n, -e) for n, e in self.powers if e < 0)
        if self.number != 1.0:
            value = number(self.number)
            above = value if above is ONE else Node("multiply", (value, above))
        return above if below is ONE else Node("divide", (above, below))


def _chain(powers: Iterable[tuple[Node, int]]) -> Node:
    """Return a product of powers as nodes, one factor after the other."""
    product = ONE
    for node, exponent in powers:
        for _ in range(exponent):
            product = node if product is ONE else Node("multiply", (product, node))
    return product


class Factoring:
    """Takes nodes apart and remembers them."""

    def __init__(self) -> None:
        self._known: dict[Node, Factors] = {}

    def of(self, node: Node) -> Factors:
        """Return the factors of a node; operands that were not seen yet are taken apart first."""
        stack = [node]
        while stack:
            top = stack[-1]
            missing = [a for a in top.args if a not in self._known]
            if top in self._known or not missing:
                stack.pop()
                if top not in self._known:
                    self._known[top] = self._taken_apart(top)
            else:
                stack.extend(missing)
        return self._known[node]

    def _taken_apart(self, node: Node) -> Factors:
        """Return the factors of a node whose operands are known."""
        args = [self._known[a] for a in node.args]
        factors = None
        if node.op == "number":
            factors = Factors(node.value)
        elif node.op in {"negative", "multiply", "divide", "square", "power"}:
            factors = _product(node, args)
        elif node.op in {"add", "subtract"}:
            factors = _sum(node, args)
        elif node.op == "where":
            factors = _choice(node, args)
        whole = Factors(1.0, ((node, 1),))
        return factors if factors is not None and _moderate(factors.number) else whole


def _moderate(value: float) -> bool:
    """Return whether a number may be gathered with others: 0, NaN and infinity may not."""
    return 1 / _MODERATE <= abs(value) <= _MODERATE


def _product(node: Node, args: list[Factors]) -> Factors | None:
    """Return the factors of a product, a quotient, a square or a power of few factors."""
    exponents: dict[str, int | None] = {"negative": 1, "square": 2}
    exponent = exponents.get(node.op)
    if node.op == "power" and node.args[1].op == "number":
        exponent = factors_of_power(node.args[1].value)
    if exponent is not None and _moderate(args[0].number ** exponent):
        return (Factors(-1.0) if node.op == "negative" else Factors()) * args[0] ** exponent
    if node.op == "multiply":
        return args[0] * args[1]
    return args[0] * args[1] ** -1 if node.op == "divide" else None


def _sum(node: Node, args: list[Factors]) -> Factors | None:
    """Take a steady factor out of a sum when both terms have the same one."""
    left, right = args
    outside = left.steady
    if not node.varies or outside == Factors() or outside != right.steady:
        return None
    inner = Node(node.op, (left.core.node(), right.core.node()))
    return outside * Factors(1.0, ((inner, 1),))


def _choice(node: Node, args: list[Factors]) -> Factors | None:
    """Take the steady factor out of a choice between a term and zero."""
    condition, term, other = node.args
    if other.op != "number" or other.value != 0.0 or not term.varies:
        return None
    inner = Node("where", (condition, args[1].core.node(), other))
    return args[1].steady * Factors(1.0, ((inner, 1),))
