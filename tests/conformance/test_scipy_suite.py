"""SciPy's own tests of `leastsq` and `curve_fit`, from the SciPy installed, against ours.

The test classes are SciPy's, unmodified; only the names that they call stand for our functions
while they run. Every test proves, when it is over, that ours was called.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest
from scipy.optimize.tests import test_minpack as suite

from manyfit.solver import curve_fit as curve_fit_module
from manyfit.solver.leastsq import leastsq


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Put our functions in the place of SciPy's, and list their calls."""
    calls: list[str] = []

    def counted(func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(func.__name__)
            return func(*args, **kwargs)

        return call

    names = {"leastsq": counted(leastsq), "curve_fit": counted(curve_fit_module.curve_fit)}
    for name, func in names.items():
        monkeypatch.setattr(suite, name, func)
    monkeypatch.setattr(suite, "optimize", SimpleNamespace(**names))
    monkeypatch.setattr(suite, "OptimizeWarning", curve_fit_module.OptimizeWarning)
    yield calls
    assert calls, "SciPy's test ran without calling our functions"


class TestLeastSq(suite.TestLeastSq):  # type: ignore[misc]
    """All of SciPy's tests of leastsq."""


class TestCurveFit(suite.TestCurveFit):  # type: ignore[misc]
    """All of SciPy's tests of curve_fit."""


@pytest.mark.parametrize(
    ("theirs", "inherited", "least"),
    [(suite.TestLeastSq, TestLeastSq, 16), (suite.TestCurveFit, TestCurveFit, 33)],
)
def test_every_test_of_scipy_is_run(
    theirs: type, inherited: type, least: int, ours: list[str]
) -> None:
    def tests(cls: type) -> dict[str, Any]:
        return {n: f for n, f in inspect.getmembers(cls) if n.startswith("test_")}

    assert len(tests(theirs)) >= least
    assert tests(inherited) == tests(theirs)
    ours.append("nothing to call")


def test_what_scipy_calls_is_ours(ours: list[str]) -> None:
    assert suite.leastsq(lambda x: x - 3.0, [1.0], atol=1e-12)[1] in {1, 2, 3, 4}
    suite.TestCurveFit().test_indeterminate_covariance()
    assert ours == ["leastsq", "curve_fit"]
    assert suite.leastsq.__wrapped__ is leastsq
    assert suite.optimize.curve_fit.__wrapped__ is curve_fit_module.curve_fit
