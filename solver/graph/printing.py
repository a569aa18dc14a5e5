"""Print an expression as text that `parse` reads back to the same expression.

Parentheses stand only where Python's precedence needs them, and numbers are printed with the
digits that give them back exactly.
"""

from types import MappingProxyType
from typing import TypeAlias

from .nodes import Node

LONGEST_TEXT = 1_000_000
"""Shared parts are printed as often as they are used: some expressions are too long to print."""

_LOGICAL_OR, _LOGICAL_AND, _LOGICAL_NOT, _COMPARISON = range(4)
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(4, 9)

_INFIX = MappingProxyType(
    {
        "logical_or": (" or ", _LOGICAL_OR),
        "logical_and": (" and ", _LOGICAL_AND),
        "less": (" < ", _COMPARISON),
        "less_equal": (" <= ", _COMPARISON),
        "greater": (" > ", _COMPARISON),
        "greater_equal": (" >= ", _COMPARISON),
        "equal": (" == ", _COMPARISON),
        "not_equal": (" != ", _COMPARISON),
        "add": (" + ", _SUM),
        "subtract": (" - ", _SUM),
        "multiply": ("*", _PRODUCT),
        "divide": ("/", _PRODUCT),
    }
)
"""Operators between two operands, and how tightly they bind."""
_PREFIX = MappingProxyType({"negative": "-", "logical_not": "not "})
_Piece: TypeAlias = str | tuple[Node, int]
"""Text, or an operand and how tightly it must bind to stand without parentheses."""


def to_text(node: Node, longest: int = LONGEST_TEXT) -> str:
    """Return an expression as text.

    Raises
    ------
    ValueError
        When the text would have more characters than `longest`, because a part is used very often.

    Examples
    --------
    >>> from manyfit.solver.graph.parsing import parse
    >>> to_text(parse("(a)*exp(-((x-mu)**2.0/s)) + 0.10").root)
    'a*exp(-(x - mu)**2/s) + 0.1'
    """
    pieces: list[str] = []
    length = 0
    waiting: list[_Piece] = [(node, 0)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            pieces.append(item)
            length += len(item)
            if length > longest:
                raise ValueError(
                    f"the expression is longer than {longest} characters when written out: "
                    "parts of it are used very often"
                )
        else:
            part, least = item
            parts = _parts(part)
            waiting.extend(reversed(parts if binding(part) >= least else ["(", *parts, ")"]))
    return "".join(pieces)


def binding(node: Node) -> int:
    """Return how tightly the outermost operator of a node's text binds."""
    if node.op in _INFIX:
        return _INFIX[node.op][1]
    if node.op == "negative":
        # The minus of -b*x belongs to b, but -(b*x) is the same expression. Of (b - c)*x it is not.
        first = node.args[0]
        while first.op in {"multiply", "divide"}:
            first = first.args[0]
        return _SIGN if first is node.args[0] or first.op == "subtract" else _PRODUCT
    if node.op == "number":
        return _SIGN if number_text(node.value).startswith("-") else _ATOM
    return {"power": _POWER, "square": _POWER, "logical_not": _LOGICAL_NOT}.get(node.op, _ATOM)


def number_text(value: float) -> str:
    """Return a number as text that reads back to the same double."""
    if value == round(value, 0) and abs(value) < 1e15 and repr(value) != "-0.0":
        return str(int(value))
    return repr(value)


def _parts(node: Node) -> list[_Piece]:
    """Return the text of a node with its operands, and how tightly these must bind."""
    if not node.args:
        return [node.name or number_text(node.value)]
    if node.op in _INFIX:
        sign, level = _INFIX[node.op]
        left = level + 1 if level == _COMPARISON else level
        return [(node.args[0], left), sign, (node.args[1], level + 1)]
    if node.op in _PREFIX:
        return [_PREFIX[node.op], (node.args[0], binding(node))]
    if node.op in {"power", "square"}:
        exponent: list[_Piece] = ["2"] if node.op == "square" else [(node.args[1], _SIGN)]
        return [(node.args[0], _ATOM), "**", *exponent]
    inside: list[_Piece] = []
    for arg in node.args:
        inside += [", ", (arg, 0)]
    return [node.op, "(", *inside[1:], ")"]
