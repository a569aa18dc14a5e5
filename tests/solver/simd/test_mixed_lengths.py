"""Many curves of different lengths: taken window by window, by their length."""

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver import compiled

MODEL = Model.from_expression("a*exp(-b*x) + c")
START = [1.0, 1.0, 0.0]


@pytest.mark.parametrize("longest", [40, 600])
def test_each_has_the_bits_that_it_has_among_curves_of_its_own_length(longest: int) -> None:
    rng = np.random.default_rng(longest)
    n = 2 * compiled._WINDOW + 809
    length = np.minimum(rng.integers(5, 41, n), 40)
    length[rng.integers(0, n, 9)] = longest
    offsets = np.concatenate([[0], np.cumsum(length)])
    x = np.concatenate([np.linspace(0, 5, m) for m in length])
    of = np.repeat(np.arange(n), length)
    a, b, c = rng.uniform(1, 2, (3, n))
    y = a[of] * np.exp(-b[of] * x) + c[of] + rng.normal(0, 0.02, x.size)
    fit = fit_curves(MODEL, x, y, offsets=offsets, p0=START, engine="simd")
    assert fit.compiled.all()
    np.testing.assert_array_equal(fit.n_points, length)
    for m in (5, 16, 23, 40, longest):
        rows = np.flatnonzero(length == m)
        places = offsets[rows, None] + np.arange(m)
        own = fit_curves(MODEL, x[places], y[places], p0=START, engine="simd")
        for name in ("params", "cov", "stderr", "status", "nfev", "njev", "cost", "flags"):
            np.testing.assert_array_equal(getattr(fit, name)[rows], getattr(own, name))
