"""Polynomials are as near as their docstrings say, and constants in parts add up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest

from manyfit.solver.graph import gammas
from manyfit.solver.simd.elementary import (
    erf_pieces,
    errors,
    exponential_parts,
    exponentials,
    hyperbolics,
    inverse_trigonometry,
    logarithm_pairs,
    logarithms,
    trigonometry,
    turns,
)

_LOG_2 = float(np.log(2.0))
_HALF_OCTAVE = (np.sqrt(2.0) - 1.0) / (np.sqrt(2.0) + 1.0)


def _odd(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return (f(x)/x - 1)/x**2 as a function of z = x**2."""
    return lambda z: (function(mpmath.sqrt(z)) / mpmath.sqrt(z) - 1) / z


def _scaled(t: Any, centre: float, slope: float, start: float) -> Any:
    """Return exp(x**2)*erfc(x)*(slope*x + start) at t = (x - centre)/(x + centre)."""
    x = centre * (1 + t) / (1 - t)
    return mpmath.exp(x * x) * mpmath.erfc(x) * (slope * x + start)


def _atanh(z: Any) -> Any:
    """Return 2*atanh(s)/s at z = s**2."""
    return 2 * mpmath.atanh(mpmath.sqrt(z)) / mpmath.sqrt(z)


def _log_gamma(t: Any) -> Any:
    """Return gammaln(2 + t)/t less its value at 0, over t."""
    at_zero = mpmath.mpf(gammas.NEAR_TWO) + gammas.NEAR_TWO_REST
    return (mpmath.loggamma(2 + t) / t - at_zero) / t


def _over_zero(v: Any) -> Any:
    """Return digamma(2 + v) over the distance to its zero."""
    zero = mpmath.mpf(gammas.DIGAMMA_ZERO) + gammas.DIGAMMA_ZERO_REST
    return mpmath.digamma(2 + v) / (2 + v - zero)


def _digamma_bend(v: Any) -> Any:
    return (_over_zero(v) - gammas.AT_TWO - gammas.AT_TWO_REST) / v


def _gammaln_rest(u: Any) -> Any:
    """Return what Stirling's formula leaves of gammaln(x), times x, u = 1/x**2."""
    x = 1 / mpmath.sqrt(u)
    return x * (
        mpmath.loggamma(x)
        - (x - mpmath.mpf(0.5)) * mpmath.log(x)
        + x
        - mpmath.log(2 * mpmath.pi) / 2
    )


def _digamma_rest(u: Any) -> Any:
    x = 1 / mpmath.sqrt(u)
    return (mpmath.log(x) - 1 / (2 * x) - mpmath.digamma(x)) / u


def _trigamma_rest(u: Any) -> Any:
    x = 1 / mpmath.sqrt(u)
    return (mpmath.polygamma(1, x) - 1 / x - u / 2) * x**3


@dataclass(frozen=True, slots=True)
class Claim:
    """Coefficients, what they are of, where, and how far off the result of it may be, in bits."""

    coefficients: tuple[float, ...]
    function: Callable[[Any], Any]
    low: float
    high: float
    bits: float
    weight: Callable[[Any], Any]


def _exp_of(r: Any) -> Any:
    return mpmath.expm1(r) / r


def _bend_of_exp(r: Any) -> Any:
    return (mpmath.expm1(r) - r) / r**2


def _near_one(r: Any) -> Any:
    return max(abs(r), 0.0253)


def _itself(z: Any) -> Any:
    return z


