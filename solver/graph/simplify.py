"""apply: make a node from an operation and operands, in normal form.

Normal form means that equal formulas meet: signs are drawn out of products and quotients, -a + b is
b - a, numbers are folded, and x*x*x is x**3. A rule is here only when it changes the value by
rounding at most, and never makes a finite value of finite operands infinite or NaN; the other
way round is welcome (0*exp(x) is 0 also where exp(x) overflows), but 0*log(x) stays. The sign of
a zero is not kept.
"""

from collections.abc import Callable, Mapping
from math import copysign, isfinite, isnan
from types import MappingProxyType

import numpy as np

from .nodes import Node, number, ordered
from .operations import OPERATIONS

HIGHEST_POWER = 64
"""x**m * x**n is collected up to this exponent."""
_MODERATE = 2.0**500
"""Numbers are multiplied with each other ahead of the rest if the product is no larger, or smaller
than the inverse."""

ZERO, ONE, TWO = number(0.0), number(1.0), number(2.0)
TRUE, FALSE = Node("equal", (ZERO, ZERO)), Node("not_equal", (ZERO, ZERO))


def apply(op: str, *operands: Node | float) -> Node:
    """Return the node of an operation, simplified.

    A truth value among real operands counts as 1 or 0, a real number among truth values as true
    unless it is 0, as in NumPy.

    Raises
    ------
    ValueError
        When there is no such operation or the number of operands is wrong.
    """
    nodes = tuple(o if isinstance(o, Node) else number(o) for o in operands)
    operation = OPERATIONS.get(op)
    if operation is None or len(nodes) != operation.arity:
        return Node(op, nodes)  # which says what is wrong
    nodes = tuple(
        as_logical(n) if operation.wants_logical(i) else as_real(n) for i, n in enumerate(nodes)
    )
    return _folded(op, nodes) or _ruled(op, nodes) or Node(op, nodes)


def as_real(node: Node) -> Node:
    """Return a node as a number: a truth value as 1 or 0."""
    return apply("where", node, ONE, ZERO) if node.logical else node


def as_logical(node: Node) -> Node:
    """Return a node as a truth value: a number is true unless it is 0."""
    return node if node.logical else apply("not_equal", node, ZERO)


def rebuilt(root: Node, put: Mapping[Node, Node]) -> Node:
    """Return the formula with nodes replaced, and simplified again above them."""
    new: dict[Node, Node] = {}
    for node in ordered([root]):
        if node in put:
            new[node] = put[node]
        else:
            new[node] = apply(node.op, *(new[a] for a in node.args)) if node.args else node
    return new[root]


def is_number(node: Node, value: float | None = None) -> bool:
    """Return whether a node is a number, or this number."""
    return node.op == "number" and (value is None or node.value == value)


def split_sign(node: Node) -> tuple[bool, Node]:
    """Return whether a minus can be drawn out of a node, and what is left."""
    if node.op == "negative":
        return True, node.args[0]
    if is_number(node) and copysign(1.0, node.value) < 0 and not isnan(node.value):
        return True, number(-node.value)
    return False, node


def split_number(node: Node) -> tuple[float, Node]:
    """Return the numeric factor of a product, and the other factor."""
    if node.op == "multiply":
        for one, other in (node.args, node.args[::-1]):
            if is_number(one):
                return one.value, other
    return 1.0, node


def product(a: Node, b: Node) -> Node:
    """Return a product with the numeric factors of both operands in front, as one.

    The order of the other factors is what was written only between the operands, so this is for
    expressions that nobody wrote: derivatives.
    """
    (minus_a, left), (minus_b, right) = split_sign(a), split_sign(b)
    (one, left), (other, right) = split_number(left), split_number(right)
    if not 1 / _MODERATE <= abs(one * other) <= _MODERATE:
        return apply("multiply", a, b)
    rest = apply("multiply", left, right)
    return _signed(minus_a is not minus_b, apply("multiply", one * other, rest))


def _folded(op: str, nodes: tuple[Node, ...]) -> Node | None:
    """Return the value of an operation on numbers, if it is one that can be kept."""
    if not all(n.op == "number" for n in nodes):
        return None
    with np.errstate(all="ignore"):
        value = OPERATIONS[op].evaluate(*(np.float64(n.value) for n in nodes))
    if OPERATIONS[op].logical:
        return TRUE if value else FALSE
    return number(float(value)) if np.isfinite(value) or op == "negative" else None


def _ruled(op: str, nodes: tuple[Node, ...]) -> Node | None:
    """Return what a rule makes of an operation, or None."""
    rule = _RULES.get(op)
    return rule(*nodes) if rule else None


def _signed(minus: bool, node: Node) -> Node:
    return apply("negative", node) if minus else node


def _add(a: Node, b: Node) -> Node | None:
    if is_number(a, 0):
        return b
    if is_number(b, 0):
        return a
    for one, other in ((a, b), (b, a)):
        minus, rest = split_sign(other)
        if minus:
            return apply("subtract", one, rest)
    return apply("multiply", TWO, a) if a == b else None


def _subtract(a: Node, b: Node) -> Node | None:
    if is_number(b, 0):
        return a
    if is_number(a, 0):
        return apply("negative", b)
    minus, rest = split_sign(b)
    if minus:
        return apply("add", a, rest)
    return ZERO if a == b and a.total else None


