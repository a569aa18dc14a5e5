"""The test problems of Moré, Garbow and Hillstrom, as residuals to be squared.

MINPACK was tuned and tested on these, each from its standard start and from 10 and 100 times it.
Source: J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization software,
ACM Trans. Math. Softw. 7 (1981) 17-41; the numbers in the docstrings are the paper's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats


@dataclass(frozen=True, slots=True)
class Problem:
    """Residuals and where to start.

    Attributes
    ----------
    residuals
        ``f(params)``, (n_params,) to (n_points,), real or complex.
    start
        The standard start.
    factors
        What the start is multiplied by.
    """

    residuals: Callable[[Any], Any]
    start: tuple[float, ...]
    factors: tuple[float, ...] = (1.0, 10.0, 100.0)

    def fun(self, params: Floats) -> Floats:
        """Return the residuals, (n_points,)."""
        return np.asarray(self.residuals(params), dtype=np.float64)

    def jac(self, params: Floats) -> Floats:
        """Return the derivatives, (n_points, n_params), exact to rounding by complex steps."""
        columns = []
        for j in range(len(params)):
            shifted = np.asarray(params, dtype=complex)
            shifted[j] += 1e-200j
            columns.append(np.imag(self.residuals(shifted)) / 1e-200)
        return np.stack(columns, axis=1)


def linear_full_rank(x: Any, m: int = 10) -> Any:
    """Problem 32; minimum m - n."""
    n = len(x)
    return np.concatenate([x, np.zeros(m - n)]) - 2 * np.sum(x) / m - 1


def linear_rank_1(x: Any, m: int = 10) -> Any:
    """Problem 33; minimum m (m - 1) / (2 (2 m + 1)), at no single point."""
    return np.arange(1, m + 1) * np.sum(np.arange(1, len(x) + 1) * x) - 1


def rosenbrock(x: Any) -> Any:
    """Problem 1; minimum 0."""
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def helical_valley(x: Any) -> Any:
    """Problem 7; minimum 0."""
    turn = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if np.real(x[0]) < 0 else 0.0)
    radius = np.sqrt(x[0] ** 2 + x[1] ** 2)
    return np.array([10 * (x[2] - 10 * turn), 10 * (radius - 1), x[2]])


def powell_singular(x: Any) -> Any:
    """Problem 13; minimum 0, where the Jacobian has rank 2 of 4."""
    return np.array(
        [
            x[0] + 10 * x[1],
            np.sqrt(5) * (x[2] - x[3]),
            (x[1] - 2 * x[2]) ** 2,
            np.sqrt(10) * (x[0] - x[3]) ** 2,
        ]
    )


def freudenstein_roth(x: Any) -> Any:
    """Problem 2; minimum 0 at (5, 4), and 48.9842 at (11.41, -0.8968)."""
    return np.array(
        [
            -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1],
            -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1],
        ]
    )


def wood(x: Any) -> Any:
    """Problem 14; minimum 0."""
    return np.array(
        [
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            np.sqrt(90) * (x[3] - x[2] ** 2),
            1 - x[2],
            np.sqrt(10) * (x[1] + x[3] - 2),
            (x[1] - x[3]) / np.sqrt(10),
        ]
    )


def bard(x: Any) -> Any:
    """Problem 8; minimum 8.21487e-3, and 17.4286 at infinity."""
    y = "0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39"
    u = np.arange(1, 16)
    v = 16 - u
    return _numbers(y) - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def kowalik_osborne(x: Any) -> Any:
    """Problem 15; minimum 3.07505e-4, and 1.02734e-3 at infinity."""
    y = "0.1957 0.1947 0.1735 0.1600 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246"
    u = _numbers("4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625")
    return _numbers(y) - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def meyer(x: Any) -> Any:
    """Problem 10; minimum 87.9458."""
    y = "34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872"
    return x[0] * np.exp(x[1] / (np.arange(50, 130, 5) + x[2])) - _numbers(y)


def watson(x: Any) -> Any:
    """Problem 20; minimum 2.28767e-3 for 6 parameters, 1.39976e-6 for 9."""
    j = np.arange(len(x))
    powers = (np.arange(1, 30) / 29)[:, None] ** j
    slopes = j[1:] * powers[:, :-1]
    first = slopes @ x[1:] - (powers @ x) ** 2 - 1
    return np.concatenate([first, [x[0], x[1] - x[0] ** 2 - 1]])


def box_3d(x: Any) -> Any:
    """Problem 12; minimum 0 at (1, 10, 1), (10, 1, -1) and along a line."""
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def jennrich_sampson(x: Any) -> Any:
    """Problem 6; minimum 124.362."""
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def brown_dennis(x: Any) -> Any:
    """Problem 16; minimum 85822.2."""
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def chebyquad(x: Any) -> Any:
    """Problem 35; minimum 3.51687e-3 for 8 parameters."""
    i = np.arange(1, len(x) + 1)
    integral = np.where(i % 2 == 0, -1 / np.maximum(i**2 - 1, 1), 0.0)
    before, now, means = np.ones_like(x), 2 * x - 1, []
    for _ in i:
        means.append(np.mean(now))
        before, now = now, 2 * (2 * x - 1) * now - before
    return np.array(means) - integral


def brown_almost_linear(x: Any) -> Any:
    """Problem 27; minimum 0, and 1 at (0, ..., 0, n + 1)."""
    n = len(x)
    return np.append(x[:-1] + np.sum(x) - (n + 1), np.prod(x) - 1)


def osborne_1(x: Any) -> Any:
    """Problem 17; minimum 5.46489e-5."""
    y = (
        "0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 "
        "0.628 0.603 0.580 0.558 0.538 0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 "
        "0.424 0.420 0.414 0.411 0.406"
    )
    t = 10 * np.arange(33)
    return _numbers(y) - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def osborne_2(x: Any) -> Any:
    """Problem 19; minimum 4.01377e-2."""
    y = (
        "1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 "
        "0.616 0.606 0.602 0.626 0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 "
        "0.533 0.495 0.500 0.423 0.395 0.375 0.372 0.391 0.396 0.405 0.428 0.429 0.523 0.562 "
        "0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591 0.559 0.597 0.625 0.739 0.710 "
        "0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054"
    )
    t = np.arange(65) / 10
    return _numbers(y) - (
        x[0] * np.exp(-t * x[4])
        + x[1] * np.exp(-((t - x[8]) ** 2) * x[5])
        + x[2] * np.exp(-((t - x[9]) ** 2) * x[6])
        + x[3] * np.exp(-((t - x[10]) ** 2) * x[7])
    )


def _numbers(text: str) -> Floats:
    """Read a table."""
    return np.array(text.split(), dtype=np.float64)


PROBLEMS = {
    "linear_full_rank": Problem(linear_full_rank, (1.0,) * 5, (1.0,)),
    "linear_rank_1": Problem(linear_rank_1, (1.0,) * 5, (1.0,)),
    "rosenbrock": Problem(rosenbrock, (-1.2, 1.0)),
    "helical_valley": Problem(helical_valley, (-1.0, 0.0, 0.0)),
    "powell_singular": Problem(powell_singular, (3.0, -1.0, 0.0, 1.0)),
    "freudenstein_roth": Problem(freudenstein_roth, (0.5, -2.0)),
    "wood": Problem(wood, (-3.0, -1.0, -3.0, -1.0)),
    "bard": Problem(bard, (1.0, 1.0, 1.0)),
    "kowalik_osborne": Problem(kowalik_osborne, (0.25, 0.39, 0.415, 0.39)),
    "meyer": Problem(meyer, (0.02, 4000.0, 250.0), (1.0,)),
    "watson_6": Problem(watson, (0.0,) * 6, (1.0,)),
    "watson_9": Problem(watson, (0.0,) * 9, (1.0,)),
    "box_3d": Problem(box_3d, (0.0, 10.0, 20.0), (1.0,)),
    "jennrich_sampson": Problem(jennrich_sampson, (0.3, 0.4), (1.0,)),
    "brown_dennis": Problem(brown_dennis, (25.0, 5.0, -5.0, -1.0)),
    "chebyquad_8": Problem(chebyquad, tuple(j / 9 for j in range(1, 9)), (1.0,)),
    "brown_almost_linear": Problem(brown_almost_linear, (0.5,) * 10, (1.0, 10.0)),
    "osborne_1": Problem(osborne_1, (0.5, 1.5, -1.0, 0.01, 0.02), (1.0,)),
    "osborne_2": Problem(
        osborne_2, (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5), (1.0,)
    ),
}
