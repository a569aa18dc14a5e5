"""log(abs(gamma(x))) and its first two derivatives, on NumPy arrays.

gammaln: for 0 < x < 6, with k = x rounded and t = x - k,

    gammaln(x) = t*P(t) + log((x - 1)*(x - 2)*...*(x - k + 2))

t*P(t) = gammaln(2 + t), and in place of the product 1/x for k = 1, 1/(x*(x + 1)) for k = 0; so
the zeros at 1 and 2 keep their digits. From 6 on, with u = 1/x**2,

    gammaln(x) = (x - 1/2)*log(x) - x + log(2*pi)/2 + S(u)/x

digamma: (x - x0)*D(x - 2), x0 being its zero, for 1 <= x < 3, and digamma(x + 1) = digamma(x) + 1/x
up to 6; then log(x) - 1/(2*x) - u*T(u). trigamma: by trigamma(x) = trigamma(x + 1) + 1/x**2 up to
6; then 1/x + u/2 + u*U(u)/x. Below 0 all three are reflected (Abramowitz and Stegun 1964, 6.1.17,
6.3.7, 6.4.7): near a zero there the error is small beside 1, not beside the value.

P is a fit at 60 digits with an error of 2**-58.0 in gammaln, S one of 2**-61.8, D one of 2**-56.6
in digamma, T one of 2**-59.5, U one of 2**-59.0 in trigamma. Right to 6 units in the last place for
x > 0. The series that S, T and U follow: Abramowitz and Stegun, 6.1.41, 6.3.18, 6.4.12.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Floats

SERIES_FROM = 6.0

NEAR_TWO, NEAR_TWO_REST = 0.42278433509846713, 4.942915152430645e-18
"""P(0) = 1 - Euler's constant, in two doubles."""

GAMMALN_NEAR = (
    0.32246703342411326,
    -0.06735230105319817,
    0.020580808427777448,
    -0.007385551028663104,
    0.002890510331163217,
    -0.0011927539122388933,
    0.000509669512661589,
    -0.000223154745491718,
    9.945770604894256e-05,
    -4.492641451406842e-05,
    2.0505366867494538e-05,
    -9.438015419088661e-06,
    4.385599800958419e-06,
    -2.0467115501997427e-06,
    9.181268418120791e-07,
    -4.264723143217899e-07,
    2.8046380543488116e-07,
    -1.376238912166414e-07,
)
"""(P(t) - P(0))/t in powers of t, abs(t) <= 1/2."""

GAMMALN_FAR = (
    0.08333333333333245,
    -0.0027777777770699,
    0.0007936505906012896,
    -0.0005952095899247706,
    0.0008395493717418571,
    -0.001820664798847825,
    0.004040544960366095,
)
"""S in powers of u, x >= 6."""

HALF_LOG_OF_TWO_PI = 0.9189385332046728

DIGAMMA_ZERO, DIGAMMA_ZERO_REST = 1.4616321449683622, 9.549995429965697e-17
"""x0 in two doubles."""

AT_TWO, AT_TWO_REST = 0.7853075386041053, -2.470014521794762e-17
"""D(0) in two doubles."""

DIGAMMA_NEAR = (
    -0.2607389546830014,
    0.10899991701762698,
    -0.04955103291767271,
    0.023447309597692468,
    -0.01133843255331752,
    0.005552254172011649,
    -0.0027395728837564747,
    0.0013581421827252786,
    -0.0006753133613557193,
    0.0003364324313399354,
    -0.00016781525542545212,
    8.377940050724335e-05,
    -4.184587987257407e-05,
    2.0892586269294636e-05,
    -1.0442272584812413e-05,
    5.266670437765993e-06,
    -2.6309361864618306e-06,
    1.2153813750430408e-06,
    -6.108253319526343e-07,
    4.577542338025654e-07,
    -2.2505538092132976e-07,
    -5.320154040273487e-08,
    2.3474358962880962e-08,
    1.1369517466751483e-07,
    -5.517176358144981e-08,
    -3.516904788574285e-08,
    1.7055647323237372e-08,
    1.0126272471038926e-08,
    -4.988578470893838e-09,
)
"""(D(v) - D(0))/v in powers of v, abs(v) <= 1."""

DIGAMMA_FAR = (
    0.08333333333332306,
    -0.008333333324597248,
    0.003968251367993881,
    -0.004166290673857704,
    0.007545967676684875,
    -0.019749338754873096,
    0.04949764799236851,
)
"""T in powers of u, x >= 6."""

TRIGAMMA_FAR = (
    0.16666666666666116,
    -0.03333333332669121,
    0.023809521072088374,
    -0.033332785241076225,
    0.07569626654138478,
    -0.24903857822571043,
    1.0029346023728187,
    -3.172097221581144,
)
"""U in powers of u, x >= 6."""


