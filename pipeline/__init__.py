"""The pipeline: curves on storage in, a table of fits out, as bounded Dask tasks.

    columns, sources, layout         which column is what, and how the curves lie in the rows
    files, scan, dataset             what is there: files, row groups, where curves begin
    binding                          which columns feed which argument of the model
    plan                             partitions: ranges of rows, each the work of one task
    reading, lists, rows, wide       rows of a partition -> batches of curves
    schema, table                    fits -> the result table
    identity, sink, ledger           whose results these are, where they go, what is committed
    task                             one partition: read, fit, write, commit
    cluster, window, run, summary    a whole data set, on a cluster
    memory, results                  an Arrow table in and out; reading results back

`dataset -> plan -> tasks -> sink`: every noun is a frozen value that can be printed and pickled;
what decides is a function of values, and files are touched at the edges only.
"""
