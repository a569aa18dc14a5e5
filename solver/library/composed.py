"""A composed model from text: ``gaussian(prefix=g1_) + gaussian(prefix=g2_) + constant()``.

Models of the library, called with a prefix and, where they have one, their integer, and numbers,
joined by + - * / and brackets. Nothing is executed. It cannot be mistaken for a formula: there the
models are no functions.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from operator import add, mul, sub, truediv
from types import MappingProxyType
from typing import Any

from ..graph.scanning import ExpressionError
from ..model import Model
from .registry import MODELS

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv}
)
_CALL = re.compile(rf"\b(?:{'|'.join(MODELS)})\s*\(")


def is_composed(text: str) -> bool:
    """Return whether a text calls a model of the library."""
    return _CALL.search(text) is not None


def composed(text: str) -> Model:
    """Make the model that a text composes of the library's.

    Raises
    ------
    ExpressionError
        Where there is anything but models, numbers and + - * /, or a model is called with what it
        does not take. The message shows the place.
    ValueError
        When the models cannot be joined; see `Model.prefixed` and `composition.combined`.

    Examples
    --------
    >>> composed("gaussian(prefix=g1_) + gaussian(prefix=g2_) + linear()").params
    ('g1_a', 'g1_mu', 'g1_s', 'g2_a', 'g2_mu', 'g2_s', 'c', 'b')
    """
    source = text.strip()
    try:
        made = _Reader(source).made(ast.parse(source, mode="eval").body)
    except SyntaxError as error:
        place = (error.offset or len(source) + 1) - 1
        raise ExpressionError(f"these are no joined models: {error.msg}", source, place) from None
    except (RecursionError, MemoryError):
        raise ExpressionError("these are too many models, or brackets", source) from None
    if not isinstance(made, Model):
        raise ExpressionError("there are only numbers", source)
    return replace(made, name=source)


class _Reader:
    """Makes the models of one text."""

    def __init__(self, source: str) -> None:
        self.source = source

    def made(self, node: ast.expr) -> "Model | float":
        """Return the model, or number, that a part of the text says."""
        match node:
            case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
                return self._joined(node, _OPERATORS[type(op)], left, right)
            case ast.Call(ast.Name(name), args, keywords):
                return self._model(node, name, args, keywords)
            case ast.Constant(int() | float() as value):
                return value
        raise self._refuse(
            node,
            "beside a model of the library only such models, numbers, + - * / and brackets can "
            "stand; write all of it as a formula, or join models in Python",
        )

    def _joined(
        self, node: ast.expr, join: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr
    ) -> "Model | float":
        """Return two sides as one."""
        sides = self.made(left), self.made(right)
        try:
            joined: Model | float = join(*sides)
        except ArithmeticError as error:
            raise self._refuse(node, str(error)) from error
        return joined

    def _model(
        self, node: ast.expr, name: str, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> Model:
        """Return a model of the library."""
        entry = MODELS.get(name)
        if entry is None:
            close = get_close_matches(name, MODELS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise self._refuse(
                node, f"there is no model {name!r}.{hint} There are: {', '.join(MODELS)}"
            )
        numbers = [a.value for a in args if isinstance(a, ast.Constant) and type(a.value) is int]
        prefixes = [text for k in keywords if k.arg == "prefix" and (text := _word(k.value))]
        least, most = int(entry.required), int(entry.argument is not None)
        as_it_should = len(numbers) == len(args) and len(prefixes) == len(keywords) <= 1
        if not as_it_should or not least <= len(numbers) <= most:
            number = "3, " if entry.required else "2, " if entry.argument else ""
            raise self._refuse(node, f"write {name}({number}prefix=p_), or {name}({number[:1]})")
        try:
            return entry.factory(*numbers, prefix="".join(prefixes))
        except ValueError as error:
            raise self._refuse(node, str(error)) from error

    def _refuse(self, node: ast.expr, reason: str) -> ExpressionError:
        """Return the error for a place in the text."""
        before = self.source.encode()[: node.col_offset].decode(errors="ignore")
        return ExpressionError(reason, self.source, len(before))


def _word(node: ast.expr) -> str:
    """Return a name, with or without quotes, or nothing."""
    match node:
        case ast.Name(text) | ast.Constant(str() as text):
            return text
    return ""
