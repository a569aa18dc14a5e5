"""Numbers go between NumPy and Arrow as pyarrow itself would have them, bit for bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manyfit.pipeline.exchange import as_arrow, as_numpy

KINDS = ["f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


@given(
    st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, st.integers(0, 20))),
    st.integers(0, 9),
    st.sampled_from([1, 2, -1]),
)
def test_both_ways_are_those_of_pyarrow(values: np.ndarray, first: int, step: int) -> None:
    values = values[::step]
    there = as_arrow(values)
    there.validate(full=True)
    expected = pa.array(values)
    assert there.type == expected.type
    assert there.null_count == 0
    for array in (there[first:], pa.chunked_array([there[:first], there[first:]])):
        back, pyarrows = (
            as_numpy(array),
            array.to_numpy(zero_copy_only=False)
            if isinstance(array, pa.Array)
            else array.to_numpy(),
        )
        assert back.dtype == pyarrows.dtype
        assert back.tobytes() == pyarrows.tobytes()


def test_null_is_nan() -> None:
    assert as_numpy(pa.array([1.5, None, 2.5])).tolist() == pytest.approx(
        [1.5, np.nan, 2.5], nan_ok=True
    )


def test_what_is_no_number_is_pyarrows_business() -> None:
    days = np.array(["2026-01-01", "NaT"], dtype="M8[D]")
    assert as_arrow(days).to_pylist() == pa.array(days).to_pylist()
    assert as_numpy(pa.array(["a", "b"])).tolist() == ["a", "b"]


def test_numbers_are_not_copied() -> None:
    values = np.arange(5.0)
    assert np.shares_memory(as_numpy(as_arrow(values)), values)
