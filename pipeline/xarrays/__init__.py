"""Arrays of xarray in, maps in an ``xarray.Dataset`` out, as `arrays` does for Zarr.

    frame       along which dimensions curves run; what belongs to them, aligned by name and label
    inputs      what was given for a model -> arrays, and what all curves share
    block       one block of arrays -> blocks of maps; what Dask calls
    fit         the whole of it

Only what imports `manyfit.xarray` imports xarray.
"""
