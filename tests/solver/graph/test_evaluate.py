"""Evaluation agrees with NumPy and SciPy, and does shared work once."""

import decimal
import math
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

from manyfit.solver.arrays import Floats
from manyfit.solver.graph.evaluate import evaluate, lay_out
from manyfit.solver.graph.gammas import digamma, gammaln, trigamma
from manyfit.solver.graph.nodes import Node, symbol
from manyfit.solver.graph.operations import OPERATIONS, factors_of_power, integer_power
from manyfit.solver.graph.parsing import parse
from manyfit.solver.graph.simplify import apply
from manyfit.solver.graph.special import erf, erfc, expit

X, A = symbol("predictor", "x"), symbol("param", "a")
POINTS = np.array([-2.5, -1.0, -0.3, 0.0, 0.2, 0.9, 1.0, 3.7])


# Values ---------------------------------------------------------------------------------------


def slope_of_wofz(x: Any, y: Any) -> Any:
    """Return dw/dz by its differential equation, from SciPy's w."""
    z = x + 1j * y
    return 2j / np.sqrt(np.pi) - 2.0 * z * scipy.special.wofz(z)


SCIPYS: dict[str, Callable[..., Any]] = {
    "trigamma": lambda x: scipy.special.polygamma(1, x),
    "wofz_real": lambda x, y: scipy.special.wofz(x + 1j * y).real,
    "wofz_imag": lambda x, y: scipy.special.wofz(x + 1j * y).imag,
    "wofz_slope_real": lambda x, y: slope_of_wofz(x, y).real,
    "wofz_slope_imag": lambda x, y: slope_of_wofz(x, y).imag,
}
"""What SciPy has under another name."""


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if o.takes == "real"])
def test_every_operation_means_what_numpy_or_scipy_means(name: str) -> None:
    operands = [X, A][: OPERATIONS[name].arity]
    values = {"x": POINTS[:, None], "a": POINTS}
    reference: Callable[..., Floats] = (
        SCIPYS.get(name) or getattr(np, name, None) or getattr(scipy.special, name)
    )
    with np.errstate(all="ignore"):
        expected = reference(*(values[o.name] for o in operands))
    [found] = evaluate([apply(name, *operands)], values)
    # SciPy's own errors near zeros of these; ours are tested against mpmath
    apart = name in SCIPYS or name in {"gammaln", "digamma"}
    rtol, atol = (3e-13, 1e-14) if apart else (1e-15, 0.0)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("n", [-8, -3, -2, 3, 4, 5, 6, 7, 8, 9, 2.5])
def test_powers_agree_with_numpy_to_rounding(n: float) -> None:
    values = np.random.default_rng(1).uniform(-3, 3, 200)
    values = np.abs(values) if n == 2.5 else values
    [found] = evaluate([apply("power", X, n)], {"x": values})
    np.testing.assert_allclose(found, values**n, rtol=1e-15)


def test_few_factors_make_a_power() -> None:
    assert [factors_of_power(n) for n in (2, 8, -8, 9, 1, 0.5)] == [2, 8, -8, None, None, None]
    assert integer_power(3.0, 5) == 243.0
    assert integer_power(2.0, -3) == 0.125


def test_names_broadcast() -> None:
    graph = parse("a*x + b")
    [found] = evaluate([graph.root], {"x": [1, 2, 3], "a": [[1], [2]], "b": 1})
    assert found.tolist() == [[2, 3, 4], [3, 5, 7]]
    assert found.dtype == np.float64


def test_what_has_few_names_has_a_small_shape() -> None:
    one, param = evaluate([parse("1", []).root, A], {"a": 3, "x": POINTS})
    assert (one, param) == (1.0, 3.0)
    assert np.shape(one) == ()


def test_a_branch_not_taken_gives_no_warning() -> None:
    [found] = evaluate([parse("where(x > 0, log(x), 1/x)").root], {"x": np.array([0.0, 1.0])})
    assert found.tolist() == [np.inf, 0.0]


def test_a_truth_value_is_given_as_such() -> None:
    [found] = evaluate([apply("less", X, A)], {"x": POINTS, "a": 0.0})
    np.testing.assert_array_equal(found, POINTS < 0)


# Work -----------------------------------------------------------------------------------------


def test_what_is_shared_is_computed_once() -> None:
    graph = parse("a*exp(-(x - mu)**2/(2*s**2)) + c")
    roots = (graph.root, *graph.derivatives())
    steps = lay_out(roots).steps
    assert sum(step.function is np.exp for step in steps) == 1
    assert sum(step.function is np.subtract for step in steps) == 1


