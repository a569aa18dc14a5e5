"""The operations of an expression, declared once: name, arity, meaning on NumPy arrays.

Every other part - simplification, evaluation, printing, parsing, tracing, derivatives, a compiled
engine - reads this table; an operation that is not in it does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from .faddeeva import wofz_imag, wofz_real, wofz_slope_imag, wofz_slope_real
from .gammas import digamma, gammaln, trigamma
from .special import erf, erfc, expit

LEAVES = ("number", "param", "predictor", "constant")
"""Kinds of nodes without operands: a number, and names by what stands behind them."""

MOST_FACTORS = 8
"""Powers up to this one are repeated products, in every engine: see `factors_of_power`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name
        How it is written in an expression, as a function or, for some, an operator.
    evaluate
        Its value on broadcasting float64 (or bool) arrays.
    arity
        The number of operands.
    logical
        Whether the result is a truth value.
    takes
        What the operands are: "real", "logical", or "choice" (a truth value, then two reals).
    commutative
        Whether the order of the operands never changes a bit of the result.
    total
        Whether finite operands give a finite result, short of overflow.
    """

    name: str
    evaluate: Callable[..., Any]
    arity: int = 1
    logical: bool = False
    takes: str = "real"
    commutative: bool = False
    total: bool = False

    def wants_logical(self, place: int) -> bool:
        """Return whether the operand at a place is a truth value."""
        return self.takes == "logical" or (self.takes == "choice" and place == 0)


def integer_power(x: Any, n: int) -> Any:
    """Return x**n for an integer 2 <= abs(n) <= MOST_FACTORS, by products.

    From the leading binary digit of n down: square, and multiply by x where the digit is 1. At
    most 1.5 roundings a product; a compiled engine does the same, so that both agree.
    """
    power = x
    for digit in f"{abs(n):b}"[1:]:
        power = power * power
        if digit == "1":
            power = power * x
    return power if n > 0 else 1.0 / power


def factors_of_power(exponent: float) -> int | None:
    """Return the exponent as an integer where the power is a product of few factors, else None."""
    if exponent == round(exponent) and 2 <= abs(exponent) <= MOST_FACTORS:
        return int(exponent)
    return None


def _operations() -> Mapping[str, Operation]:
    """Return all operations by name."""
    total: dict[str, Any] = {"total": True}
    comparison: dict[str, Any] = {"arity": 2, "logical": True, "total": True}
    logical: dict[str, Any] = {"logical": True, "takes": "logical", "total": True}
    both: dict[str, Any] = {"arity": 2, "commutative": True}
    table = (
        Operation("add", np.add, total=True, **both),
        Operation("subtract", np.subtract, 2, total=True),
        Operation("multiply", np.multiply, total=True, **both),
        Operation("divide", np.divide, 2),
        Operation("mod", np.mod, 2),
        Operation("power", np.power, 2),
        Operation("negative", np.negative, **total),
        Operation("square", np.square, **total),
        Operation("sqrt", np.sqrt),
        Operation("cbrt", np.cbrt, **total),
        Operation("abs", np.abs, **total),
        Operation("sign", np.sign, **total),
        Operation("floor", np.floor, **total),
        Operation("exp", np.exp, **total),
        Operation("expm1", np.expm1, **total),
        Operation("exp2", np.exp2, **total),
        Operation("log", np.log),
        Operation("log1p", np.log1p),
        Operation("log2", np.log2),
        Operation("log10", np.log10),
        Operation("sin", np.sin, **total),
        Operation("cos", np.cos, **total),
        Operation("tan", np.tan, **total),
        Operation("arcsin", np.arcsin),
        Operation("arccos", np.arccos),
        Operation("arctan", np.arctan, **total),
        Operation("arctan2", np.arctan2, 2, total=True),
        Operation("sinh", np.sinh, **total),
        Operation("cosh", np.cosh, **total),
        Operation("tanh", np.tanh, **total),
        Operation("arcsinh", np.arcsinh, **total),
        Operation("arccosh", np.arccosh),
        Operation("arctanh", np.arctanh),
        Operation("hypot", np.hypot, 2, total=True),
        Operation("minimum", np.minimum, 2, total=True),
        Operation("maximum", np.maximum, 2, total=True),
        Operation("erf", erf, **total),
        Operation("erfc", erfc, **total),
        Operation("expit", expit, **total),
        Operation("wofz_real", wofz_real, 2, total=True),
        Operation("wofz_imag", wofz_imag, 2, total=True),
        Operation("wofz_slope_real", wofz_slope_real, 2, total=True),
        Operation("wofz_slope_imag", wofz_slope_imag, 2, total=True),
        Operation("gammaln", gammaln),
        Operation("digamma", digamma),
        Operation("trigamma", trigamma),
        Operation("where", np.where, 3, takes="choice", total=True),
        Operation("less", np.less, **comparison),
        Operation("less_equal", np.less_equal, **comparison),
        Operation("greater", np.greater, **comparison),
        Operation("greater_equal", np.greater_equal, **comparison),
        Operation("equal", np.equal, commutative=True, **comparison),
        Operation("not_equal", np.not_equal, commutative=True, **comparison),
        Operation("logical_and", np.logical_and, **both, **logical),
        Operation("logical_or", np.logical_or, **both, **logical),
        Operation("logical_not", np.logical_not, **logical),
    )
    return MappingProxyType({operation.name: operation for operation in table})


OPERATIONS: Mapping[str, Operation] = _operations()
