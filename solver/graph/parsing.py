"""Read an expression from text: a whitelist over Python's syntax tree, nothing is ever executed.

a*exp(-b*x) + c             operators + - * / % ** and brackets
where(x < t, a, b)          functions, also as np.where(...) or math.exp(...)
a if 0 < x < t else b       the same as where; comparisons, and, or, not
2*pi*f                      pi, inf, nan; every other name is a parameter unless declared
"""

import ast
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from math import e, inf, nan, pi
from types import MappingProxyType

from .functions import FUNCTIONS, fold
from .graph import Graph
from .nodes import Node, number, symbol
from .scanning import ExpressionError, scan
from .simplify import apply

NUMBERS = MappingProxyType({"pi": pi, "inf": inf, "nan": nan})
"""Names that stand for numbers, unless they are declared as something else."""
PREFIXES = ("np", "numpy", "math")
"""Modules that may stand before a function."""

_OPERATORS: MappingProxyType[type[ast.AST], str] = MappingProxyType(
    {
        ast.Add: "add",
        ast.Sub: "subtract",
        ast.Mult: "multiply",
        ast.Div: "divide",
        ast.Mod: "mod",
        ast.Pow: "power",
        ast.BitAnd: "logical_and",
        ast.BitOr: "logical_or",
        ast.Invert: "logical_not",
        ast.Not: "logical_not",
        ast.And: "logical_and",
        ast.Or: "logical_or",
        ast.USub: "negative",
        ast.Lt: "less",
        ast.LtE: "less_equal",
        ast.Gt: "greater",
        ast.GtE: "greater_equal",
        ast.Eq: "equal",
        ast.NotEq: "not_equal",
    }
)

_DEEPEST = 2000
"""Levels of a formula; those that Python's own parser takes depend on its version."""
_TOO_DEEP = "the formula is too deeply nested, or a sum of too many terms"


def parse(
    text: str,
    params: Sequence[str] | None = None,
    predictors: Sequence[str] = ("x",),
    constants: Sequence[str] = (),
) -> Graph:
    """Read an expression.

    Parameters
    ----------
    text
        The formula.
    params
        Names of the parameters, in their order; also such as the text does not use, see
        `Graph.unused`. Default: every name that is not declared otherwise, in the order of
        appearance.
    predictors, constants
        Names that stand for a value a point, and a value a curve.

    Raises
    ------
    ExpressionError
        When the text is not an expression, or has names that are neither declared nor, with
        `params` given, parameters. The message shows the place.

    Examples
    --------
    >>> graph = parse("a*exp(-b*x) + c")
    >>> graph.params, graph.text
    (('a', 'b', 'c'), 'a*exp(-b*x) + c')
    """
    kinds = _kinds(params, predictors, constants)
    scan(text, kinds)
    reader = _Reader(text, kinds, guess=params is None)
    root = reader.read()
    found = tuple(reader.params) if params is None else tuple(params)
    return Graph(root, found, tuple(predictors), tuple(constants))


def _kinds(
    params: Sequence[str] | None, predictors: Sequence[str], constants: Sequence[str]
) -> dict[str, str]:
    """Return what each declared name stands for."""
    kinds: dict[str, str] = {}
    groups = (("param", params or ()), ("predictor", predictors), ("constant", constants))
    for kind, names in groups:
        if isinstance(names, str):
            raise ExpressionError(f"{kind}s must be a list of names, got the text {names!r}")
        for name in names:
            try:
                symbol(kind, name)
            except ValueError as error:
                raise ExpressionError(str(error)) from error
            if name in kinds:
                raise ExpressionError(f"{name!r} is declared as {kinds[name]} and as {kind}")
            kinds[name] = kind
    return kinds