def test_the_layout_is_made_once() -> None:
    root = parse("a*exp(-b*x)").root
    assert lay_out((root,)) is lay_out((parse("a*exp(-b*x)").root,))


def test_intermediate_results_are_forgotten() -> None:
    node: Node = X
    for _ in range(50):
        node = apply("sin", apply("add", node, X))
    x = np.zeros(100_000)
    lay_out((node,))
    tracemalloc.start()
    evaluate([node], {"x": x})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


@pytest.mark.parametrize("shapes", [((1, 64), (20, 1)), ((20, 64), (20, 1)), ((1100,), ())])
def test_memory_is_reused_without_mixing_values(shapes: tuple[tuple[int, ...], ...]) -> None:
    graph = parse(
        "(a*x + b)**3*sin(b*x)/(1 + a**2) - where(x > b, a*b*x, hypot(x, x + a)) + erf(a*x)"
    )
    roots = (graph.root, *graph.derivatives())
    rng = np.random.default_rng(3)
    values: dict[str, Any] = {
        "x": rng.normal(size=shapes[0]),
        "a": rng.normal(size=shapes[1]),
        "b": 0.3,
    }
    before = {name: np.copy(value) for name, value in values.items()}
    together = evaluate(roots, values)
    for root, found in zip(roots, together, strict=True):
        shape = np.broadcast_shapes(*shapes)
        alone = np.empty(shape)
        x, a = (np.broadcast_to(values[name], shape) for name in "xa")
        for place in np.ndindex(shape):
            [alone[place]] = evaluate([root], {"x": x[place], "a": a[place], "b": 0.3})
        np.testing.assert_allclose(np.broadcast_to(found, shape), alone, rtol=1e-13, atol=1e-13)
    for name, value in before.items():
        np.testing.assert_array_equal(values[name], value)


def test_a_root_inside_another_root_is_kept() -> None:
    e = apply("exp", X)
    inner, outer, again = evaluate([e, apply("add", e, A), e], {"x": 0.0, "a": 1.0})
    assert (inner, outer, again) == (1.0, 2.0, 1.0)


def test_the_input_is_not_written_to() -> None:
    x = POINTS.copy()
    evaluate([parse("-x*x + x**3").root], {"x": x})
    np.testing.assert_array_equal(x, POINTS)


# erf, erfc, expit -----------------------------------------------------------------------------


def exact_erf(x: float) -> Decimal:
    """Return 2/sqrt(pi)*sum of (-1)**n*x**(2n+1)/(n!*(2n+1)), with 700 digits."""
    with decimal.localcontext() as context:
        context.prec = 700
        z = Decimal(x)
        term, total, n = z, z, 0
        while abs(term) > Decimal(10) ** -690:
            n += 1
            term *= -z * z / n
            total += term / (2 * n + 1)
        return total * 2 / PI.sqrt(context)


def make_pi() -> Decimal:
    """Return pi by Machin's formula."""
    with decimal.localcontext() as context:
        context.prec = 710

        def arctan_of_inverse(k: int) -> Decimal:
            power, total, n = Decimal(1) / k, Decimal(0), 1
            while abs(power) > Decimal(10) ** -705:
                total += power / n if n % 4 == 1 else -power / n
                power /= k * k
                n += 2
            return total

        return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


PI = make_pi()


def ulps(found: float, exact: Decimal) -> float:
    """Return an error in units in the last place."""
    return float(abs(Decimal(found) - exact) / Decimal(math.ulp(float(exact))))


ARGUMENTS = np.concatenate(
    [
        np.random.default_rng(5).uniform(-6, 6, 60),
        np.random.default_rng(6).uniform(-1.2, 1.2, 60),
        np.random.default_rng(7).uniform(6, 26, 15),
        [0.5, 1.0, -0.5, -1.0, math.nextafter(0.5, 0), math.nextafter(1.0, 0), 1e-300, 1e-8, 26.5],
    ]
)


def test_erf_is_right_to_two_units_in_the_last_place() -> None:
    assert max(ulps(float(erf(x)), exact_erf(x)) for x in ARGUMENTS) <= 2


def test_erfc_is_right_to_four_units_in_the_last_place() -> None:
    with decimal.localcontext() as context:
        context.prec = 700
        errors = [ulps(float(erfc(x)), 1 - exact_erf(x)) for x in ARGUMENTS]
    assert max(errors) <= 4
    assert np.mean(errors) < 1


