"""What a person runs: the command line, simulated data, and reports of results.

    cli, __main__   the commands; each parses, calls one function, and prints what it returns
    exits           the exit codes, and how a misuse becomes one message
    specs           the small notations of options: a=1,b=2  0:5:50  a=0:10  time=t
    models          a model from its spec, and the list of models
    fit             one run of a fit: prepared, checked, then done with progress
    plan            what a run would do, and what memory and time it takes
    verify          whether results are what the ledger and the input say
    first_curves    do x and sigma go with y at all
    progress        what is seen while a run goes on
    tables          plain text tables
    simulate/       data sets of known truth in every layout
    show/           results read column by column: counts, quantiles, worst curves, coverage

Nothing heavy is imported before a command needs it: ``manyfit --help`` is instant.
"""
