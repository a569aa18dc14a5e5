"""The functions that text and traced functions may call: all operations, and combinations of them.

Each is by its NumPy name; a few have a second one (asin, ln) for text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from math import inf, pi
from types import MappingProxyType

from .nodes import Node, number
from .operations import OPERATIONS
from .simplify import ONE, ZERO, apply


@dataclass(frozen=True, slots=True)
class Function:
    """A function of expressions.

    Attributes
    ----------
    build
        Makes the expression from the operands.
    arity
        The number of operands.
    more
        Whether it takes more operands too.
    """

    build: Callable[..., Node]
    arity: int
    more: bool = False

    def takes(self, count: int) -> bool:
        """Return whether the function can be called with so many operands."""
        return count == self.arity or (self.more and count > self.arity)


def clip(a: Node, low: Node, high: Node) -> Node:
    """Return a, moved to the nearest of low and high where it is outside."""
    return apply("minimum", apply("maximum", a, low), high)


def fold(op: str, *nodes: Node) -> Node:
    """Return an operation of two operands, applied to many from left to right."""
    return reduce(partial(apply, op), nodes)


def _reciprocal(a: Node) -> Node:
    return apply("divide", ONE, a)


def _heaviside(a: Node, at_zero: Node) -> Node:
    step = apply("multiply", 0.5, apply("add", ONE, apply("sign", a)))  # NaN stays NaN
    return apply("where", apply("equal", a, ZERO), at_zero, step)


def _sinc(a: Node) -> Node:
    angle = apply("multiply", pi, a)
    ratio = apply("divide", apply("sin", angle), angle)
    return apply("where", apply("equal", a, ZERO), ONE, ratio)


def _log_of_sum(a: Node, b: Node) -> Node:
    """Return log(exp(a) + exp(b))."""
    distance = apply("abs", apply("subtract", a, b))
    rest = apply("log1p", apply("exp", apply("negative", distance)))
    return apply("add", apply("maximum", a, b), rest)


def _scaled(factor: float) -> Function:
    return Function(lambda a: apply("multiply", a, factor), 1)


def _functions() -> Mapping[str, Function]:
    """Return every function by name."""
    table = {name: Function(partial(apply, name), o.arity) for name, o in OPERATIONS.items()}
    table |= {
        "clip": Function(clip, 3),
        "deg2rad": _scaled(pi / 180.0),
        "rad2deg": _scaled(180.0 / pi),
        "heaviside": Function(_heaviside, 2),
        "isfinite": Function(lambda a: apply("less", apply("abs", a), number(inf)), 1),
        "isnan": Function(lambda a: apply("not_equal", a, a), 1),
        "logaddexp": Function(_log_of_sum, 2),
        "max": Function(partial(fold, "maximum"), 2, more=True),
        "min": Function(partial(fold, "minimum"), 2, more=True),
        "reciprocal": Function(_reciprocal, 1),
        "sinc": Function(_sinc, 1),
    }
    second_names = {
        "absolute": "abs",
        "acos": "arccos",
        "acosh": "arccosh",
        "asin": "arcsin",
        "asinh": "arcsinh",
        "atan": "arctan",
        "atan2": "arctan2",
        "atanh": "arctanh",
        "degrees": "rad2deg",
        "fabs": "abs",
        "float_power": "power",
        "ln": "log",
        "pow": "power",
        "radians": "deg2rad",
        "remainder": "mod",
        "true_divide": "divide",
    }
    return MappingProxyType(table | {new: table[old] for new, old in second_names.items()})


FUNCTIONS: Mapping[str, Function] = _functions()
