"""The small notations of options: what they read, and what they say of what they cannot."""

import math
from pathlib import Path

import numpy as np
import pytest

from manyfit.workflows import specs


def test_values_are_read_from_one_text_or_several() -> None:
    assert specs.values_by_name(["a=1, b=2", "c=-3e4"], "--truth") == {"a": 1, "b": 2, "c": -3e4}


def test_start_values_may_name_columns() -> None:
    values, columns = specs.values_or_columns(["a=1,b=start_b"], "--p0")
    assert (values, columns) == ({"a": 1.0}, {"b": "start_b"})


def test_fixed_parameters_have_a_value_or_their_start() -> None:
    assert specs.values_or_names(["c=0,d"], "--fixed") == {"c": 0.0, "d": None}


def test_ends_of_ranges_may_be_left_out() -> None:
    expected = {"a": (0, 10), "b": (0, math.inf), "c": (-math.inf, 5)}
    assert specs.ranges_by_name(["a=0:10,b=0:,c=:5"], "--bounds") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:5:6", [0, 1, 2, 3, 4, 5]), ("1, 2,5", [1, 2, 5]), ("-1:1:3", [-1, 0, 1]), ("7", [7])],
)
def test_grids(text: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(specs.grid(text, "--x-values"), expected)


def test_grid_from_text_and_npy_files(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1, 2\n3 4\n")
    np.save(tmp_path / "x.npy", np.arange(3.0))
    assert specs.grid(f"@{tmp_path}/x.txt", "--x-values").tolist() == [1, 2, 3, 4]
    assert specs.grid(f"@{tmp_path}/x.npy", "--x-values").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("64MiB", 2**26), ("200MB", 200_000_000), ("64m", 2**26), ("1.5 kB", 1500)],
)
def test_sizes(text: str, size: int) -> None:
    assert specs.size_bytes(text, "--partition-size") == size


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (specs.values_by_name, "a", r"--o: expected name=value, such as a=1,b=2, got 'a'"),
        (specs.values_by_name, "a=", r"--o: expected name=value"),
        (specs.values_by_name, "a=one", r"--o a: expected a number, got 'one'"),
        (specs.values_by_name, "a=1,a=2", r"--o: 'a' is given twice"),
        (specs.values_or_names, "c=zero", r"--o c: expected a number, got 'zero'"),
        (specs.values_or_names, "c,c", r"--o: 'c' is given twice"),
        (specs.ranges_by_name, "a=3", r"--o a: expected lower:upper, such as 0:10 or 0:, got '3'"),
        (
            specs.ranges_by_name,
            "a=2:1",
            r"--o a: the lower end must be below .*2 >= 1",
        ),
        (specs.ranges_by_name, "a=x:1", r"--o a: expected a number, got 'x'"),
    ],
)
def test_messages_of_named_items(read: object, text: str, message: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=message):
        read([text], "--o")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:5", r"--o: expected start:stop:n .* such as 0:5:50, got '0:5'"),
        ("0:5:0", r"--o: expected start:stop:n"),
        ("0:b:5", r"--o: expected a number, got 'b'"),
        ("1,two", r"--o: expected a number, got 'two'"),
        ("1,nan", r"--o: expected at least one number, all finite, got '1,nan'"),
        ("", r"--o: expected at least one number"),
        ("@/no/such/file", r"--o: cannot read numbers from '/no/such/file'"),
    ],
)
def test_messages_of_grids(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        specs.grid(text, "--o")


@pytest.mark.parametrize("text", ["big", "0", "-3MB", "1e999", "5 parsecs"])
def test_messages_of_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"--o: expected a size such as 64MiB or 200MB, got"):
        specs.size_bytes(text, "--o")


def test_messages_of_finite_ranges() -> None:
    with pytest.raises(ValueError, match=r"--x-range: both ends are needed, such as 0:5, got '0:'"):
        specs.finite_range("0:", "--x-range")
