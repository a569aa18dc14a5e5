"""Values along evenly spaced points, which follow from their neighbours', against NumPy's."""

from dataclasses import dataclass

import numpy as np
import pytest

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.minpack import Rules
from manyfit.solver.simd.engine import Ends, Points, run
from manyfit.solver.simd.evenly import is_even, linear_functions
from manyfit.solver.simd.machine import Machine, host, machines
from manyfit.solver.simd.specification import Specification
from manyfit.solver.trust_region import Tolerances
from tests.solver.simd.specifying import specified

MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda m: m.name)
EPS = float(np.finfo(np.float64).eps)
X = np.linspace(-1.0, 3.0, 37)


@dataclass
class Curves:
    """One point each: the others have no weight."""

    model: Model
    x: Floats

    def squares(self, params: list[float], machine: Machine, *, even: bool) -> Floats:
        """Return f(x)**2 as the kernel computes it."""
        n = self.x.size
        sigma = np.full((n, n), np.inf)
        np.fill_diagonal(sigma, 1.0)
        kinds = {"even": (even,), "single": (False, False), "weighted": True}
        specification = specified(self.model, machine, **kinds)
        points = Points(
            np.zeros(n * n),
            np.arange(n) * n,
            np.full(n, n),
            (self.x,),
            (True,),
            sigma=sigma.reshape(-1),
        )
        at_once = Rules(Tolerances(ftol=0.0, xtol=0.0, gtol=1e150, maxfev=1))
        ends, rows = Ends.places(n, len(params)), np.arange(n)
        run(specification, points, rows, np.array([params]), (), at_once, ends, rows)
        return 2.0 * ends.cost


@MACHINES
@pytest.mark.parametrize("rate", [0.0, 1.3, -1.3, 1e-12, 40.0, -40.0, 200.0, -200.0])
@pytest.mark.parametrize("text", ["a*exp(b*x)", "a*2.5**(b*x)", "a*exp2((x - 1)*b)"])
def test_exponentials_are_those_of_each_point(machine: Machine, text: str, rate: float) -> None:
    curves = Curves(Model.from_expression(text), X)
    found = curves.squares([1.5, rate], machine, even=True)
    with np.errstate(all="ignore"):
        expected = np.asarray(curves.model(X, 1.5, rate)) ** 2
    sure = (expected > 1e-280) & (expected < 1e280)
    assert sure.any()
    error = EPS * (40 + 40 * np.abs(rate) * 4)
    np.testing.assert_allclose(found[sure], expected[sure], rtol=error)
    np.testing.assert_array_less(found[expected < 1e-290], 1e-280)


@MACHINES
@pytest.mark.parametrize("rate", [-1e3, -1e5, -1e300])
def test_a_fall_within_one_step_is_no_overflow(machine: Machine, rate: float) -> None:
    curves = Curves(Model.from_expression("a*exp(b*x)"), X - X[0])
    found = curves.squares([1.5, rate], machine, even=True)
    expected = (1.5 * np.exp(rate * curves.x)) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-300)


@MACHINES
@pytest.mark.parametrize("n_points", [37, 40])
def test_a_rise_within_one_step_is_right_or_refused(machine: Machine, n_points: int) -> None:
    curves = Curves(Model.from_expression("a*exp(b*x)"), np.arange(1.0 - n_points, 1.0))
    moderate, steep = (curves.squares([1.5, b], machine, even=True) for b in (80.0, 1e5))
    np.testing.assert_allclose(moderate, (1.5 * np.exp(80 * curves.x)) ** 2, rtol=1e-9, atol=1e-300)
    if n_points == 40:
        np.testing.assert_array_equal(steep, np.where(curves.x == 0, 2.25, 0))
    else:
        assert np.isnan(steep).all()


def test_a_start_that_is_refused_is_left_to_the_reference_engine() -> None:
    model, x = Model.from_expression("a*exp(b*x)"), np.arange(-20.0, 1.0)
    y = model(x, 2.0, 150.0)[None]
    fit = fit_curves(model, x, y, p0=[1, 300])
    reference = fit_curves(model, x, y, p0=[1, 300], engine="reference")
    assert not fit.compiled.any()
    np.testing.assert_array_equal(fit.params, reference.params)
    np.testing.assert_array_equal(fit.status, reference.status)


@MACHINES
@pytest.mark.parametrize("rate", [0.0, 1.0, -7.5, 300.0, 1e-9])
@pytest.mark.parametrize("text", ["a*sin(b*x + 0.3)", "a*cos(b*x) + 2*sin(b*x)"])
def test_sines_are_those_of_each_point(machine: Machine, text: str, rate: float) -> None:
    curves = Curves(Model.from_expression(text), X)
    found = curves.squares([1.5, rate], machine, even=True)
    expected = np.asarray(curves.model(X, 1.5, rate)) ** 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=EPS * (100 + 100 * abs(rate)))


