"""The models of the NIST StRD non-linear regression problems, with their exact derivatives.

Each formula stands as it is printed in the problem's file, letters included; each `d_` beside it
returns one array a parameter. Everything is pointwise and broadcasts, so parameters of shape
(n_curves, 1) with x of shape (n_points,) give values of shape (n_curves, n_points).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manyfit.solver.model import Model

Columns = tuple[Any, ...]


def bennett5(x: Any, b1: Any, b2: Any, b3: Any) -> Any:
    return b1 * (b2 + x) ** (-1 / b3)


def d_bennett5(x: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    s = b2 + x
    p = s ** (-1 / b3)
    return p, -b1 * p / (b3 * s), b1 * p * np.log(s) / b3**2


def exponential_rise(x: Any, b1: Any, b2: Any) -> Any:
    """BoxBOD and Misra1a."""
    return b1 * (1 - np.exp(-b2 * x))


def d_exponential_rise(x: Any, b1: Any, b2: Any) -> Columns:
    e = np.exp(-b2 * x)
    return 1 - e, b1 * x * e


def chwirut(x: Any, b1: Any, b2: Any, b3: Any) -> Any:
    """Chwirut1 and Chwirut2."""
    return np.exp(-b1 * x) / (b2 + b3 * x)


def d_chwirut(x: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    y = chwirut(x, b1, b2, b3)
    slope = -y / (b2 + b3 * x)
    return -x * y, slope, x * slope


def danwood(x: Any, b1: Any, b2: Any) -> Any:
    return b1 * x**b2


def d_danwood(x: Any, b1: Any, b2: Any) -> Columns:
    p = x**b2
    return p, b1 * p * np.log(x)


def enso(
    x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any, b8: Any, b9: Any
) -> Any:
    """Mean, annual cycle, and two cycles of unknown period b4 and b7."""
    year, u, v = 2 * np.pi * x / 12, 2 * np.pi * x / b4, 2 * np.pi * x / b7
    return (
        (b1 + b2 * np.cos(year) + b3 * np.sin(year))
        + (b5 * np.cos(u) + b6 * np.sin(u))
        + (b8 * np.cos(v) + b9 * np.sin(v))
    )


def d_enso(
    x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any, b8: Any, b9: Any
) -> Columns:
    """Linear but in the two periods; du/db4 = -u / b4."""
    del b1, b2, b3
    year, u, v = 2 * np.pi * x / 12, 2 * np.pi * x / b4, 2 * np.pi * x / b7
    d_b4 = (b5 * np.sin(u) - b6 * np.cos(u)) * u / b4
    d_b7 = (b8 * np.sin(v) - b9 * np.cos(v)) * v / b7
    return (
        *(np.ones_like(u), np.cos(year), np.sin(year)),
        *(d_b4, np.cos(u), np.sin(u)),
        *(d_b7, np.cos(v), np.sin(v)),
    )


def eckerle4(x: Any, b1: Any, b2: Any, b3: Any) -> Any:
    return (b1 / b2) * np.exp(-0.5 * ((x - b3) / b2) ** 2)


def d_eckerle4(x: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    z = (x - b3) / b2
    g = np.exp(-0.5 * z**2) / b2
    return g, b1 * g * (z**2 - 1) / b2, b1 * g * z / b2


def gauss(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any, b8: Any) -> Any:
    """Gauss1, Gauss2 and Gauss3: two peaks on a decaying baseline."""
    return (
        b1 * np.exp(-b2 * x)
        + b3 * np.exp(-((x - b4) ** 2) / b5**2)
        + b6 * np.exp(-((x - b7) ** 2) / b8**2)
    )


def d_gauss(
    x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any, b8: Any
) -> Columns:
    """The baseline, then each peak."""
    e = np.exp(-b2 * x)
    return e, -b1 * x * e, *_d_peak(x, b3, b4, b5), *_d_peak(x, b6, b7, b8)


def _d_peak(x: Any, height: Any, centre: Any, width: Any) -> Columns:
    """Derivatives of height * exp(-z**2), z = (x - centre) / width."""
    z = (x - centre) / width
    g = np.exp(-(z**2))
    return g, height * g * 2 * z / width, height * g * 2 * z**2 / width


def cubic_over_cubic(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any) -> Any:
    """Hahn1 and Thurber."""
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


def d_cubic_over_cubic(
    x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any
) -> Columns:
    """Powers of x over the denominator, and those times -y."""
    q = 1 / (1 + b5 * x + b6 * x**2 + b7 * x**3)
    y = (b1 + b2 * x + b3 * x**2 + b4 * x**3) * q
    return q, x * q, x**2 * q, x**3 * q, -y * x * q, -y * x**2 * q, -y * x**3 * q


def kirby2(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Any:
    return (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)


def d_kirby2(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Columns:
    q = 1 / (1 + b4 * x + b5 * x**2)
    y = (b1 + b2 * x + b3 * x**2) * q
    return q, x * q, x**2 * q, -y * x * q, -y * x**2 * q


def lanczos(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any) -> Any:
    """Lanczos1, Lanczos2 and Lanczos3: three exponentials, the data rounded more and more."""
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)


def d_lanczos(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any) -> Columns:
    e1, e2, e3 = np.exp(-b2 * x), np.exp(-b4 * x), np.exp(-b6 * x)
    return e1, -b1 * x * e1, e2, -b3 * x * e2, e3, -b5 * x * e3


def mgh09(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Any:
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


def d_mgh09(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Columns:
    q = 1 / (x**2 + x * b3 + b4)
    p = (x**2 + x * b2) * q
    return p, b1 * x * q, -b1 * p * x * q, -b1 * p * q


def mgh10(x: Any, b1: Any, b2: Any, b3: Any) -> Any:
    return b1 * np.exp(b2 / (x + b3))


def d_mgh10(x: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    s = x + b3
    e = np.exp(b2 / s)
    return e, b1 * e / s, -b1 * e * b2 / s**2


def mgh17(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Any:
    return b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5)


def d_mgh17(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any) -> Columns:
    del b1
    e4, e5 = np.exp(-x * b4), np.exp(-x * b5)
    return np.ones_like(e4), e4, e5, -b2 * x * e4, -b3 * x * e5


def misra1b(x: Any, b1: Any, b2: Any) -> Any:
    return b1 * (1 - (1 + b2 * x / 2) ** (-2))


def d_misra1b(x: Any, b1: Any, b2: Any) -> Columns:
    s = 1 + b2 * x / 2
    return 1 - s ** (-2), b1 * x * s ** (-3)


def misra1c(x: Any, b1: Any, b2: Any) -> Any:
    return b1 * (1 - (1 + 2 * b2 * x) ** (-0.5))


def d_misra1c(x: Any, b1: Any, b2: Any) -> Columns:
    s = 1 + 2 * b2 * x
    return 1 - s ** (-0.5), b1 * x * s ** (-1.5)


def misra1d(x: Any, b1: Any, b2: Any) -> Any:
    return b1 * b2 * x * ((1 + b2 * x) ** (-1))


def d_misra1d(x: Any, b1: Any, b2: Any) -> Columns:
    s = 1 + b2 * x
    return b2 * x / s, b1 * x / s**2


def nelson(x1: Any, x2: Any, b1: Any, b2: Any, b3: Any) -> Any:
    """The model of log(y)."""
    return b1 - b2 * x1 * np.exp(-b3 * x2)


def d_nelson(x1: Any, x2: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    del b1
    e = x1 * np.exp(-b3 * x2)
    return np.ones_like(e), -e, b2 * x2 * e


def rat42(x: Any, b1: Any, b2: Any, b3: Any) -> Any:
    return b1 / (1 + np.exp(b2 - b3 * x))


def d_rat42(x: Any, b1: Any, b2: Any, b3: Any) -> Columns:
    e = np.exp(b2 - b3 * x)
    q = 1 / (1 + e)
    return q, -b1 * e * q**2, b1 * x * e * q**2


def rat43(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Any:
    return b1 / ((1 + np.exp(b2 - b3 * x)) ** (1 / b4))


def d_rat43(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Columns:
    e = np.exp(b2 - b3 * x)
    p = (1 + e) ** (-1 / b4)
    slope = -b1 * p * e / ((1 + e) * b4)
    return p, slope, -x * slope, b1 * p * np.log1p(e) / b4**2


def roszman1(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Any:
    return b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi


def d_roszman1(x: Any, b1: Any, b2: Any, b3: Any, b4: Any) -> Columns:
    del b1, b2
    s = x - b4
    q = 1 / (np.pi * (s**2 + b3**2))
    return np.ones_like(s), np.broadcast_to(-x, np.shape(s)), -s * q, -b3 * q


_FORMULAS: dict[str, tuple[Callable[..., Any], Callable[..., Columns]]] = {
    "Bennett5": (bennett5, d_bennett5),
    "BoxBOD": (exponential_rise, d_exponential_rise),
    "Chwirut1": (chwirut, d_chwirut),
    "Chwirut2": (chwirut, d_chwirut),
    "DanWood": (danwood, d_danwood),
    "ENSO": (enso, d_enso),
    "Eckerle4": (eckerle4, d_eckerle4),
    "Gauss1": (gauss, d_gauss),
    "Gauss2": (gauss, d_gauss),
    "Gauss3": (gauss, d_gauss),
    "Hahn1": (cubic_over_cubic, d_cubic_over_cubic),
    "Kirby2": (kirby2, d_kirby2),
    "Lanczos1": (lanczos, d_lanczos),
    "Lanczos2": (lanczos, d_lanczos),
    "Lanczos3": (lanczos, d_lanczos),
    "MGH09": (mgh09, d_mgh09),
    "MGH10": (mgh10, d_mgh10),
    "MGH17": (mgh17, d_mgh17),
    "Misra1a": (exponential_rise, d_exponential_rise),
    "Misra1b": (misra1b, d_misra1b),
    "Misra1c": (misra1c, d_misra1c),
    "Misra1d": (misra1d, d_misra1d),
    "Nelson": (nelson, d_nelson),
    "Rat42": (rat42, d_rat42),
    "Rat43": (rat43, d_rat43),
    "Roszman1": (roszman1, d_roszman1),
    "Thurber": (cubic_over_cubic, d_cubic_over_cubic),
}

MODELS = {
    name: Model.from_function(func, x=("x1", "x2") if name == "Nelson" else "x", jac=jac, name=name)
    for name, (func, jac) in _FORMULAS.items()
}
"""One model a problem, by the problem's name."""
