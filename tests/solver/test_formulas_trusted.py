"""Formulas are trusted as long as they are those of the function: it may change, or deceive."""

import gc
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from manyfit.solver.arrays import Floats
from manyfit.solver.batch import fit_curves
from manyfit.solver.graph import verifying
from manyfit.solver.model import Model
from manyfit.solver.pointwise import ModelWarning
from tests.solver.plain_decay import X, by_formula, decay, decay_jac, noisy

Function = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("forget")

# Functions that change ------------------------------------------------------------------------

SHIFT = 0.0


def shifted(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + SHIFT


def through_a_helper(x: Any, a: Any, b: Any) -> Any:
    return shifted(x, a, b)


def by_keyword(x: Any, a: Any, b: Any, *, shift: float = 0.0) -> Any:
    return a * np.exp(-b * x) + shift


SHIFTS = [0.0]


def from_a_list(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + SHIFTS[-1]


def unseen(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x) + (SHIFT if type(x) is np.ndarray else 0.0)


class Shifted:
    shift = 0.0

    def __call__(self, x: Any, a: Any, b: Any) -> Any:
        return a * np.exp(-b * x) + self.shift


def closing() -> tuple[Function, Callable[[float], None]]:
    shift = 0.0

    def inner(x: Any, a: Any, b: Any) -> Any:
        return a * np.exp(-b * x) + shift

    def change(value: float) -> None:
        nonlocal shift
        shift = value

    return inner, change


def changing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Function, Callable[[float], object]]:
    """Return a function, and what changes it."""
    here, thing = sys.modules[__name__], Shifted()
    keywords: dict[str, Any] = by_keyword.__kwdefaults__ or {}
    kinds: dict[str, tuple[Function, Callable[[float], object]]] = {
        "global": (shifted, lambda s: monkeypatch.setattr(here, "SHIFT", s)),
        "helper": (through_a_helper, lambda s: monkeypatch.setattr(here, "SHIFT", s)),
        "default": (by_keyword, lambda s: monkeypatch.setitem(keywords, "shift", s)),
        "list": (from_a_list, SHIFTS.append),
        "object": (thing, lambda s: setattr(thing, "shift", s)),
        "closure": closing(),
        "unseen": (unseen, lambda s: monkeypatch.setattr(here, "SHIFT", s)),
    }
    return kinds[kind]


@pytest.mark.parametrize(
    "kind", ["global", "helper", "default", "list", "object", "closure", "unseen"]
)
def test_a_function_that_has_changed_is_fitted_as_it_is_now(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    func, change = changing(kind, monkeypatch)
    snapshot = Model.from_function(func).traced()
    for shift in (0.0, 0.3, 0.0):
        change(shift)
        with warnings.catch_warnings():
            if kind == "unseen":
                warnings.simplefilter("ignore", ModelWarning)
            fit = fit_curves(func, X, noisy())
        assert by_formula(fit) is (kind != "unseen" or shift == 0)
        now = fit_curves(func, X, noisy(), engine="reference")
        np.testing.assert_allclose(fit.params, now.params, rtol=1e-6)
        fixed = fit_curves(snapshot, X, noisy())
        np.testing.assert_allclose(fixed.params, fit_curves(decay, X, noisy()).params, rtol=1e-9)


def test_derivatives_of_the_author_do_not_save_a_formula_that_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model.from_function(shifted, jac=decay_jac).traced()
    monkeypatch.setattr(sys.modules[__name__], "SHIFT", 0.5)
    fit = fit_curves(model, X, noisy())
    assert fit.model.graph is not None
    assert fit.model.graph.text == "a*exp(-b*x) + 0.5"


def test_only_the_comparison_at_random_is_remembered_and_no_function_is_kept() -> None:
    calls: list[str] = []

    def counted(x: Any, a: Any, b: Any) -> Any:
        calls.append(type(x).__name__)
        return a * np.exp(-b * x)

    counts = []
    for _ in range(3):
        calls.clear()
        assert by_formula(fit_curves(counted, X, noisy(6)))
        counts.append((calls.count("Tracer"), calls.count("ndarray")))
    # A first look, four curves before and four after; and at first seven random points.
    assert counts == [(2, 9 + 7), (2, 9), (2, 9)]
    kept = len(verifying._VERIFIED)
    del counted
    gc.collect()
    assert len(verifying._VERIFIED) == kept - 1


def test_functions_that_cannot_be_remembered_are_read_each_time() -> None:
    class Slotted:
        __slots__ = ()
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, x: Any, a: Any, b: Any) -> Any:
            return a * np.exp(-b * x)

        def method(self, x: Any, a: Any, b: Any) -> Any:
            return self(x, a, b)

    for func in (Slotted(), Slotted().method):
        for _ in range(2):
            assert by_formula(fit_curves(func, X, noisy()))


def test_printing_and_counting_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []

    def talkative(x: Any, a: Any, b: Any) -> Any:
        seen.append(a)
        print(f"call {len(seen)}: a = {a:.3f}")
        return a * np.exp(-b * x)

    fit = fit_curves(talkative, X, noisy())
    assert by_formula(fit)
    np.testing.assert_allclose(fit.params, fit_curves(decay, X, noisy()).params, rtol=1e-12)
    assert "a = <symbol a>" in capsys.readouterr().out


# Functions that deceive -----------------------------------------------------------------------


def both_ways(func: Function) -> tuple[str, Floats, Floats]:
    """Return the first warning of a fit, and its parameters beside those of the reference."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = fit_curves(func, X, noisy(), p0=[1.5, 1])
        expected = fit_curves(func, X, noisy(), p0=[1.5, 1], engine="reference")
    assert fit.model.graph is None
    return str(caught[0].message), fit.params, expected.params


def test_a_formula_that_is_wrong_at_the_data_is_found_out_before_the_fit() -> None:
    def by_length(x: Any, a: Any, b: Any) -> Any:
        return decay(x, a, b) if type(x) is not np.ndarray or len(x) < 20 else decay(x, a, 2 * b)

    told, found, expected = both_ways(by_length)
    assert "in by_length: the function and the formula read from it differ: " in told
    np.testing.assert_array_equal(found, expected)


def by_stealth(x: Any, a: Any, b: Any) -> Any:
    near_the_end = type(b) in {float, np.float64} and 1.1 < b < 1.3
    return decay(x, a, b) + (0.05 if near_the_end else 0.0)


def test_a_formula_that_is_wrong_only_where_the_fit_ends_is_found_out_there() -> None:
    told, found, expected = both_ways(by_stealth)
    assert "in by_stealth: the function and the formula read from it differ: " in told
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"engine='simd' fits formulas, .* differ"):
        fit_curves(by_stealth, X, noisy(), p0=[1.5, 1], engine="simd")


def test_curves_without_points_or_a_start_are_not_looked_at() -> None:
    y = noisy(5)
    x = np.tile(X, (5, 1))
    x[0] = np.nan
    start = np.tile([1.5, 1.0], (5, 1))
    start[4] = np.nan
    fit = fit_curves(decay, x, y, p0=start)
    assert by_formula(fit)
    assert fit.success.tolist() == [False, True, True, True, False]
    ragged = fit_curves(decay, X, y[0], offsets=[0, 0, 24], p0=[1.5, 1])
    assert by_formula(ragged)
    nothing = fit_curves(decay, X, np.empty((0, 24)))
    assert len(nothing) == 0


def test_a_function_finite_only_at_the_data_is_compared_there() -> None:
    def since_then(t: Any, a: Any, b: Any) -> Any:
        return a * np.sqrt(t - 2450000.0) + b

    t = 2450000.0 + X
    y = since_then(t, 2.0, 0.5)[None]
    fit = fit_curves(since_then, t, y)
    assert by_formula(fit)
    np.testing.assert_allclose(fit.params, [[2, 0.5]], rtol=1e-6)
