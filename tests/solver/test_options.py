"""Options: what is checked without a model, and what they mean for one."""

from typing import Any

import numpy as np
import pytest

from manyfit.solver.options import FitOptions, index_of

INF = np.inf
NAMES = ("a", "b", "c")


def test_the_defaults_are_minpacks() -> None:
    options = FitOptions()
    assert (options.ftol, options.xtol, options.gtol) == (1.49012e-8, 1.49012e-8, 0.0)
    assert (options.maxfev, options.factor) == (0, 100.0)
    assert options.epsfcn is None
    assert options.diag_for(NAMES) is None
    assert options.fixed_for(NAMES) == {}
    assert options.nan_policy == "omit"
    assert not options.absolute_sigma


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ftol": -1e-9}, r"ftol must be finite and >= 0, got -1e-09"),
        ({"ftol": np.nan}, r"ftol must be finite and >= 0, got nan"),
        ({"xtol": INF}, r"xtol must be finite and >= 0, got inf"),
        ({"gtol": -1}, r"gtol must be finite and >= 0, got -1"),
        ({"maxfev": -5}, r"maxfev must be >= 0 \(0: the default\), got -5"),
        ({"factor": 0}, r"factor must be > 0, usually within 0\.1\.\.100, got 0"),
        ({"factor": -1.0}, r"factor must be > 0"),
        ({"factor": np.nan}, r"factor must be > 0"),
        ({"factor": INF}, r"factor must be > 0"),
        ({"epsfcn": -1e-3}, r"epsfcn must be >= 0 or None, got -0\.001"),
        ({"epsfcn": np.nan}, r"epsfcn must be >= 0 or None"),
        ({"nan_policy": "drop"}, r"nan_policy must be one of \('omit', .*\), got 'drop'"),
        ({"engine": "cuda"}, r"engine must be one of \('auto', .*\), got 'cuda'"),
        ({"fixed": "a"}, r"fixed must be a list of names or a mapping, got 'a'"),
    ],
)
def test_values_out_of_range_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitOptions(**options)


@pytest.mark.parametrize(
    "options", [{"ftol": 0, "xtol": 0, "gtol": 0}, {"epsfcn": 0}, {"maxfev": 1}, {"factor": 1e9}]
)
def test_values_at_the_edge_of_the_range_are_taken(options: dict[str, Any]) -> None:
    assert FitOptions(**options) is not None


@pytest.mark.parametrize(
    ("bounds", "lower", "upper"),
    [
        (None, [-INF, 0, -INF], [INF, 9, INF]),
        ({}, [-INF] * 3, [INF] * 3),
        ({"c": (0, 1), "a": (-INF, 5)}, [-INF, -INF, 0], [5, INF, 1]),
        ((0, 1), [0, 0, 0], [1, 1, 1]),
        ((-INF, INF), [-INF] * 3, [INF] * 3),
        (([0, 1, 2], 7), [0, 1, 2], [7, 7, 7]),
        (np.array([[0, 1, 2], [3, 4, 5]]), [0, 1, 2], [3, 4, 5]),
    ],
)
def test_bounds_come_by_name_or_in_order_and_else_from_the_model(
    bounds: Any, lower: list[float], upper: list[float]
) -> None:
    found = FitOptions(bounds=bounds).bounds_for(NAMES, {"b": (0, 9)})
    np.testing.assert_array_equal(found, [lower, upper])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"d": (0, 1)}, r"bounds names 'd', which is no parameter; there are \('a', 'b', 'c'\)"),
        ({"a": (1, 1)}, r"each lower bound must be below .*\(a: 1\.0 >= 1\.0\).*use fixed"),
        ({"a": (2, 1), "c": (4, 3)}, r"\(a: 2\.0 >= 1\.0; c: 4\.0 >= 3\.0\)"),
        ({"a": (np.nan, 1)}, r"each lower bound must be below its upper bound \(a: nan"),
        ((0, np.nan), r"each lower bound must be below its upper bound"),
        ((INF, INF), r"each lower bound must be below its upper bound"),
        (([0, 1], 5), r"bounds must be .* 3 values each, for params \('a', 'b', 'c'\); got"),
        ((0, 1, 2), r"bounds must be"),
        (7, r"bounds must be .*got 7"),
        ({"a": (0,)}, r"bounds.*a"),
        ({"a": 5}, r"bounds.*a"),
        ({"a": ("low", "high")}, r"bounds.*a"),
    ],
)
def test_bounds_that_cannot_be_are_refused(bounds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitOptions(bounds=bounds).bounds_for(NAMES, {})


def test_scales_are_one_positive_number_a_parameter() -> None:
    diag = FitOptions(diag=(1, 2, 3)).diag_for(NAMES)
    assert diag is not None
    assert diag.dtype == np.float64
    assert diag.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "diag", [[1, 2], [1, 2, 0], [1, 2, -3], [1, 2, np.nan], [1, INF, 1], 1.0, [[1, 2, 3]]]
)
def test_other_scales_are_refused(diag: Any) -> None:
    with pytest.raises(ValueError, match="diag must be 3 positive numbers, one a parameter, got"):
        FitOptions(diag=diag).diag_for(NAMES)


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ((), {}),
        (None, {}),
        (["c"], {"c": None}),
        (("a", "c"), {"a": None, "c": None}),
        ({"b": 2.5, "c": None}, {"b": 2.5, "c": None}),
        ((name for name in "ab"), {"a": None, "b": None}),
    ],
)
def test_fixed_parameters_come_by_name_with_or_without_a_value(
    fixed: Any, expected: dict[str, float | None]
) -> None:
    options = FitOptions(fixed=fixed)
    assert options.fixed_for(NAMES) == expected
    assert options.fixed_for(NAMES) == expected  # and again


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (["d"], r"fixed names 'd', which is no parameter; there are \('a', 'b', 'c'\)"),
        ({"z": 1}, r"fixed names 'z'"),
        (["a", "b", "c"], r"all parameters \('a', 'b', 'c'\) are fixed: nothing is left to fit"),
    ],
)
def test_fixed_parameters_that_cannot_be_are_refused(fixed: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitOptions(fixed=fixed).fixed_for(NAMES)


def test_a_name_has_a_position_or_says_which_there_are() -> None:
    assert index_of("b", NAMES, "p0") == 1
    with pytest.raises(ValueError, match=r"p0 names 'x', which is no parameter"):
        index_of("x", NAMES, "p0")


def test_none_is_no_bound() -> None:
    options = FitOptions(bounds={"a": (0, None), "b": (None, 2)})
    lower, upper = options.bounds_for(("a", "b"), {})
    assert (lower.tolist(), upper.tolist()) == ([0, -np.inf], [np.inf, 2])
