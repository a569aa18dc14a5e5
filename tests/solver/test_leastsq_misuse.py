"""leastsq fails as SciPy's does: the same types of error, and the values that were wrong."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.leastsq import leastsq
from tests.solver.one_decay import START, Counted, X, decay, decay_jac


@pytest.mark.parametrize(
    "options",
    [
        {"ftol": -1},
        {"xtol": -1},
        {"gtol": -1},
        {"factor": 0},
        {"diag": [0, 1, 1]},
        {"ftol": np.nan},
    ],
    ids=str,
)
def test_improper_input_is_an_error_or_ier_0(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Improper input parameters"):
        leastsq(decay, START, **options)
    x, cov_x, infodict, message, ier = leastsq(decay, START, full_output=True, **options)
    assert (x.tolist(), cov_x, ier, infodict["nfev"]) == (START, None, 0, 0)
    assert "Improper input parameters" in message
    assert infodict["fjac"].shape == (3, X.size)


def test_no_parameters_are_improper_input() -> None:
    with pytest.raises(TypeError, match="Improper input parameters"):
        leastsq(lambda p: np.ones(1) + p.sum(), [])
    assert leastsq(lambda p: np.ones(1) + p.sum(), [], full_output=True)[4] == 0


def test_more_parameters_than_residuals_are_an_error() -> None:
    with pytest.raises(TypeError, match=r"func input vector length N=3 must not exceed .* M=2"):
        leastsq(lambda p: p[:2], START)


@pytest.mark.parametrize("shape", [(3, 20), (20, 2), (20,)])
def test_a_wrong_shape_of_the_jacobian_is_an_error(shape: tuple[int, ...]) -> None:
    def wrong(p: Any) -> Any:
        return np.ones(shape) * p[0]

    with pytest.raises(TypeError, match=r"mismatch .* 'Dfun' argument 'wrong'.* \(20, 3\) but"):
        leastsq(decay, START, Dfun=wrong)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)])
def test_the_jacobian_of_one_parameter_may_have_any_shape(shape: tuple[int, ...]) -> None:
    x, _ = leastsq(lambda p: p - np.arange(3.0), [9.0], Dfun=lambda p: np.ones(shape) + 0 * p)
    assert x == pytest.approx([1.0])


@pytest.mark.parametrize("which", ["func", "Dfun"])
def test_a_shape_that_changes_is_an_error(which: str) -> None:
    calls = Counted(lambda a: a if calls.calls < 3 else a[:-1])
    func = (lambda p: calls(decay(p))) if which == "func" else decay
    jac = (lambda p: calls(decay_jac(p))) if which == "Dfun" else decay_jac
    with pytest.raises(ValueError, match=rf"changed size between calls: {which} now returns"):
        leastsq(func, START, Dfun=jac)


@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        (np.ones((4, 4)), r"shape \(4, 4\), it must be one-dimensional"),
        (np.ones(4) * 1j, "complex128"),
        (["a", "b", "c"], "<U1"),
        (np.array([1.0, None, "x"], dtype=object), "could not convert string to float"),
        (None, "func returned None"),
    ],
)
def test_residuals_must_be_a_vector_of_real_numbers(value: Any, phrase: str) -> None:
    with pytest.raises(TypeError, match=rf"not a proper array of floats: .*{phrase}"):
        leastsq(lambda p: value if p is not None else p, [1.0])


def test_the_start_must_be_real() -> None:
    with pytest.raises(TypeError, match=r"Cannot cast x0 from dtype.'complex128'."):
        leastsq(decay, [1j, 1, 1])


def test_diag_needs_a_value_for_each_parameter() -> None:
    with pytest.raises(ValueError, match=r"diag must have 3 values, one a parameter, got \[1, 1\]"):
        leastsq(decay, START, diag=[1, 1])


@pytest.mark.parametrize("jac", [None, decay_jac])
def test_what_func_raises_is_passed_on(jac: Any) -> None:
    def fails_later(p: Any) -> Any:
        if p[0] != 1.0:
            raise ZeroDivisionError("mine")
        return decay(p)

    with pytest.raises(ZeroDivisionError, match="mine"):
        leastsq(fails_later, START, Dfun=jac)
