"""Plain numbers as Arrow arrays and as NumPy arrays, one for the other without a copy.

Whatever pyarrow converts by itself might be of pandas, so where pandas is installed it is loaded: a
quarter of a second of every worker's first task. What is plain numbers is shared here by its
buffers, or by DLPack, and pandas is left alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def as_arrow(values: npt.NDArray[Any]) -> pa.Array:
    """Return a one-dimensional NumPy array as Arrow has it; NaN is a number.

    What is neither numbers nor truth values is left to pyarrow, and to pandas.
    """
    if values.dtype == np.bool_:
        return as_arrow(values.view(np.uint8)).cast(pa.bool_())
    if values.dtype.kind not in "iuf":
        return pa.array(values)
    whole = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(whole.dtype)
    return pa.Array.from_buffers(kind, len(whole), [None, pa.py_buffer(whole)])


def as_numpy(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return an Arrow array as NumPy has it, null as NaN, to be read only.

    Nulls, and what is neither numbers nor truth values, are left to pyarrow, and to pandas.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = array.type
    if array.null_count == 0:
        if pa.types.is_boolean(kind):
            return np.from_dlpack(array.cast(pa.uint8())).view(np.bool_)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return np.from_dlpack(array)
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values
