"""The functions that text and traced functions may call: all operations, and combinations of them.

Each is by its name in NumPy or `scipy.special`; a few have a second one (asin, ln) for text. What
is wofz there is of two real operands here: wofz_real(x, y) and wofz_imag(x, y) are the parts of
wofz(x + 1j*y), wofz_slope_real and wofz_slope_imag those of its derivative.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from math import inf, nan, pi, sqrt
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


def _floor_divide(a: Node, b: Node) -> Node:
    """Return the whole quotient, as NumPy takes it: what mod leaves makes the rest whole."""
    quotient = apply("divide", apply("subtract", a, apply("mod", a, b)), b)
    return apply("floor", apply("add", quotient, 0.5))


def _ceil(a: Node) -> Node:
    return apply("negative", apply("floor", apply("negative", a)))


def _logit(a: Node) -> Node:
    return apply("log", apply("divide", a, apply("subtract", ONE, a)))


def _normal_cdf(a: Node) -> Node:
    return apply("multiply", 0.5, apply("erfc", apply("multiply", -sqrt(0.5), a)))


def _loggamma(a: Node) -> Node:
    """Return the logarithm of gamma(a), which is no real number for a < 0."""
    return apply("where", apply("less", a, ZERO), number(nan), apply("gammaln", a))


def _erfcx(a: Node) -> Node:
    return apply("wofz_real", ZERO, a)


def _dawsn(a: Node) -> Node:
    return apply("multiply", 0.5 * sqrt(pi), apply("wofz_imag", a, ZERO))


def _voigt_profile(x: Node, sigma: Node, gamma: Node) -> Node:
    """Return a Gaussian of width sigma folded with a Lorentzian of half width gamma, of area 1.

    For sigma = 0 one of 1e-10*gamma is taken, beside which the Lorentzian is right to 1e-20.
    """
    narrow = apply("multiply", 1e-10, gamma)
    sigma = apply("where", apply("equal", sigma, ZERO), narrow, sigma)
    unit = apply("multiply", sqrt(2.0), sigma)
    value = apply("wofz_real", apply("divide", x, unit), apply("divide", gamma, unit))
    return apply("divide", value, apply("multiply", sqrt(pi), unit))


def _times_log(log: str) -> Callable[[Node, Node], Node]:
    """Return a*log(b), 0 where a = 0, for log or log1p."""

    def build(a: Node, b: Node) -> Node:
        value = apply("multiply", a, apply(log, b))
        return apply("where", apply("equal", a, ZERO), ZERO, value)

    return build


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
        "ceil": Function(_ceil, 1),
        "clip": Function(clip, 3),
        "dawsn": Function(_dawsn, 1),
        "deg2rad": _scaled(pi / 180.0),
        "erfcx": Function(_erfcx, 1),
        "exp10": Function(partial(apply, "power", 10.0), 1),
        "floor_divide": Function(_floor_divide, 2),
        "rad2deg": _scaled(180.0 / pi),
        "heaviside": Function(_heaviside, 2),
        "isfinite": Function(lambda a: apply("less", apply("abs", a), number(inf)), 1),
        "isinf": Function(lambda a: apply("equal", apply("abs", a), number(inf)), 1),
        "isnan": Function(lambda a: apply("not_equal", a, a), 1),
        "logaddexp": Function(_log_of_sum, 2),
        "loggamma": Function(_loggamma, 1),
        "logit": Function(_logit, 1),
        "max": Function(partial(fold, "maximum"), 2, more=True),
        "min": Function(partial(fold, "minimum"), 2, more=True),
        "ndtr": Function(_normal_cdf, 1),
        "reciprocal": Function(_reciprocal, 1),
        "sinc": Function(_sinc, 1),
        "voigt_profile": Function(_voigt_profile, 3),
        "xlog1py": Function(_times_log("log1p"), 2),
        "xlogy": Function(_times_log("log"), 2),
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
        "lgamma": "gammaln",
        "ln": "log",
        "pow": "power",
        "psi": "digamma",
        "radians": "deg2rad",
        "remainder": "mod",
        "true_divide": "divide",
    }
    return MappingProxyType(table | {new: table[old] for new, old in second_names.items()})


FUNCTIONS: Mapping[str, Function] = _functions()
