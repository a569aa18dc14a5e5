"""All 27 NIST problems from both starts: how many digits we reach, and no false success.

The yardstick is SciPy's ``leastsq`` on the same machine in the same run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.leastsq import leastsq
from manyfit.solver.options import Engine
from tests.conformance.nist.strd import NAMES, Problem, digits, problem

TIGHT = {"ftol": 1e-15, "xtol": 1e-15, "maxfev": 20_000}
OURS = [
    pytest.param("fit_curves", True, id="fit_curves-exact"),
    pytest.param("reference", True, id="reference-exact"),
    pytest.param("leastsq", True, id="leastsq-exact"),
    pytest.param("reference", False, id="reference-differences"),
    pytest.param("leastsq", False, id="leastsq-differences"),
]
"""By whom, and with exact derivatives or by differences: where a model has a formula, only the
reference engine goes by differences."""
STEPS = tuple((1.0 + 0.1 * k) * float(np.finfo(np.float64).eps) for k in range(1, 6))
"""Other values of `epsfcn`. By differences rounding makes up to half a digit of a standard error:
from both starts of Lanczos2 and Lanczos3 SciPy's have less than four digits with 3 to 7 % of 40
such values, ours with 0 to 10 %, and which ones hangs on rounding. So most must agree before one is
missed.
"""
MISLEADING = {"BoxBOD 1", "MGH17 1"}
"""Starts from which MINPACK itself, at default tolerances, ends with success at a wrong place:
the first step leads to where exp underflows (BoxBOD) or all steps to where it overflows (MGH17)."""


@dataclass(frozen=True, slots=True)
class End:
    """Where one fit ended."""

    status: int
    params: Floats
    stderr: Floats
    rss: float

    @property
    def success(self) -> bool:
        """Whether it says that it converged."""
        return 1 <= self.status <= 4


def by_leastsq(function: Callable[..., Any]) -> Callable[..., Iterator[End]]:
    """Fit each start of a problem by a function called like SciPy's ``leastsq``."""

    def fit(p: Problem, *, exact: bool, **options: float) -> Iterator[End]:
        for start in p.starts:
            jac = p.jacobian if exact else None
            x, cov_x, infodict, _, ier = function(
                p.residuals, start, Dfun=jac, full_output=True, **options
            )
            rss = float(np.sum(infodict["fvec"] ** 2))
            variance = np.full(x.size, np.nan) if cov_x is None else np.diag(cov_x)
            yield End(ier, x, np.sqrt(variance * rss / p.dof), rss)

    return fit


def by_fit_curves(engine: Engine) -> Callable[..., Iterator[End]]:
    """Fit both starts of a problem as two curves of one batch."""

    def fit(p: Problem, *, exact: bool, **options: Any) -> Iterator[End]:
        model = p.model if exact else replace(p.model, jac=None)
        x = dict(zip(model.predictors, p.x, strict=True))
        ends = fit_curves(model, x, np.stack([p.y, p.y]), p0=p.starts, engine=engine, **options)
        for i in range(2):
            yield End(int(ends.status[i]), ends.params[i], ends.stderr[i], 2.0 * ends.cost[i])

    return fit


FITTERS: dict[str, Callable[..., Iterator[End]]] = {
    "fit_curves": by_fit_curves("auto"),
    "reference": by_fit_curves("reference"),
    "leastsq": by_leastsq(leastsq),
    "scipy": by_leastsq(scipy.optimize.leastsq),
}


@cache
def ends(fitter: str, *, exact: bool, tight: bool) -> dict[str, End]:
    """Return the ends of all 54 fits, by problem and start ("Misra1a 2")."""
    found = {}
    with np.errstate(all="ignore"):
        for name in NAMES:
            fits = FITTERS[fitter](problem(name), exact=exact, **(TIGHT if tight else {}))
            found.update({f"{name} {k}": end for k, end in enumerate(fits, start=1)})
    return found


def missed(quantity: str, fitter: str, *, exact: bool) -> set[str]:
    """Return the fits with less than four correct digits, at tight tolerances."""
    return {
        name
        for name, end in ends(fitter, exact=exact, tight=True).items()
        if digits(getattr(end, quantity), getattr(problem(name.partition(" ")[0]), quantity)) < 4
    }


