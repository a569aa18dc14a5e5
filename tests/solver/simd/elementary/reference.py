"""What the functions should give: mpmath's values at points where errors show."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_PRECISION = 140
_RNG_SEED = 20260801


@dataclass(frozen=True, slots=True)
class Case:
    """A function by name: its exact value, where it is asked, and how far off it may be, in ulp."""

    name: str
    exact: Callable[..., Any]
    points: Callable[[], tuple[Floats, ...]]
    bound: float

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.points())


def uniform(low: float, high: float, n: int) -> Floats:
    """Return numbers between two."""
    return np.random.default_rng(_RNG_SEED).uniform(low, high, n)


def binades(low: float, high: float, n: int) -> Floats:
    """Return positive numbers of all sizes between powers of two."""
    fractions = np.random.default_rng(_RNG_SEED).uniform(1.0, 2.0, n)
    values: Floats = np.ldexp(fractions, np.linspace(low, high, n).astype(int))
    return values


def both(values: Floats) -> Floats:
    """Return numbers and their negatives."""
    return np.concatenate([values, -values])


def around(values: Any) -> Floats:
    """Return numbers and their neighbours."""
    centre = np.asarray(values, dtype=np.float64)
    steps = [centre]
    for towards in (-np.inf, np.inf):
        near = centre
        for _ in range(2):
            near = np.nextafter(near, towards)
            steps.append(near)
    return np.concatenate(steps)


def _some(*parts: Floats) -> tuple[Floats, ...]:
    return (np.concatenate(parts),)


def _exp(low: float, high: float, step: float) -> Callable[[], tuple[Floats, ...]]:
    """Return points for an exponential that is finite and not 0 between two numbers."""
    return lambda: _some(
        uniform(low, high, 1500),
        uniform(low, 0.945 * low, 300),
        both(binades(-1074, 8, 400)),
        around(np.arange(-60, 60) * step),
    )


def _angles() -> tuple[Floats, ...]:
    """Return angles of all sizes, and near multiples of pi/4."""
    k = np.unique(np.round(binades(0, 40, 300)))
    return _some(
        uniform(-10.0, 10.0, 1000),
        uniform(-1e5, 1e5, 700),
        both(binades(-1074, 29, 300)),
        binades(20, 1022, 500),
        around(k * (np.pi / 2.0)),
        around(k * (np.pi / 4.0)),
    )


def _positive() -> tuple[Floats, ...]:
    return _some(
        binades(-1074, 1023, 1200),
        uniform(0.5, 2.0, 1200),
        1.0 + both(binades(-52, -3, 200)),
        around(np.arange(15, 31) / 20.0),
        around(2.0 ** np.arange(-5, 6)),
    )


def _real(reach: float = 1023.0) -> tuple[Floats, ...]:
    return _some(
        uniform(-4.0, 4.0, 1000), uniform(-30.0, 30.0, 600), both(binades(-1074, reach, 500))
    )


def _within_one() -> tuple[Floats, ...]:
    return _some(
        uniform(-1.0, 1.0, 1500),
        both(binades(-1074, -1, 300)),
        both(1.0 - binades(-52, -2, 150)),
        around([0.5, -0.5]),
    )


def _powers() -> tuple[Floats, ...]:
    rng = np.random.default_rng(_RNG_SEED)
    n = 400
    base = np.concatenate([rng.uniform(0.0, 3.0, n), binades(-1074, 1023, n),
                           1.0 + both(binades(-50, -3, n))])  # fmt: skip
    result = rng.uniform(-744.0, 709.0, base.size)
    exponent = result / np.log(base)
    exponent[::3] = rng.uniform(-3.0, 3.0, exponent[::3].size)
    keep = np.abs(np.log(base) * exponent) < 709.0
    return base[keep], exponent[keep]


def _pairs(reach: int) -> tuple[Floats, ...]:
    rng = np.random.default_rng(_RNG_SEED)
    n = 700
    a = np.concatenate([rng.uniform(-1, 1, n), rng.uniform(-10, 10, n), binades(-reach, reach, n)])
    b = np.concatenate(
        [rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), a[-n:] * rng.uniform(-2, 2, n)]
    )
    return a, b


def _gamma_points(low: float, high: float) -> Callable[[], tuple[Floats, ...]]:
    """Return points for gammaln and its derivatives, all of sizes between powers of two."""
    return lambda: _some(
        uniform(0.0, 8.0, 1500),
        uniform(0.6, 2.6, 700),
        uniform(6.0, 100.0, 300),
        binades(low, high, 500),
        *(centre + both(binades(-51, -3, 150)) for centre in (1.0, 2.0)),
        around(np.arange(1, 16) / 2.0),
        np.asarray(1.4616321449683622 + np.arange(-20, 20) * 2.0**-52, dtype=np.float64),
    )


def _expit(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _cbrt(x: Any) -> Any:
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


_LN_2 = float(np.log(2.0))

CASES = {
    case.name: case
    for case in (
        Case("exp", mpmath.exp, _exp(-745.0, 709.7, _LN_2 / 32), 1.5),
        Case("exp2", lambda x: mpmath.power(2, x), _exp(-1074.9, 1023.9, 1 / 32), 1.3),
        Case("exp10", lambda x: mpmath.power(10, x), _exp(-323.5, 308.2, _LN_2 / 74), 1.7),
        Case("expm1", mpmath.expm1, _exp(-40.0, 709.7, _LN_2 / 32), 1.9),
        Case("expit", _expit, _exp(-745.0, 700.0, _LN_2 / 32), 1.8),
        Case("log", mpmath.log, _positive, 1.6),
        Case("log2", lambda x: mpmath.log(x, 2), _positive, 1.9),
        Case("log10", mpmath.log10, _positive, 2.0),
        Case("log1p", mpmath.log1p, lambda: _some(*_within_one(), *_positive()), 1.6),
        Case("sin", mpmath.sin, _angles, 1.9),
        Case("cos", mpmath.cos, _angles, 1.9),
        Case("tan", mpmath.tan, _angles, 1.8),
        Case("arcsin", mpmath.asin, _within_one, 1.4),
        Case("arccos", mpmath.acos, _within_one, 1.4),
        Case("arctan", mpmath.atan, _real, 1.9),
        Case("arctan2", mpmath.atan2, lambda: _pairs(900), 2.0),
        Case("sinh", mpmath.sinh, lambda: _some(*_real(9), uniform(700.0, 710.4, 100)), 1.8),
        Case("cosh", mpmath.cosh, lambda: _some(*_real(9), uniform(700.0, 710.4, 100)), 1.5),
        Case("tanh", mpmath.tanh, lambda: _some(*_real(9), uniform(0.5, 0.7, 300)), 1.8),
        Case("arcsinh", mpmath.asinh, _real, 1.8),
        Case("arccosh", mpmath.acosh, lambda: (1.0 + binades(-52, 1023, 2000),), 1.9),
        Case("arctanh", mpmath.atanh, _within_one, 1.5),
        Case("power", mpmath.power, _powers, 1.7),
        Case("cbrt", _cbrt, _real, 1.3),
        Case("hypot", mpmath.hypot, lambda: _pairs(1020), 1.3),
        Case("erf", mpmath.erf, lambda: _some(*_real(3), uniform(0.8, 1.2, 300)), 1.5),
        Case("gammaln", mpmath.loggamma, _gamma_points(-1074, 1013), 2.0),
        Case("digamma", mpmath.digamma, _gamma_points(-1000, 1000), 1.9),
        Case("trigamma", lambda x: mpmath.polygamma(1, x), _gamma_points(-500, 500), 2.0),
        Case("erfc", mpmath.erfc, lambda: _some(uniform(-6.0, 27.2, 1200), *_real(2)), 1.9),
    )
}


@cache
def exact(name: str) -> tuple[Floats, Floats]:
    """Return a case's exact values at its points, each in two doubles."""
    case = CASES[name]
    with mpmath.workprec(_PRECISION):
        values = [case.exact(*map(mpmath.mpf, map(float, row)))
                  for row in zip(*case.points(), strict=True)]  # fmt: skip
        heads = [float(value) for value in values]
        tails = [float(value - head) if np.isfinite(head) else 0.0
                 for value, head in zip(values, heads, strict=True)]  # fmt: skip
    return np.array(heads), np.array(tails)


def errors(name: str, found: Floats) -> Floats:
    """Return how far values at a case's points are off, in units in the last place."""
    head, tail = exact(name)
    with np.errstate(invalid="ignore"):
        off = np.abs((found - head) - tail) / np.spacing(np.abs(head))
    return np.where((found == head) & ~np.isfinite(head), 0.0, off)
