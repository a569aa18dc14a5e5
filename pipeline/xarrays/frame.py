"""Where curves lie in an array of xarray, and where other arrays lie in that.

Every dimension of y is a fit dimension, along which a curve runs, or a map dimension: each place of
those is one curve. Other arrays may have any of these dimensions, in any order; they are matched by
name, and where both have labels these must be the same. Nothing is matched by position but bare
arrays, whose shape must say which dimensions are meant.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import DatasetError

Dims = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """An array of curves.

    Attributes
    ----------
    y
        The values, of numbers, the fit dimensions last.
    fit
        The dimensions along which a curve runs, in the order in which y has them.
    dims
        The dimensions as the user's array has them: bare arrays are shaped so.
    named
        What may be given by its name: coordinates, and variables of the same data set.
    """

    y: xr.DataArray
    fit: Dims
    dims: Dims
    named: Mapping[Any, xr.DataArray]

    @classmethod
    def of(cls, y: xr.DataArray, along: Sequence[Hashable], named: Mapping[Any, Any]) -> Self:
        """Lay the dimensions `along` of an array last.

        Raises
        ------
        DatasetError
            When one is no dimension, is cut into chunks, or y is empty or not of numbers.
        """
        wrong = [dim for dim in along if dim not in y.dims]
        if wrong or not along or len(set(along)) < len(along):
            raise DatasetError(
                f"dim must name dimensions of the array, each once, got {_listed(along)}; there "
                f"are {_sizes(y)}"
            )
        if 0 in y.shape:
            raise DatasetError(f"the array has nothing in it: its dimensions are {_sizes(y)}")
        check_numbers(y, "y")
        fit = tuple(dim for dim in y.dims if dim in along)
        check_whole(y, "y", fit)
        return cls(y.transpose(..., *fit), fit, y.dims, named)

    @property
    def map_dims(self) -> Dims:
        """The dimensions that the maps have."""
        return tuple(dim for dim in self.y.dims if dim not in self.fit)

    @property
    def n_points(self) -> int:
        """Points of a curve."""
        return int(np.prod([self.y.sizes[dim] for dim in self.fit]))

    def masked(self, mask: Any) -> Self:
        """Return the same curves without the points where a mask is not zero: there y is NaN."""
        left_out = self.placed(mask, "mask")
        check_numbers(left_out, "mask")
        return replace(self, y=self.y.where(left_out == 0).transpose(*self.y.dims))

    def placed(self, given: Any, what: str) -> xr.DataArray:
        """Return what is given for points: its dimensions are among those of y.

        Raises
        ------
        DatasetError
            When there is nothing of that name, or dimensions or labels are not those of y.
        """
        array = self._array(given, what, (self.fit, self.dims))
        check_whole(array, what, self.fit)
        return self._aligned(array, what, self.y.dims)

    def placed_on_map(self, given: Any, what: str) -> xr.DataArray:
        """Return what is given for curves: its dimensions are among the map dimensions.

        Raises
        ------
        DatasetError
            As `placed`, or when it is not of numbers.
        """
        array = self._array(given, what, (self.map_dims,))
        check_numbers(array, what)
        return self._aligned(array, what, self.map_dims)

    def on_points(self, array: xr.DataArray) -> xr.DataArray:
        """Return an array with all fit dimensions, last; values are repeated where there was none.

        Parameters
        ----------
        array
            As `placed` gives it.
        """
        lacking = {dim: self.y.sizes[dim] for dim in self.fit if dim not in array.dims}
        return array.expand_dims(lacking).transpose(..., *self.fit)

    def _array(self, given: Any, what: str, choices: Sequence[Dims]) -> xr.DataArray:
        """Find what is given by name, and name the dimensions of a bare array."""
        if isinstance(given, str):
            if given not in self.named:
                raise DatasetError(
                    f"{what}: there is no coordinate or variable {given!r}; there are "
                    f"{_listed(list(self.named))}"
                )
            return self.named[given]
        if isinstance(given, xr.DataArray):
            return given
        data = given if hasattr(given, "shape") else np.asarray(given)
        for dims in ((), *choices):
            if data.shape == tuple(self.y.sizes[dim] for dim in dims):
                return xr.DataArray(data, dims=dims)
        allowed = " or ".join(f"({_listed(dims)})" for dims in dict.fromkeys(choices))
        raise DatasetError(
            f"{what} has the shape {data.shape}; expected a number, or an array of {allowed}, "
            f"where there are {_sizes(self.y)}: name the dimensions with an xarray.DataArray"
        )

    def _aligned(self, array: xr.DataArray, what: str, allowed: Dims) -> xr.DataArray:
        """Refuse other dimensions or labels, and drop the coordinates, which are those of y."""
        strange = [dim for dim in array.dims if dim not in allowed]
        if strange:
            raise DatasetError(
                f"{what} has the dimension {_listed(strange)}; expected only {_listed(allowed)}: "
                "select or average over the others first"
            )
        try:
            xr.align(self.y, array, join="exact", copy=False)
        except ValueError as error:
            raise DatasetError(
                f"{what} is not labelled as y is: {error}. Select what both have, or use "
                "reindex_like"
            ) from error
        return array.drop_vars(list(array.coords))


def check_numbers(array: xr.DataArray, what: str) -> None:
    """Refuse an array that is not of real numbers.

    Raises
    ------
    DatasetError
        When it is not.
    """
    if array.dtype.kind not in "fiub":
        raise DatasetError(f"{what} is of type {array.dtype}; expected real numbers: convert it")


def check_whole(array: xr.DataArray, what: str, fit: Dims) -> None:
    """Refuse curves that are cut: to join them may take more memory than there is.

    Raises
    ------
    DatasetError
        When chunks divide a fit dimension.
    """
    chunks = array.chunksizes
    cut = {dim: len(chunks[dim]) for dim in fit if len(chunks.get(dim, ())) > 1}
    if cut:
        whole = ", ".join(f"{dim!r}: -1" for dim in fit)
        others = "".join(f", {dim!r}: 'auto'" for dim in array.dims if dim not in fit)
        raise DatasetError(
            f"the chunks of {what} cut curves into pieces ({_listed([*cut])}: "
            f"{', '.join(map(str, cut.values()))} chunks); expected whole curves in each chunk: "
            f"rechunk with .chunk({{{whole}{others}}})"
        )


def numbers_of(array: xr.DataArray) -> npt.NDArray[np.float64]:
    """Return the values of an array, computed if they are lazy, flat and as float64."""
    return np.asarray(array.values, dtype=np.float64).reshape(-1)


def _sizes(array: xr.DataArray) -> str:
    """List dimensions with their sizes."""
    return ", ".join(f"{dim} {size}" for dim, size in array.sizes.items()) or "none"


def _listed(names: Sequence[Hashable]) -> str:
    """List names, not more than fit a message."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(map(str, names[:20])) or "none") + more
