"""The engine against MINPACK itself: the same ends by the same number of evaluations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pytest
from scipy.optimize import leastsq

from manyfit.solver.arrays import Floats, Ints
from manyfit.solver.bounds import Box
from manyfit.solver.differences import forward_differences
from manyfit.solver.minpack import Rules, solve, solve_alone
from manyfit.solver.state import Solution
from manyfit.solver.status import Status
from manyfit.solver.trust_region import Tolerances

TOLERANCE = 1.49012e-8


@dataclass(frozen=True, slots=True)
class Kind:
    """A model with its derivatives, and how its curves look."""

    func: Callable[..., Any]
    derivatives: Callable[..., Sequence[Any]]
    x: Floats
    truth: tuple[float, ...]
    start: tuple[float, ...]
    noise: float

    def curves(self, n_curves: int, seed: int = 0) -> "Curves":
        """Return noisy curves whose truth and start vary by 20 %."""
        rng = np.random.default_rng(seed)
        shape = (n_curves, len(self.truth))
        truth = np.array(self.truth) * rng.uniform(0.8, 1.2, shape)
        exact = self.func(self.x, *truth.T[:, :, None])
        y = exact + self.noise * rng.normal(size=exact.shape)
        return Curves(self, y, np.array(self.start) * rng.uniform(0.8, 1.2, shape))


@dataclass(frozen=True, slots=True)
class Curves:
    """A batch as the engine asks for it, with its start; it counts its calls."""

    kind: Kind
    y: Floats
    start: Floats
    exact: bool = True
    calls: list[int] = field(default_factory=list)

    def residuals(self, params: Floats) -> Floats:
        self.calls.append(len(params))
        return np.asarray(self.kind.func(self.kind.x, *params.T[:, :, None]) - self.y)

    def jacobian(self, params: Floats, fun: Floats) -> tuple[Floats, int]:
        if not self.exact:
            return forward_differences(self.residuals, params, fun), params.shape[1]
        derivatives = self.kind.derivatives(self.kind.x, *params.T[:, :, None])
        jac = [np.broadcast_to(d, fun.shape) for d in derivatives]
        return np.ascontiguousarray(np.stack(jac, axis=1)), 0

    def take(self, rows: Ints) -> Self:
        return replace(self, y=self.y[rows], start=self.start[rows])

    def __len__(self) -> int:
        return len(self.y)

    def by_minpack(self, i: int, **options: Any) -> Any:
        """Return what SciPy's leastsq makes of curve i."""
        kind, y = self.kind, self.y[i]

        def jac(p: Floats) -> Floats:
            return np.stack(np.broadcast_arrays(*kind.derivatives(kind.x, *p), kind.x)[:-1])

        with np.errstate(all="ignore"):
            return leastsq(
                lambda p: kind.func(kind.x, *p) - y,
                self.start[i],
                Dfun=jac if self.exact else None,
                col_deriv=self.exact,
                full_output=True,
                **options,
            )


