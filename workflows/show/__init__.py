"""Results read back: how the fits ended, what came out, and how far it is from a known truth.

    parts       a result's columns, one or two at a time, part by part
    summary     counts by status and flag, quantiles of parameters, the worst curves
    truth       bias, scatter and coverage against a simulated data set
    report      all of it as text

Memory holds single columns at most, never a table.
"""
