"""Curves as Arrow tables, one function a layout.

    list   curve_id | x: list | y: list | sigma: list | true_* | bad
    long   curve_id | x | y | sigma, a row a point; true_* and bad stand in a table of their own
    wide   curve_id | y_0 | y_1 | ... | true_* | bad

No array is copied that Arrow can take as it is.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from ...solver.arrays import Bools, Floats
from .bad import KINDS
from .curves import Curves
from .recipe import TRUTH_PREFIX, Recipe


def table_of(curves: Curves, recipe: Recipe) -> pa.Table:
    """Return the data of some curves in the recipe's layout."""
    columns = _LAYOUTS[recipe.layout](curves, recipe)
    if recipe.layout != "long":
        columns |= _truth_columns(curves, recipe)
    return pa.table(columns).replace_schema_metadata(recipe.metadata())


def truth_table(curves: Curves, recipe: Recipe) -> pa.Table:
    """Return what is true of each curve, one row a curve."""
    columns = {"curve_id": pa.array(curves.ids)} | _truth_columns(curves, recipe)
    return pa.table(columns).replace_schema_metadata(recipe.metadata())


def wide_names(n_points: int) -> list[str]:
    """Return the names of the columns of points, padded so that they sort in order."""
    digits = len(str(n_points - 1))
    return [f"y_{j:0{digits}d}" for j in range(n_points)]


def _truth_columns(curves: Curves, recipe: Recipe) -> dict[str, pa.Array]:
    """Return the true parameters and the kind of each bad curve."""
    columns = {
        TRUTH_PREFIX + name: pa.array(np.ascontiguousarray(curves.truth[:, j]))
        for j, name in enumerate(recipe.model.params)
    }
    kinds = pa.array(curves.kind, mask=curves.kind < 0)
    names = pa.DictionaryArray.from_arrays(kinds, pa.array(KINDS))
    return columns | {"bad": names.cast(pa.string())}


def _list_columns(curves: Curves, recipe: Recipe) -> dict[str, pa.Array]:
    """Return the columns of the list layout."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(curves.length)]), pa.int32())
    null = np.zeros(len(curves), dtype=np.bool_)
    null[curves.null] = True
    present = None if curves.whole else _present(curves)

    def lists(values: Floats) -> pa.Array:
        flat = np.broadcast_to(values, curves.y.shape)
        flat = flat.ravel() if present is None else flat[present]
        mask = pa.array(null) if null.any() else None
        return pa.ListArray.from_arrays(offsets, pa.array(flat), mask=mask)

    names = {"x": curves.x} if recipe.with_x else {}
    names |= {"y": curves.y} | ({"sigma": curves.sigma} if recipe.with_sigma else {})
    columns = {name: lists(values) for name, values in names.items()}
    return {"curve_id": pa.array(curves.ids), **columns}


def _long_columns(curves: Curves, recipe: Recipe) -> dict[str, pa.Array]:
    """Return the columns of the long layout; a null curve has its points, each y null."""
    null = np.zeros(len(curves), dtype=np.bool_)
    null[curves.null] = True
    present = _present(curves) | null[:, None]
    rows = present.sum(axis=1)

    def column(values: Floats) -> Floats:
        return np.broadcast_to(values, curves.y.shape)[present]

    columns = {"curve_id": pa.array(np.repeat(curves.ids, rows))}
    if recipe.with_x:
        columns["x"] = pa.array(column(curves.x))
    columns["y"] = pa.array(column(curves.y), mask=np.repeat(null, rows))
    if recipe.with_sigma:
        columns["sigma"] = pa.array(column(curves.sigma))
    return columns


def _wide_columns(curves: Curves, _: Recipe) -> dict[str, pa.Array]:
    """Return the columns of the wide layout; a point that is not there is null."""
    absent = ~_present(curves).T
    points = np.ascontiguousarray(curves.y.T)
    columns = {"curve_id": pa.array(curves.ids)}
    for j, name in enumerate(wide_names(curves.x.size)):
        columns[name] = pa.array(points[j], mask=absent[j] if absent[j].any() else None)
    return columns


def _present(curves: Curves) -> Bools:
    """Return which points are there, (n_curves, n_points)."""
    present: Bools = np.arange(curves.x.size) < curves.length[:, None]
    return present


_LAYOUTS: Mapping[str, Callable[[Curves, Recipe], dict[str, pa.Array]]] = {
    "list": _list_columns,
    "long": _long_columns,
    "wide": _wide_columns,
}
