"""Expressions: models as values that can be read, printed, differentiated, sent and compiled.

    operations            the operations there are
    special, gammas, faddeeva   those that NumPy lacks
    nodes, simplify       expressions: equal where they say the same, shared, in normal form
    functions             what text and traced functions may call: operations and combinations
    derivatives, powers   exact derivatives, safe where a power or a branch not taken is singular
    evaluate              values on NumPy arrays, several expressions at once
    graph                 an expression with its names in order: what a model is made of
    printing, parsing     text, and back; scanning refuses what may not be in it
    tracing, verifying    from a NumPy function, called with tracers, and compared with it
    tracer, numpy_calls   the tracer, and what NumPy's functions mean for it
    complex_tracer        x + 1j*y, for scipy.special.wofz alone
    conversions           np.asarray and its like, which have to be told of tracers

Only NumPy is needed. `scipy.special`'s universal functions are known by name when traced: erf,
erfc, erfcx, dawsn, wofz, voigt_profile, gammaln, loggamma, digamma, expit, xlogy and a few more.
"""
