"""Models with exact Jacobians and start guesses from the data.

    polynomials, decays, sinusoids, sigmoids, powers            the models
    peaks, voigts                                               and the peaks among them
    registry, composed                                          models by name, for job files
    recipe                                                      a guess, for either engine
    sums, terms                                                 the guess of a sum, from its terms'
    passes, frames                                              what it is written over
    regression, projection                                      linear parameters from the others
    by_numpy, sorted_curves, periodogram                        a guess executed by NumPy

A guess looks at all curves at once and at each alone: a curve's guess has the same bits in any
batch. It is finite for any finite data.
"""

from .decays import exponential_decay
from .peaks import gaussian, lorentzian
from .polynomials import constant, linear, polynomial
from .powers import power_law
from .registry import MODELS, ModelEntry, get_model
from .sigmoids import dose_response_4pl, logistic
from .sinusoids import sinusoid
from .voigts import voigt

__all__ = [
    "MODELS",
    "ModelEntry",
    "constant",
    "dose_response_4pl",
    "exponential_decay",
    "gaussian",
    "get_model",
    "linear",
    "logistic",
    "lorentzian",
    "polynomial",
    "power_law",
    "sinusoid",
    "voigt",
]
