"""A curve's result is its own: the same bits alone, in any batch, in any order, in any layout."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver.curves import padded_width
from manyfit.solver.library import get_model
from manyfit.solver.norms import dot, enorm

pytestmark = pytest.mark.usefixtures("engine")

Floats = npt.NDArray[np.float64]


def decay(x: Floats, a: float, b: float, c: float) -> Floats:
    """Return a decay, without derivatives."""
    return a * np.exp(-b * x) + c


def power(x: Floats, a: float, b: float, k: float) -> Floats:
    """Return a power of x beside one of a parameter, without derivatives."""
    return a * x**b + k**x


MODELS: dict[str, tuple[Model, dict[str, float]]] = {
    "differences": (Model.from_function(decay), {"a": 2, "b": 1.5, "c": 0.5}),
    "exponential_decay": (get_model("exponential_decay"), {"a": 2, "b": 1.5, "c": 0.5}),
    "gaussian": (get_model("gaussian"), {"a": 3, "mu": 2, "s": 0.7, "c": 1}),
    "polynomial": (get_model("polynomial:3"), {"c0": 1, "c1": -2, "c2": 0.5, "c3": 0.1}),
    "sinusoid": (get_model("sinusoid"), {"a": 2, "w": 1.5, "phi": 0.5, "c": 0.2}),
    "power": (Model.from_function(power), {"a": 2, "b": 1.7, "k": 1.1}),
    "power_law": (get_model("power_law"), {"a": 2, "b": 1.7}),
    "formula": (Model.from_expression("a*x**b + c/(1 + x)"), {"a": 2, "b": 1.7, "c": 1}),
}


def simulated(name: str, n_curves: int, n_points: int, seed: int) -> tuple[Floats, Floats]:
    """Return x, (n_curves, n_points) and y of noisy curves."""
    model, truth = MODELS[name]
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 5, (n_curves, n_points)), axis=1)
    params = np.array(list(truth.values())) * rng.uniform(0.8, 1.2, (n_curves, len(truth)))
    y = model.func(x, *(params[:, j, None] for j in range(len(truth))))
    return x, y + rng.normal(0, 0.05, x.shape)


def assert_same(one: BatchFit, rows: npt.ArrayLike, other: BatchFit) -> None:
    """Compare bit for bit: rows of the one with all of the other."""
    for field in ("params", "cov", "stderr", "status", "flags", "nfev", "cost", "n_points"):
        np.testing.assert_array_equal(getattr(one, field)[rows], getattr(other, field), field)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_points", [5, 12, 17, 50, 131])
def test_alone_as_in_a_batch(name: str, n_points: int) -> None:
    x, y = simulated(name, 40, n_points, seed=n_points)
    batch = fit_curves(MODELS[name][0], x, y)
    for i in range(0, 40, 7):
        assert_same(batch, [i], fit_curves(MODELS[name][0], x[i : i + 1], y[i : i + 1]))


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", ["power", "power_law", "formula"])
@pytest.mark.parametrize("shared", [True, False])
def test_exponents_that_numpy_has_short_cuts_for(name: str, exponent: float, shared: bool) -> None:
    model = MODELS[name][0]
    p0 = dict.fromkeys(model.params, 1.0) | {"b": exponent}
    for n_points in (1, 2, 5, 17, 64, 130):
        x, y = simulated(name, 9, n_points, seed=n_points)
        for fixed in (["b"], [p for p in model.params if p != "b"]):
            batch = fit_curves(model, x[0] if shared else x, y, p0=p0, fixed=fixed)
            for i in (0, 4):
                own = x[0] if shared else x[i : i + 1]
                alone = fit_curves(model, own, y[i : i + 1], p0=p0, fixed=fixed)
                assert_same(batch, [i], alone)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(MODELS)), n_points=st.integers(4, 70))
def test_any_choice_in_any_order(data: st.DataObject, name: str, n_points: int) -> None:
    n_curves = 30
    x, y = simulated(name, n_curves, n_points, seed=n_points)
    whole = fit_curves(MODELS[name][0], x, y)
    rows = data.draw(st.lists(st.integers(0, n_curves - 1), min_size=1, unique=True))
    assert_same(whole, rows, fit_curves(MODELS[name][0], x[rows], y[rows]))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    name=st.sampled_from(sorted(MODELS)),
    broken=st.integers(0, 3),
)
def test_ragged_neighbours_and_bad_points_change_nothing(
    lengths: list[int], name: str, broken: int
) -> None:
    x, y = simulated(name, len(lengths), 60, seed=7)
    for i in range(min(broken, len(lengths))):
        y[i, i::11] = np.nan
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat_x = np.concatenate([x[i, :n] for i, n in enumerate(lengths)])
    flat_y = np.concatenate([y[i, :n] for i, n in enumerate(lengths)])
    batch = fit_curves(MODELS[name][0], flat_x, flat_y, offsets=offsets)
    for i, n in enumerate(lengths):
        alone = fit_curves(MODELS[name][0], x[i : i + 1, :n], y[i : i + 1, :n])
        assert_same(batch, [i], alone)


def test_shared_x_as_its_copies_and_weights_of_one_as_none() -> None:
    model = MODELS["exponential_decay"][0]
    _, y = simulated("exponential_decay", 50, 50, seed=3)
    x = np.linspace(0, 5, 50)
    shared = fit_curves(model, x, y)
    every = np.arange(50)
    assert_same(shared, every, fit_curves(model, np.tile(x, (50, 1)), y))
    assert_same(shared, every, fit_curves(model, x, y, sigma=1.0))
    assert_same(shared, every, fit_curves(model, x, y.astype(">f8")))
    assert_same(shared, every, fit_curves(model, x, np.asfortranarray(y)))


def test_more_curves_than_a_working_set_with_hard_ones_between() -> None:
    model = MODELS["differences"][0]
    x, y = simulated("differences", 3000, 50, seed=5)
    y[::50] = np.random.default_rng(1).normal(0, 1, (60, 50))  # no decay at all: many steps
    batch = fit_curves(model, x, y)
    rows = [0, 1, 49, 50, 1500, 2950, 2999]
    assert batch.nfev[0] > 2 * np.median(batch.nfev)
    for i in rows:
        assert_same(batch, [i], fit_curves(model, x[i : i + 1], y[i : i + 1]))


@pytest.mark.parametrize("bounds", [{"c": (0.6, 5)}, {"a": (0, 1.7), "b": (1.6, 9)}])
def test_bounds_and_fixed_keep_it(bounds: dict[str, tuple[float, float]]) -> None:
    model = MODELS["exponential_decay"][0]
    x, y = simulated("exponential_decay", 40, 33, seed=2)
    options: dict[str, object] = {"bounds": bounds, "p0": [1.5, 2.0, 1.0]}
    if "c" not in bounds:
        options["fixed"] = {"c": 0.5}
    fit: Callable[..., BatchFit] = fit_curves
    batch = fit(model, x, y, **options)
    for i in range(0, 40, 9):
        assert_same(batch, [i], fit(model, x[i : i + 1], y[i : i + 1], **options))


@settings(max_examples=60, deadline=None)
@given(
    n=st.one_of(st.integers(1, 300), st.sampled_from([1000, 8191, 8192, 8193, 20000])),
    k=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_sums_over_points_do_not_see_other_rows(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(9, n)), rng.normal(size=(9, k, n))
    for rows in ([3], [8, 0], [1, 2, 3, 4, 5]):
        np.testing.assert_array_equal(dot(a, b)[rows], dot(a[rows], b[rows]))
        np.testing.assert_array_equal(enorm(a)[rows], enorm(a[rows]))
        np.testing.assert_array_equal(enorm(b)[rows], enorm(b[rows]))
        np.testing.assert_array_equal(enorm(b[:, 0, n // 3 :])[rows], enorm(b[rows, 0, n // 3 :]))


@given(st.integers(1, 1 << 40))
def test_padding_is_at_most_a_ninth_and_never_negative(n: int) -> None:
    (width,) = padded_width(np.array([n]))
    assert n <= width <= n + n / 8
    assert padded_width(np.array([width])) == width


@settings(max_examples=20, deadline=None)
@given(scale=st.sampled_from([-40, -3, 1, 12, 60]), seed=st.integers(0, 5))
def test_units_of_y_scale_the_answer(scale: int, seed: int) -> None:
    model = MODELS["exponential_decay"][0]
    x, y = simulated("exponential_decay", 20, 50, seed)
    factor = 2.0**scale
    plain = fit_curves(model, x, y, p0=[1, 1, 1])
    scaled = fit_curves(model, x, y * factor, p0=[factor, 1, factor])
    # Not to the bit: pivoting goes by the norms of the columns, whose order the units change.
    units = np.array([factor, 1, factor])
    np.testing.assert_allclose(scaled.params, plain.params * units, rtol=1e-13)
    np.testing.assert_allclose(scaled.stderr, plain.stderr * units, rtol=1e-12)
    np.testing.assert_array_equal(scaled.status, plain.status)
    np.testing.assert_array_equal(scaled.nfev, plain.nfev)


@pytest.mark.parametrize("name", MODELS)
def test_covariance_is_symmetric_and_positive(name: str) -> None:
    x, y = simulated(name, 100, 40, seed=11)
    fit = fit_curves(MODELS[name][0], x, y)
    good = fit.success & (fit.flags == 0)
    cov = fit.cov[good]
    assert good.sum() > 60
    np.testing.assert_array_equal(cov, cov.transpose(0, 2, 1))
    correlation = cov / fit.stderr[good][:, :, None] / fit.stderr[good][:, None, :]
    assert np.linalg.eigvalsh(correlation).min() > -1e-12
