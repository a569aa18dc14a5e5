"""One value a curve: arrays of the map dimensions alone as columns, and the curves they select.

A value that is missing is null, and so is NaN where a condition asks for it: a curve for which the
condition is null is not taken.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..exchange import as_arrow
from ..where import Where, selected_rows
from .binding import in_order
from .grid import Grid, Region
from .store import Arrays

Numbers = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]


def stored_values(arrays: Arrays, grid: Grid, name: str, region: Region) -> Numbers:
    """Return what an array without a fit dimension holds for the curves of a region, (n_curves,).

    Raises
    ------
    OSError
        When it cannot be read.
    """
    dims = grid.arrays[name].dims
    stored = arrays.read(name, grid.within(dims, region))
    shape = [s.stop - s.start for s in region]
    return np.asarray(np.broadcast_to(in_order(stored, dims, grid.map), shape).reshape(-1))


def column_of(
    arrays: Arrays, grid: Grid, name: str, region: Region, kind: pa.DataType, *, nan: bool = True
) -> pa.Array:
    """Return such an array as a column of a type; NaN that is stored stays, unless `nan` is false.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    stored = stored_values(arrays, grid, name, region)
    if stored.dtype.kind in "OTU":
        return pa.array([str(value) for value in stored], kind)
    values = arrays.encoding(name).decode(stored)
    values = values.astype(values.dtype.newbyteorder("="))
    lost = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
    if nan and stored.dtype.kind == "f":
        lost[:] = False
    column = pa.array(values, mask=lost) if lost.any() else as_arrow(values)
    return column.cast(kind)


def taken_curves(arrays: Arrays, grid: Grid, where: Where | None, number: int) -> Rows | None:
    """Return the positions in a tile of the curves that are taken, rising; None: all of them.

    Raises
    ------
    OSError
        When an array of the condition cannot be read.
    """
    if where is None:
        return None
    region = grid.region(number)
    columns: Sequence[pa.Array] = [
        column_of(arrays, grid, name, region, kind, nan=False) for name, kind in where.types
    ]
    return selected_rows(where, pa.RecordBatch.from_arrays(columns, names=list(where.columns)))
