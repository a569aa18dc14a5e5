"""Which arrays of a group feed a model.

What the user did not name is found by name, as columns are. x is found by more: the array ``x``, or
the coordinates of the fit dimensions in the order of the predictors.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...solver.model import Model
from ...solver.options import FitOptions
from ..binding import Binding, StartValues, bind
from ..columns import Columns
from ..dataset import Dataset
from ..errors import DatasetError
from ..sources import PerPoint, Shared, Source
from .grid import Grid
from .store import Arrays


def bind_arrays(
    dataset: Dataset, model: Model, options: FitOptions, p0: StartValues | None
) -> Binding:
    """Say which arrays feed the model; read x, and sigma, where all curves share them.

    Raises
    ------
    DatasetError
        When an argument of the model has no array, or what all curves share cannot be read.
    ValueError
        When options or p0 do not suit the model.
    """
    grid = dataset.layout.grid
    assert grid is not None
    columns = replace(dataset.columns, x=_predictors(dataset.columns, model, grid))
    found = bind(
        model,
        options,
        p0,
        columns=columns,
        layout=dataset.layout,
        schema=dataset.schema,
        where=dataset.where,
    )
    _check_kept(found, grid)
    arrays = Arrays(dataset.files[0].path)
    binding = replace(
        found,
        predictors={n: _settled(s, arrays, grid) for n, s in found.predictors.items()},
        layout=replace(
            found.layout,
            sigma=None
            if found.layout.sigma is None
            else _settled(found.layout.sigma, arrays, grid),
        ),
    )
    y = binding.layout.y[0]
    asked = dataset.where.columns if dataset.where else ()
    used = dict.fromkeys([*binding.columns, *([grid.mask] if grid.mask else []), *asked])
    stamped = {
        n: grid.arrays[n] if n == y else replace(grid.arrays[n], stamp=stamp_of(arrays, grid, n))
        for n in used
    }
    return replace(binding, layout=replace(binding.layout, grid=replace(grid, arrays=stamped)))


def stamp_of(arrays: Arrays, grid: Grid, name: str) -> str:
    """Return what tells an array from itself when it was changed; slab by slab (see `growth`)."""
    dims, slab = grid.arrays[name].dims, grid.tile[:1]
    if not set(dims) & set(grid.map[:1]):
        return arrays.digest(name)
    first, size = grid.map[0], grid.map_shape[0]
    slabs = (slice(k, min(k + slab[0], size)) for k in range(0, size, slab[0]))
    regions = (tuple(s if k == first else slice(0, grid.shape[k]) for k in dims) for s in slabs)
    return " ".join(arrays.digest(name, region) for region in regions)


def _predictors(columns: Columns, model: Model, grid: Grid) -> Any:
    """Return what was given for x, or the arrays that are found for it."""
    if columns.x is not None:
        return columns.x
    names = model.predictors
    axes = [grid.dims[k] for k in grid.fit]
    if len(names) == 1 and _runs("x", grid):
        return {names[0]: "x"}
    if all(name in grid.arrays for name in names) and any(_runs(name, grid) for name in names):
        return {name: name for name in names}
    if len(names) == len(axes) and all(_runs(axis, grid) for axis in axes):
        return dict(zip(names, axes, strict=True))
    missing = [name for name in names if not _runs(name, grid)]
    raise DatasetError(
        f"x: no array for the predictor(s) {', '.join(missing)} of model {model.name!r}: name the "
        f"array or give the numbers (x=...). Curves run along {', '.join(axes)}, of "
        f"{' x '.join(map(str, grid.fit_shape))} points; there are {', '.join(grid.arrays)}"
    )


def _runs(name: str, grid: Grid) -> bool:
    """Whether there is an array of this name that runs along a curve."""
    return name in grid.arrays and bool(set(grid.arrays[name].dims) & set(grid.fit))


def _check_kept(binding: Binding, grid: Grid) -> None:
    """Refuse to keep arrays that have more than one value a curve."""
    for field in binding.keep:
        if _runs(field.name, grid):
            along = ", ".join(grid.dims[k] for k in grid.fit)
            raise DatasetError(
                f"keep: array {field.name!r} runs along {along}, as the curves do; expected one "
                "value a curve: leave it out"
            )


def _settled(source: Source, arrays: Arrays, grid: Grid) -> Source:
    """Read an array that has no map dimension: its values are shared by all curves."""
    if not isinstance(source, PerPoint):
        return source
    name = source.columns[0]
    dims = grid.arrays[name].dims
    if not set(dims) <= set(grid.fit):
        return source
    try:
        values = arrays.numbers(name).astype(np.float64)
    except OSError as error:
        raise DatasetError(str(error)) from error
    points = np.broadcast_to(in_order(values, dims, grid.fit), grid.fit_shape)
    return Shared(tuple(points.reshape(-1).tolist()))


def in_order(values: Any, dims: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """Return values with their dimensions in another order, of size 1 where there were none.

    Parameters
    ----------
    values
        An array with the dimensions `dims` of y.
    dims, order
        Positions of dimensions of y; `dims` are among `order`.
    """
    axes = sorted(range(len(dims)), key=lambda k: order.index(dims[k]))
    sizes: Mapping[int, int] = dict(zip(dims, values.shape, strict=True))
    return values.transpose(axes).reshape([sizes.get(k, 1) for k in order])