def missed_with_most_steps(name: str, fitter: str) -> bool:
    """Whether a standard error by differences has less than four digits, whatever the rounding."""
    kind, _, start = name.partition(" ")
    found = []
    for step in STEPS:
        with np.errstate(all="ignore"):
            ends = list(FITTERS[fitter](problem(kind), exact=False, epsfcn=step, **TIGHT))
        found.append(digits(ends[int(start) - 1].stderr, problem(kind).stderr))
    return float(np.median(found)) < 4


@pytest.mark.parametrize(("fitter", "exact"), OURS)
def test_four_digits_of_parameters_from_53_of_54_starts(fitter: str, exact: bool) -> None:
    ours, scipys = missed("params", fitter, exact=exact), missed("params", "scipy", exact=exact)
    assert len(ours) <= 1, f"missed {ours}, SciPy {scipys}"
    assert ours <= scipys


@pytest.mark.parametrize(("fitter", "exact"), OURS)
def test_four_digits_of_standard_deviations_from_51_of_54_starts(fitter: str, exact: bool) -> None:
    ours, scipys = missed("stderr", fitter, exact=exact), missed("stderr", "scipy", exact=exact)
    if not exact:
        ours = {name for name in ours if missed_with_most_steps(name, fitter)}
    assert len(ours) <= 3, f"missed {ours}, SciPy {scipys}"


@pytest.mark.parametrize("tight", [True, False], ids=["tight", "default"])
@pytest.mark.parametrize(("fitter", "exact"), OURS)
def test_no_success_at_a_wrong_place_unless_minpack_ends_there_too(
    fitter: str, tight: bool, exact: bool
) -> None:
    scipys = ends("scipy", exact=exact, tight=tight)
    for name, end in ends(fitter, exact=exact, tight=tight).items():
        if end.success and digits(end.params, problem(name.partition(" ")[0]).params) < 2:
            assert name in MISLEADING
            assert scipys[name].success
            assert end.rss == pytest.approx(scipys[name].rss, rel=1e-6)


@pytest.mark.parametrize(
    ("fitter", "exact"), [("fit_curves", True), ("reference", True), ("reference", False)]
)
def test_a_curve_of_a_batch_ends_as_leastsq_does(fitter: str, exact: bool) -> None:
    """With the compiled engine or lower: where it hands over, the search begins anew."""
    alone = ends("leastsq", exact=exact, tight=False)
    for name, end in ends(fitter, exact=exact, tight=False).items():
        if name in MISLEADING:  # which overflow comes first hangs on the last bit
            continue
        if not end.success:
            assert end.status == alone[name].status
            continue
        lower = end.rss < alone[name].rss * (1 - 1e-6) and not name.startswith("Lanczos1")
        if fitter == "fit_curves" and lower:
            certified = problem(name.partition(" ")[0])
            assert digits(end.params, certified.params) > digits(
                alone[name].params, certified.params
            )
            continue
        assert end.rss == pytest.approx(alone[name].rss, rel=1e-6) or name.startswith("Lanczos1")
        assert digits(end.params, alone[name].params) > 2.5


@pytest.mark.parametrize("name", [f"{name} {k}" for name in NAMES for k in (1, 2)])
def test_the_compiled_engine_loses_no_digit(name: str) -> None:
    """Beyond six digits both are decided by where rounding stops the search."""
    ours, theirs = (ends(e, exact=True, tight=True)[name] for e in ("fit_curves", "reference"))
    certified = problem(name.partition(" ")[0])
    for quantity in ("params", "stderr"):
        true = getattr(certified, quantity)
        lost = digits(getattr(theirs, quantity), true) - digits(getattr(ours, quantity), true)
        assert lost <= 0.2 or digits(getattr(ours, quantity), true) >= 6
    if name.startswith("Lanczos1 "):  # its residuals are rounding: redchi has no digit
        return
    np.testing.assert_allclose(ours.stderr, theirs.stderr, rtol=1e-6)
