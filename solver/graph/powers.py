"""Derivatives of powers, right where the base is zero.

With f = u**v the textbook has v*u**(v - 1) and f*log(u). The first costs another power, and the
second is 0*(-inf) at u = 0. Written with f itself,

    df/du = v*f/u,          or its limit where u = 0
    df/dv = f*log(u),       or 0 where f = 0

and in a base that is a product, u = t*w/k, each factor gets its own share of v*f:

    df/dt = v*f/t,          or its limit where t = 0
    df/dk = -v*f/k

so that (x/k)**h has the derivative 0 by k and by h at x = 0, for every h > 0, where the chain rule
would find 0*inf. In the same spirit a/(1 + exp(u)) has the derivative -f*(1 - 1/(1 + exp(u))) by u,
which is 0, not 0*inf, where the exponential overflows.
"""

from math import inf, log
from typing import TypeAlias

from .nodes import Node, number
from .simplify import ONE, ZERO, apply, is_number, product

Contribution: TypeAlias = tuple[Node, Node, tuple[Node, bool] | None]
"""An operand, what is added to its adjoint, and the condition under which."""

MOST_FACTORS_APART = 8
"""Products of more factors than this are not taken apart."""


def power_rule(node: Node, adjoint: Node) -> list[Contribution]:
    """Return what base and exponent of a power get."""
    base, exponent = node.args
    if is_number(exponent) and exponent.value == round(exponent.value):
        slope = product(exponent, apply("power", base, exponent.value - 1.0))
        return [(base, product(adjoint, slope), None)]
    return [*by_base(node, adjoint, base, exponent), *_by_exponent(node, adjoint)]


def sqrt_rule(node: Node, adjoint: Node) -> list[Contribution]:
    """Return what the operand of a square root gets, or its factors."""
    (base,) = node.args
    if base.op in {"multiply", "divide"}:
        return by_base(node, adjoint, base, number(0.5))
    return [(base, product(number(0.5), apply("divide", adjoint, node)), None)]


def cbrt_rule(node: Node, adjoint: Node) -> list[Contribution]:
    """Return what the operand of a cube root gets, or its factors."""
    (base,) = node.args
    if base.op in {"multiply", "divide"}:
        return by_base(node, adjoint, base, number(1.0 / 3.0))
    share = apply("divide", adjoint, apply("square", node))
    return [(base, product(number(1.0 / 3.0), share), None)]


def by_base(node: Node, adjoint: Node, base: Node, exponent: Node) -> list[Contribution]:
    """Return what the factors of the base of node = base**exponent get."""
    above, below = factors(base)
    share = product(adjoint, product(exponent, node))
    found: list[Contribution] = [
        (k, apply("negative", apply("divide", share, k)), None) for k in below
    ]
    for place, factor in enumerate(above):
        if factor.op == "number":
            continue
        others = ONE
        for other in above[:place] + above[place + 1 :]:
            others = product(others, other)
        for other in below:
            others = apply("divide", others, other)
        limit = product(product(adjoint, others), _slope_at_zero(exponent))
        at_zero = apply("equal", factor, ZERO)
        term = apply("where", at_zero, limit, apply("divide", share, factor))
        found.append((factor, term, None))
    return found


def factors(node: Node) -> tuple[list[Node], list[Node]]:
    """Return the factors of a node, and what it is divided by."""
    above: list[Node] = []
    below: list[Node] = []
    waiting = [(node, True)]
    while waiting:
        part, on_top = waiting.pop()
        if part.op in {"multiply", "divide"} and len(waiting) + len(above) + len(below) < (
            MOST_FACTORS_APART
        ):
            first, second = part.args
            waiting += [(second, on_top is (part.op == "multiply")), (first, on_top)]
        else:
            (above if on_top else below).append(part)
    return above, below


def _slope_at_zero(exponent: Node) -> Node:
    """Return the derivative of u**exponent at u = 0: 0 above 1 (and for 0), 1 at 1, else inf."""
    flat = apply("logical_or", apply("greater", exponent, ONE), apply("equal", exponent, ZERO))
    steep = apply("where", apply("equal", exponent, ONE), ONE, number(inf))
    return apply("where", flat, ZERO, steep)


def _by_exponent(node: Node, adjoint: Node) -> list[Contribution]:
    """Return what the exponent of a power gets."""
    base, exponent = node.args
    if is_number(exponent):
        return []
    if is_number(base) and base.value > 0:
        return [(exponent, product(adjoint, product(number(log(base.value)), node)), None)]
    slope = apply("multiply", node, apply("log", base))
    slope = apply("where", apply("equal", node, ZERO), ZERO, slope)
    return [(exponent, product(adjoint, slope), None)]


def quotient_rule(node: Node, adjoint: Node) -> list[Contribution]:
    """Return what numerator and denominator get; of 1 + exp(u) the exponent does, at once."""
    above, below = node.args
    share = apply("divide", adjoint, below)
    found: list[Contribution] = [(above, share, None)]
    exponent, rate = _exponent_above_one(below)
    if exponent is None:
        return [*found, (below, apply("negative", product(share, node)), None)]
    saturation = apply("subtract", ONE, apply("divide", ONE, below))
    slope = product(number(-rate), product(product(adjoint, node), saturation))
    return [*found, (exponent, slope, None)]


def _exponent_above_one(node: Node) -> tuple[Node | None, float]:
    """Return u and log(c) where a node is 1 + c**u, c > 0 a number or e."""
    if node.op == "add" and ONE in node.args:
        power = node.args[1] if node.args[0] == ONE else node.args[0]
        if power.op in {"exp", "exp2"}:
            return power.args[0], 1.0 if power.op == "exp" else log(2.0)
        if power.op == "power" and is_number(power.args[0]) and power.args[0].value > 0:
            return power.args[1], log(power.args[0].value)
    return None, 0.0
