"""The solver: batches of curves in, parameters, covariances and status codes out. NumPy only.

    status, options, model, result   the values that go in and come out
    trust_region                     may this step stay, how long is the next, is this the end
    qr, lmpar, bounds                which step: pivoted QR, Levenberg-Marquardt parameter, box
    minpack, state                   the reference engine: lmder and lmdif over a batch axis
    residuals, columns, differences  what is minimised, and its derivatives
    covariance, determinacy          what the minimum says of the parameters
    curves, pointwise                people's arrays and functions, made fit for batches
    batch, preparation, evaluation   fit_curves: many curves of one model, and its values after
    formulas, rehearsal              whether a model is fitted by its formula or by calling it
    graph                            expressions: parsed, traced, differentiated, evaluated
    composition, derived             models from models, and quantities derived from parameters
    leastsq, curve_fit               SciPy's calls, a batch of one (one_curve, schemes)
    allocation                       what the C allocator must be told
    library                          models with exact Jacobians and start guesses

Nothing here touches a file, a network, Dask or Arrow.
"""
