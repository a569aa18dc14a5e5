"""Exponential decays and growths, of one term or two."""

from typing import Any

import numpy as np

from ..arrays import Bools, Floats
from ..model import Model
from .projection import Frame, least_squares
from .sorted_curves import ONE, SortedCurves, estimate_in_blocks, integral

SLOWEST = 0.01
"""A rate times the range of x below this is a straight line to any data."""


def exponential_decay(terms: int = 1) -> Model:
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
            guess=_one_term_guess,
            expression="a*exp(-b*x) + c",
        )
    if terms == 2:
        return Model(
            name="exponential_decay:2",
            params=("a1", "b1", "a2", "b2", "c"),
            func=_two_terms,
            jac=_two_terms_jac,
            guess=_two_terms_guess,
            expression="a1*exp(-b1*x) + a2*exp(-b2*x) + c",
        )
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


def _shapes(x: Floats, *rates: Floats) -> list[Floats]:
    """Return exp(-b*x), or exp(-b*(x - 1)) for growth: at most 1 on 0..1 either way."""
    return [np.exp(-b * (x - (b < 0))) for b in rates]


def _slopes(x: Floats, g: list[Floats], a: list[Floats], *rates: Floats) -> list[Floats]:
    """Return the derivatives of the shapes, times a."""
    return [(-a_k) * (x - (b < 0)) * g_k for a_k, g_k, b in zip(a, g, rates, strict=True)]


def _one_term_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a, b, c for all curves."""
    return estimate_in_blocks(_one_term_estimate, 3, x, y, valid)


def _one_term_estimate(curves: SortedCurves) -> list[Floats]:
    """Estimate b from an integral equation, polish it once, and fit a and c.

    With S the integral of y from the first point, y' = -b*(y - c) becomes y = -b*S + b*c*x +
    const, a linear regression in which noise is integrated, not differentiated.

    Source: Jacquelin, Régressions et équations intégrales (2009), exponential regression.
    """
    frame = Frame.unit(curves)
    x = frame.curves.x
    area = integral(frame.curves.y, x)
    (_, slope), _ = least_squares(frame.columns([x, area]), frame.target)
    b = _at_least(SLOWEST, -slope)
    trial = frame.trial(_shapes, b)
    trial = frame.polish(_shapes, _slopes, trial, [2.0 * np.abs(b)])
    return _in_units(frame, trial.theta)


def _two_terms_guess(x: Any, y: Floats, valid: Bools) -> Floats:
    """Guess a1, b1, a2, b2, c for all curves."""
    return estimate_in_blocks(_two_terms_estimate, 5, x, y, valid)


def _two_terms_estimate(curves: SortedCurves) -> list[Floats]:
    """Estimate both rates from an integral equation, polish them once, and fit a1, a2, c.

    With S and SS the first and second integrals of y from the first point, the differential
    equation y'' + (b1 + b2)*y' + b1*b2*(y - c) = 0 becomes

        y = -(b1 + b2)*S - b1*b2*SS + (polynomial of degree 2 in x),

    a linear regression whose two coefficients have the rates as roots.

    Source: Jacquelin, Régressions et équations intégrales (2009), sum of two exponentials.
    """
    frame = Frame.unit(curves)
    x = frame.curves.x
    area = integral(frame.curves.y, x)
    columns = frame.columns([x, x * x, integral(area, x), area])
    (_, _, minus_product, minus_sum), _ = least_squares(columns, frame.target)
    fast, slow, grows = _distinct_rates(-minus_sum, -minus_product)
    b1, b2 = (np.where(grows, -b, b) for b in (fast, slow))
    trial = frame.trial(_shapes, b1, b2)
    b1, b2 = frame.polish(_shapes, _slopes, trial, [0.5 * fast, 0.5 * slow]).theta
    in_order = np.abs(b1) >= np.abs(b2)
    return _in_units(frame, [np.where(in_order, b1, b2), np.where(in_order, b2, b1)])


def _distinct_rates(rate_sum: Floats, product: Floats) -> tuple[Floats, Floats, Bools]:
    """Return two rates of one sign from their sum and product: the faster, the slower, growth.

    Noise can make the rates complex, or the slower one a growth beside a decay. Both mean that the
    data hardly determine the slower one: any that is distinct is as good a start.
    """
    half = 0.5 * rate_sum
    apart = np.sqrt(np.maximum(half * half - product, 1e-6 * half * half))
    grows = half + apart < 0
    slow = np.maximum(np.where(grows, -half, half) - apart, 0.1)
    fast = np.maximum(np.abs(half) + apart, np.maximum(1.2 * slow, 0.3))
    return fast, slow, grows


def _at_least(smallest: float, b: Floats) -> Floats:
    """Keep the sign of a rate and bound its size from below."""
    return np.where(b < 0, np.minimum(b, -smallest), np.maximum(b, smallest))


def _in_units(frame: Frame, rates: list[Floats]) -> list[Floats]:
    """Fit the linear parameters and return a1, b1, ... c in the units of the data."""
    a, c = frame.fit(_shapes(frame.curves.x, *rates))
    params = []
    for a_k, b in zip(a, rates, strict=True):
        at_zero = np.exp(b * (frame.origin / frame.width + (b < 0)))
        params += [frame.height * a_k * at_zero, b / frame.width]
    return [*params, frame.level + frame.height * c]