CLAIMS = {
    "exp, table": Claim(exponentials._NEAR, _exp_of, -_LOG_2 / 32, _LOG_2 / 32, 56.2, abs),
    "exp": Claim(exponentials._WIDE, _exp_of, -_LOG_2 / 2, _LOG_2 / 2, 56.5, abs),
    "expm1, table": Claim(
        exponential_parts._NEAR, _bend_of_exp, -_LOG_2 / 32, _LOG_2 / 32, 58.8, abs
    ),
    "expm1": Claim(
        exponential_parts._WIDE,
        _bend_of_exp,
        -_LOG_2 / 2,
        _LOG_2 / 2,
        59.8,
        lambda r: abs(r * r / mpmath.expm1(r)),
    ),
    "log, table": Claim(
        logarithms._NEAR,
        lambda r: (mpmath.log1p(r) - r) / r**2,
        -0.0337,
        0.0337,
        55.8,
        lambda r: r * r / _near_one(r),
    ),
    "log": Claim(
        logarithms._WIDE,
        lambda z: (_atanh(z) - 2) / z,
        1e-9,
        _HALF_OCTAVE**2,
        58.9,
        lambda z: z / 2,
    ),
    "log in two, table": Claim(
        logarithm_pairs._NEAR,
        lambda r: 2 * (mpmath.log1p(r) - r + r * r / 2) / r**3,
        -0.0337,
        0.0337,
        64.8,
        lambda r: abs(r) ** 3 / 2 / _near_one(r),
    ),
    "log in two": Claim(
        logarithm_pairs._WIDE,
        lambda z: ((_atanh(z) - 2) / z - mpmath.mpf(2) / 3) / z,
        1e-6,
        _HALF_OCTAVE**2,
        65.9,
        lambda z: z * z / 2,
    ),
    "sin": Claim(
        trigonometry._SIN,
        _odd(mpmath.sin),
        1e-9,
        (np.pi / 2) ** 2,
        57.3,
        lambda z: z * mpmath.sqrt(z) / mpmath.sin(mpmath.sqrt(z)),
    ),
    "sin of both": Claim(
        trigonometry._SIN_NEAR, _odd(mpmath.sin), 1e-9, (np.pi / 4) ** 2, 56.3, _itself
    ),
    "cos of both": Claim(
        trigonometry._COS_NEAR,
        lambda z: mpmath.cos(mpmath.sqrt(z)),
        0.0,
        (np.pi / 4) ** 2,
        59.1,
        lambda z: 1 + 0 * z,
    ),
    "sinh": Claim(
        hyperbolics._SINH,
        _odd(mpmath.sinh),
        1e-9,
        1.0,
        56.5,
        lambda z: z * mpmath.sqrt(z) / mpmath.sinh(mpmath.sqrt(z)),
    ),
    "tanh": Claim(hyperbolics._TANH, _odd(mpmath.tanh), 1e-9, 0.55**2, 55.0, _itself),
    "arctan, table": Claim(
        inverse_trigonometry._ARCTAN_NEAR, _odd(mpmath.atan), 1e-9, 0.0668**2, 61.0, _itself
    ),
    "arctan": Claim(
        inverse_trigonometry._ARCTAN_WIDE, _odd(mpmath.atan), 1e-9, 0.17157, 57.4, _itself
    ),
    "arcsin": Claim(inverse_trigonometry._ARCSIN, _odd(mpmath.asin), 1e-9, 0.25, 55.8, _itself),
    "erf": Claim(
        errors._FAR,
        lambda t: _scaled(t, 2.5, 1.0, 2.5),
        -0.4285,
        0.4117,
        56.7,
        lambda t: mpmath.exp(-((2.5 * (1 + t) / (1 - t)) ** 2)) / (2.5 * (1 + t) / (1 - t) + 2.5),
    ),
    "gammaln": Claim(
        gammas.GAMMALN_NEAR, _log_gamma, -0.5, 0.5, 58.0, lambda t: t * t / mpmath.loggamma(2 + t)
    ),
    "gammaln, far": Claim(
        gammas.GAMMALN_FAR,
        _gammaln_rest,
        1e-6,
        1 / 36,
        61.8,
        lambda u: mpmath.sqrt(u) / mpmath.loggamma(1 / mpmath.sqrt(u)),
    ),
    "digamma": Claim(
        gammas.DIGAMMA_NEAR, _digamma_bend, -1.0, 1.0, 56.6, lambda v: abs(v) / _over_zero(v)
    ),
    "digamma, far": Claim(
        gammas.DIGAMMA_FAR,
        _digamma_rest,
        1e-6,
        1 / 36,
        59.5,
        lambda u: u / mpmath.digamma(1 / mpmath.sqrt(u)),
    ),
    "trigamma, far": Claim(
        gammas.TRIGAMMA_FAR,
        _trigamma_rest,
        1e-6,
        1 / 36,
        59.0,
        lambda u: u * mpmath.sqrt(u) / mpmath.polygamma(1, 1 / mpmath.sqrt(u)),
    ),
    "erfc": Claim(
        errors._TAIL,
        lambda t: (
            (_scaled(t, 3.75, 2.0, 1.0) - errors._TAIL_AT_CENTRE - errors._TAIL_AT_CENTRE_REST) / t
        ),
        -0.7647,
        0.7584,
        55.7,
        lambda t: abs(t) / _scaled(t, 3.75, 2.0, 1.0),
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_polynomials_are_as_near_as_said(name: str) -> None:
    claim = CLAIMS[name]
    with mpmath.workprec(200):
        step = (mpmath.mpf(claim.high) - claim.low) / 150
        points = [claim.low + step * (k + mpmath.mpf(0.5)) for k in range(150)]
        worst = max(
            claim.weight(x)
            * abs(sum(c * x**n for n, c in enumerate(claim.coefficients)) - claim.function(x))
            for x in points
        )
        assert -mpmath.log(worst, 2) >= claim.bits - 0.1


def test_pieces_of_erf_are_as_near_as_said() -> None:
    with mpmath.workprec(200):
        for piece, centre in enumerate(erf_pieces.CENTRES):
            coefficients = [row[piece] for row in erf_pieces.COEFFICIENTS]
            for x in np.linspace(max(piece - 0.5, 1e-9), piece + 0.5, 60) * 13.0 / 16.0:
                u = mpmath.mpf(float(x)) - centre
                found = sum(c * u**n for n, c in enumerate(coefficients))
                assert abs(found / mpmath.erf(float(x)) - 1) < 2**-54.3


def test_pi_and_its_parts() -> None:
    with mpmath.workprec(1500):
        found = mpmath.mpf(turns.pi_times_power_of_two(1300)) / 2**1300
        assert abs(found - mpmath.pi) < mpmath.mpf(2) ** -1290
        for bits, precision in ((53, 150), (38, 120)):
            parts = turns.parts_of_pi(bits)
            assert abs(sum(map(mpmath.mpf, parts)) - mpmath.pi) < mpmath.mpf(2) ** -precision
            assert all(part > 0 for part in parts)


def test_inverses_of_the_table_are_near_their_places() -> None:
    for place, inverse in enumerate(logarithms.INVERSES[:-1]):
        low, high = max(place + 15.5, 15.0), min(place + 16.5, 30.0)
        assert max(abs(inverse * end / 20.0 - 1.0) for end in (low, high)) < 0.0337
