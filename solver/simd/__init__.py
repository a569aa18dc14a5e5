"""The compiled engine: a model's formula as vector machine code, a curve in every lane.

factors, sums, expressions   what is computed at a point, and what need not be
lanes, elementary            instructions written like NumPy, and exp, sin, ... made of them
points, step, kernel         the pass over the points, the step, the fit from start to end
turnover, slots              lanes that change hands, and the state they have
finish                       covariances
machine, compiling, engine   processors, LLVM, and the calls from Python
"""
