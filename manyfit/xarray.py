"""Fits of xarray's arrays: importing this gives every DataArray and Dataset a ``.manyfit``.

What it is used for:

    import manyfit.xarray

    fit = da.manyfit.fit("a*exp(-x/tau) + c", "time", p0={"tau": 3})    # of a DataArray
    fit = ds.manyfit.fit(model, "time", y="signal", sigma="error")      # of a Dataset
    fit.tau.where(fit.status.isin([1, 2, 3, 4])).plot()

An array of Dask is fitted by way of ``xarray.DataArray(array, dims=[...])``.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from .pipeline.errors import DatasetError
from .pipeline.xarrays.fit import fit_maps
from .solver.model import Model
from .solver.options import FitOptions

__all__ = ["DataArrayFits", "DatasetFits"]

Function = Model | str | Callable[..., Any]


@xr.register_dataarray_accessor("manyfit")  # type: ignore[no-untyped-call]
class DataArrayFits:
    """``da.manyfit``: fits of the curves of a DataArray."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def fit(
        self,
        model: Function,
        dim: Hashable | Sequence[Hashable],
        *,
        x: Any = None,
        sigma: Any = None,
        mask: Any = None,
        p0: Any = None,
        constants: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Fit a model to every curve that runs along a dimension.

        What belongs to the curves is given as a number, as a DataArray, as the name of a
        coordinate, or as a bare array whose shape says its dimensions. DataArrays are matched by
        the names of their dimensions; where both have labels these must be the same.

        Parameters
        ----------
        model
            A `Model`, an expression such as ``"a*exp(-x/tau) + c"``, or a NumPy function
            ``f(x, a, b, ...)``.
        dim
            The dimension along which curves run, or several for a model of several predictors.
        x
            Where the values were taken; with several predictors, a mapping of predictor to such.
            Default: coordinates with the names of the predictors that run along a curve, else the
            coordinates of `dim` in its order. Dates count in seconds from the earliest on, and
            durations in seconds.
        sigma
            Standard deviation of the values.
        mask
            Not zero where a point is left out, as in NumPy's masked arrays.
        p0
            Start values: ``{param: value}`` for some, one for all curves or one each; or one number
            a parameter. Default: the model's own.
        constants
            Constants of the model by name; default: coordinates with their names.
        options
            Fields of `FitOptions`: bounds, fixed, ftol, nan_policy, ...; the same for all curves.

        Returns
        -------
        A Dataset with a variable for each parameter, ``<param>_stderr``, ``cov``, ``status``,
        ``flags``, ``nfev``, ``n_points``, ``cost`` and ``redchi``, of the other dimensions, with
        their coordinates; as ``xarray.open_zarr`` shows the maps of `fit_dataset`.

        If an array is backed by Dask so is the result, which has the same bits when the scheduler
        computes it. Compute, or write, all of it at once: every compute fits again. Curves must lie
        whole in chunks. What is computed here: x, where all curves share it, and, if the model is a
        plain function, the first 64 curves or less, on which its formula is tried.

        Raises
        ------
        DatasetError
            When an array is missing or does not go with the curves; when chunks cut curves.
        ValueError
            When options or p0 do not suit the model.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> time = np.linspace(0, 5, 50)
        >>> y = np.array([[2.0], [3.0]]) * np.exp(-1.5 * time) + 0.5
        >>> da = xr.DataArray(y, {"pixel": [7, 8], "time": time}, ["pixel", "time"])
        >>> fit = da.manyfit.fit("a*exp(-b*x) + c", "time")
        >>> fit.a.sel(pixel=8).round(6).item()
        3.0
        """
        array = self._array
        return fit_maps(
            array,
            _model(model),
            dim,
            named=array.coords,
            x=x,
            sigma=sigma,
            mask=mask,
            p0=p0,
            constants=constants or {},
            options=FitOptions(**options),
            attrs=array.attrs,
        )


@xr.register_dataset_accessor("manyfit")  # type: ignore[no-untyped-call]
class DatasetFits:
    """``ds.manyfit``: fits of the curves of one variable of a Dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def fit(
        self,
        model: Function,
        dim: Hashable | Sequence[Hashable],
        *,
        y: Hashable,
        x: Any = None,
        sigma: Any = None,
        mask: Any = None,
        p0: Any = None,
        constants: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Fit a model to every curve of a variable; names may be those of other variables.

        Parameters
        ----------
        y
            The variable that holds the curves.
        model, dim, x, sigma, mask, p0, constants, options
            As in `DataArrayFits.fit`.

        Returns
        -------
        As `DataArrayFits.fit`.

        Raises
        ------
        DatasetError
            When there is no variable `y`; else as `DataArrayFits.fit`.
        ValueError
            As `DataArrayFits.fit`.
        """
        dataset = self._dataset
        if y not in dataset.variables:
            there = ", ".join(map(str, dataset.variables))
            raise DatasetError(f"y: there is no variable {y!r}; there are {there}")
        return fit_maps(
            dataset[y],
            _model(model),
            dim,
            named={name: dataset[name] for name in dataset.variables},
            x=x,
            sigma=sigma,
            mask=mask,
            p0=p0,
            constants=constants or {},
            options=FitOptions(**options),
            attrs=dataset.attrs,
        )


def _model(model: Function) -> Model | Callable[..., Any]:
    """Read an expression; take models and functions as they are."""
    return Model.from_expression(model) if isinstance(model, str) else model
