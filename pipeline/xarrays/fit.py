"""Arrays of xarray -> maps of xarray: at once, or as tasks of Dask where the arrays are lazy."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import xarray as xr
from dask.base import compute

from ...solver.graph.graph import GraphFunction
from ...solver.model import Model
from ...solver.options import FitOptions
from ..arrays.attributes import COV_DIMS, group_attributes, map_attributes
from ..errors import DatasetError
from ..identity import bounds_of, plain
from ..packing import packed
from ..schema import describe, describe_model, result_schema
from ..table import rehearse
from .block import Arrangement, Block, fit_packed
from .frame import Dims, Frame
from .inputs import OF_POINTS, Inputs, find_inputs

_TRIED = 64
"""Curves that a plain function is tried on: the first along the last map dimension."""


def fit_maps(
    y: xr.DataArray,
    model: Model | Callable[..., Any],
    dim: Hashable | Sequence[Hashable],
    *,
    named: Mapping[Any, xr.DataArray],
    x: Any,
    sigma: Any,
    mask: Any,
    p0: Any,
    constants: Mapping[str, Any],
    options: FitOptions,
    attrs: Mapping[Any, Any],
) -> xr.Dataset:
    """Fit a model to every curve of an array; see `manyfit.xarray` for what the arguments mean.

    Parameters
    ----------
    named
        What may be given by its name.
    attrs
        Attributes that the result gets beside its own.
    """
    along = [dim] if isinstance(dim, str) or not isinstance(dim, Sequence) else list(dim)
    if not isinstance(model, Model):
        model = Model.from_function(model)
    frame = Frame.of(y, along, named)
    if mask is not None:
        frame = frame.masked(mask)
    schema = result_schema(model.params, pa.int64(), derived=tuple(model.derived))
    _check_names(schema.names[1:], frame)
    inputs = find_inputs(frame, model, along, options, x=x, sigma=sigma, p0=p0, constants=constants)
    arrangement = Arrangement(
        n_fit=len(frame.fit), places=tuple(inputs.arrays), shared=inputs.shared
    )
    fitting = options
    if options.engine != "reference" and not isinstance(model.func, GraphFunction):
        first = next(arrangement.curves(*_first_curves(frame, inputs)))
        model, fitting = rehearse(first, model, options)
    about = _about(frame, model, options, inputs)
    block = Block(arrangement=arrangement, model=model, options=fitting, schema=schema)
    maps = _applied(block, [frame.y, *inputs.arrays.values()], frame.fit)
    found = xr.Dataset(dict(zip(schema.names[1:], maps, strict=True)))
    for name in schema.names[1:]:
        found[name].attrs = map_attributes(name, about)
    return found.assign_attrs(attrs).assign_attrs(group_attributes(about))


def _about(frame: Frame, model: Model, options: FitOptions, inputs: Inputs) -> dict[str, Any]:
    """Return what the result says of model, options and input."""
    sizes = {str(dim): size for dim, size in frame.y.sizes.items()}
    data = {"dims": sizes, "along": [str(dim) for dim in frame.fit], "units": inputs.units}
    described = plain(describe_model(model, bounds_of(model, options)))
    return describe(described, plain(options), data)


def _check_names(names: Sequence[str], frame: Frame) -> None:
    """Refuse maps of which one would have the name of a dimension or a coordinate."""
    kept = [n for n, c in frame.y.coords.items() if not set(c.dims) & set(frame.fit)]
    taken = [*frame.map_dims, *kept, *COV_DIMS]
    both = [name for name in names if name in taken]
    if both:
        raise DatasetError(
            f"the result would have a variable {both[0]!r}, which is the name of a dimension or "
            f"coordinate ({', '.join(map(str, dict.fromkeys(taken)))}): rename the parameter, or "
            "the coordinate with .rename"
        )


def _first_curves(frame: Frame, inputs: Inputs) -> list[Any]:
    """Return the arrays of some curves, computed, as an `Arrangement` takes them."""
    last = frame.map_dims[-1:]
    few = {dim: slice(_TRIED if dim in last else 1) for dim in frame.map_dims}

    def cut(array: xr.DataArray) -> xr.DataArray:
        return array.isel({dim: rows for dim, rows in few.items() if dim in array.dims})

    few_of = [cut(array) for array in (frame.y, *inputs.arrays.values())]
    y, *arrays = compute(*few_of)  # type: ignore[no-untyped-call]
    one = y.isel(dict.fromkeys(frame.fit, 0))
    likes = [y if role in OF_POINTS else one for role, _ in inputs.arrays]
    laid = [
        array.broadcast_like(like).transpose(*like.dims)
        for array, like in zip(arrays, likes, strict=True)
    ]
    return [array.values for array in (y, *laid)]


def _applied(block: Block, arrays: Sequence[xr.DataArray], fit: Dims) -> tuple[xr.DataArray, ...]:
    """Fit all blocks, or say how, where one of the arrays is lazy."""
    lazy = any(array.chunks is not None for array in arrays)
    fields = list(block.schema)[1:]
    square = [pa.types.is_fixed_size_list(field.type) for field in fields]
    side = len(block.model.params)
    types = [f.type.value_type if wide else f.type for f, wide in zip(fields, square, strict=True)]
    core = [fit, *(fit if role in OF_POINTS else () for role, _ in block.arrangement.places)]
    found: tuple[xr.DataArray, ...] = xr.apply_ufunc(
        partial(fit_packed, packed(block, block.model)) if lazy else block.fit,
        *arrays,
        input_core_dims=core,
        output_core_dims=[COV_DIMS if wide else () for wide in square],
        dask="parallelized",
        output_dtypes=[kind.to_pandas_dtype() for kind in types],
        dask_gufunc_kwargs={"output_sizes": dict.fromkeys(COV_DIMS, side)} if lazy else None,
        join="exact",
        keep_attrs="override",  # those of y, for the sake of its coordinates
    )
    return found