def test_they_agree_with_scipy_on_many_points() -> None:
    x = np.random.default_rng(8).uniform(-8, 8, 100_000)
    np.testing.assert_allclose(erf(x), scipy.special.erf(x), rtol=2e-15)
    # Of two that differ in the tail SciPy's is the one further from the exact value.
    np.testing.assert_allclose(erfc(x), scipy.special.erfc(x), rtol=2e-14)
    x *= 88  # below -708 SciPy gives 0 instead of a subnormal number
    np.testing.assert_allclose(expit(x), scipy.special.expit(x), rtol=1e-15)


def test_special_functions_at_the_edges() -> None:
    edges = np.array([0.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(erf(edges), [0.0, 1.0, -1.0, np.nan])
    np.testing.assert_array_equal(erfc(edges), [1.0, 0.0, 2.0, np.nan])
    np.testing.assert_array_equal(expit(edges), [0.5, 1.0, 0.0, np.nan])
    assert np.signbit(erf(-0.0))
    assert float(erfc(27.2)) == pytest.approx(math.erfc(27.2), abs=2e-323)
    assert erfc(28.5) == 0
    assert float(expit(-745.0)) == pytest.approx(5e-324)
    assert float(erf(5e-324)) == 5e-324


# gammaln and its derivatives ----------------------------------------------------------------------


def assert_right_in_ulps(
    function: Callable[..., Any], exact: Callable[..., Any], x: Floats
) -> None:
    with mpmath.workprec(140):
        values = [exact(mpmath.mpf(float(v))) for v in x]
        found = [float(v) for v in function(x)]
        off = [float(abs(a - b)) / math.ulp(float(b)) for a, b in zip(found, values, strict=True)]
    assert max(off) <= 6


def test_gamma_functions_are_right_to_six_units_in_the_last_place() -> None:
    rng = np.random.default_rng(11)
    near = 2.0 ** rng.uniform(-50, -2, 200)
    x = np.concatenate([rng.uniform(0, 9, 500), 1 + near, 1 - near, 2 + near, 2 - near])
    x = np.concatenate([x, 10.0 ** rng.uniform(-150, 150, 200)])
    assert_right_in_ulps(gammaln, mpmath.loggamma, x)
    assert_right_in_ulps(digamma, mpmath.digamma, x)
    assert_right_in_ulps(trigamma, lambda v: mpmath.polygamma(1, v), x)


def test_gamma_functions_are_reflected_below_zero() -> None:
    x = -np.random.default_rng(12).uniform(0, 40, 300)
    np.testing.assert_allclose(gammaln(x), scipy.special.gammaln(x), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(digamma(x), scipy.special.digamma(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(trigamma(x), scipy.special.polygamma(1, x), rtol=1e-11)


def test_gamma_functions_at_the_edges() -> None:
    x = np.array([0.0, -0.0, -1.0, -2.0, -1e17, np.inf, np.nan, 1.0, 2.0, 5e-324, 2.6e305])
    np.testing.assert_array_equal(
        gammaln(x), [np.inf] * 6 + [np.nan, 0.0, 0.0, math.lgamma(5e-324), np.inf]
    )
    assert float(gammaln(-np.inf)) == math.lgamma(-math.inf)
    assert float(gammaln(2.5e305)) == pytest.approx(math.lgamma(2.5e305), rel=1e-15)
    assert float(gammaln(-1e-300)) == pytest.approx(math.lgamma(-1e-300), rel=1e-15)
    np.testing.assert_array_equal(digamma(x)[:7], scipy.special.digamma(x)[:7])
    np.testing.assert_array_equal(trigamma(x)[:7], scipy.special.polygamma(1, x)[:7])


def test_functions_made_of_these_are_those_of_scipy() -> None:
    rng = np.random.default_rng(13)
    x = rng.uniform(-5, 5, 200)
    for text, expected in (
        ("erfcx(x)", scipy.special.erfcx(x)),
        ("dawsn(x)", scipy.special.dawsn(x)),
        ("loggamma(x)", scipy.special.loggamma(x)),
        ("lgamma(x) + psi(x)", scipy.special.gammaln(x) + scipy.special.psi(x)),
    ):
        [found] = evaluate([parse(text).root], {"x": x})
        np.testing.assert_allclose(found, expected, rtol=2e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("sigma", "gamma"), [(1, 0.5), (0.3, 4), (1, 0), (2, -0.4), (-1, 0.5), (0, 0.5), (0, -0.5)]
)
def test_a_voigt_profile_is_that_of_scipy(sigma: float, gamma: float) -> None:
    x = np.linspace(-6.0, 6.0, 101)
    root = parse("voigt_profile(x, sigma, gamma)").root
    [found] = evaluate([root], {"x": x, "sigma": sigma, "gamma": gamma})
    expected = scipy.special.voigt_profile(x, float(sigma), float(gamma))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