def decay_derivatives(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
    e = np.exp(-b * x)
    return e, -a * x * e, np.ones_like(c * x)


def peak(x: Floats, a: Any, m: Any, s: Any, c: Any) -> Any:
    return a * np.exp(-0.5 * ((x - m) / s) ** 2) + c


def peak_derivatives(x: Floats, a: Any, m: Any, s: Any, c: Any) -> Sequence[Any]:
    u = (x - m) / s
    e = np.exp(-0.5 * u * u)
    return e, a * e * u / s, a * e * u * u / s, np.ones_like(c * x)


def biexponential(x: Floats, a: Any, t: Any, b: Any, u: Any, c: Any) -> Any:
    return a * np.exp(-x / t) + b * np.exp(-x / u) + c


def biexponential_derivatives(x: Floats, a: Any, t: Any, b: Any, u: Any, c: Any) -> Sequence[Any]:
    e, f = np.exp(-x / t), np.exp(-x / u)
    return e, a * e * x / t**2, f, b * f * x / u**2, np.ones_like(c * x)


def logistic(x: Floats, lo: Any, hi: Any, middle: Any, slope: Any) -> Any:
    return lo + (hi - lo) / (1 + 10 ** ((middle - x) * slope))


def logistic_derivatives(x: Floats, lo: Any, hi: Any, middle: Any, slope: Any) -> Sequence[Any]:
    power = 10 ** ((middle - x) * slope)
    s = 1 / (1 + power)
    chain = -(hi - lo) * s * s * power * np.log(10)
    return 1 - s, s, chain * slope, chain * (middle - x)


def wave(x: Floats, a: Any, b: Any, c: Any) -> Any:
    return a * np.sin(b * x + c)


def wave_derivatives(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
    return np.sin(b * x + c), a * x * np.cos(b * x + c), a * np.cos(b * x + c)


KINDS = {
    "decay": Kind(
        lambda x, a, b, c: a * np.exp(-b * x) + c,
        decay_derivatives,
        np.linspace(0, 5, 50),
        truth=(2, 1.5, 0.5),
        start=(1, 1, 1),
        noise=0.05,
    ),
    "peak": Kind(peak, peak_derivatives, np.arange(64.0), (100, 32, 5, 10), (80, 30, 4, 8), 3),
    "biexponential": Kind(
        biexponential,
        biexponential_derivatives,
        np.linspace(0, 10, 100),
        truth=(600, 0.5, 400, 2.5, 20),
        start=(500, 0.4, 500, 2, 10),
        noise=5,
    ),
    "logistic": Kind(
        logistic,
        logistic_derivatives,
        np.linspace(-9, -4.5, 10),
        truth=(5, 100, -6.5, 1.2),
        start=(1, 80, -7, 1),
        noise=2,
    ),
    "wave": Kind(
        wave, wave_derivatives, np.linspace(0, 6, 40), (2, 1.5, 0.5), (1.5, 1.5, 0.1), 0.2
    ),
}


def rules(**options: Any) -> Rules:
    """Return rules with SciPy's defaults."""
    tolerances = Tolerances(
        ftol=options.pop("ftol", TOLERANCE),
        xtol=options.pop("xtol", TOLERANCE),
        gtol=options.pop("gtol", 0.0),
        maxfev=options.pop("maxfev", 600),
    )
    return Rules(tolerances, **options)


def as_minpack(curves: Curves, found: Solution, rtol: float = 1e-9, **options: Any) -> list[bool]:
    """Return which curves ended as in MINPACK; the others must have come down as low."""
    same = []
    for i in range(len(curves)):
        x, _, info, _, status = curves.by_minpack(i, maxfev=600, **options)
        fnorm = np.linalg.norm(info["fvec"])
        close = np.abs(found.params[i] - x) <= rtol * np.abs(x).max()
        same.append(
            status == found.status[i] and info["nfev"] == found.nfev[i] and bool(close.all())
        )
        assert same[-1] or found.fnorm[i] <= fnorm * (1 + 1e-6)
    return same


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "factor 1": {"factor": 1.0},
    "factor 0.1": {"factor": 0.1},
    "coarse gtol": {"gtol": 1e-3},
    "coarse xtol": {"xtol": 1e-3, "ftol": 0.0},
    "coarse ftol": {"ftol": 1e-3, "xtol": 0.0},
    "all coarse": {"ftol": 1e-2, "xtol": 1e-2, "gtol": 1e-2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_fits_end_as_in_minpack(options: dict[str, Any]) -> None:
    same = []
    for kind in KINDS.values():
        curves = kind.curves(40)
        same += as_minpack(curves, solve(curves, curves.start, rules(**options)), **options)
    assert np.mean(same) >= 0.99  # the rest took another path by a rounding


def test_fits_by_differences_end_as_in_minpack() -> None:
    same = []
    for kind in KINDS.values():
        curves = replace(kind.curves(40), exact=False)
        same += as_minpack(curves, solve(curves, curves.start, rules()), rtol=1e-6)
    assert np.mean(same) >= 0.95


def test_fits_with_given_scales_end_as_in_minpack() -> None:
    same = []
    for kind in KINDS.values():
        curves = kind.curves(40)
        diag = np.linspace(1, 10, len(kind.truth))
        same += as_minpack(curves, solve(curves, curves.start, rules(diag=diag)), diag=diag)
    assert np.mean(same) >= 0.99


@pytest.mark.parametrize("maxfev", [1, 2, 5, 9])
def test_fits_that_are_cut_short_stand_where_minpack_stands(maxfev: int) -> None:
    for kind in KINDS.values():
        curves = kind.curves(10)
        found = solve(curves, curves.start, rules(maxfev=maxfev))
        for i in range(10):
            x, _, info, _, status = curves.by_minpack(i, maxfev=maxfev)
            assert (status, info["nfev"]) == (found.status[i], found.nfev[i])
            np.testing.assert_allclose(found.params[i], x, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_without_tolerances_fits_end_where_machine_precision_does(kind: Kind) -> None:
    curves = kind.curves(30)
    found = solve(curves, curves.start, rules(ftol=0.0, xtol=0.0))
    ends = [curves.by_minpack(i, ftol=0, xtol=0, maxfev=600) for i in range(30)]
    np.testing.assert_allclose(
        found.fnorm, [np.linalg.norm(end[2]["fvec"]) for end in ends], rtol=1e-9
    )
    too_small = {Status.FTOL_TOO_SMALL, Status.XTOL_TOO_SMALL, Status.GTOL_TOO_SMALL}
    assert set(found.status.tolist()) <= too_small | {Status.MAXFEV}
    assert {end[4] for end in ends} <= too_small | {Status.MAXFEV}


SQUARE = replace(KINDS["decay"], x=np.array([0.1, 1.0, 3.0]), noise=0.0)
ONE = Kind(
    lambda x, b: np.exp(-b * x),
    lambda x, b: [-x * np.exp(-b * x)],
    np.arange(5.0),
    (0.7,),
    (2,),
    0.01,
)


@pytest.mark.parametrize("kind", [SQUARE, ONE], ids=["as-many-points", "one-parameter"])
def test_the_smallest_problems_end_as_in_minpack(kind: Kind) -> None:
    curves = kind.curves(30)
    assert np.mean(as_minpack(curves, solve(curves, curves.start, rules()))) >= 0.9


def test_the_residuals_end_where_the_params_are() -> None:
    curves = KINDS["wave"].curves(20)
    found = solve(curves, curves.start, rules())
    norms = np.linalg.norm(curves.residuals(found.params), axis=1)
    np.testing.assert_allclose(found.fnorm, norms, rtol=1e-14)


# The working set -----------------------------------------------------------------------------

# f = p¹⁰ x has no slope at its minimum for y = 0: a thousand evaluations, a tenth nearer each time.
FLAT = Kind(
    lambda x, p: p**10 * x,
    lambda x, p: [10 * p**9 * x],
    np.linspace(0.5, 1, 6),
    (1.0,),
    (1.1,),
    0.0,
)


def easy_and_hard(n_curves: int, hard: Sequence[int]) -> Curves:
    """Return curves of which some need about a thousand evaluations and the others about ten."""
    curves = FLAT.curves(n_curves)
    curves.y[list(hard)] = 0
    curves.start[list(hard)] = 1e10
    return curves


def assert_same_bits(found: Solution, expected: Sequence[Solution]) -> None:
    """Assert that the ends are those of other solutions, put one after the other."""
    for name in ("params", "fnorm", "status", "nfev", "njev"):
        one = np.concatenate([getattr(e, name) for e in expected])
        np.testing.assert_array_equal(getattr(found, name), one)


def one_by_one(curves: Curves, how: Rules) -> list[Solution]:
    """Solve each curve in a batch of its own."""
    alone = (curves.take(np.array([i])) for i in range(len(curves)))
    return [solve(one, one.start, how) for one in alone]


EXHAUSTIVE = rules(ftol=0.0, xtol=0.0, maxfev=5000)


@pytest.fixture(scope="module")
def alone() -> list[Solution]:
    """Return the ends of the easy and hard curves, each solved by itself."""
    return one_by_one(easy_and_hard(30, hard=[0, 12, 29]), EXHAUSTIVE)


@pytest.mark.parametrize("together", [1, 4, 13, 1000])
def test_any_working_set_gives_the_bits_of_curves_alone(
    together: int, alone: list[Solution]
) -> None:
    curves = easy_and_hard(30, hard=[0, 12, 29])
    found = solve(curves, curves.start, replace(EXHAUSTIVE, together=together))
    assert found.nfev[12] > 500
    assert np.median(found.nfev) < 40
    assert_same_bits(found, alone)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_a_working_set_that_refills_gives_the_bits_of_curves_alone(kind: Kind, exact: bool) -> None:
    curves = replace(kind.curves(40), exact=exact)
    found = solve(curves, curves.start, rules(together=5))
    assert_same_bits(found, one_by_one(curves, rules()))


def test_a_bounded_working_set_gives_the_bits_of_curves_alone() -> None:
    curves = KINDS["decay"].curves(40)
    box = Box(np.array([0.0, 0.0, 0.0]), np.array([2.0, 1.6, 5.0]))
    found = solve(curves, curves.start, rules(together=6, box=box))
    assert box.on_face(found.params).any()
    assert_same_bits(found, one_by_one(curves, rules(box=box)))


def test_a_hard_curve_does_not_hold_up_the_others() -> None:
    curves = easy_and_hard(200, hard=[0])
    found = solve(curves, curves.start, replace(EXHAUSTIVE, together=20))
    hardest, others = found.nfev[0], found.nfev[1:]
    assert hardest > 500
    # Nothing is evaluated twice or in vain, and all others are done on the way.
    assert sum(curves.calls) == found.nfev.sum()
    assert len(curves.calls) <= hardest + 30
    first_alone = curves.calls.index(1)
    assert first_alone <= 3 * others.sum() / 20


def test_a_batch_of_nothing_is_solved() -> None:
    curves = KINDS["decay"].curves(5).take(np.arange(0))
    found = solve(curves, curves.start, rules())
    assert found.params.shape == (0, 3)
    assert found.status.shape == (0,)


def test_the_start_is_not_overwritten() -> None:
    curves = KINDS["decay"].curves(5)
    before = curves.start.copy()
    solve(curves, curves.start, rules())
    np.testing.assert_array_equal(curves.start, before)


# One curve -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_curve_alone_ends_as_in_a_batch_and_keeps_minpacks_factors(kind: Kind) -> None:
    curves = kind.curves(6)
    for i in range(6):
        one = curves.take(np.array([i]))
        found, last = solve_alone(one, one.start, rules())
        assert_same_bits(found, [solve(one, one.start, rules())])
        np.testing.assert_array_equal(last.fun, one.residuals(found.params))
        info = curves.by_minpack(i)[2]
        scale = np.abs(info["fjac"]).max(axis=1, keepdims=True)
        np.testing.assert_array_equal(last.pivot[0], info["ipvt"] - info["ipvt"].min())
        triangle = np.triu(last.packed[0].T[: len(kind.truth)]).T
        expected = np.triu(info["fjac"].T[: len(kind.truth)]).T
        np.testing.assert_allclose(triangle / scale, expected / scale, atol=1e-6)
        np.testing.assert_allclose(last.qtf[0], info["qtf"], atol=1e-6 * found.fnorm[0])


# Where nothing is finite ---------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_at_the_start_is_not_fitted(bad: float) -> None:
    curves = KINDS["decay"].curves(4)
    curves.y[2, 5] = bad
    found = solve(curves, curves.start, rules())
    assert found.status[2] == Status.MODEL_NONFINITE
    assert (found.nfev[2], found.njev[2]) == (1, 0)
    good = curves.take(np.array([0, 1, 3]))
    assert_same_bits(solve(good, good.start, rules()), [pick(found, [0, 1, 3])])


def pick(found: Solution, rows: list[int]) -> Solution:
    """Return the ends of some curves."""
    return Solution(
        *(getattr(found, n)[rows] for n in ("params", "fnorm", "status", "nfev", "njev"))
    )


def test_a_jacobian_that_is_not_finite_ends_the_fit_where_it_stands() -> None:
    kind = KINDS["decay"]

    def broken(x: Floats, a: Any, b: Any, c: Any) -> Sequence[Any]:
        e, da, dc = decay_derivatives(x, a, b, c)
        return e, np.where(b > 1.2, np.nan, da), dc

    curves = replace(kind, derivatives=broken).curves(6)
    curves.start[:] = [[1, 1, 1]] * 3 + [[1, 2, 1]] * 3
    found = solve(curves, curves.start, rules())
    np.testing.assert_array_equal(found.status, Status.JACOBIAN_NONFINITE)
    assert np.isfinite(found.params).all()
    assert np.all(found.params[:, 1] > 1.2)
    np.testing.assert_array_equal(found.params[3:], curves.start[3:])
    np.testing.assert_array_equal(found.njev[3:], 1)


GROWTH = Kind(
    lambda x, a, b: a * np.exp(b * x),
    lambda x, a, b: (np.exp(b * x), a * x * np.exp(b * x)),
    np.linspace(0, 100, 20),
    truth=(1e-3, 0.15),
    start=(0.01, -0.1),
    noise=0.1,
)


def count_lost(curves: Curves) -> tuple[Solution, int]:
    """Solve, and count the trials with residuals that are not finite."""
    lost = 0

    class Watched(Curves):
        def residuals(self, params: Floats) -> Floats:
            nonlocal lost
            fun = super().residuals(params)
            lost += int((~np.isfinite(fun)).any(axis=1).sum())
            return fun

    found = solve(Watched(curves.kind, curves.y, curves.start), curves.start, rules())
    return found, lost


def test_trial_steps_that_overflow_end_as_in_minpack() -> None:
    curves = GROWTH.curves(40)
    found, lost = count_lost(curves)
    assert lost >= 20
    ends = [curves.by_minpack(i) for i in range(40)]
    fnorm = [np.linalg.norm(info["fvec"]) for _, _, info, _, _ in ends]
    nfev = np.array([info["nfev"] for _, _, info, _, _ in ends])
    np.testing.assert_allclose(found.fnorm, fnorm, rtol=1e-9)
    assert np.mean(found.nfev == nfev) >= 0.9


@pytest.mark.parametrize("rate", [5.0, 50.0, 300.0, 700.0, 900.0])
def test_a_start_whose_derivatives_all_but_underflow_ends_as_in_minpack(rate: float) -> None:
    # exp(-700 * 0.7) is 1e-213: the radius is tiny, the damping huge, and the step still right.
    kind = Kind(
        lambda x, a, b: a * np.exp(-b * x),
        lambda x, a, b: (np.exp(-b * x), -a * x * np.exp(-b * x)),
        np.linspace(0.7, 1.5, 12),
        truth=(2, 1.2),
        start=(1, rate),
        noise=0.0,
    )
    curves = kind.curves(1)
    curves.start[:] = 1, rate
    found = solve(curves, curves.start, rules())
    _, _, info, _, status = curves.by_minpack(0, maxfev=600)
    assert (found.status[0], found.nfev[0]) == (status, info["nfev"])
    assert found.fnorm[0] <= np.linalg.norm(info["fvec"]) * (1 + 1e-9)


def test_trial_steps_into_nan_end_as_in_minpack() -> None:
    root = Kind(
        lambda x, a, b: a * np.sqrt(b + x),
        lambda x, a, b: (np.sqrt(b + x), a / 2 / np.sqrt(b + x)),
        np.linspace(0, 3, 20),
        truth=(2, 0.05),
        start=(1.0, 4.0),
        noise=0.02,
    )
    curves = root.curves(40)
    found, lost = count_lost(curves)
    assert lost >= 20
    assert np.mean(as_minpack(curves, found)) >= 0.95


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_perfect_start_is_a_success(kind: Kind) -> None:
    curves = replace(kind, noise=0.0).curves(5)
    rng = np.random.default_rng(0)
    truth = np.array(kind.truth) * rng.uniform(0.8, 1.2, (5, len(kind.truth)))
    found = solve(curves, truth, rules())
    np.testing.assert_array_equal(found.fnorm, 0)
    np.testing.assert_array_equal(found.status, Status.CONVERGED_GTOL)
    np.testing.assert_array_equal(found.params, truth)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_curves_without_noise_are_fitted_to_rounding(kind: Kind) -> None:
    curves = replace(kind, noise=0.0).curves(20)
    found = solve(curves, curves.start, rules())
    fitted = found.fnorm <= 1e-6 * np.linalg.norm(curves.y, axis=1)
    assert fitted.mean() >= 0.8
    assert set(found.status[fitted].tolist()) <= {1, 2, 3, 4}


@pytest.mark.parametrize("kind", [*KINDS.values(), GROWTH], ids=[*KINDS.keys(), "growth"])
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
@pytest.mark.parametrize("spread", [1.0, 5.0, 30.0])
def test_no_start_however_wild_gives_a_success_that_is_none(
    kind: Kind, exact: bool, spread: float
) -> None:
    rng = np.random.default_rng(int(spread))
    curves = replace(kind.curves(60), exact=exact)
    start = (
        curves.start
        * rng.choice([-1, 1], curves.start.shape)
        * rng.lognormal(sigma=spread, size=curves.start.shape)
    )
    found = solve(curves, start, rules(maxfev=200))
    codes = {int(s) for s in Status}
    assert set(found.status.tolist()) <= codes - {Status.IMPROPER_INPUT}
    assert np.all(found.nfev <= 200 + len(kind.truth))
    with np.errstate(all="ignore"):
        before = np.linalg.norm(curves.residuals(start), axis=1)
    began = found.status != Status.MODEL_NONFINITE
    assert np.isfinite(found.params).all()
    assert np.isfinite(found.fnorm[began]).all()
    assert np.all(found.fnorm[began] <= before[began] * (1 + 1e-12))
    gave_up = (found.status == Status.MAXFEV) & (found.nfev < 200)
    assert not gave_up.any()
