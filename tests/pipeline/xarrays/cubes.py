"""What is fitted here: 600 curves as an image; and how its maps are compared with the solver."""

from typing import Any

import numpy as np

ROWS, COLS = 20, 30
T = np.linspace(0.0, 4.0, 16)
START = {"a": 1.0, "b": 1.0, "c": 1.0}
FORMULA = "a*exp(-b*x) + c"


def same(found: Any, fit: Any) -> None:
    """Compare maps with fits of the solver, bit for bit."""
    shape = found.status.shape
    for j, name in enumerate(fit.model.params):
        assert np.array_equal(found[name], fit.params[:, j].reshape(shape), equal_nan=True)
        assert np.array_equal(
            found[f"{name}_stderr"], fit.stderr[:, j].reshape(shape), equal_nan=True
        )
    n = len(fit.model.params)
    assert np.array_equal(found["cov"], fit.cov.reshape(*shape, n, n), equal_nan=True)
    for name in ("status", "flags", "compiled", "nfev", "n_points", "cost", "redchi"):
        wanted = getattr(fit, name)
        assert found[name].dtype == wanted.dtype
        assert np.array_equal(found[name], wanted.reshape(shape), equal_nan=True)
