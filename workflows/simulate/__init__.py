"""Data sets of known truth: any model, any layout, chosen noise, a chosen share of bad curves.

    recipe      what to simulate, checked once
    curves      a recipe's curves as arrays, the same bits however they are cut into chunks
    bad         the kinds of bad curves
    layouts     arrays to Arrow tables: a list a curve, long rows, a column a point
    write       tables to Parquet, row group by row group

Nothing of a data set but one row group is in memory at any time.
"""