class _Reader:
    """Reads one text; knows the names seen so far."""

    def __init__(self, text: str, kinds: dict[str, str], *, guess: bool) -> None:
        self.text = text
        self.source = "".join(" " if c.isspace() else c for c in text)
        self.shift = len(self.source) - len(self.source.lstrip())
        self.kinds = kinds
        self.guess = guess
        self.params: list[str] = []

    def read(self) -> Node:
        """Return the expression that the text says."""
        order, waiting = [], [(self._tree(), 1)]
        while waiting:  # operands after what uses them
            node, depth = waiting.pop()
            if depth > _DEEPEST:
                raise ExpressionError(_TOO_DEEP, self.text)
            order.append(node)
            waiting.extend((part, depth + 1) for part in reversed(self._operands(node)))
        for name in sorted((n for n in order if isinstance(n, ast.Name)), key=_start):
            self._meet(name)
        results: dict[int, Node] = {}
        for node in reversed(order):
            results[id(node)] = self._build(node, [results[id(c)] for c in self._operands(node)])
        return results[id(order[0])]

    def _tree(self) -> ast.expr:
        """Return Python's syntax tree of the text."""
        try:
            return ast.parse(self.source.strip(), mode="eval").body
        except SyntaxError as error:
            place = (error.offset or len(self.source) + 1) - 1 + self.shift
            raise ExpressionError(
                f"this is not a formula: {error.msg}", self.text, min(max(place, 0), len(self.text))
            ) from None
        except (RecursionError, MemoryError):
            raise ExpressionError(_TOO_DEEP, self.text) from None

    def _refuse(self, node: ast.AST, reason: str) -> ExpressionError:
        """Return the error for a place in the tree."""
        offset: int = getattr(node, "col_offset", 0)  # in bytes of UTF-8
        before = self.source.strip().encode()[:offset].decode(errors="ignore")
        return ExpressionError(reason, self.text, self.shift + len(before))

    def _operands(self, node: ast.expr) -> list[ast.expr]:
        """Return the parts of the tree that a node is made of; refuse what is not allowed."""
        parts: list[ast.expr] | None = None
        match node:
            case ast.Constant(value=int() | float()) | ast.Name() | ast.Attribute():
                parts = []
            case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
                parts = [left, right]
            case ast.UnaryOp(operand=operand):
                parts = [operand]
            case ast.BoolOp(values=values):
                parts = values
            case ast.Compare(left, ops, others) if all(type(op) in _OPERATORS for op in ops):
                parts = [left, *others]
            case ast.IfExp(test, body, orelse):
                parts = [test, body, orelse]
            case ast.Call(func, args, keywords):
                self._function(node, func, len(args))
                if keywords or any(isinstance(a, ast.Starred) for a in args):
                    raise self._refuse(node, "functions take their operands by place only")
                parts = args
        if parts is None:
            raise self._refuse(node, f"a formula cannot contain this ({type(node).__name__})")
        return parts

    def _function(self, call: ast.expr, func: ast.expr, count: int) -> Callable[..., Node]:
        """Return the function that a call means."""
        match func:
            case (
                ast.Name(id=name)
                | ast.Attribute(value=ast.Name(id="np" | "numpy" | "math"), attr=name)
            ):
                pass
            case _:
                raise self._refuse(call, "only a function can be called; did you forget a *?")
        function = FUNCTIONS.get(name)
        if function is None:
            close = get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "did you forget a *?"
            known = ", ".join(sorted(FUNCTIONS))
            raise self._refuse(func, f"there is no function {name!r}; {hint} There are: {known}")
        if not function.takes(count):
            least = "at least " if function.more else ""
            reason = f"{name} takes {least}{function.arity} operands, got {count}"
            raise self._refuse(call, reason)
        return function.build

    def _meet(self, name: ast.Name) -> None:
        """Note a name; the first time, decide what it stands for."""
        word = name.id
        if word in self.kinds or word in NUMBERS or word in self.params:
            return
        if not self.guess:
            known = ", ".join(self.kinds)
            raise self._refuse(name, f"{word!r} is not among the names declared: {known}")
        if word in FUNCTIONS or word in PREFIXES:
            raise self._refuse(name, f"{word!r} is a function or module: call it, as in exp(x)")
        if word == "e":
            raise self._refuse(
                name, "'e' could be a parameter or 2.718...: write exp(...), or give params"
            )
        self.params.append(word)

    def _build(self, node: ast.expr, parts: list[Node]) -> Node:
        """Return the expression of one node of the tree."""
        match node:
            case ast.Constant() | ast.Name() | ast.Attribute():
                return self._leaf(node)
            case ast.BinOp(op=op) | ast.UnaryOp(op=op) | ast.BoolOp(op=op):
                return self._operation(node, op, parts)
            case ast.Compare(ops=ops):
                return _chain([_OPERATORS[type(op)] for op in ops], parts)
            case ast.Call(func=func):
                return self._function(node, func, len(parts))(*parts)
        return apply("where", *parts)

    def _operation(self, node: ast.expr, op: ast.AST, parts: list[Node]) -> Node:
        """Return an operator's expression; `and` and its like join comparisons only."""
        if isinstance(op, ast.UAdd):
            return parts[0]
        name = _OPERATORS[type(op)]
        if name.startswith("logical") and not all(part.logical for part in parts):
            reason = "and, or, not, &, |, ~ join comparisons, as in (x > a) & (x < b)"
            raise self._refuse(node, reason)
        return fold(name, *parts) if len(parts) > 1 else apply(name, *parts)

    def _leaf(self, node: ast.Constant | ast.Name | ast.Attribute) -> Node:
        """Return a number, or what a name stands for."""
        match node:
            case ast.Constant(value=int() | float() as value):
                return number(value)
            case ast.Name(id=name) if name in self.kinds or name not in NUMBERS:
                return symbol(self.kinds.get(name, "param"), name)
            case ast.Name(id=name):
                return number(NUMBERS[name])
            case ast.Attribute(value=ast.Name(id="np" | "numpy" | "math"), attr=name):
                if name == "e" or name in NUMBERS:
                    return number({**NUMBERS, "e": e}[name])
        raise self._refuse(node, "there are no attributes: only functions, pi and e after 'np.'")


def _start(node: ast.Name) -> int:
    """Return where a name stands."""
    return node.col_offset


def _chain(ops: Iterable[str], parts: Sequence[Node]) -> Node:
    """Return a < b < c as a < b and b < c."""
    links = [apply(op, *pair) for op, pair in zip(ops, pairwise(parts), strict=True)]
    return fold("logical_and", *links)