def _negative(a: Node) -> Node | None:
    if a.op == "negative":
        return a.args[0]
    if a.op == "subtract":
        return apply("subtract", *a.args[::-1])
    return None


def _multiply(a: Node, b: Node) -> Node | None:
    (minus_a, left), (minus_b, right) = split_sign(a), split_sign(b)
    if minus_a or minus_b:
        return _signed(minus_a is not minus_b, apply("multiply", left, right))
    for one, other in ((a, b), (b, a)):
        if is_number(one, 1) or (is_number(one, 0) and other.total):
            return other if one.value else ZERO
        if is_number(one):
            factor, rest = split_number(other)
            if factor != 1 and 1 / _MODERATE <= abs(factor * one.value) <= _MODERATE:
                return apply("multiply", number(factor * one.value), rest)
    return _collected(a, b)


def _collected(a: Node, b: Node) -> Node | None:
    """Return x**m * x**n as one power, for integers m and n > 0."""
    (base, m), (other, n) = split_power(a), split_power(b)
    if base == other and m + n <= HIGHEST_POWER:
        return apply("power", base, float(m + n))
    return None


def split_power(node: Node) -> tuple[Node, int]:
    """Return base and exponent of a positive integer power; a node itself is its first."""
    if node.op == "square":
        return node.args[0], 2
    if node.op == "power" and is_number(node.args[1]):
        exponent = node.args[1].value
        if exponent == round(exponent) and 2 <= exponent <= HIGHEST_POWER:
            return node.args[0], int(exponent)
    return node, 1


def _divide(a: Node, b: Node) -> Node | None:
    (minus_a, left), (minus_b, right) = split_sign(a), split_sign(b)
    if minus_a or minus_b:
        return _signed(minus_a is not minus_b, apply("divide", left, right))
    return a if is_number(b, 1) else None


def _square(a: Node) -> Node | None:
    if a.op in {"negative", "abs"}:
        return apply("square", a.args[0])
    base, n = split_power(a)
    return apply("power", base, 2.0 * n) if 1 < n <= HIGHEST_POWER // 2 else None


def _power(a: Node, b: Node) -> Node | None:
    if is_number(a, 1) or is_number(b, 0):
        return ONE
    if not is_number(b):
        return None
    if b.value in _NAMED_POWERS:
        return _NAMED_POWERS[b.value](a)
    if not isfinite(b.value) or b.value != round(b.value):
        return None
    minus, rest = split_sign(a)
    if minus:
        return _signed(b.value % 2 == 1, apply("power", rest, b))
    return _power_of_power(a, b.value)


def _power_of_power(a: Node, exponent: float) -> Node | None:
    """Return (x**n)**m as x**(n*m), for integers."""
    base, n = split_power(a)
    if n > 1 and 2 <= exponent * n <= HIGHEST_POWER:
        return apply("power", base, n * exponent)
    return None


_NAMED_POWERS: Mapping[float, Callable[[Node], Node]] = MappingProxyType(
    {
        -1.0: lambda a: apply("divide", ONE, a),
        0.5: lambda a: apply("sqrt", a),
        1.0: lambda a: a,
        2.0: lambda a: apply("square", a),
    }
)


def _even(op: str) -> Callable[[Node], Node | None]:
    """Return the rule of a function that does not see the sign."""

    def rule(a: Node) -> Node | None:
        minus, rest = split_sign(a)
        return apply(op, rest) if minus else None

    return rule


def _abs(a: Node) -> Node | None:
    return a if a.op == "abs" else _even("abs")(a)


def _where(condition: Node, a: Node, b: Node) -> Node | None:
    if condition in {TRUE, FALSE}:
        return a if condition == TRUE else b
    if a == b:
        return a
    if condition.op == "logical_not":
        return apply("where", condition.args[0], b, a)
    if a.op == "where" and a.args[0] == condition:
        return apply("where", condition, a.args[1], b)
    if b.op == "where" and b.args[0] == condition:
        return apply("where", condition, a, b.args[2])
    return None


def _first_of_same(a: Node, b: Node) -> Node | None:
    return a if a == b else None


def _junction(neutral: Node, decided: Node) -> Callable[[Node, Node], Node | None]:
    """Return the rule of `and` (neutral TRUE, decided by FALSE) or `or`."""

    def rule(a: Node, b: Node) -> Node | None:
        if decided in {a, b}:
            return decided
        if neutral in {a, b}:
            return b if a == neutral else a
        return a if a == b else None

    return rule


def _not(a: Node) -> Node | None:
    if a in {TRUE, FALSE}:
        return FALSE if a == TRUE else TRUE
    opposite = {"equal": "not_equal", "not_equal": "equal"}.get(a.op)
    if opposite:
        return apply(opposite, *a.args)
    return a.args[0] if a.op == "logical_not" else None


_RULES: Mapping[str, Callable[..., Node | None]] = MappingProxyType(
    {
        "add": _add,
        "subtract": _subtract,
        "negative": _negative,
        "multiply": _multiply,
        "divide": _divide,
        "square": _square,
        "power": _power,
        "abs": _abs,
        "cos": _even("cos"),
        "cosh": _even("cosh"),
        "minimum": _first_of_same,
        "maximum": _first_of_same,
        "where": _where,
        "logical_and": _junction(TRUE, FALSE),
        "logical_or": _junction(FALSE, TRUE),
        "logical_not": _not,
    }
)