def test_what_counts_as_even() -> None:
    assert is_even(np.linspace(0, 5, 50))
    assert is_even(np.linspace(5, 0, 1001))
    assert is_even(np.arange(-40.0, 60.0))
    assert is_even(np.linspace(-9, -4.5, 16))
    assert is_even(np.full(20, 2.0))
    assert not is_even(np.linspace(-9, -4.5, 15))  # too few to gain
    assert not is_even(np.array([]))
    assert not is_even(np.geomspace(1, 2, 19))
    assert not is_even(np.append(np.arange(20.0), 20 + 1e-12))
    assert not is_even(np.arange(10.0)[::-1].repeat(2))
    assert not is_even(2460000.5 + np.linspace(0, 2, 100))  # rounded far from its place
    assert not is_even(np.append(np.arange(20.0), np.nan))
    assert not is_even(np.append(np.arange(20.0), np.inf))


@pytest.mark.parametrize(
    ("text", "gain"),
    [
        ("a*exp(-b*x) + c", True),
        ("a*exp(-x/t)", True),
        ("lo + (hi - lo)/(1 + 10**((le - x)*h))", True),
        ("a*sin(w*x + p)", True),
        ("a*exp(-(x - m)**2/s)", False),
        ("a*0.5**(x*b)", False),
        ("a*x**b", False),
        ("a*x + b", False),
        ("a*exp(-b) + c*x", False),
    ],
)
def test_which_models_gain(text: str, gain: bool) -> None:
    graph = Model.from_expression(text).graph
    assert graph is not None
    assert bool(linear_functions([graph.root], ["x"])) is gain


@pytest.mark.parametrize("uneven", ["x", "t"])
def test_all_predictors_of_an_argument_must_lie_evenly(uneven: str) -> None:
    model = Model.from_expression("a*exp(-b*x - c*t) + d*exp(-b*x)", x=["x", "t"])
    assert model.graph is not None
    found = linear_functions([model.graph.root], ["x", "t"])
    assert sorted(sorted(slopes) for slopes in found.values()) == [["t", "x"], ["x"]]
    rng = np.random.default_rng(5)
    x = {"x": np.linspace(0, 3, 40), "t": np.linspace(0, 2, 40) ** 2}
    if uneven == "x":
        x = {"x": x["t"], "t": x["x"]}
    y = model(x["x"], x["t"], 2.0, 0.9, 0.5, 1.0) + rng.normal(0, 1e-3, (5, 40))
    fits = [fit_curves(model, x, y, p0=[2, 1, 0.5, 1], engine=e) for e in ("simd", "reference")]
    assert fits[0].compiled.all()
    np.testing.assert_allclose(fits[0].cost, fits[1].cost, rtol=1e-9)
    assert (np.abs(fits[0].params - fits[1].params) <= 1e-4 * fits[1].stderr).all()


@pytest.mark.parametrize("text", ["a*exp(-b*x) + c", "a*sin(b*x + c)"])
@pytest.mark.parametrize("n_points", [3, 15, 16, 19, 40])
def test_even_and_uneven_curves_side_by_side_are_fitted_as_alone(text: str, n_points: int) -> None:
    rng = np.random.default_rng(n_points)
    model, n_curves = Model.from_expression(text), 45
    even = rng.random(n_curves) < 0.5
    x = np.linspace(0, rng.uniform(2, 4, n_curves), n_points, axis=1)
    x[~even] = np.sort(rng.uniform(0, 3, (np.count_nonzero(~even), n_points)), axis=1)
    y = model(x, 2.0, 1.5, 0.5) + rng.normal(0, 0.01, x.shape)
    batch = fit_curves(model, x, y, p0=[2, 1.4, 0.4])
    assert batch.compiled.mean() > 0.8
    for i in range(n_curves):
        for alone_x in (x[i], x[i : i + 1]):  # shared, and the curve's own
            alone = fit_curves(model, alone_x, y[i : i + 1], p0=[2, 1.4, 0.4])
            np.testing.assert_array_equal(alone.params[0], batch.params[i])
            np.testing.assert_array_equal(alone.cov[0], batch.cov[i])
    reference = fit_curves(model, x, y, p0=[2, 1.4, 0.4], engine="reference")
    both = reference.success & batch.success
    assert both.mean() > 0.8
    np.testing.assert_allclose(batch.cost[both], reference.cost[both], rtol=1e-7, atol=1e-12)


def test_points_with_gaps_are_fitted_as_alone() -> None:
    rng = np.random.default_rng(3)
    model = Model.from_expression("a*exp(-b*x) + c")
    x = np.linspace(0, 4, 30)
    y = model(x, *(v[:, None] for v in rng.uniform(1, 2, (3, 20)))) + rng.normal(0, 0.01, (20, 30))
    y[::2, 7] = np.nan
    batch = fit_curves(model, x, y, p0=[1, 1, 1])
    for i in range(20):
        for alone_x in (x, x[None]):
            alone = fit_curves(model, alone_x, y[i : i + 1], p0=[1, 1, 1])
            np.testing.assert_array_equal(alone.params[0], batch.params[i])


def test_a_kernel_says_that_points_are_even_in_its_key() -> None:
    graph = Model.from_expression("a*exp(-b*x)").graph
    assert graph is not None
    flags = (False, False, False, False)
    one, two = (
        Specification(graph, ("a", "b"), (True,), (even,), (False,), *flags, host())
        for even in (True, False)
    )
    assert one.key != two.key
