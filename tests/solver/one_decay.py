"""One decay as leastsq takes it: residuals and Jacobian of the vector of its parameters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manyfit.solver.arrays import Floats

X = np.linspace(0, 5, 20)
Y = 2 * np.exp(-1.5 * X) + 0.5 + 0.02 * np.cos(37 * X)
START = [1.0, 1.0, 1.0]
SUCCESS = {1, 2, 3, 4}


def decay(p: Any, x: Floats = X, y: Floats = Y) -> Any:
    return p[0] * np.exp(-p[1] * x) + p[2] - y


def decay_jac(p: Any, x: Floats = X, y: Floats = Y) -> Floats:
    del y
    e = np.exp(-p[1] * x)
    return np.stack([e, -p[0] * x * e, np.ones_like(x)], axis=1)


class Counted:
    """A function that counts its calls."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.func(*args)
