"""One set of curves in every layout that is read, large enough to be timed and weighed.

list, fixed, structs    a curve a row: a list, a list of one size, a list of structs x and y
long, wide              a point a row, a column a point
chunks, shards, cut     Zarr: chunks of whole curves, the same within shards, chunks of some
                        points of all curves
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from manyfit.pipeline.columns import Columns

Floats = npt.NDArray[np.float64]

ROW_GROUP_CURVES = 100_000
CHUNK_CURVES = 10_000


def write_curves(layout: str, path: Path, x: Floats, y: Floats) -> Columns:
    """Write curves, (n_curves, n_points), and return how the columns are to be named."""
    if layout in TABLES:
        n_curves, n_points = y.shape
        rows = ROW_GROUP_CURVES * (n_points if layout == "long" else 1)
        with pq.ParquetWriter(path, _some(layout, x, y, 0).schema, compression="zstd") as writer:
            for first in range(0, n_curves, ROW_GROUP_CURVES):
                writer.write_table(_some(layout, x, y, first), row_group_size=rows)
    else:
        _write_array(layout, path, y)
    if layout in {"structs", "long"}:
        return Columns()
    return Columns(y="y_*", x=x) if layout == "wide" else Columns(x=x)


def _some(layout: str, x: Floats, y: Floats, first: int) -> pa.Table:
    """Return a row group of curves."""
    some = y[first : first + ROW_GROUP_CURVES]
    return TABLES[layout](x, some, np.arange(first, first + len(some)))


def _lists(_: Floats, y: Floats, ids: Any) -> pa.Table:
    values = pa.ListArray.from_arrays(_offsets(y), pa.array(y.reshape(-1)))
    return pa.table({"curve_id": ids, "y": values})


def _fixed(_: Floats, y: Floats, ids: Any) -> pa.Table:
    values = pa.FixedSizeListArray.from_arrays(pa.array(y.reshape(-1)), y.shape[1])
    return pa.table({"curve_id": ids, "y": values})


def _structs(x: Floats, y: Floats, ids: Any) -> pa.Table:
    points = [pa.array(np.tile(x, len(y))), pa.array(y.reshape(-1))]
    lists = pa.ListArray.from_arrays(_offsets(y), pa.StructArray.from_arrays(points, ["x", "y"]))
    return pa.table({"curve_id": ids, "points": lists})


def _long(x: Floats, y: Floats, ids: Any) -> pa.Table:
    return pa.table(
        {"curve_id": np.repeat(ids, y.shape[1]), "x": np.tile(x, len(y)), "y": y.reshape(-1)}
    )


def _wide(_: Floats, y: Floats, ids: Any) -> pa.Table:
    return pa.table({"curve_id": ids, **{f"y_{j}": y[:, j].copy() for j in range(y.shape[1])}})


def _offsets(y: Floats) -> Any:
    return np.arange(len(y) + 1, dtype=np.int32) * y.shape[1]


def _write_array(layout: str, path: Path, y: Floats) -> None:
    """Write a group with one array, (curve, point); cut: (point, curve), one point a chunk."""
    shape, names = y.shape, ("curve", "point")
    stored: dict[str, Any] = {"chunks": (CHUNK_CURVES, shape[1])}
    if layout == "shards":
        stored = {"chunks": (CHUNK_CURVES // 10, shape[1]), "shards": (CHUNK_CURVES, shape[1])}
    if layout == "cut":
        y, shape, names = y.T, shape[::-1], names[::-1]
        stored = {"chunks": (1, shape[1])}
    root = zarr.open_group(path, mode="w")
    array = root.create_array("y", shape=shape, dtype=y.dtype, dimension_names=names, **stored)
    step = stored.get("shards", stored["chunks"])[0]
    for first in range(0, shape[0], step):
        array[first : first + step] = y[first : first + step]


TABLES: Mapping[str, Callable[[Floats, Floats, Any], pa.Table]] = {
    "list": _lists,
    "fixed": _fixed,
    "structs": _structs,
    "long": _long,
    "wide": _wide,
}
LAYOUTS = (*TABLES, "chunks", "shards", "cut")
