"""Misuse of fit_curves fails at once, with what was given and what is expected."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manyfit.solver.batch import fit_curves
from manyfit.solver.model import Model
from tests.solver.decays import EXACT, X, noisy

Y = noisy()
CONSTANT = Model.from_function(lambda x, t, a: a * t * x, constants=["t"], name="scaled")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            EXACT,
            {"p0": [1, 1]},
            r"p0 must be \(3,\) or \(8, 3\).*\('a', 'b', 'c'\); got shape \(2,",
        ),
        (EXACT, {"p0": np.ones((3, 8))}, r"p0 must be \(3,\) or \(8, 3\).*got shape \(3, 8\)"),
        (EXACT, {"p0": 1.0}, r"p0 must be \(3,\) or \(8, 3\).*got shape \(\)"),
        (
            EXACT,
            {"p0": {"d": 1}},
            r"p0 names \['d'\], which are no parameters of \('a', 'b', 'c'\)",
        ),
        (EXACT, {"p0": {"a": [1, 2]}}, r"p0\['a'\] must be a number or \(8,\), got shape \(2,\)"),
        (
            EXACT,
            {"fixed": {"a": [1, 2]}},
            r"p0\['a'\] must be a number or \(8,\), got shape \(2,\)",
        ),
        (EXACT, {"fixed": ["a", "b", "c"]}, r"all parameters .* are fixed: nothing is left to fit"),
        (EXACT, {"fixed": ["z"]}, r"fixed names 'z', which is no parameter"),
        (EXACT, {"bounds": {"z": (0, 1)}}, r"bounds names 'z', which is no parameter"),
        (EXACT, {"bounds": (1, 0)}, r"each lower bound must be below its upper bound"),
        (EXACT, {"diag": [1, 1]}, r"diag must be 3 positive numbers"),
        (EXACT, {"ftol": -1}, r"ftol must be finite and >= 0"),
        (EXACT, {"sigma": np.ones(7)}, r"sigma must be a number, or have a shape that broadcasts"),
        (EXACT, {"offsets": [0, 5]}, r"with offsets y must be flat"),
        (EXACT, {"constants": {"t": 1}}, r"needs the constants \(\), got \('t',\)"),
        (CONSTANT, {}, r"model 'scaled' needs the constants \('t',\), got \(\)"),
        (CONSTANT, {"constants": {"u": 1}}, r"needs the constants \('t',\), got \('u',\)"),
        (CONSTANT, {"constants": {"t": [1, 2]}}, r"constants\['t'\] must be a number or \(8,\)"),
        (lambda *p: p, {}, r"has no named first argument"),
    ],
)
def test_misuse_fails_at_once(model: Any, options: dict[str, Any], message: str) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the model was called")

    if isinstance(model, Model):
        model = replace(model, func=never, jac=None)
    with pytest.raises(ValueError, match=message):
        fit_curves(model, X, Y, **options)


def test_y_that_is_one_curve_is_told_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"for one curve give y\[None\]"):
        fit_curves(EXACT, X, Y[0])
