"""Look through the text of an expression for what may not be in it, before anything reads it.

Only numbers, names, brackets, commas and operators pass; whatever else - quotes, subscripts,
lambda, a wall of brackets - is refused with its place.
"""

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterator
from types import MappingProxyType

LONGEST_TEXT = 20_000
DEEPEST_BRACKETS = 90
"""Python's own parser gives up at a few more."""
_WINDOW = 60
"""Characters shown of a long text, around the place of the error."""

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>\*\*|//|<<|>>|<=|>=|==|!=|[-+*/%(),<>&|~.])"
)
_WORDS = {"and", "or", "not", "if", "else"}
_REASONS = MappingProxyType(
    {
        "^": "'^' is no power here: use **",
        "'": "text in quotes has no place in a formula",
        '"': "text in quotes has no place in a formula",
        "[": "there are no lists or subscripts: every name stands for one number a point",
        "{": "there are no braces: use round brackets",
        ":": "there is no ':' in a formula: no lambda, no slices, no assignment",
        "=": "a formula has one '=' too many: write only its right-hand side, and == to compare",
        ";": "there can be only one formula",
        "@": "there are no matrix products: every name stands for one number a point",
        "!": "use 'not' for a negation and != for 'not equal'",
        "#": "there are no comments",
        "//": "there is no '//': use floor(a/b)",
        "<<": "there is no '<<': a formula has real numbers, no bits",
        ">>": "there is no '>>': a formula has real numbers, no bits",
    }
)


class ExpressionError(ValueError):
    """A text that is no expression.

    Attributes
    ----------
    reason
        What is wrong, and what to do.
    column
        Where in the text, from 1.
    """

    def __init__(self, reason: str, text: str = "", place: int = 0) -> None:
        self.reason, self.column, self._arguments = reason, place + 1, (reason, text, place)
        first = max(0, place - _WINDOW // 2)
        shown = "".join(c if c.isprintable() else " " for c in text[first : first + _WINDOW])
        caret = " " * (place - first) + "^"
        super().__init__(f"{reason} (column {self.column})\n    {shown}\n    {caret}")

    def __reduce__(self) -> tuple[type["ExpressionError"], tuple[str, str, int]]:
        return type(self), self._arguments


def scan(text: str, declared: Collection[str]) -> None:
    """Check characters, numbers, words and brackets of a text.

    Raises
    ------
    ExpressionError
        At the first thing that may not be in an expression.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text, got {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(
            f"the expression has {len(text)} characters, more than {LONGEST_TEXT}"
        )
    depth = 0
    for kind, token, place in _tokens(text):
        if kind == "name":
            _check_name(token, declared, text, place)
        elif kind == "number":
            _check_number(token, text, place)
        elif token == "(":  # noqa: S105 - no password
            depth += 1
            if depth > DEEPEST_BRACKETS:
                raise ExpressionError(
                    f"more than {DEEPEST_BRACKETS} brackets inside each other", text, place
                )
        elif token == ")":  # noqa: S105
            depth -= 1


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield kind, token and place, in order."""
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        token = match.group() if match else text[place]
        if match is None or token in _REASONS:
            shown = repr(token) if token.isprintable() else f"U+{ord(token):04X}"
            reason = _REASONS.get(token, f"the character {shown} has no place in a formula")
            raise ExpressionError(reason, text, place)
        yield match.lastgroup or "", token, place
        place = match.end()


def _check_name(name: str, declared: Collection[str], text: str, place: int) -> None:
    """Refuse Python's words, and letters that look like others unless they are declared."""
    if not name.isidentifier():
        raise ExpressionError(f"{name!r} has letters that no name can have", text, place)
    if not name.isascii() and unicodedata.normalize("NFKC", name) not in declared:
        raise ExpressionError(
            f"{name!r} has letters beyond a-z: give it among params, predictors or constants if it "
            "is meant",
            text,
            place,
        )
    if keyword.iskeyword(name) and name not in _WORDS:
        raise ExpressionError(f"{name!r} is a word of Python, not a name", text, place)


def _check_number(token: str, text: str, place: int) -> None:
    """Refuse numbers that are too large, or run into what follows."""
    end = place + len(token)
    after = text[end : end + 1]
    if after == "_" or after.isalnum():
        raise ExpressionError(
            f"{token + after!r}: a number and what follows it need an operator between them, "
            "as in 2*x; numbers are decimal, without _",
            text,
            end,
        )
    if float(token) == float("inf"):
        raise ExpressionError("the number is beyond the largest double, 1.8e308", text, place)
