"""The pipeline: curves on storage in, a table of fits out, as bounded Dask tasks.

    places, objects                  paths and URLs: a disk, or S3, Google Cloud Storage, Azure
    parquet                          a Parquet file where it lies, and what tells it from others
    columns, sources, layout         which column is what, and how the curves lie in the rows
    files, scan, blocks, dataset     what is there: files, row groups, where curves begin
    nested, hive                     columns within lists of structs, and in names of folders
    where, selection                 which rows are taken, and what is read of them
    binding                          which columns feed which argument of the model
    plan                             partitions: ranges of rows, each the work of one task
    reading, lists, rows, wide       rows of a partition -> batches of curves
    exchange                         numbers of Arrow as NumPy's, and back, without pandas
    arrays                           Zarr: groups of arrays in, maps of results out
    schema, table                    fits -> the result table
    identity, sink, ledger           whose results these are, where they go, what is committed
    revision, due                    an input that changed; the job as it will be run
    lock, owner, verify, recount     one writer at a time; whether results are what they should be
    task                             one partition: read, fit, write, commit
    cluster, window, run, summary    a whole data set, on a cluster
    forkserver, preloaded            workers that start at once: forks of one that has loaded all
    machine_code                     kernels that are compiled once for all of them
    pilot                            what it will take, measured
    streams, memory                  Arrow streams of tables in, an Arrow table out
    xarrays, dataframes              what xarray and Dask dataframes hold, in and out, lazily
    results                          reading results back

`dataset -> plan -> tasks -> sink`: every noun is a frozen value that can be printed and pickled;
what decides is a function of values, and files are touched at the edges only.
"""
