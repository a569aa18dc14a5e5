"""What was given for the arguments of a model -> arrays, and what all curves share."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from ...solver.model import Model
from ...solver.options import FitOptions, index_of
from ..binding import check_fixed, check_inside, predictors_given, shared_start
from ..errors import DatasetError
from .frame import Frame, check_numbers, numbers_of

Role: TypeAlias = Literal["x", "sigma", "p0", "constants"]
Place: TypeAlias = tuple[Role, str]
"""What an array is to the fit, and for which argument of the model."""

OF_POINTS: tuple[Role, ...] = ("x", "sigma")
"""What has a value a point; the others have one a curve."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything but y that a fit needs from the data.

    Attributes
    ----------
    shared
        What all curves share: (n_points,) or a number.
    arrays
        What differs from curve to curve.
    units
        What the numbers of a predictor are that was given as times.
    """

    shared: dict[Place, Any] = field(default_factory=dict)
    arrays: dict[Place, xr.DataArray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def add(self, place: Place, array: xr.DataArray, frame: Frame) -> None:
        """Take an array, for itself if curves differ in it."""
        points = place[0] in OF_POINTS
        if set(array.dims) & set(frame.map_dims):
            self.arrays[place] = frame.on_points(array) if points else array
        elif points:
            self.shared[place] = numbers_of(frame.on_points(array))
        else:
            self.shared[place] = float(array)


def find_inputs(
    frame: Frame,
    model: Model,
    along: Sequence[Hashable],
    options: FitOptions,
    *,
    x: Any,
    sigma: Any,
    p0: Any,
    constants: Mapping[str, Any],
) -> Inputs:
    """Find an array, or a value, for every argument of the model, and check what can be checked.

    Parameters
    ----------
    frame, model, options
        The curves, and how they are fitted.
    along
        The fit dimensions in the order in which the user named them.
    x, sigma, p0, constants
        As in `manyfit.xarray`.

    Raises
    ------
    DatasetError
        When an argument has no source, or not a good one.
    ValueError
        When options or start values do not suit the model.
    """
    options.diag_for(model.params)
    check_fixed(options.fixed_for(model.params))
    found = Inputs()
    for name, given in _predictors(frame, model, along, x).items():
        what = "x" if len(model.predictors) == 1 else f"x[{name!r}]"
        array, unit = _in_seconds(frame.placed(given, what), what, frame)
        check_numbers(array, what)
        found.add(("x", name), array, frame)
        if unit:
            found.units[name] = unit
    if sigma is not None:
        array = frame.placed(sigma, "sigma")
        check_numbers(array, "sigma")
        found.add(("sigma", ""), array, frame)
    for name, given in _constants(model, constants).items():
        found.add(("constants", name), frame.placed_on_map(given, f"constant {name!r}"), frame)
    _add_start(found, frame, model, options, p0)
    return found


def _add_start(found: Inputs, frame: Frame, model: Model, options: FitOptions, p0: Any) -> None:
    """Take start values: numbers that all curves share, and arrays."""
    single = {}
    if isinstance(p0, Mapping):
        single = {n: v for n, v in p0.items() if isinstance(v, str) or np.ndim(v)}
        p0 = {name: value for name, value in p0.items() if name not in single}
    shared = shared_start(p0, model)
    check_inside(shared, model, options)
    found.shared.update({("p0", name): value for name, value in shared.items()})
    for name, given in single.items():
        index_of(name, model.params, "p0")
        found.add(("p0", name), frame.placed_on_map(given, f"p0 of {name!r}"), frame)


def _predictors(frame: Frame, model: Model, along: Sequence[Hashable], x: Any) -> Mapping[str, Any]:
    """Return what was given for each predictor, else what is found by name or by dimension."""
    names = model.predictors
    if x is not None:
        return predictors_given(model, x, "array or name")
    runs = [n for n in names if n in frame.named and set(frame.named[n].dims) & set(frame.fit)]
    if len(runs) == len(names):
        return {name: name for name in names}
    labelled = [dim for dim in along if dim in frame.y.coords]
    if not runs and len(names) == len(along) == len(labelled):
        return {name: frame.y.coords[dim] for name, dim in zip(names, along, strict=True)}
    raise DatasetError(
        f"x: model {model.name!r} has the predictor(s) {', '.join(names)}, and curves run along "
        f"{', '.join(map(str, along))}; there are coordinates for "
        f"{', '.join(map(str, labelled)) or 'none of these'}, and "
        f"{', '.join(runs) or 'none'} by the name of a predictor: give x, or assign coordinates"
    )


def _in_seconds(array: xr.DataArray, what: str, frame: Frame) -> tuple[xr.DataArray, str | None]:
    """Return times as seconds, from the earliest on where they are dates; NaT as NaN."""
    if array.dtype.kind not in "mM":
        return array, None
    if set(array.dims) & set(frame.map_dims):
        raise DatasetError(
            f"{what} is of type {array.dtype} and differs from curve to curve: from where to count "
            "is not clear. Give numbers, such as (t - t.min()) / numpy.timedelta64(1, 's')"
        )
    values, unit = array.values, "seconds"
    if array.dtype.kind == "M":
        origin = np.fmin.reduce(values, axis=None)
        values, unit = values - origin, f"seconds since {np.datetime_as_string(origin, 'auto')}"
    return array.copy(data=values / np.timedelta64(1, "s")), unit


def _constants(model: Model, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was given for each constant, else what has its name."""
    unknown = set(given) - set(model.constants)
    if unknown:
        raise DatasetError(
            f"constants: model {model.name!r} has no constant {sorted(unknown)}; it has "
            f"{model.constants}"
        )
    return {name: given.get(name, name) for name in model.constants}
