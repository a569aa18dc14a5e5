"""Data in any layout, of any numbers, in any piece of memory: the same bits."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver import curves as curves_module
from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from manyfit.solver.status import Status
from tests.solver.decays import EXACT, X, assert_not_fitted, assert_same_bits, decay, noisy

pytestmark = pytest.mark.usefixtures("engine")

Y = noisy()
OFFSETS = np.arange(0, 401, 50)


@pytest.mark.parametrize(
    ("x", "y", "offsets"),
    [
        (np.tile(X, (8, 1)), Y, None),
        (np.tile(X, 8), Y.ravel(), OFFSETS),
        (X, Y.ravel(), OFFSETS),
        (np.tile(X, 9), np.append(Y, np.ones(50)), OFFSETS),
        (np.tile(X, 9), np.append(np.ones(50), Y), OFFSETS + 50),
        (X, np.asfortranarray(Y), None),
        (np.repeat(X, 3)[::3], np.repeat(Y, 2, axis=0)[::2], None),
        (X.tolist(), Y.tolist(), None),
        ({"x": X}, Y, None),
    ],
    ids=["own", "flat", "flat-shared", "tail", "head", "fortran", "strided", "lists", "mapping"],
)
@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
def test_every_layout_gives_the_same_bits(model: Any, x: Any, y: Any, offsets: Any) -> None:
    assert_same_bits(fit_curves(model, x, y, offsets=offsets), fit_curves(model, X, Y))


def test_slabs_of_any_size_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    y = noisy()
    y[2, 3] = np.nan
    expected = fit_curves(EXACT, X, y, sigma=0.1)
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", 120)
    assert_same_bits(fit_curves(EXACT, X, y, sigma=0.1), expected)


def test_curves_of_different_lengths_are_fitted_as_they_would_be_alone() -> None:
    lengths = [50, 3, 17, 0, 16, 50, 33]
    y = [row[:n] for row, n in zip(Y, lengths, strict=False)]
    offsets = np.cumsum([0, *lengths])
    fit = fit_curves(
        EXACT, np.concatenate([X[:n] for n in lengths]), np.concatenate(y), offsets=offsets
    )
    assert_not_fitted(fit, 3, Status.NO_DATA)
    np.testing.assert_array_equal(fit.n_points, lengths)
    for i in (0, 1, 2, 4, 5, 6):
        alone = fit_curves(EXACT, X[: lengths[i]], y[i][None])
        assert_same_bits(fit, alone, rows=slice(i, i + 1))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int16])
def test_other_numbers_are_fitted_as_doubles(dtype: type) -> None:
    y: Any = (100 * noisy()).astype(dtype)
    x: Any = (10 * X).astype(dtype)
    start = [100, 0.1, 10]
    expected = fit_curves(EXACT, x.astype(float), y.astype(float), p0=start)
    assert_same_bits(fit_curves(EXACT, x, y, p0=start), expected)
    assert expected.success.all()


def read_only(*values: Floats) -> list[Floats]:
    """Return copies that cannot be written."""
    copies = [value.copy() for value in values]
    for copy in copies:
        copy.flags.writeable = False
    return copies


@pytest.mark.parametrize("n_points", [16, 17])
def test_inputs_need_not_be_writable_and_are_not_written(n_points: int) -> None:
    y = noisy(n_points=n_points)
    sigma, start = np.full_like(y, 0.1), np.full((8, 3), 1.2)
    expected = fit_curves(EXACT, X[:n_points], y, sigma=sigma, p0=start)
    frozen = read_only(X[:n_points], y, sigma, start)
    found = fit_curves(EXACT, frozen[0], frozen[1], sigma=frozen[2], p0=frozen[3])
    assert_same_bits(found, expected)
    np.testing.assert_array_equal(start, 1.2)


@pytest.mark.parametrize("model", [EXACT, decay], ids=["exact", "differences"])
@pytest.mark.parametrize("x", [X, np.empty((0, 50))], ids=["shared", "own"])
def test_no_curves_are_no_fits(model: Any, x: Floats) -> None:
    start = np.ones((0, 3))
    fit = fit_curves(model, x, np.empty((0, 50)), sigma=1.0, p0=start, bounds=(0, 9))
    assert len(fit) == 0
    assert fit.params.shape == (0, 3)
    assert fit.cov.shape == (0, 3, 3)


def test_no_curves_have_no_constants_either() -> None:
    model = Model.from_function(lambda x, t, a: a * t * x, constants=["t"])
    fit = fit_curves(model, X, np.empty((0, 50)), constants={"t": np.empty(0)})
    assert len(fit) == 0


@pytest.mark.parametrize("exact", [True, False])
def test_one_point_determines_one_parameter(exact: bool) -> None:
    model = Model.from_function(
        lambda x, a: a * x, jac=(lambda x, a: [x + 0 * a]) if exact else None
    )
    fit = fit_curves(model, [2.0], [[6.0], [8.0]], sigma=0.5, absolute_sigma=True)
    np.testing.assert_allclose(fit.params, [[3], [4]], rtol=1e-7)
    np.testing.assert_allclose(fit.stderr, 0.25, rtol=1e-6)


def test_several_predictors_and_a_constant_a_curve() -> None:
    def surface(u: Any, v: Any, a: Any, b: Any, c: Any) -> Any:
        return a * np.exp(-b * u) + c * v

    def model(t: Any, u: Any, a: Any, v: Any, b: Any, c: Any) -> Any:
        return t * surface(u, v, a, b, c)

    u, v, t = X, np.tile(X[::-1], (8, 1)) + np.arange(8)[:, None], np.linspace(1, 2, 8)
    truth = np.random.default_rng(0).uniform(1, 2, (8, 3))
    y = t[:, None] * surface(u, v, *truth.T[:, :, None])
    made = Model.from_function(model, x=("u", "v"), constants=["t"])
    fit = fit_curves(made, {"v": v, "u": u}, y, constants={"t": t})
    np.testing.assert_allclose(fit.params, truth, rtol=1e-6)
