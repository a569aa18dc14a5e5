"""Curves in Zarr arrays of any dimensions, and maps of results of the same dimensions.

    encoding        what is stored -> numbers: scale, offset, missing values
    dims            which dimensions of y an array has, and along which of them curves run (pure)
    grid            tiles: how the curves are divided into pieces of whole chunks (pure)
    store           a group of arrays on storage, and what tells a changed chunk
    dataset         a group -> a data set, as of Parquet files: tiles are its files
    binding         which arrays feed the model
    points          chunks -> the points of curves, each chunk decoded once a partition
    reading         tiles -> batches of curves
    attributes      what maps say of themselves
    maps            rows of results -> a region of every map, and back

The rest of the pipeline sees files, blocks, partitions and rows, and no dimension. Only `store` and
`maps` import zarr; what imports them does so when there is Zarr to read or to write.
"""
