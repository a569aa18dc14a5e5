"""Elementary functions in lanes: vector instructions, no call, no table in memory.

Each takes an emitter and vectors of doubles, and is right to 2 units in the last place, but for
Faddeeva's function and the gamma functions below 0 (`faddeeva` and `gammas` say how right these
are); at infinities, NaN, zeros and subnormal numbers as NumPy. A lane's result depends on its own
operand alone. Where a rare operand needs much more work, that stands behind a branch: what is
emitted may end in another block than it began in.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..lanes import Vec
from .errors import erf, erfc
from .exponentials import exp, exp2, exp10, exp_of_multiple, exponential
from .faddeeva import faddeeva, wofz_imag, wofz_real, wofz_slope_imag, wofz_slope_real
from .gammas import digamma, gammaln, trigamma
from .hyperbolics import cosh, expit, expm1, sinh, tanh
from .inverse_hyperbolics import arccosh, arcsinh, arctanh
from .inverse_trigonometry import arccos, arcsin, arctan, arctan2
from .logarithms import log, log1p, log2, log10
from .powers import power
from .remainders import mod
from .roots import cbrt, hypot
from .trigonometry import cos, sin, sincos, tan

ELEMENTARY: Mapping[str, Callable[..., Vec]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(exp, exp2, expm1, expit, log, log2, log10, log1p),
            *(sin, cos, tan, arcsin, arccos, arctan, arctan2),
            *(sinh, cosh, tanh, arcsinh, arccosh, arctanh),
            *(power, cbrt, hypot, mod, erf, erfc, gammaln, digamma, trigamma),
            *(wofz_real, wofz_imag, wofz_slope_real, wofz_slope_imag),
        )
    }
)
"""Functions of lanes by the name of the operation; call as f(lanes, *operands)."""

__all__ = [
    "ELEMENTARY",
    "exp10",
    "exp_of_multiple",
    "exponential",
    "faddeeva",
    "power",
    "sincos",
]
