"""Models with many parameters: compiled by default, and right to the last covariance."""

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.simd.machine import host
from tests.solver.simd.finishing import finished


@pytest.mark.parametrize("n", [1, 7, 16])
def test_covariances_are_the_inverse_of_the_normal_equations(n: int) -> None:
    rng = np.random.default_rng(n)
    J = rng.normal(size=(13, 3 * n, n)) * 10.0 ** rng.uniform(-3, 3, n)
    normal = np.einsum("cpi,cpj->cij", J, J)
    held = rng.random((13, n)) < 0.2
    held[0] = False
    rows, columns = np.tril_indices(n)
    scale = rng.uniform(0.5, 2.0, 13)
    found = finished(normal[:, rows, columns], n, host(), held, scale)
    for i in range(13):
        free = np.flatnonzero(~held[i])
        expected = np.zeros((n, n))
        expected[np.ix_(free, free)] = scale[i] * np.linalg.inv(normal[i][np.ix_(free, free)])
        size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert (np.abs(found.cov[i].reshape(n, n) - expected) <= 1e-11 * size).all()
        np.testing.assert_allclose(found.stderr[i][free], np.sqrt(np.diag(expected))[free], 1e-11)
        assert np.isnan(found.stderr[i][held[i]]).all()


def test_a_series_of_seventeen_terms_is_compiled_and_is_the_linear_solution() -> None:
    waves = [f"s{k}*sin({k}*x) + c{k}*cos({k}*x)" for k in range(1, 9)]
    model = Model.from_expression(" + ".join(["m", *waves]))
    assert model.n_params == 17
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0.0, 2.0 * np.pi, 90))
    columns = model.jac(x, *np.ones(17))  # type: ignore[misc]
    basis = np.stack([np.broadcast_to(column, x.shape) for column in columns], axis=1)
    y = rng.normal(size=(20, 17)) @ basis.T + 0.1 * rng.normal(size=(20, 90))
    fit = fit_curves(model, x, y)
    assert fit.success.all()
    assert fit.compiled.all()
    expected = np.linalg.lstsq(basis, y.T)[0].T
    np.testing.assert_allclose(fit.params, expected, rtol=1e-7, atol=1e-9)
    inverse = np.linalg.inv(basis.T @ basis)
    rest = np.sum((y - fit.params @ basis.T) ** 2, axis=1) / (90 - 17)
    np.testing.assert_allclose(fit.cov, rest[:, None, None] * inverse, rtol=1e-6, atol=1e-12)
