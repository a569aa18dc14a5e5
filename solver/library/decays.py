"""Exponential decays and growths, of one term or two."""

from typing import Any

import numpy as np

from ..model import Model
from .passes import Curves, Point, Value
from .projection import Projection, Trial
from .recipe import Recipe
from .regression import moments
from .sorted_curves import ONE

SLOWEST = 0.01
"""A rate times the range of x below this is a straight line to any data."""


def exponential_decay(terms: int = 1, *, prefix: str = "") -> Model:
    """Make a sum of exponentials above a constant.

    One term: ``a*exp(-b*x) + c``, params a, b, c. Two terms:
    ``a1*exp(-b1*x) + a2*exp(-b2*x) + c``, params a1, b1, a2, b2, c; the guess puts the faster
    term first. A rate b < 0 is growth. As a is the value at x = 0 above c, x should begin there.

    Raises
    ------
    ValueError
        When there are neither one nor two terms.
    """
    if terms == 1:
        return Model(
            name="exponential_decay",
            params=("a", "b", "c"),
            func=_one_term,
            jac=_one_term_jac,
            guess=Recipe(_one_term_estimate, 3),
            expression="a*exp(-b*x) + c",
        ).prefixed(prefix)
    if terms == 2:
        return Model(
            name="exponential_decay:2",
            params=("a1", "b1", "a2", "b2", "c"),
            func=_two_terms,
            jac=_two_terms_jac,
            guess=Recipe(_two_terms_estimate, 5),
            expression="a1*exp(-b1*x) + a2*exp(-b2*x) + c",
        ).prefixed(prefix)
    raise ValueError(f"exponential_decay has 1 or 2 terms, got {terms!r}")


def _one_term(x: Any, a: Any, b: Any, c: Any) -> Any:
    """Evaluate a*exp(-b*x) + c."""
    return a * np.exp(-b * x) + c


def _one_term_jac(x: Any, a: Any, b: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a, b, c."""
    e = np.exp(-b * x)
    return [e, -a * x * e, ONE]


def _two_terms(x: Any, a1: Any, b1: Any, a2: Any, b2: Any, c: Any) -> Any:
    """Evaluate a1*exp(-b1*x) + a2*exp(-b2*x) + c."""
    return a1 * np.exp(-b1 * x) + a2 * np.exp(-b2 * x) + c


def _two_terms_jac(x: Any, a1: Any, b1: Any, a2: Any, b2: Any, c: Any) -> list[Any]:  # noqa: ARG001
    """Return the derivatives with respect to a1, b1, a2, b2, c."""
    e1, e2 = np.exp(-b1 * x), np.exp(-b2 * x)
    return [e1, -a1 * x * e1, e2, -a2 * x * e2, ONE]


def _shapes(xp: Any, p: Point, *rates: Value) -> tuple[list[Value], list[Value]]:
    """Return exp(-b*x) - 1, or exp(-b*(x - 1)) - 1 for growth, and their slopes.

    Nothing here is larger than 1, and next to a constant the 1 makes no difference but that a slow
    decay keeps its digits.
    """
    ahead = [p.x - xp.where(b < 0, 1.0, 0.0) for b in rates]
    e = [xp.exp(-b * d) for b, d in zip(rates, ahead, strict=True)]
    return [e_k - 1.0 for e_k in e], [-d * e_k for d, e_k in zip(ahead, e, strict=True)]


def _one_term_estimate(curves: Curves) -> list[Value]:
    """Estimate b from an integral equation, polish it once, and fit a and c.

    With S the integral of y from the first point, y' = -b*(y - c) becomes y = -b*S + b*c*x +
    const, a linear regression in which noise is integrated, not differentiated.

    Source: Jacquelin, Régressions et équations intégrales (2009), exponential regression.
    """
    xp = curves.xp
    _, slope = moments(curves, lambda p: [p.x, p.integral(p.y)]).regression().a
    b = xp.where(slope > 0, xp.minimum(-slope, -SLOWEST), xp.maximum(-slope, SLOWEST))
    best = Projection(_shapes, (0,)).polished(curves, [b], [2.0 * xp.abs(b)])
    return _in_units(curves, best)


def _two_terms_estimate(curves: Curves) -> list[Value]:
    """Estimate both rates from an integral equation, polish them once, and fit a1, a2, c.

    With S and SS the first and second integrals of y from the first point, the differential
    equation y'' + (b1 + b2)*y' + b1*b2*(y - c) = 0 becomes

        y = -(b1 + b2)*S - b1*b2*SS + (polynomial of degree 2 in x),

    a linear regression whose two coefficients have the rates as roots.

    Source: Jacquelin, Régressions et équations intégrales (2009), sum of two exponentials.
    """
    xp = curves.xp

    def columns(p: Point) -> list[Value]:
        area = p.integral(p.y)
        return [p.x, p.x * p.x, p.integral(area), area]

    _, _, minus_product, minus_sum = moments(curves, columns).regression().a
    fast, slow, grows = _distinct_rates(xp, -minus_sum, -minus_product)
    b1, b2 = (xp.where(grows, -b, b) for b in (fast, slow))
    best = Projection(_shapes, (0, 1)).polished(curves, [b1, b2], [0.5 * fast, 0.5 * slow])
    a1, b1, a2, b2, c = _in_units(curves, best)
    in_order = xp.abs(b1) >= xp.abs(b2)
    return [
        xp.where(in_order, a1, a2),
        xp.where(in_order, b1, b2),
        xp.where(in_order, a2, a1),
        xp.where(in_order, b2, b1),
        c,
    ]


def _distinct_rates(xp: Any, rate_sum: Value, product: Value) -> tuple[Value, Value, Value]:
    """Return two rates of one sign from their sum and product: the faster, the slower, growth.

    Noise can make the rates complex, or the slower one a growth beside a decay. Both mean that the
    data hardly determine the slower one: any that is distinct is as good a start.
    """
    half = 0.5 * rate_sum
    apart = xp.sqrt(xp.maximum(half * half - product, 1e-6 * half * half))
    grows = half + apart < 0
    slow = xp.maximum(xp.where(grows, -half, half) - apart, 0.1)
    fast = xp.maximum(xp.abs(half) + apart, xp.maximum(1.2 * slow, 0.3))
    return fast, slow, grows


def _in_units(curves: Curves, best: Trial) -> list[Value]:
    """Return a1, b1, ... c in the units of the data."""
    xp, frame = curves.xp, curves.frame
    params = []
    for a, b in zip(best.a, best.theta, strict=True):
        at_zero = xp.exp(b * (frame.origin / frame.width + xp.where(b < 0, 1.0, 0.0)))
        params += [frame.height * a * at_zero, b / frame.width]
    return [*params, frame.level + frame.height * (best.c - sum(best.a[1:], start=best.a[0]))]
