"""The NIST problems as we typed them are the problems as NIST published them."""

import numpy as np
import pytest

from tests.conformance.nist.strd import FOLDER, NAMES, digits, problem


def test_all_published_problems_are_here() -> None:
    assert len(NAMES) == 27
    assert sorted(path.stem for path in FOLDER.glob("*.dat")) == sorted(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Lanczos1"])
def test_certified_parameters_give_the_certified_sum_of_squares(name: str) -> None:
    p = problem(name)
    residuals = p.residuals(p.params)
    assert residuals @ residuals == pytest.approx(p.rss, rel=5e-10)


def test_lanczos1_reaches_the_certified_sum_of_squares_within_the_rounding_of_its_parameters() -> (
    None
):
    p = problem("Lanczos1")
    residuals, jacobian = p.residuals(p.params), p.jacobian(p.params)
    correction = np.linalg.lstsq(jacobian, -residuals)[0]
    assert np.all(np.abs(correction) < 1e-10)
    least = residuals + jacobian @ correction
    assert least @ least == pytest.approx(p.rss, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_certified_numbers_agree_with_each_other(name: str) -> None:
    p = problem(name)
    assert p.published_dof == (9 if name == "Rat43" else p.dof)
    assert np.sqrt(p.rss / p.dof) == pytest.approx(p.residual_sd, rel=1e-9)
    _, r = np.linalg.qr(p.jacobian(p.params))
    inverse = np.linalg.inv(r)
    stderr = np.sqrt(np.sum(inverse**2, axis=1)) * p.residual_sd
    assert digits(stderr, p.stderr) > 7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", [0, 1])
def test_exact_derivatives_agree_with_complex_steps(name: str, start: int) -> None:
    p = problem(name)
    for at in (p.params, p.starts[start]):
        exact = p.jacobian(at)
        for j, b in enumerate(at):
            step = 1e-20 * abs(b)
            params = at.astype(complex)
            params[j] += 1j * step
            difference = np.imag(p.model.func(*p.x, *params)) / step
            scale = np.max(np.abs(exact[:, j]))
            np.testing.assert_allclose(exact[:, j], difference, rtol=1e-12, atol=1e-13 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_models_broadcast_over_curves(name: str) -> None:
    p = problem(name)
    columns = [p.starts[:, j, None] for j in range(p.model.n_params)]
    values = p.model.func(*p.x, *columns)
    assert values.shape == (2, len(p.y))
    assert p.model.jac is not None
    jacobian = [np.broadcast_to(d, values.shape) for d in p.model.jac(*p.x, *columns)]
    for i in range(2):
        np.testing.assert_allclose(values[i], p.model.func(*p.x, *p.starts[i]), rtol=1e-14)
        np.testing.assert_allclose(
            np.stack([d[i] for d in jacobian], axis=1), p.jacobian(p.starts[i]), rtol=1e-13
        )
