"""The compiled engine: a model's formula as vector machine code, a curve in every lane.

factors, sums, expressions   what is computed at a point, and what need not be
lanes, elementary            instructions written like NumPy, and exp, sin, ... made of them
points, step, kernel         the pass over the points, the step, the fit from start to end
triangle, triangle_points,   the same by QR, for what is ill-conditioned
triangle_step, ways
turnover, slots              lanes that change hands, and the state they have
finish                       covariances
guessing, parts, starting    start values, also of the terms of a sum, and their calls from Python
passes, lane_points, loops   what guesses are written over (periodogram)
machine, compiling, engine   processors, LLVM, and the calls from Python
"""