def gammaln(x: Any) -> Floats:
    """Return log(abs(gamma(x)))."""
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    with np.errstate(all="ignore"):
        value = np.where(size < SERIES_FROM, _gammaln_near(size), _gammaln_far(size))
        value = np.where(size == np.inf, np.inf, value)
        if (x < 0.0).any():
            value = np.where(x < 0.0, _gammaln_below(x, value), value)
    return value


def digamma(x: Any) -> Floats:
    """Return the derivative of gammaln."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        above = np.where(x < 0.0, 1.0 - x, x)
        value = np.where(above < SERIES_FROM, _digamma_near(above), _digamma_far(above))
        if (x < 0.0).any():
            part = _from_whole(x)
            below = np.where(part == 0.0, np.nan, value - np.pi / np.tan(np.pi * part))
            value = np.where(x < 0.0, below, value)
    return value


def trigamma(x: Any) -> Floats:
    """Return the derivative of digamma."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        value = _trigamma_above(np.where(x < 0.0, 1.0 - x, x))
        if (x < 0.0).any():
            turned = np.pi / np.sin(np.pi * _from_whole(x))
            value = np.where(x < 0.0, turned * turned - value, value)
    return value


def _gammaln_near(x: Floats) -> Floats:
    """Return gammaln for 0 <= x < 6."""
    k = np.floor(x + 0.5)
    t = x - k
    product = np.where(k == 0.0, x * (1.0 + x), np.where(k == 1.0, x, 1.0))
    for j in range(1, int(SERIES_FROM) - 1):
        product = np.where(k >= j + 2.0, product * (x - j), product)
    slope = _polynomial(GAMMALN_NEAR, np.clip(t, -0.5, 0.5))
    near = t * (NEAR_TWO + t * slope)
    value: Floats = near + np.where(k < 2.0, -np.log(product), np.log(product))
    return value


def _gammaln_far(x: Floats) -> Floats:
    """Return gammaln for x >= 6."""
    inverse = 1.0 / np.maximum(x, SERIES_FROM)
    rest = HALF_LOG_OF_TWO_PI + inverse * _polynomial(GAMMALN_FAR, inverse * inverse)
    value: Floats = (x - 0.5) * (np.log(x) - 1.0) + (rest - 0.5)
    return value


def _gammaln_below(x: Floats, of_size: Floats) -> Floats:
    """Return gammaln for x < 0, given that of abs(x)."""
    part = np.abs(_from_whole(x))
    reflected = np.log(np.pi / (np.abs(x) * np.sin(np.pi * part))) - of_size
    reflected = np.where(x > -1e-20, of_size, reflected)
    return np.where((part == 0.0) | (x == -np.inf), np.inf, reflected)


def _digamma_near(x: Floats) -> Floats:
    """Return digamma for 0 <= x < 6."""
    whole = np.clip(np.floor(x), 0.0, SERIES_FROM - 1.0)
    n = np.where(whole == 0.0, -1.0, np.maximum(whole - 2.0, 0.0))
    top, bottom = np.where(n < 0.0, -1.0, 0.0), np.where(n < 0.0, x, 1.0)
    for j in range(1, int(SERIES_FROM) - 2):
        top = np.where(n >= j, top * (x - j) + bottom, top)
        bottom = np.where(n >= j, bottom * (x - j), bottom)
    v = np.clip((x - n) - 2.0, -1.0, 1.0)
    to_zero = ((x - n) - DIGAMMA_ZERO) - DIGAMMA_ZERO_REST
    value: Floats = to_zero * (AT_TWO + v * _polynomial(DIGAMMA_NEAR, v)) + top / bottom
    return value


def _digamma_far(x: Floats) -> Floats:
    """Return digamma for x >= 6."""
    inverse = 1.0 / np.maximum(x, SERIES_FROM)
    u = inverse * inverse
    value: Floats = np.log(x) - (0.5 * inverse + u * _polynomial(DIGAMMA_FAR, u))
    return value


def _trigamma_above(x: Floats) -> Floats:
    """Return trigamma for x >= 0."""
    shifted, total = x, np.zeros_like(x)
    for _ in range(int(SERIES_FROM)):
        near = shifted < SERIES_FROM
        total = total + np.where(near, 1.0 / (shifted * shifted), 0.0)
        shifted = np.where(near, shifted + 1.0, shifted)
    inverse = 1.0 / shifted
    u = inverse * inverse
    value: Floats = total + inverse * (1.0 + u * _polynomial(TRIGAMMA_FAR, u)) + 0.5 * u
    return value


def _from_whole(x: Floats) -> Floats:
    """Return x less the nearest whole number."""
    value: Floats = x - np.floor(x + 0.5)
    return value


def _polynomial(coefficients: Sequence[float], u: Floats) -> Floats:
    """Evaluate a polynomial, lowest power first, by Horner's rule."""
    total = np.full_like(u, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * u + coefficient
    return total
